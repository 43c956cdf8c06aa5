//! `GET /api/overview`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};

use super::answers::Overview;
use super::samples::{self, Grain};
use crate::http::exchange::answer::{blocking, json_only};
use crate::http::exchange::error::ApiError;
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

const HOUR: Duration = Duration::from_secs(3600);
/// The first one where nothing is said.
pub(super) const WINDOWS: [(&str, (Grain, Duration)); 4] = [
    ("15m", (Grain::Fine, Duration::from_secs(900))),
    ("1h", (Grain::Coarse, HOUR)),
    ("6h", (Grain::Coarse, HOUR.saturating_mul(6))),
    ("24h", (Grain::Coarse, HOUR.saturating_mul(24))),
];

pub(super) async fn overview(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Overview>, ApiError> {
    let params = Params::of(&uri, &["window"])?;
    let window = params.choice("window", &WINDOWS)?;
    let (grain, time) = window.unwrap_or((Grain::Fine, Duration::from_secs(900)));
    json_only(&headers)?;
    // Some figures look at directories.
    let answer = blocking(&state.work().scrapes, {
        let state = state.clone();
        move || {
            let (figures, now) = samples::now(state.metrics(), state.readiness(), state.topic());
            let kept = state.samples();
            let day = kept.last(Grain::Coarse, HOUR.saturating_mul(24));
            let last = kept.last(grain, time);
            let overview = Overview::of(&figures, state.topic(), &now, kept.health(&now));
            let report = state.readiness().report();
            Ok::<_, ApiError>(
                overview.with_parts(report).with_samples(grain, &last).with_day(&day, &now),
            )
        }
    });
    answer.await.map(Json)
}
