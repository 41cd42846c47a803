//! Consumer groups in a shard: finding them, and where the group of a request comes from.

use std::sync::Arc;

use super::group::ConsumerGroup;
use crate::cluster::ConsumerSettings;
use crate::shard::Shard;
use crate::shard::core::Core;
use crate::shard::write::LogRecord;

/// Where the group of a request comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// It is in the shard.
    Existing(Arc<str>),
    /// It is made by this request, or taken over from the classic protocol, by `records`.
    Made {
        group: Box<ConsumerGroup>,
        records: Vec<LogRecord>,
    },
}

impl Source {
    pub(super) fn group<'a>(&'a self, shard: &'a Shard) -> Option<&'a ConsumerGroup> {
        match self {
            Source::Existing(id) => shard.consumer(id),
            Source::Made { group, .. } => Some(group),
        }
    }

    /// The records that make the group.
    pub(super) fn records(self) -> Vec<LogRecord> {
        match self {
            Source::Existing(_) => Vec::new(),
            Source::Made { records, .. } => records,
        }
    }
}

impl Shard {
    /// The consumer group, unless it does not exist or its deletion is on its way to the log.
    pub(crate) fn consumer(&self, group_id: &str) -> Option<&ConsumerGroup> {
        let group = self.groups.get(group_id)?.as_consumer()?;
        Some(group).filter(|group| !group.lifecycle.deleting)
    }

    /// As [`Shard::consumer`], with what its handlers need.
    pub(crate) fn consumer_mut(
        &mut self,
        group_id: &str,
    ) -> Option<(&mut ConsumerGroup, &mut Core)> {
        let group = self.groups.get_mut(group_id)?.as_consumer_mut()?;
        (!group.lifecycle.deleting).then_some((group, &mut self.core))
    }

    /// What is in force for a consumer group.
    pub(crate) fn consumer_settings(&self, group_id: &str) -> ConsumerSettings {
        self.cluster
            .consumer_settings(group_id)
            .unwrap_or_else(|| self.core.config.consumer.settings())
    }
}
