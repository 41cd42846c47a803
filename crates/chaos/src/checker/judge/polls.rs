//! Rules of consumers: forward, and past nothing. A new assignment or a seek begins anew.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::index::Index;
use super::{Findings, Rule};
use crate::checker::events::{Event, History, Place, Seen};

/// Where a consumer stands in a partition.
#[derive(Clone, Copy, Debug)]
enum Position<'a> {
    /// It was given this offset last.
    After(i64),
    /// It begins where the group has committed.
    Committed(&'a str),
}

/// The highest offset that anybody asked to commit, by group and partition.
type Asked<'a> = BTreeMap<(&'a str, &'a Place), i64>;

pub(super) fn check(history: &History, index: &Index<'_>, found: &mut Findings) {
    let mut positions: BTreeMap<(&str, &Place), Position<'_>> = BTreeMap::new();
    let mut asked = Asked::new();
    for event in &history.events {
        match event {
            Event::Seek { consumer, place } => {
                positions.remove(&(consumer.as_str(), place));
            }
            Event::Assigned {
                member,
                group,
                places,
                ..
            } => {
                for place in places {
                    positions.insert((member.as_str(), place), Position::Committed(group));
                }
            }
            Event::Revoked { member, places, .. } => {
                for place in places {
                    positions.remove(&(member.as_str(), place));
                }
            }
            Event::OffsetAsked {
                group,
                place,
                offset,
                ..
            } => {
                let highest = asked.entry((group.as_str(), place)).or_insert(*offset);
                *highest = (*highest).max(*offset);
            }
            Event::Poll {
                consumer,
                place,
                records,
                ..
            } => {
                let position = positions.get(&(consumer.as_str(), place)).copied();
                let mut poll = Poll {
                    consumer,
                    place,
                    position,
                };
                for seen in records {
                    poll.take(*seen, index, &asked, found);
                }
                if let Some(position) = poll.position {
                    positions.insert((consumer.as_str(), place), position);
                }
            }
            _ => {}
        }
    }
}

struct Poll<'a> {
    consumer: &'a str,
    place: &'a Place,
    position: Option<Position<'a>>,
}

impl Poll<'_> {
    fn take(&mut self, seen: Seen, index: &Index<'_>, asked: &Asked<'_>, found: &mut Findings) {
        let Poll {
            consumer, place, ..
        } = *self;
        let offset = seen.offset;
        let skipped_from = match self.position {
            Some(Position::After(last)) if offset <= last => {
                let detail = format!("{consumer} was given {place}/{offset} after {last}");
                found.add(Rule::NonmonotonicPoll, detail);
                None
            }
            Some(Position::After(last)) => Some(Bound::Excluded(last)),
            Some(Position::Committed(group)) => {
                let committed = asked.get(&(group, place)).copied();
                let start = index.logs.get(place).map(|log| log.start);
                Some(Bound::Included(committed.or(start).unwrap_or(offset)))
            }
            None => None,
        };
        if let Some(from) = skipped_from
            && let Some(log) = index.logs.get(place)
            && is_before(from, offset)
            && let Some((missed, _)) = log.records.range((from, Bound::Excluded(offset))).next()
        {
            let detail = format!("{consumer} went to {place}/{offset} past {missed}");
            found.add(Rule::PollSkip, detail);
        }
        self.position = Some(Position::After(offset));
    }
}

/// A range of a map must not begin behind its end.
fn is_before(from: Bound<i64>, offset: i64) -> bool {
    match from {
        Bound::Included(from) | Bound::Excluded(from) => from < offset,
        Bound::Unbounded => true,
    }
}
