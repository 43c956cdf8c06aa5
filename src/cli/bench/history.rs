//! `bench page --history`: what happened to a contact, page by page, and what that costs other reads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use anyhow::anyhow;

use super::super::output::show;
use super::super::settings::SettingsArgs;
use super::http_load::{Answered, Load};
use super::page::PageArgs;
use super::table::{print, thousands};
use super::usage::wait_until_idle;
use super::world::{World, seconds};

/// Clients of a hot contact's history while others read.
const BESIDE: u64 = 8;
/// Updates a contact, on average: some have many.
const UPDATES_OF_ONE: u32 = 10;

/// Paths to ask: what follows `/api/contacts/` and a contact's id.
struct Asked<'a> {
    name: &'static str,
    ids: &'a Arc<[String]>,
    rest: &'static str,
    connections: u64,
}

pub(super) fn run(settings: &SettingsArgs, args: &PageArgs) -> anyhow::Result<()> {
    let contacts = args.contacts.div_ceil(UPDATES_OF_ONE);
    let world = World::new(settings, contacts)?;
    world.append_updates(u64::from(args.contacts))?;
    let instance = world.start(None)?;
    let token: Arc<str> = world.tokens(&instance, 1)?.pop().unwrap_or_default().into();
    let all: Arc<[String]> = world.ids().into();
    let hot: Arc<[String]> = all.iter().take(1).cloned().collect();
    wait_until_idle(instance.id());
    let load = |asked: &Asked<'_>| load(args, instance.address(), &token, asked);
    let (history, page) = ("/history?limit=200", "/history?limit=50");
    let (connections, nothing) = (args.connections, "?includeDeleted=true");
    let single = [
        Asked { name: "history of the busiest, limit=200", ids: &hot, rest: history, connections },
        Asked { name: "history of any contact, limit=50", ids: &all, rest: page, connections },
        Asked { name: "one contact", ids: &all, rest: nothing, connections },
    ];
    let mut rows = Vec::new();
    for asked in &single {
        rows.push(row(asked.name, &load(asked).run(|| false)?));
    }
    let beside = load(&Asked { name: "", ids: &hot, rest: history, connections: BESIDE });
    let [.., one] = &single;
    let reads = load(one);
    let (beside, reads) = thread::scope(|scope| {
        let beside = scope.spawn(|| beside.run(|| false));
        let reads = reads.run(|| false)?;
        let beside = beside.join().map_err(|_| anyhow!("the clients of the history ended"))??;
        anyhow::Ok((beside, reads))
    })?;
    rows.push(row("history of the busiest, 8 clients", &beside));
    rows.push(row("one contact, beside those", &reads));
    show(format_args!(
        "{} updates of {} contacts, {} connections\n",
        thousands(f64::from(args.contacts)),
        thousands(f64::from(contacts)),
        args.connections
    ));
    print(&["", "requests/s", "p50", "p99"], &rows);
    Ok(())
}

fn row(name: &str, answered: &Answered) -> Vec<String> {
    vec![
        name.to_owned(),
        thousands(answered.a_second()),
        format!("{:.2} ms", answered.quantile(0.5)),
        format!("{:.2} ms", answered.quantile(0.99)),
    ]
}

fn load(args: &PageArgs, address: SocketAddr, token: &Arc<str>, asked: &Asked<'_>) -> Load {
    let (ids, token, rest) = (Arc::clone(asked.ids), Arc::clone(token), asked.rest);
    Load {
        address,
        connections: asked.connections,
        time: seconds(args.seconds),
        render: Arc::new(move |number, out| {
            let place = usize::try_from(number).unwrap_or(0) % ids.len().max(1);
            let id = ids.get(place).map_or("", String::as_str);
            let head = format!(
                "GET /api/contacts/{id}{rest} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
            );
            out.extend_from_slice(head.as_bytes());
        }),
        also_good: 200,
    }
}
