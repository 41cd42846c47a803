//! Each rule has a planted fault, and the judge finds it and nothing else.

use super::*;
use crate::checker::events::{Place, Seen, Source, value_of};

const IN: &str = "in";
const OUT: &str = "out";
const LOOP: &str = "loop";

fn place(topic: &str) -> Place {
    Place::new(topic, 0)
}

fn seen(offset: i64, value: u64) -> Seen {
    Seen { offset, value }
}

fn send(topic: &str, value: u64, txn: Option<u64>, offset: i64) -> Event {
    Event::Send {
        place: place(topic),
        value,
        txn,
        source: None,
        key: None,
        outcome: Outcome::Ok(Some(offset)),
    }
}

fn result(value: u64, txn: u64, offset: i64, source: i64) -> Event {
    Event::Send {
        place: place(OUT),
        value,
        txn: Some(txn),
        source: Some(Source {
            group: LOOP.to_owned(),
            place: place(IN),
            offset: source,
        }),
        key: None,
        outcome: Outcome::Ok(Some(offset)),
    }
}

fn poll(consumer: &str, txn: Option<u64>, topic: &str, records: &[Seen]) -> Event {
    Event::Poll {
        consumer: consumer.to_owned(),
        committed_only: true,
        txn,
        place: place(topic),
        records: records.to_vec(),
    }
}

fn assigned(member: &str, generation: Option<i32>) -> Event {
    Event::Assigned {
        member: member.to_owned(),
        group: LOOP.to_owned(),
        generation,
        places: vec![place(IN)],
    }
}

fn revoked(member: &str) -> Event {
    Event::Revoked {
        member: member.to_owned(),
        group: LOOP.to_owned(),
        places: vec![place(IN)],
    }
}

fn asked(offset: i64, txn: Option<u64>) -> Event {
    Event::OffsetAsked {
        group: LOOP.to_owned(),
        place: place(IN),
        offset,
        txn,
    }
}

fn read(offset: i64, since: usize) -> Event {
    Event::OffsetRead {
        group: LOOP.to_owned(),
        place: place(IN),
        offset,
        since,
    }
}

fn ended(txn: u64, outcome: TxnOutcome) -> Event {
    Event::Ended { txn, outcome }
}

fn log(topic: &str, end: i64, records: &[Seen]) -> Event {
    Event::Log {
        place: place(topic),
        start: 0,
        stable: end,
        end,
        records: records.to_vec(),
    }
}

/// The values of the input, of the two results, and of an aborted result between them.
fn values() -> ([u64; 3], [u64; 3]) {
    let input = [value_of(1, 0), value_of(1, 1), value_of(1, 2)];
    (input, [value_of(2, 0), value_of(2, 1), value_of(2, 2)])
}

/// Three input records; a loop that commits the first, aborts, and commits the second in another generation.
fn good() -> Vec<Event> {
    let (input, out) = values();
    vec![
        send(IN, input[0], None, 0),
        send(IN, input[1], None, 1),
        send(IN, input[2], None, 2),
        assigned("a", Some(1)),
        poll("a", Some(10), IN, &[seen(0, input[0])]),
        asked(1, Some(10)),
        result(out[0], 10, 0, 0),
        Event::CommitAsked { txn: 10 },
        ended(10, TxnOutcome::Committed),
        poll("a", Some(11), IN, &[seen(1, input[1])]),
        result(out[1], 11, 2, 1),
        asked(2, Some(11)),
        ended(11, TxnOutcome::Aborted),
        revoked("a"),
        assigned("b", Some(2)),
        poll("b", Some(12), IN, &[seen(1, input[1])]),
        asked(2, Some(12)),
        result(out[2], 12, 4, 1),
        Event::CommitAsked { txn: 12 },
        ended(12, TxnOutcome::Committed),
        poll("r", None, OUT, &[seen(0, out[0]), seen(4, out[2])]),
        log(
            IN,
            3,
            &[seen(0, input[0]), seen(1, input[1]), seen(2, input[2])],
        ),
        log(OUT, 6, &[seen(0, out[0]), seen(4, out[2])]),
        read(2, 20),
    ]
}

/// Plants a fault into the good history; the judge must find exactly these rules.
fn planted(expected: &[Rule], plant: impl FnOnce(&mut Vec<Event>)) {
    let mut events = good();
    plant(&mut events);
    let found = judge(&History { events });
    let rules: Vec<Rule> = found.iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, expected, "{found:?}");
}

/// Where the first event is that `is` likes.
fn position(events: &[Event], is: impl Fn(&Event) -> bool) -> usize {
    events.iter().position(is).unwrap()
}

fn records_of<'e>(events: &'e mut [Event], topic: &str) -> &'e mut Vec<Seen> {
    let log = events.iter_mut().find_map(|event| match event {
        Event::Log { place, records, .. } if place.topic == topic => Some(records),
        _ => None,
    });
    log.unwrap()
}

#[test]
fn a_good_history_breaks_no_rule() {
    planted(&[], |_| {});
}

#[test]
fn an_acknowledged_record_that_is_gone_is_lost() {
    planted(&[Rule::LostWrite], |events| {
        records_of(events, IN).pop();
    });
    // Without the log at the end, an offset that somebody passed says enough.
    planted(&[Rule::LostWrite], |events| {
        events.push(send("other", value_of(5, 0), None, 3));
        let later = [seen(4, value_of(5, 1))];
        events.push(send("other", value_of(5, 1), None, 4));
        events.push(poll("o", None, "other", &later));
    });
    planted(&[], |events| {
        events.push(send("other", value_of(5, 0), None, 3));
    });
}

#[test]
fn a_transaction_with_one_visible_part_must_be_there_whole() {
    planted(&[Rule::LostWrite], |events| {
        let torn = [(6, value_of(3, 0)), (7, value_of(3, 1))];
        for (offset, value) in torn {
            events.insert(0, send(OUT, value, Some(20), offset));
        }
        events.insert(2, Event::CommitAsked { txn: 20 });
        events.insert(3, ended(20, TxnOutcome::Unknown));
        records_of(events, OUT).push(seen(6, value_of(3, 0)));
        // Both, or none.
        let since = events.len();
        events.pop();
        events.push(read(2, since - 2));
    });
    planted(&[], |events| {
        events.push(send(OUT, value_of(3, 0), Some(20), 6));
        events.push(Event::CommitAsked { txn: 20 });
        events.push(ended(20, TxnOutcome::Unknown));
    });
}

#[test]
fn a_record_of_an_aborted_transaction_must_not_be_read() {
    planted(&[Rule::AbortedRead], |events| {
        let (_, out) = values();
        events.push(poll("x", None, OUT, &[seen(2, out[1])]));
    });
    planted(&[Rule::AbortedRead], |events| {
        let refused = value_of(4, 0);
        events.push(Event::Send {
            place: place("refused"),
            value: refused,
            txn: None,
            source: None,
            key: None,
            outcome: Outcome::Fail,
        });
        events.push(poll("x", None, "refused", &[seen(0, refused)]));
    });
    // Who reads uncommitted records may see it.
    planted(&[], |events| {
        let (_, out) = values();
        events.push(Event::Poll {
            consumer: "x".to_owned(),
            committed_only: false,
            txn: None,
            place: place(OUT),
            records: vec![seen(2, out[1])],
        });
    });
}

#[test]
fn a_record_must_not_be_read_before_its_commit_is_asked_for() {
    planted(&[Rule::PrecommittedRead], |events| {
        let (_, out) = values();
        let commit = position(events, |e| matches!(e, Event::CommitAsked { txn: 10 }));
        events.insert(commit, poll("x", None, OUT, &[seen(0, out[0])]));
    });
}

#[test]
fn transactions_that_read_each_other_are_a_circle() {
    let circle = |reads: [(u64, u64); 3]| {
        move |events: &mut Vec<Event>| {
            for txn in 30..33 {
                let value = value_of(txn as u32, 0);
                events.push(send("ring", value, Some(txn), txn as i64));
                events.push(Event::CommitAsked { txn });
            }
            for (reader, writer) in reads {
                let record = seen(writer as i64, value_of(writer as u32, 0));
                events.push(poll(&format!("p{reader}"), Some(reader), "ring", &[record]));
            }
            for txn in 30..33 {
                events.push(ended(txn, TxnOutcome::Committed));
            }
        }
    };
    let ring = [(30, 31), (31, 32), (32, 30)];
    planted(&[Rule::CircularFlow], circle(ring));
    planted(&[], circle([(31, 30), (32, 30), (32, 31)]));
}

#[test]
fn an_offset_holds_one_record() {
    planted(&[Rule::InconsistentOffsets], |events| {
        let (input, _) = values();
        let other = value_of(6, 0);
        events.insert(0, send(IN, other, Some(40), 1));
        events.insert(1, ended(40, TxnOutcome::Aborted));
        events.push(Event::Poll {
            consumer: "x".to_owned(),
            committed_only: false,
            txn: None,
            place: place(IN),
            records: vec![seen(1, other)],
        });
        // Two events more stand before the question now.
        let at = position(events, |e| matches!(e, Event::OffsetRead { .. }));
        events[at] = read(2, 22);
        assert_eq!(input[1], value_of(1, 1));
    });
}

#[test]
fn a_record_lies_at_one_offset() {
    planted(&[Rule::Duplicate], |events| {
        let (input, _) = values();
        records_of(events, IN).push(seen(3, input[2]));
    });
}

#[test]
fn a_producers_records_keep_their_order() {
    planted(&[Rule::Reordered], |events| {
        let (early, late) = (value_of(7, 0), value_of(7, 1));
        events.push(send("order", late, None, 0));
        events.push(send("order", early, None, 1));
        events.push(log("order", 2, &[seen(0, late), seen(1, early)]));
    });
}

#[test]
fn what_nobody_sent_is_a_phantom() {
    planted(&[Rule::Phantom], |events| {
        records_of(events, IN).push(seen(3, value_of(9, 9)));
    });
}

#[test]
fn a_consumer_goes_past_nothing() {
    let (input, _) = values();
    planted(&[Rule::PollSkip], |events| {
        events.push(poll("x", None, IN, &[seen(0, input[0]), seen(2, input[2])]));
    });
    // Two polls are as one, and an assignment begins where the group has committed.
    planted(&[Rule::PollSkip], |events| {
        events.push(poll("x", None, IN, &[seen(0, input[0])]));
        events.push(poll("x", None, IN, &[seen(2, input[2])]));
    });
    planted(&[Rule::PollSkip], |events| {
        let first = position(events, |e| matches!(e, Event::Assigned { .. }));
        let early = Event::Assigned {
            member: "y".to_owned(),
            group: "fresh".to_owned(),
            generation: None,
            places: vec![place(IN)],
        };
        events.insert(first, early);
        events.push(poll("y", None, IN, &[seen(1, input[1])]));
        let at = position(events, |e| matches!(e, Event::OffsetRead { .. }));
        events[at] = read(2, 21);
    });
    planted(&[], |events| {
        events.push(poll("x", None, IN, &[seen(0, input[0])]));
        events.push(Event::Seek {
            consumer: "x".to_owned(),
            place: place(IN),
        });
        events.push(poll("x", None, IN, &[seen(2, input[2])]));
    });
}

#[test]
fn a_consumer_goes_forward() {
    let (input, _) = values();
    planted(&[Rule::NonmonotonicPoll], |events| {
        events.push(poll("x", None, IN, &[seen(0, input[0]), seen(1, input[1])]));
        events.push(poll("x", None, IN, &[seen(1, input[1])]));
    });
}

#[test]
fn a_partition_has_one_owner_in_a_generation() {
    planted(&[Rule::TwoOwners], |events| {
        events.push(assigned("c", Some(2)));
    });
    // Also when the first has given it up since.
    planted(&[Rule::TwoOwners], |events| {
        events.push(revoked("b"));
        events.push(assigned("c", Some(2)));
    });
    // Clients that tell no generation must not overlap at all.
    planted(&[Rule::TwoOwners], |events| {
        events.push(revoked("b"));
        events.push(assigned("d", None));
        events.push(assigned("e", None));
    });
    // A later generation takes it from whoever has not heard of it.
    planted(&[], |events| events.push(assigned("c", Some(3))));
}

#[test]
fn a_committed_offset_does_not_go_back() {
    planted(&[Rule::CommittedBack], |events| {
        let number = events.len();
        events.push(asked(1, None));
        events.push(read(1, number));
        events.push(read(2, number));
    });
    // Nobody asked for it.
    planted(&[Rule::CommittedBack, Rule::Unprocessed], |events| {
        let number = events.len();
        events.push(read(3, number));
    });
    // Only an aborted transaction did.
    planted(&[Rule::CommittedBack, Rule::Unprocessed], |events| {
        events.push(asked(3, Some(50)));
        events.push(ended(50, TxnOutcome::Aborted));
        let number = events.len();
        events.push(read(3, number));
    });
    // A question that was asked before the commit came back may be answered either way.
    planted(&[], |events| {
        let number = events.len();
        events.push(asked(3, None));
        events.push(Event::OffsetCommitted {
            group: "g".to_owned(),
            place: place(IN),
            offset: 3,
        });
        let early = |offset| Event::OffsetRead {
            group: "g".to_owned(),
            place: place(IN),
            offset,
            since: number,
        };
        events.push(early(-1));
    });
}

#[test]
fn an_input_record_has_one_result() {
    planted(&[Rule::ProcessedTwice], |events| {
        events.insert(0, result(value_of(8, 0), 60, 6, 1));
        events.insert(1, Event::CommitAsked { txn: 60 });
        events.insert(2, ended(60, TxnOutcome::Committed));
        records_of(events, OUT).push(seen(6, value_of(8, 0)));
        let at = position(events, |e| matches!(e, Event::OffsetRead { .. }));
        events[at] = read(2, 23);
    });
}

#[test]
fn results_and_committed_offsets_go_together() {
    // The offset was committed without the result.
    planted(&[Rule::LostWrite, Rule::Unprocessed], |events| {
        records_of(events, OUT).remove(0);
        let out = position(
            events,
            |e| matches!(e, Event::Poll { consumer, .. } if consumer == "r"),
        );
        events[out] = poll("r", None, OUT, &[]);
    });
    // The result was committed without the offset.
    planted(&[Rule::CommittedBack, Rule::Unprocessed], |events| {
        let at = position(events, |e| matches!(e, Event::OffsetRead { .. }));
        events[at] = read(1, 20);
    });
}

#[test]
fn a_stable_offset_that_stays_behind_is_stuck() {
    planted(&[Rule::StuckStableOffset], |events| {
        let at = position(
            events,
            |e| matches!(e, Event::Log { place, .. } if place.topic == IN),
        );
        if let Event::Log { stable, .. } = &mut events[at] {
            *stable = 2;
        }
    });
}

#[test]
fn a_stored_history_is_judged_as_the_first_time() {
    let mut events = good();
    records_of(&mut events, IN).pop();
    let history = History { events };
    let mut bytes = Vec::new();
    history.write(&mut bytes).unwrap();
    assert_eq!(
        bytes.iter().filter(|byte| **byte == b'\n').count(),
        history.events.len()
    );
    let again = History::read(bytes.as_slice()).unwrap();
    assert_eq!(again, history);
    assert_eq!(judge(&again), judge(&history));
    assert!(
        verdict(&again)
            .unwrap_err()
            .to_string()
            .contains("lost-write")
    );
    let error = History::read(&b"{\"event\":\"nonsense\"}\n"[..]).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}
