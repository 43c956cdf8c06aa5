//! What the backups that an instance keeps are called: by when they were made.

use std::fs;
use std::io;
use std::path::Path;

use crate::domain::timestamp::{format_rfc3339, parse_rfc3339_us};

/// Names of what is in a directory; none where that is not there yet.
pub(super) fn folders(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

pub(super) fn name_of(ms: u64) -> String {
    format_rfc3339(ms).chars().filter(|c| !matches!(c, '-' | ':' | '.')).collect()
}

pub(super) fn is_ours(name: &str) -> bool {
    made_ms(name).is_some_and(|ms| name_of(ms) == name)
}

pub(super) fn made_ms(name: &str) -> Option<u64> {
    let part = |from: usize, to: usize| name.get(from..to);
    let text = format!(
        "{}-{}-{}T{}:{}:{}.{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(9, 11)?,
        part(11, 13)?,
        part(13, 15)?,
        part(15, 18)?
    );
    Some(parse_rfc3339_us(text.as_bytes())? / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_and_nothing_else_is_one() {
        let name = name_of(1_796_116_211_123);
        assert_eq!((name.len(), made_ms(&name)), (19, Some(1_796_116_211_123)), "{name}");
        assert!(is_ours(&name));
        for other in ["", "20261201", "20261201T091011123Z.partial", "20269901T091011123Z"] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
