//! `get ID`: one contact, from the running instance or from the directory.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::StatusCode;

use crate::config::{Config, Mode};
use crate::domain::contact::{Contact, Status};

use super::api::path_segment;
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
    let deleted = if args.include_deleted { "?includeDeleted=true" } else { "" };
    let address = format!("{url}/api/contacts/{}{deleted}", path_segment(&args.id));
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
            StatusCode::OK => Ok(Asked::Answered(body.to_vec())),
            StatusCode::NOT_FOUND => Err(not_found(&args.id)),
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

fn not_found(id: &str) -> anyhow::Error {
    Failure::Data(format!("there is no contact {id}")).into()
}

fn read(config: &Config, args: &GetArgs) -> anyhow::Result<Vec<u8>> {
    let opened = open_store(config)?;
    let value = opened.reader.contact(args.id.as_bytes())?;
    let value = value.ok_or_else(|| not_found(&args.id))?;
    let contact = Contact::from_view(&args.id, &value.view()?);
    if contact.status == Status::Deleted && !args.include_deleted {
        let text = format!("contact {} is deleted; --include-deleted shows it", args.id);
        return Err(Failure::Data(text).into());
    }
    serde_json::to_vec(&contact).context("writing the contact as JSON")
}
