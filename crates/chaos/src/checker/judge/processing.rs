//! Rules of exactly-once loops: every input record below the committed offset has one result, and no other has any.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Index;
use super::{Findings, Rule};
use crate::checker::events::{Event, History, Place};

pub(super) fn check(history: &History, index: &Index<'_>, found: &mut Findings) {
    // By group and input partition, the offsets that have a result in a log.
    let mut results: BTreeMap<(&str, &Place), BTreeSet<i64>> = BTreeMap::new();
    for sent in index.sends.values() {
        if let Some(source) = sent.source {
            results.entry((&source.group, &source.place)).or_default();
        }
    }
    for (place, offset, value) in index.logged() {
        let Some(source) = index.sends.get(&value).and_then(|sent| sent.source) else {
            continue;
        };
        let of = results.entry((&source.group, &source.place)).or_default();
        if !of.insert(source.offset) {
            let input = format!("{}/{}", source.place, source.offset);
            let detail = format!("{input} has another result at {place}/{offset}");
            found.add(Rule::ProcessedTwice, detail);
        }
    }
    let mut committed: BTreeMap<(&str, &Place), i64> = BTreeMap::new();
    for event in &history.events {
        if let Event::OffsetRead {
            group,
            place,
            offset,
            ..
        } = event
        {
            committed.insert((group, place), *offset);
        }
    }
    for ((group, place), done) in &results {
        let (Some(log), Some(committed)) =
            (index.logs.get(place), committed.get(&(*group, *place)))
        else {
            continue;
        };
        for offset in log.records.range(..*committed).map(|(offset, _)| offset) {
            if !done.contains(offset) {
                let detail =
                    format!("{group} committed {committed}, and {place}/{offset} has no result");
                found.add(Rule::Unprocessed, detail);
            }
        }
        for offset in done.range(*committed..) {
            let detail =
                format!("{group} committed {committed}, and {place}/{offset} has a result");
            found.add(Rule::Unprocessed, detail);
        }
    }
}
