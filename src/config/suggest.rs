//! "Did you mean": the nearest known name to a mistyped one.

/// The candidate nearest to `name`, when it is near enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The end of a sentence about a name that is not known: the nearest known one, where there is one.
pub(super) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(name, known).map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default()
}

/// Edits (insert, delete, replace, swap of neighbours) between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last_a = None;
    for (row, ca) in a.chars().enumerate() {
        let mut line = vec![row + 1];
        let mut last_b = None;
        for (column, cb) in b.iter().copied().enumerate() {
            let at =
                |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX / 2);
            let mut cost = (at(&above, column) + usize::from(ca != cb))
                .min(at(&above, column + 1) + 1)
                .min(at(&line, column) + 1);
            if last_a == Some(cb) && last_b == Some(ca) && column > 0 {
                cost = cost.min(at(&before, column - 1) + 1);
            }
            line.push(cost);
            last_b = Some(cb);
        }
        before = std::mem::replace(&mut above, line);
        last_a = Some(ca);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["store.path", "store.cache_bytes", "kafka.topic"];
        let nearest = |name| nearest(name, known.into_iter());
        assert_eq!(nearest("store.cach_bytes"), Some("store.cache_bytes"));
        assert_eq!(nearest("kafka.topci"), Some("kafka.topic"));
        assert_eq!(nearest("weather"), None);
    }

    #[test]
    fn swapped_neighbours_are_one_edit() {
        assert_eq!(distance("topci", "topic"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
