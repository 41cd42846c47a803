//! The checker: a history in, the rules it broke out. It knows nothing of the broker.

use std::collections::{BTreeMap, HashMap};

use super::{Commit, History, Observed, Outcome, Poll, RecordId, Rule, Violation};

/// Violations as they are found.
#[derive(Debug, Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, rule: Rule, detail: String) {
        self.0.push(Violation { rule, detail });
    }
}

/// Everything in `history` that must not be, by the rules of [`super`].
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Findings::default();
    let places = places(history, &mut found);
    sends(history, &places, &mut found);
    for (partition, log) in &history.logs {
        order(log, &mut found);
        gaps(*partition, log, &mut found);
    }
    polls(history, &mut found);
    for (group, commits) in &history.commits {
        committed(group, commits, &mut found);
    }
    found.0
}

/// Where each record lies in the logs. Finds duplicates, and what lies in the wrong partition.
fn places(history: &History, found: &mut Findings) -> HashMap<RecordId, i64> {
    let mut places: HashMap<RecordId, i64> = HashMap::new();
    let mut twice: BTreeMap<RecordId, Vec<i64>> = BTreeMap::new();
    for (partition, log) in &history.logs {
        for Observed { offset, id } in log {
            let Some(id) = id.filter(|id| id.partition == *partition) else {
                let detail = format!("partition {partition} holds a stranger at offset {offset}");
                found.add(Rule::Phantom, detail);
                continue;
            };
            // The first place is the record's own; what follows is too much.
            let first = *places.entry(id).or_insert(*offset);
            if first != *offset {
                twice.entry(id).or_insert_with(|| vec![first]).push(*offset);
            }
        }
    }
    for (id, offsets) in twice {
        found.add(
            Rule::Duplicate,
            format!("record {id} is at offsets {offsets:?}"),
        );
    }
    places
}

/// Compares what was sent with what is there.
fn sends(history: &History, places: &HashMap<RecordId, i64>, found: &mut Findings) {
    let mut unexplained = places.clone();
    for send in &history.sends {
        let id = send.id;
        let place = unexplained.remove(&id).or_else(|| places.get(&id).copied());
        match (send.outcome, place) {
            (Outcome::Ok(offset), None) => {
                let at = offset.map_or_else(String::new, |offset| format!(" at offset {offset}"));
                found.add(
                    Rule::Lost,
                    format!("record {id} was acknowledged{at} and is not there"),
                );
            }
            (Outcome::Ok(Some(acknowledged)), Some(place)) if acknowledged != place => {
                let detail =
                    format!("record {id} was acknowledged at {acknowledged}, is at {place}");
                found.add(Rule::Moved, detail);
            }
            (Outcome::Fail, Some(offset)) => {
                let detail = format!("record {id} was refused and is at offset {offset}");
                found.add(Rule::RefusedYetThere, detail);
            }
            (Outcome::Ok(_) | Outcome::Fail | Outcome::Info, _) => {}
        }
    }
    for (id, offset) in unexplained {
        found.add(
            Rule::Phantom,
            format!("record {id} at offset {offset} was never sent"),
        );
    }
}

/// A producer's counters must grow along a partition.
fn order(log: &[Observed], found: &mut Findings) {
    let mut last: HashMap<u32, RecordId> = HashMap::new();
    for Observed { offset, id } in log {
        let Some(id) = *id else { continue };
        match last.get(&id.producer) {
            Some(first) if first.counter > id.counter => {
                let detail = format!("record {id} stands at offset {offset}, behind {first}");
                found.add(Rule::Reordered, detail);
            }
            _ => {
                last.insert(id.producer, id);
            }
        }
    }
}

/// Without transactions and compaction, offsets follow each other.
fn gaps(partition: i32, log: &[Observed], found: &mut Findings) {
    for pair in log.windows(2) {
        if let [a, b] = pair
            && b.offset != a.offset + 1
        {
            let detail = format!(
                "partition {partition} goes from {} to {}",
                a.offset, b.offset
            );
            found.add(Rule::Gap, detail);
        }
    }
}

/// What consumers saw on the way must agree with the end, and go forward.
fn polls(history: &History, found: &mut Findings) {
    let mut at: HashMap<(i32, i64), Option<RecordId>> = HashMap::new();
    let mut starts: HashMap<i32, i64> = HashMap::new();
    for (partition, log) in &history.logs {
        starts.insert(
            *partition,
            log.first().map_or(i64::MAX, |first| first.offset),
        );
        at.extend(log.iter().map(|seen| ((*partition, seen.offset), seen.id)));
    }
    let mut positions: HashMap<(u32, u64, i32), i64> = HashMap::new();
    for poll in &history.polls {
        let Poll {
            consumer,
            assignment,
            partition,
            records,
        } = poll;
        for Observed { offset, id } in records {
            let position = positions
                .entry((*consumer, *assignment, *partition))
                .or_insert(-1);
            let place = format!("consumer {consumer} at {partition}/{offset}");
            if *offset <= *position {
                found.add(Rule::Backwards, format!("{place} came after {position}"));
            }
            *position = (*position).max(*offset);
            match at.get(&(*partition, *offset)) {
                Some(there) if there != id => {
                    found.add(Rule::Inconsistent, format!("{place} saw another record"));
                }
                // What lies before the log's start was deleted, not lost.
                None if starts.get(partition).is_some_and(|start| offset >= start) => {
                    found.add(
                        Rule::Vanished,
                        format!("{place} saw a record that is not there"),
                    );
                }
                Some(_) | None => {}
            }
        }
    }
}

/// A committed offset is at least what was acknowledged before, and something that was asked for. Commits that
/// were asked for but not answered may have happened.
fn committed(group: &str, commits: &[Commit], found: &mut Findings) {
    let (mut acknowledged, mut asked) = (-1, -1);
    for commit in commits {
        match *commit {
            Commit::Asked(offset) => asked = asked.max(offset),
            Commit::Acked(offset) => acknowledged = acknowledged.max(offset),
            Commit::Read(read) => {
                if read < acknowledged || read > asked {
                    let detail = format!(
                        "group {group} reads {read}; {acknowledged} was acknowledged, {asked} asked for"
                    );
                    found.add(Rule::Uncommitted, detail);
                }
                // Once read, it counts as committed: the next read must not be behind it.
                acknowledged = acknowledged.max(read);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Send;
    use super::*;

    fn id(producer: u32, counter: u64) -> RecordId {
        RecordId {
            producer,
            partition: 0,
            counter,
        }
    }

    fn seen(offset: i64, id: RecordId) -> Observed {
        Observed {
            offset,
            id: Some(id),
        }
    }

    /// Two producers, four acknowledged records, one consumer, one group; everything is as it should be.
    fn good() -> History {
        let log = vec![
            seen(0, id(1, 0)),
            seen(1, id(2, 0)),
            seen(2, id(1, 1)),
            seen(3, id(2, 1)),
        ];
        let sends = log
            .iter()
            .filter_map(|seen| {
                Some(Send {
                    id: seen.id?,
                    outcome: Outcome::Ok(Some(seen.offset)),
                })
            })
            .collect();
        let poll = |records: &[Observed]| Poll {
            consumer: 7,
            assignment: 0,
            partition: 0,
            records: records.to_vec(),
        };
        History {
            sends,
            polls: vec![poll(&log[..2]), poll(&log[2..])],
            commits: BTreeMap::from([(
                "g".to_owned(),
                vec![
                    Commit::Asked(2),
                    Commit::Acked(2),
                    Commit::Asked(4),
                    Commit::Read(2),
                ],
            )]),
            logs: BTreeMap::from([(0, log)]),
        }
    }

    fn rules(history: &History) -> Vec<&'static str> {
        check(history)
            .iter()
            .map(|violation| violation.rule.name())
            .collect()
    }

    /// Plants a fault into a good history; the checker must find it and nothing else.
    fn planted(expected: &[&str], plant: impl FnOnce(&mut History, &mut Vec<Observed>)) {
        let mut history = good();
        let mut log = history.logs.remove(&0).unwrap();
        plant(&mut history, &mut log);
        history.logs.insert(0, log);
        assert_eq!(rules(&history), expected);
    }

    #[test]
    fn a_good_history_breaks_no_rule() {
        planted(&[], |_, _| {});
    }

    #[test]
    fn an_acknowledged_record_that_is_gone_is_lost() {
        planted(&["lost"], |history, log| {
            log.pop();
            history.polls.clear();
        });
    }

    #[test]
    fn an_unanswered_record_may_be_there_or_not() {
        planted(&[], |history, _| {
            history.sends[0].outcome = Outcome::Info;
            history.sends.push(Send {
                id: id(3, 0),
                outcome: Outcome::Info,
            });
        });
    }

    #[test]
    fn a_record_acknowledged_as_a_duplicate_needs_no_offset() {
        planted(&[], |history, _| {
            history.sends[0].outcome = Outcome::Ok(None)
        });
    }

    #[test]
    fn a_record_at_another_offset_has_moved() {
        planted(&["moved"], |history, _| {
            history.sends[0].outcome = Outcome::Ok(Some(9))
        });
    }

    #[test]
    fn a_record_that_is_there_twice_is_a_duplicate() {
        planted(&["duplicate"], |_, log| log.push(seen(4, id(2, 1))));
    }

    #[test]
    fn a_retry_that_overtook_is_reordered() {
        planted(&["moved", "moved", "reordered"], |history, log| {
            log[0].id = Some(id(1, 1));
            log[2].id = Some(id(1, 0));
            history.polls.clear();
        });
    }

    #[test]
    fn what_nobody_sent_is_a_phantom() {
        planted(&["phantom"], |_, log| log.push(seen(4, id(9, 0))));
        planted(&["phantom"], |_, log| {
            log.push(Observed {
                offset: 4,
                id: None,
            })
        });
        planted(&["phantom"], |_, log| {
            log.push(seen(
                4,
                RecordId {
                    partition: 1,
                    ..id(1, 2)
                },
            ));
        });
    }

    #[test]
    fn a_refused_record_must_not_be_there() {
        planted(&["refused yet there"], |history, _| {
            history.sends[1].outcome = Outcome::Fail
        });
    }

    #[test]
    fn a_missing_offset_is_a_gap() {
        planted(&["gap"], |history, log| {
            log.push(seen(5, id(3, 0)));
            history.sends.push(Send {
                id: id(3, 0),
                outcome: Outcome::Info,
            });
        });
    }

    #[test]
    fn a_consumer_that_saw_another_record_is_inconsistent() {
        planted(&["inconsistent"], |history, _| {
            history.polls[0].records[1] = seen(1, id(1, 1))
        });
    }

    #[test]
    fn a_record_that_was_read_and_is_gone_has_vanished() {
        planted(&["vanished"], |history, log| {
            history.sends[3].outcome = Outcome::Info;
            log.pop();
        });
    }

    #[test]
    fn what_retention_deleted_has_not_vanished() {
        planted(&[], |history, log| {
            log.remove(0);
            history.sends.remove(0);
        });
    }

    #[test]
    fn a_consumer_goes_backwards_only_with_a_new_assignment() {
        planted(&["backwards"], |history, log| {
            let again = Poll {
                records: vec![log[1]],
                ..history.polls[0].clone()
            };
            history.polls.push(again);
        });
        planted(&[], |history, log| {
            let again = Poll {
                assignment: 1,
                records: vec![log[1]],
                ..history.polls[0].clone()
            };
            history.polls.push(again);
        });
    }

    #[test]
    fn a_committed_offset_never_goes_back_and_is_never_invented() {
        let commits = |commits: Vec<Commit>| {
            move |history: &mut History, _: &mut Vec<Observed>| {
                history.commits.insert("g".to_owned(), commits);
            }
        };
        let (asked, acked, read) = (Commit::Asked, Commit::Acked, Commit::Read);
        planted(&["uncommitted"], commits(vec![asked(5), acked(5), read(4)]));
        planted(
            &["uncommitted"],
            commits(vec![asked(5), acked(5), read(-1)]),
        );
        planted(&["uncommitted"], commits(vec![asked(5), read(6)]));
        planted(&["uncommitted"], commits(vec![asked(5), read(5), read(-1)]));
        planted(
            &[],
            commits(vec![
                read(-1),
                asked(5),
                read(-1),
                asked(7),
                acked(7),
                read(7),
            ]),
        );
    }

    #[test]
    fn a_record_is_its_value() {
        let record = RecordId {
            producer: 3,
            partition: 12,
            counter: 4_000_000_000,
        };
        for length in [0, 100] {
            assert_eq!(RecordId::from_value(&record.to_value(length)), Some(record));
        }
        for bad in [&b"3/12"[..], b"3/12/4/5 ", b"3/12/4 .x.", b"\xff/1/1 "] {
            assert_eq!(RecordId::from_value(bad), None);
        }
    }
}
