//! A topic's configuration as a plain struct, resolved once and read by hot code.

use base::config::{ConfigError, ConfigKey, ConfigValue};

use super::layers::BrokerConfigs;
use super::schema_validation::SchemaValidation;
use super::{Overrides, TOPIC};

/// How a topic's batches are stored (`compression.type` and its levels).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionSetting {
    /// As the producer sent them.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// gzip with this level; -1 is the library's own choice.
    Gzip(i32),
    /// Snappy.
    Snappy,
    /// LZ4 with this level.
    Lz4(i32),
    /// Zstandard with this level.
    Zstd(i32),
}

/// Which clock a record's timestamp comes from (`message.timestamp.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, when it appends.
    LogAppendTime,
}

/// When an append is forced to the disk (`flush.policy`, Affluent's own).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushPolicy {
    /// Before it is acknowledged.
    Ack,
    /// After `flush.messages` records or `flush.ms`, whichever comes first.
    Interval,
    /// When the operating system sees fit.
    Os,
}

/// What concerns tiered storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteSettings {
    /// `remote.storage.enable`.
    pub enabled: bool,
    /// `local.retention.ms`; -2 follows `retention_ms`.
    pub local_retention_ms: i64,
    /// `local.retention.bytes`; -2 follows `retention_bytes`.
    pub local_retention_bytes: i64,
    /// `remote.log.copy.disable`.
    pub copy_disabled: bool,
    /// `remote.log.delete.on.disable`.
    pub delete_on_disable: bool,
    /// `remote.copy.lag.ms`; -1 follows the local retention.
    pub copy_lag_ms: i64,
    /// `remote.copy.lag.bytes`; -1 follows the local retention.
    pub copy_lag_bytes: i64,
}

/// A topic's effective configuration. Sizes are bytes, times milliseconds, named as the keys they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicSettings {
    /// `cleanup.policy` contains `delete`.
    pub cleanup_delete: bool,
    /// `cleanup.policy` contains `compact`.
    pub cleanup_compact: bool,
    /// `compression.type` with its level.
    pub compression: CompressionSetting,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `errors.deadletterqueue.group.enable`.
    pub dead_letter_queue_enabled: bool,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: i64,
    /// `flush.policy`.
    pub flush_policy: FlushPolicy,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `max.message.bytes`.
    pub max_message_bytes: i32,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `preallocate`.
    pub preallocate: bool,
    /// `retention.bytes`; negative for no limit.
    pub retention_bytes: i64,
    /// `retention.ms`; -1 for no limit.
    pub retention_ms: i64,
    /// `segment.bytes`, or `internal.segment.bytes` when that is set.
    pub segment_bytes: i32,
    /// `segment.index.bytes`.
    pub segment_index_bytes: i32,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election_enabled: bool,
    /// Tiered storage.
    pub remote: RemoteSettings,
    /// `confluent.key.schema.validation`, `confluent.value.schema.validation` and the keys beside them.
    pub schema_validation: Option<SchemaValidation>,
}

/// The effective value of one key of a topic: its override, else the first server key that has a value, else
/// its default; none when that is null.
pub(super) fn topic_value(
    broker: &BrokerConfigs,
    overrides: &Overrides,
    key: &ConfigKey,
) -> Option<ConfigValue> {
    if let Some(value) = overrides
        .get(key.name)
        .and_then(|text| key.parse(text).ok())
    {
        return Some(value);
    }
    for synonym in key.synonyms {
        match broker.value(synonym.name) {
            Some(ConfigValue::Integer(number)) => {
                let number = number.saturating_mul(synonym.unit.factor());
                // Any negative retention is "no limit" (`logRetentionTimeMillis`).
                let number = if key.name == "retention.ms" {
                    number.max(-1)
                } else {
                    number
                };
                return Some(ConfigValue::Integer(number));
            }
            Some(value) => return Some(value),
            None => {}
        }
    }
    key.default_value().ok().flatten()
}

/// Reads typed values for one topic; each key is declared, so a missing one is a mistake in the table.
struct Reader<'a> {
    broker: &'a BrokerConfigs,
    overrides: &'a Overrides,
}

impl Reader<'_> {
    fn value(&self, name: &str) -> Result<ConfigValue, ConfigError> {
        self.optional(name)?.ok_or_else(|| ConfigError::Missing {
            name: name.to_owned(),
        })
    }

    fn optional(&self, name: &str) -> Result<Option<ConfigValue>, ConfigError> {
        let key = TOPIC.get(name).ok_or_else(|| ConfigError::Missing {
            name: name.to_owned(),
        })?;
        if let Some(text) = self.overrides.get(name) {
            return key.parse(text).map(Some);
        }
        Ok(topic_value(self.broker, self.overrides, key))
    }

    fn long(&self, name: &str) -> Result<i64, ConfigError> {
        match self.value(name)? {
            ConfigValue::Integer(value) => Ok(value),
            other => Err(ConfigError::invalid(
                name,
                other,
                "Not a number of type LONG",
            )),
        }
    }

    fn int(&self, name: &str) -> Result<i32, ConfigError> {
        let value = self.long(name)?;
        i32::try_from(value)
            .map_err(|_| ConfigError::invalid(name, value, "Not a number of type INT"))
    }

    fn boolean(&self, name: &str) -> Result<bool, ConfigError> {
        Ok(self.value(name)? == ConfigValue::Boolean(true))
    }

    fn double(&self, name: &str) -> Result<f64, ConfigError> {
        match self.value(name)? {
            ConfigValue::Double(value) => Ok(value),
            other => Err(ConfigError::invalid(
                name,
                other,
                "Not a number of type DOUBLE",
            )),
        }
    }

    fn compression(&self) -> Result<CompressionSetting, ConfigError> {
        Ok(match self.value("compression.type")?.to_string().as_str() {
            "uncompressed" => CompressionSetting::Uncompressed,
            "gzip" => CompressionSetting::Gzip(self.int("compression.gzip.level")?),
            "snappy" => CompressionSetting::Snappy,
            "lz4" => CompressionSetting::Lz4(self.int("compression.lz4.level")?),
            "zstd" => CompressionSetting::Zstd(self.int("compression.zstd.level")?),
            _ => CompressionSetting::Producer,
        })
    }

    fn schema_validation(&self) -> Result<Option<SchemaValidation>, ConfigError> {
        let strategy = |asked: &str, strategy: &str| match self.boolean(asked)? {
            true => Ok(Some(self.value(strategy)?.to_string())),
            false => Ok(None),
        };
        let asked = SchemaValidation {
            key_strategy: strategy(
                "confluent.key.schema.validation",
                "confluent.key.subject.name.strategy",
            )?,
            value_strategy: strategy(
                "confluent.value.schema.validation",
                "confluent.value.subject.name.strategy",
            )?,
            rules: self.boolean("schema.rules.validation")?,
        };
        let is_asked = asked.key_strategy.is_some() || asked.value_strategy.is_some();
        Ok(is_asked.then_some(asked))
    }

    fn remote(&self) -> Result<RemoteSettings, ConfigError> {
        Ok(RemoteSettings {
            enabled: self.boolean("remote.storage.enable")?,
            local_retention_ms: self.long("local.retention.ms")?,
            local_retention_bytes: self.long("local.retention.bytes")?,
            copy_disabled: self.boolean("remote.log.copy.disable")?,
            delete_on_disable: self.boolean("remote.log.delete.on.disable")?,
            copy_lag_ms: self.long("remote.copy.lag.ms")?,
            copy_lag_bytes: self.long("remote.copy.lag.bytes")?,
        })
    }
}

impl TopicSettings {
    /// Resolves a topic's overrides over its broker's configuration.
    ///
    /// # Errors
    /// The first override that does not parse or breaks its rule. What [`super::alter`] accepted never fails.
    pub fn resolve(
        broker: &BrokerConfigs,
        overrides: &Overrides,
    ) -> Result<TopicSettings, ConfigError> {
        let read = Reader { broker, overrides };
        let policies = match read.value("cleanup.policy")? {
            ConfigValue::List(policies) => policies,
            _ => Vec::new(),
        };
        let segment_bytes = match read.optional("internal.segment.bytes")? {
            Some(_) => read.int("internal.segment.bytes")?,
            None => read.int("segment.bytes")?,
        };
        Ok(TopicSettings {
            cleanup_delete: policies.iter().any(|policy| policy == "delete"),
            cleanup_compact: policies.iter().any(|policy| policy == "compact"),
            compression: read.compression()?,
            delete_retention_ms: read.long("delete.retention.ms")?,
            dead_letter_queue_enabled: read.boolean("errors.deadletterqueue.group.enable")?,
            file_delete_delay_ms: read.long("file.delete.delay.ms")?,
            flush_messages: read.long("flush.messages")?,
            flush_ms: read.long("flush.ms")?,
            flush_policy: match read.value("flush.policy")?.to_string().as_str() {
                "interval" => FlushPolicy::Interval,
                "os" => FlushPolicy::Os,
                _ => FlushPolicy::Ack,
            },
            index_interval_bytes: read.int("index.interval.bytes")?,
            max_compaction_lag_ms: read.long("max.compaction.lag.ms")?,
            max_message_bytes: read.int("max.message.bytes")?,
            timestamp_after_max_ms: read.long("message.timestamp.after.max.ms")?,
            timestamp_before_max_ms: read.long("message.timestamp.before.max.ms")?,
            timestamp_type: match read.value("message.timestamp.type")?.to_string().as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            min_cleanable_dirty_ratio: read.double("min.cleanable.dirty.ratio")?,
            min_compaction_lag_ms: read.long("min.compaction.lag.ms")?,
            min_insync_replicas: read.int("min.insync.replicas")?,
            preallocate: read.boolean("preallocate")?,
            retention_bytes: read.long("retention.bytes")?,
            retention_ms: read.long("retention.ms")?,
            segment_bytes,
            segment_index_bytes: read.int("segment.index.bytes")?,
            segment_jitter_ms: read.long("segment.jitter.ms")?,
            segment_ms: read.long("segment.ms")?,
            unclean_leader_election_enabled: read.boolean("unclean.leader.election.enable")?,
            remote: read.remote()?,
            schema_validation: read.schema_validation()?,
        })
    }
}
