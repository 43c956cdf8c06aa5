//! Cross-checks everything that is stored twice, and names what does not agree.
//!
//! | what | against |
//! |---|---|
//! | journal | its own chain: frames, links, lanes, counters, digest; its end is the state in memory |
//! | control entries | the journal's last image of each, their digest, the state in memory |
//! | contacts | the journal's last image of each, the counters, the digest |
//! | payments | the same, their lists, and what they come to in all |
//! | index of external ids | the contacts |
//! | ordered and e-mail indexes | the contacts, and each list's order |
//! | verdicts by source | the journal's entries, counted from its beginning or the first snapshot on |
//! | how contacts are spread over companies, sources and hours | the contacts, counted |
//! | checkpoint | the engine's stamp, the journal's state at its end |
//! | snapshots | their own checksums and digest |

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLockReadGuard;

use crate::domain::contact::{ContactView, Status};
use crate::domain::control::UNSETTLED_KEY;
use crate::domain::payment::Payment;
use crate::domain::position::CONTROL_LANE;
use crate::domain::record::RecordKind;
use crate::domain::rules::LaneRules;
use crate::domain::verdict::Verdict;
use crate::segments::FrameNo;

use super::StoreError;
use super::checkpoint::Checkpoint;
use super::codec::{self, ChangeRef, Links, STAMP_KEY, id_hash, parse_stamp};
use super::contacts::Contacts;
use super::cut::Cut;
use super::digest::{Digest, contact_hash, joined_hash};
use super::external_ids::ExternalIds;
use super::journal::{Applied, Counters, Entry, Frame, Outcome};
use super::ordered::Lists;
use super::payments::Payments;
use super::recount::Recount;
use super::rows::is_payment;
use super::shared::Shared;
use super::source_verdicts::SourceVerdicts;
use super::verify_controls::{self, JournalControls};
use super::{rules, snapshot};

/// Discrepancies that are named; the rest is counted.
const NAMED_MAX: usize = 100;
/// Contacts, keys or frames between two words of progress.
const PROGRESS_STEP: u64 = 10_000;

/// What was looked at, and what did not agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Contacts looked at.
    pub contacts: u64,
    /// Payments looked at.
    pub payments: u64,
    /// Control entries looked at, those removed a short while ago too.
    pub controls: u64,
    /// Contacts in the e-mail index.
    pub emails: u64,
    /// Journal frames looked at.
    pub frames: u64,
    /// Journal entries looked at.
    pub entries: u64,
    /// Snapshots looked at.
    pub snapshots: u64,
    /// One line each.
    pub discrepancies: Vec<String>,
    /// How many more there were.
    pub unnamed: u64,
}

impl VerifyReport {
    /// Whether everything agreed.
    pub fn is_sound(&self) -> bool {
        self.discrepancies.is_empty()
    }

    pub(super) fn found(&mut self, discrepancy: impl FnOnce() -> String) {
        if self.discrepancies.len() < NAMED_MAX {
            self.discrepancies.push(discrepancy());
        } else {
            self.unnamed += 1;
        }
    }

    pub(super) fn expect(&mut self, holds: bool, discrepancy: impl FnOnce() -> String) {
        if !holds {
            self.found(discrepancy);
        }
    }
}

/// What the journal says of a contact: its last change and its summand then.
type LastImages = HashMap<u64, (Links, u128)>;

pub(super) fn verify(
    shared: &Shared,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<VerifyReport, StoreError> {
    let cut = shared.commits.cut.lock().clone();
    let mut report = VerifyReport::default();
    let (journal, controls) = check_journal(shared, &cut, &mut report, progress)?;
    verify_controls::check(shared, &cut, &controls, &mut report)?;
    check_contacts(shared, &cut, &journal, &mut report, progress)?;
    check_checkpoint(shared, &cut, &mut report)?;
    check_snapshots(shared, &mut report, progress)?;
    let now = shared.commits.cut.lock().next_frame;
    report.expect(now == cut.next_frame, || {
        "something was committed meanwhile: the rest proves nothing".to_owned()
    });
    Ok(report)
}

/// The journal's pass: carries along what should hold after each frame.
struct JournalCheck<'r> {
    report: &'r mut VerifyReport,
    images: LastImages,
    controls: JournalControls,
    /// None before the first frame, where the journal does not begin at the beginning.
    before: Option<Cut>,
    /// What the entries make of the rules; none where the first ones are gone.
    rules: Option<Arc<LaneRules>>,
    /// Verdicts by source, counted; none before the first frame behind something that states them.
    sources: Option<Arc<SourceVerdicts>>,
    /// What snapshots state of them, by the frame that comes next.
    stated: Vec<(FrameNo, Arc<SourceVerdicts>)>,
    /// The first change that the journal still has.
    first: ChangeRef,
}

fn check_journal(
    shared: &Shared,
    cut: &Cut,
    report: &mut VerifyReport,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<(LastImages, JournalControls), StoreError> {
    let first = shared.journal.first()?;
    let mut check = JournalCheck {
        report,
        images: LastImages::new(),
        controls: JournalControls::new(first),
        before: (first.0 == 0).then(Cut::default),
        rules: (first.0 == 0).then(Arc::default),
        sources: (first.0 == 0).then(Arc::default),
        stated: stated_sources(shared)?,
        first: ChangeRef::new(first, 0),
    };
    let mut scratch = Vec::new();
    for frame in shared.journal.frames_from(first) {
        let frame = frame?;
        if frame.head.no >= cut.next_frame {
            break;
        }
        check.frame(&frame, &mut scratch)?;
        if check.report.frames.is_multiple_of(PROGRESS_STEP) {
            progress("journal", check.report.frames);
        }
    }
    let JournalCheck { images, controls, before, rules, sources, .. } = check;
    let rules = rules.unwrap_or_else(|| Arc::clone(&cut.rules));
    let is_counted = sources.is_none_or(|counted| counted == cut.sources);
    report.expect(is_counted, || {
        "the verdicts by source are not those of the journal's entries".to_owned()
    });
    let sources = Arc::clone(&cut.sources);
    let is_end = before.is_none_or(|end| Cut { rules, sources, ..end } == *cut);
    report.expect(is_end, || {
        format!("the journal's end is not the state in memory at frame {}", cut.next_frame.0)
    });
    Ok((images, controls))
}

/// A snapshot that can't be read is found where all of them are looked at.
fn stated_sources(shared: &Shared) -> Result<Vec<(FrameNo, Arc<SourceVerdicts>)>, StoreError> {
    let snapshots = snapshot::list(&shared.path)?.into_iter();
    let opened = snapshots.filter_map(|(path, _)| snapshot::Snapshot::open(&path).ok());
    Ok(opened.map(|image| (image.cut.next_frame, image.cut.sources)).collect())
}

/// Whether an image lies before the journal's beginning, or nowhere.
fn is_before(image: ChangeRef, first: ChangeRef) -> bool {
    !image.is_some() || image < first
}

impl JournalCheck<'_> {
    fn frame(&mut self, frame: &Frame, scratch: &mut Vec<u8>) -> Result<(), StoreError> {
        self.report.frames += 1;
        let mut counters = self.before.as_ref().map(|cut| cut.counters).unwrap_or_default();
        // Unknown as soon as an earlier image is: it lies before the journal's beginning.
        let mut digest = self.before.as_ref().map(|cut| cut.digest);
        let stated = self.stated.iter().find(|(next, _)| *next == frame.head.no);
        self.sources = self.sources.take().or_else(|| stated.map(|(_, at)| Arc::clone(at)));
        frame.for_each(scratch, |entry| {
            self.report.entries += 1;
            if let Some(sources) = &mut self.sources {
                SourceVerdicts::redo(sources, entry.record_kind, entry.source, entry.verdict);
            }
            match entry.record_kind {
                RecordKind::Control => self.controls.count(entry.verdict),
                RecordKind::Contact | RecordKind::Payment => counters.count(entry.verdict),
                RecordKind::Marker => {}
            }
            if let Some(in_force) = &mut self.rules {
                rules::redo(in_force, entry)?;
            }
            if let Outcome::Control(change) = entry.outcome
                && change.key == UNSETTLED_KEY.as_bytes()
                && let Some(before) = &mut self.before
            {
                // It was read from another place on, perhaps of another topic.
                before.lanes.remove(&CONTROL_LANE);
            }
            if !matches!(entry.outcome, Outcome::Rules(change) if change.beginning.is_some()) {
                self.entry_place(frame, entry);
            }
            match entry.outcome {
                Outcome::Control(change) => self.controls.take(&change),
                Outcome::Applied(applied) | Outcome::Noted(applied) => {
                    self.image(entry, &applied, &mut digest);
                }
                Outcome::Rules(_) => {}
                Outcome::DeadLettered(_) | Outcome::Rehomed(_) | Outcome::Settled => {
                    self.report.expect(entry.verdict != Verdict::Applied, || {
                        format!("{} is applied and changes nothing", named(entry.change))
                    });
                }
            }
            Ok(())
        })?;
        self.state_after(frame, &counters, digest);
        self.controls.after(frame, self.before.as_ref(), self.report);
        self.before = Some(frame.head.after.clone());
        Ok(())
    }

    /// A record lies between where its lane stood and where it stands after the frame.
    fn entry_place(&mut self, frame: &Frame, entry: &Entry<'_>) {
        let from = self.before.as_ref().and_then(|cut| cut.lanes.get(&entry.lane));
        let is_new = from.is_none_or(|at| entry.offset.next() > at.next);
        let to = frame.head.after.lanes.get(&entry.lane);
        let is_counted = to.is_some_and(|at| entry.offset.next() <= at.next);
        self.report.expect(is_new && is_counted, || {
            let (lane, offset) = (entry.lane, entry.offset);
            format!(
                "{} is of partition {lane} offset {offset}, which is not the frame's",
                named(entry.change)
            )
        });
    }

    fn image(&mut self, entry: &Entry<'_>, applied: &Applied<'_>, digest: &mut Option<Digest>) {
        let sum = joined_hash(applied.joined);
        let before = self.images.insert(id_hash(applied.id), (applied.links(entry), sum));
        let is_linked = match before {
            Some((links, _)) => applied.previous == links,
            None => is_before(applied.previous.image, self.first),
        };
        self.report.expect(is_linked, || {
            let id = String::from_utf8_lossy(applied.id);
            format!("{} of contact {id} is not linked to the one before it", named(entry.change))
        });
        match (before, applied.previous.image.is_some()) {
            (Some((_, old)), _) => {
                if let Some(digest) = digest {
                    digest.remove(old);
                }
            }
            (None, true) => *digest = None,
            (None, false) => {}
        }
        if let Some(digest) = digest {
            digest.add(sum);
        }
    }

    fn state_after(&mut self, frame: &Frame, counters: &Counters, digest: Option<Digest>) {
        let (no, after) = (frame.head.no.0, &frame.head.after);
        if let Some(before) = &self.before {
            self.report.expect(before.next_frame == frame.head.no, || {
                format!("journal frame {no} follows frame {}", before.next_frame.0)
            });
            self.report.expect(counters.verdicts == after.counters.verdicts, || {
                format!("the counters of journal frame {no} are not those of its entries")
            });
            let goes_on = before
                .lanes
                .iter()
                .all(|(lane, at)| after.lanes.get(lane).is_some_and(|now| now.next >= at.next));
            self.report.expect(goes_on, || format!("a partition goes back in journal frame {no}"));
        }
        self.report.expect(digest.is_none_or(|digest| digest == after.digest), || {
            format!("the digest of journal frame {no} is not that of its contacts")
        });
    }
}

fn named(change: ChangeRef) -> String {
    format!("entry {} of journal frame {}", change.index(), change.frame().0)
}

/// The contacts' pass: what they add up to.
struct ContactCheck<'c> {
    contacts: &'c Contacts,
    external_ids: &'c ExternalIds,
    payments: &'c Payments,
    /// Payments as they are stored.
    recounted: Payments,
    lists: RwLockReadGuard<'c, Lists>,
    journal: &'c LastImages,
    /// The first change that the journal still has.
    first: ChangeRef,
    report: &'c mut VerifyReport,
    digest: Digest,
    counters: Counters,
    /// How they are spread.
    recount: Recount,
    /// Those that the journal has changes of.
    journalled: u64,
    scratch: Vec<u8>,
}

fn check_contacts(
    shared: &Shared,
    cut: &Cut,
    journal: &LastImages,
    report: &mut VerifyReport,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<(), StoreError> {
    let mut check = ContactCheck {
        contacts: &shared.contacts,
        external_ids: &shared.external_ids,
        payments: &shared.payments,
        recounted: Payments::default(),
        lists: shared.lists()?,
        journal,
        first: ChangeRef::new(shared.journal.first()?, 0),
        report,
        digest: Digest::default(),
        counters: Counters::default(),
        recount: Recount::default(),
        journalled: 0,
        scratch: Vec::new(),
    };
    shared.contacts.scan(|id, bytes| {
        let VerifyReport { contacts, payments, .. } = check.report;
        let (what, looked_at) = match is_payment(id) {
            true => ("payments", payments),
            false => ("contacts", contacts),
        };
        *looked_at += 1;
        if looked_at.is_multiple_of(PROGRESS_STEP) {
            progress(what, *looked_at);
        }
        check.contact(id, bytes)
    })?;
    check.sums(cut);
    Ok(())
}

impl ContactCheck<'_> {
    fn contact(&mut self, id: &[u8], bytes: &[u8]) -> Result<(), StoreError> {
        let name = || String::from_utf8_lossy(id).into_owned();
        let Some((links, body)) = codec::parse_contact(bytes) else {
            self.report.found(|| format!("contact {} has no known format", name()));
            return Ok(());
        };
        let sum = contact_hash(id, body, &mut self.scratch);
        self.digest.add(sum);
        let image = self.journal.get(&id_hash(id));
        self.journalled += u64::from(image.is_some());
        let is_journalled = match image {
            Some(image) => *image == (links, sum),
            None => is_before(links.image, self.first),
        };
        self.report.expect(is_journalled, || {
            format!("contact {} is not what the journal says last", name())
        });
        self.report.expect(self.contacts.heap_agrees(id, bytes), || {
            format!("contact {} is another in the heap file", name())
        });
        if is_payment(id) {
            self.payment(id, body);
            return Ok(());
        }
        let view = match ContactView::parse(body) {
            Ok(view) => view,
            Err(error) => {
                self.report.found(|| format!("contact {} can't be read: {error}", name()));
                return Ok(());
            }
        };
        let is_found = |(source, of)| self.external_ids.knows(id, source, of);
        self.report.expect(view.external_ids().all(is_found), || {
            format!("contact {} is not found by an external id of it", name())
        });
        match view.status() {
            Status::Active => self.counters.active += 1,
            Status::Deleted => self.counters.deleted += 1,
        }
        self.recount.take(body)?;
        if let Ok(Some(how)) = self.lists.difference_of(id, body) {
            self.report.found(|| format!("contact {} {how}", name()));
        }
        Ok(())
    }

    /// A payment is in the list of its contact, and adds to what all come to.
    fn payment(&mut self, id: &[u8], body: &[u8]) {
        let is_listed = Payment::parse(body).is_ok_and(|payment| {
            self.payments.lists(id, &payment) && self.recounted.take(id, None, body).is_ok()
        });
        let name = || String::from_utf8_lossy(id).replace('\u{1f}', " / ");
        self.report.expect(is_listed, || {
            format!("payment {} can't be read, or is not where it should be listed", name())
        });
    }

    fn sums(self, cut: &Cut) {
        let Self { report, digest, lists, .. } = self;
        let lost = (self.journal.len() as u64).saturating_sub(self.journalled);
        report.expect(lost == 0, || format!("{lost} contacts of the journal are missing"));
        report.expect(digest == cut.digest, || {
            format!("the contacts' digest is {digest}, it should be {}", cut.digest)
        });
        let (found, counted) = (self.counters, cut.counters);
        report.expect((found.active, found.deleted) == (counted.active, counted.deleted), || {
            format!(
                "{} contacts are ACTIVE and {} DELETED, counted were {} and {}",
                found.active, found.deleted, counted.active, counted.deleted
            )
        });
        report.expect(self.payments.adds_up_to(&self.recounted), || {
            "what payments come to is not the sum over them".to_owned()
        });
        report.emails = lists.emails() as u64;
        let spread = self.recount.differences(&lists);
        for difference in lists.list_differences(report.contacts).into_iter().chain(spread) {
            report.found(|| difference);
        }
    }
}

fn check_checkpoint(
    shared: &Shared,
    cut: &Cut,
    report: &mut VerifyReport,
) -> Result<(), StoreError> {
    let stamp = shared.contacts.engine.get(STAMP_KEY)?;
    let stamp = stamp.as_deref().and_then(parse_stamp);
    let Some(checkpoint) = Checkpoint::read(&shared.path)? else {
        // The first one's number is in the engine before the checkpoint is written.
        report.expect(stamp.is_none_or(|(number, _)| number <= 1), || {
            format!("the engine holds a checkpoint ({stamp:?}) and there is none")
        });
        return Ok(());
    };
    // The engine's number is written before the checkpoint: it may be ahead, never behind.
    let is_stamped = stamp
        .is_some_and(|(number, store)| store == checkpoint.store && number >= checkpoint.number);
    report.expect(is_stamped, || {
        format!("checkpoint {} is not what the engine holds ({stamp:?})", checkpoint.number)
    });
    let end = checkpoint.cut.next_frame;
    report.expect(end <= cut.next_frame, || {
        format!("the checkpoint ends at frame {}, the journal at {}", end.0, cut.next_frame.0)
    });
    let last = end.0.checked_sub(1).map(FrameNo);
    if let Some(last) = last
        && let Some(frame) = shared.journal.frame(last)?
    {
        let Cut { rules, sources, counters, .. } = checkpoint.cut.clone();
        report.expect(
            sources.sum() == counters.verdicts
                && Cut { rules, sources, ..frame.head.after } == checkpoint.cut,
            || format!("the checkpoint is not the state after journal frame {}", last.0),
        );
    }
    Ok(())
}

fn check_snapshots(
    shared: &Shared,
    report: &mut VerifyReport,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<(), StoreError> {
    for (path, _) in snapshot::list(&shared.path)? {
        report.snapshots += 1;
        progress("snapshots", report.snapshots);
        let image = snapshot::Snapshot::open(&path);
        if let Err(error) = image.and_then(|image| image.verify().map(drop)) {
            report.found(|| format!("{}: {error}", path.display()));
        }
    }
    Ok(())
}
