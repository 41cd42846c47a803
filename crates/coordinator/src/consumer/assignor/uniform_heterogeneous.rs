//! The uniform assignor for members that want different topics: as even as their wishes allow, then as few
//! moves as that allows. Source of the aims: Kafka's `UniformHeterogeneousAssignmentBuilder`.
//!
//! Members keep what they have; partitions without an owner go to the least loaded member that wants them,
//! partitions with the fewest candidates first. Then partitions move along chains of members, from one that has
//! too many to one that has at least two less: such a chain makes the assignment more even, and when there is
//! none it is as even as it can be (the argument of augmenting paths in bipartite load balancing). Differs:
//! Kafka moves single partitions between pairs of members and stops where no single move helps.
//!
//! What two members share is a topic, not a partition, so chains are looked for over members and topics, and a
//! round costs members times topics.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::Uuid;

use super::Spec;
use crate::consumer::assignment::Partitions;

type MemberIndex = usize;

struct Balance<'a> {
    ids: Vec<&'a Arc<str>>,
    /// What each member has, by topic.
    owned: Vec<BTreeMap<Uuid, BTreeSet<i32>>>,
    sizes: Vec<usize>,
    subscribers: BTreeMap<Uuid, Vec<MemberIndex>>,
}

pub(super) fn assign(group: &Spec) -> BTreeMap<Arc<str>, Partitions> {
    let mut balance = Balance::retaining(group);
    balance.assign_rest(group);
    while balance.improve() {}
    let Balance { ids, owned, .. } = balance;
    let assignment = ids.into_iter().zip(owned);
    assignment
        .map(|(id, mut owned)| {
            owned.retain(|_, partitions| !partitions.is_empty());
            (id.clone(), owned)
        })
        .collect()
}

impl<'a> Balance<'a> {
    fn retaining(group: &'a Spec) -> Balance<'a> {
        let mut taken = BTreeSet::new();
        let mut balance = Balance {
            ids: Vec::new(),
            owned: Vec::new(),
            sizes: Vec::new(),
            subscribers: BTreeMap::new(),
        };
        for (index, (id, member)) in group.members.iter().enumerate() {
            for topic in member.topics.iter() {
                balance.subscribers.entry(*topic).or_default().push(index);
            }
            let mut owned: BTreeMap<Uuid, BTreeSet<i32>> = BTreeMap::new();
            let mut size = 0;
            for (topic, partition) in group.retained(member) {
                if taken.insert((topic, partition)) {
                    owned.entry(topic).or_default().insert(partition);
                    size += 1;
                }
            }
            balance.ids.push(id);
            balance.owned.push(owned);
            balance.sizes.push(size);
        }
        balance
    }

    /// Gives partitions without an owner to the least loaded of their subscribers.
    fn assign_rest(&mut self, group: &Spec) {
        let mut topics: Vec<(&Uuid, &i32)> = group.topics.iter().collect();
        topics.sort_by_key(|(topic, _)| self.subscribers.get(topic).map_or(0, Vec::len));
        for (topic, count) in topics {
            let Some(subscribers) = self.subscribers.get(topic).cloned() else {
                continue;
            };
            let owned: BTreeSet<i32> = subscribers
                .iter()
                .filter_map(|member| self.owned.get(*member)?.get(topic))
                .flatten()
                .copied()
                .collect();
            let mut by_size: BTreeSet<(usize, MemberIndex)> = subscribers
                .iter()
                .map(|member| (self.size(*member), *member))
                .collect();
            for partition in (0..*count).filter(|partition| !owned.contains(partition)) {
                let Some((size, member)) = by_size.pop_first() else {
                    break;
                };
                by_size.insert((size + 1, member));
                self.give(member, *topic, partition);
            }
        }
    }

    /// Moves one partition along each member of the shortest chain that makes the assignment more even;
    /// `false` when there is none.
    fn improve(&mut self) -> bool {
        let mut by_load: Vec<MemberIndex> = (0..self.sizes.len()).collect();
        by_load.sort_by_key(|member| (std::cmp::Reverse(self.size(*member)), *member));
        // From one source all others are tried; a source that reaches nobody reaches nobody later either until
        // something moves, so the first that does ends the round.
        let mut hopeless = BTreeSet::new();
        for source in by_load {
            if self.size(source) < 2 {
                return false;
            }
            if hopeless.contains(&source) {
                continue;
            }
            match self.chain_from(source) {
                Ok(chain) => {
                    self.move_along(&chain);
                    return true;
                }
                // Whoever a hopeless source reaches is at least as hopeless: it has less to give away.
                Err(reached) => hopeless.extend(reached),
            }
        }
        false
    }

    /// A chain of members and of the topic that moves from each to the next, to a member with at least two
    /// partitions less; or the members that can be reached.
    fn chain_from(
        &self,
        source: MemberIndex,
    ) -> Result<Vec<(MemberIndex, Uuid, MemberIndex)>, BTreeSet<MemberIndex>> {
        let start = self.size(source);
        let mut came_from: BTreeMap<MemberIndex, (MemberIndex, Uuid)> = BTreeMap::new();
        let mut reached = BTreeSet::from([source]);
        let mut queue = VecDeque::from([source]);
        let mut seen_topics = BTreeSet::new();
        while let Some(member) = queue.pop_front() {
            let topics = self.owned.get(member).into_iter().flatten();
            for (topic, _) in topics.filter(|(_, partitions)| !partitions.is_empty()) {
                // All subscribers of a topic are reached through its first owner.
                if !seen_topics.insert(*topic) {
                    continue;
                }
                for next in self.subscribers.get(topic).into_iter().flatten() {
                    if !reached.insert(*next) {
                        continue;
                    }
                    came_from.insert(*next, (member, *topic));
                    if self.size(*next) + 2 <= start {
                        return Ok(unwind(&came_from, *next));
                    }
                    queue.push_back(*next);
                }
            }
        }
        Err(reached)
    }

    fn move_along(&mut self, chain: &[(MemberIndex, Uuid, MemberIndex)]) {
        for (from, topic, to) in chain {
            let taken = self
                .owned
                .get_mut(*from)
                .and_then(|owned| owned.get_mut(topic)?.pop_last());
            if let Some(partition) = taken {
                if let Some(size) = self.sizes.get_mut(*from) {
                    *size -= 1;
                }
                self.give(*to, *topic, partition);
            }
        }
    }

    fn give(&mut self, member: MemberIndex, topic: Uuid, partition: i32) {
        if let (Some(owned), Some(size)) = (self.owned.get_mut(member), self.sizes.get_mut(member))
        {
            owned.entry(topic).or_default().insert(partition);
            *size += 1;
        }
    }

    fn size(&self, member: MemberIndex) -> usize {
        self.sizes.get(member).copied().unwrap_or(0)
    }
}

/// The chain to `end`, from its source.
fn unwind(
    came_from: &BTreeMap<MemberIndex, (MemberIndex, Uuid)>,
    end: MemberIndex,
) -> Vec<(MemberIndex, Uuid, MemberIndex)> {
    let mut chain = Vec::new();
    let mut at = end;
    while let Some((from, topic)) = came_from.get(&at) {
        chain.push((*from, *topic, at));
        at = *from;
    }
    chain.reverse();
    chain
}
