//! Rules of share groups (KIP-932): every record is settled or delivered too often, one delivery at a time, and never
//! again once its settlement was acknowledged.

use std::collections::BTreeMap;

use super::index::Index;
use super::{Findings, Rule};
use crate::checker::events::{Delivered, Event, History, Place, ShareAck};

/// What is known of one record in one share group.
#[derive(Clone, Copy, Debug, Default)]
struct Record<'a> {
    /// Who has it, and until when.
    holder: Option<(&'a str, u64)>,
    deliveries: i32,
    /// The count of the last delivery whose release was acknowledged.
    released: i16,
    /// Somebody asked to settle it.
    asked: bool,
    /// The broker said that it is settled.
    settled: bool,
    /// It was delivered as often as it may be.
    exhausted: bool,
}

type Records<'a> = BTreeMap<i64, Record<'a>>;

pub(super) fn check(history: &History, index: &Index<'_>, found: &mut Findings) {
    let mut all: BTreeMap<(&str, &Place), Records<'_>> = BTreeMap::new();
    for event in &history.events {
        match event {
            Event::ShareAcquired {
                delivered,
                limit,
                at_us,
                until_us,
            } => {
                let records = all.entry((&delivered.group, &delivered.place)).or_default();
                acquire(records, delivered, *limit, (*at_us, *until_us), found);
            }
            Event::ShareAsked { delivered, ack } => {
                for record in of(&mut all, delivered) {
                    let is_holder = |holder: &mut (&str, u64)| holder.0 == delivered.member;
                    record.holder.take_if(is_holder);
                    record.asked |= ack.settles();
                }
            }
            Event::ShareAcknowledged { delivered, ack } => {
                for record in of(&mut all, delivered) {
                    match ack {
                        ShareAck::Accept | ShareAck::Reject => record.settled = true,
                        ShareAck::Release => record.released = record.released.max(delivered.count),
                    }
                }
            }
            Event::ShareReleased { group, member } => {
                let of_group = all.iter_mut().filter(|((of, _), _)| of == group);
                for record in of_group.flat_map(|(_, records)| records.values_mut()) {
                    record.holder.take_if(|holder| holder.0 == member);
                }
            }
            Event::LeadersLost => {
                for record in all.values_mut().flat_map(BTreeMap::values_mut) {
                    record.holder = None;
                }
            }
            Event::ShareDone {
                group,
                place,
                start,
            } => done(
                all.get(&(group.as_str(), place)),
                (group, place),
                *start,
                index,
                found,
            ),
            _ => {}
        }
    }
}

fn of<'m, 'a>(
    all: &'m mut BTreeMap<(&'a str, &'a Place), Records<'a>>,
    delivered: &'a Delivered,
) -> impl Iterator<Item = &'m mut Record<'a>> {
    let key = (delivered.group.as_str(), &delivered.place);
    let range = delivered.first..=delivered.last;
    let records = all.entry(key).or_default();
    records.range_mut(range).map(|(_, record)| record)
}

fn acquire<'a>(
    records: &mut Records<'a>,
    delivered: &'a Delivered,
    limit: i16,
    (at_us, until_us): (u64, u64),
    found: &mut Findings,
) {
    let Delivered {
        group,
        member,
        place,
        count,
        ..
    } = delivered;
    for offset in delivered.first..=delivered.last {
        let record = records.entry(offset).or_default();
        record.deliveries += 1;
        let what = || format!("{group}: {place}/{offset} was delivered to {member}");
        if record.settled {
            let detail = format!("{} after it was settled", what());
            found.add(Rule::ShareRedelivered, detail);
        }
        if let Some((holder, until)) = record.holder
            && at_us < until
        {
            let detail = format!("{} at {at_us}, and {holder} has it until {until}", what());
            found.add(Rule::ShareTwoHolders, detail);
        }
        let is_possible = (1..=limit).contains(count)
            && i32::from(*count) <= record.deliveries
            && *count > record.released;
        if !is_possible {
            let (deliveries, released) = (record.deliveries, record.released);
            let detail = format!(
                "{} with count {count} of {limit}: it is delivery {deliveries}, and {released} was released",
                what()
            );
            found.add(Rule::ShareDeliveryCount, detail);
        }
        record.exhausted |= *count >= limit;
        record.holder = Some((member, until_us));
    }
}

fn done(
    records: Option<&Records<'_>>,
    (group, place): (&str, &Place),
    start: i64,
    index: &Index<'_>,
    found: &mut Findings,
) {
    let Some(log) = index.logs.get(place) else {
        return;
    };
    for offset in log.records.range(..start).map(|(offset, _)| *offset) {
        let record = records.and_then(|records| records.get(&offset));
        if !record.is_some_and(|record| record.asked || record.exhausted) {
            let seen = record.map_or(0, |record| record.deliveries);
            let detail = format!(
                "{group}: {place}/{offset} is dealt with; it was delivered {seen} times and nobody settled it"
            );
            found.add(Rule::ShareLost, detail);
        }
    }
}
