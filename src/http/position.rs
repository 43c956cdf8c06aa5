//! The `Position` header: on a read, wait until it is applied; on an answer, what it covers.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::RwLock;

use crate::domain::position::Position;
use crate::query::Queries;

use super::authorize::Standing;
use super::error::{ApiError, Code};
use super::state::HttpState;

/// On an answer of a store that does not know everything.
pub(super) const PARTIAL: HeaderName = HeaderName::from_static("contactd-partial");
pub(super) const POSITION: HeaderName = HeaderName::from_static("position");

/// Waits until what the client has seen can be read here too.
pub(super) async fn wait_for_position(
    state: &HttpState,
    queries: &Queries,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    let Some(value) = headers.get(POSITION) else {
        return Ok(());
    };
    let position =
        value.to_str().ok().and_then(|text| Position::decode(text).ok()).ok_or_else(|| {
            ApiError::new(Code::InvalidHeader, "Position is none that was given out")
        })?;
    let standing = Standing::of(state, headers);
    // Boxed: it is rare, and would make the future of every read larger.
    Box::pin(queries.wait_for(&position, state.limits().position_wait)).await?;
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
