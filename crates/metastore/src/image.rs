//! Everything the metadata says, in memory.
//!
//! An image is built by applying keys one by one, whatever they come from: a full read, the broker's own
//! transaction, a watch. A topic shows once both its record and all chunks of its partitions are there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{NodeId, TopicId};

use crate::metadata::MetadataError;
use crate::quota::{QuotaEntity, QuotaValues};
use crate::resource::{
    ClusterResource, Configs, DecodeError, FeaturesResource, PartitionResource,
    ProducerIdsResource, Resource, ResourceKey, TopicResource,
};
use crate::store::Revision;

/// A topic with its partitions and configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: Arc<str>,
    /// Its identity.
    pub id: TopicId,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Its partitions; the position is the index.
    pub partitions: Vec<PartitionResource>,
    /// What was set on it.
    pub configs: Arc<Configs>,
}

/// The metadata at one revision. Topics are shared between images, so a copy is cheap.
#[derive(Debug, Clone, Default)]
pub struct MetadataImage {
    revision: Revision,
    cluster_id: Option<String>,
    topics: BTreeMap<Arc<str>, Arc<TopicImage>>,
    names: HashMap<TopicId, Arc<str>>,
    broker_configs: BTreeMap<NodeId, Configs>,
    broker_default_configs: Configs,
    group_configs: BTreeMap<String, Configs>,
    client_metrics: BTreeMap<String, Configs>,
    quotas: Arc<BTreeMap<QuotaEntity, QuotaValues>>,
    features: FeaturesResource,
    next_producer_id: i64,
    // What a topic is put together from.
    records: BTreeMap<Arc<str>, TopicResource>,
    topic_configs: BTreeMap<Arc<str>, Arc<Configs>>,
    chunks: BTreeMap<(TopicId, u32), Arc<Vec<PartitionResource>>>,
}

impl MetadataImage {
    /// The revision it shows.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The cluster's id; none before it was formatted.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// All topics in the order of their names.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<TopicImage>> {
        self.topics.values()
    }

    /// The topic of this name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    /// The topic of this id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.names.get(&id)?)
    }

    /// The number of partitions of all topics.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.topics
            .values()
            .map(|topic| topic.partitions.len())
            .sum()
    }

    /// What was set on one broker.
    #[must_use]
    pub fn broker_configs(&self, node: NodeId) -> Configs {
        self.broker_configs.get(&node).cloned().unwrap_or_default()
    }

    /// What was set for all brokers.
    #[must_use]
    pub fn broker_default_configs(&self) -> &Configs {
        &self.broker_default_configs
    }

    /// The groups something was set on, with what.
    #[must_use]
    pub fn group_configs(&self) -> &BTreeMap<String, Configs> {
        &self.group_configs
    }

    /// The client metrics subscriptions.
    #[must_use]
    pub fn client_metrics(&self) -> &BTreeMap<String, Configs> {
        &self.client_metrics
    }

    /// The client quotas.
    #[must_use]
    pub fn client_quotas(&self) -> &Arc<BTreeMap<QuotaEntity, QuotaValues>> {
        &self.quotas
    }

    /// The finalized feature levels.
    #[must_use]
    pub fn features(&self) -> &FeaturesResource {
        &self.features
    }

    /// The next producer id nobody was given.
    #[must_use]
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    pub(crate) fn set_revision(&mut self, revision: Revision) {
        self.revision = self.revision.max(revision);
    }

    /// Applies one key: what it is now, or none when it is gone.
    ///
    /// A key this version does not know is passed over: a later version that put it there made sure that
    /// this one may.
    pub(crate) fn apply(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), MetadataError> {
        let Some(parsed) = ResourceKey::parse(key) else {
            return Ok(());
        };
        self.apply_resource(parsed, value)
            .map_err(|source| MetadataError::Decode {
                key: String::from_utf8_lossy(key).into_owned(),
                source,
            })
    }

    fn apply_resource(
        &mut self,
        key: ResourceKey,
        value: Option<&[u8]>,
    ) -> Result<(), DecodeError> {
        let configs = |value: Option<&[u8]>| value.map(Configs::decode).transpose();
        match key {
            ResourceKey::Cluster => {
                let cluster = value.map(ClusterResource::decode).transpose()?;
                self.cluster_id = cluster.map(|cluster| cluster.cluster_id);
            }
            ResourceKey::Features => {
                self.features = value
                    .map(FeaturesResource::decode)
                    .transpose()?
                    .unwrap_or_default();
            }
            ResourceKey::ProducerIds => {
                let ids = value.map(ProducerIdsResource::decode).transpose()?;
                self.next_producer_id = ids.unwrap_or_default().next;
            }
            ResourceKey::Topic(name) => {
                let record = value.map(TopicResource::decode).transpose()?;
                self.apply_topic(Arc::from(name), record);
            }
            ResourceKey::Partitions(id, chunk) => {
                match value.map(Vec::decode).transpose()? {
                    Some(partitions) => drop(self.chunks.insert((id, chunk), Arc::new(partitions))),
                    None => drop(self.chunks.remove(&(id, chunk))),
                }
                if let Some(name) = self.names.get(&id).cloned() {
                    self.rebuild(&name);
                }
            }
            ResourceKey::TopicConfigs(name) => {
                let name: Arc<str> = Arc::from(name);
                match configs(value)? {
                    Some(set) => drop(self.topic_configs.insert(Arc::clone(&name), Arc::new(set))),
                    None => drop(self.topic_configs.remove(&name)),
                }
                self.rebuild(&name);
            }
            ResourceKey::BrokerConfigs(node) => {
                replace(&mut self.broker_configs, node, configs(value)?)
            }
            ResourceKey::BrokerDefaultConfigs => {
                self.broker_default_configs = configs(value)?.unwrap_or_default();
            }
            ResourceKey::GroupConfigs(group) => {
                replace(&mut self.group_configs, group, configs(value)?);
            }
            ResourceKey::ClientMetrics(name) => {
                replace(&mut self.client_metrics, name, configs(value)?);
            }
            ResourceKey::ClientQuotas(entity) => {
                let quotas = value.map(QuotaValues::decode).transpose()?;
                let all = Arc::make_mut(&mut self.quotas);
                match quotas {
                    Some(quotas) => drop(all.insert(entity, quotas)),
                    None => drop(all.remove(&entity)),
                }
            }
        }
        Ok(())
    }

    fn apply_topic(&mut self, name: Arc<str>, record: Option<TopicResource>) {
        if let Some(before) = self.records.remove(&name) {
            self.names.remove(&before.id);
        }
        if let Some(record) = record {
            self.names.insert(record.id, Arc::clone(&name));
            self.records.insert(Arc::clone(&name), record);
        }
        self.rebuild(&name);
    }

    /// Puts a topic together from its record, chunks and configuration.
    fn rebuild(&mut self, name: &Arc<str>) {
        let Some(record) = self.records.get(name) else {
            self.topics.remove(name);
            return;
        };
        let count = usize::try_from(record.partition_count).unwrap_or(usize::MAX);
        let chunks = || self.chunks.range((record.id, 0)..=(record.id, u32::MAX));
        // While a chunk is missing the topic does not show; counting first spares putting it together.
        if chunks().map(|(_, held)| held.len()).sum::<usize>() != count {
            self.topics.remove(name);
            return;
        }
        let partitions = chunks()
            .flat_map(|(_, held)| held.iter().cloned())
            .collect();
        let topic = TopicImage {
            name: Arc::clone(name),
            id: record.id,
            created_ms: record.created_ms,
            partitions,
            configs: self.topic_configs.get(name).cloned().unwrap_or_default(),
        };
        self.topics.insert(Arc::clone(name), Arc::new(topic));
    }
}

fn replace<K: Ord>(map: &mut BTreeMap<K, Configs>, key: K, configs: Option<Configs>) {
    match configs {
        Some(configs) => drop(map.insert(key, configs)),
        None => drop(map.remove(&key)),
    }
}
