//! Which driver a tree belongs to. A shard is the last byte of the root's id, and never changes. The ids of sub-runs
//! end with the same byte, so every id of a tree shows its shard.

use stepflow_protocol::RunId;
use uuid::Uuid;

/// The shard of a run.
#[must_use]
pub fn shard_of(run: RunId) -> u8 {
    run.uuid().as_bytes()[15]
}

/// The id with the shard of this run.
#[must_use]
pub(crate) fn in_shard_of(run: RunId, id: Uuid) -> Uuid {
    let mut bytes = *id.as_bytes();
    bytes[15] = shard_of(run);
    Uuid::from_bytes(bytes)
}

/// Every `of`-th shard, beginning with `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shards {
    first: u8,
    of: u8,
}

impl Shards {
    /// All shards.
    pub const ALL: Self = Self { first: 0, of: 1 };

    /// The shards of the driver with this number, if there are so many drivers.
    #[must_use]
    pub fn of_driver(number: u8, of: u8) -> Self {
        Self { first: number, of: of.max(1) }
    }

    /// How many drivers share the shards.
    #[must_use]
    pub(crate) fn drivers(self) -> usize {
        usize::from(self.of)
    }

    /// The id, changed so that its shard is one of them.
    pub(crate) fn own(self, id: Uuid) -> Uuid {
        let mut bytes = *id.as_bytes();
        let shard = bytes[15] - bytes[15] % self.of;
        // The last few shards may have no driver with this number.
        bytes[15] = shard.checked_add(self.first).unwrap_or(self.first);
        Uuid::from_bytes(bytes)
    }

    /// Whether this run's tree is in one of them.
    #[must_use]
    pub fn contains(self, run: RunId) -> bool {
        shard_of(run) % self.of == self.first
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |shard| shard % self.of == self.first)
    }
}
