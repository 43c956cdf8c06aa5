//! `bench export`: all contacts over HTTP, in each format.

use std::time::Instant;

use clap::Args;

use super::super::output::show;
use super::super::settings::SettingsArgs;
use super::table::{megabytes, print, thousands};
use super::usage::wait_until_idle;
use super::world::{World, runtime};

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// Contacts in the store
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    contacts: u32,
}

/// What is asked for, and whether as gzip.
const EXPORTS: [(&str, bool); 5] = [
    ("format=ndjson", false),
    ("format=ndjson", true),
    ("format=csv", false),
    ("format=csv&columns=id,firstName,lastName,email,phone,company", false),
    ("format=vcard", false),
];

pub(super) fn run(settings: &SettingsArgs, args: &ExportArgs) -> anyhow::Result<()> {
    let world = World::new(settings, args.contacts)?;
    let instance = world.start(None)?;
    let token = world.tokens(&instance, 1)?.pop().unwrap_or_default();
    wait_until_idle(instance.id());
    let client = reqwest::Client::new();
    let mut rows = Vec::new();
    for (query, as_gzip) in EXPORTS {
        let url = format!("http://{}/api/export?{query}", instance.address());
        let encoding = if as_gzip { "gzip" } else { "identity" };
        let asked = client.get(url).bearer_auth(&token).header("accept-encoding", encoding);
        let started = Instant::now();
        let bytes = runtime()?.block_on(async {
            let mut answer = asked.send().await?.error_for_status()?;
            let mut bytes = 0;
            while let Some(piece) = answer.chunk().await? {
                bytes += piece.len();
            }
            anyhow::Ok(bytes)
        })?;
        let seconds = started.elapsed().as_secs_f64();
        rows.push(vec![
            format!("{query}{}", if as_gzip { ", gzip" } else { "" }),
            thousands(f64::from(args.contacts) / seconds),
            megabytes(bytes as f64),
            format!("{seconds:.2} s"),
        ]);
    }
    show(format_args!("exports of {} contacts\n", thousands(f64::from(args.contacts))));
    print(&["", "contacts/s", "size", "time"], &rows);
    Ok(())
}
