//! Subscriptions as they are asked for: made, changed, looked at, tried, and told once more.

use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use crate::config::Secret;
use crate::domain::position::Position;
use crate::effects::Attempt;
use crate::effects::follower::{By, ReplayFrom, replay_position};
use crate::ingest::{Control, ControlOutcome, ControlWrite, now_ms};

use super::attempts::Delivery;
use super::error::SubscriptionError;
use super::fan_out::{FanOut, Shared};
use super::message::{Message, place_of};
use super::reading::read_place;
use super::secret::{OVERLAP_MS, SECRETS_MAX};
use super::standing::{Part, Standing, part_of};
use super::subscription::{
    Content, Filter, Orders, PREFIX, RESENDS_MAX, Since, State, Subscription, key,
};
use super::wish::Wish;

/// Writings that are tried while others write too.
const TRIES: usize = 8;

/// A secret, to be shown once.
pub type NewSecret = Secret;

/// A subscription as it stands.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What is wanted.
    pub subscription: Arc<Subscription>,
    /// `active`, `failing`, `paused` or `disabled`.
    pub health: &'static str,
    /// Since when, in ms since 1970.
    pub since_ms: u64,
    /// Why it fails, or was disabled.
    pub why: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// When it is tried again, in ms since 1970.
    pub retry_at_ms: Option<u64>,
    /// Whether it is told later than others.
    pub is_behind: bool,
    /// Messages that were given up.
    pub given_up: u64,
    /// How often the journal did not reach back to what it was owed.
    pub overruns: u64,
    /// Until when the secret before the newest signs too, in ms since 1970.
    pub old_secret_until_ms: Option<u64>,
    /// Whether the instance that answers sends.
    pub is_here: bool,
}

/// What is done with subscriptions; cheap to clone.
#[derive(Clone)]
pub struct Desk(Arc<Shared>);

impl FanOut {
    /// What is done with subscriptions.
    pub fn desk(&self) -> Desk {
        Desk(Arc::clone(&self.0))
    }
}

impl Desk {
    fn control(&self) -> &Control {
        &self.0.control
    }

    /// By their ids, strictly after one.
    pub fn list(&self, after: Option<&str>, limit: usize) -> Vec<Shown> {
        let roster = self.0.rosters.now();
        let all = roster.all.iter().filter(|(id, _)| after.is_none_or(|after| id.as_str() > after));
        all.take(limit).map(|(_, (_, subscription))| self.shown(subscription)).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// Where there is none of that id.
    pub fn show(&self, id: &str) -> Result<Shown, SubscriptionError> {
        Ok(self.shown(&self.known(id)?.1))
    }

    fn known(&self, id: &str) -> Result<(u64, Arc<Subscription>), SubscriptionError> {
        self.0.rosters.now().all.get(id).cloned().ok_or(SubscriptionError::NotFound)
    }

    fn shown(&self, subscription: &Arc<Subscription>) -> Shown {
        let (id, now_ms) = (subscription.id.as_str(), now_ms());
        let here = self.0.standing_here(id);
        let is_here = here.is_some();
        let standing = here.unwrap_or_else(|| {
            let (_, mut part) = Part::read(&self.0.reader, part_of(id));
            part.subscriptions.remove(id).unwrap_or_default()
        });
        let Standing { failures, why, since_ms, retry_at_ms, given_up, overruns, at, .. } =
            standing;
        let is_failing = subscription.state == State::Active && failures > 0;
        let since = &subscription.since;
        let mut old = subscription.secrets.iter().filter_map(|seed| seed.until_ms);
        Shown {
            health: if is_failing { "failing" } else { subscription.state.as_str() },
            since_ms: since_ms.filter(|_| is_failing).unwrap_or(since.at_ms),
            why: why.filter(|_| is_failing).or_else(|| since.why.clone()),
            failures,
            retry_at_ms: retry_at_ms.filter(|_| is_failing),
            is_behind: at.is_some(),
            given_up,
            overruns,
            old_secret_until_ms: old.find(|until| now_ms < *until),
            is_here,
            subscription: Arc::clone(subscription),
        }
    }

    /// How many are active, failing, paused and disabled.
    pub fn measure(&self) {
        let mut counts = [0; 4];
        for shown in self.list(None, usize::MAX) {
            let place = ["active", "failing", "paused", "disabled"]
                .into_iter()
                .position(|health| health == shown.health);
            if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
                *count += 1;
            }
        }
        self.0.metrics.set_states(counts);
    }

    /// Those that operators should look at.
    pub fn note(&self) -> Option<String> {
        let wrong = self.list(None, usize::MAX).into_iter();
        let wrong: Vec<_> =
            wrong.filter(|it| matches!(it.health, "failing" | "disabled")).collect();
        let first = wrong.first()?;
        let (id, health) = (&first.subscription.id, first.health);
        let why = first.why.as_deref().unwrap_or("it does not say why");
        let others = wrong.len() - 1;
        Some(format!(
            "the subscription {id} is {health}: {why}; {others} others are failing or disabled"
        ))
    }

    /// Makes one, with the secret that signs what it is told.
    ///
    /// # Errors
    /// Where what is wanted can't be had.
    pub async fn add(&self, wish: Wish, by: &By) -> Result<(Shown, NewSecret), SubscriptionError> {
        let id = format!("sub_{}", Uuid::now_v7().as_simple());
        let (secret, seed) = self.0.courier.signer.make(&id);
        let now_ms = now_ms();
        let mut wanted = Subscription {
            id: id.clone(),
            url: String::new(),
            description: String::new(),
            filter: Filter::default(),
            send: Content::default(),
            rate: None,
            ordered: false,
            state: State::Active,
            since: Since { at_ms: now_ms, by: by.principal.clone(), why: None },
            secrets: vec![seed],
            from: self.0.reader.position().encode(),
            created_at_ms: now_ms,
            created_by: by.principal.clone(),
            orders: Orders::default(),
        };
        wish.grant(&mut wanted).map_err(SubscriptionError::Invalid)?;
        self.0.courier.check(&wanted.url).await?;
        let max = self.0.config.max;
        if self.0.reader.control_count(PREFIX, max) >= max {
            return Err(SubscriptionError::TooMany { max });
        }
        if !self.put(&wanted, 0, by).await? {
            return Err(SubscriptionError::Contended);
        }
        tracing::info!(subscription = id, by = by.principal, "a subscription is made");
        Ok((self.show(&id)?, secret))
    }

    /// Makes it another.
    ///
    /// # Errors
    /// Where what is wanted can't be had.
    pub async fn change(&self, id: &str, wish: Wish, by: &By) -> Result<Shown, SubscriptionError> {
        self.known(id)?;
        if let Some(url) = &wish.url {
            self.0.courier.check(url).await?;
        }
        let edit =
            |it: &mut Subscription| wish.clone().grant(it).map_err(SubscriptionError::Invalid);
        self.edit(id, by, "a subscription is changed", edit).await
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where there is none of that id.
    pub async fn remove(&self, id: &str, by: &By) -> Result<(), SubscriptionError> {
        self.known(id)?;
        let write = by.signed(ControlWrite { key: key(id), ..ControlWrite::default() });
        match self.control().put(write).await? {
            ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => {
                tracing::info!(subscription = id, by = by.principal, "a subscription is removed");
                Ok(())
            }
            ControlOutcome::Conflict { .. } => Err(SubscriptionError::Contended),
            ControlOutcome::Refused { detail, .. } => Err(SubscriptionError::Refused(detail)),
        }
    }

    /// Gives it another secret; the one before signs too for a day.
    ///
    /// # Errors
    /// Where there is none of that id.
    pub async fn rotate(&self, id: &str, by: &By) -> Result<(Shown, NewSecret), SubscriptionError> {
        self.known(id)?;
        let (secret, seed) = self.0.courier.signer.make(id);
        let edit = |it: &mut Subscription| {
            let now_ms = now_ms();
            it.secrets.retain(|old| old.until_ms.is_none_or(|until| now_ms < until));
            for old in &mut it.secrets {
                old.until_ms = old.until_ms.or(Some(now_ms + OVERLAP_MS));
            }
            it.secrets.insert(0, seed.clone());
            it.secrets.truncate(SECRETS_MAX);
            Ok(())
        };
        let shown = self.edit(id, by, "a subscription has another secret", edit).await?;
        Ok((shown, secret))
    }

    /// Sends it nothing until it is resumed.
    ///
    /// # Errors
    /// Where it is not active.
    pub async fn pause(&self, id: &str, by: &By) -> Result<Shown, SubscriptionError> {
        let edit = |it: &mut Subscription| match it.state {
            State::Active => {
                let since = Since { at_ms: now_ms(), by: by.principal.clone(), why: None };
                (it.state, it.since) = (State::Paused, since);
                Ok(())
            }
            State::Paused => Ok(()),
            State::Disabled => Err(SubscriptionError::Conflict {
                state: it.state.as_str(),
                what: "can't be paused; it is sent nothing until it is resumed",
            }),
        };
        self.edit(id, by, "a subscription is paused", edit).await
    }

    /// Goes on where it was, whether it was paused or disabled, and tries at once.
    ///
    /// # Errors
    /// Where there is none of that id.
    pub async fn resume(&self, id: &str, by: &By) -> Result<Shown, SubscriptionError> {
        let edit = |it: &mut Subscription| {
            if it.state != State::Active {
                let since = Since { at_ms: now_ms(), by: by.principal.clone(), why: None };
                (it.state, it.since) = (State::Active, since);
            }
            // Whoever sends is to try at once, whatever it waits for.
            it.orders.number += 1;
            Ok(())
        };
        self.edit(id, by, "a subscription is resumed", edit).await
    }

    /// Sends it one message that tells of nothing, now and once.
    ///
    /// # Errors
    /// Where there is none of that id.
    pub async fn test(&self, id: &str) -> Result<(String, Attempt), SubscriptionError> {
        let (_, subscription) = self.known(id)?;
        let message_id = format!("msg_test_{}", Uuid::now_v7().as_simple());
        let message = Message::test(&subscription, now_ms());
        let (_, attempt) = self.0.courier.send(&subscription, &message, &message_id).await;
        Ok((message_id, attempt))
    }

    /// What it was sent, the newest first, before one by its number. False: another instance sends, and knows.
    ///
    /// # Errors
    /// Where there is none of that id.
    pub fn deliveries(
        &self,
        id: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(bool, Vec<Delivery>), SubscriptionError> {
        self.known(id)?;
        let is_here = self.0.running.lock().as_ref().is_some_and(|it| it.hold.is_ours());
        Ok((is_here, self.0.attempts.list(id, before, limit)))
    }

    /// Sends one message once more.
    ///
    /// # Errors
    /// Where no message has the id, or the journal no longer has what it told.
    pub async fn resend(&self, id: &str, message: &str, by: &By) -> Result<(), SubscriptionError> {
        let (_, subscription) = self.known(id)?;
        let log = self.0.reader.position().log;
        let place = place_of(message, log).ok_or(SubscriptionError::DeliveryNotFound)?;
        let reader = self.0.reader.clone();
        let found = tokio::task::spawn_blocking(move || read_place(&reader, place, false)).await;
        let found = found.map_err(|error| SubscriptionError::Refused(error.to_string()))??;
        let is_its = |it: &Message| subscription.filter.passes(&it.facts());
        if !found.as_ref().is_some_and(is_its) {
            return Err(SubscriptionError::DeliveryNotFound);
        }
        let edit = |it: &mut Subscription| {
            let done = self.orders_done(id);
            let orders = &mut it.orders;
            orders.number += 1;
            orders.resend.retain(|(number, ..)| *number > done);
            if orders.resend.len() >= RESENDS_MAX {
                return Err(SubscriptionError::TooManyOrders);
            }
            orders.resend.push((orders.number, place.0, place.1));
            Ok(())
        };
        self.edit(id, by, "a message is sent once more", edit).await.map(drop)
    }

    /// Sends all since a Position or a time once more. Gives back from where on.
    ///
    /// # Errors
    /// Where the journal does not reach back so far.
    pub async fn recover(
        &self,
        id: &str,
        since: ReplayFrom,
        by: &By,
    ) -> Result<Position, SubscriptionError> {
        self.known(id)?;
        let position = replay_position(&self.0.reader, since).await?;
        let edit = |it: &mut Subscription| {
            it.orders.number += 1;
            it.orders.recover = Some((it.orders.number, position.encode()));
            Ok(())
        };
        self.edit(id, by, "a subscription is told once more", edit).await?;
        Ok(position)
    }

    fn orders_done(&self, id: &str) -> u64 {
        let standing = self.0.standing_here(id).unwrap_or_else(|| {
            let (_, mut part) = Part::read(&self.0.reader, part_of(id));
            part.subscriptions.remove(id).unwrap_or_default()
        });
        standing.orders_done
    }

    async fn edit(
        &self,
        id: &str,
        by: &By,
        what: &'static str,
        change: impl Fn(&mut Subscription) -> Result<(), SubscriptionError>,
    ) -> Result<Shown, SubscriptionError> {
        for _ in 0..TRIES {
            let (revision, known) = self.known(id)?;
            let mut wanted = Subscription::clone(&known);
            change(&mut wanted)?;
            if wanted == *known {
                return self.show(id);
            }
            if self.put(&wanted, revision, by).await? {
                tracing::info!(subscription = id, by = by.principal, "{what}");
                return self.show(id);
            }
        }
        Err(SubscriptionError::Contended)
    }

    /// False: it is another by now.
    async fn put(
        &self,
        wanted: &Subscription,
        revision: u64,
        by: &By,
    ) -> Result<bool, SubscriptionError> {
        let value = serde_json::to_vec(wanted);
        let write = by.signed(ControlWrite {
            key: key(&wanted.id),
            expected_revision: Some(revision),
            value: Some(value.map_err(|error| SubscriptionError::Refused(error.to_string()))?),
            ..ControlWrite::default()
        });
        match self.control().put(write).await? {
            ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => Ok(true),
            ControlOutcome::Conflict { .. } => Ok(false),
            ControlOutcome::Refused { detail, .. } => Err(SubscriptionError::Refused(detail)),
        }
    }
}

impl Shared {
    /// How one stands, if this instance sends.
    fn standing_here(&self, id: &str) -> Option<Standing> {
        let running = self.running.lock();
        let running = running.as_ref().filter(|it| it.hold.is_ours())?;
        running.lines.get(id).map(|line| line.standing(Instant::now(), now_ms()).0)
    }
}
