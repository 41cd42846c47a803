//! Rules of groups: one owner of a partition in a generation, and committed offsets that do not go back.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Index;
use super::{Findings, Rule};
use crate::checker::events::{Event, History, Place};

pub(super) fn check(history: &History, index: &Index<'_>, found: &mut Findings) {
    let mut owners = Owners::default();
    for event in &history.events {
        match event {
            Event::Assigned {
                member,
                group,
                generation,
                places,
            } => {
                for place in places {
                    owners.assign(group, place, member, *generation, found);
                }
            }
            Event::Revoked {
                member,
                group,
                places,
            } => {
                for place in places {
                    owners.revoke(group, place, member);
                }
            }
            _ => {}
        }
    }
    committed(history, index, found);
    epochs(history, found);
}

/// An epoch of a member never goes back; whoever joins is not behind what others were told before.
fn epochs(history: &History, found: &mut Findings) {
    let mut of_member: BTreeMap<(&str, &str), i32> = BTreeMap::new();
    let mut of_group: BTreeMap<&str, BTreeMap<usize, i32>> = BTreeMap::new();
    for (number, event) in history.events.iter().enumerate() {
        let Event::MemberEpoch {
            group,
            member,
            epoch,
            joins,
            since,
        } = event
        else {
            continue;
        };
        let last = of_member.insert((group, member), *epoch);
        if let Some(last) = last.filter(|last| last > epoch) {
            let detail = format!("{group}: {member} was given epoch {epoch} after {last}");
            found.add(Rule::EpochBack, detail);
        }
        let answered = of_group.entry(group).or_default();
        let before = answered.range(..since).next_back();
        if let Some((_, before)) = before.filter(|(_, before)| *joins && **before > *epoch) {
            let detail = format!("{group}: {member} joined with epoch {epoch} after {before}");
            found.add(Rule::EpochBack, detail);
        }
        let highest = answered.values().next_back().copied().unwrap_or(*epoch);
        answered.insert(number, highest.max(*epoch));
    }
}

type Partition<'a> = (&'a str, &'a Place);

/// Who holds what, and who ever held it in a generation.
#[derive(Default)]
struct Owners<'a> {
    now: BTreeMap<Partition<'a>, BTreeMap<&'a str, Option<i32>>>,
    ever: BTreeMap<(Partition<'a>, i32), &'a str>,
}

impl<'a> Owners<'a> {
    fn assign(
        &mut self,
        group: &'a str,
        place: &'a Place,
        member: &'a str,
        generation: Option<i32>,
        found: &mut Findings,
    ) {
        let key = (group, place);
        let now = self.now.entry(key).or_default();
        // Of two known generations the older one is over, whether or not its owner has heard of it.
        let rival = now.iter().find(|(other, other_generation)| {
            let same = generation
                .zip(**other_generation)
                .is_none_or(|(a, b)| a == b);
            **other != member && same
        });
        let earlier = generation.and_then(|generation| self.ever.get(&(key, generation)));
        let rival = rival.map(|(other, _)| *other).or(earlier.copied());
        if let Some(rival) = rival.filter(|rival| *rival != member) {
            let when = generation.map_or_else(String::new, |g| format!(" in generation {g}"));
            let detail = format!("{group}: {place} belongs to {rival} and {member}{when}");
            found.add(Rule::TwoOwners, detail);
        }
        now.insert(member, generation);
        if let Some(generation) = generation {
            self.ever.entry((key, generation)).or_insert(member);
        }
    }

    fn revoke(&mut self, group: &'a str, place: &'a Place, member: &str) {
        if let Some(now) = self.now.get_mut(&(group, place)) {
            now.remove(member);
        }
    }
}

/// What may be committed for one group and partition.
#[derive(Default)]
struct Commits {
    /// Everything asked for, and in which transaction.
    asked: BTreeMap<i64, BTreeSet<Option<u64>>>,
    /// By the number of the event that made it certain, the highest offset so far.
    certain: BTreeMap<usize, i64>,
}

impl Commits {
    fn settle(&mut self, number: usize, offset: i64) {
        let before = self.certain.values().next_back().copied();
        let highest = before.map_or(offset, |before| before.max(offset));
        self.certain.insert(number, highest);
    }
}

fn committed(history: &History, index: &Index<'_>, found: &mut Findings) {
    let mut all: BTreeMap<Partition<'_>, Commits> = BTreeMap::new();
    let mut of_txn: BTreeMap<u64, Vec<(Partition<'_>, i64)>> = BTreeMap::new();
    for (number, event) in history.events.iter().enumerate() {
        match event {
            Event::OffsetAsked {
                group,
                place,
                offset,
                txn,
            } => {
                let key = (group.as_str(), place);
                let commits = all.entry(key).or_default();
                commits.asked.entry(*offset).or_default().insert(*txn);
                if let Some(txn) = txn {
                    of_txn.entry(*txn).or_default().push((key, *offset));
                }
            }
            Event::OffsetCommitted {
                group,
                place,
                offset,
            } => all
                .entry((group.as_str(), place))
                .or_default()
                .settle(number, *offset),
            Event::Ended { txn, .. } => {
                let committed = index.txns.get(txn).is_some_and(|txn| txn.is_committed());
                let offsets = of_txn.remove(txn).filter(|_| committed);
                for (key, offset) in offsets.into_iter().flatten() {
                    all.entry(key).or_default().settle(number, offset);
                }
            }
            Event::OffsetRead {
                group,
                place,
                offset,
                since,
            } => {
                let commits = all.entry((group.as_str(), place)).or_default();
                let what = format!("{group}: {place} reads {offset} at event {number}");
                read(commits, *offset, *since, &what, index, found);
                // Once read it counts as committed.
                commits.settle(number, *offset);
            }
            _ => {}
        }
    }
}

fn read(
    commits: &Commits,
    offset: i64,
    since: usize,
    what: &str,
    index: &Index<'_>,
    found: &mut Findings,
) {
    let certain = commits.certain.range(..since).next_back();
    if let Some((_, certain)) = certain.filter(|(_, certain)| offset < **certain) {
        let detail = format!("{what}, and {certain} was committed");
        found.add(Rule::CommittedBack, detail);
    }
    if offset < 0 {
        return;
    }
    let is_aborted = |txn: &u64| index.txns.get(txn).is_some_and(|txn| txn.is_aborted());
    match commits.asked.get(&offset) {
        None => found.add(
            Rule::CommittedBack,
            format!("{what}, which nobody asked for"),
        ),
        Some(by) if by.iter().all(|txn| txn.as_ref().is_some_and(is_aborted)) => {
            let detail = format!("{what}, which only aborted transactions asked for");
            found.add(Rule::CommittedBack, detail);
        }
        Some(_) => {}
    }
}
