//! The `simple` assignor of share groups: every partition is somebody's, every member has something, and as
//! little moves as that allows.
//!
//! With n members and p partitions each partition is shared by s = ceil(n / p) members, so there are s · p places,
//! and the members get the same number of them, give or take one. Where all members want the same topics that is
//! done over all topics at once, else for each topic among those that want it. Source: Kafka's `SimpleAssignor`.
//!
//! Differs: of equals the first by id is taken, Kafka takes any; a partition that cannot be assigned any more is
//! taken away at once, which Kafka leaves to the member's next step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Uuid;

use crate::consumer::assignment::Partitions;

/// The assignor's name in `group.share.assignors` and in descriptions.
pub(crate) const SIMPLE: &str = "simple";

/// A member as the assignor sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemberSpec {
    /// The topics it wants, of those that exist.
    pub(crate) topics: BTreeSet<Uuid>,
    /// What it shall have now.
    pub(crate) assigned: Arc<Partitions>,
}

type Partition = (Uuid, i32);

/// What each member shall have, of the partitions that may be assigned.
pub(crate) fn assign(
    members: &BTreeMap<Arc<str>, MemberSpec>,
    assignable: &Partitions,
) -> BTreeMap<Arc<str>, Partitions> {
    let mut result: BTreeMap<Arc<str>, Partitions> = members
        .keys()
        .map(|id| (id.clone(), Partitions::new()))
        .collect();
    let mut sets = members.values().map(|member| &member.topics);
    let first = sets.next();
    if let Some(topics) = first.filter(|first| sets.all(|topics| topics == *first)) {
        share_out(members.iter().collect(), topics, assignable, &mut result);
        return result;
    }
    let wanted: BTreeSet<Uuid> = members
        .values()
        .flat_map(|member| member.topics.iter().copied())
        .collect();
    for topic in wanted {
        let subscribed = members
            .iter()
            .filter(|(_, member)| member.topics.contains(&topic));
        let topic = BTreeSet::from([topic]);
        share_out(subscribed.collect(), &topic, assignable, &mut result);
    }
    result
}

/// Shares out the partitions of `topics` among members that all want them.
fn share_out(
    members: Vec<(&Arc<str>, &MemberSpec)>,
    topics: &BTreeSet<Uuid>,
    assignable: &Partitions,
    result: &mut BTreeMap<Arc<str>, Partitions>,
) {
    let partitions: BTreeSet<Partition> = each(assignable)
        .filter(|(topic, _)| topics.contains(topic))
        .collect();
    if partitions.is_empty() || members.is_empty() {
        return;
    }
    let sharing = members.len().div_ceil(partitions.len());
    let places = sharing * partitions.len();
    let up_to = |index: usize| (places * index).div_ceil(members.len());
    let quota = |index: usize| up_to(index + 1) - up_to(index);
    let mut held: Vec<BTreeSet<Partition>> = Vec::with_capacity(members.len());
    let mut holders: BTreeMap<Partition, BTreeSet<usize>> = partitions
        .iter()
        .map(|partition| (*partition, BTreeSet::new()))
        .collect();
    for (index, (_, member)) in members.iter().enumerate() {
        let mut kept: BTreeSet<Partition> = each(&member.assigned)
            .filter(|partition| partitions.contains(partition))
            .collect();
        while kept.len() > quota(index) {
            kept.pop_first();
        }
        for partition in &kept {
            holders.entry(*partition).or_default().insert(index);
        }
        held.push(kept);
    }
    for (partition, holders) in &mut holders {
        while holders.len() > sharing {
            let Some(member) = holders.pop_first() else {
                break;
            };
            if let Some(held) = held.get_mut(member) {
                held.remove(partition);
            }
        }
    }
    fill(&mut held, &holders, sharing, quota);
    for ((id, _), held) in members.into_iter().zip(held) {
        let assigned = result.entry(id.clone()).or_default();
        for (topic, partition) in held {
            assigned.entry(topic).or_default().insert(partition);
        }
    }
}

/// Gives the places that are free to members that have room, going round among them.
fn fill(
    held: &mut [BTreeSet<Partition>],
    holders: &BTreeMap<Partition, BTreeSet<usize>>,
    sharing: usize,
    quota: impl Fn(usize) -> usize,
) {
    let mut with_room: std::collections::VecDeque<usize> = held
        .iter()
        .enumerate()
        .filter(|(index, held)| held.len() < quota(*index))
        .map(|(index, _)| index)
        .collect();
    for (partition, holders) in holders {
        let mut free = sharing.saturating_sub(holders.len());
        for _ in 0..with_room.len() {
            if free == 0 {
                break;
            }
            let Some(member) = with_room.pop_front() else {
                break;
            };
            let Some(has) = held.get_mut(member) else {
                continue;
            };
            if has.insert(*partition) {
                free -= 1;
            }
            if has.len() < quota(member) {
                with_room.push_back(member);
            }
        }
    }
}

fn each(partitions: &Partitions) -> impl Iterator<Item = Partition> + '_ {
    partitions
        .iter()
        .flat_map(|(topic, indexes)| indexes.iter().map(move |index| (*topic, *index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Uuid = Uuid([1; 16]);
    const B: Uuid = Uuid([2; 16]);

    fn partitions(of: &[(Uuid, i32)]) -> Partitions {
        of.iter()
            .map(|(id, count)| (*id, (0..*count).collect()))
            .collect()
    }

    fn members(wants: &[&[Uuid]]) -> BTreeMap<Arc<str>, MemberSpec> {
        let specs = wants.iter().enumerate().map(|(index, topics)| {
            let spec = MemberSpec {
                topics: topics.iter().copied().collect(),
                assigned: Arc::default(),
            };
            (format!("m{index}").into(), spec)
        });
        specs.collect()
    }

    /// Applies an assignment, so that the next one starts from it.
    fn settle(members: &mut BTreeMap<Arc<str>, MemberSpec>, assignable: &Partitions) -> usize {
        let mut moved = 0;
        for (id, new) in assign(members, assignable) {
            let member = members.get_mut(&id).unwrap();
            moved += each(&new)
                .filter(|(topic, index)| {
                    !member
                        .assigned
                        .get(topic)
                        .is_some_and(|has| has.contains(index))
                })
                .count();
            member.assigned = Arc::new(new);
        }
        moved
    }

    fn sizes(members: &BTreeMap<Arc<str>, MemberSpec>) -> Vec<usize> {
        members
            .values()
            .map(|member| each(&member.assigned).count())
            .collect()
    }

    fn all(members: &BTreeMap<Arc<str>, MemberSpec>) -> Partitions {
        let mut all = Partitions::new();
        for (topic, index) in members.values().flat_map(|member| each(&member.assigned)) {
            all.entry(topic).or_default().insert(index);
        }
        all
    }

    #[test]
    fn fewer_members_than_partitions_split_them() {
        let assignable = partitions(&[(A, 4), (B, 3)]);
        let mut members = members(&[&[A, B], &[A, B]]);
        settle(&mut members, &assignable);
        assert_eq!(all(&members), assignable);
        assert_eq!(sizes(&members), [4, 3]);
        assert_eq!(
            settle(&mut members, &assignable),
            0,
            "nothing moves for nothing"
        );
    }

    #[test]
    fn more_members_than_partitions_share_them() {
        let assignable = partitions(&[(A, 2)]);
        let mut members = members(&[&[A][..]; 5]);
        settle(&mut members, &assignable);
        assert_eq!(all(&members), assignable);
        let mut sizes = sizes(&members);
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 1, 1, 1, 2]);
    }

    #[test]
    fn members_get_only_what_they_want() {
        let assignable = partitions(&[(A, 3), (B, 2)]);
        let mut members = members(&[&[A], &[A, B], &[B]]);
        settle(&mut members, &assignable);
        assert_eq!(all(&members), assignable);
        for member in members.values() {
            assert!(
                member
                    .assigned
                    .keys()
                    .all(|topic| member.topics.contains(topic))
            );
        }
    }

    #[test]
    fn a_member_that_comes_takes_its_part_and_no_more_moves() {
        let assignable = partitions(&[(A, 9)]);
        let mut members = members(&[&[A], &[A]]);
        settle(&mut members, &assignable);
        let spec = MemberSpec {
            topics: BTreeSet::from([A]),
            assigned: Arc::default(),
        };
        members.insert("m2".into(), spec);
        assert_eq!(settle(&mut members, &assignable), 3);
        assert_eq!(sizes(&members), [3, 3, 3]);
        assert_eq!(all(&members), assignable);
        members.remove("m0");
        settle(&mut members, &assignable);
        assert_eq!(all(&members), assignable);
        let mut sizes = sizes(&members);
        sizes.sort_unstable();
        assert_eq!(sizes, [4, 5]);
    }

    #[test]
    fn what_is_not_assignable_is_nobodys() {
        let mut members = members(&[&[A, B]]);
        settle(&mut members, &partitions(&[(A, 2), (B, 1)]));
        settle(&mut members, &partitions(&[(A, 1)]));
        assert_eq!(all(&members), partitions(&[(A, 1)]));
        settle(&mut members, &Partitions::new());
        assert_eq!(all(&members), Partitions::new());
    }

    /// Whatever came before, a group that stays as it is has every partition somewhere and even loads.
    #[test]
    fn groups_of_any_size_are_served_evenly() {
        for (count, partition_count) in (1..12).flat_map(|n| (1..12).map(move |p| (n, p))) {
            let assignable = partitions(&[(A, partition_count)]);
            let wants: Vec<&[Uuid]> = vec![&[A]; count];
            let mut members = members(&wants);
            // From a lopsided start: the first has all.
            members.values_mut().next().unwrap().assigned = Arc::new(assignable.clone());
            settle(&mut members, &assignable);
            settle(&mut members, &assignable);
            assert_eq!(all(&members), assignable, "{count} {partition_count}");
            let sizes = sizes(&members);
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!(
                *least >= 1 && most - least <= 1,
                "{count} {partition_count}: {sizes:?}"
            );
        }
    }
}
