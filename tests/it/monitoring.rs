//! Dashboards, alerts and runbooks belong together, and speak of figures that there are. Whether Prometheus
//! finds data for them is seen by `tests/dashboards/run`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;

use crate::cli::{contactd, expect_code, text};

/// What Prometheus and the process collector add to our own figures.
const OTHERS: [&str; 5] = [
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Name and text of every file of a folder.
fn files(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let paths = names.map(|name| format!("{folder}/{name}"));
    paths
        .filter(|path| root().join(path).is_file())
        .map(|path| (path.clone(), read(&path)))
        .collect()
}

fn found(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(text).map(|found| found.extract::<1>().1[0].to_owned()).collect()
}

#[test]
fn every_figure_of_a_dashboard_or_an_alert_exists() {
    let mut known = found(r"(?m)^\| `([a-z0-9_]+)` \|", &read("docs/reference/metrics.md"));
    known.extend(OTHERS.map(str::to_owned));
    let mut pages = files("config/grafana");
    pages.push(("rules.yml".to_owned(), read("config/prometheus/rules.yml")));
    assert!(pages.len() == 6, "a dashboard more or less: the command `dashboards` has to know it");
    let mut problems = Vec::new();
    for (page, text) in pages {
        for name in found(r"\b((?:contactd|http_server|process)_[a-z0-9_]+)", &text) {
            let parts = ["_bucket", "_count", "_sum"];
            let family = parts.iter().find_map(|part| name.strip_suffix(part));
            if !known.contains(&name) && !family.is_some_and(|family| known.contains(family)) {
                problems.push(format!("{page}: {name}"));
            }
        }
    }
    assert!(problems.is_empty(), "there are no such figures: {problems:?}");
}

#[test]
fn every_alert_has_a_runbook_and_tests_for_firing_and_for_staying_quiet() {
    let rules = read("config/prometheus/rules.yml");
    let alerts = found(r"(?m)^ +- alert: (\w+)$", &rules);
    assert!(alerts.len() > 30, "only {} alerts found: the search is broken", alerts.len());
    assert_eq!(alerts, found(r"(?m)^### (Contactd\w+)$", &read("docs/runbooks.md")));
    let tests: String =
        files("config/prometheus/tests").into_iter().map(|(_, text)| text).collect();
    assert_eq!(alerts, found(r"(?m)^ +- name: (\w+) fires$", &tests));
    assert_eq!(alerts, found(r"(?m)^ +- name: (\w+) stays quiet$", &tests));
    let links = found(r"runbook_url: docs/runbooks.md#(\w+)", &rules);
    assert_eq!(links, alerts.iter().map(|name| name.to_lowercase()).collect());
}

#[test]
fn dashboards_writes_what_the_repository_has_with_links_of_ones_own() {
    let directory = tempfile::tempdir().unwrap();
    let write = |arguments: &[&str]| {
        let output = contactd(directory.path()).arg("dashboards").args(arguments).output().unwrap();
        expect_code(&output, 0);
        text(&output.stdout)
    };
    let told = write(&["out"]);
    let out = directory.path().join("out");
    for (path, text) in files("config/grafana") {
        let name = path.replace("config/", "");
        assert!(told.contains(&format!("out/{name}\n")), "{told}");
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), text);
    }
    let rules = || fs::read_to_string(out.join("prometheus/rules.yml")).unwrap();
    assert!(rules().contains("runbook_url: runbooks.md#contactddown\n"));
    assert_eq!(fs::read_to_string(out.join("runbooks.md")).unwrap(), read("docs/runbooks.md"));
    write(&["out", "--runbooks", "https://wiki.example.com/contactd"]);
    assert!(rules().contains("runbook_url: https://wiki.example.com/contactd#contactddown\n"));
    fs::write(directory.path().join("file"), "").unwrap();
    let output = contactd(directory.path()).args(["dashboards", "file"]).output().unwrap();
    expect_code(&output, 1);
    assert!(text(&output.stderr).contains("can't make file/grafana"), "{}", text(&output.stderr));
}

#[test]
fn there_is_a_manual_page_of_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let output = contactd(directory.path()).arg("man").output().unwrap();
    expect_code(&output, 0);
    assert!(text(&output.stdout).contains(".TH contactd 1"), "{}", text(&output.stdout));
    let output = contactd(directory.path()).args(["man", "man1"]).output().unwrap();
    expect_code(&output, 0);
    for name in ["contactd", "contactd-serve", "contactd-store-verify"] {
        let page = fs::read_to_string(directory.path().join(format!("man1/{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")) && page.contains(".SH SYNOPSIS"), "{page}");
    }
}
