//! `man`: manual pages, one a command, from the help that the commands have.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::output;

#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  contactd man | man -l -
  contactd man /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// Write the page of every command into this directory
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// The page of the program itself is printed where no directory is named.
pub(super) fn run(args: &ManArgs, program: clap::Command) -> anyhow::Result<()> {
    let Some(directory) = &args.directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(program).render(&mut page).context("writing the page")?;
        return output::write_all(&page);
    };
    std::fs::create_dir_all(directory)
        .with_context(|| format!("can't make {}", directory.display()))?;
    clap_mangen::generate_to(program, directory)
        .with_context(|| format!("can't write into {}", directory.display()))
}
