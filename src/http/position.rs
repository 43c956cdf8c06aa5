//! The `Position` header: on a read, wait until it is applied; on an answer, what it covers.

use std::pin::pin;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use futures_util::FutureExt as _;
use parking_lot::RwLock;

use crate::domain::position::Position;
use crate::query::Queries;
use crate::shares::{Full, Who};

use super::authorize::Standing;
use super::error::{ApiError, Code};
use super::gate::{self, Place};
use super::state::HttpState;

/// On an answer of a store that does not know everything.
pub(super) const PARTIAL: HeaderName = HeaderName::from_static("contactd-partial");
pub(super) const POSITION: HeaderName = HeaderName::from_static("position");

/// Waits until what the client has seen can be read here too. While it waits it has no place among the
/// requests under way, but one of those that wait.
pub(super) async fn wait_for<'s>(
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

/// The last position that was written out: it is asked for far more often than it moves.
#[derive(Default)]
pub(super) struct PositionText {
    /// With the commit that it belongs to.
    last: RwLock<Option<(u64, HeaderValue)>>,
}

impl PositionText {
    /// Call it after the read: the position then covers all that was seen.
    pub(super) fn header(&self, queries: &Queries) -> Option<HeaderValue> {
        let seen = queries.commit_seen();
        if let Some((commit, text)) = &*self.last.read()
            && *commit == seen
        {
            return Some(text.clone());
        }
        let (commit, position) = queries.position_seen();
        let text = HeaderValue::from_maybe_shared(position.encode()).ok()?;
        *self.last.write() = Some((commit, text.clone()));
        Some(text)
    }
}
