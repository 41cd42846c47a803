//! The simulated broker's rim: requests to logs and machines, and the background work of the storage in virtual time.
//!
//! It follows the broker's own rim step by step, without its concurrency: an answer waits for the journal's
//! watermark, a machine's actions are carried out in order, and a transaction's markers are written until every
//! partition has its own.

mod requests;
pub(crate) mod runner;
mod share;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Clock, ErrorChain, LeaderEpoch, PartitionIndex, TopicId, Uuid};
use bytes::Bytes;
use chaos::checker::Recorder;
use coordinator::share_state::{ShareCoordinator, ShareKey, ShareStateConfig};
use coordinator::transaction::{TransactionConfig, TransactionCoordinator, WriteMarkers};
use coordinator::{
    ClusterView, ConsumerGroupConfig, GroupConfig, Response, Shard, ShareGroupConfig,
    ShareSettings, StateMachine, StreamsGroupConfig, StreamsSettings, Token, TopicMetadata,
};
use storage::tier::MemoryTier;
use storage::{
    AppendBatch, AppendError, AppendOrigin, Appended, CleanerConfig, CleanupPolicy, Duty,
    LogConfig, Lsn, PartitionLog, PartitionSpec, RemoteLogConfig, Storage, StorageOptions,
    WhenToWrite,
};
use wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use wire::record_batch::BatchHeader;
use wire::{ErrorCode, Records};

pub use requests::{Fetched, Produce, TxnOffsets};

use crate::core::Core;
use crate::disk::SimDisk;
use crate::plant::Plant;
use crate::remote;
use crate::run::Finding;
use runner::Runner;

/// Topics of the coordinators, with one partition each.
pub const OFFSETS: &str = "__consumer_offsets";
const TRANSACTIONS: &str = "__transaction_state";
const SHARE_STATES: &str = "__share_group_state";
/// The topic that is compacted.
pub const TABLE: &str = "table";
/// The topic whose old segments are in the remote store.
pub const TIERED: &str = "tiered";
/// The topic that is deleted from.
pub const SHORT: &str = "short";
/// A group member that is silent for this long is out.
pub const SESSION_MS: u64 = 6_000;

/// The topics there are. They survive every crash: the real ones are in the metadata store.
#[derive(Debug, Default)]
pub struct Topics(Mutex<(BTreeMap<String, TopicMetadata>, i64)>);

impl Topics {
    /// Makes a topic, or gives it more partitions.
    pub fn set(&self, name: &str, partitions: i32) {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        topics.1 += 1;
        let number = topics.0.len() as u128 + 1;
        let topic = topics.0.entry(name.to_owned());
        let topic = topic.or_insert_with(|| TopicMetadata {
            id: Uuid::from_random(number.to_be_bytes()),
            name: name.into(),
            partitions,
            rack: None,
        });
        topic.partitions = partitions;
    }

    /// Every topic.
    #[must_use]
    pub fn all(&self) -> Vec<TopicMetadata> {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        topics.0.values().cloned().collect()
    }
}

impl ClusterView for Topics {
    fn topic(&self, name: &str) -> Option<TopicMetadata> {
        self.all().into_iter().find(|topic| &*topic.name == name)
    }

    fn topic_by_id(&self, id: Uuid) -> Option<TopicMetadata> {
        self.all().into_iter().find(|topic| topic.id == id)
    }

    fn topic_names(&self) -> Vec<String> {
        self.all()
            .iter()
            .map(|topic| topic.name.to_string())
            .collect()
    }

    fn version(&self) -> i64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

type Later = Box<dyn FnOnce(&mut Broker)>;

/// One life of the broker.
pub struct Broker {
    pub(crate) core: Rc<Core>,
    pub(crate) disk: SimDisk,
    pub(crate) storage: Storage,
    pub(crate) topics: Arc<Topics>,
    pub(crate) groups: Runner<Shard>,
    pub(crate) transactions: Runner<TransactionCoordinator>,
    pub(crate) share_states: Runner<ShareCoordinator>,
    pub(crate) shares: share::Leaders,
    pub(crate) recorder: Recorder,
    /// Passes of the cleaner that did something.
    pub(crate) cleaned: u64,
    /// Segments copied to the remote store.
    pub(crate) copied: u64,
    tier: Arc<MemoryTier>,
    pub(crate) plant: Option<Plant>,
    /// Producer ids that were given out; kept over a crash by the simulation.
    pub(crate) next_producer_id: i64,
    deferred: VecDeque<Later>,
    waits: BTreeMap<(Lsn, u64), Later>,
    next_wait: u64,
    /// Markers to write, and from when on.
    markers: Vec<(u64, WriteMarkers)>,
}

/// What a new life of the broker begins with.
#[derive(Debug)]
pub struct Boot<'a> {
    /// Where the files are.
    pub data_dir: &'a Path,
    /// The disk under them.
    pub disk: SimDisk,
    /// The topics.
    pub topics: Arc<Topics>,
    /// The history, for what only a leader can tell.
    pub recorder: Recorder,
    /// The fault that is planted.
    pub plant: Option<Plant>,
    /// The remote store.
    pub tier: Arc<MemoryTier>,
    /// As of the life before.
    pub next_producer_id: i64,
    /// Whether there was a life before.
    pub is_restart: bool,
}

fn spec(topic: &TopicMetadata, partition: i32) -> PartitionSpec {
    PartitionSpec {
        topic: topic.name.to_string(),
        topic_id: TopicId(topic.id),
        partition: PartitionIndex(partition),
        config: config_of(&topic.name),
    }
}

fn config_of(topic: &str) -> LogConfig {
    let config = LogConfig {
        segment_bytes: 32 << 10,
        index_interval_bytes: 1 << 10,
        ..LogConfig::default()
    };
    match topic {
        TABLE => LogConfig {
            segment_bytes: 8 << 10,
            file_delete_delay_ms: 0,
            min_cleanable_dirty_ratio: 0.1,
            cleanup_policy: CleanupPolicy {
                delete: false,
                compact: true,
            },
            ..config
        },
        SHORT => LogConfig {
            segment_bytes: 8 << 10,
            file_delete_delay_ms: 0,
            retention_bytes: 60 << 10,
            ..config
        },
        TIERED => LogConfig {
            segment_bytes: 8 << 10,
            file_delete_delay_ms: 0,
            retention_bytes: 120 << 10,
            remote: RemoteLogConfig {
                enabled: true,
                local_retention_bytes: 20 << 10,
                copy_lag_ms: 0,
                copy_lag_bytes: 0,
                ..config.remote
            },
            ..config
        },
        SHARE_STATES => LogConfig {
            segment_bytes: 16 << 10,
            file_delete_delay_ms: 0,
            ..config
        },
        _ => config,
    }
}

fn options(boot: &Boot<'_>) -> StorageOptions {
    StorageOptions {
        journal_first_file_bytes: 64 << 10,
        journal_file_bytes: 128 << 10,
        journal_max_bytes: 1 << 20,
        headroom_bytes: 0,
        cleaner: CleanerConfig {
            enable: false,
            ..CleanerConfig::default()
        },
        fault_hook: Some(Arc::new(boot.disk.clone())),
        tier: Some(remote::options(&boot.tier, &boot.disk, boot.plant)),
        driven: true,
        ..StorageOptions::new(boot.data_dir)
    }
}

fn new_shard(core: &Rc<Core>, topics: &Arc<Topics>) -> Shard {
    let mut next = u128::from_be_bytes(core.bytes());
    let ids = move || {
        next = next.wrapping_add(1);
        next.to_be_bytes()
    };
    let config = GroupConfig {
        min_session_timeout: Duration::from_millis(1_000),
        initial_rebalance_delay: Duration::from_millis(200),
        consumer: ConsumerGroupConfig {
            session_timeout: Duration::from_millis(SESSION_MS),
            heartbeat_interval: Duration::from_millis(500),
            ..ConsumerGroupConfig::default()
        },
        share: ShareGroupConfig {
            initialize_retry_interval: Duration::from_secs(2),
            settings: ShareSettings {
                session_timeout: Duration::from_millis(SESSION_MS),
                heartbeat_interval: Duration::from_millis(500),
                assignment_interval: Duration::from_millis(300),
            },
            ..ShareGroupConfig::default()
        },
        streams: StreamsGroupConfig {
            settings: StreamsSettings {
                session_timeout: Duration::from_millis(SESSION_MS),
                heartbeat_interval: Duration::from_millis(500),
                assignment_interval: Duration::from_millis(300),
                initial_rebalance_delay: Duration::from_millis(200),
                ..StreamsGroupConfig::default().settings
            },
            ..StreamsGroupConfig::default()
        },
        ..GroupConfig::default()
    };
    let clock: Arc<dyn Clock> = Arc::clone(&core.clock) as Arc<dyn Clock>;
    Shard::new(config, clock, Box::new(ids))
        .with_cluster(Arc::clone(topics) as Arc<dyn ClusterView>)
}

fn new_transactions(core: &Rc<Core>) -> TransactionCoordinator {
    let config = TransactionConfig {
        abort_timed_out_interval: Duration::from_millis(1_000),
        ..TransactionConfig::default()
    };
    TransactionCoordinator::new(config, Arc::clone(&core.clock) as Arc<dyn Clock>)
}

fn new_share_states(core: &Rc<Core>, topics: &Arc<Topics>) -> ShareCoordinator {
    let config = ShareStateConfig {
        updates_per_snapshot: 20,
        prune_interval: Duration::from_secs(2),
        cold_snapshot_interval: Duration::from_secs(3),
    };
    let clock: Arc<dyn Clock> = Arc::clone(&core.clock) as Arc<dyn Clock>;
    ShareCoordinator::new(config, clock, Arc::clone(topics) as Arc<dyn ClusterView>)
}

impl Broker {
    /// Opens the files and loads the coordinators, as the real broker does when it starts.
    ///
    /// # Errors
    /// When recovery refuses the files or takes a partition offline: no crash of this disk may bring it to that.
    pub fn start(core: &Rc<Core>, boot: Boot<'_>) -> Result<Broker, Finding> {
        let all = boot.topics.all();
        let specs = all
            .iter()
            .flat_map(|topic| (0..topic.partitions).map(|index| spec(topic, index)))
            .collect();
        let clock: Arc<dyn Clock> = Arc::clone(&core.clock) as Arc<dyn Clock>;
        let (storage, report) = Storage::open(options(&boot), clock, specs)
            .map_err(|error| Finding::new("recovery-failed", ErrorChain(&error).to_string()))?;
        if let Some(one) = report.offline.first() {
            let dir = boot.data_dir.join("logs");
            let dir = dir.join(format!("{}-{}", one.topic, one.partition));
            let files = listing(&dir);
            let detail = format!("{}-{}: {}; {files}", one.topic, one.partition, one.reason);
            return Err(Finding::new("partition-offline", detail));
        }
        let log_of = |name: &str| {
            let topic = boot
                .topics
                .topic(name)
                .expect("the coordinators' topics exist");
            let log = storage.partition(TopicId(topic.id), PartitionIndex(0));
            log.expect("every partition was opened")
        };
        let is_forgetful = boot.plant == Some(Plant::OffsetsRolledBack) && boot.is_restart;
        let skip_last = usize::from(is_forgetful);
        let (offsets, states) = (log_of(OFFSETS), log_of(TRANSACTIONS));
        let share_states = new_share_states(core, &boot.topics);
        let shard = new_shard(core, &boot.topics);
        let mut broker = Broker {
            core: Rc::clone(core),
            disk: boot.disk,
            groups: Runner::load(shard, offsets, skip_last),
            transactions: Runner::load(new_transactions(core), states, 0),
            share_states: Runner::load(share_states, log_of(SHARE_STATES), 0),
            shares: share::Leaders::new(),
            recorder: boot.recorder,
            cleaned: 0,
            copied: 0,
            tier: boot.tier,
            storage,
            topics: boot.topics,
            plant: boot.plant,
            next_producer_id: boot.next_producer_id,
            deferred: VecDeque::new(),
            waits: BTreeMap::new(),
            next_wait: 0,
            markers: Vec::new(),
        };
        core.trace(format_args!(
            "start frames={} replayed={} cut={} torn={} dropped={}",
            report.journal_frames,
            report.replayed_batches,
            report.cut_bytes,
            report.journal_torn,
            report.dropped_frames
        ));
        let actions = broker.groups.machine.loaded();
        broker.perform::<Shard>(actions);
        let actions = StateMachine::loaded(&mut broker.transactions.machine);
        broker.perform::<TransactionCoordinator>(actions);
        let actions = StateMachine::loaded(&mut broker.share_states.machine);
        broker.perform::<ShareCoordinator>(actions);
        broker.pump();
        Ok(broker)
    }

    /// The log of a partition.
    #[must_use]
    pub fn log(&self, topic: &str, partition: i32) -> Option<Arc<PartitionLog>> {
        let topic = self.topics.topic(topic)?;
        self.storage
            .partition(TopicId(topic.id), PartitionIndex(partition))
    }

    /// Gives a topic one more partition.
    pub fn grow(&mut self, name: &str) {
        let Some(topic) = self.topics.topic(name) else {
            return;
        };
        self.topics.set(name, topic.partitions + 1);
        // The partition appears at the next start, if not now.
        if self
            .storage
            .create_partition(spec(&topic, topic.partitions))
            .is_ok()
        {
            self.groups
                .machine
                .topics_changed(&[name.to_owned()], false);
        }
    }

    pub(crate) fn defer(&mut self, later: impl FnOnce(&mut Broker) + 'static) {
        self.deferred.push_back(Box::new(later));
    }

    /// Runs something once a frame is durable.
    pub(crate) fn when_durable(&mut self, lsn: Lsn, then: impl FnOnce(&mut Broker) + 'static) {
        if self.storage.is_durable(lsn) {
            self.defer(then);
            return;
        }
        self.next_wait += 1;
        self.waits.insert((lsn, self.next_wait), Box::new(then));
    }

    /// Carries on with whatever can be carried on with.
    pub fn pump(&mut self) {
        loop {
            self.settle::<Shard>();
            self.settle::<TransactionCoordinator>();
            self.settle::<ShareCoordinator>();
            while let Some(((lsn, _), _)) = self.waits.first_key_value() {
                if !self.storage.is_durable(*lsn) {
                    break;
                }
                if let Some((_, then)) = self.waits.pop_first() {
                    self.deferred.push_back(then);
                }
            }
            match self.deferred.pop_front() {
                Some(later) => later(self),
                None => return,
            }
        }
    }

    /// Appends, and makes room in the journal when that is what is missing, as the real broker's tasks wait for it.
    pub(crate) fn append(
        &mut self,
        log: &Arc<PartitionLog>,
        bytes: &Bytes,
        origin: AppendOrigin,
    ) -> Result<Appended, AppendError> {
        const ATTEMPTS: usize = 16;
        let header = BatchHeader::parse(bytes)
            .map_err(|error| AppendError::InvalidBatch(error.to_string()))?;
        let batch = AppendBatch {
            bytes: bytes.clone(),
            header,
            leader_epoch: LeaderEpoch(0),
            origin,
            write: WhenToWrite::Later,
        };
        let mut attempt = 0;
        loop {
            match log.append(batch.clone(), self.core.clock.now_ms()) {
                Err(AppendError::Backpressure) if attempt < ATTEMPTS => {
                    attempt += 1;
                    self.make_room();
                }
                other => return other,
            }
        }
    }

    fn make_room(&mut self) {
        self.storage.drive(Duty::MakeJournalFile);
        if self.storage.wants_checkpoint() && !self.storage.has_queued_frames() {
            self.checkpoint();
        } else {
            self.storage.drive(Duty::WriteJournal);
        }
    }

    /// The journal's write comes back.
    pub fn write_journal(&mut self) {
        self.storage.drive(Duty::MakeJournalFile);
        if self.storage.wants_checkpoint() && !self.storage.has_queued_frames() {
            self.checkpoint();
        }
        self.storage.drive(Duty::WriteJournal);
        self.alive_pump();
    }

    /// After I/O nobody may hear of anything when the power went during it.
    fn alive_pump(&mut self) {
        if !self.disk.is_gone() {
            self.pump();
        }
    }

    /// The segment writer's turn.
    pub fn write_segments(&mut self) {
        self.storage.drive(Duty::WriteSegments);
        self.alive_pump();
    }

    fn drain_journal(&mut self) {
        for _ in 0..64 {
            if !self.storage.has_queued_frames() {
                break;
            }
            self.storage.drive(Duty::MakeJournalFile);
            self.storage.drive(Duty::WriteJournal);
        }
    }

    /// A checkpoint, which waits for the journal first.
    pub fn checkpoint(&mut self) {
        self.drain_journal();
        if !self.storage.has_queued_frames() && !self.disk.is_gone() {
            let done = self.storage.checkpoint();
            self.core
                .trace(format_args!("checkpoint ok={}", done.is_ok()));
        }
        self.alive_pump();
    }

    /// The cleaner's turn: every log that is worth a pass.
    pub fn clean(&mut self) {
        let report = self.storage.run_cleaner();
        if !self.disk.is_gone() {
            let passes = report.passes.len();
            self.cleaned += passes as u64;
            self.core.trace(format_args!("cleaned {passes}"));
        }
        self.alive_pump();
    }

    /// Deletes segments that are of no more use.
    pub fn retain(&mut self) {
        let report = self.storage.run_retention();
        if !self.disk.is_gone() {
            self.core
                .trace(format_args!("deleted {} segments", report.segments));
        }
        self.alive_pump();
    }

    /// One round of tiered storage; the store may stop taking changes in the middle of it. Returns whether there is nothing
    /// left to do.
    pub fn tier(&mut self, goes_away: bool) -> bool {
        if goes_away {
            let changes = usize::try_from(self.core.pick(0..9)).unwrap_or(0);
            let made_all_the_same = self.core.chance(0.5);
            self.tier.stop_after(Some(changes), made_all_the_same);
        }
        self.drain_journal();
        let mut is_idle = false;
        if !self.storage.has_queued_frames() && !self.disk.is_gone() {
            let report = self.storage.run_tiering();
            if !self.disk.is_gone() {
                self.copied += report.copied;
                self.core.trace(format_args!(
                    "tiered copied={} deleted={} swept={} failed={}",
                    report.copied,
                    report.deleted,
                    report.swept,
                    report.failures.len()
                ));
                let done = report.copied + report.deleted + report.swept;
                is_idle = done == 0 && report.failures.is_empty() && !report.more;
            }
        }
        self.tier.stop_after(None, false);
        self.alive_pump();
        is_idle
    }

    /// Timers of the machines, and markers that are tried again.
    pub fn on_tick(&mut self) {
        self.tick::<Shard>();
        self.tick::<TransactionCoordinator>();
        self.tick::<ShareCoordinator>();
        self.share_tick();
        let now = self.core.now_us();
        let (due, later) = std::mem::take(&mut self.markers)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.markers = later;
        let due: Vec<(u64, WriteMarkers)> = due;
        for (_, markers) in due {
            self.write_markers(markers);
        }
        self.pump();
    }

    /// Writes a marker to each partition, one after the other, and tells the coordinator when all are durable.
    pub(crate) fn write_markers(&mut self, mut markers: WriteMarkers) {
        let all = markers.clone();
        if self.plant == Some(Plant::LostMarker) && markers.partitions.len() > 1 {
            markers.partitions.pop();
        }
        self.write_next_marker(all, markers);
    }

    fn write_next_marker(&mut self, all: WriteMarkers, mut left: WriteMarkers) {
        let Some((topic, index)) = left.partitions.pop() else {
            let actions = self.transactions.machine.markers_written(&all);
            self.perform::<TransactionCoordinator>(actions);
            return;
        };
        let marker = all.marker;
        if &*topic == OFFSETS {
            let run = move |shard: &mut Shard, token| shard.end_transaction(token, marker);
            self.request::<Shard>(run, move |broker, response| match response {
                Response::MarkerWritten(ErrorCode::None | ErrorCode::InvalidProducerEpoch) => {
                    broker.write_next_marker(all, left);
                }
                _ => broker.write_markers_later(all),
            });
            return;
        }
        let Some(log) = self.log(&topic, index) else {
            self.write_next_marker(all, left);
            return;
        };
        match self.append_marker(&log, marker) {
            Ok(appended) => {
                let then = move |broker: &mut Broker| broker.write_next_marker(all, left);
                self.when_durable(appended.lsn, then);
            }
            Err(
                coordinator::AppendError::InvalidProducerEpoch
                | coordinator::AppendError::CoordinatorFenced,
            ) => self.write_next_marker(all, left),
            Err(_) => self.write_markers_later(all),
        }
    }

    fn write_markers_later(&mut self, markers: WriteMarkers) {
        let at = self.core.now_us() + 100_000;
        self.markers.push((at, markers));
    }

    /// What the coordinators know, for a comparison: `self`'s, or those of machines that have just loaded the logs.
    #[must_use]
    pub fn portraits(&mut self) -> [String; 2] {
        let live = portrait(&mut self.groups.machine, &self.transactions.machine);
        let offsets = Arc::clone(&self.groups.log);
        let mut groups = Runner::load(new_shard(&self.core, &self.topics), offsets, 0);
        let states = Arc::clone(&self.transactions.log);
        let mut transactions = Runner::load(new_transactions(&self.core), states, 0);
        let states = Arc::clone(&self.share_states.log);
        let shares = new_share_states(&self.core, &self.topics);
        let mut shares = Runner::load(shares, states, 0);
        drop(groups.machine.loaded());
        drop(StateMachine::loaded(&mut transactions.machine));
        drop(StateMachine::loaded(&mut shares.machine));
        let keys: Vec<ShareKey> = self.shares.keys().cloned().collect();
        let live = live + &share_portrait(&mut self.share_states.machine, &keys);
        let replayed = portrait(&mut groups.machine, &transactions.machine);
        [live, replayed + &share_portrait(&mut shares.machine, &keys)]
    }
}

/// Groups with their offsets and members, and transactions with their states, as the admin requests show them.
fn portrait(groups: &mut Shard, transactions: &TransactionCoordinator) -> String {
    use coordinator::transaction::ListFilter;
    let mut text = String::new();
    let listed = groups.list_groups(&wire::messages::ListGroupsRequest::default());
    for group in listed.unwrap_or_default() {
        text += &format!(
            "{} {} {}\n",
            group.group_id, group.protocol_type, group.group_type
        );
        if group.group_type == "streams" {
            text += &format!(
                "{:?}\n",
                groups.describe_streams_group(&group.group_id, false)
            );
            continue;
        }
        if group.group_type == "share" {
            text += &format!("{:?}\n", groups.describe_share_group(&group.group_id));
            continue;
        }
        if group.group_type == "consumer" {
            text += &format!("{:?}\n", groups.describe_consumer_group(&group.group_id));
        }
        let every = OffsetFetchRequestGroup {
            group_id: group.group_id.clone(),
            member_epoch: -1,
            topics: None,
            ..OffsetFetchRequestGroup::default()
        };
        text += &format!("{:?}\n", groups.offset_fetch(Token(u64::MAX), every, false));
    }
    let filter = ListFilter {
        duration_ms: -1,
        ..ListFilter::default()
    };
    for one in transactions.list(&filter).unwrap_or_default() {
        text += &format!("{:?}\n", transactions.describe(&one.transactional_id));
    }
    text
}

/// The files of a log with their lengths, for a finding.
fn listing(dir: &Path) -> String {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut all: Vec<String> = entries
        .map(|entry| {
            let length = entry.metadata().map_or(0, |metadata| metadata.len());
            format!("{} {length}", entry.file_name().to_string_lossy())
        })
        .collect();
    all.sort();
    all.join(", ")
}

/// Where share partitions are.
fn share_portrait(shares: &mut ShareCoordinator, keys: &[ShareKey]) -> String {
    let mut text = String::new();
    for key in keys {
        let read = shares.read(Token(u64::MAX), key, -1);
        text += &format!("{key} {read:?}\n");
    }
    text
}

/// The bytes of a read.
pub(crate) fn in_memory(records: &Records) -> Bytes {
    let all = storage::bytes_of(records.parts());
    Bytes::from(all.expect("a segment holds what its log says"))
}
