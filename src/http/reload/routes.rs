//! `POST /api/reload`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde_json::json;

use super::answers::Reload;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

/// `POST /api/reload`
pub(super) async fn reload(
    State(state): State<HttpState>,
    uri: Uri,
) -> Result<Json<Reload>, ApiError> {
    Params::of(&uri, &[])?;
    let Some(reload) = state.services().reload.clone() else {
        let text = "this instance was started in a way that its configuration can't be read again";
        return Err(ApiError::new(Code::ReloadUnavailable, text));
    };
    // Files are read.
    let reload = tokio::task::spawn_blocking(move || Arc::clone(&reload)()).await;
    match reload.map_err(|error| ApiError::internal(error.to_string()))? {
        Ok(reloaded) => Ok(Json(Reload::of(reloaded))),
        Err(errors) => {
            let problems: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
            let text = format!("nothing of it is taken: {}", problems.join("; "));
            Err(ApiError::new(Code::ConfigurationInvalid, text)
                .with_details(json!({ "problems": problems })))
        }
    }
}
