//! What a worker does besides reading: subscribe, assign, seek, commit.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use client::data::{
    CommitMode, Consumer as _, DataError, Offset, RDKafkaErrorCode, TopicPartitionList,
};

use super::context::places;
use super::record::{Interest, Place, Positions};
use super::worker::Worker;
use crate::error::RestError;
use crate::produce::kafka_code;

/// How long a question to the cluster may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Between two attempts to seek.
const PAUSE: Duration = Duration::from_millis(20);

/// Where a seek leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeekTo {
    /// The log start offset.
    Beginning,
    /// The end.
    End,
    /// An offset.
    Offset(i64),
    /// The first record as late as this, in milliseconds; the end, if there is none.
    Timestamp(i64),
}

/// An offset to be committed: that of the last record that is done with.
#[derive(Debug, Clone)]
pub(crate) struct CommitOffset {
    pub(crate) place: Place,
    pub(crate) offset: i64,
    pub(crate) metadata: Option<String>,
}

impl Worker {
    /// Reads something else from now on.
    ///
    /// # Errors
    /// 409/40903 when it does not go with what it reads; what librdkafka says.
    pub(crate) fn set_interest(&mut self, next: Interest) -> Result<(), RestError> {
        let next = self
            .shared
            .progress()
            .interest
            .change(next)
            .map_err(|exclusive| RestError::illegal_state(&exclusive.to_string()))?;
        match &next {
            Interest::Nothing => self.stop_reading()?,
            Interest::Topics(topics) => {
                let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
                self.consumer
                    .subscribe(&topics)
                    .map_err(|error| of_data(&error))?;
            }
            Interest::Pattern(pattern) => {
                // librdkafka takes a regular expression for one by its first character.
                let pattern = format!("^({pattern})$");
                self.consumer
                    .subscribe(&[&pattern])
                    .map_err(|error| RestError::unprocessable(error.to_string()))?;
            }
            Interest::Partitions(places) => self.assign(places)?,
        }
        self.shared.progress().interest = next;
        Ok(())
    }

    fn stop_reading(&mut self) -> Result<(), RestError> {
        self.consumer.unsubscribe();
        self.consumer.unassign().map_err(|error| of_data(&error))?;
        self.forget_all();
        let mut progress = self.shared.progress();
        progress.positions.clear();
        progress.sent.clear();
        Ok(())
    }

    /// Partitions that it reads already go on where the client is.
    fn assign(&mut self, partitions: &[Place]) -> Result<(), RestError> {
        let mut known = {
            let mut progress = self.shared.progress();
            let keep = |place: &Place, _: &mut i64| partitions.contains(place);
            progress.positions.retain(keep);
            progress.sent.retain(keep);
            let mut known = progress.positions.clone();
            known.extend(progress.sent.clone());
            known
        };
        let mut list = TopicPartitionList::new();
        for place in partitions {
            let offset = known.remove(place).map_or(Offset::Invalid, Offset::Offset);
            list.add_partition_offset(&place.topic, place.partition, offset)
                .map_err(|error| of_data(&error))?;
        }
        self.forget_all();
        self.consumer.assign(&list).map_err(|error| of_data(&error))
    }

    /// The topics it subscribes to; for a pattern, those it has partitions of.
    pub(crate) fn subscription(&self) -> Result<Vec<String>, RestError> {
        let interest = self.shared.progress().interest.clone();
        match interest {
            Interest::Topics(topics) => Ok(topics),
            Interest::Pattern(_) => {
                let topics: BTreeSet<String> = self
                    .assignment()?
                    .into_iter()
                    .map(|place| place.topic)
                    .collect();
                Ok(topics.into_iter().collect())
            }
            Interest::Nothing | Interest::Partitions(_) => Ok(Vec::new()),
        }
    }

    /// The partitions it has.
    pub(crate) fn assignment(&self) -> Result<BTreeSet<Place>, RestError> {
        let list = self.consumer.assignment();
        list.map(|list| places(&list))
            .map_err(|error| of_data(&error))
    }

    /// Goes elsewhere in partitions that it has.
    ///
    /// # Errors
    /// 409/40903 for one it has not.
    pub(crate) fn seek(&mut self, targets: &[(Place, SeekTo)]) -> Result<(), RestError> {
        let held = self.assignment()?;
        if let Some((place, _)) = targets.iter().find(|(place, _)| !held.contains(place)) {
            return Err(RestError::illegal_state(&format!(
                "No current assignment for partition {}-{}",
                place.topic, place.partition
            )));
        }
        let mut positions = Positions::new();
        for (place, to) in targets {
            positions.insert(place.clone(), self.resolve(place, *to)?);
        }
        let places: BTreeSet<Place> = positions.keys().cloned().collect();
        self.forget(&places);
        self.seek_to(&positions)?;
        let mut progress = self.shared.progress();
        progress.sent.retain(|place, _| !places.contains(place));
        progress.positions.extend(positions);
        Ok(())
    }

    fn resolve(&self, place: &Place, to: SeekTo) -> Result<i64, RestError> {
        let ends = || {
            self.consumer
                .fetch_watermarks(&place.topic, place.partition, CALL_LIMIT)
                .map_err(|error| of_data(&error))
        };
        match to {
            SeekTo::Offset(offset) if offset < 0 => Err(RestError::unprocessable(
                "seek offset must not be a negative number",
            )),
            SeekTo::Offset(offset) => Ok(offset),
            SeekTo::Beginning => Ok(ends()?.0),
            SeekTo::End => Ok(ends()?.1),
            SeekTo::Timestamp(timestamp_ms) => {
                let at = Positions::from([(place.clone(), timestamp_ms)]);
                let found = list_of(&at)
                    .and_then(|list| self.consumer.offsets_for_times(list, CALL_LIMIT))
                    .map_err(|error| of_data(&error))?;
                let found = found.elements().first().map(|element| element.offset());
                match found {
                    Some(Offset::Offset(offset)) => Ok(offset),
                    _ => Ok(ends()?.1),
                }
            }
        }
    }

    /// A partition that has only just come may not be ready for it yet.
    fn seek_to(&self, positions: &Positions) -> Result<(), RestError> {
        let deadline = Instant::now() + CALL_LIMIT;
        loop {
            let sought = list_of(positions)
                .and_then(|list| self.consumer.seek_partitions(list, CALL_LIMIT))
                .and_then(|list| {
                    let elements = list.elements();
                    elements.iter().try_for_each(|element| element.error())
                });
            match sought {
                Err(error)
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::State)
                        && Instant::now() < deadline =>
                {
                    std::thread::sleep(PAUSE);
                }
                sought => return sought.map_err(|error| of_data(&error)),
            }
        }
    }

    /// Commits offsets; without any, all that the client has.
    pub(crate) fn commit(
        &self,
        offsets: Option<&[CommitOffset]>,
        mode: CommitMode,
    ) -> Result<(), RestError> {
        let list = match offsets {
            None => list_of(&self.shared.progress().positions),
            Some(offsets) => commit_list(offsets),
        };
        let list = list.map_err(|error| of_data(&error))?;
        if list.count() == 0 {
            return Ok(());
        }
        self.consumer
            .commit(&list, mode)
            .map_err(|error| of_data(&error))
    }
}

/// As librdkafka takes them.
pub(super) fn list_of(positions: &Positions) -> Result<TopicPartitionList, DataError> {
    let mut list = TopicPartitionList::new();
    for (place, offset) in positions {
        list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}

fn commit_list(offsets: &[CommitOffset]) -> Result<TopicPartitionList, DataError> {
    let mut list = TopicPartitionList::new();
    for commit in offsets {
        let mut element = list.add_partition(&commit.place.topic, commit.place.partition);
        // The next record is what is committed.
        element.set_offset(Offset::Offset(commit.offset.saturating_add(1)))?;
        if let Some(metadata) = &commit.metadata {
            element.set_metadata(metadata);
        }
    }
    Ok(list)
}

/// What librdkafka's error means to the client.
pub(super) fn of_data(error: &DataError) -> RestError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::RequestTimedOut) => {
            RestError::timed_out(error.to_string())
        }
        Some(RDKafkaErrorCode::FencedInstanceId | RDKafkaErrorCode::Fatal) => {
            RestError::instance_is_moving()
        }
        Some(code) => match kafka_code(code) {
            Some(code) => RestError::kafka(code, None),
            None => RestError::internal(error.to_string()),
        },
        None => RestError::internal(error.to_string()),
    }
}
