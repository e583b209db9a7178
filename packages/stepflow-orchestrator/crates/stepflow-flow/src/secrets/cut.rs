//! Finds what is left of a secret where a text was cut. The cut is marked: `… (9 characters more)`, `(9 bytes before)
//! …`.

use std::collections::BTreeSet;
use std::ops::Range;

use super::LONG;

const CUT: &[u8] = "…".as_bytes();

/// The parts of these texts that touch a place where the text was cut, and that are too long to be ordinary words.
pub(super) fn parts(texts: &BTreeSet<String>, text: &[u8]) -> Vec<Range<usize>> {
    let places = text.windows(CUT.len()).enumerate().filter(|(_, window)| *window == CUT).map(|(place, _)| place);
    places
        .flat_map(|place| {
            let (before, after) = (&text[..place], &text[place + CUT.len()..]);
            let beginning = after.starts_with(b" (").then(|| beginning_of_one(texts, before)).flatten();
            let end = before.ends_with(b") ").then(|| end_of_one(texts, after)).flatten();
            let end = end.map(|length| text.len() - after.len()..text.len() - after.len() + length);
            beginning.map(|start| start..place).into_iter().chain(end)
        })
        .collect()
}

/// Where the text ends with the beginning of one of these: the start of the longest one.
fn beginning_of_one(texts: &BTreeSet<String>, text: &[u8]) -> Option<usize> {
    // An escape of a URL may be cut itself.
    let ends =
        [text.strip_suffix(b"%"), text.split_last_chunk::<2>().filter(|(_, last)| last[0] == b'%').map(|(to, _)| to)];
    let ends = ends.into_iter().flatten().chain([text]);
    let start = |text: &[u8], one: &[u8]| {
        let lengths = (LONG..=one.len().min(text.len())).rev();
        lengths
            .map(|length| (length, &one[..length]))
            .find(|(_, part)| text.ends_with(part))
            .map(|(length, _)| text.len() - length)
    };
    ends.flat_map(|end| texts.iter().filter_map(move |one| start(end, one.as_bytes()))).min()
}

/// The length of the longest end of one of these that the text begins with.
fn end_of_one(texts: &BTreeSet<String>, text: &[u8]) -> Option<usize> {
    let length = |one: &[u8]| {
        let mut lengths = (LONG..=one.len().min(text.len())).rev();
        lengths.find(|length| text.starts_with(&one[one.len() - length..]))
    };
    texts.iter().filter_map(|one| length(one.as_bytes())).max()
}
