//! Streams groups in a shard: finding and making them, and what their records do to it.

use std::sync::Arc;

use wire::ErrorCode;

use super::group::StreamsGroup;
use crate::cluster::StreamsSettings;
use crate::consumer::Failure;
use crate::shard::Shard;
use crate::shard::core::Core;
use crate::shard::groups::Group;
use crate::shard::write::LogRecord;

/// Where the group of a request comes from.
#[derive(Debug)]
pub(super) enum StreamsSource {
    /// It is in the shard.
    Existing(Arc<str>),
    /// It is made by this request, in the place of an empty classic group whose tombstone `records` has.
    Made {
        group: Box<StreamsGroup>,
        records: Vec<LogRecord>,
    },
}

impl StreamsSource {
    pub(super) fn group<'a>(&'a self, shard: &'a Shard) -> Option<&'a StreamsGroup> {
        match self {
            StreamsSource::Existing(id) => shard.streams(id),
            StreamsSource::Made { group, .. } => Some(group),
        }
    }

    /// The records that make room for the group.
    pub(super) fn records(self) -> Vec<LogRecord> {
        match self {
            StreamsSource::Existing(_) => Vec::new(),
            StreamsSource::Made { records, .. } => records,
        }
    }
}

impl Shard {
    /// The streams group, unless it does not exist or its deletion is on its way to the log.
    pub(crate) fn streams(&self, group_id: &str) -> Option<&StreamsGroup> {
        self.any_group(group_id)?.as_streams()
    }

    /// As [`Shard::streams`], with what its handlers need.
    pub(crate) fn streams_mut(&mut self, group_id: &str) -> Option<(&mut StreamsGroup, &mut Core)> {
        let group = self.groups.get_mut(group_id)?.as_streams_mut()?;
        (!group.lifecycle.deleting).then_some((group, &mut self.core))
    }

    /// What is in force for a streams group.
    pub(crate) fn streams_settings(&self, group_id: &str) -> StreamsSettings {
        self.cluster
            .streams_settings(group_id)
            .unwrap_or_else(|| self.core.config.streams.settings.clone())
    }

    /// The group a heartbeat is for: one that is there, or, when a member joins, one that is made.
    pub(super) fn streams_source(
        &mut self,
        id: &Arc<str>,
        joining: bool,
    ) -> Result<StreamsSource, Failure> {
        let not_found = |message: String| Err(Failure::new(ErrorCode::GroupIdNotFound, message));
        let replaces_classic = match self.any_group(id) {
            Some(Group::Streams(_)) => return Ok(StreamsSource::Existing(id.clone())),
            Some(Group::Classic(classic)) if joining && classic.is_empty() => true,
            Some(_) => return not_found(format!("Group {id} is not a streams group.")),
            None if joining => false,
            None => return not_found(format!("Streams group {id} not found.")),
        };
        let group = StreamsGroup::new(id.clone(), self.core.incarnation());
        Ok(StreamsSource::Made {
            group: Box::new(group),
            records: replaces_classic
                .then_some(LogRecord::Classic(None))
                .into_iter()
                .collect(),
        })
    }
}
