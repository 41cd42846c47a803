//! A member of a group whose assignment the coordinator makes: what it said of itself and what it has.

use std::sync::Arc;

/// A member. `M` is its metadata record's content, `C` that of its current assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member<M, C> {
    pub(crate) id: Arc<str>,
    pub(crate) metadata: M,
    pub(crate) current: C,
}

impl<M: Clone + Default, C: Clone + Default> Member<M, C> {
    /// A member of which nothing is known yet.
    pub(crate) fn new(id: Arc<str>) -> Member<M, C> {
        Member {
            id,
            metadata: M::default(),
            current: C::default(),
        }
    }

    /// As the log has it so far: `old`, or one of which nothing is known yet.
    pub(crate) fn known(id: &Arc<str>, old: Option<&Member<M, C>>) -> Member<M, C> {
        old.cloned().unwrap_or_else(|| Member::new(id.clone()))
    }

    /// The same member with other metadata.
    pub(crate) fn with_metadata(&self, metadata: M) -> Member<M, C> {
        Member {
            id: self.id.clone(),
            metadata,
            current: self.current.clone(),
        }
    }
}
