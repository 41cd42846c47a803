//! Topics that are given more partitions while their clients run, and whether every group took them up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::Server;
use testkit::wait::retry;
use wire::messages::CreatePartitionsRequest;
use wire::messages::create_partitions_request::CreatePartitionsTopic;

use super::{GROUPS, Live, TOPICS};
use crate::checker::Place;

/// No topic is given more than this.
const PARTITIONS_MAX: i32 = 12;
/// A classic group looks at its topics now and then, and then every member has to join again.
const LIMIT: Duration = Duration::from_secs(90);

#[derive(Debug, Default)]
struct State {
    partitions: BTreeMap<&'static str, i32>,
    /// What any member of a group was ever given.
    assigned: BTreeSet<(String, Place)>,
}

/// How many partitions there are, and who was given which. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Growth(Arc<Mutex<State>>);

impl Growth {
    /// As the topics are created.
    pub(super) fn new() -> Growth {
        let state = State {
            partitions: TOPICS.iter().copied().collect(),
            assigned: BTreeSet::new(),
        };
        Growth(Arc::new(Mutex::new(state)))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partitions of a topic.
    pub(super) fn partitions(&self, topic: &str) -> i32 {
        self.locked().partitions.get(topic).copied().unwrap_or(0)
    }

    /// A member was given partitions.
    pub(super) fn assigned(&self, group: &str, places: &[Place]) {
        let each = places.iter();
        let each = each.map(|place| (group.to_owned(), place.clone()));
        self.locked().assigned.extend(each);
    }

    /// A partition that no member of a group that reads its topic was ever given.
    fn missed(&self) -> Option<String> {
        let state = self.locked();
        GROUPS.iter().find_map(|(group, _, topic)| {
            let count = state.partitions.get(topic).copied().unwrap_or(0);
            let mut places = (0..count).map(|index| Place::new(topic, index));
            let missed = places.find(|place| {
                !state
                    .assigned
                    .contains(&((*group).to_owned(), place.clone()))
            });
            missed.map(|place| format!("no member of {group} was given {place}"))
        })
    }
}

impl Live {
    /// Gives a topic one more partition, unless it has many: the `which`th, counted round.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn grow(&self, server: &Server, which: usize) -> Result<()> {
        let growth = &self.shared.growth;
        let (topic, _) = TOPICS[which % TOPICS.len()];
        let count = growth.partitions(topic) + 1;
        if count > PARTITIONS_MAX {
            return Ok(());
        }
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: topic.to_owned(),
                count,
                assignments: None,
            }],
            timeout_ms: 10_000,
            validate_only: false,
        };
        let answer = server.connect()?.call(3, &request)?;
        let result = answer.results.first();
        let result = result.context("CreatePartitions answered nothing")?;
        ensure!(
            result.error_code == 0,
            "CreatePartitions of {topic} answered {} ({:?})",
            result.error_code,
            result.error_message
        );
        growth.locked().partitions.insert(topic, count);
        Ok(())
    }

    /// Waits until some member of each group was given each partition of its topic.
    ///
    /// # Errors
    /// One that names what nobody was given, after too long.
    pub fn wait_for_assignments(&self) -> Result<()> {
        retry(
            "every partition to be given to a member",
            LIMIT,
            || match self.shared.growth.missed() {
                None => Ok(()),
                Some(missed) => anyhow::bail!("{missed}"),
            },
        )
    }
}
