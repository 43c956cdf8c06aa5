//! The manifest's own rules.

use super::manifest::{MANIFEST, Manifest, checked_name};
use super::{BackupError, ContactCount, PackedFile};
use crate::domain::position::{LogIdentity, LogKind};

fn manifest() -> Manifest {
    Manifest {
        format: 1,
        contactd: "0.1.0".into(),
        apply_version: 1,
        made_at: "2026-12-01T09:00:00.000Z".into(),
        log: LogIdentity { kind: LogKind::Embedded, cluster: "c".into(), topic: "contacts".into() },
        position: "p1-000000000000feed-0.11".into(),
        record_time_ms: 1,
        contacts: ContactCount { active: 1, deleted: 2 },
        digests: ["0a", "0b", "0c"].map(Into::into),
        files: vec![PackedFile { path: "identity".into(), bytes: 3, sha256: "ff".into() }],
    }
}

#[test]
fn a_manifest_is_read_as_it_was_written_and_any_flipped_bit_is_seen() {
    let bytes = manifest().to_bytes().unwrap();
    assert_eq!(Manifest::read(&bytes).unwrap(), manifest());
    assert_eq!(manifest().state().unwrap().digest.0, 10);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let error = Manifest::read(&bad).unwrap_err();
            assert!(error.to_string().contains(MANIFEST), "{error}");
        }
        // But for the line break at its end.
        assert!(at + 1 == bytes.len() || Manifest::read(&bytes[..at]).is_err());
    }
}

#[test]
fn no_name_leads_out_of_the_directory() {
    for name in ["identity", "journal/00000000000000000000.seg", "log/log.json"] {
        checked_name(name).unwrap();
    }
    for name in ["", "/etc/passwd", "../x", "journal/../../x", "./x", "a/./b/../c"] {
        assert!(matches!(checked_name(name), Err(BackupError::Damaged { .. })), "{name}");
    }
}
