//! The `Position` header: on a read, wait until it is applied; on an answer, what it covers.

use std::pin::pin;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use futures_util::FutureExt as _;

use crate::domain::position::Position;
use crate::shares::{Full, Who};

use super::error::{ApiError, Code};
use crate::http::edge::authorize::Standing;
use crate::http::edge::gate::{self, Place};
use crate::http::state::HttpState;

/// On an answer of a store that does not know everything.
pub(crate) const PARTIAL: HeaderName = HeaderName::from_static("contactd-partial");
pub(crate) const POSITION: HeaderName = HeaderName::from_static("position");

/// Waits until what the client has seen can be read here too. While it waits it has no place among the
/// requests under way, but one of those that wait.
pub(crate) async fn wait_for<'s>(
    state: &'s HttpState,
    who: Who,
    headers: &HeaderMap,
    value: &HeaderValue,
    place: &mut Option<Place<'s>>,
) -> Result<(), ApiError> {
    let queries = state.queries()?;
    let position =
        value.to_str().ok().and_then(|text| Position::decode(text).ok()).ok_or_else(|| {
            ApiError::new(Code::InvalidHeader, "Position is none that was given out")
        })?;
    let mut waiting = pin!(queries.wait_for(&position, state.limits().position_wait));
    // Mostly it is reached.
    if let Some(reached) = waiting.as_mut().now_or_never() {
        return Ok(reached?);
    }
    let _part = state.waiting_reads().take(who, 1).map_err(|full| {
        let text = match full {
            Full::Part => "too many of your reads wait for their Position; try again",
            Full::All => "too many reads wait for their Position; try again",
        };
        ApiError::new(Code::Overloaded, text)
    })?;
    let standing = Standing::of(state, headers);
    drop(place.take());
    waiting.await?;
    *place = Some(gate::place(state, who)?);
    standing.check(state, headers)
}
