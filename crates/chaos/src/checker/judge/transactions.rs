//! Rules of transactions: what readers of committed records may see, and circles of reads.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Index;
use super::{Findings, Rule};
use crate::checker::events::{Event, History, Outcome, Place, Seen};

pub(super) fn check(history: &History, index: &Index<'_>, found: &mut Findings) {
    for (number, event) in history.events.iter().enumerate() {
        match event {
            Event::Poll {
                committed_only: true,
                place,
                records,
                ..
            } => reads(number, place, records, index, found),
            Event::Log { place, records, .. } => reads(number, place, records, index, found),
            _ => {}
        }
    }
    for (place, log) in &index.logs {
        if log.stable < log.end {
            let (stable, end) = (log.stable, log.end);
            let detail = format!("{place} is stable up to {stable} of {end}, and nothing is open");
            found.add(Rule::StuckStableOffset, detail);
        }
    }
    circles(history, index, found);
}

fn reads(number: usize, place: &Place, records: &[Seen], index: &Index<'_>, found: &mut Findings) {
    for Seen { offset, value } in records {
        let at = format!("{value} at {place}/{offset}, event {number}");
        if let Some(sent) = index.sends.get(value)
            && sent.outcome == Outcome::Fail
        {
            found.add(Rule::AbortedRead, format!("{at}: its send was refused"));
        }
        let Some((txn, state)) = index.txn_of(*value) else {
            continue;
        };
        if state.is_aborted() {
            let detail = format!("{at}: transaction {txn} was aborted");
            found.add(Rule::AbortedRead, detail);
        } else if state.commit_asked.is_none_or(|asked| asked > number) {
            let detail = format!("{at}: transaction {txn} was not asked to commit yet");
            found.add(Rule::PrecommittedRead, detail);
        }
    }
}

/// G1c over reads: an edge from the writer of a record to each committed transaction that read it.
fn circles(history: &History, index: &Index<'_>, found: &mut Findings) {
    let mut graph: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for event in &history.events {
        let Event::Poll {
            txn: Some(reader),
            records,
            ..
        } = event
        else {
            continue;
        };
        if !index.txns.get(reader).is_some_and(|txn| txn.is_committed()) {
            continue;
        }
        for seen in records {
            match index.txn_of(seen.value) {
                Some((writer, state)) if writer != *reader && state.is_committed() => {
                    graph.entry(writer).or_default().insert(*reader);
                    graph.entry(*reader).or_default();
                }
                _ => {}
            }
        }
    }
    for component in Tarjan::new(&graph).components() {
        if component.len() > 1 {
            let detail = format!("transactions {component:?} read each other's records");
            found.add(Rule::CircularFlow, detail);
        }
    }
}

/// Strongly connected components (Tarjan, 1972), without recursion: a history may be a chain of a million.
struct Tarjan<'g> {
    graph: &'g BTreeMap<u64, BTreeSet<u64>>,
    /// Number and lowest number reachable.
    numbers: BTreeMap<u64, (usize, usize)>,
    stack: Vec<u64>,
    on_stack: BTreeSet<u64>,
    found: Vec<Vec<u64>>,
}

impl<'g> Tarjan<'g> {
    fn new(graph: &'g BTreeMap<u64, BTreeSet<u64>>) -> Tarjan<'g> {
        Tarjan {
            graph,
            numbers: BTreeMap::new(),
            stack: Vec::new(),
            on_stack: BTreeSet::new(),
            found: Vec::new(),
        }
    }

    fn components(mut self) -> Vec<Vec<u64>> {
        for root in self.graph.keys() {
            if !self.numbers.contains_key(root) {
                self.visit(*root);
            }
        }
        self.found
    }

    fn enter(&mut self, node: u64) {
        let number = self.numbers.len();
        self.numbers.insert(node, (number, number));
        self.stack.push(node);
        self.on_stack.insert(node);
    }

    fn lower(&mut self, node: u64, to: usize) {
        if let Some((_, low)) = self.numbers.get_mut(&node) {
            *low = (*low).min(to);
        }
    }

    fn visit(&mut self, root: u64) {
        let graph = self.graph;
        let next_of = |node: u64| graph.get(&node).into_iter().flatten();
        let mut path = vec![(root, next_of(root))];
        self.enter(root);
        while let Some((node, targets)) = path.last_mut() {
            let node = *node;
            match targets.next() {
                Some(target) if !self.numbers.contains_key(target) => {
                    self.enter(*target);
                    path.push((*target, next_of(*target)));
                }
                Some(target) => {
                    if self.on_stack.contains(target)
                        && let Some((number, _)) = self.numbers.get(target).copied()
                    {
                        self.lower(node, number);
                    }
                }
                None => {
                    path.pop();
                    self.leave(node, path.last().map(|(parent, _)| *parent));
                }
            }
        }
    }

    fn leave(&mut self, node: u64, parent: Option<u64>) {
        let Some((number, low)) = self.numbers.get(&node).copied() else {
            return;
        };
        if let Some(parent) = parent {
            self.lower(parent, low);
        }
        if number != low {
            return;
        }
        let mut component = Vec::new();
        while let Some(top) = self.stack.pop() {
            self.on_stack.remove(&top);
            component.push(top);
            if top == node {
                break;
            }
        }
        component.sort_unstable();
        self.found.push(component);
    }
}
