//! What changed last, in the order of the topic, for whoever mirrors it.
//!
//! Of every version, and of every config, the last change is kept, under the offset of the record that made it; whoever has
//! come to an offset has to see only what is after it. It is a function of the records, as all of the state is.
//!
//! Differs from a log: what was changed again since is told once, where it was changed last, and a version that is gone
//! for good is not told at all.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

/// What the record at an offset did that is still so.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// A version was made, or soft deleted by itself.
    Version(Arc<str>, i32),
    /// All versions of a subject were soft deleted.
    Deleted(Arc<str>),
    /// The config of a subject or context was set or taken away.
    Config(Arc<str>),
}

/// The changes that count.
#[derive(Debug, Default)]
pub(super) struct Changes {
    by_offset: BTreeMap<i64, Change>,
    /// Where a change that is no version's is; a version knows its own.
    marks: HashMap<Change, i64>,
}

impl Changes {
    pub(super) fn version(&mut self, offset: i64, subject: Arc<str>, number: i32) {
        self.by_offset
            .insert(offset, Change::Version(subject, number));
    }

    pub(super) fn forget_version(&mut self, offset: i64) {
        self.by_offset.remove(&offset);
    }

    /// Notes a change; the last one of its kind is no news any more.
    pub(super) fn mark(&mut self, offset: i64, change: Change) {
        if let Some(old) = self.marks.insert(change.clone(), offset) {
            self.by_offset.remove(&old);
        }
        self.by_offset.insert(offset, change);
    }

    pub(super) fn unmark(&mut self, change: &Change) {
        if let Some(offset) = self.marks.remove(change) {
            self.by_offset.remove(&offset);
        }
    }

    pub(super) fn after(&self, offset: i64) -> impl Iterator<Item = (i64, &Change)> {
        self.by_offset
            .range((Bound::Excluded(offset), Bound::Unbounded))
            .map(|(offset, change)| (*offset, change))
    }
}
