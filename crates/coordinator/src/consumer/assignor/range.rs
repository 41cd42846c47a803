//! The range assignor: of each topic, consecutive partitions to the members in a fixed order.
//!
//! When all members want the same topics and those have equally many partitions, a member gets the same indexes
//! of each (co-partitioning, for joins). Members are in the order of their instance ids, static ones first, so
//! that static members keep their ranges over restarts; it has no other stickiness. Source: Kafka's
//! `RangeAssignor`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use base::Uuid;

use super::{MemberSpec, Spec};
use crate::consumer::assignment::Partitions;

/// How far a topic is dealt out.
struct Deal {
    quota: i32,
    /// Members that still get one more than the quota.
    extra: i32,
    next: i32,
    end: i32,
}

pub(super) fn assign(group: &Spec) -> BTreeMap<Arc<str>, Partitions> {
    let mut members: Vec<(&Arc<str>, &MemberSpec)> = group.members.iter().collect();
    members.sort_by(order);
    let mut subscribers: BTreeMap<Uuid, i32> = BTreeMap::new();
    for (_, member) in &members {
        for topic in member.topics.iter() {
            *subscribers.entry(*topic).or_default() += 1;
        }
    }
    let mut deals: BTreeMap<Uuid, Deal> = group
        .topics
        .iter()
        .filter_map(|(topic, count)| {
            let members = *subscribers.get(topic)?;
            let deal = Deal {
                quota: count / members,
                extra: count % members,
                next: 0,
                end: *count,
            };
            Some((*topic, deal))
        })
        .collect();
    let mut assignment = BTreeMap::new();
    for (id, member) in members {
        let mut partitions = Partitions::new();
        for topic in member.topics.iter() {
            let Some(deal) = deals.get_mut(topic) else {
                continue;
            };
            let count = deal.quota + i32::from(deal.extra > 0);
            deal.extra -= i32::from(deal.extra > 0);
            let end = (deal.next + count).min(deal.end);
            if deal.next < end {
                partitions.insert(*topic, (deal.next..end).collect());
            }
            deal.next = end;
        }
        assignment.insert(id.clone(), partitions);
    }
    assignment
}

fn order((a_id, a): &(&Arc<str>, &MemberSpec), (b_id, b): &(&Arc<str>, &MemberSpec)) -> Ordering {
    match (&a.instance_id, &b.instance_id) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a_id.cmp(b_id),
    }
}
