//! The house rules that no compiler holds: who may import whom, how long things are, and that what
//! a user sees is written down.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Lines of a file, and of a function.
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Every room with the rooms it may import.
const ROOMS: [(&str, &[&str]); 24] = [
    ("domain", &[]),
    ("segments", &["domain", "telemetry"]),
    ("event_log", &["segments", "domain", "config", "telemetry"]),
    (
        "ingest",
        &["event_log", "schema_registry", "shares", "store", "domain", "config", "telemetry"],
    ),
    ("apply", &["event_log", "store", "domain", "config", "telemetry"]),
    ("store", &["segments", "domain", "config", "telemetry"]),
    ("query", &["store", "domain", "config", "telemetry"]),
    (
        "effects",
        &[
            "event_log",
            "ingest",
            "outbound",
            "shares",
            "simulate",
            "store",
            "domain",
            "config",
            "telemetry",
        ],
    ),
    ("files", &["event_log", "ingest", "shares", "store", "domain", "config", "telemetry"]),
    ("outbound", &["domain"]),
    (
        "acme",
        &["effects", "event_log", "ingest", "outbound", "store", "domain", "config", "telemetry"],
    ),
    ("payments", &["ingest", "store", "domain", "telemetry"]),
    ("auth", &["ingest", "shared_state", "store", "domain", "config", "telemetry"]),
    ("backup", &["event_log", "ingest", "segments", "store", "domain", "config", "telemetry"]),
    ("schema_registry", &["domain", "config", "telemetry"]),
    ("shared_state", &["domain", "config", "telemetry"]),
    ("shares", &["telemetry"]),
    ("simulate", &["domain"]),
    (
        "http",
        &[
            "query",
            "ingest",
            "effects",
            "files",
            "acme",
            "payments",
            "auth",
            "backup",
            "shared_state",
            "shares",
            "simulate",
            "domain",
            "config",
            "telemetry",
        ],
    ),
    ("telemetry", &["domain", "config"]),
    ("config", &["domain"]),
    ("app", &["*"]),
    ("cli", &["*"]),
    ("main.rs", &["cli"]),
];

/// Crates that one room (and those that wire it) may name.
const VENDORS: [(&str, &[&str]); 16] = [
    ("rdkafka", &["event_log"]),
    ("sled", &["store"]),
    ("moka", &["store"]),
    ("axum", &["http", "acme", "cli"]),
    ("h2", &["http"]),
    ("utoipa", &["http"]),
    ("redis", &["shared_state"]),
    ("lapin", &["effects"]),
    ("async_rs", &["effects"]),
    ("governor", &["effects", "shared_state", "telemetry"]),
    ("jsonwebtoken", &["auth"]),
    ("prometheus", &["telemetry", "http"]),
    ("clap", &["cli"]),
    ("tar", &["backup"]),
    ("zstd", &["backup"]),
    ("indicatif", &["cli"]),
];

/// Only who applies, and who wires it, may hold the store's one writer.
const WRITER_HOLDERS: [&str; 4] = ["store", "apply", "app", "cli"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file below `folder`, with its path from the root.
pub(crate) fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            // What is built there is not ours.
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn all_rust_files() -> Vec<(String, String)> {
    let mut files = rust_files("src");
    files.extend(rust_files("tests"));
    files.extend(rust_files("benches"));
    files.push(("build.rs".to_owned(), read("build.rs")));
    files
}

/// What users run: no tests, and no comments.
pub(crate) fn shipped_code(name: &str, text: &str) -> String {
    if name.ends_with("/tests.rs") || name.contains("/tests/") || name.ends_with("/contract.rs") {
        return String::new();
    }
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| is_code(line)).collect::<Vec<_>>().join("\n")
}

pub(crate) fn room_of(name: &str) -> &str {
    name.strip_prefix("src/").and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

/// The rooms of ours that the code names, as `crate::room` or `contactd::room`.
fn named_rooms(code: &str) -> BTreeSet<&str> {
    let mut rooms = BTreeSet::new();
    for start in ["crate::", "contactd::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"') {
                continue;
            }
            let rest = &code[at + start.len()..];
            let names = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default(),
                None => rest
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap_or_default(),
            };
            for name in names.split(',') {
                let name = name.trim().split("::").next().unwrap_or_default();
                if let Some((room, _)) = ROOMS.iter().find(|(room, _)| *room == name) {
                    rooms.insert(*room);
                }
            }
        }
    }
    rooms
}

#[track_caller]
pub(crate) fn assert_none(problems: &[String], rule: &str) {
    assert!(problems.is_empty(), "{rule}:\n  {}", problems.join("\n  "));
}

#[test]
fn rooms_import_only_what_the_table_grants() {
    let mut problems = Vec::new();
    for (name, text) in rust_files("src") {
        let room = room_of(&name);
        if room == "lib.rs" {
            continue;
        }
        let Some((_, granted)) = ROOMS.iter().find(|(known, _)| *known == room) else {
            problems.push(format!("{name}: {room} is no room of the table"));
            continue;
        };
        for named in named_rooms(&shipped_code(&name, &text)) {
            if named != room && !granted.contains(&named) && !granted.contains(&"*") {
                problems.push(format!("{name}: {room} may not import {named}"));
            }
        }
    }
    assert_none(&problems, "ARCHITECTURE.md says who may import whom");
}

#[test]
fn vendors_stay_in_their_room() {
    let mut problems = Vec::new();
    for (name, text) in rust_files("src") {
        let code = shipped_code(&name, &text);
        let room = room_of(&name);
        for (vendor, rooms) in VENDORS {
            let path = format!("{vendor}::");
            let named = code.match_indices(&path).any(|(at, _)| {
                !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if named && !rooms.contains(&room) {
                problems.push(format!("{name}: {vendor} belongs into {}", rooms.join(", ")));
            }
        }
        if code.contains("store::Writer") && !WRITER_HOLDERS.contains(&room) {
            problems.push(format!("{name}: the store's writer is not for {room}"));
        }
    }
    assert_none(&problems, "a vendor's types stay in one room");
}

#[test]
fn every_file_says_its_place_first_and_is_not_long() {
    let mut problems = Vec::new();
    for (name, text) in all_rust_files() {
        if !text.starts_with("//! ") {
            problems.push(format!("{name}: does not begin with //!"));
        }
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            problems.push(format!("{name}: {lines} lines, more than {FILE_LINES_MAX}"));
        }
    }
    assert_none(&problems, "a file begins with its place and fits into a head");
}

fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}

/// Name and lines of code of every function with a body, in formatted code. One that waives the
/// lint of the same purpose, with its reason, is left out.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let before_fn = code.split("fn ").next().unwrap_or_default();
        let is_head = code.contains("fn ")
            && before_fn.split_whitespace().all(|word| {
                matches!(word, "async" | "const" | "unsafe" | "extern") || word.starts_with("pub")
            });
        if !is_head || code.ends_with(';') || code.ends_with('}') {
            continue;
        }
        let closing = format!("{}}}", &line[..line.len() - code.len()]);
        let name = code.split("fn ").nth(1).unwrap_or_default();
        let name =
            name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let attributes = lines[..start].iter().rev().take_while(|line| !line.is_empty());
        if attributes.take(6).any(|line| line.contains("clippy::too_many_lines")) {
            continue;
        }
        if let Some(length) = lines[start..].iter().position(|line| *line == closing) {
            let code = lines[start..=start + length].iter().filter(|line| is_code(line));
            found.push((name.to_owned(), code.count()));
        }
    }
    found
}

#[test]
fn no_function_is_long() {
    let mut problems = Vec::new();
    let mut seen = 0;
    for (name, text) in all_rust_files() {
        for (function, lines) in functions(&text) {
            seen += 1;
            if lines > FUNCTION_LINES_MAX {
                problems.push(format!("{name}: {function} has {lines} lines"));
            }
        }
    }
    assert!(seen > 100, "only {seen} functions found: the search is broken");
    assert_none(&problems, "a function is read at one look");
}

#[test]
fn a_waived_lint_says_why() {
    let mut problems = Vec::new();
    for (name, text) in all_rust_files() {
        if name == "tests/it/tidy.rs" {
            continue;
        }
        for start in ["[expect(", "[allow("] {
            for (at, _) in text.match_indices(start) {
                let line = text[..at].lines().count().max(1);
                let attribute = text[at..].split(")]").next().unwrap_or_default();
                if !attribute.contains("reason") {
                    problems.push(format!("{name}:{line}: no reason"));
                }
                // A file of several test binaries may need a waiver in only some of them.
                if start == "[allow(" && !name.starts_with("tests/") {
                    problems.push(format!("{name}:{line}: #[expect(…)], not #[allow]"));
                }
            }
        }
    }
    assert_none(&problems, "a waived lint says why");
}

/// Text literals of the code that look like names of metrics.
fn metric_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, text) in rust_files("src/telemetry") {
        for literal in shipped_code(&name, &text).split('"').skip(1).step_by(2) {
            let metric =
                ["contactd_", "http_server_"].iter().any(|start| literal.starts_with(start));
            if metric && literal.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                names.insert(literal.to_owned());
            }
        }
    }
    names
}

#[test]
fn every_metric_is_documented() {
    let documents = read("docs/reference/metrics.md");
    let names = metric_names();
    assert!(names.len() > 10, "only {} metrics found: the search is broken", names.len());
    let undocumented: Vec<String> =
        names.into_iter().filter(|name| !documents.contains(&format!("`{name}`"))).collect();
    assert_none(&undocumented, "docs/reference/metrics.md lists every metric as `name`");
}

/// Key, with its section, of every line of the built-in configuration that sets one.
fn config_keys(text: &str) -> Vec<(String, String, Option<&str>)> {
    let mut section = String::new();
    let mut before = None;
    let mut keys = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.push((section.clone(), key.to_owned(), before));
        }
        before = Some(line);
    }
    keys
}

#[test]
fn every_configuration_key_is_explained_read_and_used() {
    let text = read("config/contactd.toml");
    let code: String = rust_files("src/config").into_iter().map(|(_, text)| text).collect();
    let users = rust_files("src").into_iter().filter(|(name, _)| !name.starts_with("src/config/"));
    let users: String = users.map(|(name, text)| shipped_code(&name, &text)).collect();
    let mut problems = Vec::new();
    let keys = config_keys(&text);
    assert!(keys.len() > 50, "only {} keys found: the search is broken", keys.len());
    let names: BTreeSet<String> =
        keys.iter().map(|(section, key, _)| format!("{section}.{key}")).collect();
    for (section, key, before) in keys {
        // A secret stands there twice: itself, or the file that it is in.
        let secret = key.strip_suffix("_file");
        let secret = secret.filter(|secret| names.contains(&format!("{section}.{secret}")));
        // Tables of any name: the code knows only what stands in them.
        let section = if section.starts_with("source.") { "source" } else { section.as_str() };
        if secret.is_none() && !before.is_some_and(|line| line.starts_with('#')) {
            problems.push(format!("[{section}] {key} has no explanation above it"));
        }
        let name = secret.unwrap_or(&key);
        let is_read = match section {
            "source" => code.contains(&format!("\"{name}\"")),
            section => code.contains(&format!("\"{section}.{name}\"")),
        };
        if !is_read {
            problems.push(format!("[{section}] {key} is read by nothing"));
        }
        // These have other names where they are kept.
        let field = match name {
            "tls_key" => "key",
            "forwarded_header" => "header",
            "match" => "matches_email",
            "access_log_bytes" => "bytes_max",
            name => name,
        };
        if !Regex::new(&format!(r"\.{field}\b")).unwrap().is_match(&users) {
            problems.push(format!("[{section}] {key} is read, and used by nothing"));
        }
    }
    assert_none(&problems, "config/contactd.toml explains every key");
}

#[test]
fn every_usual_variable_is_documented() {
    let code = read("src/config/environment.rs");
    let documents = read("config/contactd.toml") + &read(".env.example");
    let table =
        code.split("const USUAL").nth(1).and_then(|rest| rest.split("];\n").next()).unwrap();
    let names: Vec<&str> = table
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next())
        .collect();
    assert!(names.len() >= 10, "only {} variables found: the search is broken", names.len());
    let missing: Vec<String> = names
        .into_iter()
        .filter(|name| !documents.contains(name.trim_end_matches("_FILE")))
        .map(str::to_owned)
        .collect();
    assert_none(&missing, "config/contactd.toml or .env.example names every variable");
}

#[test]
fn every_promise_of_the_log_is_held_by_tests_that_are_there() {
    let table = read("tests/rules.md");
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.ends_with("held by |"));
    let named = Regex::new(r"`([\w/.]+)::(\w+)`").unwrap();
    let (mut problems, mut count) = (Vec::new(), 0);
    for row in rows {
        count += 1;
        let names: Vec<[&str; 2]> =
            named.captures_iter(row).map(|found| found.extract().1).collect();
        if names.is_empty() {
            problems.push(format!("held by nothing: {row}"));
        }
        for [path, name] in names {
            let text = fs::read_to_string(root().join(path)).unwrap_or_default();
            let word = if path.ends_with(".py") { "def" } else { "fn" };
            if !Regex::new(&format!(r"\b{word} {name}[(<]")).unwrap().is_match(&text) {
                problems.push(format!("{path} has no {name}"));
            }
        }
    }
    assert!(count > 20, "only {count} promises found: the search is broken");
    assert_none(&problems, "tests/rules.md names what fails without each promise");
}

#[test]
fn the_search_for_functions_finds_their_length() {
    let text = "impl A {\n    pub(crate) async fn long(\n        self,\n    ) {\n        x();\n    }\n}\n\nfn one() {}\nfn two() {\n}\n";
    let found = functions(text);
    assert_eq!(found, [("long".to_owned(), 5), ("two".to_owned(), 2)]);
    assert_eq!(
        named_rooms(
            "use crate::{domain::X, store};\nuse crate::http::Y; mycrate::apply; contactd::cli"
        ),
        BTreeSet::from(["cli", "domain", "http", "store"])
    );
}
