//! `bench read`: one contact by its id, beside a bare handler of the same HTTP library.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;

use super::super::output::show;
use super::super::settings::SettingsArgs;
use super::bare::{Bare, Measured, print_beside_limit, rate};
use super::bare_http::serve_bare;
use super::http_load::Load;
use super::table::thousands;
use super::world::{World, seconds};

/// A limit below this many requests a second says that the machine was busy with something else.
const QUIET_LIMIT: f64 = 60_000.0;

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ReadArgs {
    /// Contacts in the store
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..))]
    contacts: u32,
    /// Connections at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..))]
    connections: u64,
    /// Access tokens that the requests carry, in turn at random
    #[arg(long, default_value_t = 1000)]
    tokens: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How often; the medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Then read while so many updates are applied at full speed
    #[arg(long, default_value_t = 0)]
    while_draining: u64,
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct BareArgs {
    address: SocketAddr,
}

/// The process that the limit is measured with.
pub(super) fn bare(args: &BareArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.address).await?;
        Ok(serve_bare(listener).await?)
    })
}

pub(super) fn run(settings: &SettingsArgs, args: &ReadArgs) -> anyhow::Result<()> {
    let world = World::new(settings, args.contacts)?;
    let mut instance = world.start(None)?;
    let tokens: Arc<[String]> = world.tokens(&instance, args.tokens)?.into();
    let ids: Arc<[String]> = world.ids().into();
    let load = |address, also_good| {
        let (ids, tokens) = (Arc::clone(&ids), Arc::clone(&tokens));
        Load {
            address,
            connections: args.connections,
            time: seconds(args.seconds),
            render: Arc::new(move |number, out| render(&ids, &tokens, number, out)),
            also_good,
        }
    };
    let bare = Bare::start(settings, "bare", &[])?;
    let (mut limits, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        limits.push(load(bare.address, 200).run(|| false)?);
        ours.push(load(instance.address(), 200).run(|| false)?);
    }
    drop(bare);
    let mut draining = Vec::new();
    if args.while_draining > 0 {
        drop(instance);
        world.append_updates(args.while_draining)?;
        instance = world.start(Some("log"))?;
        draining.push(load(instance.address(), 404).run(|| instance.is_ready())?);
    }
    show(format_args!(
        "one contact of {}, keys uniform, {} connections, {} tokens, median of {} rounds\n",
        thousands(f64::from(args.contacts)),
        args.connections,
        args.tokens,
        args.rounds
    ));
    let mut all = vec![Measured("bare handler", &limits), Measured("contactd", &ours)];
    if !draining.is_empty() {
        all.push(Measured("contactd, draining", &draining));
    }
    print_beside_limit(&all);
    if rate(&limits) < QUIET_LIMIT {
        show(format_args!(
            "\nnoisy: the bare handler should reach {}/s here",
            thousands(QUIET_LIMIT)
        ));
    }
    drop(instance);
    Ok(())
}

fn render(ids: &[String], tokens: &[String], number: u64, out: &mut Vec<u8>) {
    let at = |list: &[String], number: u64| {
        let place = usize::try_from(number).unwrap_or(0) % list.len().max(1);
        list.get(place).cloned().unwrap_or_default()
    };
    for piece in [
        "GET /api/contacts/",
        &at(ids, number >> 20),
        "?includeDeleted=true HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\
         authorization: Bearer ",
        &at(tokens, number & 0xf_ffff),
        "\r\n\r\n",
    ] {
        out.extend_from_slice(piece.as_bytes());
    }
}
