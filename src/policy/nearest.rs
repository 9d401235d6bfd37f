//! Did you mean: the known word nearest to a mistyped one.

/// The candidate nearest to `word`, if one is near enough to have been meant. Upper and lower case count as equal; of
/// several equally near the first wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().flat_map(char::to_lowercase).collect();
    // One slip in a short word, at most three in a long one: `web` must not suggest `db`.
    let limit = match word.len() {
        0 | 1 => 0,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let letters: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
        if letters.len().abs_diff(word.len()) > limit {
            continue;
        }
        let distance = distance(&word, &letters);
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Insertions, deletions, substitutions and swaps of neighbours that make one word the other.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &l) in left.iter().enumerate() {
        let mut line = Vec::with_capacity(above.len());
        line.push(row + 1);
        for (column, &r) in right.iter().enumerate() {
            let substituted = above[column] + usize::from(l != r);
            let mut least = substituted.min(above[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && l == right[column - 1] && left[row - 1] == r {
                least = least.min(before[column - 1] + 1);
            }
            line.push(least);
        }
        before = std::mem::replace(&mut above, line);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_was_meant_and_nothing_else() {
        for (word, candidates, expected) in [
            ("alow", &["allow", "deny"][..], Some("allow")),
            ("dney", &["allow", "deny"], Some("deny")),
            ("Allow", &["allow", "deny"], Some("allow")),
            ("ipfirends", &["ipfriends", "badguys"], Some("ipfriends")),
            ("web", &["db", "api"], None),
            ("web", &["wed", "web2"], Some("wed")),
            ("x", &["y"], None),
            ("", &["a"], None),
            ("grüße", &["gruße"], Some("gruße")),
        ] {
            assert_eq!(nearest(word, candidates.iter().copied()), expected, "{word}");
        }
    }
}
