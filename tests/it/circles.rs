//! Which files of a room name one another round about: those can only be understood together.
//!
//! A file names another by `super::…`, `crate::…` or a module that it imported. What a `mod.rs` only
//! passes on counts for the file that it comes from, and a folder's `mod.rs` may name what is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::tidy::{assert_none, room_of, rust_files, shipped_code};

/// Files of a circle at most.
const FILES_MAX: usize = 3;

/// The circles that there are. None may be added.
const KNOWN: [&str; 22] = [
    "app/rules.rs app/watch.rs",
    "apply/control.rs apply/decoded.rs apply/plan.rs",
    "auth/authenticate.rs auth/login.rs",
    "cli/bench/history.rs cli/bench/page.rs",
    "cli/bench/start.rs cli/bench/world.rs",
    "domain/command.rs domain/contact/mod.rs domain/event.rs",
    "domain/control/entry.rs domain/control/restated.rs",
    "effects/dead_letters/desk.rs effects/dead_letters/redrive.rs",
    "effects/feed/client.rs effects/feed/hub.rs",
    "effects/follower/engine.rs effects/follower/writing.rs",
    "effects/follower/registry.rs effects/follower/steering.rs",
    "event_log/kafka/context.rs event_log/kafka/produce.rs",
    "http/sockets/http2/mod.rs http/sockets/serve.rs",
    "ingest/command_record.rs ingest/commands.rs",
    "ingest/hand_over.rs ingest/outbox.rs",
    "segments/recover.rs segments/writer.rs",
    "simulate/compare.rs simulate/run.rs simulate/target.rs",
    "simulate/load.rs simulate/render.rs",
    "store/cache.rs store/journal/blocks.rs store/journal/decode.rs",
    "store/ordered/keys.rs store/ordered/request.rs",
    "store/verify.rs store/verify_controls.rs",
    "telemetry/auth.rs telemetry/events.rs telemetry/metrics.rs",
];

/// A module's path from the crate's root.
type Path = Vec<String>;

struct File {
    name: String,
    code: String,
    /// What its `use` lines bring in, by the name that it has here.
    imports: BTreeMap<String, Path>,
}

/// Every file of the crate, by its module.
struct Modules(BTreeMap<Path, File>);

impl Modules {
    fn read() -> Self {
        let file = |(name, text): (String, String)| {
            let parts = name.trim_start_matches("src/").trim_end_matches(".rs").split('/');
            let path = parts.filter(|part| *part != "mod").map(str::to_owned).collect();
            let code = shipped_code(&name, &text);
            (path, File { name, code, imports: BTreeMap::new() })
        };
        let mut all = Self(rust_files("src").into_iter().map(file).collect());
        let imports: Vec<_> = all.0.keys().map(|module| all.imports(module)).collect();
        for (file, imports) in all.0.values_mut().zip(imports) {
            file.imports = imports;
        }
        all
    }

    fn imports(&self, module: &[String]) -> BTreeMap<String, Path> {
        let code = &self.0[module].code;
        let uses = code.match_indices("use ").filter(|(at, _)| !is_within(code, *at));
        let trees = uses.flat_map(|(at, start)| tree(&code[at + start.len()..]));
        trees
            .filter_map(|(path, name)| Some((name.to_owned(), self.absolute(module, &path)?)))
            .collect()
    }

    /// A path from the root; none: it leads into another crate.
    fn absolute(&self, module: &[String], path: &[&str]) -> Option<Path> {
        let (first, rest) = path.split_first()?;
        let mut full = match *first {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module[..module.len() - 1].to_vec(),
            child => [module, &[child.to_owned()]].concat(),
        };
        let is_ours = matches!(*first, "crate" | "self" | "super") || self.0.contains_key(&full);
        for part in rest {
            match *part {
                "super" => drop(full.pop()),
                part => full.push(part.to_owned()),
            }
        }
        is_ours.then_some(full)
    }

    /// The file that says what is at a path, whoever passes it on.
    fn place(&self, path: &[String]) -> Option<&str> {
        let known = (1..=path.len()).rev().find(|len| self.0.contains_key(&path[..*len]))?;
        let file = &self.0[&path[..known]];
        match path.get(known).and_then(|item| file.imports.get(item)) {
            Some(from) if !from.starts_with(&path[..=known]) => {
                self.place(&[from.as_slice(), &path[known + 1..]].concat())
            }
            Some(_) | None => Some(&file.name),
        }
    }

    /// The files of its room that a file names.
    fn named(&self, module: &[String]) -> BTreeSet<&str> {
        let File { name, code, imports } = &self.0[module];
        let modules = imports.iter().filter(|(_, path)| self.0.contains_key(*path));
        let starts = modules.map(|(name, _)| name.as_str()).chain(["super", "crate"]);
        let places = starts.flat_map(|start| {
            let start = format!("{start}::");
            let found = code.match_indices(&start).map(|(at, _)| at);
            let found: Vec<usize> = found.filter(|at| !is_within(code, *at)).collect();
            found.into_iter().flat_map(|at| tree(&code[at..]))
        });
        let paths = places.filter(|(path, _)| path.last() != Some(&"super"));
        let full = paths.filter_map(|(path, _)| match imports.get(path[0]) {
            Some(from) => {
                let rest = path[1..].iter().map(|part| (*part).to_owned());
                Some(from.iter().cloned().chain(rest).collect())
            }
            None => self.absolute(module, &path),
        });
        full.filter_map(|path: Path| self.place(&path))
            .filter(|other| other != name && room_of(other) == room_of(name))
            .collect()
    }

    /// Files that reach one another.
    fn circles(&self) -> BTreeSet<Vec<&str>> {
        let all = self.0.iter().map(|(module, file)| (file.name.as_str(), self.named(module)));
        let mut reached: BTreeMap<&str, BTreeSet<&str>> = all.collect();
        for middle in self.0.values().map(|file| file.name.as_str()) {
            let beyond = reached[middle].clone();
            for reached in reached.values_mut().filter(|reached| reached.contains(middle)) {
                reached.extend(&beyond);
            }
        }
        let of = |name: &&str| -> Vec<&str> {
            let back = |other: &&&str| reached[**other].contains(name);
            reached[*name].iter().filter(back).copied().collect()
        };
        reached.keys().map(of).filter(|circle| circle.len() > 1).collect()
    }
}

/// Whether what stands there only ends a longer name or path.
fn is_within(code: &str, at: usize) -> bool {
    code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '"'))
}

/// The paths that stand at the beginning of a text, `a::{b, c as d}` being two, each with the name
/// that it brings in.
fn tree(text: &str) -> Vec<(Vec<&str>, &str)> {
    static TOKEN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\s*(\w+|::|[{},*])").expect("it is right"));
    let (mut found, mut path, mut open) = (Vec::new(), Vec::new(), Vec::new());
    let (mut name, mut last, mut rest) = ("", "::", text);
    while let Some(token) = TOKEN.find(rest) {
        rest = &rest[token.end()..];
        let token = token.as_str().trim_start();
        match (last, token) {
            ("::", "{") => {
                name = "";
                open.push(path.len());
            }
            (_, "::") => {}
            (_, "," | "}") if !open.is_empty() => {
                if !name.is_empty() {
                    found.push((path.clone(), name));
                }
                name = "";
                path.truncate(open[open.len() - 1]);
                if token == "}" {
                    open.pop();
                }
            }
            ("::" | "{" | ",", "self") if !path.is_empty() => name = path[path.len() - 1],
            ("::" | "{" | ",", word) if !matches!(word, "{" | "," | "}") => {
                path.push(word);
                name = word;
            }
            (_, "as") => {}
            ("as", alias) => name = alias,
            _ => break,
        }
        last = token;
    }
    if !name.is_empty() {
        found.push((path, name));
    }
    found
}

#[test]
fn files_do_not_import_one_another_in_a_circle() {
    let modules = Modules::read();
    let circles: Vec<String> =
        modules.circles().iter().map(|circle| circle.join(" ").replace("src/", "")).collect();
    assert!(!circles.is_empty(), "none found: the search is broken");
    let large = circles.iter().filter(|circle| circle.split(' ').count() > FILES_MAX);
    let large = large.map(|circle| format!("more than {FILES_MAX} files: {circle}"));
    let new = circles.iter().filter(|circle| !KNOWN.contains(&circle.as_str()));
    let new = new.map(|circle| format!("is new: {circle}"));
    let gone = KNOWN.iter().filter(|known| !circles.iter().any(|circle| circle == *known));
    let gone = gone.map(|known| format!("is open, so take it off the list: {known}"));
    let problems: Vec<String> = large.chain(new).chain(gone).collect();
    assert_none(&problems, "what two files need of each other belongs into a third");
}

#[test]
fn the_search_for_paths_finds_their_parts() {
    let text = "super::{self, a::{B, c as d}, e::*,}; super::f";
    let found: Vec<String> =
        tree(text).iter().map(|(path, name)| format!("{} {name}", path.join("::"))).collect();
    let expected = ["super super", "super::a::B B", "super::a::c d", "super::e::* *"];
    assert_eq!(found, expected);
    assert_eq!(tree("super::A { b, c }"), [(vec!["super", "A"], "A")]);
}
