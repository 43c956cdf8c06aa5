//! The text of server-sent events (WHATWG HTML, section 9.2.6).
//!
//! | event | data | id |
//! |---|---|---|
//! | `contact.created` … `contact.erased` | `{"contact":{…},"change":{…}}` | the position after it |
//! | `payment.created` … `payment.refunded` | `{"payment":{…},"change":{…}}` | likewise |
//! | `snapshot` | `{"reason"}`: forget what you hold, all of it follows | |
//! | `state` | `{"contact":{…}}` | |
//! | `ready` | `{"position","contacts"}`: that was all | the position that it is of |
//! | `reset` | `{"reason","resume"}`: the last one; the stream ends | |
//! | `unauthorized` | `{"reason"}`: the last one; the stream ends | |
//!
//! An `id` without data moves the client's position and is no event.

use std::time::Duration;

use crate::domain::contact::{ContactView, CorruptContact, write_json};
use crate::domain::json::write_string;
use crate::domain::payment::{Payment, PaymentRecord, of_row};
use crate::domain::position::Position;
use crate::domain::timestamp::write_rfc3339_us;
use crate::store::journal::{Applied, Entry};

/// Why a stream ends that the client could have gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResetReason {
    /// It took nothing for too long.
    TooSlow,
    /// The journal no longer holds what comes next.
    PositionGone,
    /// Our fault; the log says more.
    Failed,
}

impl ResetReason {
    /// The stable word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::TooSlow => "too_slow",
            Self::PositionGone => "position_gone",
            Self::Failed => "failed",
        }
    }

    /// Whether coming back with `Last-Event-ID` goes on without loss.
    fn can_resume(self) -> bool {
        match self {
            Self::TooSlow | Self::Failed => true,
            Self::PositionGone => false,
        }
    }
}

/// How a client is told to wait before it comes back, and where it begins.
pub(super) fn opening(retry: Duration, position: Option<&Position>) -> Vec<u8> {
    let mut out = format!("retry: {}\n", retry.as_millis()).into_bytes();
    if let Some(position) = position {
        id(position, &mut out);
    }
    out.push(b'\n');
    out
}

/// What keeps the connection alive; with the position where that has moved.
pub(super) fn heartbeat(position: Option<&Position>) -> Vec<u8> {
    let mut out = b": heartbeat\n".to_vec();
    if let Some(position) = position {
        id(position, &mut out);
    }
    out.push(b'\n');
    out
}

pub(super) fn snapshot(reason: &str) -> Vec<u8> {
    format!("event: snapshot\ndata: {{\"reason\":\"{reason}\"}}\n\n").into_bytes()
}

pub(super) fn ready(position: &Position, contacts: u64) -> Vec<u8> {
    let mut out = b"event: ready\ndata: {\"position\":\"".to_vec();
    position.write(&mut out);
    out.extend_from_slice(format!("\",\"contacts\":{contacts}}}\n").as_bytes());
    id(position, &mut out);
    out.push(b'\n');
    out
}

pub(super) fn reset(reason: ResetReason) -> Vec<u8> {
    let (word, resume) = (reason.as_str(), reason.can_resume());
    format!("event: reset\ndata: {{\"reason\":\"{word}\",\"resume\":{resume}}}\n\n").into_bytes()
}

pub(super) fn unauthorized() -> Vec<u8> {
    b"event: unauthorized\ndata: {\"reason\":\"the token has expired or was revoked\"}\n\n".to_vec()
}

pub(super) fn state(contact_id: &str, view: &ContactView<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: state\ndata: {\"contact\":");
    write_json(contact_id, view, out);
    out.extend_from_slice(b"}\n\n");
}

/// A change but for its end, which is [`change_end`].
pub(super) fn change(
    entry: &Entry<'_>,
    applied: &Applied<'_>,
    out: &mut Vec<u8>,
) -> Result<(), CorruptContact> {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(applied.kind.as_str().as_bytes());
    if let Some(ids) = of_row(applied.id) {
        let payment = PaymentRecord::of(ids, &Payment::parse(applied.body)?);
        out.extend_from_slice(b"\ndata: {\"payment\":");
        // Texts and numbers: they always become JSON.
        out.extend_from_slice(&serde_json::to_vec(&payment).unwrap_or_default());
    } else {
        let view = ContactView::parse(applied.body)?;
        out.extend_from_slice(b"\ndata: {\"contact\":");
        write_json(&String::from_utf8_lossy(applied.id), &view, out);
    }
    out.extend_from_slice(b",\"change\":");
    write_change(entry, applied, out);
    out.extend_from_slice(b"}\n");
    Ok(())
}

/// What happened, beside the contact or payment that it happened to.
pub(in crate::effects) fn write_change(
    entry: &Entry<'_>,
    applied: &Applied<'_>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"eventType\":\"");
    out.extend_from_slice(applied.kind.as_str().as_bytes());
    out.extend_from_slice(b"\",\"eventId\":");
    text(applied.event_id, out);
    out.extend_from_slice(b",\"source\":");
    text(applied.source, out);
    out.extend_from_slice(b",\"timestamp\":");
    match applied.event_time_us {
        Some(us) => time(us, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"recordedAt\":");
    time(u64::try_from(entry.record_time_ms).unwrap_or(0) * 1000, out);
    let place = format!(",\"partition\":{},\"offset\":{}", entry.lane, entry.offset);
    out.extend_from_slice(place.as_bytes());
    for (name, value) in [("principal", applied.principal), ("requestId", applied.request_id)] {
        if let Some(value) = value {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            text(value, out);
        }
    }
    out.push(b'}');
}

/// The position after a change.
pub(super) fn change_end(position: &Position, out: &mut Vec<u8>) {
    id(position, out);
    out.push(b'\n');
}

fn id(position: &Position, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    position.write(out);
    out.push(b'\n');
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    write_string(&String::from_utf8_lossy(bytes), out);
}

fn time(us: u64, out: &mut Vec<u8>) {
    out.push(b'"');
    write_rfc3339_us(us, out);
    out.push(b'"');
}
