//! The feed as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;

use crate::auth::Principal;
use crate::domain::event::EventKind;
use crate::domain::position::Position;
use crate::effects::feed::{Client, FeedError, Filter, Start, Subscription};
use crate::shares::Who;

use crate::http::edge::authorize;
use crate::http::exchange::accept::accepts;
use crate::http::exchange::endpoint::Endpoint;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::params::{Params, invalid};
use crate::http::sockets::connections::Peer;
use crate::http::state::HttpState;

const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies that gather answers (nginx) must not.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// What is said of a write's position.
const A_PLACE: &str = "is the Position of a write, which names one partition only and is good for reads \
    to wait for; begin after the Position of an answer to a GET, or after an id that the feed has given";
/// Contacts that one filter may name.
const CONTACTS_MAX: usize = 100;

/// `GET /api/feed`
///
/// Only the head is bound by the request's time: the stream goes on until either side ends it.
pub(super) async fn feed(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ApiError> {
    if !accepts(request.headers(), EVENT_STREAM) {
        return Err(ApiError::new(Code::NotAcceptable, "this resource is text/event-stream only"));
    }
    let (start, filter) = asked(request.uri(), request.headers())?;
    let open = state.open()?;
    let body = if request.method() == Method::HEAD {
        Body::empty()
    } else {
        let connection = request.extensions().get::<Arc<Peer>>().map(|peer| peer.cut.clone());
        let who = request.extensions().get::<Arc<Principal>>().map(|known| &*known.name);
        let who = Who::principal(who.unwrap_or_default());
        let still_allowed = authorize::still_allowed(&state, endpoint()?, &request);
        let client = Client { start, filter, who, still_allowed, connection };
        stream(open.feed.subscribe(client).await?)
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

fn endpoint() -> Result<&'static Endpoint, ApiError> {
    super::ENDPOINTS.first().ok_or_else(|| ApiError::internal("the feed is gone"))
}

fn stream(subscription: Subscription) -> Body {
    Body::from_stream(futures_util::stream::unfold(subscription, |mut subscription| async {
        let text = subscription.next().await?;
        Some((Ok::<_, Infallible>(text), subscription))
    }))
}

fn asked(uri: &Uri, headers: &HeaderMap) -> Result<(Start, Filter), ApiError> {
    let known = ["after", "snapshot", "includeDeleted", "type", "contact", "follow"];
    let params = Params::with_lists(uri, &known, &["type", "contact"])?;
    let start = Start {
        after: after(&params, headers)?,
        snapshot: params.flag("snapshot")?,
        ends: !params.flag_or("follow", true)?,
        include_deleted: params.flag("includeDeleted")?,
    };
    let mut kinds = Vec::new();
    // No type has a comma: one that came encoded separates as well.
    for text in params.list("type").flat_map(|types| types.split(',')) {
        let of_all = text.strip_suffix('*').filter(|begin| begin.ends_with('.'));
        let is_meant = |kind: &EventKind| match of_all {
            Some(begin) => kind.as_str().starts_with(begin),
            None => kind.as_str() == text,
        };
        let before = kinds.len();
        kinds.extend(EventKind::ALL.into_iter().filter(is_meant));
        if kinds.len() == before {
            let names = EventKind::ALL.map(EventKind::as_str).join(", ");
            let problem = format!("must be some of {names}, or contact.*, payment.*");
            return Err(invalid("type", &problem));
        }
    }
    let contacts: Vec<String> = params.list("contact").map(str::to_owned).collect();
    if contacts.len() > CONTACTS_MAX || contacts.iter().any(String::is_empty) {
        return Err(invalid("contact", &format!("must name 1 to {CONTACTS_MAX} contacts")));
    }
    Ok((start, Filter::new(&kinds, contacts)))
}

/// `Last-Event-ID`, which a client sends that comes back, stands over `after`, with which it came.
fn after(params: &Params<'_>, headers: &HeaderMap) -> Result<Option<Position>, ApiError> {
    let header = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty());
    if let Some(value) = header {
        let position = value.to_str().ok().and_then(|text| Position::decode(text).ok());
        return match position {
            Some(position) if !position.is_place => Ok(Some(position)),
            Some(_) => Err(ApiError::new(Code::InvalidHeader, format!("Last-Event-ID {A_PLACE}"))),
            None => Err(ApiError::new(
                Code::InvalidHeader,
                "Last-Event-ID is no id that the feed has given",
            )),
        };
    }
    match params.get("after").map(Position::decode) {
        None => Ok(None),
        Some(Ok(position)) if position.is_place => Err(invalid("after", A_PLACE)),
        Some(Ok(position)) => Ok(Some(position)),
        Some(Err(_)) => Err(invalid("after", "is no position that was given out")),
    }
}

impl From<FeedError> for ApiError {
    fn from(error: FeedError) -> Self {
        match &error {
            FeedError::AnotherLog => Self::new(
                Code::PositionGone,
                "the position belongs to another log than the one that is followed now; begin anew \
                 with snapshot=true",
            ),
            gone if gone.is_gone() => Self::new(
                Code::PositionGone,
                "the journal no longer holds all that came after the position; begin anew with \
                 snapshot=true",
            ),
            FeedError::NotOpen | FeedError::Closing => Self::new(Code::NotReady, error.to_string()),
            FeedError::TooManyClients { .. } | FeedError::TooManyStates { .. } => {
                Self::new(Code::Overloaded, error.to_string())
            }
            FeedError::Gone | FeedError::Store(_) | FeedError::Panicked(_) => {
                Self::internal(error.to_string())
            }
        }
    }
}
