//! Sorting many slots by text, which for most of them lies somewhere in memory: each piece of eight
//! bytes is fetched once for all that are equal up to there, instead of with each comparison.

use super::sorted::{Entry, Prefix};

/// Bytes of a text that a prefix holds.
const PIECE: usize = 8;
/// So few are compared as they are.
const FEW: usize = 32;

/// Sorts entries, whose prefixes are those of their texts. What is equal stays in its order.
pub(super) fn sort_by_text<'t>(entries: &mut [Entry], text: impl Fn(u32) -> &'t [u8] + Copy) {
    entries.sort_by_key(|at| at.prefix);
    for run in entries.chunk_by_mut(|a, b| a.prefix == b.prefix) {
        sort_from(run, PIECE, text);
    }
}

/// Sorts entries whose texts are equal up to a place.
fn sort_from<'t>(entries: &mut [Entry], from: usize, text: impl Fn(u32) -> &'t [u8] + Copy) {
    if entries.len() < FEW {
        entries.sort_by(|a, b| text(a.slot).cmp(text(b.slot)));
        return;
    }
    // With the length of one that has ended: what is filled up looks like what has zeros there.
    let piece = |at: &Entry| {
        let text = text(at.slot);
        let rest = text.get(from..).filter(|rest| !rest.is_empty());
        let ended = if rest.is_some() { usize::MAX } else { text.len() };
        (Prefix::of_text(rest.unwrap_or_default()), ended)
    };
    let mut keyed: Vec<_> = entries.iter().map(|at| (piece(at), *at)).collect();
    keyed.sort_by_key(|(piece, _)| *piece);
    for (to, (_, at)) in entries.iter_mut().zip(&keyed) {
        *to = *at;
    }
    // Where those stand that go on alike; `keyed` is not kept meanwhile.
    let mut alike = Vec::new();
    let mut start = 0;
    for run in keyed.chunk_by(|a, b| a.0 == b.0) {
        let end = start + run.len();
        if run.len() > 1 && run.first().is_some_and(|((_, ended), _)| *ended == usize::MAX) {
            alike.push(start..end);
        }
        start = end;
    }
    drop(keyed);
    for run in alike {
        if let Some(same) = entries.get_mut(run) {
            sort_from(same, from + PIECE, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_sorted_as_plain_comparison_does_it_and_equal_ones_stay() {
        let mut random = fastrand::Rng::with_seed(3);
        for alphabet in ["a", "ab", "a\0", "company 0123456789"] {
            let letters: Vec<u8> = alphabet.bytes().collect();
            for longest in [1, 9, 40] {
                let texts: Vec<Vec<u8>> = (0..2_000)
                    .map(|_| {
                        let len = random.usize(0..longest);
                        (0..len).map(|_| *random.choice(&letters).unwrap()).collect()
                    })
                    .collect();
                let entry = |slot: u32| {
                    let prefix = Prefix::of_text(&texts[slot as usize]);
                    Entry { prefix, slot }
                };
                let mut entries: Vec<Entry> = (0..texts.len() as u32).map(entry).collect();
                sort_by_text(&mut entries, |slot| texts[slot as usize].as_slice());
                let mut expected: Vec<u32> = (0..texts.len() as u32).collect();
                expected.sort_by_key(|slot| &texts[*slot as usize]);
                let found: Vec<u32> = entries.iter().map(|at| at.slot).collect();
                assert_eq!(found, expected, "{alphabet:?} up to {longest}");
                assert!(entries.iter().all(|at| at.prefix == entry(at.slot).prefix));
            }
        }
    }
}
