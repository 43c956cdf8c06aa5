//! `get ID`, `get --external-id SOURCE:ID`: one contact, from the running instance or from the directory.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::StatusCode;
use serde_json::value::RawValue;

use crate::config::{Config, Mode};
use crate::domain::contact::{Contact, Status};
use crate::domain::texts::percent_encoded;

use super::arguments::GetArgs;
use super::exit::Failure;
use super::instance::{self, Instance};
use super::offline::open_store;
use super::output;
use super::settings::SettingsArgs;

/// How long the instance may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

pub(super) fn run(settings: &SettingsArgs, args: &GetArgs) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    let instance = Instance::new(&config, &args.instance, ANSWER_WAIT)?;
    let json = match ask(&instance, args)? {
        Asked::Answered(json) => json,
        // Where the instance was named, silence is an error.
        Asked::Silent(error) if args.instance.url.is_some() => {
            return Err(error.into());
        }
        Asked::Silent(_) => read(&config, args)?,
    };
    output::write_json(&format!("{}\n", String::from_utf8_lossy(&json)))
}

enum Asked {
    Answered(Vec<u8>),
    /// Nobody listens there.
    Silent(Failure),
}

fn ask(instance: &Instance, args: &GetArgs) -> anyhow::Result<Asked> {
    let Instance { url, key, client, .. } = instance;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let by_source = |(source, id): &(String, String)| {
        format!("externalId={}:{}", percent_encoded(source), percent_encoded(id))
    };
    let deleted = args.include_deleted.then(|| "includeDeleted=true".to_owned());
    let query: Vec<String> = args.external_id.iter().map(by_source).chain(deleted).collect();
    let path = args.id.as_ref().map(|id| format!("/{}", percent_encoded(id))).unwrap_or_default();
    let address = format!("{url}/api/contacts{path}?{}", query.join("&"));
    runtime.block_on(async {
        let request = client.get(&address);
        let request = match key {
            Some(key) => request.header("X-API-Key", key.expose()),
            None => request,
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                return Ok(Asked::Silent(instance::unreachable(url, &error)));
            }
            Err(error) => return Err(instance::unreachable(url, &error).into()),
        };
        let status = response.status();
        let body = response.bytes().await.map_err(|error| instance::unreachable(url, &error))?;
        match status {
            StatusCode::OK if args.external_id.is_some() => {
                let List { data } = serde_json::from_slice(&body).context("reading the answer")?;
                let first = data.first().ok_or_else(|| not_found(args))?;
                Ok(Asked::Answered(first.get().as_bytes().to_vec()))
            }
            StatusCode::OK => Ok(Asked::Answered(body.to_vec())),
            StatusCode::NOT_FOUND => Err(not_found(args)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Failure::Refused(instance::refused(url, key.is_some())).into())
            }
            status => {
                let text = String::from_utf8_lossy(&body).into_owned();
                Err(Failure::Unreachable(format!("{url} answers {status}: {text}")).into())
            }
        }
    })
}

/// A page of contacts, as far as it matters.
#[derive(serde::Deserialize)]
struct List {
    data: Vec<Box<RawValue>>,
}

/// What was asked for, in words.
fn shown(args: &GetArgs) -> String {
    match (&args.id, &args.external_id) {
        (Some(id), _) => id.clone(),
        (None, Some((source, id))) => format!("with the external id {source}:{id}"),
        (None, None) => String::new(),
    }
}

fn not_found(args: &GetArgs) -> anyhow::Error {
    Failure::Data(format!("there is no contact {}", shown(args))).into()
}

fn read(config: &Config, args: &GetArgs) -> anyhow::Result<Vec<u8>> {
    let opened = open_store(config)?;
    let found = match (&args.id, &args.external_id) {
        (Some(id), _) => opened.reader.contact(id.as_bytes())?.map(|value| (id.clone(), value)),
        (None, Some((source, id))) => opened.reader.contacts_of(source, id)?.into_iter().next(),
        (None, None) => None,
    };
    let (id, value) = found.ok_or_else(|| not_found(args))?;
    let contact = Contact::from_view(&id, &value.view()?);
    if contact.status == Status::Deleted && !args.include_deleted {
        let text = format!("contact {id} is deleted; --include-deleted shows it");
        return Err(Failure::Data(text).into());
    }
    serde_json::to_vec(&contact).context("writing the contact as JSON")
}
