//! Where the next copy of a task makes it most diverse over racks, by client tags. Source: Kafka's
//! `RackAwareStandbyPicker`, 4.4.
//!
//! The order of the tags is their priority. A copy goes to a process whose value of the first tag no holder of the task
//! has; among those, to one with as many new values of the later tags as possible. When no process has a new value of
//! the first tag, that tag is given up and the next one counts. Once all are given up nothing makes the task more
//! diverse.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The tags of each process.
pub(super) type ProcessTags = BTreeMap<Arc<str>, BTreeMap<String, String>>;

/// The values that the holders of one task have.
pub(super) struct Diversity<'a> {
    tags: &'a [String],
    processes: &'a ProcessTags,
    /// By tag.
    used: Vec<BTreeSet<&'a str>>,
    /// The tag that counts now.
    priority: usize,
}

impl<'a> Diversity<'a> {
    /// A task that `owner` has.
    pub(super) fn new(
        tags: &'a [String],
        processes: &'a ProcessTags,
        owner: Option<&str>,
    ) -> Diversity<'a> {
        let mut diversity = Diversity {
            tags,
            processes,
            used: vec![BTreeSet::new(); tags.len()],
            priority: 0,
        };
        if let Some(owner) = owner {
            diversity.hold(owner);
        }
        diversity
    }

    /// A process has the task now.
    pub(super) fn hold(&mut self, process: &str) {
        let Some(values) = self.processes.get(process) else {
            return;
        };
        for (tag, used) in self.tags.iter().zip(&mut self.used) {
            used.extend(values.get(tag).map(String::as_str));
        }
    }

    /// Whether the process has a value of the tag that no holder has.
    fn is_new(&self, tag: usize, values: &BTreeMap<String, String>) -> bool {
        let value = self.tags.get(tag).and_then(|tag| values.get(tag));
        let used = self.used.get(tag);
        value.is_some_and(|value| used.is_some_and(|used| !used.contains(value.as_str())))
    }

    /// The processes that make the task most diverse, of those that are `eligible`; none once nothing does.
    pub(super) fn candidates(&mut self, eligible: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
        while self.priority < self.tags.len() {
            let new_here = self.processes.iter().filter(|(process, values)| {
                self.is_new(self.priority, values) && eligible(process)
            });
            let later: Vec<(Vec<bool>, &Arc<str>)> = new_here
                .map(|(process, values)| {
                    let later = self.priority + 1..self.tags.len();
                    (later.map(|tag| self.is_new(tag, values)).collect(), process)
                })
                .collect();
            if let Some(most) = later.iter().map(|(new, _)| new).max() {
                let best = later.iter().filter(|(new, _)| new == most);
                return best.map(|(_, process)| Arc::clone(process)).collect();
            }
            self.priority += 1;
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes(tagged: &[(&str, &str, &str)]) -> ProcessTags {
        let tagged = tagged.iter().map(|(process, zone, cluster)| {
            let values = [("zone", zone), ("cluster", cluster)];
            let values = values
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(tag, value)| (tag.to_owned(), (*value).to_owned()));
            (Arc::from(*process), values.collect())
        });
        tagged.collect()
    }

    fn names(found: Vec<Arc<str>>) -> String {
        found.join(" ")
    }

    #[test]
    fn the_first_tag_counts_most_and_is_given_up_when_it_is_used_up() {
        let tags = ["zone".to_owned(), "cluster".to_owned()];
        let processes = processes(&[
            ("p", "z1", "k1"),
            ("q", "z1", "k2"),
            ("r", "z2", "k1"),
            ("s", "z2", "k2"),
            ("t", "", "k3"),
        ]);
        let mut diversity = Diversity::new(&tags, &processes, Some("p"));
        // A new zone, and of those a new cluster.
        assert_eq!(names(diversity.candidates(|_| true)), "s");
        assert_eq!(names(diversity.candidates(|process| process != "s")), "r");
        diversity.hold("s");
        // No zone is new; one cluster is.
        assert_eq!(names(diversity.candidates(|_| true)), "t");
        diversity.hold("t");
        assert_eq!(names(diversity.candidates(|_| true)), "");
    }
}
