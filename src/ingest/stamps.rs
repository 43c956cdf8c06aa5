//! The stamps of commands: later than now, than all that is known of the contact, and than the last
//! one that this instance gave out for it.
//!
//! "Now" never steps back, over a restart neither: so much of it as may be given out is reserved in a
//! file before, and the next start begins behind that.

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
const RESERVED_US: u64 = 10_000_000;
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
