//! A share partition against a model that knows every offset for itself.
//!
//! Members fetch, acknowledge in whole and in parts, go away and forget; locks run out; writes become durable, fail, or
//! are lost with their leader; the log loses its head and has holes. Checked throughout:
//!
//! - what is acquired was available or never seen, and its delivery count is right;
//! - the start offset never moves back, nor past an offset that is not settled durably;
//! - the count of settled records and the first deadline are the model's;
//! - a new leader knows what was durable and nothing else;
//! - once faults stop, everything is settled and the start offset is behind the log.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Offset, Timestamp};
use coordinator::share_partition::{
    Acknowledgement, Acquire, AcquireMode, FetchedBatch, Limits, RecordState, SharePartition,
    StateWrite,
};
use coordinator::share_state::{ReadState, StateBatch};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const MEMBERS: [&str; 3] = ["a", "b", "c"];
const LIMITS: Limits = Limits {
    delivery_count: 4,
    lock_duration: Duration::from_secs(30),
    record_locks: 40,
    renew: true,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    state: RecordState,
    count: i16,
    member: Option<usize>,
    lock: Option<u64>,
}

impl Known {
    fn of(state: RecordState, count: i16) -> Known {
        Known {
            state,
            count,
            member: None,
            lock: None,
        }
    }

    fn ended(self, state: RecordState) -> Known {
        if state == RecordState::Available && self.count >= LIMITS.delivery_count {
            Known::of(RecordState::Archived, self.count)
        } else {
            Known::of(state, self.count)
        }
    }
}

/// A write on its way: what it changes, from what.
struct Flight {
    write: StateWrite,
    /// What holds again if it fails; nothing for locks that ran out.
    before: BTreeMap<i64, Known>,
}

struct Bench {
    random: StdRng,
    partition: SharePartition,
    now: u64,
    /// First and last offsets of the log's batches.
    log: Vec<(i64, i64)>,
    log_start: i64,
    known: BTreeMap<i64, Known>,
    flights: VecDeque<Flight>,
    /// What the share coordinator has.
    durable: BTreeMap<i64, (i8, i16)>,
    durable_start: i64,
    start: i64,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        let empty = ReadState {
            state_epoch: 0,
            start_offset: None,
            delivery_complete_count: -1,
            batches: Vec::new(),
        };
        Bench {
            random: StdRng::seed_from_u64(seed),
            partition: SharePartition::load(&empty, Offset(0), 0).unwrap(),
            now: 0,
            log: Vec::new(),
            log_start: 0,
            known: BTreeMap::new(),
            flights: VecDeque::new(),
            durable: BTreeMap::new(),
            durable_start: 0,
            start: 0,
        }
    }

    fn at(&self) -> Timestamp {
        Timestamp(Duration::from_secs(self.now))
    }

    fn pending(&self, offset: i64) -> bool {
        self.flights
            .iter()
            .any(|flight| flight.before.contains_key(&offset))
    }

    fn produce(&mut self) {
        let next = self.log.last().map_or(0, |(_, last)| last + 1);
        let hole = if self.random.random_bool(0.1) { 3 } else { 0 };
        let base = next + hole;
        let length = self.random.random_range(1..8);
        self.log.push((base, base + length - 1));
    }

    /// Reads some batches from where the partition wants it, and acquires.
    fn fetch(&mut self, member: usize) -> bool {
        self.partition.log_start_moved(Offset(self.log_start));
        self.forget_below_start();
        if !self.partition.can_acquire(&LIMITS) {
            return false;
        }
        let from = self.partition.next_fetch_offset().0;
        if let Some(known) = self.known.get(&from) {
            assert_eq!(known.state, RecordState::Available, "offset {from}");
            assert!(!self.pending(from));
        }
        let batches = self.random.random_range(1..6);
        let fetched: Vec<FetchedBatch> = self
            .log
            .iter()
            .filter(|(_, last)| *last >= from)
            .take(batches)
            .map(|(base, last)| FetchedBatch {
                base_offset: Offset(*base),
                last_offset: Offset(*last),
            })
            .collect();
        let strict = self.random.random_bool(0.3);
        let records_max = self.random.random_range(1..12);
        let request = Acquire {
            member: &Arc::from(MEMBERS[member]),
            mode: if strict {
                AcquireMode::RecordLimit
            } else {
                AcquireMode::BatchOptimized
            },
            batch_size: self.random.random_range(1..10),
            records_max,
            fetch_offset: Offset(from),
            fetched: &fetched,
            aborted: &[],
        };
        let acquired = self.partition.acquire(&request, &LIMITS, self.at());
        // What a read passed over is not in the log any more.
        if let Some(first) = fetched.first() {
            let gone: Vec<i64> = self
                .known
                .range(from..first.base_offset.0.max(from))
                .map(|(offset, _)| *offset)
                .collect();
            for offset in gone {
                if self.known[&offset].state == RecordState::Available {
                    let count = self.known[&offset].count;
                    let archived = Known::of(RecordState::Archived, count);
                    self.known.insert(offset, archived);
                    // Nor does a failed write bring it back.
                    for flight in &mut self.flights {
                        if let Some(before) = flight.before.get_mut(&offset) {
                            *before = archived;
                        }
                    }
                }
            }
        }
        let count: i64 = acquired.iter().map(|records| records.count()).sum();
        assert!(!strict || count <= records_max, "{count} of {records_max}");
        let mut last = i64::MIN;
        for records in &acquired {
            assert!(records.first_offset.0 > last, "{acquired:?}");
            last = records.last_offset.0;
            for offset in records.first_offset.0..=last {
                self.acquired(offset, records.delivery_count, member);
            }
        }
        self.forget_below_start();
        !acquired.is_empty()
    }

    fn acquired(&mut self, offset: i64, delivery_count: i16, member: usize) {
        assert!(!self.pending(offset), "offset {offset} is on its way");
        let before = self.known.get(&offset).copied();
        let before = before.unwrap_or(Known::of(RecordState::Available, 0));
        assert_eq!(before.state, RecordState::Available, "offset {offset}");
        assert_eq!(delivery_count, before.count + 1, "offset {offset}");
        assert!(delivery_count <= LIMITS.delivery_count);
        assert!(offset >= self.start);
        let known = Known {
            state: RecordState::Acquired,
            count: delivery_count,
            member: Some(member),
            lock: Some(self.now + 30),
        };
        self.known.insert(offset, known);
    }

    /// A member says something of a range it has.
    fn acknowledge(&mut self, member: usize) {
        let mine: Vec<i64> = self
            .known
            .iter()
            .filter(|(offset, known)| known.member == Some(member) && !self.pending(**offset))
            .map(|(offset, _)| *offset)
            .collect();
        if mine.is_empty() {
            return;
        }
        let first = self.random.random_range(0..mine.len());
        let mut last = first;
        while last + 1 < mine.len()
            && mine[last + 1] == mine[last] + 1
            && self.random.random_bool(0.8)
        {
            last += 1;
        }
        let (first, last) = (mine[first], mine[last]);
        let length = usize::try_from(last - first + 1).unwrap();
        let types: Vec<i8> = if self.random.random_bool(0.5) {
            vec![self.random.random_range(0..5)]
        } else {
            (0..length)
                .map(|_| self.random.random_range(0..5))
                .collect()
        };
        let said = [Acknowledgement {
            first_offset: first,
            last_offset: last,
            types: types.clone(),
        }];
        let other = MEMBERS[(member + 1) % MEMBERS.len()];
        assert!(
            self.partition
                .acknowledge(other, &said, &LIMITS, self.at())
                .is_err()
        );
        let write = self
            .partition
            .acknowledge(MEMBERS[member], &said, &LIMITS, self.at())
            .unwrap();
        let mut before = BTreeMap::new();
        for (index, offset) in (first..=last).enumerate() {
            let kind = if types.len() == 1 {
                types[0]
            } else {
                types[index]
            };
            let known = self.known[&offset];
            let after = match kind {
                1 => known.ended(RecordState::Acknowledged),
                2 => known.ended(RecordState::Available),
                4 => Known {
                    lock: Some(self.now + 30),
                    ..known
                },
                _ => known.ended(RecordState::Archived),
            };
            self.known.insert(offset, after);
            if kind != 4 {
                before.insert(offset, known);
            }
        }
        assert_eq!(write.is_some(), !before.is_empty());
        if let Some(write) = write {
            self.flights.push_back(Flight { write, before });
        }
    }

    fn release(&mut self, member: usize) {
        let mut before = BTreeMap::new();
        let offsets: Vec<i64> = self.known.keys().copied().collect();
        for offset in offsets {
            let known = self.known[&offset];
            if known.member == Some(member) {
                before.insert(offset, known);
                self.known
                    .insert(offset, known.ended(RecordState::Available));
            }
        }
        let write = self.partition.release(MEMBERS[member], &LIMITS);
        assert_eq!(write.is_some(), !before.is_empty());
        if let Some(write) = write {
            self.flights.push_back(Flight { write, before });
        }
    }

    fn expire(&mut self, seconds: u64) {
        self.now += seconds;
        let mut any = false;
        for known in self.known.values_mut() {
            if known.lock.is_some_and(|lock| lock <= self.now) {
                *known = known.ended(RecordState::Available);
                any = true;
            }
        }
        let write = self.partition.expire(&LIMITS, self.at());
        assert_eq!(write.is_some(), any);
        if let Some(write) = write {
            let before = BTreeMap::new();
            self.flights.push_back(Flight { write, before });
        }
    }

    /// The oldest write becomes durable or fails.
    fn complete(&mut self, durable: bool) {
        let Some(flight) = self.flights.pop_front() else {
            return;
        };
        if durable {
            self.apply(&flight.write);
        } else {
            for (offset, known) in flight.before {
                if self.known.contains_key(&offset) {
                    self.known.insert(offset, known);
                }
            }
        }
        self.partition.written(flight.write.id, durable);
    }

    fn apply(&mut self, write: &StateWrite) {
        self.durable_start = self.durable_start.max(write.state.start_offset.0);
        for batch in &write.state.batches {
            for offset in batch.first_offset.0..=batch.last_offset.0 {
                let state = (batch.delivery_state, batch.delivery_count);
                self.durable.insert(offset, state);
            }
        }
        self.durable = self.durable.split_off(&self.durable_start);
    }

    fn move_log_start(&mut self) {
        let Some((_, last)) = self.log.last().copied() else {
            return;
        };
        let by = self.random.random_range(1..10);
        self.log_start = (self.log_start + by).min(last + 1);
        self.log.retain(|(_, last)| *last >= self.log_start);
        self.partition.log_start_moved(Offset(self.log_start));
    }

    /// A new leader: what was on its way may have arrived or not.
    fn restart(&mut self) {
        while let Some(flight) = self.flights.pop_front() {
            if self.random.random_bool(0.5) {
                self.apply(&flight.write);
            }
        }
        let batches = self
            .durable
            .iter()
            .map(|(offset, (state, count))| StateBatch {
                first_offset: Offset(*offset),
                last_offset: Offset(*offset),
                delivery_state: *state,
                delivery_count: *count,
            });
        let read = ReadState {
            state_epoch: 0,
            start_offset: Some(Offset(self.durable_start)),
            delivery_complete_count: -1,
            batches: batches.collect(),
        };
        self.partition = SharePartition::load(&read, Offset(self.durable_start), 0).unwrap();
        self.known = self
            .durable
            .iter()
            .map(|(offset, (state, count))| {
                (
                    *offset,
                    Known::of(RecordState::persisted(*state).unwrap(), *count),
                )
            })
            .collect();
        self.start = self.durable_start;
        self.forget_below_start();
    }

    /// The start moves past what is settled, and past holes of the log, and no further.
    fn forget_below_start(&mut self) {
        let start = self.partition.start_offset().0;
        assert!(start >= self.start, "the start moves back to {start}");
        self.start = start;
        let above = self.known.split_off(&start);
        for (offset, known) in std::mem::replace(&mut self.known, above) {
            let settled = known.state.is_terminal() && !self.pending(offset);
            assert!(
                settled || offset < self.log_start,
                "the start passes {offset}: {known:?}"
            );
        }
    }

    fn check(&mut self) {
        self.forget_below_start();
        let terminal = self
            .known
            .values()
            .filter(|known| known.state.is_terminal());
        assert_eq!(
            usize::try_from(self.partition.delivery_complete_count()).unwrap(),
            terminal.count()
        );
        let deadline = self.known.values().filter_map(|known| known.lock).min();
        assert_eq!(
            self.partition.next_deadline(),
            deadline.map(|lock| Timestamp(Duration::from_secs(lock)))
        );
        let first = self.known.first_key_value();
        if let Some((offset, known)) = first
            && known.state.is_terminal()
            && !self.pending(*offset)
            && self.flights.iter().all(|flight| !flight.before.is_empty())
        {
            // Only what nothing is known of may hold the start up, or a lock that ran out until that is told.
            assert!(
                self.partition.next_fetch_offset().0 < *offset,
                "the start stays at {offset}"
            );
        }
    }

    fn step(&mut self) {
        let member = self.random.random_range(0..MEMBERS.len());
        match self.random.random_range(0..100) {
            0..15 => self.produce(),
            15..40 => drop(self.fetch(member)),
            40..65 => self.acknowledge(member),
            65..85 => {
                let durable = self.random.random_bool(0.85);
                self.complete(durable);
            }
            85..88 => self.release(member),
            88..94 => self.expire(7),
            94..97 => self.move_log_start(),
            _ if self.random.random_bool(0.3) => self.restart(),
            _ => self.produce(),
        }
        self.check();
    }

    /// Without faults everything is settled in the end.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            while !self.flights.is_empty() {
                self.complete(true);
            }
            let mine: Vec<i64> = self
                .known
                .iter()
                .filter(|(_, known)| known.member.is_some())
                .map(|(offset, _)| *offset)
                .collect();
            for offset in mine {
                let member = self.known[&offset].member.unwrap();
                let said = [Acknowledgement {
                    first_offset: offset,
                    last_offset: offset,
                    types: vec![1],
                }];
                let write = self
                    .partition
                    .acknowledge(MEMBERS[member], &said, &LIMITS, self.at());
                let before = BTreeMap::from([(offset, self.known[&offset])]);
                let count = self.known[&offset].count;
                self.known
                    .insert(offset, Known::of(RecordState::Acknowledged, count));
                let write = write.unwrap().unwrap();
                self.flights.push_back(Flight { write, before });
            }
            while !self.flights.is_empty() {
                self.complete(true);
            }
            self.check();
            let end = self.log.last().map_or(0, |(_, last)| last + 1);
            if self.partition.start_offset().0 >= end {
                return;
            }
            self.fetch(0);
            self.check();
        }
        panic!("does not settle: {:?} of {:?}", self.partition, self.log);
    }
}

#[test]
fn a_share_partition_does_as_its_model() {
    for seed in 0..400 {
        let mut bench = Bench::new(seed);
        for _ in 0..400 {
            bench.step();
        }
        bench.settle();
    }
}
