//! The rules of share groups, of compaction, of deletion and of epochs: each with a planted fault that it finds.

use super::*;
use crate::checker::events::{Delivered, Place, Seen, ShareAck, value_of};

fn place() -> Place {
    Place::new("in", 0)
}

fn delivered(member: &str, first: i64, last: i64, count: i16) -> Delivered {
    Delivered {
        group: "sharers".to_owned(),
        member: member.to_owned(),
        place: place(),
        first,
        last,
        count,
    }
}

fn acquired(delivered: Delivered, at_us: u64) -> Event {
    Event::ShareAcquired {
        delivered,
        limit: 3,
        at_us,
        until_us: at_us + 100,
    }
}

fn asked(delivered: Delivered, ack: ShareAck) -> Event {
    Event::ShareAsked { delivered, ack }
}

fn acknowledged(delivered: Delivered, ack: ShareAck) -> Event {
    Event::ShareAcknowledged { delivered, ack }
}

fn send(offset: i64, key: Option<u64>) -> Event {
    Event::Send {
        place: place(),
        value: value_of(1, offset.unsigned_abs()),
        txn: None,
        source: None,
        key,
        outcome: Outcome::Ok(Some(offset)),
    }
}

fn log(offsets: &[i64], start: i64) -> Event {
    let seen = |offset: &i64| Seen {
        offset: *offset,
        value: value_of(1, offset.unsigned_abs()),
    };
    Event::Log {
        place: place(),
        start,
        stable: 4,
        end: 4,
        records: offsets.iter().map(seen).collect(),
    }
}

/// Four records: two are accepted, one is released and accepted, one is rejected.
fn good() -> Vec<Event> {
    let mut events: Vec<Event> = (0..4).map(|offset| send(offset, None)).collect();
    events.extend([
        acquired(delivered("a", 0, 2, 1), 10),
        asked(delivered("a", 0, 1, 1), ShareAck::Accept),
        acknowledged(delivered("a", 0, 1, 1), ShareAck::Accept),
        asked(delivered("a", 2, 2, 1), ShareAck::Release),
        acknowledged(delivered("a", 2, 2, 1), ShareAck::Release),
        acquired(delivered("b", 2, 2, 2), 20),
        // The lock runs out.
        acquired(delivered("a", 2, 2, 3), 120),
        asked(delivered("a", 2, 2, 3), ShareAck::Accept),
        acquired(delivered("b", 3, 3, 1), 130),
        asked(delivered("b", 3, 3, 1), ShareAck::Reject),
        Event::ShareDone {
            group: "sharers".to_owned(),
            place: place(),
            start: 4,
        },
        log(&[0, 1, 2, 3], 0),
    ]);
    events
}

fn found(events: Vec<Event>) -> Vec<Rule> {
    let found = judge(&History { events });
    let mut rules: Vec<Rule> = found.iter().map(|violation| violation.rule).collect();
    rules.dedup();
    rules
}

fn planted(at: usize, event: Event) -> Vec<Rule> {
    let mut events = good();
    events.insert(at, event);
    found(events)
}

#[test]
fn a_good_history_breaks_no_rule() {
    assert_eq!(found(good()), []);
}

#[test]
fn a_record_that_nobody_settled_is_lost() {
    let mut events = good();
    events.retain(
        |event| !matches!(event, Event::ShareAsked { ack, .. } if *ack == ShareAck::Reject),
    );
    assert_eq!(found(events), [Rule::ShareLost]);
    // Delivered too often is an end too.
    let mut events = good();
    events.retain(
        |event| !matches!(event, Event::ShareAsked { delivered, .. } if delivered.count == 3),
    );
    assert_eq!(found(events), []);
}

#[test]
fn what_was_settled_is_not_delivered_again() {
    let again = acquired(delivered("b", 1, 1, 2), 15);
    assert_eq!(planted(7, again.clone()), [Rule::ShareRedelivered]);
    // Nobody knew yet that it holds.
    assert_eq!(planted(6, again), []);
}

#[test]
fn two_members_do_not_have_a_record_at_a_time() {
    let second = acquired(delivered("b", 1, 1, 2), 11);
    assert_eq!(planted(5, second.clone()), [Rule::ShareTwoHolders]);
    for end in [
        Event::LeadersLost,
        Event::ShareReleased {
            group: "sharers".to_owned(),
            member: "a".to_owned(),
        },
    ] {
        let mut events = good();
        events.insert(5, second.clone());
        events.insert(5, end);
        assert_eq!(found(events), []);
    }
}

#[test]
fn the_delivery_count_follows_from_the_deliveries() {
    // More than there were deliveries; not more than what was released; more than the limit.
    for (at, count) in [(4, 2), (9, 1), (11, 4)] {
        let one = acquired(delivered("c", 2, 2, count), 500);
        let mut events = good();
        events.insert(at, Event::LeadersLost);
        events.insert(at, one);
        assert_eq!(found(events), [Rule::ShareDeliveryCount], "{at}");
    }
}

#[test]
fn a_key_keeps_its_last_value() {
    let events = |left: &[i64]| {
        let mut events: Vec<Event> = (0..4).map(|offset| send(offset, Some(7))).collect();
        events.push(log(left, 0));
        events
    };
    assert_eq!(found(events(&[3])), []);
    assert_eq!(found(events(&[1, 3])), []);
    assert_eq!(found(events(&[2])), [Rule::KeyLost]);
}

#[test]
fn a_record_stays_at_its_offset() {
    let mut events: Vec<Event> = (0..2).map(|offset| send(offset, None)).collect();
    events.push(Event::Log {
        place: place(),
        start: 0,
        stable: 4,
        end: 4,
        records: vec![
            Seen {
                offset: 0,
                value: value_of(1, 0),
            },
            Seen {
                offset: 2,
                value: value_of(1, 1),
            },
        ],
    });
    assert_eq!(found(events), [Rule::InconsistentOffsets]);
}

#[test]
fn what_was_deleted_stays_deleted() {
    let starts = |answered: &[i64], start| {
        let mut events: Vec<Event> = (0..4).map(|offset| send(offset, None)).collect();
        let each = answered.iter();
        events.extend(each.map(|start| Event::LogStart {
            place: place(),
            start: *start,
        }));
        let left: Vec<i64> = (start..4).collect();
        events.push(log(&left, start));
        found(events)
    };
    assert_eq!(starts(&[1, 2], 2), []);
    assert_eq!(starts(&[1, 2], 3), []);
    assert_eq!(starts(&[1, 2], 1), [Rule::LogStartBack]);
    assert_eq!(starts(&[2, 1], 3), [Rule::LogStartBack]);
}

#[test]
fn an_epoch_does_not_go_back() {
    let epochs = |answers: &[(&str, i32, bool, usize)]| {
        let answers = answers.iter();
        let event = |(member, epoch, joins, since): &(&str, i32, bool, usize)| Event::MemberEpoch {
            group: "g".to_owned(),
            member: (*member).to_owned(),
            epoch: *epoch,
            joins: *joins,
            since: *since,
        };
        found(answers.map(event).collect())
    };
    assert_eq!(
        epochs(&[("a", 1, true, 0), ("b", 2, true, 1), ("a", 2, false, 1)]),
        []
    );
    assert_eq!(
        epochs(&[("a", 2, true, 0), ("a", 1, false, 1)]),
        [Rule::EpochBack]
    );
    assert_eq!(
        epochs(&[("a", 2, true, 0), ("b", 1, true, 1)]),
        [Rule::EpochBack]
    );
    // It asked before the other was answered, or did not join.
    assert_eq!(epochs(&[("a", 2, true, 0), ("b", 1, true, 0)]), []);
    assert_eq!(
        epochs(&[("b", 1, true, 0), ("a", 2, true, 1), ("b", 1, false, 2)]),
        []
    );
}
