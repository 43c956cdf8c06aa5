//! The bounded way from a log's reading thread to whoever consumes it.
//!
//! ```text
//! log thread ─► DeliverySender ═(bounded by records and bytes)═► Consumer ─► apply
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::domain::position::{Lane, NextOffset};
use crate::domain::record::RecordBatch;

use super::LogError;

/// Emptied batches kept for their memory, which the bytes that may wait bound as well.
const SPARES_MAX: usize = 32;

/// How much may wait between the log's thread and the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumeBounds {
    /// Records at most.
    pub records_max: usize,
    /// Record bytes at most.
    pub bytes_max: usize,
}

/// What a consumer gets.
#[derive(Debug)]
pub enum Delivery {
    /// Records of one lane, following the last ones.
    Batch(RecordBatch),
    /// Everything the lane held a moment ago has been delivered.
    CaughtUp(Lane),
}

/// How a lane stands, readable from any thread.
#[derive(Debug)]
pub struct LaneStatus {
    /// Where reading began.
    first: NextOffset,
    /// The lane's high watermark as last heard of, records of open transactions counted.
    pub high: AtomicU64,
    /// Where an open transaction ends what can be read; `u64::MAX` while none does.
    pub readable: AtomicU64,
    /// The offset after the last record handed to the channel.
    pub next: AtomicU64,
    /// Whether the end was reached since the start; how far behind it is now, `high` tells.
    pub caught_up: AtomicBool,
}

impl LaneStatus {
    fn new(first: NextOffset) -> Self {
        Self {
            first,
            high: AtomicU64::new(first.0),
            readable: AtomicU64::new(u64::MAX),
            next: AtomicU64::new(first.0),
            caught_up: AtomicBool::new(false),
        }
    }

    /// Records that the log holds above what was applied of the lane, if anything was. What the log
    /// had dropped before reading began is not waited for.
    pub fn behind(&self, applied: Option<NextOffset>) -> u64 {
        self.before(applied, u64::MAX)
    }

    /// Those of them that can be read: no open transaction stands in front of them.
    pub fn behind_readable(&self, applied: Option<NextOffset>) -> u64 {
        self.before(applied, self.readable.load(Ordering::Acquire))
    }

    fn before(&self, applied: Option<NextOffset>, end: u64) -> u64 {
        let next = applied.map_or(self.first, |applied| applied.max(self.first));
        self.high.load(Ordering::Acquire).min(end).saturating_sub(next.0)
    }
}

/// How a consumer's lanes stand, for readiness and metrics.
#[derive(Debug)]
pub struct ConsumerStatus {
    /// More come when partitions are added.
    lanes: RwLock<BTreeMap<Lane, Arc<LaneStatus>>>,
    /// Why nothing comes at the moment; `None` while all is well.
    trouble: Mutex<Option<String>>,
    /// The trouble is that there is no such topic any more.
    gone: AtomicBool,
    /// Why no control records come, where they are read apart.
    control_trouble: Mutex<Option<String>>,
    /// Lanes that another producer's open transaction has stood in front of for long, and what to do.
    held: Mutex<BTreeMap<Lane, String>>,
}

impl ConsumerStatus {
    fn new(from: &BTreeMap<Lane, NextOffset>) -> Self {
        let lanes = from.iter().map(|(id, next)| (*id, Arc::new(LaneStatus::new(*next))));
        Self {
            lanes: RwLock::new(lanes.collect()),
            trouble: Mutex::new(None),
            gone: AtomicBool::new(false),
            control_trouble: Mutex::new(None),
            held: Mutex::default(),
        }
    }

    /// Every lane that is consumed, in order.
    pub fn lanes(&self) -> Vec<(Lane, Arc<LaneStatus>)> {
        let lanes = self.lanes.read();
        lanes.iter().map(|(lane, status)| (*lane, Arc::clone(status))).collect()
    }

    /// One lane.
    pub fn lane(&self, lane: Lane) -> Option<Arc<LaneStatus>> {
        self.lanes.read().get(&lane).cloned()
    }

    /// One lane more, read from its start.
    pub fn add_lane(&self, lane: Lane) {
        let new = || Arc::new(LaneStatus::new(NextOffset(0)));
        self.lanes.write().entry(lane).or_insert_with(new);
    }

    /// Whether every lane is caught up.
    pub fn is_caught_up(&self) -> bool {
        self.lanes.read().values().all(|lane| lane.caught_up.load(Ordering::Acquire))
    }

    /// The outage that is being waited out, if any.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Whether what is waited for is a topic that was deleted: no outage that ends by itself.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Says that the topic was deleted, or that it is there after all.
    pub fn set_gone(&self, is_gone: bool) {
        self.gone.store(is_gone, Ordering::Release);
    }

    /// Why no control records come, where they are read apart.
    pub fn control_trouble(&self) -> Option<String> {
        self.control_trouble.lock().clone()
    }

    /// Says that control records don't come, or that they do again.
    pub fn set_control_trouble(&self, trouble: Option<String>) {
        *self.control_trouble.lock() = trouble;
    }

    /// The open transactions that hold lanes back, if any.
    pub fn held(&self) -> Option<String> {
        let held = self.held.lock();
        let texts: Vec<&str> = held.values().map(String::as_str).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// Says that an open transaction holds a lane back, or that none does.
    pub fn set_held(&self, lane: Lane, text: Option<String>) {
        let mut held = self.held.lock();
        match text {
            Some(text) => drop(held.insert(lane, text)),
            None => drop(held.remove(&lane)),
        }
    }

    /// Says that the log is waiting for something, or that it no longer is.
    pub fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock() = trouble;
    }
}

/// What both ends share.
#[derive(Debug)]
struct Channel {
    bounds: ConsumeBounds,
    queue: Mutex<Queue>,
    /// The consumer waits here for deliveries.
    filled: Condvar,
    /// The log's thread waits here for room.
    drained: Condvar,
    status: Arc<ConsumerStatus>,
}

#[derive(Debug, Default)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    records: usize,
    bytes: usize,
    /// Emptied batches, for their memory: fresh memory costs more than filling it.
    spares: Vec<RecordBatch>,
    spare_bytes: usize,
    /// Why the log's thread ended.
    failure: Option<LogError>,
    feed_ended: bool,
    consumer_gone: bool,
}

impl Queue {
    fn has_room(&self, bounds: &ConsumeBounds) -> bool {
        // One batch always fits, whatever its size, or a large record would stop the lane for good.
        self.records == 0 || (self.records < bounds.records_max && self.bytes < bounds.bytes_max)
    }
}

/// The log's end. Dropping it without [`DeliverySender::fail`] ends the consumer with `Closed`.
#[derive(Debug)]
pub struct DeliverySender {
    channel: Arc<Channel>,
    /// Another thread's beside the one that the consumer lives by.
    is_second: bool,
}

impl DeliverySender {
    /// For a second thread that reads other lanes of the same consumer. Its end is not the
    /// consumer's.
    pub fn second(&self) -> Self {
        Self { channel: Arc::clone(&self.channel), is_second: true }
    }

    /// Where the lanes stand.
    pub fn status(&self) -> &ConsumerStatus {
        &self.channel.status
    }

    /// Whether the next batch would be taken at once.
    pub fn has_room(&self) -> bool {
        self.channel.queue.lock().has_room(&self.channel.bounds)
    }

    /// Whether the consumer is gone, so that the thread should end.
    pub fn is_stopped(&self) -> bool {
        self.channel.queue.lock().consumer_gone
    }

    /// Waits until there is room, the consumer is gone, or `wait` has passed; true: there is room.
    pub fn wait_for_room(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut queue = self.channel.queue.lock();
        while !queue.consumer_gone && !queue.has_room(&self.channel.bounds) {
            if self.channel.drained.wait_until(&mut queue, deadline).timed_out() {
                break;
            }
        }
        !queue.consumer_gone && queue.has_room(&self.channel.bounds)
    }

    /// Hands a delivery over without waiting and beyond the bounds if need be: ask
    /// [`DeliverySender::has_room`] before. False: the consumer is gone.
    pub fn push(&self, delivery: Delivery) -> bool {
        let mut queue = self.channel.queue.lock();
        if queue.consumer_gone {
            return false;
        }
        self.record_progress(&delivery);
        if let Delivery::Batch(batch) = &delivery {
            queue.records += batch.records.len();
            queue.bytes += batch.bytes();
        }
        queue.deliveries.push_back(delivery);
        self.channel.filled.notify_one();
        true
    }

    /// Hands a delivery over, waiting while there is no room. False: the consumer is gone.
    pub fn send(&self, delivery: Delivery) -> bool {
        let mut queue = self.channel.queue.lock();
        while !queue.consumer_gone && !queue.has_room(&self.channel.bounds) {
            self.channel.drained.wait(&mut queue);
        }
        drop(queue);
        self.push(delivery)
    }

    fn record_progress(&self, delivery: &Delivery) {
        match delivery {
            Delivery::Batch(batch) => {
                if let Some(lane) = self.status().lane(batch.lane) {
                    lane.next.store(batch.next.0, Ordering::Release);
                    lane.high.fetch_max(batch.next.0, Ordering::AcqRel);
                }
            }
            Delivery::CaughtUp(lane) => {
                if let Some(lane) = self.status().lane(*lane) {
                    lane.caught_up.store(true, Ordering::Release);
                }
            }
        }
    }

    /// An empty batch for a lane, in the memory of one that was consumed if there is such.
    pub fn empty_batch(&self, lane: Lane) -> RecordBatch {
        let mut queue = self.channel.queue.lock();
        let Some(spare) = queue.spares.pop() else {
            return RecordBatch::new(lane);
        };
        queue.spare_bytes = queue.spare_bytes.saturating_sub(spare.arena.capacity());
        RecordBatch { lane, ..spare }
    }

    /// Gives the memory of consumed batches back: nothing comes at the moment.
    pub fn drop_spares(&self) {
        let mut queue = self.channel.queue.lock();
        queue.spare_bytes = 0;
        let spares = std::mem::take(&mut queue.spares);
        drop(queue);
        drop(spares);
    }

    /// Ends the consumer with an error, once it has taken what was delivered before.
    pub fn fail(self, error: LogError) {
        self.channel.queue.lock().failure = Some(error);
    }
}

impl Drop for DeliverySender {
    fn drop(&mut self) {
        if self.is_second {
            return;
        }
        self.channel.queue.lock().feed_ended = true;
        self.channel.filled.notify_all();
    }
}

/// Reads a log's lanes in order. Dropping it stops the log's thread.
pub struct Consumer {
    channel: Arc<Channel>,
    topic: String,
    /// Called at the end, for a thread that sleeps elsewhere than in the channel.
    wake: Option<Box<dyn Fn() + Send>>,
    threads: Vec<JoinHandle<()>>,
}

/// Both ends of a consumer for the lanes of `from`.
pub fn deliveries(
    topic: &str,
    from: &BTreeMap<Lane, NextOffset>,
    bounds: ConsumeBounds,
) -> (DeliverySender, Consumer) {
    let channel = Arc::new(Channel {
        bounds,
        queue: Mutex::default(),
        filled: Condvar::new(),
        drained: Condvar::new(),
        status: Arc::new(ConsumerStatus::new(from)),
    });
    let sender = DeliverySender { channel: Arc::clone(&channel), is_second: false };
    (sender, Consumer { channel, topic: topic.to_owned(), wake: None, threads: Vec::new() })
}

impl Consumer {
    /// A thread to be joined at the end, and what wakes it when the consumer is gone.
    pub fn with_thread(mut self, thread: JoinHandle<()>, wake: impl Fn() + Send + 'static) -> Self {
        self.threads.push(thread);
        self.wake = Some(Box::new(wake));
        self
    }

    /// The next delivery, or `None` when nothing came within `wait`.
    ///
    /// # Errors
    /// Only what waiting can't heal; an outage is waited out and shows in [`Consumer::status`].
    /// After an error there is nothing more to come: the next call says `Closed`.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Delivery>, LogError> {
        let deadline = Instant::now() + wait;
        let mut queue = self.channel.queue.lock();
        loop {
            if let Some(delivery) = queue.deliveries.pop_front() {
                if let Delivery::Batch(batch) = &delivery {
                    queue.records = queue.records.saturating_sub(batch.records.len());
                    queue.bytes = queue.bytes.saturating_sub(batch.bytes());
                    self.channel.drained.notify_all();
                }
                return Ok(Some(delivery));
            }
            if let Some(failure) = queue.failure.take() {
                return Err(failure);
            }
            if queue.feed_ended {
                return Err(LogError::Closed { topic: self.topic.clone() });
            }
            let timed_out = self.channel.filled.wait_until(&mut queue, deadline).timed_out();
            if timed_out && queue.deliveries.is_empty() && !queue.feed_ended {
                return Ok(None);
            }
        }
    }

    /// Gives a batch back whose records were consumed, for its memory.
    pub fn recycle(&self, mut batch: RecordBatch) {
        batch.clear();
        let mut queue = self.channel.queue.lock();
        let bytes = queue.spare_bytes + batch.arena.capacity();
        if bytes <= self.channel.bounds.bytes_max && queue.spares.len() < SPARES_MAX {
            queue.spare_bytes = bytes;
            queue.spares.push(batch);
        }
    }

    /// How the lanes stand, for other threads.
    pub fn status(&self) -> Arc<ConsumerStatus> {
        Arc::clone(&self.channel.status)
    }

    /// Tells the reading thread to end; dropping the consumer waits for it.
    pub fn leave(&self) {
        {
            let mut queue = self.channel.queue.lock();
            queue.consumer_gone = true;
            queue.deliveries.clear();
        }
        self.channel.drained.notify_all();
        if let Some(wake) = &self.wake {
            wake();
        }
    }

    /// Ends the reading thread and waits for it.
    pub fn stop(self) {}
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.leave();
        for thread in self.threads.drain(..) {
            // A panic of the thread has shown itself as `Closed` to whoever still read.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::Offset;

    const BOUNDS: ConsumeBounds = ConsumeBounds { records_max: 100, bytes_max: 64 };

    fn batch(bytes: usize) -> RecordBatch {
        let mut batch = RecordBatch::new(Lane(1));
        batch.push(Offset(5), 1, None, Some(&vec![b'x'; bytes]), std::iter::empty());
        batch.leader_epoch = Some(3);
        batch
    }

    #[test]
    fn recycled_batch_comes_back_empty_and_memory_kept_is_bounded() {
        let (sender, consumer) = deliveries("contacts", &BTreeMap::new(), BOUNDS);
        consumer.recycle(batch(40));
        consumer.recycle(batch(60));
        let again = sender.empty_batch(Lane(2));
        assert!(again.arena.capacity() >= 40 && again.bytes() == 0);
        assert_eq!((again.lane, again.next, again.leader_epoch), (Lane(2), NextOffset(0), None));
        assert_eq!(sender.empty_batch(Lane(2)).arena.capacity(), 0, "the larger one was too much");
        consumer.recycle(batch(60));
        sender.drop_spares();
        assert_eq!(sender.empty_batch(Lane(2)).arena.capacity(), 0);
    }
}
