//! The control entries' part of the cross-check.

use std::collections::BTreeMap;

use crate::domain::verdict::Verdict;
use crate::segments::FrameNo;

use super::StoreError;
use super::attempts;
use super::control::{self, digest_of};
use super::cut::Cut;
use super::digest::{Digest, contact_hash};
use super::error::EngineMismatch;
use super::journal::{ControlChange, Frame};
use super::shared::Shared;
use super::verify::VerifyReport;

/// What the journal says of control entries.
pub(super) struct JournalControls {
    /// The summand of each entry's last image; none: dropped.
    images: BTreeMap<Box<[u8]>, Option<u128>>,
    /// Verdicts of the frame in hand.
    verdicts: [u64; Verdict::COUNT],
    /// The sum, as long as every earlier image is known.
    digest: Option<Digest>,
    scratch: Vec<u8>,
}

impl JournalControls {
    pub(super) fn new(first: FrameNo) -> Self {
        Self {
            images: BTreeMap::new(),
            verdicts: [0; Verdict::COUNT],
            digest: (first.0 == 0).then(Digest::default),
            scratch: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, verdict: Verdict) {
        if let Some(total) = self.verdicts.get_mut(verdict.index()) {
            *total += 1;
        }
    }

    pub(super) fn take(&mut self, change: &ControlChange<'_>) {
        for key in change.expired() {
            self.image(key, None);
        }
        if let Some(body) = change.entry {
            let sum = contact_hash(change.key, body, &mut self.scratch);
            self.image(change.key, Some(sum));
        }
    }

    fn image(&mut self, key: &[u8], image: Option<u128>) {
        let before = self.images.insert(key.into(), image).flatten();
        if let Some(digest) = &mut self.digest {
            before.into_iter().for_each(|sum| digest.remove(sum));
            image.into_iter().for_each(|sum| digest.add(sum));
        }
    }

    /// Compares with what the frame says holds after it.
    pub(super) fn after(&mut self, frame: &Frame, before: Option<&Cut>, report: &mut VerifyReport) {
        let given = std::mem::take(&mut self.verdicts);
        let after = &frame.head.after.control;
        if let Some(before) = before {
            let sums = before.control.verdicts.iter().zip(given).map(|(total, more)| total + more);
            report.expect(sums.eq(after.verdicts), || {
                format!(
                    "the control counters of journal frame {} are not those of its entries",
                    frame.head.no.0
                )
            });
        }
        report.expect(self.digest.is_none_or(|digest| digest == after.digest), || {
            format!(
                "the control digest of journal frame {} is not that of its entries",
                frame.head.no.0
            )
        });
    }
}

/// Engine and dirty set against the journal, the cut and the state in memory.
pub(super) fn check(
    shared: &Shared,
    cut: &Cut,
    journal: &JournalControls,
    report: &mut VerifyReport,
) -> Result<(), StoreError> {
    let loaded =
        control::load(&shared.contacts.engine, &shared.contacts.dirty).and_then(|stored| {
            Ok((stored, attempts::digest_stored(&shared.contacts.engine, &shared.contacts.dirty)?))
        });
    let (stored, attempts) = match loaded {
        Ok(loaded) => loaded,
        Err(EngineMismatch::Damage(why)) => {
            report.found(|| why);
            return Ok(());
        }
        Err(EngineMismatch::Fatal(error)) => return Err(error),
    };
    let in_memory = attempts::digest_of(&shared.attempts);
    for (place, digest) in [("in memory", in_memory), ("stored", attempts)] {
        report.expect(digest == cut.attempts, || {
            format!("the digest of the attempts {place} is {digest}, it should be {}", cut.attempts)
        });
    }
    report.controls = stored.len() as u64;
    let digest = digest_of(&stored);
    report.expect(digest == cut.control.digest, || {
        format!("the control entries' digest is {digest}, it should be {}", cut.control.digest)
    });
    report.expect(stored == shared.controls.snapshot(), || {
        "the control entries in memory are not the stored ones".to_owned()
    });
    let mut scratch = Vec::new();
    for (key, image) in &journal.images {
        let text = String::from_utf8_lossy(key);
        let found = stored.get(&text).map(|at| control::entry_hash(&text, at, &mut scratch));
        report.expect(found == *image, || {
            format!("control entry {text} is not what the journal says last")
        });
    }
    Ok(())
}
