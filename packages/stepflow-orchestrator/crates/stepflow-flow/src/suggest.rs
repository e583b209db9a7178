//! Finds the name that was probably meant.

use std::collections::BTreeSet;

/// The candidate nearest to `written`, if it is near enough: the same in another case, or at most two edits away and
/// fewer edits than half of the name.
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    near(written, candidates).min().map(|(_, candidate)| candidate)
}

/// The same, if only one candidate is near enough.
pub fn only<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near: BTreeSet<&str> = near(written, candidates).map(|(_, candidate)| candidate).collect();
    near.first().copied().filter(|_| near.len() == 1)
}

/// The candidates that are near enough, each with its number of edits.
fn near<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = (usize, &'a str)> {
    candidates
        .into_iter()
        .filter(move |candidate| *candidate != written)
        .filter_map(move |candidate| match candidate.eq_ignore_ascii_case(written) {
            true => Some((0, candidate)),
            false => Some((distance_within(written, candidate, FARTHEST)?, candidate)),
        })
        .filter(move |(distance, candidate)| distance * 2 < candidate.chars().count().max(written.chars().count()))
}

/// The most edits between a name and its misspelling.
pub const FARTHEST: usize = 2;

/// The edits (insert, delete, replace, swap of neighbours) between two names; `None` when there are more than `limit`.
#[must_use]
pub fn distance_within(a: &str, b: &str, limit: usize) -> Option<usize> {
    if a.chars().count().abs_diff(b.chars().count()) > limit {
        return None;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Three rows of the table of distances between prefixes of the names.
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut row = vec![0; b.len() + 1];
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row[j] = best;
        }
        if row.iter().all(|edits| *edits > limit) {
            return None;
        }
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last.last().copied().filter(|edits| *edits <= limit)
}
