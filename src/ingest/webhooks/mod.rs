//! Webhooks: a signed body becomes records for the contact log.
//!
//! ```text
//! raw body ─► signature (over the raw bytes) ─► one event or an array ─► schema ─► decode (as applying
//! will) ─► NewRecord (the event's own bytes, keyed by its contact) ─► Intake
//! ```
//!
//! What is refused here is refused with its reason, and not kept; what is kept can be applied.

mod cloudevent;
mod first_times;
mod signature;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::config::WebhooksConfig;
use crate::domain::Class;
use crate::domain::decode::{ITEMS_BYTES_MAX, Item, Most, Reject, TooMany, give_id};
use crate::domain::event::{Event, EventKind};
use crate::domain::headers::{EVENT_ID, REQUEST_ID, SOURCE, TIME};
use crate::domain::merge::merge;
use crate::domain::position::{Lane, Offset};
use crate::domain::record::{NamedValues, RecordBatch, header_refs};
use crate::domain::sources::ACME;
use crate::domain::verdict::DeadLetterReason;
use crate::event_log::NewRecord;
use crate::telemetry::Throttle;

use super::PresentRules;
use super::command_record::COMMAND_ID;
use super::intake::{Intake, IntakeError, Kept};
use super::whose::{self, WhoseError};

use first_times::RepeatKey;
use source::Source;

pub use signature::{
    Message, SecretError, SignatureError, Verified, Verifier, sign, sign_acme, signed_headers,
};
pub use source::WebhookSetupError;

/// Why a webhook was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// No such source is configured.
    #[error("there is no webhook source {name}")]
    UnknownSource {
        /// As the path names it.
        name: String,
    },
    /// It is not believed.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The body is neither an event nor an array of events.
    #[error("{0}")]
    Body(String),
    /// More events than one request may carry.
    #[error(
        "there are {events} events, one for each contact, and at most {events_max} are taken at once"
    )]
    TooMany {
        /// How many there are.
        events: usize,
        /// How many there may be.
        events_max: usize,
    },
    /// It is kept nowhere.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl From<WhoseError> for WebhookError {
    fn from(error: WhoseError) -> Self {
        Self::Intake(IntakeError::Unavailable(error.to_string()))
    }
}

impl WebhookError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::UnknownSource { .. } | Self::Body(_) | Self::TooMany { .. } => Class::Poison,
            Self::Signature(error) => error.class(),
            Self::Intake(error) => error.class(),
        }
    }
}

/// What became of one event of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemReport {
    /// The event's id, where it has one or one was made from its bytes.
    pub event_id: Option<String>,
    /// The contact that it is about.
    pub contact_id: Option<String>,
    /// Why it was rejected: a stable word; none: it was accepted.
    pub reason: Option<&'static str>,
    /// Why it was rejected, in words.
    pub detail: Option<String>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Of each event, in order.
    pub items: Vec<ItemReport>,
    /// Whether the body was an array.
    pub is_array: bool,
    /// Where the accepted ones are kept; none: there are none.
    pub kept: Option<Kept>,
}

/// What a request carries.
#[derive(Debug, Default)]
pub struct Checked {
    /// What becomes of each event, in order.
    pub items: Vec<ItemReport>,
    /// What is to be kept of those that are accepted.
    pub records: Vec<NewRecord>,
    /// Whether the body was an array.
    pub is_array: bool,
    /// By which id each names its contact is its record's key so far.
    /// And whether it is the echo of a write of our own.
    kinds: Vec<(EventKind, bool)>,
    keys: Vec<Option<RepeatKey>>,
}

/// The sources that may send, and how their events are checked.
pub struct Webhooks {
    sources: BTreeMap<String, Source>,
    /// Configured, and without a secret.
    secretless: BTreeSet<String>,
    /// Anybody can send what is not believed.
    hints: Throttle,
    default_source: String,
    events_max: usize,
    rules: PresentRules,
    /// Whose contacts the sync keeps like ours, one by one.
    synced: Option<String>,
}

/// One event as it was sent.
#[derive(Clone, Copy)]
struct Sent<'s> {
    text: &'s [u8],
    /// Attributes of a binary CloudEvent, whose data the text is.
    attributes: Option<&'s NamedValues>,
    request_id: Option<&'s [u8]>,
    /// Its place in an array.
    place: Option<usize>,
    /// Which of the contacts that it is about.
    contact: Option<&'s [u8]>,
}

impl Sent<'_> {
    /// Its id, by that of the message that it came in.
    fn id_of(&self, message: &str) -> String {
        self.place.map_or_else(|| message.to_owned(), |place| format!("{message}:{place}"))
    }
}

/// One event on its way to a record.
enum Prepared {
    Accepted(ItemReport, NewRecord, EventKind, Option<RepeatKey>),
    Rejected(ItemReport),
}

impl Webhooks {
    /// As configured; events are decoded as applying will decode them.
    ///
    /// # Errors
    /// A secret or a schema that can't be used.
    pub fn new(config: &WebhooksConfig, rules: PresentRules) -> Result<Self, WebhookSetupError> {
        let tolerance_ms = u64::try_from(config.tolerance.as_millis()).unwrap_or(u64::MAX);
        let (mut sources, mut secretless) = (BTreeMap::new(), BTreeSet::new());
        for (name, source) in &config.sources {
            match Source::new(name, source, tolerance_ms)? {
                Some(built) => _ = sources.insert(name.clone(), built),
                None => _ = secretless.insert(name.clone()),
            }
        }
        Ok(Self {
            sources,
            secretless,
            hints: Throttle::a_minute(),
            default_source: config.default_source.clone(),
            events_max: config.events_max,
            rules,
            synced: None,
        })
    }

    /// The source that the sync keeps alike. What it says of a contact that was merged is that contact's, which
    /// is deleted there too: the survivor must not take the echo of what we have told of the other.
    #[must_use]
    pub fn with_synced(self, synced: Option<String>) -> Self {
        Self { synced, ..self }
    }

    /// The sources that have a secret: name, how each signs, and how many secrets are taken.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        let sources = self.sources.values();
        sources.map(|source| {
            let verifier = &source.verifier;
            (source.name.as_str(), verifier.form().name.as_str(), verifier.secrets())
        })
    }

    /// The source of webhooks whose path names none.
    pub fn default_source(&self) -> &str {
        &self.default_source
    }

    /// Verifies, checks and keeps what a request carries. `source`: as the path names it; none: the
    /// default one. `url`: as the sender wrote it.
    ///
    /// # Errors
    /// What holds for the whole request. An event that is rejected is no error, but an item.
    pub async fn receive<'h>(
        &self,
        intake: &Intake,
        source: Option<&str>,
        header: impl Fn(&str) -> Option<&'h [u8]>,
        url: &str,
        body: &[u8],
        now_ms: u64,
    ) -> Result<Received, WebhookError> {
        let checked = self.check(source, header, url, body, now_ms)?;
        let Checked { mut items, records, is_array, kinds, keys } = checked;
        let name = source.unwrap_or(&self.default_source);
        let mut records = match self.synced.as_deref() == Some(name) {
            true => records,
            false => whose::find_all(&self.rules, name, records, kinds).await?,
        };
        let accepted = items.iter_mut().filter(|item| item.reason.is_none());
        for (item, record) in accepted.zip(&records) {
            item.contact_id = Some(text_of(&record.key));
        }
        if let Some(store) = self.rules.store() {
            records = first_times::give(store, records, keys).await;
        }
        let kept = if records.is_empty() { None } else { Some(intake.keep(records).await?) };
        Ok(Received { items, is_array, kept })
    }

    /// The same, but that nothing is kept, nor looked up whose it is.
    ///
    /// # Errors
    /// As there.
    pub fn check<'h>(
        &self,
        source: Option<&str>,
        header: impl Fn(&str) -> Option<&'h [u8]>,
        url: &str,
        body: &[u8],
        now_ms: u64,
    ) -> Result<Checked, WebhookError> {
        let name = source.unwrap_or(&self.default_source);
        let source = self.sources.get(name).ok_or_else(|| {
            self.tell_secretless(name);
            WebhookError::UnknownSource { name: name.to_owned() }
        })?;
        let verified = source.verifier.verify(&header, url, body, now_ms);
        if let Err(SignatureError::Mismatch { fits_body_alone }) = verified {
            source.tell_mismatch(fits_body_alone, url);
        }
        let verified = verified?;
        let request_id = header("x-request-id").filter(|id| id.len() <= 128);
        let attributes = cloudevent::attributes(&header, name, source.binary_cloudevents)?;
        let decoder = self.rules.decoder();
        let (events, is_array) = match &attributes {
            Some(_) => (vec![body], false),
            None => decoder
                .events(name.as_bytes(), body.trim_ascii())
                .map_err(|reject| WebhookError::Body(reject.to_string()))?,
        };
        let most = Most { items: self.events_max, bytes: ITEMS_BYTES_MAX };
        let items = decoder.items(name.as_bytes(), &events, most);
        let items = items.map_err(|too_many| self.too_many(too_many))?;
        let attributes = attributes.as_ref();
        let mut checked = Checked { is_array, ..Checked::default() };
        for Item { text, place, contact } in &items {
            let place = is_array.then_some(*place);
            let sent = Sent { text, attributes, request_id, place, contact: contact.as_deref() };
            match self.event(source, &verified, sent, now_ms) {
                Prepared::Accepted(item, record, kind, key) => {
                    let id = item.event_id.as_deref().unwrap_or_default();
                    let is_echo = id.starts_with(COMMAND_ID);
                    checked.items.push(item);
                    checked.records.push(record);
                    checked.kinds.push((kind, is_echo));
                    checked.keys.push(key);
                }
                Prepared::Rejected(item) => checked.items.push(item),
            }
        }
        Ok(checked)
    }

    /// The sender is not told which sources there are, so the log is.
    fn tell_secretless(&self, name: &str) {
        if let Some(setting) = self.missing_secret(name)
            && let Some(left_out) = self.hints.pass()
        {
            tracing::warn!(
                source = name,
                left_out,
                "a webhook is answered 404, for its source has no secret to verify it with: set {setting}"
            );
        }
    }

    /// The setting that a configured source lacks to take webhooks.
    fn missing_secret(&self, name: &str) -> Option<String> {
        let of_acme = || "acme.webhook_secret (ACME_WEBHOOK_SECRET)".to_owned();
        self.secretless.contains(name).then(|| match name {
            ACME => of_acme(),
            name => format!("source.{name}.secret or source.{name}.secret_file"),
        })
    }

    fn too_many(&self, too_many: TooMany) -> WebhookError {
        let (events, events_max) = (too_many.items, self.events_max);
        if events > events_max {
            return WebhookError::TooMany { events, events_max };
        }
        WebhookError::Body(too_many.to_string())
    }

    fn event(&self, source: &Source, verified: &Verified, sent: Sent<'_>, now_ms: u64) -> Prepared {
        let text = sent.text;
        let mut headers = vec![(SOURCE.to_owned(), Some(source.name.clone().into_bytes()))];
        if let Some(request_id) = sent.request_id {
            headers.push((REQUEST_ID.to_owned(), Some(request_id.to_vec())));
        }
        headers.extend(sent.attributes.into_iter().flatten().cloned());
        let decoded = self.decode(&headers, text, sent.contact, now_ms);
        let (mut batch, mut event) = match decoded {
            Ok(decoded) => decoded,
            Err(reject) => {
                return Prepared::Rejected(rejected(None, reject.reason.as_str(), reject.detail));
            }
        };
        // What it lacks goes into headers: its own bytes stay as they were signed, so that a repeat is
        // known by them.
        if let (None, Some(signed_us)) = (event.timestamp, verified.timestamp_us) {
            // Those of one array stand in their order.
            let signed_us = signed_us.saturating_add(sent.place.unwrap_or(0) as u64);
            headers.push((TIME.to_owned(), Some(signed_us.to_string().into_bytes())));
            event.timestamp = Some(signed_us);
        }
        if !event.is_id_given && source.verifier.form().signs_time() {
            let message = verified.message_id.as_deref();
            let id = message.map_or_else(|| id_of_bytes(source, text), |id| sent.id_of(id));
            // Where that can't be one, an id is made from its bytes.
            if give_id(&mut batch, &mut event, &id) {
                headers.push((EVENT_ID.to_owned(), Some(id.into_bytes())));
            }
        }
        let refusal = self.refusal(source, &event, &sent, now_ms);
        if let Some((reason, detail)) = refusal.or_else(|| self.too_large(&batch, &event, text)) {
            return Prepared::Rejected(rejected(Some((&batch, &event)), reason, detail));
        }
        let report = ItemReport {
            event_id: Some(text_of(event.event_id.of(&batch.arena))),
            contact_id: Some(text_of(event.contact_id.of(&batch.arena))),
            reason: None,
            detail: None,
        };
        let repeat = RepeatKey::of(&batch, &event);
        let key = event.contact_id.of(&batch.arena).to_vec();
        let timestamp_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let kind = event.kind;
        let value = batch.into_value();
        let record = NewRecord { key, value, headers, timestamp_ms, lane: None };
        Prepared::Accepted(report, record, kind, repeat)
    }

    fn decode(
        &self,
        headers: &NamedValues,
        value: &[u8],
        key: Option<&[u8]>,
        now_ms: u64,
    ) -> Result<(RecordBatch, Event), Reject> {
        let mut batch = RecordBatch::new(Lane(0));
        let timestamp_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        batch.push(Offset(0), timestamp_ms, key, Some(value), header_refs(headers));
        let event = self.rules.decoder().decode(&mut batch, 0)?;
        Ok((batch, event))
    }

    /// An event of which no contact could be made is refused while its sender listens.
    fn too_large(
        &self,
        batch: &RecordBatch,
        event: &Event,
        value: &[u8],
    ) -> Option<(&'static str, String)> {
        let rules = self.rules.get();
        let limits = rules.limits();
        if value.len() <= limits.contact_bytes_max {
            return None;
        }
        let error = merge(None, event, &batch.arena, 0, limits, &mut Vec::new()).err()?;
        Some((DeadLetterReason::TooLarge.as_str(), error.to_string()))
    }

    /// Why a decoded event is not taken, if it is not.
    fn refusal(
        &self,
        source: &Source,
        event: &Event,
        sent: &Sent<'_>,
        now_ms: u64,
    ) -> Option<(&'static str, String)> {
        let Some(timestamp_ms) = event.timestamp.map(|us| us / 1000) else {
            let detail = "the event has no timestamp, and the signature vouches for none";
            return Some(("timestamp_missing", detail.to_owned()));
        };
        let latest = now_ms.saturating_add(self.rules.get().future_tolerance_ms());
        if timestamp_ms > latest {
            let detail = format!(
                "the event is dated {} ms ahead of this server's clock",
                timestamp_ms - now_ms
            );
            return Some(("timestamp_in_future", detail));
        }
        if !source.verifier.form().signs_time() && !event.is_id_given {
            let detail = "the event has no id, which it needs where its time is not signed";
            return Some(("id_missing", detail.to_owned()));
        }
        if sent.attributes.is_some() {
            // They are for events that are JSON as a whole.
            return None;
        }
        let problem = source.schemas.problem(event.kind, sent.text);
        problem.map(|problem| (DeadLetterReason::Schema.as_str(), problem))
    }
}

/// The id of an event that has none, so that a delivery that is repeated is known as such.
fn id_of_bytes(source: &Source, text: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(source.name.as_bytes());
    hasher.update([0]);
    hasher.update(text);
    URL_SAFE_NO_PAD.encode(hasher.finalize())
}

fn rejected(
    decoded: Option<(&RecordBatch, &Event)>,
    reason: &'static str,
    detail: String,
) -> ItemReport {
    let id = |span: fn(&Event) -> crate::domain::span::Span| {
        decoded.map(|(batch, event)| text_of(span(event).of(&batch.arena)))
    };
    ItemReport {
        event_id: id(|event| event.event_id),
        contact_id: id(|event| event.contact_id),
        reason: Some(reason),
        detail: Some(detail),
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
