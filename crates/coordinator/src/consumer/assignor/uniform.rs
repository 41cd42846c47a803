//! The uniform assignor for members that all want the same topics: sizes differ by one at most, and a partition
//! moves only where that asks for it. Source: Kafka's `UniformHomogeneousAssignmentBuilder`.
//!
//! Each member may keep as many of its partitions as its share; the rest, with the partitions nobody had, goes
//! to the members below theirs. Shares of one more go to the members that have that many already, then to the
//! first by id; Kafka gives them to the first by iteration, and moves partitions for it. Differs: fewer moves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Uuid;

use super::Spec;
use crate::consumer::assignment::Partitions;

pub(super) fn assign(group: &Spec) -> BTreeMap<Arc<str>, Partitions> {
    let members = group.members.len();
    let total = group.partitions().count();
    if members == 0 {
        return BTreeMap::new();
    }
    let (quota, mut extra) = (total / members, total % members);
    let mut taken: BTreeSet<(Uuid, i32)> = BTreeSet::new();
    let mut shares: BTreeMap<&Arc<str>, Vec<(Uuid, i32)>> = BTreeMap::new();
    for (id, member) in &group.members {
        let mut kept: Vec<(Uuid, i32)> = group
            .retained(member)
            .filter(|partition| !taken.contains(partition))
            .collect();
        let share = quota + usize::from(kept.len() > quota && extra > 0);
        extra -= share - quota;
        kept.truncate(share);
        taken.extend(&kept);
        shares.insert(id, kept);
    }
    let mut free = group
        .partitions()
        .filter(|partition| !taken.contains(partition));
    let mut assignment = BTreeMap::new();
    for (id, mut share) in shares {
        let mut wanted = quota;
        if share.len() <= quota && extra > 0 {
            wanted += 1;
            extra -= 1;
        }
        let missing = wanted.saturating_sub(share.len());
        share.extend(free.by_ref().take(missing));
        let mut partitions = Partitions::new();
        for (topic, partition) in share {
            partitions.entry(topic).or_default().insert(partition);
        }
        assignment.insert(id.clone(), partitions);
    }
    assignment
}
