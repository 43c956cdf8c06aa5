//! `GET /api/export`: contacts as a file, streamed.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE,
};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::response::Response;

use crate::auth::Principal;
use crate::domain::position::Position;
use crate::files::columns::Column;
use crate::files::export::{
    ExportError, ExportRequest, ExportStream, ExportsTaken, Format, Formulas, Selection,
};
use crate::shares::Who;

use super::description::selection;
use super::list::{external_id, filters, status};
use crate::http::description::operation::{Answer, Header, Operation, Param, Tag, choice, text};
use crate::http::edge::authorize;
use crate::http::edge::compress::takes_gzip;
use crate::http::edge::cors::add_vary;
use crate::http::exchange::accept::accepts;
use crate::http::exchange::answer::blocking;
use crate::http::exchange::endpoint::Endpoint;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::params::{Params, invalid};
use crate::http::exchange::position::{PARTIAL, POSITION};
use crate::http::state::HttpState;

const PATH: &str = "/api/export";
/// Columns that can be named.
const NAMED_MAX: usize = 1_000;
const PARAMETERS: [&str; 12] = [
    "format",
    "columns",
    "formulas",
    "status",
    "includeDeleted",
    "email",
    "q",
    "company",
    "source",
    "externalId",
    "updatedSince",
    "changedSince",
];
/// Those that `externalId` goes with.
const BESIDE_EXTERNAL_ID: [&str; 6] =
    ["externalId", "format", "columns", "formulas", "status", "includeDeleted"];

/// `GET /api/export`
///
/// Only the head is bound by the request's time.
pub(super) async fn show(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ApiError> {
    let asked = asked(request.uri())?;
    let format = asked.format;
    if !accepts(request.headers(), format.media_type()) {
        let text = format!("an export as {} is {} only", format.as_str(), format.media_type());
        return Err(ApiError::new(Code::NotAcceptable, text));
    }
    let exports = Arc::clone(&state.open()?.exports);
    let who = request.extensions().get::<Arc<Principal>>().map(|known| &*known.name);
    let place = exports.place(Who::principal(who.unwrap_or_default()))?;
    let beginning = Arc::clone(&exports);
    let export = blocking(&state.work().questions, move || beginning.begin(asked)).await?;
    let position = export.position();
    let as_gzip = takes_gzip(request.headers());
    let body = if request.method() == Method::HEAD {
        Body::empty()
    } else {
        let still_allowed = authorize::still_allowed(&state, endpoint()?, &request);
        body(exports.stream((export, format), place, as_gzip, still_allowed))
    };
    let mut response = Response::new(body);
    head(response.headers_mut(), format, &position, as_gzip);
    if state.partial().is_some() {
        response.headers_mut().insert(PARTIAL, HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn head(headers: &mut HeaderMap, format: Format, position: &Position, as_gzip: bool) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(format)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let name = format!("attachment; filename=\"contacts.{}\"", format.extension());
    if let Ok(name) = HeaderValue::from_maybe_shared(name) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    if let Ok(position) = HeaderValue::from_maybe_shared(position.encode()) {
        headers.insert(POSITION, position);
    }
    add_vary(headers, ACCEPT_ENCODING);
    if as_gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

fn content_type(format: Format) -> &'static str {
    match format {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::Ndjson => "application/x-ndjson",
        Format::Vcard => "text/vcard; charset=utf-8",
    }
}

fn endpoint() -> Result<&'static Endpoint, ApiError> {
    let row = super::ENDPOINTS.iter().find(|row| row.path == PATH);
    row.ok_or_else(|| ApiError::internal("the export is gone"))
}

/// An error ends the connection, so that nobody takes a part for the whole.
fn body(stream: ExportStream) -> Body {
    Body::from_stream(futures_util::stream::unfold(stream, |mut stream| async {
        Some((stream.next().await?, stream))
    }))
}

fn asked(uri: &Uri) -> Result<ExportRequest, ApiError> {
    let params = Params::with_lists(uri, &PARAMETERS, &["columns"])?;
    let external_id = external_id(&params, &BESIDE_EXTERNAL_ID)?;
    let formats = Format::ALL.map(|format| (format.as_str(), format));
    let format = params.choice("format", &formats)?.unwrap_or_default();
    let columns = columns(&params)?;
    let formulas =
        params.choice("formulas", &[("escape", Formulas::Escape), ("keep", Formulas::Keep)])?;
    let of_a_table = [("columns", columns.is_some()), ("formulas", formulas.is_some())];
    if let Some((name, _)) = of_a_table.iter().find(|(_, is_given)| *is_given)
        && format != Format::Csv
    {
        return Err(invalid(name, "goes with format=csv only"));
    }
    let selection = Selection::new(status(&params)?.status(), filters(&params)?);
    let selection = match external_id {
        Some((source, id)) => selection.tied_to(source, id),
        None => selection,
    };
    Ok(ExportRequest { selection, format, columns, formulas: formulas.unwrap_or_default() })
}

fn columns(params: &Params<'_>) -> Result<Option<Vec<Column>>, ApiError> {
    if params.get("columns").is_none() {
        return Ok(None);
    }
    let mut columns = Vec::new();
    for name in params.list("columns") {
        let column = Column::parse(name)
            .map_err(|error| invalid("columns", &format!("has what can't be one: {error}")))?;
        if columns.contains(&column) {
            return Err(invalid("columns", &format!("names {name} twice")));
        }
        columns.push(column);
        if columns.len() > NAMED_MAX {
            return Err(invalid("columns", &format!("names more than {NAMED_MAX}")));
        }
    }
    Ok(Some(columns))
}

impl From<ExportsTaken> for ApiError {
    fn from(taken: ExportsTaken) -> Self {
        Self::new(Code::Overloaded, taken.to_string())
    }
}

impl From<ExportError> for ApiError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::TooManyColumns { .. } => {
                invalid("columns", &format!("must be given: {error}"))
            }
            ExportError::Store(error) => Self::internal(error.to_string()),
        }
    }
}

pub(super) fn describe() -> Operation {
    let csv = "id,firstName,lastName,email,phone,company,title,status,createdAt,updatedAt,version,\
               acme_segment\r\nc8b5f7d9,Ada,Lovelace,ada@example.com,'+44 20 7946 0000,,,ACTIVE,\
               2026-11-21T10:00:00.000Z,2026-11-21T10:36:44.451Z,3,mid-market\r\n";
    let selection = selection().into_iter().map(|param| match param.name {
        "externalId" => Param {
            about: "The contact that a source has this id for: source, colon, id. Goes with `format`, \
                    `columns`, `formulas`, `status` and `includeDeleted` only.",
            ..param
        },
        _ => param,
    });
    Operation::new("exportContacts", "Export contacts (CSV, NDJSON, vCard)")
        .of(Tag::Contacts)
        .about(
            "All contacts that match, as they were at one position, which `Position` names: the feed goes \
             on from there. Sorted by id, streamed, gzip where it is accepted. An export that could not be \
             finished ends the connection in the middle, never as a whole one ends. In a CSV a cell that a \
             spreadsheet would calculate has an apostrophe before it; an import takes it off again.",
        )
        .param(
            Param::query(
                "format",
                choice(&Format::ALL.map(Format::as_str)),
                "csv",
                "What a contact is written as; without it `ndjson`, the contact's JSON a line.",
            )
            .sent(),
        )
        .param(Param::query(
            "columns",
            text().min_length(Some(1)),
            "id,email,externalId:acme,acme_segment",
            "Columns of a CSV, with commas between them: fields of the contact, `externalId:` and a \
             source, or the name of an attribute (`attributes.` before one that is named like a field). \
             Without it the usual fields, and every external id and attribute that there is.",
        ))
        .param(Param::query(
            "formulas",
            choice(&["escape", "keep"]),
            "keep",
            "`keep`: cells of a CSV that a spreadsheet would calculate stay as they are.",
        ))
        .params(selection.collect())
        .reads()
        .answers(
            Answer::text(200, "The contacts.", "text/csv", Some(csv))
                .or_text("application/x-ndjson", None)
                .or_text("text/vcard", None)
                .with(&[Header::Position]),
        )
        .fails(&[Code::Overloaded])
}
