//! Asks the registry over HTTP: one schema by its id, with all that it refers to.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, StatusCode, Url, redirect};
use serde::Deserialize;

use crate::config::{SchemaRegistryConfig, Secret};
use crate::domain::avro::{SCHEMA_BYTES_MAX, Schema};
use crate::domain::decode::Reject;
use crate::domain::texts::innermost;
use crate::domain::verdict::DeadLetterReason;

/// Bytes of an answer: quoted, a schema is somewhat longer than it is.
const ANSWER_BYTES_MAX: usize = 4 * SCHEMA_BYTES_MAX;
/// Schemas that one refers to, directly or not.
const REFERENCES_MAX: usize = 256;
const JSON: HeaderValue =
    HeaderValue::from_static("application/vnd.schemaregistry.v1+json, application/json");
/// The registry's own numbers for a subject, a version and a schema that are not there.
const NOT_FOUND: [u32; 3] = [40_401, 40_402, 40_403];

/// What the registry says of an id that values can be read by.
#[derive(Debug)]
pub enum Format {
    /// Avro, by this schema.
    Avro(Schema),
    /// JSON behind the id.
    Json,
}

/// Why there is no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The certificate authorities can't be used.
    #[error("{0}")]
    Certificates(String),
    /// Nobody answers, or not as a registry does.
    #[error("{0}")]
    Away(String),
    /// The registry does not know it.
    #[error("{0}")]
    Unknown(String),
    /// It is known, and nothing can be read by it.
    #[error("{0}")]
    Unusable(Reject),
}

#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
    references: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    subject: String,
    version: u32,
}

#[derive(Deserialize)]
struct Refusal {
    error_code: u32,
}

/// Who asks.
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    login: Option<(String, Secret)>,
}

impl Client {
    pub(super) fn new(config: &SchemaRegistryConfig) -> Result<Self, RegistryError> {
        // Refused where there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(config.timeout)
            .user_agent(concat!("contactd/", env!("CARGO_PKG_VERSION")));
        let trusted = certificates(config.ca_file.as_deref())?;
        // Without TLS there need not be any that the system trusts.
        let builder = match config.url.scheme() {
            "https" => builder.tls_certs_merge(trusted),
            _ => builder.tls_certs_only(trusted),
        };
        let http =
            builder.build().map_err(|error| RegistryError::Certificates(last_cause(&error)))?;
        Ok(Self { http, url: config.url.clone(), login: config.login.clone() })
    }

    pub(super) fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// What records with this id are read by.
    pub(super) async fn format(&self, id: u32) -> Result<Format, RegistryError> {
        let unknown = |what| RegistryError::Unknown(format!("{what} is not known there"));
        let id_text = id.to_string();
        let answer = self.ask(&["schemas", "ids", &id_text]).await?;
        let answer = answer.ok_or_else(|| unknown(format!("schema {id}")))?;
        let unusable = |reason, problem: String| {
            let detail = format!("schema {id} of the registry: {problem}");
            RegistryError::Unusable(Reject::new(reason, detail))
        };
        match answer.schema_type.as_deref() {
            None | Some("AVRO") => {}
            Some("JSON") => return Ok(Format::Json),
            Some("PROTOBUF") => {
                let problem = "it is Protobuf; only Avro and JSON are read".to_owned();
                return Err(unusable(DeadLetterReason::ProtobufFraming, problem));
            }
            Some(_) => {
                let problem = "its type is not known here; Avro and JSON are read".to_owned();
                return Err(unusable(DeadLetterReason::UnusableSchema, problem));
            }
        }
        let unusable = |problem| unusable(DeadLetterReason::UnusableSchema, problem);
        let mut texts = Vec::new();
        let mut bytes = answer.schema.len();
        let mut seen = BTreeSet::new();
        // A schema's text comes behind those that it refers to.
        let mut open: Vec<Step> =
            answer.references.into_iter().flatten().rev().map(Step::Ask).collect();
        while let Some(step) = open.pop() {
            let Reference { subject, version } = match step {
                Step::Add(text) => {
                    texts.push(text);
                    continue;
                }
                Step::Ask(reference) => reference,
            };
            if !seen.insert((subject.clone(), version)) {
                continue;
            }
            let version_text = version.to_string();
            let path = ["subjects", &*subject, "versions", &*version_text];
            let found = self.ask(&path).await?;
            let found = found.ok_or_else(|| {
                unknown(format!("version {version} of {subject}, which schema {id} refers to,"))
            })?;
            bytes += found.schema.len();
            if bytes > SCHEMA_BYTES_MAX || seen.len() > REFERENCES_MAX {
                return Err(unusable("it refers to too much".to_owned()));
            }
            open.push(Step::Add(found.schema));
            open.extend(found.references.into_iter().flatten().rev().map(Step::Ask));
        }
        let schema = Schema::parse(&answer.schema, &texts);
        schema.map(Format::Avro).map_err(|error| unusable(error.to_string()))
    }

    /// None: it is not there, and it is the registry that says so.
    async fn ask(&self, path: &[&str]) -> Result<Option<Answer>, RegistryError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut request = self.http.get(url).header(ACCEPT, JSON);
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password.expose()));
        }
        let away = |error: reqwest::Error| RegistryError::Away(last_cause(&error));
        let mut response = request.send().await.map_err(away)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(away)? {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                if status != StatusCode::OK {
                    return Err(RegistryError::Away(refused(status)));
                }
                let detail = format!("an answer has more than {ANSWER_BYTES_MAX} bytes");
                let reject = Reject::new(DeadLetterReason::UnusableSchema, detail);
                return Err(RegistryError::Unusable(reject));
            }
            body.extend_from_slice(&part);
        }
        if status == StatusCode::NOT_FOUND
            && serde_json::from_slice::<Refusal>(&body)
                .is_ok_and(|refusal| NOT_FOUND.contains(&refusal.error_code))
        {
            return Ok(None);
        }
        if status != StatusCode::OK {
            return Err(RegistryError::Away(refused(status)));
        }
        serde_json::from_slice(&body).map(Some).map_err(|_| {
            let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let kind: String = kind.unwrap_or("no type").chars().take(64).collect();
            RegistryError::Away(format!(
                "it answers with something that is no schema ({kind}): is schema_registry.url a registry's?"
            ))
        })
    }
}

/// What is still to be done for a schema's references.
enum Step {
    Ask(Reference),
    Add(String),
}

fn refused(status: StatusCode) -> String {
    let what = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "schema_registry.user and password are not let in"
        }
        StatusCode::NOT_FOUND => "is schema_registry.url a registry's, with its path?",
        _ => "no schema came",
    };
    format!("it answers {}: {what}", status.as_u16())
}

fn certificates(file: Option<&Path>) -> Result<Vec<Certificate>, RegistryError> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let wrong = |problem| RegistryError::Certificates(format!("{}: {problem}", file.display()));
    let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(last_cause(&error)))?;
    if found.is_empty() {
        return Err(wrong("has no certificate in PEM".to_owned()));
    }
    Ok(found)
}

/// What the system or the other side says.
fn last_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) }
}
