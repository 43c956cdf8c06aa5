//! A power cut, after the fact: a killed child's files get back any of the pages that no sync had
//! made durable.
//!
//! With `power:DIR` among its faults a contactd keeps in DIR, after each sync of a file, a copy of
//! what the sync covered. The disk then holds of every page either the copy or anything newer.

use std::fs;
use std::path::{Path, PathBuf};

/// What a disk writes as one.
const PAGE: usize = 4096;

/// The files of a child and the copies of what is durable of them.
#[derive(Debug)]
pub struct Outage {
    copies: PathBuf,
}

/// Which of the pages that no sync covered are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of them.
    All,
    /// Each by the toss of a coin.
    Some,
}

impl Outage {
    /// Copies go to a directory that is made.
    pub fn new(copies: &Path) -> Self {
        fs::create_dir_all(copies).expect("a directory for copies");
        Self { copies: copies.to_owned() }
    }

    /// The fault under which a child keeps copies.
    pub fn fault(&self) -> String {
        format!("power:{}", self.copies.display())
    }

    /// Takes the power from a killed child's file. A file that was never synced in its life as a
    /// child's is left as it is: it was there before. Returns how many pages were lost.
    pub fn strike(&self, file: &Path, loss: Loss, random: &mut fastrand::Rng) -> usize {
        let Ok(durable) = fs::read(self.copy_of(file)) else {
            return 0;
        };
        let written = fs::read(file).expect("a file of the child's");
        let mut left = written.clone();
        let mut lost = 0;
        for at in (0..written.len()).step_by(PAGE) {
            let end = written.len().min(at + PAGE);
            let before = page_of(&durable, at, end - at);
            if written[at..end] != before[..] && (loss == Loss::All || random.bool()) {
                left[at..end].copy_from_slice(&before);
                lost += 1;
            }
        }
        // The length is metadata of its own: it may be older than the pages.
        if written.len() > durable.len() && (loss == Loss::All || random.bool()) {
            left.truncate(durable.len());
        }
        fs::write(file, &left).expect("the file as the disk has it");
        fs::write(self.copy_of(file), &left).expect("what is left is durable");
        lost
    }

    /// Takes a file as durable as it is: a process that keeps no copies has synced it.
    pub fn settle(&self, file: &Path) {
        fs::copy(file, self.copy_of(file)).expect("a copy");
    }

    /// As `telemetry::fault` names its copies.
    fn copy_of(&self, file: &Path) -> PathBuf {
        let file = file.canonicalize().expect("a file that is there");
        self.copies.join(file.display().to_string().replace('/', "%"))
    }
}

/// A page as it was, zeros where the file did not reach.
fn page_of(bytes: &[u8], at: usize, len: usize) -> Vec<u8> {
    let mut page: Vec<u8> = bytes.iter().skip(at).take(len).copied().collect();
    page.resize(len, 0);
    page
}

/// The segment files of a directory, sorted.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .expect("a directory of segments")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    files.sort();
    files
}
