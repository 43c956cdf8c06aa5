//! Revocations in one instance's memory.

use std::time::Duration;

use crate::shared_state::revocations::Revocations;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn what_is_revoked_stays_so_for_its_life_and_says_that_it_is_new() {
    let revocations = Revocations::new(HOUR, None);
    assert!(!revocations.is_revoked("a"));
    let before = revocations.version();
    revocations.revoke("a", HOUR).await;
    assert!(revocations.is_revoked("a") && !revocations.is_revoked("b"));
    assert_eq!(revocations.version(), before + 1);
    revocations.revoke("a", HOUR).await;
    assert_eq!(revocations.version(), before + 1);
    revocations.sweep();
    assert!(revocations.is_revoked("a"));
}

#[tokio::test]
async fn what_would_have_expired_is_forgotten() {
    let revocations = Revocations::new(HOUR, None);
    revocations.revoke("a", Duration::from_nanos(1)).await;
    revocations.revoke("b", Duration::ZERO).await;
    assert!(!revocations.is_revoked("a") && !revocations.is_revoked("b"));
}

#[tokio::test]
async fn a_later_end_is_kept_and_a_shorter_one_is_not() {
    let revocations = Revocations::new(HOUR, None);
    revocations.revoke("a", HOUR).await;
    revocations.revoke("a", Duration::from_nanos(1)).await;
    assert!(revocations.is_revoked("a"));
}
