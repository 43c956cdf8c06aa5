//! What the API wants done to contacts, as commands on the log, and what becomes of them.
//!
//! ```text
//! Command ─► stamp ─► record ─► decoded once, as applying will ─► append ─► verdict ─► Submitted
//! ```
//!
//! A command says what its client wants, and its client's own condition; apply alone decides, at its
//! place. It is stamped past everything that is known of its contact, so an editor whose clock is
//! behind loses nothing to events that it has seen. Dropping the future takes nothing back: what was
//! appended is applied, and told by its event id.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::Class;
use crate::domain::command::{Condition, Intent};
use crate::domain::decode::Decoder;
use crate::domain::merge::{MergeError, merge};
use crate::domain::position::{Lane, Offset};
use crate::domain::record::{RecordBatch, header_refs};
use crate::domain::verdict::DeadLetterReason;
use crate::event_log::{Ack, NewRecord};
use crate::store::{Expected, Reader, RecordOutcome, StoreError};

use super::intake::{Intake, IntakeError, Kept};
use super::patch::ContactPatch;
use super::stamps::Stamps;
use super::{PresentRules, command_record, now_ms};

/// Who gives a command, and by which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// `user:ada`, `key:ci`: what history shows.
    pub principal: Arc<str>,
    /// The request's id.
    pub request_id: Arc<str>,
}

/// One command of one contact.
#[derive(Clone, Debug)]
pub struct Command {
    /// What is wanted.
    pub intent: Intent,
    /// The contact.
    pub id: String,
    /// What it says about the content.
    pub patch: ContactPatch,
    /// On which states of the contact it may be done.
    pub condition: Condition,
    /// Names the command: a second one of this id on the same contact is a retry.
    pub event_id: String,
    /// Stands for what was asked for, so that a retry is told from another request of this id.
    pub request_hash: Option<[u8; 16]>,
    /// Into whom the contact is merged, where that is the matter.
    pub survivor: Option<String>,
    /// Who gives it.
    pub author: Author,
}

/// One command of a payment, which belongs to a contact.
#[derive(Clone, Debug)]
pub struct PaymentCommand {
    /// What is wanted.
    pub intent: Intent,
    /// The contact.
    pub contact_id: String,
    /// Names the command: a second one of this id on the same payment is a retry.
    pub event_id: String,
    /// Stands for what was asked for, so that a retry is told from another request of this id.
    pub request_hash: Option<[u8; 16]>,
    /// What it says, as an event of a payment says it.
    pub data: serde_json::Value,
    /// It is stamped later than this, in µs since 1970.
    pub after_us: Option<u64>,
    /// Who gives it.
    pub author: Author,
}

/// What is known of a command.
#[derive(Debug)]
pub enum Submitted {
    /// What became of it.
    Decided(RecordOutcome),
    /// It is on the log, or in the outbox, and not applied yet.
    Kept,
}

/// Why a command was not kept.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It would be set aside when it is applied.
    #[error("{detail}")]
    Refused {
        /// As applying would name it.
        reason: DeadLetterReason,
        /// What is wrong with it.
        detail: String,
    },
    /// The log did not say that it has it; it may stand there all the same.
    #[error("the contact log did not acknowledge it: {detail}")]
    NotAcknowledged {
        /// What the log says.
        detail: String,
        /// By which it is found if it stands there; none: it was not handed over.
        event_id: Option<String>,
    },
    /// The store has stopped.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommandError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused { .. } => Class::Poison,
            Self::NotAcknowledged { .. } => Class::Retry,
            Self::Store(error) => error.class(),
        }
    }
}

/// Gives commands; cheap to clone.
#[derive(Clone)]
pub struct Commands(Arc<Shared>);

struct Shared {
    intake: Arc<Intake>,
    reader: Reader,
    /// What applying will go by.
    rules: PresentRules,
    stamps: Stamps,
}

/// Until when to wait, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// The end of it.
    pub until: Instant,
    /// For what became of it, or only until the log has it.
    pub for_outcome: bool,
}

impl Wait {
    /// Until so long from now.
    pub fn of(time: Duration, for_outcome: bool) -> Self {
        Self { until: Instant::now() + time, for_outcome }
    }
}

impl Commands {
    /// Kept by the intake, decided by the store that follows it.
    pub fn new(intake: Arc<Intake>, reader: Reader, rules: PresentRules, stamps: Stamps) -> Self {
        intake.tells(reader.clone());
        // What waits is not applied yet, and later commands of its contacts come behind it.
        if let Some(outbox) = intake.outbox() {
            let given = outbox.commands(|contact_id, command| {
                if let Some(stamp) = command.stamp() {
                    stamps.given(contact_id, stamp);
                }
            });
            if let Err(error) = given {
                tracing::warn!(%error, "the times of commands that wait are not known");
            }
        }
        Self(Arc::new(Shared { intake, reader, rules, stamps }))
    }

    /// Told at an orderly end, after which few or none are given.
    pub fn end(&self) {
        if let Err(error) = self.0.stamps.give_back() {
            tracing::debug!(%error, "the times that were reserved are not given back");
        }
    }

    /// The store that decides.
    pub fn reader(&self) -> &Reader {
        &self.0.reader
    }

    /// What understands commands as applying will.
    pub(super) fn decoder(&self) -> Arc<Decoder> {
        self.0.rules.decoder()
    }

    /// Keeps all that can be applied with one append, and waits for what becomes of each. The
    /// answers stand in the order of the commands.
    pub async fn submit(
        &self,
        commands: &[Command],
        wait: Wait,
    ) -> Vec<Result<Submitted, CommandError>> {
        let mut answers = Vec::with_capacity(commands.len());
        let (mut records, mut expected) = (Vec::new(), Vec::new());
        for command in commands {
            match self.record(command) {
                Ok(record) => {
                    let hash = xxh3_64(command.event_id.as_bytes());
                    expected.push((answers.len(), self.0.reader.expect(hash)));
                    records.push(record);
                    answers.push(Ok(Submitted::Kept));
                }
                Err(error) => answers.push(Err(error)),
            }
        }
        if records.is_empty() {
            return answers;
        }
        let kept = tokio::time::timeout_at(wait.until, self.0.intake.keep(records)).await;
        let (detail, why) = match kept {
            Ok(Ok(Kept::OnLog(acks))) => {
                return self.outcomes(answers, expected, acks, wait).await;
            }
            // Nobody knows when it comes onto the log.
            Ok(Ok(Kept::InOutbox)) => return answers,
            Ok(Err(error)) => (error.to_string(), refusal(&error, expected.len())),
            Err(_elapsed) => ("it took too long".to_owned(), None),
        };
        for (place, expected) in expected {
            let event_id = commands.get(place).map(|command| command.event_id.as_str());
            let error = not_acknowledged(expected, event_id, why.as_deref(), detail.clone());
            set(&mut answers, place, Err(error));
        }
        answers
    }

    /// Gives one to the log, never to the outbox, and waits for what becomes of it; none: that is not
    /// known yet.
    ///
    /// # Errors
    /// When it can't be applied, or the log does not say that it has it.
    pub async fn decided(
        &self,
        command: &Command,
        until: Instant,
    ) -> Result<Option<RecordOutcome>, CommandError> {
        self.given(self.record(command)?, &command.event_id, until).await
    }

    /// The same of a command of a payment.
    ///
    /// # Errors
    /// As [`Self::decided`].
    pub async fn decided_of_payment(
        &self,
        command: &PaymentCommand,
        until: Instant,
    ) -> Result<Option<RecordOutcome>, CommandError> {
        let stamp = self.stamp(command.contact_id.as_bytes(), command.after_us)?;
        let record = command_record::payment_record(command, stamp, now_ms());
        self.check(&record)?;
        self.given(record, &command.event_id, until).await
    }

    async fn given(
        &self,
        record: NewRecord,
        event_id: &str,
        until: Instant,
    ) -> Result<Option<RecordOutcome>, CommandError> {
        let expected = self.0.reader.expect(xxh3_64(event_id.as_bytes()));
        let deciding = async {
            let acks = match self.0.intake.keep_on_log(vec![record]).await {
                Ok(acks) => acks,
                Err(error) => {
                    let (why, detail) = (refusal(&error, 1), error.to_string());
                    return Err(not_acknowledged(expected, Some(event_id), why.as_deref(), detail));
                }
            };
            match acks.first() {
                Some(Ack { lane, offset }) => Ok(Some(expected.outcome_at(*lane, *offset).await?)),
                None => Ok(None),
            }
        };
        tokio::time::timeout_at(until, deciding).await.unwrap_or(Ok(None))
    }

    async fn outcomes(
        &self,
        mut answers: Vec<Result<Submitted, CommandError>>,
        expected: Vec<(usize, Expected)>,
        acks: Vec<Ack>,
        wait: Wait,
    ) -> Vec<Result<Submitted, CommandError>> {
        if !wait.for_outcome {
            return answers;
        }
        for ((place, expected), ack) in expected.into_iter().zip(acks) {
            let outcome = expected.outcome_at(ack.lane, ack.offset);
            // Without one it is on the log, and applied at the latest by the next start.
            if let Ok(Ok(outcome)) = tokio::time::timeout_at(wait.until, outcome).await {
                set(&mut answers, place, Ok(Submitted::Decided(outcome)));
            }
        }
        answers
    }

    fn record(&self, command: &Command) -> Result<NewRecord, CommandError> {
        let id = command.id.as_bytes();
        let known = match self.0.reader.contact(id)? {
            Some(value) => value.view().ok().map(|view| view.head().ts_us),
            None => None,
        };
        let record = command_record::record(command, self.stamp(id, known)?, now_ms());
        self.check(&record)?;
        Ok(record)
    }

    /// Past what is known.
    fn stamp(&self, contact_id: &[u8], known: Option<u64>) -> Result<u64, CommandError> {
        self.0.stamps.next(contact_id, known).map_err(|error| {
            let detail = format!("its time can't be reserved: {error}");
            CommandError::NotAcknowledged { detail, event_id: None }
        })
    }

    /// What decoding would set aside is not appended, nor what no contact has room for: its client has the
    /// answer, and a dead letter beside it would be nobody's.
    fn check(&self, record: &NewRecord) -> Result<(), CommandError> {
        let mut batch = RecordBatch::new(Lane(0));
        let (key, value) = (Some(record.key.as_slice()), record.value.as_deref());
        batch.push(Offset(0), record.timestamp_ms, key, value, header_refs(&record.headers));
        let event = self.decoder().decode(&mut batch, 0).map_err(|reject| {
            CommandError::Refused { reason: reject.reason, detail: reject.detail }
        })?;
        let rules = self.0.rules.get();
        let limits = rules.limits();
        let fits = value.is_none_or(|value| value.len() <= limits.contact_bytes_max);
        if fits || event.payment.is_some() {
            return Ok(());
        }
        // Whatever the contact is, it would have all of this.
        match merge(None, &event, &batch.arena, record.timestamp_ms, limits, &mut Vec::new()) {
            Err(error @ MergeError::TooLarge { .. }) => Err(CommandError::Refused {
                reason: DeadLetterReason::TooLarge,
                detail: error.to_string(),
            }),
            Ok(_)
            | Err(
                MergeError::TooManyIds { .. } | MergeError::TooManyRefunds | MergeError::Corrupt(_),
            ) => Ok(()),
        }
    }
}

/// Why the log has none of so many records for certain, as anybody may know it; none: it may have them.
fn refusal(error: &IntakeError, records: usize) -> Option<String> {
    error.is_certain(records).then(|| match error {
        IntakeError::Refused(error) => error.to_string(),
        IntakeError::Unavailable(_) | IntakeError::Unacknowledged(_) => {
            "neither the contact log nor the outbox took it".to_owned()
        }
    })
}

/// `why`: none of this try stands anywhere. It is found by its event's id where it may stand all the same.
fn not_acknowledged(
    expected: Expected,
    event_id: Option<&str>,
    why: Option<&str>,
    detail: String,
) -> CommandError {
    let is_nowhere = why.is_some_and(|why| expected.refused(why));
    let event_id = event_id.filter(|_| !is_nowhere).map(str::to_owned);
    CommandError::NotAcknowledged { detail, event_id }
}

fn set<T>(answers: &mut [T], place: usize, answer: T) {
    if let Some(slot) = answers.get_mut(place) {
        *slot = answer;
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, EmbeddedLogConfig, Mode};
    use crate::domain::position::{LogIdentity, LogKind};
    use crate::domain::rules::RuleSet;
    use crate::event_log::EventLog;
    use crate::event_log::embedded::{EmbeddedLog, EmbeddedOptions};
    use crate::ingest::{IntakeOptions, Outbox};
    use crate::store::{self, Opened, Prospect, StoreConfig};

    use super::*;

    fn command(event_id: &str) -> Command {
        Command {
            intent: Intent::Update,
            id: "c1".to_owned(),
            patch: ContactPatch::default(),
            condition: Condition::default(),
            event_id: event_id.to_owned(),
            request_hash: None,
            survivor: None,
            author: Author { principal: Arc::from("user:ada"), request_id: Arc::from("r1") },
        }
    }

    struct World {
        store: Opened,
        log: EventLog,
        dir: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let cluster = "test".to_owned();
            let topic = "contacts".to_owned();
            let identity = LogIdentity { kind: LogKind::Embedded, cluster, topic };
            let options = StoreConfig::at(dir.path().join("store"));
            let store = store::open(options, Some(&identity), &|_| ()).unwrap();
            let config = Config::built_in(Mode::Dev).unwrap().embedded_log;
            let config = EmbeddedLogConfig { path: dir.path().join("log"), ..config };
            let log = EmbeddedLog::open(EmbeddedOptions::new(&config, "contacts")).unwrap();
            Self { store, log: EventLog::Embedded(Arc::new(log)), dir }
        }

        fn commands(&self, outbox: Option<Arc<Outbox>>, min_free_bytes: u64) -> Commands {
            let ack_timeout = Duration::from_secs(5);
            let path = self.dir.path().to_owned();
            let options = IntakeOptions { ack_timeout, path, min_free_bytes };
            let intake = Arc::new(Intake::new(self.log.clone(), outbox, options));
            let rules = PresentRules::new(Arc::new(RuleSet::built_in().unwrap()));
            Commands::new(intake, self.store.reader.clone(), rules, Stamps::in_memory())
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_kept_nowhere_is_known_to_be_refused() {
        let world = World::new();
        let commands = world.commands(None, u64::MAX);
        let wait = Wait::of(Duration::from_secs(20), true);
        let answers = commands.submit(&[command("e1")], wait).await;
        let none = matches!(
            answers.as_slice(),
            [Err(CommandError::NotAcknowledged { event_id: None, .. })]
        );
        assert!(none, "{answers:?}");
        commands.decided(&command("e2"), wait.until).await.unwrap_err();
        for event in ["e1", "e2"] {
            let prospect = world.store.reader.prospect(xxh3_64(event.as_bytes()));
            assert!(matches!(prospect, Prospect::Refused(_)), "{event}: {prospect:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_command_comes_behind_those_of_its_contact_that_wait_since_before_the_start() {
        let world = World::new();
        let outbox = || Arc::new(Outbox::open(&world.dir.path().join("outbox"), 1 << 20).unwrap());
        let before = outbox();
        let year_ahead = super::super::now_us() + 365 * 86_400_000_000;
        let waits = command_record::record(&command("e1"), year_ahead, now_ms());
        before.keep(vec![waits]).await.unwrap();
        before.shutdown().unwrap();
        drop(before);
        let after = outbox();
        // The contact log is away.
        let commands = world.commands(Some(Arc::clone(&after)), 0);
        let wait = Wait::of(Duration::from_secs(20), true);
        let answers = commands.submit(&[command("e2")], wait).await;
        assert!(matches!(answers.as_slice(), [Ok(Submitted::Kept)]), "{answers:?}");
        let mut stamps = Vec::new();
        after.commands(|_, command| stamps.extend(command.stamp())).unwrap();
        assert_eq!(stamps, [year_ahead, year_ahead + 1]);
        after.shutdown().unwrap();
    }
}
