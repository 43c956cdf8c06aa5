//! `GET /api/contacts`: filters, orders, pages.

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::http::header::LINK;
use axum::response::Response;

use crate::domain::decode::id_problem;
use crate::query::{
    ContactPage, Filters, ListQuery, OFFSET_MAX, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, PageStart,
    SortBy, StatusFilter, fold,
};

use super::answers::ContactPageMeta;
use crate::http::exchange::answer::{begin, blocking, json_response, with_position};
use crate::http::exchange::error::ApiError;
use crate::http::exchange::links::links;
use crate::http::exchange::params::{Params, invalid, time};
use crate::http::state::HttpState;

/// Every parameter of the list.
const PARAMETERS: [&str; 16] = [
    "limit",
    "cursor",
    "offset",
    "sort",
    "order",
    "status",
    "includeDeleted",
    "email",
    "q",
    "company",
    "source",
    "externalId",
    "updatedSince",
    "changedSince",
    "duplicates",
    "count",
];
/// Those that `duplicates` goes with.
const BESIDE_DUPLICATES: [&str; 6] =
    ["duplicates", "limit", "cursor", "status", "includeDeleted", "count"];
/// Those that `externalId` goes with.
const BESIDE_EXTERNAL_ID: [&str; 5] = ["externalId", "limit", "status", "includeDeleted", "count"];

pub(super) async fn list(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ApiError> {
    let query = list_query(request.uri())?;
    let queries = begin(&state, request.headers())?.clone();
    let page = match queries.page_at_once(&query)? {
        Some(page) => page,
        None => {
            let (queries, query) = (queries.clone(), query.clone());
            blocking(&state.work().questions, move || queries.page(&query)).await?
        }
    };
    let offset = match &query.start {
        PageStart::Offset(offset) => Some(*offset),
        PageStart::Cursor(_) => None,
    };
    let meta = ContactPageMeta {
        limit: query.limit as u64,
        next_cursor: page.next_cursor.clone(),
        prev_cursor: page.previous_cursor.clone(),
        offset: offset.map(|offset| offset as u64),
        total: page.total,
        total_is_exact: page.total_is_exact,
    };
    let mut body = Vec::with_capacity(page.contacts_json.len() + 512);
    body.extend_from_slice(b"{\"data\":");
    body.extend_from_slice(&page.contacts_json);
    body.extend_from_slice(b",\"meta\":");
    serde_json::to_writer(&mut body, &meta)
        .map_err(|error| ApiError::internal(error.to_string()))?;
    body.push(b'}');
    let mut response = json_response(body);
    if let Some(links) = page_links(request.uri(), &query, page) {
        response.headers_mut().insert(LINK, links);
    }
    Ok(with_position(&state, &queries, response))
}

/// Who pages by offset is led on by offset, as far as that goes.
fn page_links(uri: &Uri, query: &ListQuery, page: ContactPage) -> Option<axum::http::HeaderValue> {
    let by_cursor = |cursor: Option<String>| cursor.map(|cursor| Some(("cursor", cursor)));
    let by_offset = |offset: usize| Some(Some(("offset", offset.to_string())));
    let given = match &query.start {
        PageStart::Offset(0) => {
            let next = page.next_offset.filter(|_| has_parameter(uri, "offset"));
            let next = next.map_or_else(|| by_cursor(page.next_cursor), by_offset);
            return links(uri, &[("next", next)]);
        }
        PageStart::Offset(offset) => Some(*offset),
        PageStart::Cursor(_) => None,
    };
    let next = match page.next_offset {
        Some(offset) => by_offset(offset),
        None => by_cursor(page.next_cursor),
    };
    let previous = match given {
        Some(offset) => by_offset(offset.saturating_sub(query.limit)),
        None => by_cursor(page.previous_cursor),
    };
    links(uri, &[("next", next), ("prev", previous), ("first", Some(None))])
}

fn has_parameter(uri: &Uri, name: &str) -> bool {
    let pairs = uri.query().unwrap_or_default().split('&');
    pairs.into_iter().any(|pair| pair.split('=').next() == Some(name))
}

fn list_query(uri: &Uri) -> Result<ListQuery, ApiError> {
    let params = Params::of(uri, &PARAMETERS)?;
    let duplicates = params.flag("duplicates")?;
    if duplicates && let Some(other) = params.other_than(&BESIDE_DUPLICATES) {
        let problem = format!("can't stand beside {other}: it has an order of its own");
        return Err(invalid("duplicates", &problem));
    }
    let external_id = external_id(&params, &BESIDE_EXTERNAL_ID)?;
    let (sort, descending) = order(&params)?;
    Ok(ListQuery {
        sort,
        descending,
        status: status(&params)?,
        filters: filters(&params)?,
        duplicates,
        external_id,
        limit: params.limit(PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX)?,
        start: start(&params)?,
        count: params.flag("count")?,
    })
}

/// `hubspot:123`, which goes with the parameters `beside` it only.
pub(super) fn external_id(
    params: &Params<'_>,
    beside: &[&str],
) -> Result<Option<(String, String)>, ApiError> {
    let Some(text) = params.get("externalId") else {
        return Ok(None);
    };
    if let Some(other) = params.other_than(beside) {
        let problem = format!("can't stand beside {other}: it names one contact");
        return Err(invalid("externalId", &problem));
    }
    let (source, id) = text.split_once(':').ok_or_else(|| {
        invalid("externalId", "must be a source, a colon and its id, such as hubspot:123")
    })?;
    match [source, id].into_iter().find_map(|text| id_problem(text.as_bytes())) {
        Some(problem) => Err(invalid("externalId", &format!("has a source or id that {problem}"))),
        None => Ok(Some((source.to_owned(), id.to_owned()))),
    }
}

/// `sort=name&order=desc`, or `sort=-name`.
fn order(params: &Params<'_>) -> Result<(Option<SortBy>, Option<bool>), ApiError> {
    let sorts = SortBy::ALL.map(|sort| (sort.as_str(), sort));
    let turned = SortBy::ALL.map(|sort| (format!("-{}", sort.as_str()), sort));
    let turned = turned.each_ref().map(|(name, sort)| (name.as_str(), *sort));
    let order = params.choice("order", &[("asc", false), ("desc", true)])?;
    if params.get("sort").is_none_or(|sort| !sort.starts_with('-')) {
        return Ok((params.choice("sort", &sorts)?, order));
    }
    let sort = params.choice("sort", &turned)?;
    match order {
        Some(false) => Err(invalid("order", "is asc, but sort begins with -, which is descending")),
        Some(true) | None => Ok((sort, Some(true))),
    }
}

pub(super) fn status(params: &Params<'_>) -> Result<StatusFilter, ApiError> {
    let statuses = [("ACTIVE", StatusFilter::Active), ("DELETED", StatusFilter::Deleted)];
    let with_deleted = params.flag("includeDeleted")?;
    Ok(match params.choice("status", &statuses)? {
        Some(status) => status,
        None if with_deleted => StatusFilter::Any,
        None => StatusFilter::Active,
    })
}

pub(super) fn filters(params: &Params<'_>) -> Result<Filters, ApiError> {
    let text = |name| match params.get(name) {
        // Of blanks nothing is left to look for.
        Some(text) if fold(text).is_empty() => {
            Err(invalid(name, "must not be empty; leave it out for contacts of any"))
        }
        text => Ok(text.map(|text| text.trim().to_owned())),
    };
    let since = |name| params.get(name).map(|text| time(name, text)).transpose();
    Ok(Filters {
        email: text("email")?,
        company: text("company")?,
        source: text("source")?,
        q: text("q")?,
        updated_since_us: since("updatedSince")?,
        changed_since_us: since("changedSince")?,
    })
}

fn start(params: &Params<'_>) -> Result<PageStart, ApiError> {
    let Some(offset) = params.get("offset") else {
        let cursor = params.get("cursor").map(|cursor| PageStart::Cursor(cursor.to_owned()));
        return Ok(cursor.unwrap_or(PageStart::Offset(0)));
    };
    if params.get("cursor").is_some() {
        return Err(invalid("offset", "can't stand beside cursor, which says where to go on"));
    }
    let number = offset.parse().ok().filter(|_| offset.bytes().all(|b| b.is_ascii_digit()));
    number.filter(|number| *number <= OFFSET_MAX).map(PageStart::Offset).ok_or_else(|| {
        let problem = format!(
            "must be a whole number from 0 to {OFFSET_MAX}; further on, follow meta.nextCursor"
        );
        invalid("offset", &problem)
    })
}
