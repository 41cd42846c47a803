//! A history, looked up in more than one way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::checker::events::{Event, History, Outcome, Place, Source, TxnOutcome};

/// A send.
#[derive(Clone, Debug)]
pub(super) struct Sent<'a> {
    pub(super) place: &'a Place,
    pub(super) txn: Option<u64>,
    pub(super) source: Option<&'a Source>,
    pub(super) key: Option<u64>,
    pub(super) outcome: Outcome,
}

/// A transaction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Txn {
    /// The event that asks to commit it.
    pub(super) commit_asked: Option<usize>,
    /// The event that says how it ended.
    pub(super) ended: Option<(usize, TxnOutcome)>,
    /// Whether a reader of committed records saw something of it.
    visible: bool,
}

impl Txn {
    /// Whether it certainly is committed: the broker said so, or it may be and a part of it is visible.
    pub(super) fn is_committed(self) -> bool {
        match self.ended {
            Some((_, TxnOutcome::Committed)) => true,
            Some((_, TxnOutcome::Aborted)) => false,
            Some((_, TxnOutcome::Unknown)) | None => self.commit_asked.is_some() && self.visible,
        }
    }

    pub(super) fn is_aborted(self) -> bool {
        matches!(self.ended, Some((_, TxnOutcome::Aborted)))
    }
}

/// A partition at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) start: i64,
    pub(super) stable: i64,
    pub(super) end: i64,
    /// Value by offset.
    pub(super) records: BTreeMap<i64, u64>,
}

/// The parts of a history by what they are about.
#[derive(Debug, Default)]
pub(super) struct Index<'a> {
    pub(super) sends: HashMap<u64, Sent<'a>>,
    pub(super) txns: BTreeMap<u64, Txn>,
    pub(super) logs: BTreeMap<&'a Place, Log>,
    /// Every value that a log holds at the end.
    pub(super) in_logs: HashSet<u64>,
    /// Every value that was seen or acknowledged at an offset.
    pub(super) at: BTreeMap<(&'a Place, i64), BTreeSet<u64>>,
    /// Every offset that a value was seen at.
    pub(super) offsets: BTreeMap<u64, BTreeSet<(&'a Place, i64)>>,
    /// The highest offset polled.
    pub(super) polled_to: BTreeMap<&'a Place, i64>,
    /// The last offset of each key that a log holds at the end.
    pub(super) last_of_key: BTreeMap<(&'a Place, u64), i64>,
}

impl<'a> Index<'a> {
    pub(super) fn new(history: &'a History) -> Index<'a> {
        let mut index = Index::default();
        for (number, event) in history.events.iter().enumerate() {
            index.take(number, event);
        }
        index.note_visible(history);
        index.note_keys();
        index
    }

    fn take(&mut self, number: usize, event: &'a Event) {
        match event {
            Event::Send {
                place,
                value,
                txn,
                source,
                key,
                outcome,
            } => {
                let sent = Sent {
                    place,
                    txn: *txn,
                    source: source.as_ref(),
                    key: *key,
                    outcome: *outcome,
                };
                self.sends.insert(*value, sent);
                if let Some(txn) = txn {
                    self.txns.entry(*txn).or_default();
                }
                if let Outcome::Ok(Some(offset)) = outcome {
                    self.at.entry((place, *offset)).or_default().insert(*value);
                }
            }
            Event::CommitAsked { txn } => {
                self.txns.entry(*txn).or_default().commit_asked = Some(number);
            }
            Event::Ended { txn, outcome } => {
                self.txns.entry(*txn).or_default().ended = Some((number, *outcome));
            }
            Event::Poll { place, records, .. } => {
                for seen in records {
                    self.see(place, seen.offset, seen.value);
                    let to = self.polled_to.entry(place).or_insert(seen.offset);
                    *to = (*to).max(seen.offset);
                }
            }
            Event::Log {
                place,
                start,
                stable,
                end,
                records,
            } => {
                let log = Log {
                    start: *start,
                    stable: *stable,
                    end: *end,
                    records: records.iter().map(|r| (r.offset, r.value)).collect(),
                };
                for seen in records {
                    self.see(place, seen.offset, seen.value);
                    self.in_logs.insert(seen.value);
                }
                self.logs.insert(place, log);
            }
            _ => {}
        }
    }

    fn see(&mut self, place: &'a Place, offset: i64, value: u64) {
        self.at.entry((place, offset)).or_default().insert(value);
        self.offsets
            .entry(value)
            .or_default()
            .insert((place, offset));
    }

    /// Which transactions a reader of committed records saw something of.
    fn note_visible(&mut self, history: &History) {
        for event in &history.events {
            let records = match event {
                Event::Poll {
                    committed_only: true,
                    records,
                    ..
                }
                | Event::Log { records, .. } => records,
                _ => continue,
            };
            for seen in records {
                let txn = self.sends.get(&seen.value).and_then(|sent| sent.txn);
                if let Some(txn) = txn.and_then(|txn| self.txns.get_mut(&txn)) {
                    txn.visible = true;
                }
            }
        }
    }

    fn note_keys(&mut self) {
        let logged = self.logs.iter().flat_map(|(place, log)| {
            let records = log.records.iter();
            records.map(move |(offset, value)| (*place, *offset, *value))
        });
        for (place, offset, value) in logged {
            let key = self.sends.get(&value).and_then(|sent| sent.key);
            if let Some(key) = key {
                // Ascending, so that the last one stays.
                self.last_of_key.insert((place, key), offset);
            }
        }
    }

    /// The transaction that wrote a value.
    pub(super) fn txn_of(&self, value: u64) -> Option<(u64, Txn)> {
        let txn = self.sends.get(&value)?.txn?;
        self.txns.get(&txn).map(|found| (txn, *found))
    }

    /// Every value that the logs hold at the end, with where.
    pub(super) fn logged(&self) -> impl Iterator<Item = (&'a Place, i64, u64)> {
        self.logs.iter().flat_map(|(place, log)| {
            let records = log.records.iter();
            records.map(move |(offset, value)| (*place, *offset, *value))
        })
    }
}
