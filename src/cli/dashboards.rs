//! `dashboards DIR`: Grafana's dashboards, Prometheus's rules and the runbooks that they link to, written out.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::output::show;

/// Where the rules' links lead as they stand in the repository.
const RUNBOOKS: &str = "docs/runbooks.md";

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Writes DIR/grafana/*.json, DIR/prometheus/rules.yml and DIR/runbooks.md. Files that are \
there are replaced. Grafana takes the folder by provisioning, or each file by import.

Examples:
  contactd dashboards /etc/contactd/monitoring
  contactd dashboards monitoring --runbooks https://wiki.example.com/contactd/runbooks"
)]
pub(super) struct DashboardsArgs {
    /// The directory for them
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Address of the runbooks in alerts; each alert's own section is added to it
    #[arg(long, value_name = "URL", default_value = "runbooks.md")]
    runbooks: String,
}

macro_rules! dashboards {
    ($($name:literal),+) => {
        [$((concat!("grafana/", $name), include_str!(concat!("../../config/grafana/", $name)))),+]
    };
}

const DASHBOARDS: [(&str, &str); 5] =
    dashboards!["overview.json", "stream.json", "store.json", "api.json", "followers.json"];
const RULES: &str = include_str!("../../config/prometheus/rules.yml");
const RUNBOOK_PAGE: &str = include_str!("../../docs/runbooks.md");

pub(super) fn run(args: &DashboardsArgs) -> anyhow::Result<()> {
    let rules = RULES.replace(&format!("{RUNBOOKS}#"), &format!("{}#", args.runbooks));
    for (name, text) in DASHBOARDS {
        write(&args.directory, name, text)?;
    }
    write(&args.directory, "prometheus/rules.yml", &rules)?;
    write(&args.directory, "runbooks.md", RUNBOOK_PAGE)
}

fn write(directory: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = directory.join(name);
    let folder = path.parent().unwrap_or(directory);
    std::fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
    show(path.display());
    Ok(())
}
