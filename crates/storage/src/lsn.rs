//! The journal's own coordinate.

use std::fmt;

/// The number of a frame in the journal, from 1, never reused. `Lsn(0)` is durable by definition: an append
/// that does not go through the journal (`flush.policy` of `os` or `interval`) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before every frame: nothing to wait for.
    pub const ZERO: Lsn = Lsn(0);
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
