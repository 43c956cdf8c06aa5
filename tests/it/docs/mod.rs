//! What the documents say is so: every block of commands runs as printed, every link leads somewhere, and
//! the reference pages are what the program prints.

mod blocks;
mod session;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

use crate::tidy::rust_files;

use blocks::{Block, blocks, toml_blocks};
use session::Session;

/// Bytes of the README; more is for docs/.
const README_BYTES_MAX: usize = 10 * 1024;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All documents, by their paths from the root.
fn documents() -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for folder in [".", "docs", "docs/reference"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                found.push(format!("{folder}/{name}").trim_start_matches("./").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Runs the page's blocks, in order, in one shell and an empty directory.
#[track_caller]
fn run(page: &str) {
    let mut session = Session::new(page);
    for block in blocks(&read(page)) {
        match block {
            Block::NotRun => {}
            Block::Run { needs, commands } => {
                if session.has(needs.as_deref()) {
                    commands.iter().for_each(|command| session.run(command));
                }
            }
        }
    }
    session.end();
}

macro_rules! pages {
    ($($name:ident = $page:literal;)+) => {
        const PAGES: &[&str] = &[$($page),+];
        $(#[test]
        fn $name() {
            run($page);
        })+
    };
}

pages! {
    readme_runs_as_printed = "README.md";
    acme_runs_as_printed = "docs/acme.md";
    api_runs_as_printed = "docs/api.md";
    authentication_runs_as_printed = "docs/authentication.md";
    backups_run_as_printed = "docs/backups.md";
    coming_from_runs_as_printed = "docs/coming-from.md";
    dead_letters_run_as_printed = "docs/dead-letters.md";
    events_run_as_printed = "docs/events.md";
    deploying_runs_as_printed = "docs/deploying.md";
    exports_run_as_printed = "docs/exports.md";
    feed_runs_as_printed = "docs/feed.md";
    followers_run_as_printed = "docs/followers.md";
    imports_run_as_printed = "docs/imports.md";
    installing_runs_as_printed = "docs/installing.md";
    kafka_runs_as_printed = "docs/kafka.md";
    monitoring_runs_as_printed = "docs/monitoring.md";
    operating_runs_as_printed = "docs/operating.md";
    payments_run_as_printed = "docs/payments.md";
    publishing_runs_as_printed = "docs/publishing.md";
    simulator_runs_as_printed = "docs/simulator.md";
    sources_run_as_printed = "docs/sources.md";
    subscriptions_run_as_printed = "docs/subscriptions.md";
    tour_runs_as_printed = "docs/tour.md";
    webhooks_run_as_printed = "docs/webhooks.md";
}

#[test]
fn every_page_with_commands_is_run() {
    let with_commands = documents().into_iter().filter(|page| !blocks(&read(page)).is_empty());
    let with_commands: BTreeSet<String> = with_commands.collect();
    assert_eq!(with_commands, PAGES.iter().map(|page| (*page).to_owned()).collect());
}

#[test]
fn the_configuration_in_the_pages_is_right() {
    for page in documents().iter().filter(|page| !page.starts_with("docs/reference/")) {
        for block in toml_blocks(&read(page)) {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join("page.toml"), &block).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_contactd"));
            command.args(["config", "check", "page.toml"]).current_dir(directory.path());
            command.env("JWT_SECRET", "q3Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s");
            let output = command.env("KAFKA_BROKERS", "localhost:9092").output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{page}:\n{block}\n{told}");
        }
    }
}

#[test]
fn the_reference_pages_are_what_the_program_prints() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_contactd"));
    let status = command.arg("docs").arg(directory.path()).status().unwrap();
    assert!(status.success());
    for name in ["configuration.md", "metrics.md", "errors.md", "cli.md"] {
        let printed = fs::read_to_string(directory.path().join(name)).unwrap();
        let told = format!("docs/reference/{name} is old: cargo run -- docs docs/reference");
        assert!(printed == read(&format!("docs/reference/{name}")), "{told}");
    }
}

#[test]
fn every_log_line_that_is_worth_an_alert_is_written_somewhere() {
    let row = Regex::new(r"(?m)^\| (?:error|warn) \| `([^`…]+)…?` \|").unwrap();
    let page = read("docs/operating.md");
    let lines: Vec<&str> =
        row.captures_iter(&page).map(|found| found.extract::<1>().1[0]).collect();
    assert!(lines.len() > 10, "only {} lines found: the search is broken", lines.len());
    let code: String = rust_files("src").into_iter().map(|(_, text)| text).collect();
    let gone: Vec<&str> = lines.into_iter().filter(|line| !code.contains(line)).collect();
    assert!(gone.is_empty(), "no log line says so any more: {gone:?}");
}

#[test]
fn the_readme_is_short() {
    let bytes = read("README.md").len();
    assert!(bytes <= README_BYTES_MAX, "README.md has {bytes} bytes");
}

/// As Markdown's readers make it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// Lines of a page that needs no list of contents at its head.
const SHORT_PAGE_LINES: usize = 120;

#[test]
fn a_long_page_begins_with_its_contents() {
    let pages = documents()
        .into_iter()
        .filter(|page| page.starts_with("docs/") && !page.starts_with("docs/reference/"));
    for page in pages {
        let text = read(&page);
        if text.lines().count() <= SHORT_PAGE_LINES {
            continue;
        }
        let head: String = text.split("\n## ").take(1).collect();
        let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
        let missing: Vec<&str> =
            headings.filter(|title| !head.contains(&format!("](#{})", anchor(title)))).collect();
        assert!(missing.is_empty(), "{page}: its contents lack {missing:?}");
    }
}

#[test]
fn every_link_and_every_path_leads_somewhere() {
    let links = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let paths = Regex::new(r"`((?:tests|config|docs|src)/[\w./-]+)`").unwrap();
    let mut problems = Vec::new();
    for page in documents() {
        let text = read(&page);
        let folder = root().join(&page).parent().unwrap().to_owned();
        let mut look = |target: PathBuf, anchor: Option<&str>, said: &str| {
            let there = target.exists();
            let is_named = |name| anchors(&fs::read_to_string(&target).unwrap()).contains(name);
            if !there || !anchor.is_none_or(is_named) {
                problems.push(format!("{page}: {said}"));
            }
        };
        for link in links.captures_iter(&text).map(|found| found.extract::<1>().1[0]) {
            if link.starts_with("http") {
                continue;
            }
            let (path, anchor) = link.split_once('#').map_or((link, None), |(a, b)| (a, Some(b)));
            let target = if path.is_empty() { root().join(&page) } else { folder.join(path) };
            look(target, anchor, link);
        }
        if page != "ARCHITECTURE.md" {
            for path in paths.captures_iter(&text).map(|found| found.extract::<1>().1[0]) {
                look(root().join(path), None, path);
            }
        }
    }
    assert!(problems.is_empty(), "nothing is there:\n  {}", problems.join("\n  "));
}
