//! Changes of each resource, races, and what a second node sees.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use base::{LeaderEpoch, Uuid};
use rand::Rng;
use tempfile::TempDir;

use super::*;
use crate::engine::{EmbeddedStore, MemoryStore};

fn topic(name: &str, partitions: usize) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        id: TopicId(Uuid::from_random(rand::rng().random())),
        assignments: vec![vec![NodeId(1)]; partitions],
        configs: Configs::new(),
        created_ms: 1_700_000_000_000,
    }
}

fn configs(pairs: &[(&str, &str)]) -> Configs {
    pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn metadata() -> Metadata {
    Metadata::load(Arc::new(MemoryStore::default())).unwrap()
}

/// Everything a reader can see, for comparison.
fn seen(metadata: &Metadata) -> String {
    let image = metadata.image();
    let topics: Vec<_> = image.topics().collect();
    format!(
        "{:?} {:?} {topics:?} {:?} {:?} {:?} {}",
        image.revision(),
        image.cluster_id(),
        image.broker_default_configs(),
        image.group_configs(),
        image.features(),
        image.next_producer_id()
    )
}

#[test]
fn topics_are_created_and_deleted() {
    let metadata = metadata();
    let orders = NewTopic {
        configs: configs(&[("cleanup.policy", "compact")]),
        assignments: vec![vec![NodeId(2), NodeId(1)], vec![NodeId(1)]],
        ..topic("orders", 0)
    };
    let created = metadata.create_topic(&orders).unwrap().unwrap();
    assert_eq!(
        (&*created.name, created.id, created.partitions.len()),
        ("orders", orders.id, 2)
    );
    assert_eq!(created.partitions[0].leader, Some(NodeId(2)));
    assert_eq!(created.partitions[0].isr, [NodeId(2), NodeId(1)]);
    assert_eq!(*created.configs, orders.configs);
    let again = metadata.create_topic(&topic("orders", 1)).unwrap();
    assert_eq!(again, Err(CreateError::AlreadyExists("orders".to_owned())));
    let image = metadata.image();
    assert_eq!(image.topic("orders"), image.topic_by_id(orders.id));

    assert_eq!(*metadata.delete_topic(orders.id).unwrap(), *created);
    let gone = metadata.delete_topic(orders.id).unwrap_err();
    assert!(matches!(gone, MetadataError::UnknownTopic(_)), "{gone}");
    assert_eq!(metadata.image().topics().len(), 0);
    assert_eq!(
        metadata.store().range(b"").unwrap().entries,
        [],
        "nothing stays behind"
    );
    let reborn = metadata.create_topic(&topic("orders", 1)).unwrap().unwrap();
    assert_ne!(reborn.id, orders.id);
    assert!(reborn.configs.is_empty());
}

#[test]
fn a_batch_creates_what_can_be_created() {
    let metadata = metadata();
    metadata.create_topic(&topic("b", 1)).unwrap().unwrap();
    let batch = [
        topic("a", 1),
        topic("b", 1),
        topic("none", 0),
        topic("c", 3),
        topic("c", 1),
    ];
    let results = metadata.create_topics(&batch).unwrap();
    let shown: Vec<_> = results
        .iter()
        .map(|result| {
            result
                .as_ref()
                .map_or_else(ToString::to_string, |t| t.name.to_string())
        })
        .collect();
    assert_eq!(shown[0], "a");
    assert_eq!(shown[1], "Topic 'b' already exists.");
    assert!(
        shown[2].starts_with("the topic 'none' would have 0 partitions"),
        "{}",
        shown[2]
    );
    assert_eq!(shown[3], "c");
    assert_eq!(shown[4], "Topic 'c' already exists.");
    assert_eq!(metadata.image().partition_count(), 1 + 1 + 3);
    // More than one transaction takes.
    let many: Vec<NewTopic> = (0..2_000).map(|i| topic(&format!("many-{i}"), 2)).collect();
    let results = metadata.create_topics(&many).unwrap();
    assert!(results.iter().all(Result::is_ok));
    assert!(
        metadata.image().revision() < Revision(20),
        "{}",
        metadata.image().revision()
    );
}

#[test]
fn partitions_are_added_and_changed() {
    let metadata = metadata();
    let id = metadata
        .create_topic(&topic("orders", 250))
        .unwrap()
        .unwrap()
        .id;
    let grown = metadata
        .create_partitions(id, 250, &vec![vec![NodeId(3)]; 300])
        .unwrap();
    assert_eq!(grown.partitions.len(), 550);
    assert_eq!(grown.partitions[249].replicas, [NodeId(1)]);
    assert_eq!(grown.partitions[250].replicas, [NodeId(3)]);
    let stale = metadata
        .create_partitions(id, 250, &[vec![NodeId(3)]])
        .unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Stale, "{stale}");
    let full = metadata
        .create_topic(&topic("full", 256))
        .unwrap()
        .unwrap()
        .id;
    let grown = metadata
        .create_partitions(full, 256, &[vec![NodeId(3)]])
        .unwrap();
    assert_eq!(grown.partitions.len(), 257);

    let indexes = [PartitionIndex(1), PartitionIndex(549)];
    let elected = metadata
        .update_partitions(id, &indexes, |_, partition| PartitionResource {
            leader: None,
            leader_epoch: LeaderEpoch(partition.leader_epoch.0 + 1),
            ..partition.clone()
        })
        .unwrap();
    for index in [1, 549] {
        let partition = &elected.partitions[index];
        assert_eq!(
            (
                partition.leader,
                partition.leader_epoch.0,
                partition.partition_epoch
            ),
            (None, 1, 1)
        );
    }
    assert_eq!(elected.partitions[0].partition_epoch, 0);
    let unknown = metadata
        .update_partitions(id, &[PartitionIndex(550)], |_, p| p.clone())
        .unwrap_err();
    assert_eq!(unknown.to_string(), "the topic 'orders-550' does not exist");
    let reloaded = Metadata::load(Arc::clone(metadata.store())).unwrap();
    assert_eq!(seen(&reloaded), seen(&metadata));
}

#[test]
fn configurations_are_changed() {
    let metadata = metadata();
    let set = |resource: &ConfigResource, pairs: &[(&str, &str)]| {
        let wanted = configs(pairs);
        metadata.alter_configs(resource, |_| Ok::<_, Infallible>(wanted.clone()))
    };
    let orders = ConfigResource::Topic("orders".to_owned());
    let unknown = set(&orders, &[("a", "1")]).unwrap_err();
    assert_eq!(unknown.to_string(), "the topic 'orders' does not exist");
    metadata.create_topic(&topic("orders", 1)).unwrap().unwrap();
    set(&orders, &[("retention.ms", "5")]).unwrap().unwrap();
    set(&ConfigResource::Broker(NodeId(7)), &[("a", "1")])
        .unwrap()
        .unwrap();
    set(&ConfigResource::BrokerDefault, &[("b", "2")])
        .unwrap()
        .unwrap();
    set(&ConfigResource::Group("g".to_owned()), &[("c", "3")])
        .unwrap()
        .unwrap();
    set(
        &ConfigResource::ClientMetrics("m".to_owned()),
        &[("d", "4")],
    )
    .unwrap()
    .unwrap();
    let image = metadata.image();
    assert_eq!(
        *image.topic("orders").unwrap().configs,
        configs(&[("retention.ms", "5")])
    );
    assert_eq!(image.broker_configs(NodeId(7)), configs(&[("a", "1")]));
    assert_eq!(image.broker_configs(NodeId(8)), Configs::new());
    assert_eq!(*image.broker_default_configs(), configs(&[("b", "2")]));
    assert_eq!(image.group_configs()["g"], configs(&[("c", "3")]));
    assert_eq!(image.client_metrics()["m"], configs(&[("d", "4")]));

    let refused = metadata
        .alter_configs(&orders, |now| Err::<Configs, _>(now.clone()))
        .unwrap();
    assert_eq!(refused, Err(configs(&[("retention.ms", "5")])));
    for _ in 0..2 {
        set(&ConfigResource::Group("g".to_owned()), &[])
            .unwrap()
            .unwrap();
        set(&orders, &[]).unwrap().unwrap();
    }
    let image = metadata.image();
    assert!(image.group_configs().is_empty());
    assert!(image.topic("orders").unwrap().configs.is_empty());
}

#[test]
fn a_cluster_is_formatted_once() {
    let metadata = metadata();
    let levels = BTreeMap::from([("group.version".to_owned(), 1)]);
    let features = FeaturesResource { epoch: 1, levels };
    assert_eq!(metadata.format("first", &features).unwrap(), "first");
    let other = FeaturesResource::default();
    assert_eq!(metadata.format("second", &other).unwrap(), "first");
    assert_eq!(metadata.image().cluster_id(), Some("first"));
    assert_eq!(*metadata.image().features(), features);
    let updated = metadata
        .update_features(|now| {
            let mut next = now.clone();
            next.levels.insert("transaction.version".to_owned(), 2);
            next
        })
        .unwrap();
    assert_eq!((updated.epoch, updated.levels.len()), (2, 2));
    assert_eq!(*metadata.image().features(), updated);
}

#[test]
fn producer_ids_are_handed_out_once_under_contention() {
    let store: Arc<dyn MetaStore> = Arc::new(MemoryStore::default());
    let nodes: Vec<Metadata> = (0..4)
        .map(|_| Metadata::load(Arc::clone(&store)).unwrap())
        .collect();
    let mut given = BTreeSet::new();
    std::thread::scope(|scope| {
        let takers: Vec<_> = nodes
            .iter()
            .map(|node| {
                scope.spawn(move || {
                    (0..25)
                        .map(|_| node.allocate_producer_ids(1000).unwrap())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for taker in takers {
            for block in taker.join().unwrap() {
                assert_eq!(block.end - block.start, 1000);
                assert!(given.insert(block.start), "block {block:?} was given twice");
            }
        }
    });
    assert_eq!(given.len(), 100);
    assert_eq!(given.last(), Some(&99_000));
}

#[test]
fn the_last_producer_id_is_an_error_not_a_wrap() {
    let metadata = metadata();
    let key = ResourceKey::ProducerIds.to_bytes();
    let last = ProducerIdsResource {
        next: i64::MAX - 10,
    }
    .encode();
    metadata.store().txn(&[], &[Op::put(key, last)]).unwrap();
    let error = metadata.allocate_producer_ids(1000).unwrap_err();
    assert!(matches!(error, MetadataError::NoProducerIds), "{error}");
}

#[test]
fn one_of_many_creators_of_a_name_wins() {
    let store: Arc<dyn MetaStore> = Arc::new(MemoryStore::default());
    let nodes: Vec<Metadata> = (0..4)
        .map(|_| Metadata::load(Arc::clone(&store)).unwrap())
        .collect();
    for round in 0..20 {
        let name = format!("race-{round}");
        let created: usize = std::thread::scope(|scope| {
            let racers: Vec<_> = nodes
                .iter()
                .map(|node| scope.spawn(|| node.create_topic(&topic(&name, 3)).unwrap().is_ok()))
                .collect();
            racers
                .into_iter()
                .map(|racer| usize::from(racer.join().unwrap()))
                .sum()
        });
        assert_eq!(created, 1, "{name}");
    }
    for node in &nodes {
        node.follow(Duration::ZERO).unwrap();
        assert_eq!(seen(node), seen(&nodes[0]));
    }
}

#[test]
fn another_node_follows_even_from_far_behind() {
    let store: Arc<dyn MetaStore> = Arc::new(MemoryStore::default());
    let writer = Metadata::load(Arc::clone(&store)).unwrap();
    let reader = Metadata::load(Arc::clone(&store)).unwrap();
    let id = writer
        .create_topic(&topic("orders", 2))
        .unwrap()
        .unwrap()
        .id;
    assert!(reader.image().topic("orders").is_none());
    reader.follow(Duration::from_secs(10)).unwrap();
    assert_eq!(reader.image().topic_by_id(id).unwrap().partitions.len(), 2);
    // So much that the history no longer has all of it.
    let large = "x".repeat(500_000);
    for _ in 0..40 {
        let change = configs(&[("a", &large)]);
        let group = ConfigResource::Group("g".to_owned());
        writer
            .alter_configs(&group, |_| Ok::<_, Infallible>(change.clone()))
            .unwrap()
            .unwrap();
    }
    writer.delete_topic(id).unwrap();
    reader.follow(Duration::from_secs(10)).unwrap();
    assert_eq!(seen(&reader), seen(&writer));
}

#[test]
fn a_file_gives_back_the_same_image() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("metadata");
    let before = {
        let metadata = Metadata::load(Arc::new(EmbeddedStore::open(&path).unwrap())).unwrap();
        metadata
            .format("cluster", &FeaturesResource::default())
            .unwrap();
        metadata
            .create_topic(&topic("orders", 10_000))
            .unwrap()
            .unwrap();
        metadata.allocate_producer_ids(1000).unwrap();
        let default = ConfigResource::BrokerDefault;
        let set = configs(&[("num.io.threads", "16")]);
        metadata
            .alter_configs(&default, |_| Ok::<_, Infallible>(set.clone()))
            .unwrap()
            .unwrap();
        seen(&metadata)
    };
    let metadata = Metadata::load(Arc::new(EmbeddedStore::open(&path).unwrap())).unwrap();
    assert_eq!(seen(&metadata), before);
}

#[test]
fn a_value_that_does_not_read_is_named() {
    let store: Arc<dyn MetaStore> = Arc::new(MemoryStore::default());
    store
        .txn(
            &[],
            &[Op::put("affluent/topics/orders", "{\"v\":9,\"data\":{}}")],
        )
        .unwrap();
    let error = Metadata::load(Arc::clone(&store)).unwrap_err();
    assert_eq!(
        base::ErrorChain(&error).to_string(),
        "the metadata under 'affluent/topics/orders' cannot be read: it has version 9, but this version \
         reads up to 1"
    );
    // What a later version adds elsewhere does not keep this one from starting.
    store
        .txn(
            &[],
            &[
                Op::delete("affluent/topics/orders"),
                Op::put("affluent/quotas/x", "?"),
            ],
        )
        .unwrap();
    assert_eq!(Metadata::load(store).unwrap().image().topics().len(), 0);
}

#[test]
fn quotas_are_changed_together_and_forgotten_when_empty() {
    use crate::quota::{QuotaEntity, QuotaName};

    let store: Arc<dyn MetaStore> = Arc::new(MemoryStore::default());
    let metadata = Metadata::load(Arc::clone(&store)).unwrap();
    let alice = QuotaEntity {
        user: Some(QuotaName::Named("alice".to_owned())),
        ..QuotaEntity::default()
    };
    let everyone = QuotaEntity {
        client_id: Some(QuotaName::Default),
        ..QuotaEntity::default()
    };
    let change = |pairs: &[(&str, Option<f64>)]| -> QuotaChange {
        pairs
            .iter()
            .map(|(key, amount)| ((*key).to_owned(), *amount))
            .collect()
    };
    let set = BTreeMap::from([
        (
            alice.clone(),
            change(&[
                ("producer_byte_rate", Some(1e6)),
                ("request_percentage", Some(12.5)),
            ]),
        ),
        (
            everyone.clone(),
            change(&[("consumer_byte_rate", Some(5.0))]),
        ),
    ]);
    metadata.alter_client_quotas(&set).unwrap();
    let revision = metadata.image().revision();
    metadata.alter_client_quotas(&set).unwrap();
    assert_eq!(metadata.image().revision(), revision, "nothing changed");

    let removed = BTreeMap::from([
        (
            alice.clone(),
            change(&[("request_percentage", None), ("nothing", None)]),
        ),
        (everyone, change(&[("consumer_byte_rate", None)])),
    ]);
    metadata.alter_client_quotas(&removed).unwrap();
    let image = Metadata::load(store).unwrap().image();
    let left: Vec<_> = image.client_quotas().iter().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].0, &alice);
    assert_eq!(
        left[0].1.0,
        BTreeMap::from([("producer_byte_rate".to_owned(), 1e6)])
    );
    assert_eq!(metadata.image().client_quotas(), image.client_quotas());
}
