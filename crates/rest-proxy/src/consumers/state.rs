//! What replaying the topic gives: every instance and who owns it.
//!
//! A record counts if it is of a newer epoch than what is known, or of the same epoch and owner. So of two proxies that
//! take over at once, the first in the topic owns the instance. Compaction keeps the last record of a key, which may be the
//! one that did not count; an owner that sees its instance [`State::is_contested`] or missing therefore writes it again.

use std::collections::{HashMap, HashSet};

use super::record::{InstanceId, InstanceRecord};

/// Every instance of the topic.
#[derive(Debug, Default)]
pub(super) struct State {
    instances: HashMap<InstanceId, InstanceRecord>,
    contested: HashSet<InstanceId>,
}

/// What a record did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// It is what is known now.
    Taken,
    /// Another owner was first.
    Refused,
    /// The instance is gone.
    Removed,
    /// It is none of ours.
    Unreadable,
}

impl State {
    /// The next record of the topic.
    pub(super) fn apply(&mut self, key: &[u8], value: Option<&[u8]>) -> Applied {
        let Ok(id) = serde_json::from_slice::<InstanceId>(key) else {
            return Applied::Unreadable;
        };
        let Some(value) = value else {
            self.instances.remove(&id);
            self.contested.remove(&id);
            return Applied::Removed;
        };
        let Ok(record) = serde_json::from_slice::<InstanceRecord>(value) else {
            return Applied::Unreadable;
        };
        let counts = self.instances.get(&id).is_none_or(|known| {
            record.epoch > known.epoch
                || (record.epoch == known.epoch && record.owner == known.owner)
        });
        if counts {
            self.contested.remove(&id);
            self.instances.insert(id, record);
            Applied::Taken
        } else {
            self.contested.insert(id);
            Applied::Refused
        }
    }

    /// An instance.
    pub(super) fn get(&self, id: &InstanceId) -> Option<&InstanceRecord> {
        self.instances.get(id)
    }

    /// Every instance.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&InstanceId, &InstanceRecord)> {
        self.instances.iter()
    }

    /// Whether the last record of the instance is one that did not count.
    pub(super) fn is_contested(&self, id: &InstanceId) -> bool {
        self.contested.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::tests::{id, record};
    use super::*;

    fn apply(state: &mut State, epoch: u64, owner: &str) -> Applied {
        state.apply(&id("i").encode(), Some(&record(epoch, owner).encode()))
    }

    fn owner(state: &State) -> Option<(u64, String)> {
        let record = state.get(&id("i"))?;
        Some((record.epoch, record.owner.incarnation.clone()))
    }

    #[test]
    fn the_first_of_an_epoch_has_it() {
        let mut state = State::default();
        assert_eq!(apply(&mut state, 1, "a"), Applied::Taken);
        assert_eq!(apply(&mut state, 2, "b"), Applied::Taken);
        assert_eq!(apply(&mut state, 2, "c"), Applied::Refused);
        assert!(state.is_contested(&id("i")));
        assert_eq!(apply(&mut state, 1, "a"), Applied::Refused);
        assert_eq!(owner(&state), Some((2, "b".to_owned())));
        assert_eq!(apply(&mut state, 2, "b"), Applied::Taken);
        assert!(!state.is_contested(&id("i")));
        assert_eq!(state.apply(&id("i").encode(), None), Applied::Removed);
        assert_eq!(owner(&state), None);
        assert_eq!(state.apply(b"?", None), Applied::Unreadable);
        assert_eq!(
            state.apply(&id("i").encode(), Some(b"{}")),
            Applied::Unreadable
        );
    }

    proptest! {
        /// Whoever reads a compacted topic agrees with whoever read it all, once owners have written again what was
        /// contested.
        #[test]
        fn compaction_changes_nothing_in_the_end(writes in prop::collection::vec((0..3_usize, 0..6_usize, 0..8_u8), 0..60)) {
            let names = ["x", "y", "z"];
            let owners = ["a", "b", "c", "d", "e", "f"];
            let mut live = State::default();
            let mut topic = Vec::new();
            for (name, owner, kind) in writes {
                let id = id(names[name]);
                let known = live.get(&id).cloned();
                // A tombstone, a write of the owner, or one of somebody who wants to be.
                let value = match (kind, known) {
                    (0, _) => None,
                    (1..=3, Some(known)) => Some(record(known.epoch, &known.owner.incarnation)),
                    (4, Some(known)) => Some(record(known.epoch, owners[owner])),
                    (_, known) => Some(record(known.map_or(1, |known| known.epoch + 1), owners[owner])),
                };
                let value = value.map(|record| record.encode());
                live.apply(&id.encode(), value.as_deref());
                topic.push((id, value));
            }
            let contested: Vec<_> = names.iter().map(|name| id(name)).filter(|id| live.is_contested(id)).collect();
            for id in contested {
                let again = live.get(&id).expect("it is contested, so it is there").encode();
                live.apply(&id.encode(), Some(&again));
                topic.push((id, Some(again)));
            }
            let mut last = HashMap::new();
            for (id, value) in topic {
                last.insert(id, value);
            }
            let mut replayed = State::default();
            for (id, value) in &last {
                replayed.apply(&id.encode(), value.as_deref());
            }
            prop_assert_eq!(replayed.instances, live.instances);
        }
    }
}
