//! Everything that a stopped store holds, in a form that does not depend on how the log was cut
//! into batches, so that two stores of the same log can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use contactd::domain::contact::ContactView;
use contactd::domain::event::EMAIL;
use contactd::domain::position::CONTROL_LANE;
use contactd::domain::record::RecordKind;
use contactd::domain::record::{Headers, NamedValues, owned_headers};
use contactd::domain::verdict::{DeadLetterReason, Verdict};
use contactd::segments::FrameNo;
use contactd::store::journal::{Applied, Entry, Letter, Outcome};
use contactd::store::{
    self, ChangeRef, Filters, Journal, Links, Opened, PageRequest, Reader, StoreConfig,
};

use super::wait::wait_until;

/// Differences that are named for each part.
const NAMED_MAX: usize = 3;
/// How long the archive may take to have what the journal has.
const ARCHIVED_BY: Duration = Duration::from_secs(60);
/// Contacts whose history is also asked for as a reader asks.
const HISTORIES: usize = 40;

/// All of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// By id.
    pub contacts: BTreeMap<String, ContactImage>,
    /// E-mail, lowercased, and id, as a reader finds them.
    pub emails: BTreeSet<(String, String)>,
    /// How often each verdict was given.
    pub verdict_totals: BTreeMap<&'static str, u64>,
    pub active: u64,
    pub deleted: u64,
    pub digest: u128,
    /// Control entries by key, as they are stored.
    pub controls: BTreeMap<String, Vec<u8>>,
    /// Sum over them, those removed a short while ago too.
    pub control_digest: u128,
    /// How often each verdict was given to a control record.
    pub control_verdicts: [u64; Verdict::COUNT],
    /// By lane.
    pub next_offsets: BTreeMap<u16, u64>,
    /// By lane, in order: offset, verdict, hash of the event's id.
    pub verdicts: BTreeMap<u16, Vec<(u64, Verdict, u64)>>,
    /// By lane and offset.
    pub letters: BTreeMap<(u16, u64), LetterImage>,
    /// The same as their archive has them, which outlives the journal.
    pub archived: BTreeMap<(u16, u64), LetterImage>,
}

/// A contact and how it came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactImage {
    pub version: u64,
    pub canonical: Vec<u8>,
    /// All of it: version and rings too.
    pub body: Vec<u8>,
    /// Oldest first.
    pub changes: Vec<ChangeImage>,
}

/// One change of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeImage {
    pub lane: u16,
    pub offset: u64,
    pub event_id: String,
    pub kind: &'static str,
    /// The contact after it.
    pub body: Vec<u8>,
}

/// A record that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterImage {
    pub reason: DeadLetterReason,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub value_len: u64,
    pub headers: NamedValues,
}

/// What the journal says, read frame by frame.
#[derive(Default)]
struct JournalImage {
    image: Image,
    changes: BTreeMap<String, Vec<ChangeImage>>,
    latest: BTreeMap<String, Links>,
    broken_links: Vec<String>,
    /// The first frame that is still there.
    first: FrameNo,
}

impl Image {
    /// Reads a stopped store: opens it as offline tools do, has it verify itself, takes a last
    /// checkpoint, and reads journal and engine on their own.
    #[track_caller]
    pub fn read(dir: &Path) -> Self {
        Self::read_with_report(dir).0
    }

    /// The same, and why the engine was filled again at the opening, if it was.
    #[track_caller]
    pub fn read_with_report(dir: &Path) -> (Self, Option<String>) {
        let opened = open(dir);
        let refilled = opened.report.refilled.clone();
        let Opened { writer, reader, .. } = opened;
        let report = reader.verify(&mut |_, _| {}).expect("a store can be verified");
        assert!(report.is_sound(), "{}: {:#?}", dir.display(), report.discrepancies);
        let mut journal = read_journal(dir);
        assert_eq!(journal.broken_links, Vec::<String>::new(), "{}", dir.display());
        let mut image = std::mem::take(&mut journal.image);
        image.add_state(&reader);
        image.add_contacts(&reader, journal);
        image.add_archived(&reader);
        writer.close().expect("a last checkpoint");
        drop(reader);
        (image, refilled)
    }

    fn add_state(&mut self, reader: &Reader) {
        let stats = reader.stats().expect("statistics");
        let counters = stats.counters;
        self.verdict_totals = Verdict::ALL
            .iter()
            .map(|verdict| (verdict.as_str(), counters.verdict(*verdict)))
            .collect();
        (self.active, self.deleted, self.digest) =
            (counters.active, counters.deleted, stats.digest.0);
        self.control_digest = stats.control.digest.0;
        self.control_verdicts = stats.control.verdicts;
        self.controls = reader
            .controls("", None, usize::MAX)
            .into_iter()
            .map(|(key, entry)| {
                let mut bytes = Vec::new();
                entry.encode(&mut bytes);
                (key, bytes)
            })
            .collect();
        self.next_offsets =
            stats.position.next.iter().map(|(lane, next)| (lane.0, next.0)).collect();
    }

    /// Once the archive has what the journal has.
    #[track_caller]
    fn add_archived(&mut self, reader: &Reader) {
        let letters = reader.dead_letters();
        wait_until(ARCHIVED_BY, "the dead letters are archived", || {
            reader.health().expect("a sound store");
            letters.is_loaded() && letters.figures().behind == 0
        });
        for (frame, row) in letters.rows_from(0, usize::MAX) {
            let letter = letters.letter(frame).expect("a letter can be read").expect("it is kept");
            let place = (row.lane.0, row.offset.0);
            assert_eq!(place, (letter.lane.0, letter.offset.0));
            let image = LetterImage {
                reason: letter.reason(),
                value_len: letter.value_len,
                headers: owned_headers(letter.headers()),
                key: letter.key,
                value: letter.value,
            };
            assert!(self.archived.insert(place, image).is_none(), "{place:?} is archived twice");
        }
    }

    #[track_caller]
    fn add_contacts(&mut self, reader: &Reader, mut journal: JournalImage) {
        for (at, id) in exported_ids(reader).into_iter().enumerate() {
            let value = reader.contact(id.as_bytes()).expect("a contact can be read");
            let value = value.unwrap_or_else(|| panic!("contact {id} is in the export only"));
            let latest = journal.latest.get(&id);
            let is_latest = match latest {
                Some(latest) => *latest == value.links(),
                None => journal.is_trimmed(value.links().image),
            };
            assert!(is_latest, "{id} points to {:?}, not {latest:?}", value.links());
            let changes = journal.changes.remove(&id).unwrap_or_default();
            if at < HISTORIES {
                assert_history(reader, &id, &changes);
            }
            let view = value.view().expect("a contact has its parts");
            if let Some(email) = view.field(EMAIL) {
                let ids = ids_by_email(reader, email);
                self.emails.extend(ids.into_iter().map(|id| (email.to_lowercase(), id)));
            }
            let contact = ContactImage {
                version: view.version(),
                canonical: view.canonical().to_vec(),
                body: value.body().to_vec(),
                changes,
            };
            self.contacts.insert(id, contact);
        }
        let left: Vec<_> = journal.changes.keys().collect();
        assert!(left.is_empty(), "in the journal only: {left:?}");
        let counted = self.active + self.deleted;
        assert_eq!(counted, self.contacts.len() as u64, "contacts counted and contacts there are");
    }

    /// Without what a journal holds for as long as it is kept: for stores that trim it.
    #[must_use]
    pub fn without_history(mut self) -> Self {
        self.verdicts.clear();
        self.letters.clear();
        self.contacts.values_mut().for_each(|contact| contact.changes.clear());
        self
    }

    /// Without control records.
    #[must_use]
    pub fn without_controls(mut self) -> Self {
        self.controls.clear();
        self.control_digest = 0;
        self.control_verdicts = Default::default();
        self.next_offsets.remove(&CONTROL_LANE.0);
        self.verdicts.remove(&CONTROL_LANE.0);
        self
    }

    /// Records that got a verdict.
    pub fn received(&self) -> u64 {
        self.verdict_totals.values().sum()
    }

    /// What differs, some of each part named; empty when nothing does.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        compare_maps("contact", &self.contacts, &other.contacts, &mut found);
        compare_maps("verdicts of lane", &self.verdicts, &other.verdicts, &mut found);
        compare_maps("dead letter", &self.letters, &other.letters, &mut found);
        compare_maps("archived letter", &self.archived, &other.archived, &mut found);
        compare("verdict totals", &self.verdict_totals, &other.verdict_totals, &mut found);
        compare(
            "active and deleted",
            &(self.active, self.deleted),
            &(other.active, other.deleted),
            &mut found,
        );
        compare("digest", &self.digest, &other.digest, &mut found);
        compare("control entries", &self.controls, &other.controls, &mut found);
        compare("control digest", &self.control_digest, &other.control_digest, &mut found);
        compare("control verdicts", &self.control_verdicts, &other.control_verdicts, &mut found);
        compare("next offsets", &self.next_offsets, &other.next_offsets, &mut found);
        let (here, there) = (&self.emails, &other.emails);
        for (email, id) in here.symmetric_difference(there).take(NAMED_MAX) {
            found.push(format!("{id} is found by {email} on one side only"));
        }
        found
    }

    /// The contacts' order-free bytes alone: what every arrangement of the same events must give.
    pub fn canonical(&self) -> BTreeMap<&str, &[u8]> {
        self.contacts
            .iter()
            .map(|(id, contact)| (id.as_str(), contact.canonical.as_slice()))
            .collect()
    }
}

/// Opens a stopped store as offline tools do.
#[track_caller]
pub fn open(dir: &Path) -> Opened {
    let options = StoreConfig { sled_cache_bytes: 8 << 20, ..StoreConfig::at(dir) };
    match store::open(options, None, &|_| {}) {
        Ok(opened) => opened,
        Err(error) => panic!("{} can't be opened: {error}", dir.display()),
    }
}

/// Ids of all contacts, deleted ones too.
#[track_caller]
fn exported_ids(reader: &Reader) -> Vec<String> {
    let mut lines = Vec::new();
    reader.export(true, &mut lines).expect("an export");
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let contacts = lines.map(|line| serde_json::from_slice(line).expect("a line of JSON"));
    contacts
        .map(|contact: serde_json::Value| contact["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[track_caller]
fn assert_history(reader: &Reader, id: &str, changes: &[ChangeImage]) {
    let walked = reader.history(id.as_bytes(), usize::MAX, None).expect("history");
    let walked =
        walked.iter().rev().map(|entry| (entry.lane.0, entry.offset.0, entry.event_id.as_str()));
    let listed =
        changes.iter().map(|change| (change.lane, change.offset, change.event_id.as_str()));
    assert!(walked.eq(listed), "the links of {id} lead to other changes than the journal lists");
}

#[track_caller]
fn read_journal(dir: &Path) -> JournalImage {
    let journal = Journal::open(&dir.join("journal")).expect("the journal opens");
    let first = journal.first().expect("the journal's beginning");
    let mut read = JournalImage { first, ..JournalImage::default() };
    let mut scratch = Vec::new();
    for frame in journal.frames_from(first) {
        let frame = frame.expect("a whole frame");
        let entries = frame.for_each(&mut scratch, |entry| {
            read.entry(entry);
            Ok(())
        });
        entries.expect("readable entries");
    }
    read
}

impl JournalImage {
    /// Whether the change lies in what was trimmed away.
    fn is_trimmed(&self, change: ChangeRef) -> bool {
        change.is_some() && change.frame() < self.first
    }

    fn entry(&mut self, entry: &Entry<'_>) {
        if entry.record_kind == RecordKind::Marker {
            return;
        }
        let (lane, offset) = (entry.lane.0, entry.offset.0);
        let verdicts = self.image.verdicts.entry(lane).or_default();
        verdicts.push((offset, entry.verdict, entry.event_hash));
        match &entry.outcome {
            Outcome::Applied(applied) => {
                self.image(entry, applied);
                self.change(entry, applied);
            }
            Outcome::Noted(noted) => self.image(entry, noted),
            Outcome::DeadLettered(letter) => {
                self.image.letters.insert((lane, offset), LetterImage::of(letter));
            }
            // Entries are compared as they are in the end; here they count like any verdict.
            Outcome::Control(_) | Outcome::Rules(_) | Outcome::Rehomed(_) | Outcome::Settled => {}
        }
    }

    fn image(&mut self, entry: &Entry<'_>, applied: &Applied<'_>) {
        let id = String::from_utf8_lossy(applied.id).into_owned();
        let is_change = entry.verdict == Verdict::Applied;
        let change = if is_change { entry.change } else { applied.previous.change };
        let links = Links { image: entry.change, change };
        let image = applied.previous.image;
        let is_linked = match self.latest.insert(id.clone(), links) {
            Some(before) => before == applied.previous,
            None => !image.is_some() || self.is_trimmed(image),
        };
        if !is_linked {
            self.broken_links.push(format!("{id} at {:?}", entry.change));
        }
    }

    fn change(&mut self, entry: &Entry<'_>, applied: &Applied<'_>) {
        let id = String::from_utf8_lossy(applied.id).into_owned();
        self.changes.entry(id).or_default().push(ChangeImage {
            lane: entry.lane.0,
            offset: entry.offset.0,
            event_id: String::from_utf8_lossy(applied.event_id).into_owned(),
            kind: applied.kind.as_str(),
            body: applied.body.to_vec(),
        });
    }
}

impl LetterImage {
    fn of(letter: &Letter<'_>) -> Self {
        Self {
            reason: letter.reason,
            key: letter.key.map(<[u8]>::to_vec),
            value: letter.value.map(<[u8]>::to_vec),
            value_len: letter.value_len,
            headers: owned_headers(Headers::new(letter.headers)),
        }
    }
}

fn compare<T: PartialEq + std::fmt::Debug>(
    what: &str,
    here: &T,
    there: &T,
    found: &mut Vec<String>,
) {
    if here != there {
        found.push(format!("{what}: {here:?} and {there:?}"));
    }
}

fn compare_maps<K: Ord + std::fmt::Debug, V: PartialEq + Described>(
    what: &str,
    here: &BTreeMap<K, V>,
    there: &BTreeMap<K, V>,
    found: &mut Vec<String>,
) {
    let keys: BTreeSet<&K> = here.keys().chain(there.keys()).collect();
    let differing = keys.into_iter().filter(|key| here.get(key) != there.get(key));
    let mut count = 0;
    for key in differing {
        count += 1;
        if count <= NAMED_MAX {
            let described = match (here.get(key), there.get(key)) {
                (Some(here), Some(there)) => here.against(there),
                (Some(_), None) => "is missing".to_owned(),
                (None, _) => "should not be there".to_owned(),
            };
            found.push(format!("{what} {key:?} {described}"));
        }
    }
    if count > NAMED_MAX {
        found.push(format!("{what}: {count} differ"));
    }
}

/// Says in a line how two values differ.
trait Described {
    fn against(&self, other: &Self) -> String;
}

impl Described for ContactImage {
    fn against(&self, other: &Self) -> String {
        let shown = |image: &Self| {
            let view = ContactView::parse(&image.body).map(|view| format!("{:?}", view.head()));
            format!("version {}, {} changes, {view:?}", image.version, image.changes.len())
        };
        format!("is ({}) and ({})", shown(self), shown(other))
    }
}

impl Described for Vec<(u64, Verdict, u64)> {
    fn against(&self, other: &Self) -> String {
        let at = self.iter().zip(other).position(|(here, there)| here != there);
        let at = at.unwrap_or_else(|| self.len().min(other.len()));
        format!(
            "from entry {at}: {:?} and {:?}; {} and {} in all",
            self.get(at),
            other.get(at),
            self.len(),
            other.len()
        )
    }
}

impl Described for LetterImage {
    fn against(&self, other: &Self) -> String {
        format!("is {} and {}", self.reason, other.reason)
    }
}

/// Of those that have the e-mail, in any case and whatever their status; sorted.
pub fn ids_by_email(reader: &Reader, email: &str) -> Vec<String> {
    let filters = Filters { email: Some(email.to_owned()), ..Filters::default() };
    let request = PageRequest { filters, limit: 100_000, ..PageRequest::default() };
    let page = reader.page(&request).expect("a page of an e-mail");
    let mut ids: Vec<String> = page.contacts.into_iter().map(|contact| contact.id).collect();
    ids.sort_unstable();
    ids
}
