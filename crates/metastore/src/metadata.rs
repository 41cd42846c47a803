//! Changes to the metadata, each one compare-and-swap transaction.
//!
//! A change reads the keys it depends on from the store, works out what becomes of them, and makes it on the
//! condition that they are still the same; if not, it begins again. Then it waits until the image shows it, so a
//! caller that created a topic finds it there. The image follows the store's watch, whoever made a change.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base::{NodeId, PartitionIndex, TopicId};

use crate::error::{ErrorKind, MetaStoreError};
use crate::image::{MetadataImage, TopicImage};
use crate::resource::{
    CHUNK_PARTITIONS, ClusterResource, Configs, DecodeError, FeaturesResource, PartitionResource,
    ProducerIdsResource, ROOT, Resource, ResourceKey, TopicResource,
};
use crate::store::{Compare, EventKind, KeyValue, MetaStore, Op, Revision, Watch, limits};

/// How often a change begins again before it gives up on others that are faster.
const ATTEMPTS: usize = 64;
/// How long a change waits for the image to show it.
const CATCH_UP: Duration = Duration::from_secs(30);

/// Why metadata could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The store failed.
    #[error("the metadata store failed")]
    Store(#[source] MetaStoreError),
    /// A value does not read.
    #[error("the metadata under '{key}' cannot be read")]
    Decode {
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// There is no such topic, or it was deleted meanwhile.
    #[error("the topic '{0}' does not exist")]
    UnknownTopic(String),
    /// The topic changed since the caller looked.
    #[error("the topic '{topic}' has {found} partitions, not {expected}: look again")]
    PartitionsChanged {
        /// The topic.
        topic: String,
        /// What the caller saw.
        expected: usize,
        /// What there is.
        found: usize,
    },
    /// Others changed the same metadata again and again.
    #[error("the metadata of '{0}' was changed by others {ATTEMPTS} times in a row: try again")]
    Contended(String),
    /// The store took a change, but its watch did not show it in time.
    #[error(
        "the metadata at revision {revision} did not arrive within {} seconds: the change was made",
        CATCH_UP.as_secs()
    )]
    Lagging {
        /// The change.
        revision: Revision,
    },
    /// There are no more producer ids.
    #[error("all producer ids were handed out")]
    NoProducerIds,
}

impl MetadataError {
    /// What a caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            MetadataError::Store(error) => error.kind(),
            MetadataError::Decode { .. } => ErrorKind::Corrupt,
            MetadataError::UnknownTopic(_) => ErrorKind::Invalid,
            MetadataError::PartitionsChanged { .. } | MetadataError::Contended(_) => {
                ErrorKind::Stale
            }
            MetadataError::Lagging { .. } | MetadataError::NoProducerIds => ErrorKind::Unavailable,
        }
    }
}

impl From<MetaStoreError> for MetadataError {
    fn from(error: MetaStoreError) -> MetadataError {
        MetadataError::Store(error)
    }
}

/// A topic to create. The caller has checked its name and what it was set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Its identity, new and random.
    pub id: TopicId,
    /// For each partition the nodes that hold it, the leader first.
    pub assignments: Vec<Vec<NodeId>>,
    /// What is set on it.
    pub configs: Configs,
    /// Now, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// Why one topic was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// There is one of this name.
    #[error("Topic '{0}' already exists.")]
    AlreadyExists(String),
    /// It has no partition, or more than one transaction takes.
    #[error(
        "the topic '{topic}' would have {partitions} partitions, from 1 to {} can be created",
        most_partitions()
    )]
    PartitionCount {
        /// The topic.
        topic: String,
        /// What was asked for.
        partitions: usize,
    },
}

const fn most_partitions() -> usize {
    // Beside the chunks there are the topic and its configuration.
    (limits::TXN_OPS - 2) * CHUNK_PARTITIONS / 8
}

/// Whose configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic's.
    Topic(String),
    /// One broker's.
    Broker(NodeId),
    /// All brokers'.
    BrokerDefault,
    /// A group's.
    Group(String),
    /// A client metrics subscription.
    ClientMetrics(String),
}

impl ConfigResource {
    fn key(&self) -> Vec<u8> {
        match self {
            ConfigResource::Topic(name) => ResourceKey::TopicConfigs(name.clone()),
            ConfigResource::Broker(node) => ResourceKey::BrokerConfigs(*node),
            ConfigResource::BrokerDefault => ResourceKey::BrokerDefaultConfigs,
            ConfigResource::Group(group) => ResourceKey::GroupConfigs(group.clone()),
            ConfigResource::ClientMetrics(name) => ResourceKey::ClientMetrics(name.clone()),
        }
        .to_bytes()
    }
}

/// The metadata of a cluster. Every function that changes something blocks until it is durable and shows in
/// [`Metadata::image`].
#[derive(Debug)]
pub struct Metadata {
    store: Arc<dyn MetaStore>,
    image: RwLock<Arc<MetadataImage>>,
    follower: Mutex<Follower>,
}

struct Follower(Box<dyn Watch>);

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Follower")
    }
}

/// A key as the store has it, with its decoded value.
struct Held<T> {
    compare: Compare,
    value: Option<T>,
}

impl Metadata {
    /// Reads everything from `store` and follows it from there.
    ///
    /// # Errors
    /// When the store cannot be read, or a value in it.
    pub fn load(store: Arc<dyn MetaStore>) -> Result<Metadata, MetadataError> {
        let (image, watch) = read_all(&*store)?;
        Ok(Metadata {
            image: RwLock::new(Arc::new(image)),
            follower: Mutex::new(Follower(watch)),
            store,
        })
    }

    /// Everything, as of now. Keep it for one request, not longer.
    #[must_use]
    pub fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.image.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The store underneath.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn MetaStore> {
        &self.store
    }

    /// Waits up to `timeout` for changes made elsewhere and shows them in the image; returns its revision. A
    /// node that shares its store with others calls this in a loop.
    ///
    /// # Errors
    /// When the store cannot be read, or a value in it.
    pub fn follow(&self, timeout: Duration) -> Result<Revision, MetadataError> {
        let mut follower = self.lock_follower();
        self.take_changes(&mut follower, timeout)?;
        Ok(self.image().revision())
    }

    /// Gives an empty store its cluster id and feature levels; a store that has them keeps them. Returns the
    /// cluster id.
    ///
    /// # Errors
    /// When the store fails.
    pub fn format(
        &self,
        cluster_id: &str,
        features: &FeaturesResource,
    ) -> Result<String, MetadataError> {
        let key = ResourceKey::Cluster.to_bytes();
        self.retry("cluster", || {
            let held: Held<ClusterResource> = self.read(&key)?;
            if let Some(cluster) = held.value {
                return Ok(Some(cluster.cluster_id));
            }
            let cluster = ClusterResource {
                cluster_id: cluster_id.to_owned(),
            };
            let features_key = ResourceKey::Features.to_bytes();
            let made = self.commit(
                &[held.compare, Compare::absent(features_key.clone())],
                &[
                    Op::put(key.clone(), cluster.encode()),
                    Op::put(features_key, features.encode()),
                ],
            )?;
            Ok(made.then(|| cluster_id.to_owned()))
        })
    }

    /// Creates one topic.
    ///
    /// # Errors
    /// The outer one when the store fails, the inner one as of [`CreateError`].
    pub fn create_topic(
        &self,
        topic: &NewTopic,
    ) -> Result<Result<Arc<TopicImage>, CreateError>, MetadataError> {
        let mut created = self.create_topics(std::slice::from_ref(topic))?;
        Ok(created
            .pop()
            .unwrap_or_else(|| Err(CreateError::AlreadyExists(topic.name.clone()))))
    }

    /// Creates topics, many in one transaction. Each either exists with all of its partitions afterwards or
    /// was not touched; the results are in the order of `topics`.
    ///
    /// # Errors
    /// When the store fails; topics of earlier transactions of this call exist then.
    pub fn create_topics(
        &self,
        topics: &[NewTopic],
    ) -> Result<Vec<Result<Arc<TopicImage>, CreateError>>, MetadataError> {
        let mut results = Vec::with_capacity(topics.len());
        let mut rest = topics;
        while let Some((first, _)) = rest.split_first() {
            let mut ops = creation(first);
            let mut taken = 1;
            for topic in rest.iter().skip(1) {
                let more = creation(topic);
                let repeated = rest
                    .iter()
                    .take(taken)
                    .any(|other| other.name == topic.name);
                if repeated
                    || ops.len() + more.len() > limits::TXN_OPS / 2
                    || bytes(&ops) > limits::TXN_BYTES / 2
                {
                    break;
                }
                ops.extend(more);
                taken += 1;
            }
            let (batch, after) = rest.split_at(taken);
            rest = after;
            results.extend(self.create_batch(batch, &ops)?);
        }
        Ok(results)
    }

    /// Creates a batch in one transaction, or, if that was refused, one by one.
    fn create_batch(
        &self,
        batch: &[NewTopic],
        ops: &[Op],
    ) -> Result<Vec<Result<Arc<TopicImage>, CreateError>>, MetadataError> {
        let sound = batch.iter().all(|topic| check_count(topic).is_ok());
        if sound {
            let compares: Vec<Compare> = batch.iter().map(absence).collect();
            if self.commit(&compares, ops)? {
                return Ok(batch.iter().map(|topic| self.created(topic)).collect());
            }
        }
        let one_by_one = batch.iter().map(|topic| {
            if let Err(error) = check_count(topic) {
                return Ok(Err(error));
            }
            if batch.len() > 1 && self.commit(&[absence(topic)], &creation(topic))? {
                return Ok(self.created(topic));
            }
            Ok(Err(CreateError::AlreadyExists(topic.name.clone())))
        });
        one_by_one.collect()
    }

    /// The image of a topic that was just created; if it is gone again already, another of its name was or
    /// will be there.
    fn created(&self, topic: &NewTopic) -> Result<Arc<TopicImage>, CreateError> {
        let image = self.image();
        let found = image.topic_by_id(topic.id).cloned();
        found.ok_or_else(|| CreateError::AlreadyExists(topic.name.clone()))
    }

    /// Deletes a topic with its partitions and configuration; returns what it was.
    ///
    /// # Errors
    /// [`MetadataError::UnknownTopic`], or when the store fails.
    pub fn delete_topic(&self, id: TopicId) -> Result<Arc<TopicImage>, MetadataError> {
        self.retry("topics", || {
            let (topic, held) = self.read_topic(id)?;
            let ops = [
                Op::delete(ResourceKey::Topic(topic.name.to_string()).to_bytes()),
                Op::delete(ResourceKey::TopicConfigs(topic.name.to_string()).to_bytes()),
                Op::DeletePrefix {
                    prefix: chunk_prefix(id),
                },
            ];
            Ok(self.commit(&[held.compare], &ops)?.then_some(topic))
        })
    }

    /// Adds partitions to a topic that has `expected` of them now.
    ///
    /// # Errors
    /// [`MetadataError::UnknownTopic`], [`MetadataError::PartitionsChanged`], or when the store fails.
    pub fn create_partitions(
        &self,
        id: TopicId,
        expected: usize,
        added: &[Vec<NodeId>],
    ) -> Result<Arc<TopicImage>, MetadataError> {
        self.retry("partitions", || {
            let (topic, held) = self.read_topic(id)?;
            let Some(mut record) = held.value else {
                return Ok(None);
            };
            let found = usize::try_from(record.partition_count).unwrap_or(usize::MAX);
            if found != expected {
                let topic = topic.name.to_string();
                return Err(MetadataError::PartitionsChanged {
                    topic,
                    expected,
                    found,
                });
            }
            let mut compares = vec![held.compare];
            let first_chunk = found / CHUNK_PARTITIONS;
            let last: Held<Vec<PartitionResource>> = self.read(&chunk_key(id, first_chunk))?;
            compares.push(last.compare);
            let mut partitions = last.value.unwrap_or_default();
            partitions.extend(
                added
                    .iter()
                    .map(|replicas| PartitionResource::new(replicas.clone())),
            );
            record.partition_count = u32::try_from(found + added.len()).unwrap_or(u32::MAX);
            let mut ops = chunks(id, first_chunk, &partitions);
            let key = ResourceKey::Topic(topic.name.to_string()).to_bytes();
            ops.push(Op::put(key, record.encode()));
            if !self.commit(&compares, &ops)? {
                return Ok(None);
            }
            Ok(self.image().topic_by_id(id).cloned())
        })
    }

    /// Changes single partitions: a new leader, another set in sync. `change` gets each partition as it is and
    /// returns what it becomes; its partition epoch grows by itself.
    ///
    /// # Errors
    /// [`MetadataError::UnknownTopic`], also when the topic has no such partition, or when the store fails.
    pub fn update_partitions(
        &self,
        id: TopicId,
        partitions: &[PartitionIndex],
        change: impl Fn(PartitionIndex, &PartitionResource) -> PartitionResource,
    ) -> Result<Arc<TopicImage>, MetadataError> {
        let mut by_chunk = std::collections::BTreeMap::<usize, Vec<usize>>::new();
        for index in partitions {
            let index = usize::try_from(index.0).unwrap_or(usize::MAX);
            by_chunk
                .entry(index / CHUNK_PARTITIONS)
                .or_default()
                .push(index);
        }
        self.retry("partitions", || {
            let (topic, held) = self.read_topic(id)?;
            let mut compares = vec![held.compare];
            let mut ops = Vec::new();
            for (chunk, indexes) in &by_chunk {
                let held: Held<Vec<PartitionResource>> = self.read(&chunk_key(id, *chunk))?;
                compares.push(held.compare);
                let mut current = held.value.unwrap_or_default();
                for index in indexes {
                    let unknown = || MetadataError::UnknownTopic(format!("{}-{index}", topic.name));
                    let partition = current
                        .get_mut(index % CHUNK_PARTITIONS)
                        .ok_or_else(unknown)?;
                    let number = PartitionIndex(i32::try_from(*index).unwrap_or(i32::MAX));
                    let mut changed = change(number, partition);
                    changed.partition_epoch = partition.partition_epoch.saturating_add(1);
                    *partition = changed;
                }
                ops.push(Op::put(chunk_key(id, *chunk), current.encode()));
            }
            if !self.commit(&compares, &ops)? {
                return Ok(None);
            }
            Ok(self.image().topic_by_id(id).cloned())
        })
    }

    /// Changes what is set on a resource. `change` gets what is set now and returns what is to be set; it may
    /// be called again when others change the same resource. Returns what was set, or `change`'s refusal.
    ///
    /// # Errors
    /// [`MetadataError::UnknownTopic`] for a topic that does not exist, or when the store fails.
    pub fn alter_configs<E>(
        &self,
        resource: &ConfigResource,
        change: impl Fn(&Configs) -> Result<Configs, E>,
    ) -> Result<Result<Configs, E>, MetadataError> {
        let key = resource.key();
        self.retry("configs", || {
            let mut compares = Vec::new();
            if let ConfigResource::Topic(name) = resource {
                let held: Held<TopicResource> =
                    self.read(&ResourceKey::Topic(name.clone()).to_bytes())?;
                if held.value.is_none() {
                    return Err(MetadataError::UnknownTopic(name.clone()));
                }
                compares.push(held.compare);
            }
            let held: Held<Configs> = self.read(&key)?;
            let was_set = held.value.is_some();
            let changed = match change(&held.value.unwrap_or_default()) {
                Ok(changed) => changed,
                Err(refusal) => return Ok(Some(Err(refusal))),
            };
            if changed.is_empty() && !was_set {
                return Ok(Some(Ok(changed)));
            }
            compares.push(held.compare);
            let op = if changed.is_empty() {
                Op::delete(key.clone())
            } else {
                Op::put(key.clone(), changed.encode())
            };
            Ok(self.commit(&compares, &[op])?.then_some(Ok(changed)))
        })
    }

    /// Hands out `count` producer ids that nobody was given before.
    ///
    /// # Errors
    /// [`MetadataError::NoProducerIds`], or when the store fails.
    pub fn allocate_producer_ids(&self, count: u32) -> Result<Range<i64>, MetadataError> {
        let key = ResourceKey::ProducerIds.to_bytes();
        self.retry("producer-ids", || {
            let held: Held<ProducerIdsResource> = self.read(&key)?;
            let first = held.value.unwrap_or_default().next;
            let next = first
                .checked_add(i64::from(count))
                .ok_or(MetadataError::NoProducerIds)?;
            let op = Op::put(key.clone(), ProducerIdsResource { next }.encode());
            Ok(self.commit(&[held.compare], &[op])?.then_some(first..next))
        })
    }

    /// Changes the finalized feature levels; the epoch grows by itself.
    ///
    /// # Errors
    /// When the store fails.
    pub fn update_features(
        &self,
        change: impl Fn(&FeaturesResource) -> FeaturesResource,
    ) -> Result<FeaturesResource, MetadataError> {
        let key = ResourceKey::Features.to_bytes();
        self.retry("features", || {
            let held: Held<FeaturesResource> = self.read(&key)?;
            let before = held.value.unwrap_or_default();
            let mut after = change(&before);
            after.epoch = before.epoch.saturating_add(1);
            let op = Op::put(key.clone(), after.encode());
            Ok(self.commit(&[held.compare], &[op])?.then_some(after))
        })
    }

    /// Calls `attempt` until it gives an answer; none means that others were faster.
    fn retry<T>(
        &self,
        what: &str,
        mut attempt: impl FnMut() -> Result<Option<T>, MetadataError>,
    ) -> Result<T, MetadataError> {
        for _ in 0..ATTEMPTS {
            if let Some(done) = attempt()? {
                return Ok(done);
            }
        }
        Err(MetadataError::Contended(what.to_owned()))
    }

    /// A key as the store has it now, with the condition that it stays so.
    fn read<T: Resource>(&self, key: &[u8]) -> Result<Held<T>, MetadataError> {
        let found = self.store.get(key)?;
        let revision = found.as_ref().map_or(Revision::ZERO, |kv| kv.mod_revision);
        let value = found.map(|kv| decode(&kv)).transpose()?;
        Ok(Held {
            compare: Compare::unchanged_since(key, revision),
            value,
        })
    }

    /// A topic with its record.
    fn read_topic(
        &self,
        id: TopicId,
    ) -> Result<(Arc<TopicImage>, Held<TopicResource>), MetadataError> {
        let unknown = || MetadataError::UnknownTopic(id.to_string());
        let topic = self.image().topic_by_id(id).cloned().ok_or_else(unknown)?;
        let held: Held<TopicResource> =
            self.read(&ResourceKey::Topic(topic.name.to_string()).to_bytes())?;
        match &held.value {
            Some(record) if record.id == id => Ok((topic, held)),
            _ => Err(unknown()),
        }
    }

    /// Makes a transaction that changes something of ours and waits until the image shows it; false when a
    /// condition did not hold.
    fn commit(&self, compares: &[Compare], ops: &[Op]) -> Result<bool, MetadataError> {
        let outcome = self.store.txn(compares, ops)?;
        if !outcome.succeeded {
            // What made it fail may be on its way; the next attempt reads the store itself.
            self.take_changes(&mut self.lock_follower(), Duration::ZERO)?;
            return Ok(false);
        }
        let deadline = Instant::now() + CATCH_UP;
        while self.image().revision() < outcome.revision {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(MetadataError::Lagging {
                    revision: outcome.revision,
                });
            }
            let mut follower = self.lock_follower();
            if self.image().revision() < outcome.revision {
                self.take_changes(&mut follower, left)?;
            }
        }
        Ok(true)
    }

    fn lock_follower(&self) -> MutexGuard<'_, Follower> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for changes and applies them to the image.
    fn take_changes(
        &self,
        follower: &mut Follower,
        timeout: Duration,
    ) -> Result<(), MetadataError> {
        let events = match follower.0.recv(timeout) {
            Ok(events) => events,
            Err(MetaStoreError::Compacted { .. }) => {
                let (image, watch) = read_all(&*self.store)?;
                follower.0 = watch;
                *self.image.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(image);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let mut image = self.image.write().unwrap_or_else(PoisonError::into_inner);
        let changed = Arc::make_mut(&mut image);
        for event in events {
            let value = match &event.kind {
                EventKind::Put(kv) => Some(kv.value.as_slice()),
                EventKind::Delete => None,
            };
            changed.apply(&event.key, value)?;
            changed.set_revision(event.revision);
        }
        Ok(())
    }
}

fn read_all(store: &dyn MetaStore) -> Result<(MetadataImage, Box<dyn Watch>), MetadataError> {
    let range = store.range(ROOT.as_bytes())?;
    let watch = store.watch(ROOT.as_bytes(), range.revision.next())?;
    let mut image = MetadataImage::default();
    for kv in &range.entries {
        image.apply(&kv.key, Some(&kv.value))?;
    }
    image.set_revision(range.revision);
    Ok((image, watch))
}

fn decode<T: Resource>(kv: &KeyValue) -> Result<T, MetadataError> {
    T::decode(&kv.value).map_err(|source| MetadataError::Decode {
        key: String::from_utf8_lossy(&kv.key).into_owned(),
        source,
    })
}

fn chunk_key(id: TopicId, chunk: usize) -> Vec<u8> {
    ResourceKey::Partitions(id, u32::try_from(chunk).unwrap_or(u32::MAX)).to_bytes()
}

fn chunk_prefix(id: TopicId) -> Vec<u8> {
    format!("{ROOT}partitions/{id}/").into_bytes()
}

/// Writes `partitions` as chunks, the first of them as chunk `first`.
fn chunks(id: TopicId, first: usize, partitions: &[PartitionResource]) -> Vec<Op> {
    let numbered = partitions.chunks(CHUNK_PARTITIONS).zip(first..);
    numbered
        .map(|(chunk, number)| Op::put(chunk_key(id, number), chunk.to_vec().encode()))
        .collect()
}

fn absence(topic: &NewTopic) -> Compare {
    Compare::absent(ResourceKey::Topic(topic.name.clone()).to_bytes())
}

fn check_count(topic: &NewTopic) -> Result<(), CreateError> {
    let partitions = topic.assignments.len();
    if (1..=most_partitions()).contains(&partitions) {
        return Ok(());
    }
    Err(CreateError::PartitionCount {
        topic: topic.name.clone(),
        partitions,
    })
}

fn creation(topic: &NewTopic) -> Vec<Op> {
    let partitions: Vec<PartitionResource> = topic
        .assignments
        .iter()
        .map(|replicas| PartitionResource::new(replicas.clone()))
        .collect();
    let mut ops = chunks(topic.id, 0, &partitions);
    let record = TopicResource {
        id: topic.id,
        partition_count: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
        created_ms: topic.created_ms,
    };
    ops.push(Op::put(
        ResourceKey::Topic(topic.name.clone()).to_bytes(),
        record.encode(),
    ));
    let configs = ResourceKey::TopicConfigs(topic.name.clone()).to_bytes();
    if !topic.configs.is_empty() {
        ops.push(Op::put(configs, topic.configs.encode()));
    }
    ops
}

fn bytes(ops: &[Op]) -> usize {
    let size = |op: &Op| match op {
        Op::Put { key, value, .. } => key.len() + value.len(),
        Op::Delete { key } => key.len(),
        Op::DeletePrefix { prefix } => prefix.len(),
    };
    ops.iter().map(size).sum()
}

mod quotas;
#[cfg(test)]
mod tests;

pub use quotas::QuotaChange;
