//! Sets of partitions as the lists that records and messages have, of topics or of subtopologies.

use std::collections::{BTreeMap, BTreeSet};

/// Partitions with the epoch at which each was assigned, by what they are of.
pub(crate) type WithEpochs<K> = BTreeMap<K, BTreeMap<i32, i32>>;

/// One entry for each key, made of it and its partitions.
pub(crate) fn to_list<K, T>(
    sets: &BTreeMap<K, BTreeSet<i32>>,
    entry: impl Fn(&K, Vec<i32>) -> T,
) -> Vec<T> {
    sets.iter()
        .map(|(key, partitions)| entry(key, partitions.iter().copied().collect()))
        .collect()
}

/// As [`to_list`], of partitions and their epochs.
pub(crate) fn to_list_with_epochs<K, T>(
    owned: &WithEpochs<K>,
    entry: impl Fn(&K, Vec<i32>, Vec<i32>) -> T,
) -> Vec<T> {
    owned
        .iter()
        .map(|(key, partitions)| {
            let epochs = partitions.values().copied().collect();
            entry(key, partitions.keys().copied().collect(), epochs)
        })
        .collect()
}

/// What a list of keys, partitions and their epochs says. Records of Kafka before 4.3 have no epochs: `epoch`, the member's own,
/// stands in for them.
pub(crate) fn from_list_with_epochs<K: Ord>(
    list: impl Iterator<Item = (K, Vec<i32>, Option<Vec<i32>>)>,
    epoch: i32,
) -> WithEpochs<K> {
    let mut owned = WithEpochs::new();
    for (key, partitions, epochs) in list {
        let epochs = epochs.unwrap_or_default();
        let with_epoch = partitions.into_iter().enumerate();
        let partitions: &mut BTreeMap<i32, i32> = owned.entry(key).or_default();
        partitions.extend(
            with_epoch.map(|(at, index)| (index, epochs.get(at).copied().unwrap_or(epoch))),
        );
    }
    owned.retain(|_, partitions| !partitions.is_empty());
    owned
}
