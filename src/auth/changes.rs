//! What has changed between two versions of the file of users, for the security log.

use std::collections::{BTreeMap, BTreeSet};

use crate::telemetry::{Incident, IncidentKind};

use super::users::{Directory, User};

/// An incident for each user and key that is another.
pub(super) fn changes(before: &Directory, after: &Directory) -> Vec<Incident> {
    // One who says so only once has not made the next change, which somebody made with an editor.
    let by = after.changed.as_ref().filter(|_| before.changed != after.changed);
    let by = by.map(|(by, _)| by.clone());
    let told = |kind, user: String, details: Vec<String>| Incident {
        user: Some(user),
        detail: details.join(", "),
        by: by.clone(),
        ..Incident::new(kind)
    };
    let mut incidents = Vec::new();
    let names: BTreeSet<_> = before.users().keys().chain(after.users().keys()).collect();
    for name in names {
        let details = match (before.users().get(name), after.users().get(name)) {
            (Some(old), Some(new)) => differences(old, new),
            (None, Some(new)) => vec![format!("added with {}", new.roles)],
            (Some(_), None) => vec!["removed".to_owned()],
            (None, None) => Vec::new(),
        };
        if !details.is_empty() {
            incidents.push(told(IncidentKind::UserChanged, name.clone(), details));
        }
    }
    let (old, new) = (keys(before), keys(after));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for name in names {
        let detail = match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(_), Some(new)) => format!("changed, with {}", new.1),
            (None, Some(new)) => format!("created with {}", new.1),
            (_, None) => "revoked".to_owned(),
        };
        incidents.push(told(IncidentKind::KeyChanged, name.to_string(), vec![detail]));
    }
    incidents
}

/// By name: the hash of each key, and what else may change.
fn keys(directory: &Directory) -> BTreeMap<&str, (&[u8; 32], String)> {
    let keys = directory.keys().iter().map(|(hash, key)| {
        let end = key.expires_at_s.map(|end| format!(" until {end}")).unwrap_or_default();
        (&*key.name, (hash, format!("{}{end}", key.roles)))
    });
    keys.collect()
}

fn differences(old: &User, new: &User) -> Vec<String> {
    let mut details = Vec::new();
    if old.roles != new.roles {
        details.push(format!("roles {} instead of {}", new.roles, old.roles));
    }
    if old.password != new.password {
        details.push("password".to_owned());
    }
    if old.email != new.email {
        details.push("e-mail address".to_owned());
    }
    match (old.is_disabled, new.is_disabled) {
        (false, true) => details.push("disabled".to_owned()),
        (true, false) => details.push("enabled".to_owned()),
        (true, true) | (false, false) => {}
    }
    details
}
