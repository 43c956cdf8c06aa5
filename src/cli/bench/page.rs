//! `bench page`: pages of 50 contacts by each filter and each order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;

use super::super::output::show;
use super::super::settings::SettingsArgs;
use super::history;
use super::http_load::Load;
use super::start::Instance;
use super::table::{print, thousands};
use super::usage::wait_until_idle;
use super::world::{World, runtime, seconds};

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct PageArgs {
    /// Contacts in the store; with --history updates of a tenth as many
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) contacts: u32,
    /// Connections at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) connections: u64,
    /// Seconds of each question
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) seconds: u64,
    /// Ask for what happened to contacts instead, and for contacts beside that
    #[arg(long, conflicts_with = "questions")]
    history: bool,
    /// Ask this alone, written as in a URL's query: {n} is a random number, {t} a time, {l} a letter;
    /// may be given several times
    #[arg(long = "question", value_name = "QUERY")]
    questions: Vec<String>,
}

/// What is asked unless told otherwise.
const QUESTIONS: [&str; 20] = [
    "",
    "sort=-updatedAt&offset={n}",
    "sort=createdAt",
    "sort=name",
    "sort=-name",
    "sort=company",
    "sort=id",
    "status=DELETED",
    "includeDeleted=true",
    "email=ada.{l}{l}{l}{l}@example.com",
    "company=company%20{n}",
    "source=crm",
    "updatedSince={t}",
    "q={l}{l}",
    "q=ada%20{l}",
    "q=company%20{n}",
    "duplicates=true",
    "company=company%20{n}&sort=name",
    "source=crm&sort=name",
    "q={l}{l}&source=crm&sort=-updatedAt",
];

pub(super) fn run(settings: &SettingsArgs, args: &PageArgs) -> anyhow::Result<()> {
    if args.history {
        return history::run(settings, args);
    }
    let world = World::new(settings, args.contacts)?;
    let started = Instant::now();
    let instance = world.start(None)?;
    let loaded = started.elapsed().as_secs_f64();
    let token = world.tokens(&instance, 1)?.pop().unwrap_or_default();
    let first = first_page(&instance, &token)?;
    let asked: Vec<&str> = match args.questions.as_slice() {
        [] => QUESTIONS.to_vec(),
        own => own.iter().map(String::as_str).collect(),
    };
    let ask = |question: &str, name: &str| {
        let answered = load(args, instance.address(), &token, question).run(|| false)?;
        anyhow::Ok(vec![
            name.to_owned(),
            thousands(answered.a_second()),
            format!("{:.2} ms", answered.quantile(0.5)),
            format!("{:.2} ms", answered.quantile(0.99)),
        ])
    };
    // Much of what was loaded is still on its way to the disk.
    let mut rows = vec![ask("", "(newest first), right after the load")?];
    wait_until_idle(instance.id());
    for question in asked {
        rows.push(ask(question, if question.is_empty() { "(newest first)" } else { question })?);
    }
    show(format_args!(
        "pages of 50 of {} contacts, {} connections\n",
        thousands(f64::from(args.contacts)),
        args.connections
    ));
    print(&["", "pages/s", "p50", "p99"], &rows);
    show(format_args!(
        "\nfrom the start until all of these new contacts were applied: {loaded:.1} s, and until the \
         first page after that was there: {first:.1} s"
    ));
    Ok(())
}

fn load(args: &PageArgs, address: SocketAddr, token: &str, question: &str) -> Load {
    let contacts = u64::from(args.contacts);
    let (token, template) = (token.to_owned(), question.to_owned());
    Load {
        address,
        connections: args.connections,
        time: seconds(args.seconds),
        render: Arc::new(move |number, out| {
            let question = filled(&template, number, contacts);
            let head = format!(
                "GET /api/contacts?limit=50&{question} HTTP/1.1\r\nhost: x\r\n\
                 authorization: Bearer {token}\r\n\r\n"
            );
            out.extend_from_slice(head.as_bytes());
        }),
        also_good: 200,
    }
}

/// Seconds until it was answered.
fn first_page(instance: &Instance, token: &str) -> anyhow::Result<f64> {
    let url = format!("http://{}/api/contacts?limit=50", instance.address());
    let started = Instant::now();
    let asked = reqwest::Client::new().get(url).bearer_auth(token).send();
    runtime()?.block_on(asked)?.error_for_status()?;
    Ok(started.elapsed().as_secs_f64())
}

fn filled(question: &str, number: u64, contacts: u64) -> String {
    let mut random = fastrand::Rng::with_seed(number);
    let time = crate::simulate::START_MS + random.u64(0..contacts);
    let mut text = question
        .replace("{n}", &random.u32(0..9_950).to_string())
        .replace("{t}", &crate::domain::timestamp::format_rfc3339(time));
    while text.contains("{l}") {
        text = text.replacen("{l}", &random.lowercase().to_string(), 1);
    }
    text
}
