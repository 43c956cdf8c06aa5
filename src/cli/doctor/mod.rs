//! `doctor`: what is wrong with a setup, and what to do about it.
//!
//! ```text
//! configuration ─► Setup (brokers, running instance: asked once) ─► CHECKS, a row each ─► Finding ─► lines or JSON
//! ```
//!
//! It looks only: nothing is made, written or changed, and a running instance is not in its way.

mod checks;
mod finding;
mod instance;
mod kafka;
mod machine;
mod services;
mod setup;

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use crate::config::Mode;

use super::exit::Failure;
use super::foreign::line;
use super::instance::InstanceArgs;
use super::output;
use super::settings::SettingsArgs;

use checks::{CHECKS, Check};
use finding::{Finding, Severity};
use setup::Setup;

/// Columns before what was found.
const INDENT: usize = 27;

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Exit code 0: nothing is wrong; 1: there are warnings; 2: there are faults.\n\nBrokers, \
Redis and the schema registry are asked by themselves, so it can be run before the first start. What only a \
running instance knows is left out where none answers.\n\nExamples:\n  contactd doctor --config my.toml\n  \
contactd doctor --json | jq '.checks[] | select(.state == \"fault\")'\n  \
contactd doctor --replica http://10.0.0.2:3000"
)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    instance: InstanceArgs,
    /// Another instance of the same log, to compare with; it is asked with the same key
    #[arg(long, value_name = "URL")]
    replica: Vec<String>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &SettingsArgs, args: &DoctorArgs) -> anyhow::Result<()> {
    let examination = Examination::of(settings, &args.instance, &args.replica)?;
    if args.json {
        output::write_json(&format!("{:#}\n", examination.json()))?;
    } else {
        output::write_all(examination.lines().as_bytes())?;
    }
    let (faults, warnings) =
        (examination.count(Severity::Fault), examination.count(Severity::Warning));
    match (faults, warnings) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::Warnings(format!("warnings: {warnings}")).into()),
        _ => Err(Failure::Faults(format!("faults: {faults}, warnings: {warnings}")).into()),
    }
}

/// What every check found.
pub(super) struct Examination(Vec<(&'static Check, Finding)>);

impl Examination {
    pub(super) fn of(
        settings: &SettingsArgs,
        instance: &InstanceArgs,
        replicas: &[String],
    ) -> anyhow::Result<Self> {
        let (config, wrong) = settings.examine(Mode::Serve)?;
        let mut setup = Setup::new(config, wrong, instance, replicas)?;
        Ok(Self(CHECKS.iter().map(|check| (check, (check.look)(&mut setup))).collect()))
    }

    fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|(_, finding)| finding.severity == severity).count()
    }

    fn worst(&self) -> Severity {
        self.0.iter().map(|(_, finding)| finding.severity).max().unwrap_or(Severity::Right)
    }

    pub(super) fn json(&self) -> Value {
        let checks = self.0.iter().map(|(check, finding)| {
            let is_wrong = finding.severity.is_wrong();
            json!({
                "name": check.name,
                "state": finding.severity.as_str(),
                "found": finding.found,
                "advice": is_wrong.then_some(check.advice),
            })
        });
        json!({
            "severity": self.worst().max(Severity::Right).as_str(),
            "faults": self.count(Severity::Fault),
            "warnings": self.count(Severity::Warning),
            "checks": checks.collect::<Vec<_>>(),
        })
    }

    fn lines(&self) -> String {
        let mut text = String::new();
        for (check, finding) in &self.0 {
            let state = finding.severity.for_people();
            // Writing to a String can't fail.
            let _ = writeln!(text, "{state:<9}{:<18}{}", check.name, line(&finding.found));
            if finding.severity.is_wrong() {
                let _ = writeln!(text, "{:INDENT$}→ {}", "", check.advice);
            }
        }
        text
    }
}
