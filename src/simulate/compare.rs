//! What the target holds beside what it should hold: looked at until it is equal, or time is over.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;
use tokio::time::Instant;

use crate::domain::contact::Contact;

use super::report::{ContactCounts, Difference};
use super::run::SimulateError;
use super::target::Target;

/// Contacts that are asked for at once.
const ASKED_AT_ONCE: usize = 16;
/// Differences that are told.
const TOLD_MAX: usize = 10;
/// Between two looks at what is not equal yet, doubled each time.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// What is the receiver's own: how many changes it has counted, and when it recorded the last.
const OWN: [&str; 2] = ["version", "changedAt"];

pub(super) async fn compare(
    target: &Target,
    expected: impl Iterator<Item = Contact>,
    wait: Duration,
    progress: &dyn Fn(u64),
) -> Result<(ContactCounts, Vec<Difference>), SimulateError> {
    let mut unequal: Vec<Contact> = expected.collect();
    let end = Instant::now() + wait;
    let mut pause = PAUSE;
    let mut counts = ContactCounts::default();
    loop {
        let looked = look(target, unequal).await?;
        let all = looked.len();
        let (mut left, mut differences) = (Vec::new(), Vec::new());
        for (contact, difference) in looked {
            if let Some(fields) = difference {
                let contact_id = contact.id.clone();
                differences.push(Difference { contact_id, fields });
                left.push(contact);
            }
        }
        counts.equal += (all - left.len()) as u64;
        progress(counts.equal);
        if left.is_empty() || Instant::now() >= end {
            let missing = differences.iter().filter(|one| one.fields.is_empty()).count();
            counts.missing = missing as u64;
            counts.different = (differences.len() - missing) as u64;
            differences.truncate(TOLD_MAX);
            return Ok((counts, differences));
        }
        unequal = left;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Each with what differs; none: nothing does.
async fn look(
    target: &Target,
    contacts: Vec<Contact>,
) -> Result<Vec<(Contact, Option<Vec<String>>)>, SimulateError> {
    let asked = contacts.into_iter().map(|contact| async move {
        let held = target.contact(&contact.id).await?;
        let difference = match held {
            None => Some(Vec::new()),
            Some(held) => Some(fields(&held, &json(&contact)?)).filter(|fields| !fields.is_empty()),
        };
        Ok((contact, difference))
    });
    let looked: Vec<Result<_, SimulateError>> =
        stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await;
    looked.into_iter().collect()
}

fn json(contact: &Contact) -> Result<Value, SimulateError> {
    let text = serde_json::to_vec(contact);
    text.and_then(|text| serde_json::from_slice(&text))
        .map_err(|error| SimulateError::Unreadable(error.to_string()))
}

/// The fields that differ.
fn fields(held: &Value, expected: &Value) -> Vec<String> {
    let members = expected.as_object().into_iter().flatten();
    members
        .filter(|(name, _)| !OWN.contains(&name.as_str()))
        .filter_map(|(name, expected)| {
            let held = held.get(name).unwrap_or(&Value::Null);
            (held != expected).then(|| format!("{name}: {held}, expected {expected}"))
        })
        .collect()
}
