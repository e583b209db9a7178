//! Finds keys that an object has twice, while its text is walked through.
//!
//! The keys of all open objects are in one list, and those of an object are removed when it closes. So no memory is
//! allocated for each object, and most keys are compared only as numbers.

use std::borrow::Cow;

/// Below this number of keys, comparing each with each is faster than sorting.
const FEW: usize = 16;

/// The keys of the objects that are open.
#[derive(Default)]
pub(super) struct Keys<'a> {
    keys: Vec<Key<'a>>,
    /// The open arrays and objects, the innermost last. For an object, where its keys begin in the list; `None` for an
    /// array.
    open: Vec<Option<usize>>,
    /// Whether the next string is a key.
    expected: bool,
}

struct Key<'a> {
    /// A number that differs for most different keys.
    print: u64,
    text: Cow<'a, str>,
    at: usize,
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print && self.text == other.text
    }
}

impl<'a> Keys<'a> {
    /// An array or object begins. Returns how deep it is nested.
    pub(super) fn open(&mut self, is_object: bool) -> usize {
        self.expected = is_object;
        self.open.push(is_object.then_some(self.keys.len()));
        self.open.len()
    }

    /// The next member or element follows.
    pub(super) fn next(&mut self) {
        self.expected = matches!(self.open.last(), Some(Some(_)));
    }

    /// A string from one quote to the other.
    pub(super) fn string(&mut self, text: &'a str, open: usize, close: usize, escaped: bool) {
        if !std::mem::take(&mut self.expected) {
            return;
        }
        let text = if escaped { super::unescaped(&text[open..=close]) } else { Cow::Borrowed(&text[open + 1..close]) };
        self.keys.push(Key { print: print(text.as_bytes()), text, at: open });
    }

    /// The innermost array or object ends. Returns where the second of two equal keys begins, if there are two.
    pub(super) fn close(&mut self) -> Option<usize> {
        let first = self.open.pop()??;
        let keys = &self.keys[first..];
        let second = if keys.len() <= FEW { second_of_few(keys) } else { second_of_many(keys) };
        self.keys.truncate(first);
        second
    }
}

fn second_of_few(keys: &[Key<'_>]) -> Option<usize> {
    let second = (1..keys.len()).find(|index| keys[..*index].contains(&keys[*index]))?;
    Some(keys[second].at)
}

/// Sorts and does not hash: an attacker could choose keys that collide.
fn second_of_many(keys: &[Key<'_>]) -> Option<usize> {
    let mut order: Vec<(u64, &Key<'_>)> = keys.iter().map(|key| (key.print, key)).collect();
    order.sort_unstable_by(|(a, one), (b, other)| a.cmp(b).then_with(|| one.text.cmp(&other.text)));
    let twice = order.windows(2).find(|pair| pair[0].1 == pair[1].1)?;
    twice.iter().map(|(_, key)| key.at).max()
}

/// A number made from the key's length, beginning and end: numbered names differ at their end.
fn print(key: &[u8]) -> u64 {
    let ends = match (key.first_chunk(), key.last_chunk()) {
        (Some(head), Some(tail)) => u64::from_le_bytes(*head).rotate_left(29) ^ u64::from_le_bytes(*tail),
        _ => key.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)),
    };
    ends ^ ((key.len() as u64) << 56)
}
