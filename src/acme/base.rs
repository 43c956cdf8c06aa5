//! What Acme may still have of a contact that was changed here since. Pure.

use crate::domain::contact::ContactView;
use crate::domain::event::{EventKind, FIELDS};

/// What stood in each field before changes of ours that Acme is not known to have, by places in
/// [`FIELDS`].
pub(super) type Before = [Vec<Option<String>>; FIELDS.len()];

/// A contact as it was after a change.
pub(super) struct Past<'v> {
    pub(super) view: ContactView<'v>,
    /// Whether Acme's word made it so.
    pub(super) is_theirs: bool,
    pub(super) kind: EventKind,
}

/// `states`: one after the other, the oldest first.
pub(super) fn before(states: &[Past<'_>]) -> Before {
    let mut before = Before::default();
    let mut older: Option<&ContactView<'_>> = None;
    for state in states {
        // What was before the oldest is not known, unless there was nothing.
        if older.is_some() || state.view.version() == 1 {
            for (place, known) in before.iter_mut().enumerate() {
                state.note(older, place, known);
            }
        }
        older = Some(&state.view);
    }
    before
}

impl Past<'_> {
    fn note(&self, older: Option<&ContactView<'_>>, place: usize, known: &mut Vec<Option<String>>) {
        let Some(name) = FIELDS.get(place) else { return };
        let was = older.and_then(|older| older.field(place));
        let (clock_was, clock) =
            (older.and_then(|older| older.clock_of(name)), self.view.clock_of(name));
        let is_changed = was != self.view.field(place);
        if self.is_theirs && self.kind == EventKind::Created && clock == clock_was {
            // Acme has made it without a value.
            *known = vec![None];
        } else if is_changed && !self.is_theirs {
            known.push(was.map(str::to_owned));
        } else if is_changed
            || clock != clock_was && (self.is_theirs || clock != Some(self.view.head()))
        {
            // Acme has said the same in between: it has it.
            known.clear();
        }
    }
}
