//! The order of a contact's commands while it is open whether they stand on the log.
//!
//! A command whose append was not answered goes into the outbox; a later one of the same contact must
//! not be there before it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parking_lot::Mutex;
use tokio::sync::Notify;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::headers::COMMAND;
use crate::event_log::NewRecord;

/// The commands under way, by contact.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queues: Mutex<Queues>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    last: u64,
    by_contact: BTreeMap<u64, VecDeque<u64>>,
}

/// The place of some commands; given up when dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    number: u64,
    contacts: BTreeSet<u64>,
}

impl Turns {
    /// A place behind all that are under way for the same contacts.
    pub(super) fn take(&self, records: &[NewRecord]) -> Turn<'_> {
        let is_command =
            |record: &&NewRecord| record.headers.iter().any(|(name, _)| name == COMMAND);
        let contacts: BTreeSet<u64> =
            records.iter().filter(is_command).map(|record| xxh3_64(&record.key)).collect();
        let mut queues = self.queues.lock();
        queues.last += 1;
        let number = queues.last;
        for contact in &contacts {
            queues.by_contact.entry(*contact).or_default().push_back(number);
        }
        Turn { turns: self, number, contacts }
    }
}

impl Turn<'_> {
    /// Waits until nothing earlier of its contacts is under way.
    pub(super) async fn first(&self) {
        loop {
            let moved = self.turns.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.is_first() {
                return;
            }
            moved.await;
        }
    }

    fn is_first(&self) -> bool {
        let queues = self.turns.queues.lock();
        let of = |contact| queues.by_contact.get(contact).and_then(VecDeque::front);
        self.contacts.iter().all(|contact| of(contact) == Some(&self.number))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queues = self.turns.queues.lock();
        for contact in &self.contacts {
            if let Some(queue) = queues.by_contact.get_mut(contact) {
                queue.retain(|number| *number != self.number);
                if queue.is_empty() {
                    queues.by_contact.remove(contact);
                }
            }
        }
        drop(queues);
        self.turns.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    fn command(id: &str) -> NewRecord {
        NewRecord {
            key: id.into(),
            value: None,
            headers: vec![(COMMAND.to_owned(), None)],
            timestamp_ms: 0,
            lane: None,
        }
    }

    #[tokio::test]
    async fn a_later_command_of_a_contact_waits_for_the_earlier_ones() {
        let turns = Turns::default();
        let first = turns.take(&[command("a"), command("b")]);
        let (second, other) = (turns.take(&[command("b")]), turns.take(&[command("c")]));
        let event = turns.take(&[NewRecord { headers: Vec::new(), ..command("a") }]);
        first.first().await;
        other.first().await;
        event.first().await;
        let mut waiting = pin!(second.first());
        assert!(poll!(&mut waiting).is_pending());
        drop(first);
        waiting.await;
        drop((other, event));
    }
}
