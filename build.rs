//! Tells the program which commit and features it was built from. Works without git: the commit is
//! then what CONTACTD_COMMIT says, or "unknown".

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CONTACTD_COMMIT");
    // HEAD names the branch, the branch's file the commit.
    for name in ["HEAD", "packed-refs"] {
        rerun_if_changed(name);
    }
    if let Some(branch) = git(&["symbolic-ref", "-q", "HEAD"]) {
        rerun_if_changed(&branch);
    }
    let commit = env::var("CONTACTD_COMMIT")
        .ok()
        .filter(|commit| !commit.is_empty())
        .or_else(|| git(&["rev-parse", "--short=12", "HEAD"]))
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=CONTACTD_COMMIT={commit}");
    println!("cargo::rustc-env=CONTACTD_FEATURES={}", features());
}

/// Only a file that exists: a missing one would mean a rebuild every time.
fn rerun_if_changed(name: &str) {
    let path = git(&["rev-parse", "--git-path", name]);
    if let Some(path) = path.filter(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

/// The enabled features, but for `default` itself.
fn features() -> String {
    let mut features: Vec<String> = env::vars()
        .filter_map(|(name, _)| name.strip_prefix("CARGO_FEATURE_").map(str::to_lowercase))
        .filter(|name| name != "default")
        .collect();
    features.sort();
    if features.is_empty() { "none".to_owned() } else { features.join(" ") }
}
