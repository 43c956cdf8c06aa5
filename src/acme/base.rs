//! What Acme may still have of a contact that was changed here since. Pure.

use crate::domain::contact::ContactView;
use crate::domain::event::FIELDS;

/// What stood in each field before changes of ours that Acme is not known to have, by places in
/// [`FIELDS`].
pub(super) type Before = [Vec<Option<String>>; FIELDS.len()];

/// `states`: one after the other, the oldest first, each with whether Acme's word made it so.
pub(super) fn before(states: &[(ContactView<'_>, bool)]) -> Before {
    let mut before = Before::default();
    for pair in states.windows(2) {
        let [(older, _), (newer, is_theirs)] = pair else { continue };
        for (place, (name, known)) in FIELDS.into_iter().zip(&mut before).enumerate() {
            let (was, clock) = (older.field(place), newer.clock_of(name));
            if was != newer.field(place) {
                if *is_theirs { known.clear() } else { known.push(was.map(str::to_owned)) }
            } else if clock != older.clock_of(name) && (*is_theirs || clock != Some(newer.head())) {
                // Acme's echo has said the same in between: it has it.
                known.clear();
            }
        }
    }
    before
}
