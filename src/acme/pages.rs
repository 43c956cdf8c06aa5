//! All contacts of both sides, a page of Acme's at a time: taking what is newer there, and comparing.
//!
//! A page is one request; its cursor says where the next one begins, so that whoever asks may stop and go
//! on at any time. Contacts stand in the order of their ids on both sides.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::domain::contact::Status;
use crate::domain::sources::KeptBack;
use crate::event_log::NewRecord;
use crate::store::{PageKey, PageRequest, StoredContact};
use crate::telemetry::AcmeDrift;

use super::client::Patience;
use super::desk::{Acme, Missing, SyncError, There, is_deleted_here};
use super::plan::{Plan, Rule, Standing};
use super::wire::{Contact, ContactPage};

/// Contacts of ours that are looked at beside one page of Acme's.
const OURS_MAX: usize = 1_000;

/// Where the next page begins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cursor {
    /// As Acme gave it.
    acme: Option<String>,
    /// Contacts up to this one are done.
    after: Option<String>,
    /// Differences that stayed so far, by [`AcmeDrift::ALL`].
    stayed: [u64; AcmeDrift::ALL.len()],
}

/// What became of a page that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullPage {
    /// Contacts of Acme.
    pub seen: u64,
    /// New here.
    pub created: u64,
    /// Fields were newer there.
    pub updated: u64,
    /// The same on both sides, or newer here.
    pub unchanged: u64,
    /// Deleted here, and so not taken.
    pub deleted_here: u64,
    /// Contacts that can't be taken, and why.
    pub refused: Vec<(String, String)>,
    /// Where to go on; none: that was the last page.
    pub next: Option<String>,
}

/// A difference between the two sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The contact.
    pub id: String,
    /// Which.
    pub kind: AcmeDrift,
    /// The fields that differ, by our names.
    pub fields: Vec<&'static str>,
    /// Whether it was mended, and why not; none: nobody asked for that.
    pub mended: Option<Result<(), String>>,
}

/// What a page was compared to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconcilePage {
    /// Contacts that either side has.
    pub compared: u64,
    /// Where they differ.
    pub drift: Vec<Drift>,
    /// Where to go on; none: that was the last page.
    pub next: Option<String>,
}

/// A contact on both sides.
#[derive(Default)]
struct Pair {
    theirs: Option<Contact>,
    ours: Option<StoredContact>,
}

/// Some contacts of both sides, in the order of their ids, and where those behind them begin.
struct Stretch {
    pairs: BTreeMap<String, Pair>,
    next: Option<Cursor>,
}

impl Acme {
    /// Takes a page of Acme's contacts, in whatever is newer there.
    ///
    /// # Errors
    /// What kept it from that; then nothing of the page was taken.
    pub async fn pull_page(
        &self,
        cursor: Option<&str>,
        until: Instant,
    ) -> Result<PullPage, SyncError> {
        let at = Cursor::read(cursor)?;
        let ContactPage { contacts, next_cursor } =
            self.client.list(at.acme.as_deref(), Patience::Until(until)).await?;
        let next = next_cursor.map(|acme| Cursor { acme: Some(acme), ..Cursor::default() }.text());
        let mut page = PullPage { next, ..PullPage::default() };
        let mut records = Vec::new();
        for contact in contacts {
            page.seen += 1;
            let id = contact.id.clone();
            match self.to_take(contact, &mut page).await {
                Ok(more) => records.extend(more),
                Err(SyncError::Untaken(why)) => page.refused.push((id, why)),
                Err(error) => return Err(error),
            }
        }
        let acks = self.keep(records).await?;
        self.applied(&acks, until).await?;
        Ok(page)
    }

    /// The records that take in what is newer.
    async fn to_take(
        &self,
        contact: Contact,
        page: &mut PullPage,
    ) -> Result<Vec<NewRecord>, SyncError> {
        let theirs = self.theirs(contact)?;
        let present = self.present(&theirs.id).await?;
        let view = present.as_ref().map(StoredContact::view).transpose()?;
        if is_deleted_here(view.as_ref(), &theirs) {
            page.deleted_here += 1;
            return Ok(Vec::new());
        }
        let Some(ours) = view.filter(|view| view.status() == Status::Active) else {
            let records = self.whole(&theirs)?;
            page.created += 1;
            return Ok(records);
        };
        let plan = self.plan_of_now(&ours, &theirs, Standing::News, Rule::Newest).await?;
        let taken = plan.taken;
        let records = self.some(&theirs, &taken)?;
        match records.len() {
            0 => page.unchanged += 1,
            _ => page.updated += 1,
        }
        Ok(records)
    }

    /// Compares a page of Acme's contacts with ours, and mends what differs where that is asked for: the
    /// newest counts, field by field.
    ///
    /// # Errors
    /// What kept it from that. What was done before is done.
    pub async fn reconcile_page(
        &self,
        cursor: Option<&str>,
        mends: bool,
        until: Instant,
    ) -> Result<ReconcilePage, SyncError> {
        let at = Cursor::read(cursor)?;
        let Stretch { pairs, next } = self.stretch(&at, until).await?;
        let mut stayed = at.stayed;
        let mut page = ReconcilePage::default();
        let mut after = at.after.clone();
        for (id, pair) in pairs {
            let mut drift = self.drift(&id, &pair).await?;
            if let Some(drift) = drift.as_mut().filter(|it| mends && it.mended.is_none()) {
                let is_out_of_time = page.compared > 0 && Instant::now() >= until;
                let mended = if is_out_of_time {
                    None
                } else {
                    Some(self.mend(&id, pair.theirs, until).await)
                };
                match mended {
                    Some(Ok(owned)) if owned.is_empty() => drift.mended = Some(Ok(())),
                    Some(Ok(owned)) => {
                        let why = "it was made, and these fields belong to one side alone";
                        (drift.fields, drift.mended) = (owned, Some(Err(why.to_owned())));
                    }
                    Some(Err(error)) if is_of_one(&error) => {
                        drift.mended = Some(Err(error.to_string()));
                    }
                    Some(Err(error)) if page.compared == 0 => return Err(error),
                    // The next page begins with it.
                    Some(Err(_)) | None => {
                        page.next = Some(Cursor { acme: at.acme, after, stayed }.text());
                        return Ok(page);
                    }
                }
            }
            page.compared += 1;
            after = Some(id);
            if let Some(drift) = drift {
                let place = drift.kind as usize;
                if drift.mended != Some(Ok(()))
                    && let Some(count) = stayed.get_mut(place)
                {
                    *count = count.saturating_add(1);
                }
                page.drift.push(drift);
            }
        }
        match next {
            Some(next) => page.next = Some(Cursor { stayed, ..next }.text()),
            None => self.metrics.set_drift(stayed),
        }
        Ok(page)
    }

    /// Acme's page, and ours between its first and last.
    async fn stretch(&self, at: &Cursor, until: Instant) -> Result<Stretch, SyncError> {
        let page = self.client.list(at.acme.as_deref(), Patience::Until(until)).await?;
        let ContactPage { contacts, next_cursor } = page;
        if contacts.is_empty() && next_cursor.is_some() {
            let next = Some(Cursor { acme: next_cursor, ..at.clone() });
            return Ok(Stretch { pairs: BTreeMap::new(), next });
        }
        let after = at.after.clone();
        let request = PageRequest {
            after: after.map(|id| PageKey { sort: Vec::new(), id: id.into_bytes() }),
            limit: OURS_MAX,
            ..PageRequest::default()
        };
        let ours = self.read(move |reader| reader.page(&request)).await?;
        // Behind the first of these ends Acme's next page goes on, or ours.
        let last_of_theirs = contacts.last().map(|contact| contact.id.clone());
        let last_of_theirs = last_of_theirs.filter(|_| next_cursor.is_some());
        let last_of_ours = ours.contacts.last().map(|contact| contact.id.clone());
        let last_of_ours = last_of_ours.filter(|_| ours.rest.is_some());
        let end = [&last_of_theirs, &last_of_ours].into_iter().flatten().min().cloned();
        let next = end.as_ref().map(|end| Cursor {
            acme: if last_of_theirs.as_ref() == Some(end) { next_cursor } else { at.acme.clone() },
            after: Some(end.clone()),
            ..at.clone()
        });
        let is_within = |id: &str| {
            at.after.as_deref().is_none_or(|after| id > after)
                && end.as_deref().is_none_or(|end| id <= end)
        };
        let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
        for contact in contacts.into_iter().filter(|contact| is_within(&contact.id)) {
            let id = contact.id.clone();
            pairs.entry(id).or_default().theirs = Some(contact);
        }
        for contact in ours.contacts.into_iter().filter(|contact| is_within(&contact.id)) {
            pairs.entry(contact.id).or_default().ours = Some(contact.value);
        }
        Ok(Stretch { pairs, next })
    }

    async fn drift(&self, id: &str, pair: &Pair) -> Result<Option<Drift>, SyncError> {
        let ours = pair.ours.as_ref().map(StoredContact::view).transpose()?;
        let active = ours.as_ref().filter(|ours| ours.status() == Status::Active);
        let found =
            |kind, fields| Ok(Some(Drift { id: id.to_owned(), kind, fields, mended: None }));
        let Some(contact) = &pair.theirs else {
            return match active {
                Some(_) => found(AcmeDrift::MissingThere, Vec::new()),
                None => Ok(None),
            };
        };
        let theirs = match self.theirs(contact.clone()) {
            Ok(theirs) => theirs,
            Err(SyncError::Untaken(why)) => {
                let kind =
                    if active.is_some() { AcmeDrift::Differs } else { AcmeDrift::MissingHere };
                let (id, fields, mended) = (id.to_owned(), Vec::new(), Some(Err(why)));
                return Ok(Some(Drift { id, kind, fields, mended }));
            }
            Err(error) => return Err(error),
        };
        match active {
            None if is_deleted_here(ours.as_ref(), &theirs) => {
                found(AcmeDrift::DeletedHere, Vec::new())
            }
            None => found(AcmeDrift::MissingHere, Vec::new()),
            Some(ours) => {
                let plan = self.plan_of_now(ours, &theirs, Standing::News, Rule::Newest).await?;
                let Plan { mut sent, taken, .. } = plan;
                sent.extend(taken);
                if sent.is_empty() { Ok(None) } else { found(AcmeDrift::Differs, sent) }
            }
        }
    }

    /// By how the contact is here by now: others of the page came before it. The fields in which a contact that
    /// was made differs all the same, because of whose they are.
    async fn mend(
        &self,
        id: &str,
        theirs: Option<Contact>,
        until: Instant,
    ) -> Result<Vec<&'static str>, SyncError> {
        let present = self.present(id).await?;
        if let Some(contact) = theirs {
            let theirs = self.theirs(contact)?;
            let ours = present.as_ref().map(StoredContact::view).transpose()?;
            let is_deleted = ours.as_ref().is_some_and(|ours| ours.status() == Status::Deleted);
            if ours.is_none() || is_deleted && !is_deleted_here(ours.as_ref(), &theirs) {
                self.keep(self.whole(&theirs)?).await?;
                return self.not_taken(&theirs);
            }
        }
        present.ok_or(SyncError::NotHere)?;
        let patience = Patience::Until(until);
        let synced = self.settle(id, Rule::Newest, Missing::Made, patience).await?;
        let is_made = synced.there == There::Created;
        let kept = synced.kept.into_iter().filter(|(_, why)| *why == Some(KeptBack::Theirs));
        Ok(kept.map(|(name, _)| name).filter(|_| is_made).collect())
    }
}

/// Whether others may fare better.
fn is_of_one(error: &SyncError) -> bool {
    match error {
        SyncError::Acme(error) => error.blames_request(),
        SyncError::Untaken(_)
        | SyncError::Contended
        | SyncError::NotHere
        | SyncError::NotThere
        | SyncError::DeletedHere
        | SyncError::DeletedThere => true,
        SyncError::Cursor
        | SyncError::UnknownSource(_)
        | SyncError::OwnIds(_)
        | SyncError::Intake(_)
        | SyncError::Store(_)
        | SyncError::Corrupt(_) => false,
    }
}

impl Cursor {
    fn read(text: Option<&str>) -> Result<Self, SyncError> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| SyncError::Cursor)?;
        serde_json::from_slice(&json).map_err(|_| SyncError::Cursor)
    }

    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}
