//! What a mistyped word was probably meant to be.

/// The candidate that `word` was probably meant to be: at most two letters off.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let best = candidates.into_iter().map(|c| (distance(word, c), c)).min()?;
    (best.0 <= 2 && best.0 < word.chars().count()).then_some(best.1)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names() {
        let names = ["jail1", "web"];
        assert_eq!(nearest("jali1", names), Some("jail1"));
        assert_eq!(nearest("jail2", names), Some("jail1"));
        assert_eq!(nearest("database", names), None);
        assert_eq!(nearest("x", names), None);
    }
}
