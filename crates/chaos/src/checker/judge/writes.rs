//! Rules of single records: lost, at two offsets, out of order, never sent.

use std::collections::{BTreeMap, HashMap};

use super::index::{Index, Sent};
use super::{Findings, Rule};
use crate::checker::events::{Event, History, Outcome, Place, producer_of};

pub(super) fn check(history: &History, index: &Index<'_>, found: &mut Findings) {
    lost(index, found);
    places(index, found);
    starts(history, index, found);
    for (place, log) in &index.logs {
        let mut last: HashMap<u64, u64> = HashMap::new();
        for (offset, value) in &log.records {
            let before = last.insert(producer_of(*value), *value);
            if let Some(before) = before.filter(|before| before > value) {
                let detail = format!("{value} at {place}/{offset} stands behind {before}");
                found.add(Rule::Reordered, detail);
            }
        }
    }
}

fn lost(index: &Index<'_>, found: &mut Findings) {
    let mut values: Vec<&u64> = index.sends.keys().collect();
    values.sort_unstable();
    for value in values {
        let Some(sent) = index.sends.get(value) else {
            continue;
        };
        let Outcome::Ok(offset) = sent.outcome else {
            continue;
        };
        let committed = match sent.txn.and_then(|txn| index.txns.get(&txn)) {
            Some(txn) => txn.is_committed(),
            None => sent.txn.is_none(),
        };
        if committed && is_missing(index, *value, sent, offset) {
            let at = offset.map_or_else(String::new, |offset| format!(" at {offset}"));
            let of = sent.txn.map_or_else(String::new, |txn| {
                format!(" in committed transaction {txn}")
            });
            let place = sent.place;
            let Some(key) = sent.key else {
                let detail = format!("{value} was acknowledged{at}{of}, and is not in {place}");
                found.add(Rule::LostWrite, detail);
                continue;
            };
            // Compaction may take it once there is a later one of its key.
            let last = index.last_of_key.get(&(place, key)).copied();
            if last.is_none_or(|last| offset.is_some_and(|offset| last <= offset)) {
                let last = last.map_or_else(String::new, |last| format!(", the last at {last}"));
                let detail = format!(
                    "{value} of key {key} was acknowledged{at}{of}, and no later one is in {place}{last}"
                );
                found.add(Rule::KeyLost, detail);
            }
        }
    }
}

/// Without the whole log, only what lies before an offset that somebody polled can be said to be missing.
fn is_missing(index: &Index<'_>, value: u64, sent: &Sent<'_>, offset: Option<i64>) -> bool {
    match index.logs.get(sent.place) {
        Some(log) => {
            // Where something was deleted, an offset that is not known may have been.
            let deleted = offset.map_or(log.start > 0, |offset| offset < log.start);
            !deleted && !index.in_logs.contains(&value)
        }
        None => {
            let polled_to = index.polled_to.get(sent.place);
            let passed = offset.zip(polled_to).is_some_and(|(at, to)| at <= *to);
            passed && !index.offsets.contains_key(&value)
        }
    }
}

/// What was deleted stays deleted.
fn starts(history: &History, index: &Index<'_>, found: &mut Findings) {
    let mut known: BTreeMap<&Place, i64> = BTreeMap::new();
    for event in &history.events {
        let Event::LogStart { place, start } = event else {
            continue;
        };
        let before = known.entry(place).or_insert(*start);
        if *start < *before {
            let detail = format!("{place} was said to start at {before}, and then at {start}");
            found.add(Rule::LogStartBack, detail);
        }
        *before = (*before).max(*start);
    }
    for (place, start) in known {
        if let Some(log) = index.logs.get(place).filter(|log| log.start < start) {
            let detail = format!("{place} starts at {}, and {start} was answered", log.start);
            found.add(Rule::LogStartBack, detail);
        }
    }
}

fn places(index: &Index<'_>, found: &mut Findings) {
    for ((place, offset), values) in &index.at {
        if values.len() > 1 {
            let detail = format!("{place}/{offset} held {values:?}");
            found.add(Rule::InconsistentOffsets, detail);
        }
    }
    for (value, offsets) in &index.offsets {
        if offsets.len() > 1 {
            let offsets: Vec<String> = offsets.iter().map(|(p, o)| format!("{p}/{o}")).collect();
            let detail = format!("{value} is at {}", offsets.join(" and "));
            found.add(Rule::Duplicate, detail);
        }
        let Some(sent) = index.sends.get(value) else {
            found.add(Rule::Phantom, format!("{value} was seen, and never sent"));
            continue;
        };
        if let Outcome::Ok(Some(offset)) = sent.outcome
            && !offsets.contains(&(sent.place, offset))
        {
            let place = sent.place;
            let detail =
                format!("{value} was acknowledged at {place}/{offset}, and seen elsewhere");
            found.add(Rule::InconsistentOffsets, detail);
        }
    }
}
