//! `/api/sources`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::answers::{Source, SourcePage};
use crate::http::exchange::answer::{PathParam, begin, json_only};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::page::{PageRequest, paged};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;
use crate::ingest::AdoptError;

/// Those of the log's rules, and those that only sign here.
fn sources(state: &HttpState) -> Result<BTreeMap<String, Source>, ApiError> {
    let standing = state.open()?.rules.standing().ok_or(AdoptError::NotFollowing)?;
    let rules = standing.newest.rules.text();
    let webhooks = state.services().webhooks.as_ref().map(|intake| intake.webhooks.load());
    let signing: BTreeMap<&str, (&str, usize)> = webhooks
        .iter()
        .flat_map(|webhooks| webhooks.sources())
        .map(|(name, signature, secrets)| (name, (signature, secrets)))
        .collect();
    let default = webhooks.as_ref().map(|webhooks| webhooks.default_source());
    let of_rules = rules.sources.keys().map(String::as_str);
    let all = of_rules.chain(signing.keys().copied()).map(|name| {
        let schemas = rules.schemas.get(name).map(|schemas| schemas.keys().cloned().collect());
        let (text, signing) = (rules.sources.get(name), signing.get(name).copied());
        let is_default = default == Some(name);
        let source = Source::of(name, signing, is_default, text, schemas.unwrap_or_default());
        (name.to_owned(), source)
    });
    Ok(all.collect())
}

/// `GET /api/sources`
pub(super) async fn list(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let queries = begin(&state, &headers)?;
    let params = Params::of(&uri, &["limit", "cursor"])?;
    let page = PageRequest::new(queries, "sources".to_owned(), &params)?;
    let after = page.after_text()?;
    let mut sources = sources(&state)?;
    sources.retain(|name, _| after.as_ref().is_none_or(|after| name > after));
    let sources = sources.into_values().collect();
    let (data, meta) = page.cut(sources, |last: &Source| last.name.clone().into_bytes());
    Ok(paged(&uri, meta.next_cursor.clone(), SourcePage { data, meta }))
}

/// `GET /api/sources/{name}`
pub(super) async fn show(
    State(state): State<HttpState>,
    PathParam(name): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Source>, ApiError> {
    Params::of(&uri, &[])?;
    json_only(&headers)?;
    let unknown = || ApiError::new(Code::UnknownSource, format!("there is no source {name}"));
    sources(&state)?.remove(&name).map(Json).ok_or_else(unknown)
}
