//! Lists of what is wrong with a value. A large value may be wrong in a million places, too many to read.

use std::ops::Deref;

/// The first hundred elements of a list that may be very long, and how many there are in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capped<T> {
    kept: Vec<T>,
    total: usize,
}

impl<T> Capped<T> {
    /// How many are kept.
    pub const MOST: usize = 100;

    /// How many there are in all.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Adds those of another list.
    pub fn append<U>(&mut self, other: Capped<U>, map: impl FnMut(U) -> T) {
        let room = Self::MOST - self.kept.len();
        self.total += other.total;
        self.kept.extend(other.kept.into_iter().map(map).take(room));
    }

    /// The same list with each element changed.
    pub fn map<U>(self, map: impl FnMut(T) -> U) -> Capped<U> {
        Capped { kept: self.kept.into_iter().map(map).collect(), total: self.total }
    }
}

impl<T> Default for Capped<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), total: 0 }
    }
}

/// Keeps the first elements, and counts the others without making anything of them.
impl<T> FromIterator<T> for Capped<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut all = all.into_iter();
        let kept: Vec<T> = all.by_ref().take(Self::MOST).collect();
        let total = kept.len() + all.count();
        Self { kept, total }
    }
}

/// The elements that are kept.
impl<T> Deref for Capped<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.kept
    }
}

impl<T> IntoIterator for Capped<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.kept.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ones_are_kept_and_all_are_counted() {
        let mut capped: Capped<usize> = (0..150).collect();
        assert_eq!((capped.len(), capped.total(), capped[99]), (100, 150, 99));
        capped.append((0..7).collect(), |number: usize| number);
        assert_eq!((capped.len(), capped.total()), (100, 157));
        let few: Capped<usize> = (0..2).collect();
        assert_eq!(few.map(|number| number.to_string()).to_vec(), ["0", "1"]);
    }
}
