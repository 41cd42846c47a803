//! A broker's configuration as a plain struct, for the parts that read it often.

use std::collections::BTreeMap;
use std::time::Duration;

use super::consumer_group_settings::ConsumerGroupSettings;
use super::layers::{BrokerConfigs, parse_connection_overrides};
use super::remote_settings::RemoteLogSettings;
use super::share_settings::ShareSettings;
use super::streams_group_settings::StreamsGroupSettings;

/// The broker keys that have an effect, resolved. Counts and sizes are clamped to what their type can hold;
/// each field names the key it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerSettings {
    /// `auto.create.topics.enable`.
    pub auto_create_topics_enable: bool,
    /// `num.partitions`: of a topic created without a count.
    pub num_partitions: i32,
    /// `default.replication.factor`: of a topic created without a factor.
    pub default_replication_factor: i16,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// `broker.rack`.
    pub broker_rack: Option<String>,
    /// `message.max.bytes`: the default of `max.message.bytes`.
    pub message_max_bytes: i32,

    /// `socket.request.max.bytes`: a larger request closes its connection.
    pub socket_request_max_bytes: usize,
    /// `socket.send.buffer.bytes`; none leaves it to the operating system.
    pub socket_send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; none leaves it to the operating system.
    pub socket_receive_buffer_bytes: Option<usize>,
    /// `socket.listen.backlog.size`.
    pub socket_listen_backlog_size: i32,
    /// `connections.max.idle.ms`; none when idle connections stay.
    pub connections_max_idle: Option<Duration>,
    /// `connection.failed.authentication.delay.ms`.
    pub connection_failed_authentication_delay: Duration,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `max.connections.per.ip.overrides`: host to limit.
    pub max_connections_per_ip_overrides: BTreeMap<String, u32>,
    /// `max.connection.creation.rate`: new connections a second.
    pub max_connection_creation_rate: u32,
    /// `queued.max.requests`.
    pub queued_max_requests: usize,
    /// `queued.max.request.bytes`; none for no limit.
    pub queued_max_request_bytes: Option<usize>,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,

    /// `telemetry.max.bytes`: what one client may push at a time.
    pub telemetry_max_bytes: i32,
    /// `quota.window.num`: samples of a client's rate.
    pub quota_window_num: u32,
    /// `quota.window.size.seconds`: the span of one.
    pub quota_window_size: Duration,
    /// `controller.quota.window.num`: samples of changes of topics.
    pub controller_quota_window_num: u32,
    /// `controller.quota.window.size.seconds`: the span of one.
    pub controller_quota_window_size: Duration,

    /// `fetch.max.bytes`: the most a Fetch response carries.
    pub fetch_max_bytes: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub max_incremental_fetch_session_cache_slots: usize,
    /// `max.request.partition.size.limit`.
    pub max_request_partition_size_limit: usize,

    /// `group.min.session.timeout.ms`.
    pub group_min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub group_max_session_timeout: Duration,
    /// `group.initial.rebalance.delay.ms`.
    pub group_initial_rebalance_delay: Duration,
    /// `group.max.size`.
    pub group_max_size: usize,
    /// The consumer protocol's keys, `group.consumer.*`.
    pub group_consumer: ConsumerGroupSettings,
    /// The keys of share groups.
    pub share: ShareSettings,
    /// The streams protocol's keys, `group.streams.*`.
    pub group_streams: StreamsGroupSettings,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `offsets.commit.timeout.ms`.
    pub offsets_commit_timeout: Duration,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_num_partitions: i32,
    /// `offsets.topic.replication.factor`; the number of brokers caps it.
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: i32,

    /// `log.retention.check.interval.ms`.
    pub log_retention_check_interval: Duration,
    /// `journal.file.bytes`.
    pub journal_file_bytes: u64,
    /// `journal.max.bytes`.
    pub journal_max_bytes: u64,
    /// `journal.checkpoint.bytes`.
    pub journal_checkpoint_bytes: u64,
    /// `journal.checkpoint.interval.ms`.
    pub journal_checkpoint_interval: Duration,
    /// `log.cleaner.enable`.
    pub log_cleaner_enable: bool,
    /// `log.cleaner.threads`.
    pub log_cleaner_threads: usize,
    /// `log.cleaner.backoff.ms`.
    pub log_cleaner_backoff: Duration,
    /// `log.cleaner.dedupe.buffer.size`, bytes over all threads.
    pub log_cleaner_dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.size`, bytes over all threads.
    pub log_cleaner_io_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`.
    pub log_cleaner_io_buffer_load_factor: f64,
    /// `log.cleaner.io.max.bytes.per.second`.
    pub log_cleaner_io_max_bytes_per_second: f64,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration: Duration,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval: Duration,
    /// Transactions.
    pub transactions: TransactionSettings,
    /// Tiered storage.
    pub remote_log: RemoteLogSettings,
}

/// The keys of transactions that have an effect, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionSettings {
    /// `transaction.max.timeout.ms`.
    pub max_timeout: Duration,
    /// `transactional.id.expiration.ms`.
    pub id_expiration: Duration,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub abort_timed_out_interval: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub remove_expired_interval: Duration,
    /// `transaction.state.log.num.partitions`.
    pub state_log_num_partitions: i32,
    /// `transaction.state.log.segment.bytes`.
    pub state_log_segment_bytes: i32,
    /// `transaction.partition.verification.enable`.
    pub partition_verification_enable: bool,
    /// `add.partitions.to.txn.retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `add.partitions.to.txn.retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
}

impl TransactionSettings {
    fn resolve(read: &Reader<'_>) -> TransactionSettings {
        TransactionSettings {
            max_timeout: read.ms("transaction.max.timeout.ms"),
            id_expiration: read.ms("transactional.id.expiration.ms"),
            abort_timed_out_interval: read
                .ms("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
            remove_expired_interval: read
                .ms("transaction.remove.expired.transaction.cleanup.interval.ms"),
            state_log_num_partitions: read.int("transaction.state.log.num.partitions"),
            state_log_segment_bytes: read.int("transaction.state.log.segment.bytes"),
            partition_verification_enable: read
                .0
                .boolean("transaction.partition.verification.enable"),
            retry_backoff: read.ms("add.partitions.to.txn.retry.backoff.ms"),
            retry_backoff_max: read.ms("add.partitions.to.txn.retry.backoff.max.ms"),
        }
    }
}

pub(super) struct Reader<'a>(pub(super) &'a BrokerConfigs);

impl Reader<'_> {
    pub(super) fn long(&self, name: &str) -> i64 {
        self.0.integer(name).unwrap_or_default()
    }

    pub(super) fn int(&self, name: &str) -> i32 {
        let value = self.long(name);
        i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
    }

    pub(super) fn short(&self, name: &str) -> i16 {
        i16::try_from(self.long(name)).unwrap_or(i16::MAX)
    }

    /// A number of things; a negative one counts as none.
    pub(super) fn count(&self, name: &str) -> usize {
        let value = self.long(name).max(0);
        usize::try_from(value).unwrap_or(usize::MAX)
    }

    /// A number of things, at least one.
    fn positive(&self, name: &str) -> u32 {
        u32::try_from(self.long(name).max(1)).unwrap_or(u32::MAX)
    }

    fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(u64::try_from(self.long(name)).unwrap_or(0))
    }

    /// A limit that a value of -1 lifts.
    pub(super) fn limit(&self, name: &str) -> Option<usize> {
        (self.long(name) >= 0).then(|| self.count(name))
    }

    /// A time that a value of -1 lifts.
    fn limit_ms(&self, name: &str) -> Option<Duration> {
        self.limit(name).map(|_| self.ms(name))
    }

    pub(super) fn ms(&self, name: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.long(name)).unwrap_or(0))
    }

    pub(super) fn double(&self, name: &str) -> f64 {
        match self.0.value(name) {
            Some(base::config::ConfigValue::Double(value)) => value,
            _ => f64::MAX,
        }
    }
}

impl BrokerSettings {
    /// Resolves a broker's configuration, whose values were all validated when it was built.
    #[must_use]
    pub fn resolve(configs: &BrokerConfigs) -> BrokerSettings {
        let read = Reader(configs);
        let overrides = configs.text("max.connections.per.ip.overrides");
        let overrides = parse_connection_overrides(&overrides.unwrap_or_default());
        BrokerSettings {
            auto_create_topics_enable: configs.boolean("auto.create.topics.enable"),
            num_partitions: read.int("num.partitions"),
            default_replication_factor: read.short("default.replication.factor"),
            delete_topic_enable: configs.boolean("delete.topic.enable"),
            broker_rack: configs.text("broker.rack"),
            message_max_bytes: read.int("message.max.bytes"),
            socket_request_max_bytes: read.count("socket.request.max.bytes"),
            socket_send_buffer_bytes: read.limit("socket.send.buffer.bytes"),
            socket_receive_buffer_bytes: read.limit("socket.receive.buffer.bytes"),
            socket_listen_backlog_size: read.int("socket.listen.backlog.size"),
            connections_max_idle: read.limit_ms("connections.max.idle.ms"),
            connection_failed_authentication_delay: read
                .ms("connection.failed.authentication.delay.ms"),
            max_connections: read.count("max.connections"),
            max_connections_per_ip: read.count("max.connections.per.ip"),
            max_connections_per_ip_overrides: overrides.unwrap_or_default(),
            max_connection_creation_rate: u32::try_from(read.long("max.connection.creation.rate"))
                .unwrap_or(u32::MAX),
            queued_max_requests: read.count("queued.max.requests"),
            queued_max_request_bytes: read.limit("queued.max.request.bytes"),
            request_timeout: read.ms("request.timeout.ms"),
            telemetry_max_bytes: read.int("telemetry.max.bytes"),
            quota_window_num: read.positive("quota.window.num"),
            quota_window_size: read.seconds("quota.window.size.seconds"),
            controller_quota_window_num: read.positive("controller.quota.window.num"),
            controller_quota_window_size: read.seconds("controller.quota.window.size.seconds"),
            fetch_max_bytes: read.count("fetch.max.bytes"),
            max_incremental_fetch_session_cache_slots: read
                .count("max.incremental.fetch.session.cache.slots"),
            max_request_partition_size_limit: read.count("max.request.partition.size.limit"),
            group_min_session_timeout: read.ms("group.min.session.timeout.ms"),
            group_max_session_timeout: read.ms("group.max.session.timeout.ms"),
            group_initial_rebalance_delay: read.ms("group.initial.rebalance.delay.ms"),
            group_max_size: read.count("group.max.size"),
            group_consumer: ConsumerGroupSettings::resolve(configs),
            share: ShareSettings::resolve(configs),
            group_streams: StreamsGroupSettings::resolve(configs),
            offset_metadata_max_bytes: read.count("offset.metadata.max.bytes"),
            offsets_retention: read.ms("offsets.retention.minutes") * 60_000,
            offsets_retention_check_interval: read.ms("offsets.retention.check.interval.ms"),
            offsets_commit_timeout: read.ms("offsets.commit.timeout.ms"),
            offsets_topic_num_partitions: read.int("offsets.topic.num.partitions"),
            offsets_topic_replication_factor: read.short("offsets.topic.replication.factor"),
            offsets_topic_segment_bytes: read.int("offsets.topic.segment.bytes"),
            log_retention_check_interval: read.ms("log.retention.check.interval.ms"),
            journal_file_bytes: read.count("journal.file.bytes") as u64,
            journal_max_bytes: read.count("journal.max.bytes") as u64,
            journal_checkpoint_bytes: read.count("journal.checkpoint.bytes") as u64,
            journal_checkpoint_interval: read.ms("journal.checkpoint.interval.ms"),
            log_cleaner_enable: configs.boolean("log.cleaner.enable"),
            log_cleaner_threads: read.count("log.cleaner.threads"),
            log_cleaner_backoff: read.ms("log.cleaner.backoff.ms"),
            log_cleaner_dedupe_buffer_bytes: read.count("log.cleaner.dedupe.buffer.size"),
            log_cleaner_io_buffer_bytes: read.count("log.cleaner.io.buffer.size"),
            log_cleaner_io_buffer_load_factor: read.double("log.cleaner.io.buffer.load.factor"),
            log_cleaner_io_max_bytes_per_second: read.double("log.cleaner.io.max.bytes.per.second"),
            producer_id_expiration: read.ms("producer.id.expiration.ms"),
            producer_id_expiration_check_interval: read
                .ms("producer.id.expiration.check.interval.ms"),
            transactions: TransactionSettings::resolve(&read),
            remote_log: RemoteLogSettings::resolve(configs),
        }
    }
}
