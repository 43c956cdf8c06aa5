//! One client's stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::domain::position::Position;
use crate::shares::Who;
use crate::store::{ChangeRef, Changes, Reader};

use super::Start;
use super::chunk::{Chunk, Counts};
use super::error::FeedError;
use super::filter::Filter;
use super::hub::{Registration, Shared, Signal, blocking};
use super::ring::Found;
use super::sse::{self, ResetReason};
use super::states::{self, Told};

/// How often it is asked whether a client may still listen, while there is something to tell.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Whether a client may still listen: its token may have expired or been revoked.
pub type StillAllowed = Box<dyn FnMut() -> bool + Send>;

/// Who wants to listen.
pub struct Client {
    /// Where it begins.
    pub start: Start,
    /// What it wants to hear of.
    pub filter: Filter,
    /// Who it is.
    pub who: Who,
    /// Asked at every heartbeat.
    pub still_allowed: StillAllowed,
    /// Cuts its connection; none: there is nothing to cut.
    pub connection: Option<CancellationToken>,
}

/// A client's stream of text.
pub struct Subscription {
    feed: Arc<Shared>,
    reader: Reader,
    registration: Registration,
    signal: watch::Receiver<Signal>,
    filter: Filter,
    still_allowed: StillAllowed,
    checked: Instant,
    beat: u64,
    phase: Phase,
    /// The journal's place that it has come to; of no meaning before the contacts are all told.
    place: ChangeRef,
    /// What it has seen.
    seen: Arc<Position>,
    /// Where it ends, if not later.
    until: Option<ChangeRef>,
    /// Told before anything else.
    opening: Option<Bytes>,
}

enum Phase {
    /// It is told the contacts.
    States(mpsc::Receiver<Told>),
    /// It reads the journal.
    Behind,
    /// It reads the ring; this chunk is the next.
    Live(u64),
    Ended,
}

/// Where a stream begins.
struct Begin {
    phase: Phase,
    place: ChangeRef,
    seen: Arc<Position>,
    opening: Vec<u8>,
}

pub(super) async fn subscribe(
    feed: &Arc<Shared>,
    client: Client,
) -> Result<Subscription, FeedError> {
    let reader = feed.open_reader()?;
    let mut signal = feed.signal.subscribe();
    let beat = signal.borrow_and_update().beat;
    let registration = feed.register(&reader, client.who, client.connection)?;
    let until = client.start.ends.then(|| reader.changes_end());
    let begin = begin(feed, &reader, client.who, &client.start, &client.filter).await?;
    registration.vitals.set_sent_all(matches!(begin.phase, Phase::States(_)));
    Ok(Subscription {
        feed: Arc::clone(feed),
        reader,
        registration,
        signal,
        filter: client.filter,
        still_allowed: client.still_allowed,
        checked: Instant::now(),
        beat,
        phase: begin.phase,
        place: begin.place,
        seen: begin.seen,
        until,
        opening: Some(Bytes::from(begin.opening)),
    })
}

async fn begin(
    feed: &Arc<Shared>,
    reader: &Reader,
    who: Who,
    start: &Start,
    filter: &Filter,
) -> Result<Begin, FeedError> {
    let retry = feed.options.retry;
    let reason = match &start.after {
        Some(after) => match changes_after(reader, after).await {
            Ok(changes) => {
                let seen = Arc::new(changes.seen().clone());
                let opening = sse::opening(retry, Some(&seen));
                return Ok(Begin { phase: Phase::Behind, place: changes.place(), seen, opening });
            }
            Err(error) if start.snapshot && error.is_gone() => "position_gone",
            Err(error) => return Err(error),
        },
        None if start.snapshot => "requested",
        None => {
            let state = feed.state();
            let (place, seen) = state.ring.end();
            let opening = sse::opening(retry, Some(seen));
            let phase = Phase::Live(state.ring.next());
            return Ok(Begin { phase, place, seen: Arc::clone(seen), opening });
        }
    };
    let permit = feed.states_permit(who).await?;
    let mut opening = sse::opening(retry, None);
    opening.extend_from_slice(&sse::snapshot(reason));
    let told = states::start(reader.clone(), filter, start.include_deleted, permit);
    let seen = Arc::new(Position::default());
    Ok(Begin { phase: Phase::States(told), place: ChangeRef(0), seen, opening })
}

async fn changes_after(reader: &Reader, after: &Position) -> Result<Changes, FeedError> {
    let (reader, after) = (reader.clone(), after.clone());
    if reader.position().log != after.log {
        return Err(FeedError::AnotherLog);
    }
    blocking(move || reader.changes_after(&after)).await?.ok_or(FeedError::Gone)
}

impl Subscription {
    /// The next text, as soon as there is some; none: the stream has ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.registration.vitals.took_all();
        let text = self.text().await;
        self.feed.gave(&self.registration.vitals);
        text
    }

    async fn text(&mut self) -> Option<Bytes> {
        loop {
            if let Some(told) = self.told_first() {
                return told;
            }
            let found = match &mut self.phase {
                Phase::Live(number) => {
                    let number = *number;
                    self.live(number).await
                }
                Phase::Behind => match self.behind().await {
                    Ok(found) => found,
                    Err(error) => return self.fail(&error),
                },
                Phase::States(_) => self.states().await,
                Phase::Ended => return None,
            };
            if let Some(text) = found.filter(|text| !text.is_empty()) {
                return Some(text);
            }
        }
    }

    /// What comes before any change.
    fn told_first(&mut self) -> Option<Option<Bytes>> {
        if matches!(self.phase, Phase::Ended) {
            return Some(None);
        }
        if let Some(opening) = self.opening.take() {
            return Some(Some(opening));
        }
        if self.registration.vitals.is_overdue() {
            // Counted when it was seen.
            return Some(self.end(sse::reset(ResetReason::TooSlow)));
        }
        let signal = *self.signal.borrow_and_update();
        if signal.closing || self.is_all_told() {
            let last = self.heartbeat();
            return Some(self.end(last));
        }
        let is_beat = signal.beat != self.beat;
        if is_beat || self.checked.elapsed() >= CHECK_EVERY {
            (self.beat, self.checked) = (signal.beat, Instant::now());
            if !(self.still_allowed)() {
                return Some(self.end(sse::unauthorized()));
            }
        }
        is_beat.then(|| Some(Bytes::from(self.heartbeat())))
    }

    fn is_all_told(&self) -> bool {
        match &self.phase {
            Phase::Live(_) | Phase::Behind => self.until.is_some_and(|until| self.place >= until),
            Phase::States(_) | Phase::Ended => false,
        }
    }

    /// A filter may let nothing through for long: the position moves here.
    fn heartbeat(&self) -> Vec<u8> {
        match &self.phase {
            Phase::Live(_) | Phase::Behind => sse::heartbeat(Some(&self.seen)),
            Phase::States(_) | Phase::Ended => sse::heartbeat(None),
        }
    }

    async fn live(&mut self, number: u64) -> Option<Bytes> {
        let found = self.feed.state().ring.get(number);
        match found {
            Found::Chunk(chunk) => {
                self.phase = Phase::Live(number + 1);
                Some(self.take(&chunk))
            }
            Found::NotYet => {
                self.wait().await;
                None
            }
            Found::Gone => {
                self.phase = Phase::Behind;
                None
            }
        }
    }

    async fn behind(&mut self) -> Result<Option<Bytes>, FeedError> {
        let (number, until) = {
            let state = self.feed.state();
            (state.ring.number_at(self.place, &self.seen), state.ring.end().0)
        };
        if let Some(number) = number {
            self.phase = Phase::Live(number);
            return Ok(None);
        }
        if self.place >= until {
            self.wait().await;
            return Ok(None);
        }
        let feed = Arc::clone(&self.feed);
        let _turn = feed.catch_ups.acquire().await.map_err(|_| FeedError::Closing)?;
        let mut changes = self.reader.changes_at(self.place, self.seen.as_ref().clone());
        let filter = self.filter.clone();
        let chunk = blocking(move || Chunk::read(&mut changes, until, Some(&filter))).await?;
        Ok(Some(self.take(&chunk)))
    }

    async fn states(&mut self) -> Option<Bytes> {
        let Phase::States(told) = &mut self.phase else {
            return None;
        };
        let told = tokio::select! {
            told = told.recv() => told,
            _ = self.signal.changed() => return None,
        };
        match told {
            Some(Told::Text { text, contacts }) => {
                self.feed.metrics.states(contacts);
                Some(text)
            }
            Some(Told::All { place, seen, contacts }) => {
                self.registration.vitals.set_sent_all(false);
                let ready = sse::ready(&seen, contacts);
                (self.phase, self.place, self.seen) = (Phase::Behind, place, Arc::new(seen));
                Some(Bytes::from(ready))
            }
            Some(Told::Failed(error)) => self.fail(&error),
            None => self.fail(&FeedError::Panicked("the contacts were not all told".to_owned())),
        }
    }

    /// Until there is something new to look at.
    async fn wait(&mut self) {
        // The sender lives as long as the feed, of which this is a part.
        let _ = self.signal.changed().await;
    }

    fn take(&mut self, chunk: &Chunk) -> Bytes {
        (self.place, self.seen) = (chunk.end, Arc::clone(&chunk.seen));
        let (text, counts) = chunk.passing(&self.filter);
        self.count(&counts);
        text
    }

    fn count(&self, counts: &Counts) {
        self.feed.metrics.changes(counts);
    }

    fn fail(&mut self, error: &FeedError) -> Option<Bytes> {
        if let FeedError::Store(damage) = error
            && damage.is_about_data()
        {
            tracing::error!(%error, "a feed's client must begin anew; see `contactd store verify`");
        }
        if error.is_gone() {
            return self.reset(ResetReason::PositionGone);
        }
        tracing::error!(%error, "a feed's client is told to come back");
        self.reset(ResetReason::Failed)
    }

    fn reset(&mut self, reason: ResetReason) -> Option<Bytes> {
        self.feed.metrics.reset(reason.as_str());
        self.end(sse::reset(reason))
    }

    /// The last text.
    fn end(&mut self, last: Vec<u8>) -> Option<Bytes> {
        self.phase = Phase::Ended;
        Some(Bytes::from(last))
    }
}
