//! `/api/rules`: by which rules records are judged, and letting this instance's own ones hold.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::{Extension, Json};

use crate::auth::Principal;
use crate::ingest::AdoptError;

use super::answers::{AdoptOrder, Adopted, Rules};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::Fields;
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

/// `GET /api/rules`: the log's, and how this instance's own files stand to them.
pub(super) async fn show(
    State(state): State<HttpState>,
    uri: Uri,
) -> Result<Json<Rules>, ApiError> {
    Params::of(&uri, &[])?;
    let standing = state.open()?.rules.standing().ok_or(AdoptError::NotFollowing)?;
    Ok(Json(Rules::of(standing)))
}

/// `POST /api/rules/adopt`
pub(super) async fn adopt(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Adopted>, ApiError> {
    Params::of(&uri, &[])?;
    let expected = AdoptOrder::read(Fields::of(&headers, &body)?)?;
    let rules = Arc::clone(&state.open()?.rules);
    let until = Instant::now() + state.limits().request_timeout.mul_f32(0.8);
    let adopted = rules.adopt(&principal.name, expected, until).await?;
    Ok(Json(Adopted { number: adopted.number, adopted: adopted.is_new }))
}

impl From<AdoptError> for ApiError {
    fn from(error: AdoptError) -> Self {
        let code = match &error {
            AdoptError::NotFollowing | AdoptError::Stopped(_) => Code::NotReady,
            AdoptError::OtherFiles { .. } | AdoptError::Overtaken { .. } | AdoptError::NoNumber => {
                Code::RulesDiffer
            }
            AdoptError::Log(_) | AdoptError::Unfinished { .. } => Code::WriteUnavailable,
            AdoptError::Store(_) => return Self::internal(error.to_string()),
        };
        Self::new(code, error.to_string())
    }
}
