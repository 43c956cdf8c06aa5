//! The stamps of commands: later than now, than all that is known of the contact, and than the last
//! one that this instance gave out for it.
//!
//! "Now" never steps back, over a restart neither: so much of it as may be given out is reserved in a
//! file before, and the next start begins behind that. An orderly end gives back what was not given out, so
//! only after a crash stamps are ahead of the clock, by as much as was reserved.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use crate::telemetry::fault;

use super::now_us;

/// Contacts whose last stamps are remembered; two that share a place move each other's on.
const PLACES: usize = 1 << 16;
/// One contact's stamps move another's on only where both are given out now.
const SHARED_AHEAD_US: u64 = 1_000_000;
/// How much of the time to come is reserved at once.
const RESERVED_US: u64 = 1_000_000;
/// The reservation's file in a data directory.
pub const STAMP_FILE: &str = "stamp";

/// Gives out stamps.
pub struct Stamps {
    /// Where the reservation is kept; none: only as long as the process lives.
    path: Option<PathBuf>,
    state: Mutex<State>,
}

struct State {
    now: u64,
    reserved: u64,
    /// Hash of a contact's id, and its last stamp.
    last: Box<[(u64, u64)]>,
}

impl Stamps {
    /// Reserved in a data directory.
    pub fn in_directory(dir: &Path) -> Self {
        Self { path: Some(dir.join(STAMP_FILE)), ..Self::in_memory() }
    }

    /// Reserved nowhere.
    pub fn in_memory() -> Self {
        let last = vec![(0, 0); PLACES].into_boxed_slice();
        Self { path: None, state: Mutex::new(State { now: 0, reserved: 0, last }) }
    }

    /// A contact's stamp that was given out before this process began.
    pub(super) fn given(&self, contact_id: &[u8], stamp: u64) {
        let hash = xxh3_64(contact_id);
        let last = &mut self.state.lock().last;
        if let Some(place) = last.get_mut(hash as usize % PLACES).filter(|(_, last)| *last < stamp)
        {
            *place = (hash, stamp);
        }
    }

    /// Reserves no more than what was given out. What is given out after that is reserved anew.
    ///
    /// # Errors
    /// When that can't be written; then all that was reserved stays so.
    pub(super) fn give_back(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let Some(path) = self.path.as_ref().filter(|_| state.reserved > 0) else {
            return Ok(());
        };
        // Stamps of contacts that are known to be further ahead were never within what is reserved.
        let within = state.last.iter().map(|(_, last)| *last).filter(|last| *last < state.reserved);
        let given = within.max().unwrap_or_default().max(state.now).saturating_add(1);
        replace_synced(path, given.to_string().as_bytes())?;
        (state.now, state.reserved) = (given, given);
        Ok(())
    }

    /// The next stamp of a contact, in µs since 1970; `known` is the greatest time that is known of it.
    ///
    /// # Errors
    /// When time can't be reserved, or what was reserved before can't be read.
    pub fn next(&self, contact_id: &[u8], known: Option<u64>) -> io::Result<u64> {
        let mut state = self.state.lock();
        if let (Some(path), 0) = (&self.path, state.reserved) {
            state.now = reserved(path)?;
        }
        state.now = state.now.max(now_us());
        if state.now >= state.reserved {
            let until = state.now.saturating_add(RESERVED_US);
            if let Some(path) = &self.path {
                replace_synced(path, until.to_string().as_bytes())?;
            }
            state.reserved = until;
        }
        let known = known.filter(|_| !fault::bug("stamps_by_the_clock"));
        let mut stamp = known.map_or(state.now, |known| state.now.max(known.saturating_add(1)));
        let hash = xxh3_64(contact_id);
        if let Some((owner, last)) = state.last.get_mut(hash as usize % PLACES) {
            if *last >= stamp && (*owner == hash || *last < stamp.saturating_add(SHARED_AHEAD_US)) {
                stamp = last.saturating_add(1);
            }
            (*owner, *last) = (hash, stamp);
        }
        Ok(stamp)
    }
}

fn reserved(path: &Path) -> io::Result<u64> {
    match fs::read(path) {
        // As if it were not there: the clock is believed, and what is known of each contact.
        Ok(bytes) => {
            let text = str::from_utf8(&bytes).ok();
            let time = text.and_then(|text| text.trim().parse().ok());
            Ok(time.unwrap_or_else(|| {
                tracing::warn!(path = %path.display(), "holds no time, and is made anew by the clock");
                0
            }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Replaces a small file as a whole; it is on the disk on return.
pub(super) fn replace_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_of_a_contact_rise_past_all_that_is_known_and_leave_others_alone() {
        let stamps = Stamps::in_memory();
        let first = stamps.next(b"a", None).unwrap();
        let year_ahead = first + 365 * 24 * 3_600 * 1_000_000;
        assert_eq!(stamps.next(b"a", Some(year_ahead)).unwrap(), year_ahead + 1);
        assert_eq!(stamps.next(b"a", None).unwrap(), year_ahead + 2);
        let other = (0_u32..)
            .map(u32::to_le_bytes)
            .find(|id| xxh3_64(id) as usize % PLACES == xxh3_64(b"a") as usize % PLACES);
        assert!(stamps.next(&other.unwrap(), None).unwrap() < year_ahead);
    }

    #[test]
    fn after_an_orderly_end_stamps_go_by_the_clock_and_none_is_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let file =
            || fs::read_to_string(dir.path().join(STAMP_FILE)).unwrap().parse::<u64>().unwrap();
        let stamps = Stamps::in_directory(dir.path());
        stamps.give_back().unwrap();
        assert!(!dir.path().join(STAMP_FILE).exists(), "nothing was given out");
        let ahead = now_us() + RESERVED_US / 2;
        let near = stamps.next(b"a", Some(ahead)).unwrap();
        stamps.next(b"b", Some(now_us() * 2)).unwrap();
        stamps.give_back().unwrap();
        assert_eq!(file(), near + 1, "all that was given out, but for what is known elsewhere");
        // Who comes late is still served, and what he gets is reserved.
        let late = stamps.next(b"c", None).unwrap();
        assert!(late > near && file() > late);
        let dir = tempfile::tempdir().unwrap();
        let stamps = Stamps::in_directory(dir.path());
        let last = stamps.next(b"a", None).unwrap();
        stamps.give_back().unwrap();
        let next = Stamps::in_directory(dir.path()).next(b"a", None).unwrap();
        assert!(last < next && next <= now_us(), "{next} is ahead of the clock");
    }

    #[test]
    fn time_that_can_not_be_reserved_is_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let stamps = Stamps::in_directory(dir.path());
        // Where a directory stands nobody writes a file.
        let aside = dir.path().join(STAMP_FILE).with_extension("new");
        fs::create_dir(&aside).unwrap();
        stamps.next(b"a", None).unwrap_err();
        stamps.next(b"a", None).unwrap_err();
        fs::remove_dir(&aside).unwrap();
        stamps.next(b"a", None).unwrap();
    }

    #[test]
    fn time_does_not_step_back_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let ahead = now_us() * 2;
        fs::write(dir.path().join(STAMP_FILE), ahead.to_string()).unwrap();
        let stamps = Stamps::in_directory(dir.path());
        assert!(stamps.next(b"a", None).unwrap() >= ahead);
        // What was given out lies below what the next start begins with.
        let last = stamps.next(b"b", None).unwrap();
        assert!(Stamps::in_directory(dir.path()).next(b"c", None).unwrap() > last);
        // A power cut may have left anything.
        for damaged in [&b""[..], b"soon", b"\0\0\0", b"\xff\xfe"] {
            fs::write(dir.path().join(STAMP_FILE), damaged).unwrap();
            assert!(Stamps::in_directory(dir.path()).next(b"a", Some(last)).unwrap() > last);
        }
    }
}
