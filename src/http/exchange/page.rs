//! Pages of lists: as long as the client asks for, each with a signed cursor that leads to the next.

use axum::Json;
use axum::http::Uri;
use axum::http::header::LINK;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::query::{
    Cursor, CursorError, CursorKeys, Direction, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, Queries,
    QueryError,
};

use super::error::ApiError;
use super::links::links;
use super::params::Params;

/// Where a page stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PageMeta {
    #[schema(minimum = 1, maximum = 200)]
    pub(crate) limit: u64,
    /// For the parameter `cursor`; null on the last page.
    #[schema(required = true)]
    pub(crate) next_cursor: Option<String>,
}

/// A page that is asked for.
pub(crate) struct PageRequest<'q> {
    keys: &'q CursorKeys,
    /// Tells the list from all others, and from the same one with other filters.
    list: String,
    pub(crate) limit: usize,
    cursor: Option<Vec<u8>>,
}

impl<'q> PageRequest<'q> {
    pub(crate) fn new(
        queries: &'q Queries,
        list: String,
        params: &Params<'_>,
    ) -> Result<Self, ApiError> {
        let limit = params.limit(PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX)?;
        let keys = queries.cursor_keys();
        let cursor = params.get("cursor").map(|text| Cursor::decode(text, &list, keys));
        let cursor = cursor.transpose().map_err(QueryError::Cursor)?.map(|cursor| cursor.key);
        Ok(Self { keys, list, limit, cursor })
    }

    /// The entry after which the page begins, as `read` finds it in the cursor; none: the first page.
    pub(crate) fn after<T>(
        &self,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let malformed = || QueryError::Cursor(CursorError::Malformed).into();
        self.cursor.as_deref().map(|key| read(key).ok_or_else(malformed)).transpose()
    }

    /// The same where the key is a text.
    pub(crate) fn after_text(&self) -> Result<Option<String>, ApiError> {
        self.after(|key| String::from_utf8(key.to_vec()).ok())
    }

    /// The page's entries, of which one more than the limit tells that there are more.
    pub(crate) fn cut<T>(
        &self,
        mut entries: Vec<T>,
        key: impl FnOnce(&T) -> Vec<u8>,
    ) -> (Vec<T>, PageMeta) {
        let has_more = entries.len() > self.limit;
        entries.truncate(self.limit);
        let meta = self.meta(entries.last().filter(|_| has_more).map(key));
        (entries, meta)
    }

    /// With the last entry's key, where more follow.
    pub(crate) fn meta(&self, last: Option<Vec<u8>>) -> PageMeta {
        let cursor = |key| Cursor { direction: Direction::Next, skip: 0, key };
        let next_cursor = last.map(|key| cursor(key).encode(&self.list, self.keys));
        PageMeta { limit: self.limit as u64, next_cursor }
    }
}

/// A page with a link to the next one.
pub(crate) fn paged(uri: &Uri, next_cursor: Option<String>, page: impl Serialize) -> Response {
    let mut response = Json(page).into_response();
    let next = next_cursor.map(|cursor| Some(("cursor", cursor)));
    if let Some(link) = links(uri, &[("next", next)]) {
        response.headers_mut().insert(LINK, link);
    }
    response
}
