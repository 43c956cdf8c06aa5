//! `get ID`, `get --external-id SOURCE:ID`: one contact, from the running instance or from the directory.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::StatusCode;
use serde_json::value::RawValue;

use crate::config::{Config, Mode};
use crate::domain::contact::{Contact, Status};
use crate::domain::texts::percent_encoded;
use crate::domain::timestamp::format_rfc3339;
use crate::store::{Past, Reader, Value};

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
    let as_of = args.as_of.map(|moment| format!("asOf={}", percent_encoded(&moment.to_string())));
    let query = args.external_id.iter().map(by_source).chain(deleted).chain(as_of);
    let query: Vec<String> = query.collect();
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
            StatusCode::NOT_FOUND if args.as_of.is_none() => Err(not_found(args)),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(Failure::Data(told(&body)).into()),
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

/// What the instance says of what it can't show.
fn told(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = json.pointer("/error/message").and_then(serde_json::Value::as_str);
    text.unwrap_or_default().to_owned()
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

fn as_of(reader: &Reader, id: &str, args: &GetArgs) -> anyhow::Result<Option<Value>> {
    let Some(moment) = args.as_of else {
        return Ok(reader.contact(id.as_bytes())?);
    };
    let gone = match reader.contact_at(id.as_bytes(), moment)? {
        None => return Ok(None),
        Some(Past::Contact(value)) => return Ok(Some(value)),
        Some(Past::NotYet) => format!("contact {id} is not known as of {moment}"),
        Some(Past::Gone { version, since_ms }) => {
            let since =
                since_ms.map(|ms| format!(", of {}", format_rfc3339(ms))).unwrap_or_default();
            format!("of contact {id} the journal reaches back to version {version}{since}")
        }
    };
    Err(Failure::Data(gone).into())
}

fn read(config: &Config, args: &GetArgs) -> anyhow::Result<Vec<u8>> {
    let opened = open_store(config)?;
    let found = match (&args.id, &args.external_id) {
        (Some(id), _) => as_of(&opened.reader, id, args)?.map(|value| (id.clone(), value)),
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
