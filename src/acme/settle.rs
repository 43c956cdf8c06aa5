//! Brings one contact into agreement: what is done is decided when it is done, by the contact as it is then
//! on both sides, whatever change it was that asked for it.

use crate::domain::contact::{ContactView, Status};
use crate::domain::event::EventKind;
use crate::store::StoredContact;

use super::client::Patience;
use super::desk::{Acme, HISTORY_MAX, Missing, SyncError, Synced, There, field, kept};
use super::plan::{Plan, Rule, Standing, outward};
use super::theirs::{Notice, Theirs};
use super::wire::{Contact, Fields, NewContact};

/// How often one is read anew, where Acme's users change it at the same time.
const TRIES: u32 = 4;

impl Acme {
    /// Brings Acme's contact into agreement with ours.
    pub(super) async fn settle(
        &self,
        id: &str,
        rule: Rule,
        missing: Missing,
        patience: Patience,
    ) -> Result<Synced, SyncError> {
        let (mut is_contended, mut exists) = (false, None);
        for _ in 0..TRIES {
            let contact = self.client.get(id, patience).await?;
            let Some(present) = self.present(id).await? else {
                return Ok(Synced::default());
            };
            let view = present.view()?;
            let settled = match (view.status(), contact) {
                (Status::Deleted, None) => return Ok(Synced::default()),
                (Status::Deleted, Some(contact)) => self.delete(contact, patience).await,
                (Status::Active, Some(contact)) => {
                    let standing = if is_contended { Some(Standing::News) } else { None };
                    self.change(contact, &view, (rule, standing), patience).await
                }
                (Status::Active, None) => {
                    if let Some(error) = exists.take() {
                        return Err(error);
                    }
                    if !self.may_make(id, &view, missing).await? {
                        return Err(SyncError::DeletedThere);
                    }
                    self.create(id, &view, patience).await
                }
            };
            match settled {
                Err(SyncError::Acme(error)) if error.is(409) => exists = Some(error.into()),
                // Somebody else was faster.
                Err(SyncError::Acme(error)) if error.is(412) || error.is(404) => {
                    is_contended = true
                }
                settled => return settled,
            }
        }
        Err(exists.unwrap_or(SyncError::Contended))
    }

    /// A contact that Acme does not have.
    async fn create(
        &self,
        id: &str,
        view: &ContactView<'_>,
        patience: Patience,
    ) -> Result<Synced, SyncError> {
        let mut made = Synced { there: There::Created, ..Synced::default() };
        let mut contact = NewContact { id: Some(id.to_owned()), fields: Fields::default() };
        {
            let decoder = self.rules.decoder();
            for (name, outward) in outward(view, self.source_of(&decoder)?) {
                match outward {
                    Ok((there, Some(value))) => {
                        contact.fields.insert(there, value.into());
                        made.sent.push(name);
                    }
                    Ok((_, None)) => {}
                    Err(why) if field(view, name).is_some() => made.kept.push((name, Some(why))),
                    Err(_) => {}
                }
            }
        }
        self.notice(id, EventKind::Created, 1, contact.fields.clone()).await?;
        self.client.create(&contact, patience).await?;
        Ok(made)
    }

    /// A contact that was deleted here.
    async fn delete(&self, theirs: Contact, patience: Patience) -> Result<Synced, SyncError> {
        let Contact { id, acme_version: version, .. } = theirs;
        self.notice(&id, EventKind::Deleted, version.saturating_add(1), Fields::new()).await?;
        let was_there = self.client.delete(&id, version, patience).await?;
        let there = if was_there { There::Deleted } else { There::Unchanged };
        Ok(Synced { there, ..Synced::default() })
    }

    /// A contact that both sides have.
    async fn change(
        &self,
        contact: Contact,
        view: &ContactView<'_>,
        (rule, standing): (Rule, Option<Standing>),
        patience: Patience,
    ) -> Result<Synced, SyncError> {
        let theirs = self.theirs(contact)?;
        let standing = standing.unwrap_or_else(|| Standing::of(view, &theirs, &self.source));
        let plan = self.plan_of_now(view, &theirs, standing, rule).await?;
        let mut synced = match self.take_what_is_newer(&theirs, &plan).await {
            // What is ours is sent all the same.
            Err(SyncError::Untaken(_)) if !plan.fields.is_empty() => Synced::default(),
            taken => taken?,
        };
        synced.kept = kept(plan.kept).collect();
        if plan.fields.is_empty() {
            return Ok(synced);
        }
        let (id, version) = (&theirs.id, theirs.version);
        let fields = plan.fields.clone();
        self.notice(id, EventKind::Updated, version.saturating_add(1), fields).await?;
        self.client.update(id, version, &plan.fields, patience).await?;
        (synced.there, synced.sent) = (There::Updated, plan.sent);
        Ok(synced)
    }

    /// Notes on the log what is about to be changed at Acme, so that Acme's word of it is no news.
    async fn notice(
        &self,
        id: &str,
        kind: EventKind,
        version: u64,
        fields: Fields,
    ) -> Result<(), SyncError> {
        let record = {
            let notice = Notice { id, kind, version, fields };
            notice.record(&self.rules.decoder(), &self.source)
        };
        self.keep(record.into_iter().collect()).await.map(drop)
    }

    /// The event of what is newer at Acme, unless it is here already.
    async fn take_what_is_newer(&self, theirs: &Theirs, plan: &Plan) -> Result<Synced, SyncError> {
        let mut synced = Synced::default();
        if plan.taken.is_empty() {
            return Ok(synced);
        }
        let present = self.present(&theirs.id).await?;
        let view = present.as_ref().map(StoredContact::view).transpose()?;
        let differs = |name: &&'static str| {
            let ours = view.as_ref().and_then(|view| field(view, name));
            theirs.said(name).is_some_and(|said| said != ours)
        };
        synced.taken = plan.taken.iter().filter(|name| differs(name)).copied().collect();
        self.keep(self.some(theirs, &synced.taken)?).await?;
        Ok(synced)
    }

    /// Whether a contact that is missing at Acme may be made there: not where Acme is known to have had it
    /// since it came to be here. Then it was deleted there, and Acme's word of that is on its way.
    async fn may_make(
        &self,
        id: &str,
        view: &ContactView<'_>,
        missing: Missing,
    ) -> Result<bool, SyncError> {
        let Missing::Told(told) = missing else {
            return Ok(true);
        };
        let id = id.to_owned();
        let history =
            self.read(move |reader| reader.history(id.as_bytes(), HISTORY_MAX, None)).await?;
        // A restore of what was not deleted here changes nothing, and stands in no history.
        let restored_ms = view.restored().map_or(i64::MIN, |at| (at.ts_us / 1000).cast_signed());
        let (mut is_theirs, mut made) = (false, None);
        for (place, change) in history.iter().enumerate() {
            let older = history.get(place + 1).map(|older| older.view()).transpose()?;
            let is_back = older.is_some_and(|older| older.status() == Status::Deleted)
                || matches!(change.kind, EventKind::Created | EventKind::Restored)
                || change.view()?.version() == 1;
            if change.source == self.source {
                is_theirs |= change.record_time_ms > restored_ms;
            } else if is_back && change.view()?.status() == Status::Active {
                made = Some(change);
                break;
            }
        }
        let made_ms = made.map_or(i64::MIN, |made| made.record_time_ms).max(restored_ms);
        let was_told = view.last_told_ms(&self.source).is_some_and(|told_ms| told_ms >= made_ms);
        Ok(!(is_theirs || was_told) || made.is_some_and(|made| told <= made.change))
    }
}
