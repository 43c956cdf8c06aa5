//! Followers as they are sent and as they are described.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::timestamp::format_rfc3339;
use crate::effects::follower::{Parked, Shown};
use crate::http::exchange::page::PageMeta;

/// Followers, by their names.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FollowerPage {
    pub(super) data: Vec<Follower>,
    pub(super) meta: PageMeta,
}

/// Something that follows from what was applied, and how far it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Follower {
    pub(super) name: String,
    /// What it does.
    about: &'static str,
    /// `running`; `paused` by somebody; `stalled`: its sink takes nothing; `waiting`: no instance runs it
    /// now; `starting`: none ever has.
    #[schema(pattern = "^(running|paused|stalled|waiting|starting)$")]
    state: &'static str,
    /// Whether the instance that answers runs it.
    here: bool,
    /// All changes before it are delivered, except those of contacts that wait. Null before it starts.
    #[schema(required = true)]
    position: Option<String>,
    /// Records of the log that it has not looked at. Null where only the instance that runs it knows.
    #[schema(required = true)]
    lag_records: Option<u64>,
    /// Age of the oldest change that is not delivered. Null where only the instance that runs it knows.
    #[schema(required = true)]
    lag_seconds: Option<f64>,
    /// Contacts of which a change is not delivered yet.
    waiting: u64,
    /// Changes that were refused too often.
    parked: u64,
    /// Changes that were delivered since it started.
    delivered: u64,
    /// Deliveries that failed on this instance since its start, each try of them.
    failures: u64,
    /// How often the journal no longer reached back to what was not delivered.
    overruns: u64,
    #[schema(required = true, format = DateTime)]
    overrun_at: Option<String>,
    /// Whether it is telling all contacts, at its start or after an overrun.
    scanning: bool,
    #[schema(required = true)]
    paused: Option<FollowerPause>,
    #[schema(required = true)]
    trouble: Option<FollowerTrouble>,
    /// What operators should know besides, such as messages that no queue took. Null where there is nothing,
    /// or only the instance that runs it knows.
    #[schema(required = true)]
    note: Option<String>,
}

/// Who paused a follower, and when.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FollowerPause {
    by: String,
    #[schema(format = DateTime)]
    at: String,
}

/// Why a follower delivers nothing, and since when.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FollowerTrouble {
    why: String,
    #[schema(format = DateTime)]
    since: String,
}

impl Follower {
    pub(super) fn of(shown: Shown) -> Self {
        Self {
            name: shown.name,
            about: shown.about,
            state: shown.state,
            here: shown.is_here,
            position: shown.position,
            lag_records: shown.lag_records,
            lag_seconds: shown.lag_seconds,
            waiting: shown.waiting as u64,
            parked: shown.parked as u64,
            delivered: shown.delivered,
            failures: shown.failures,
            overruns: shown.overruns,
            overrun_at: shown.overrun_at_ms.map(format_rfc3339),
            scanning: shown.is_scanning,
            paused: shown.paused.map(|(by, at)| FollowerPause { by, at: format_rfc3339(at) }),
            trouble: shown
                .trouble
                .map(|(why, since)| FollowerTrouble { why, since: format_rfc3339(since) }),
            note: shown.note,
        }
    }
}

/// Changes that were refused too often, by their ids.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParkedPage {
    pub(super) data: Vec<ParkedChange>,
    pub(super) meta: PageMeta,
}

/// A change that its target refused too often.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ParkedChange {
    /// Names it among those of its follower.
    id: String,
    /// The contact, or what else the follower keeps in order.
    contact: String,
    /// The contact's version after the change; 0 where it has none.
    version: u64,
    /// How often it was tried.
    attempts: u32,
    /// What the target said last.
    why: String,
    #[schema(format = DateTime)]
    at: String,
}

impl ParkedChange {
    pub(super) fn of(parked: Parked) -> Self {
        let Parked { id, key, version, attempts, why, at_ms, .. } = parked;
        Self { id, contact: key, version, attempts, why, at: format_rfc3339(at_ms) }
    }
}

/// From where on changes are delivered once more.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Replay {
    pub(super) position: String,
}
