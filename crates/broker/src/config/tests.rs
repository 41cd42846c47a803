//! The tables, the layers, the rows of `DescribeConfigs` and the refusals, against what Apache Kafka 4.3.1
//! answers to the same requests.

use std::time::Duration;

use super::*;

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn broker_with(pairs: &[(&str, &str)]) -> BrokerConfigs {
    BrokerConfigs::from_properties(overrides(pairs))
        .unwrap()
        .configs
}

fn op(text: &str) -> Alteration {
    let (op, rest) = match text.split_at(1) {
        ("+", rest) => (AlterOp::Append, rest),
        ("-", rest) => (AlterOp::Subtract, rest),
        ("!", rest) => (AlterOp::Delete, rest),
        (_, _) => (AlterOp::Set, text),
    };
    let (name, value) = match rest.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (rest, None),
    };
    Alteration {
        name: name.to_owned(),
        op,
        value,
    }
}

fn ops(texts: &[&str]) -> Vec<Alteration> {
    texts.iter().map(|text| op(text)).collect()
}

/// `code: message`, or the overrides that came out.
fn answer(result: Result<Overrides, AlterError>) -> String {
    match result {
        Ok(overrides) => {
            let set: Vec<String> = overrides.iter().map(|(k, v)| format!("{k}={v}")).collect();
            set.join(" ")
        }
        Err(error) => format!("{}: {error}", error.error_code()),
    }
}

fn alter_topic(existing: &[(&str, &str)], texts: &[&str]) -> String {
    let change = ops(texts);
    let change = Change::Incremental(&change);
    answer(alter::topic(
        &BrokerConfigs::default(),
        &overrides(existing),
        change,
    ))
}

fn alter_broker(current: &BrokerConfigs, scope: BrokerScope, texts: &[&str]) -> String {
    answer(alter::broker(
        current,
        scope,
        Change::Incremental(&ops(texts)),
    ))
}

fn entry<'a>(entries: &'a [ConfigEntry], name: &str) -> &'a ConfigEntry {
    entries.iter().find(|entry| entry.name == name).unwrap()
}

fn synonyms(entry: &ConfigEntry) -> Vec<String> {
    let show = |s: &SynonymEntry| {
        format!(
            "{}:{}={}",
            s.source.code(),
            s.name,
            s.value.as_deref().unwrap_or("null")
        )
    };
    entry.synonyms.iter().map(show).collect()
}

const ALL: DescribeOptions<'_> = DescribeOptions {
    names: None,
    synonyms: true,
    documentation: true,
};

#[test]
fn the_declarations_are_sound() {
    for table in [&TOPIC, &BROKER, &GROUP, &CLIENT_METRICS] {
        assert_eq!(table.check(), Vec::<String>::new());
    }
}

#[test]
fn the_tables_are_complete() {
    let count =
        |table: &ConfigTable, internal| table.keys().filter(|key| key.internal == internal).count();
    // Kafka 4.4 has 36 public topic keys and one internal one; flush.policy and schema.rules.validation are ours, four
    // are Confluent Server's.
    assert_eq!((count(&TOPIC, false), count(&TOPIC, true)), (42, 1));
    // 4.3.1 declares 340 public broker keys and 20 internal ones; 4.4 adds 9 and 9, three throttle rates can
    // only be set dynamically and are not listed, and log.flush.policy, the four journal keys, the six of the
    // remote store and the two of its reader are ours; one is Confluent Server's.
    assert_eq!((count(&BROKER, false), count(&BROKER, true)), (363, 32));
    assert_eq!((count(&GROUP, false), count(&GROUP, true)), (21, 6));
    assert_eq!(
        (count(&CLIENT_METRICS, false), count(&CLIENT_METRICS, true)),
        (3, 0)
    );
}

#[test]
fn each_synonym_is_a_broker_key_of_the_same_type_and_default() {
    for table in [&TOPIC, &GROUP] {
        for key in table.keys() {
            for (position, synonym) in key.synonyms.iter().enumerate() {
                let server = BROKER.get(synonym.name).unwrap_or_else(|| {
                    panic!(
                        "{} names {}, which is no broker key",
                        key.name, synonym.name
                    )
                });
                if position == 0 {
                    assert_eq!(server.kind, key.kind, "{}", key.name);
                }
            }
            let by_default =
                super::settings::topic_value(&BrokerConfigs::default(), &Overrides::new(), key);
            assert_eq!(by_default, key.default_value().unwrap(), "{}", key.name);
        }
    }
}

#[test]
fn defaults_are_kafkas() {
    let settings = TopicSettings::resolve(&BrokerConfigs::default(), &Overrides::new()).unwrap();
    assert!(settings.cleanup_delete && !settings.cleanup_compact);
    assert_eq!(settings.compression, CompressionSetting::Producer);
    assert_eq!(settings.flush_policy, FlushPolicy::Ack);
    assert_eq!(settings.max_message_bytes, 1_048_588);
    assert_eq!(settings.retention_ms, 604_800_000);
    assert_eq!(settings.segment_ms, 604_800_000);
    assert_eq!(settings.segment_bytes, 1 << 30);
    assert_eq!(settings.timestamp_after_max_ms, 3_600_000);
    assert_eq!(settings.timestamp_type, TimestampType::CreateTime);
    let broker = BrokerSettings::resolve(&BrokerConfigs::default());
    assert!(broker.auto_create_topics_enable && broker.delete_topic_enable);
    assert_eq!(broker.num_partitions, 1);
    assert_eq!(broker.socket_request_max_bytes, 100 << 20);
    assert_eq!(broker.fetch_max_bytes, 57_671_680);
    assert_eq!(broker.connections_max_idle, Some(Duration::from_mins(10)));
    assert_eq!(broker.offsets_retention, Duration::from_hours(7 * 24));
    assert_eq!(broker.queued_max_request_bytes, None);
}

#[test]
fn a_topic_follows_its_server_keys() {
    let resolve = |broker: &BrokerConfigs, set: &[(&str, &str)]| {
        TopicSettings::resolve(broker, &overrides(set)).unwrap()
    };
    let hours = broker_with(&[("log.retention.hours", "24"), ("log.roll.hours", "2")]);
    assert_eq!(resolve(&hours, &[]).retention_ms, 86_400_000);
    assert_eq!(resolve(&hours, &[]).segment_ms, 7_200_000);
    assert_eq!(resolve(&hours, &[("retention.ms", "5")]).retention_ms, 5);
    let minutes = broker_with(&[
        ("log.retention.hours", "24"),
        ("log.retention.minutes", "3"),
    ]);
    assert_eq!(resolve(&minutes, &[]).retention_ms, 180_000);
    // A dynamic value of one key hides the whole family below it.
    let (dynamic, refused) =
        minutes.with_dynamic(&overrides(&[("log.retention.ms", "-7")]), &Overrides::new());
    assert_eq!(refused, []);
    assert_eq!(resolve(&dynamic, &[]).retention_ms, -1);
    let tiny = resolve(
        &hours,
        &[
            ("internal.segment.bytes", "4096"),
            ("compression.type", "zstd"),
        ],
    );
    assert_eq!(
        (tiny.segment_bytes, tiny.compression),
        (4096, CompressionSetting::Zstd(3))
    );
    let error = TopicSettings::resolve(&hours, &overrides(&[("flush.policy", "x")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Invalid value x for configuration flush.policy: String must be one of: ack, interval, os"
    );
}

#[test]
fn properties_are_read_strictly_and_unknown_keys_listed() {
    let read = |pairs: &[(&str, &str)]| BrokerConfigs::from_properties(overrides(pairs));
    let loaded = read(&[
        ("my.key", "1"),
        ("broker.id", "7"),
        ("listener.name.internal.ssl.keystore.type", "PEM"),
        ("listener.name.internal.plain.sasl.jaas.config", "x"),
    ])
    .unwrap();
    assert_eq!(loaded.unknown, ["my.key"]);
    assert_eq!(loaded.configs.integer("node.id"), Some(7));
    for (name, text, expected) in [
        (
            "num.partitions",
            "x",
            "Invalid value x for configuration num.partitions: Not a number of type INT",
        ),
        (
            "log.segment.bytes",
            "5",
            "Invalid value 5 for configuration log.segment.bytes: Value must be at least 1048576",
        ),
        (
            "log.retention.ms",
            "0",
            "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
        ),
        (
            "log.roll.ms",
            "0",
            "requirement failed: log.roll.ms must be greater than or equal to 1",
        ),
        (
            "log.cleaner.dedupe.buffer.size",
            "5",
            "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
        ),
        (
            "max.connections.per.ip",
            "0",
            "requirement failed: max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.",
        ),
        (
            "max.connections.per.ip.overrides",
            "127.0.0.1:x",
            "For input string: \"x\"",
        ),
        (
            "principal.builder.class",
            "foo.Bar",
            "Invalid value foo.Bar for configuration principal.builder.class: Class foo.Bar could not be found.",
        ),
        (
            "authorizer.class.name",
            "foo.Bar",
            "Invalid value foo.Bar for configuration authorizer.class.name: Class foo.Bar could not be found.",
        ),
        (
            "controller.quorum.voters",
            "x",
            "Invalid configuration value for controller.quorum.voters. Each entry should be in the form `{id}@{host}:{port}`.",
        ),
        (
            "controller.quorum.bootstrap.servers",
            "x",
            "Failed to parse host name from x for the configuration controller.quorum.bootstrap.servers. Each entry should be in the form \"{host}:{port}\"",
        ),
        (
            "group.consumer.session.timeout.ms",
            "1",
            "requirement failed: group.consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
        ),
    ] {
        assert_eq!(read(&[(name, text)]).unwrap_err().to_string(), expected);
    }
    let limits = read(&[("max.connections.per.ip.overrides", "10.0.0.1:5, host:0")]).unwrap();
    let settings = BrokerSettings::resolve(&limits.configs);
    assert_eq!(
        settings.max_connections_per_ip_overrides,
        BTreeMap::from([("10.0.0.1".to_owned(), 5), ("host".to_owned(), 0)])
    );
}

#[test]
fn a_bad_dynamic_value_is_left_out_and_named() {
    let (configs, refused) = BrokerConfigs::default().with_dynamic(
        &overrides(&[("num.io.threads", "x"), ("message.max.bytes", "2000000")]),
        &Overrides::new(),
    );
    assert_eq!(refused.len(), 1);
    assert_eq!(
        BrokerSettings::resolve(&configs).message_max_bytes,
        2_000_000
    );
    let (configs, refused) = BrokerConfigs::default()
        .with_dynamic(&overrides(&[("log.roll.ms", "0")]), &Overrides::new());
    assert_eq!(refused.len(), 1);
    assert_eq!(configs.integer("log.roll.ms"), None);
}

#[test]
fn topics_are_described_as_in_kafka() {
    let (broker, _) = broker_with(&[("log.retention.hours", "24")]).with_dynamic(
        &overrides(&[
            ("min.insync.replicas", "1"),
            ("log.cleanup.policy", "delete,compact"),
        ]),
        &Overrides::new(),
    );
    let set = overrides(&[
        ("max.message.bytes", " 2000000"),
        ("internal.segment.bytes", "4096"),
    ]);
    let entries = describe_topic(&broker, &set, ALL);
    assert_eq!(entries.len(), 43);
    let size = entry(&entries, "max.message.bytes");
    assert_eq!(size.value.as_deref(), Some("2000000"));
    assert_eq!((size.source, size.type_code), (ConfigSource::Topic, 3));
    assert_eq!(
        synonyms(size),
        ["1:max.message.bytes=2000000", "5:message.max.bytes=1048588"]
    );
    // Hours do not show as a synonym of milliseconds, though the value comes from them.
    let retention = entry(&entries, "retention.ms");
    assert_eq!(retention.value.as_deref(), Some("86400000"));
    assert_eq!(
        (retention.source, synonyms(retention)),
        (ConfigSource::Default, vec![])
    );
    let policy = entry(&entries, "cleanup.policy");
    assert_eq!(policy.value.as_deref(), Some("delete,compact"));
    assert_eq!(
        synonyms(policy),
        [
            "3:log.cleanup.policy=delete,compact",
            "5:log.cleanup.policy=delete"
        ]
    );
    assert!(
        entries
            .iter()
            .all(|e| !e.read_only && !e.is_sensitive && e.documentation.is_some())
    );
    let names = ["retention.ms".to_owned(), "nothing".to_owned()];
    let some = DescribeOptions {
        names: Some(&names),
        ..DescribeOptions::default()
    };
    let entries = describe_topic(&broker, &set, some);
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (&entries[0].synonyms, &entries[0].documentation),
        (&vec![], &None)
    );
}

#[test]
fn brokers_are_described_as_in_kafka() {
    let (broker, _) = broker_with(&[
        ("log.retention.hours", "24"),
        ("my.key", "secret"),
        ("node.id", "1"),
    ])
    .with_dynamic(
        &overrides(&[("log.retention.ms", "-5"), ("foo.bar", "1")]),
        &overrides(&[
            ("log.retention.ms", "99999"),
            ("listener.name.plaintext.ssl.keystore.type", "PEM"),
        ]),
    );
    let entries = describe_broker(&broker, ALL);
    let retention = entry(&entries, "log.retention.ms");
    assert_eq!(retention.value.as_deref(), Some("99999"));
    assert_eq!(
        synonyms(retention),
        [
            "2:log.retention.ms=99999",
            "3:log.retention.ms=-5",
            "4:log.retention.hours=24",
            "5:log.retention.hours=168",
        ]
    );
    let hours = entry(&entries, "log.retention.hours");
    assert_eq!(
        (hours.value.as_deref(), hours.read_only),
        (Some("168"), true)
    );
    assert_eq!(
        synonyms(hours),
        ["4:log.retention.hours=24", "5:log.retention.hours=168"]
    );
    let unknown = entry(&entries, "my.key");
    assert_eq!((unknown.value.as_deref(), unknown.type_code), (None, 0));
    assert!(unknown.is_sensitive && unknown.read_only);
    assert_eq!(synonyms(unknown), ["4:my.key=null"]);
    let store = entry(&entries, "listener.name.plaintext.ssl.keystore.type");
    assert_eq!(store.value.as_deref(), Some("PEM"));
    assert_eq!(
        synonyms(store),
        [
            "2:listener.name.plaintext.ssl.keystore.type=PEM",
            "5:ssl.keystore.type=JKS"
        ]
    );
    let password = entry(&entries, "ssl.key.password");
    assert!(password.is_sensitive && !password.read_only && password.value.is_none());
    let rate = entry(&entries, "log.cleaner.io.max.bytes.per.second");
    assert_eq!(rate.value.as_deref(), Some("1.7976931348623157E308"));
    assert!(
        !entries
            .iter()
            .any(|e| e.name == "server.max.startup.time.ms")
    );

    let defaults = describe_broker_default(&broker, ALL);
    let shown: Vec<_> = defaults
        .iter()
        .map(|e| (e.name.as_str(), e.value.as_deref()))
        .collect();
    assert_eq!(shown, [("foo.bar", None), ("log.retention.ms", Some("-5"))]);
    assert_eq!(synonyms(&defaults[1]), ["3:log.retention.ms=-5"]);
}

#[test]
fn groups_and_client_metrics_are_described_as_in_kafka() {
    let broker = BrokerConfigs::default();
    let entries = describe_group(
        &broker,
        &overrides(&[("consumer.session.timeout.ms", "50000")]),
        ALL,
    );
    assert_eq!(
        synonyms(entry(&entries, "consumer.session.timeout.ms")),
        [
            "8:consumer.session.timeout.ms=50000",
            "5:group.consumer.session.timeout.ms=45000"
        ]
    );
    let reset = entry(&entries, "share.auto.offset.reset");
    assert_eq!(reset.value.as_deref(), Some("latest"));
    assert_eq!(synonyms(reset), ["5:share.auto.offset.reset=latest"]);
    let entries = describe_client_metrics(&overrides(&[("metrics", "*")]), ALL);
    assert_eq!(entries.len(), 3);
    assert_eq!(synonyms(entry(&entries, "metrics")), ["7:metrics=*"]);
    assert_eq!(
        synonyms(entry(&entries, "interval.ms")),
        Vec::<String>::new()
    );
}

#[test]
fn topics_are_altered_as_in_kafka() {
    let compacted = [("cleanup.policy", "compact")];
    for (texts, expected) in [
        (
            &["retention.ms=5"][..],
            "cleanup.policy=compact retention.ms=5",
        ),
        (&["!foo"], "cleanup.policy=compact"),
        (&["!cleanup.policy"], ""),
        (&["+cleanup.policy=delete"], "cleanup.policy=compact,delete"),
        (&["-cleanup.policy=compact,delete"], "cleanup.policy="),
        (&["-cleanup.policy=zzz"], "cleanup.policy=compact"),
        (
            &["+retention.ms=1"],
            "40: Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            &["-foo=1"],
            "40: Can't SUBTRACT to key foo because its type is not LIST.",
        ),
        (&["foo=1"], "40: Unknown topic config name: foo"),
        (
            &["retention.ms=abc"],
            "40: Invalid value abc for configuration retention.ms: Not a number of type LONG",
        ),
        (
            &["min.compaction.lag.ms=5", "max.compaction.lag.ms=4"],
            "40: conflict topic config setting min.compaction.lag.ms (5) > max.compaction.lag.ms (4)",
        ),
        (
            &["remote.storage.enable=true"],
            "40: Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
        ),
        (
            &["retention.ms=1", "retention.ms=2"],
            "42: Error due to duplicate config keys",
        ),
        (
            &["retention.ms"],
            "42: Null value not supported for : retention.ms",
        ),
        (
            &["compression.gzip.level=0"],
            "40: Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        ),
        (
            &["leader.replication.throttled.replicas=0:1,*"],
            "40: Invalid value [0:1, *] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
        ),
    ] {
        assert_eq!(alter_topic(&compacted, texts), expected);
    }
    assert_eq!(
        alter_topic(&[], &["+cleanup.policy=compact"]),
        "cleanup.policy=delete,compact"
    );
    assert_eq!(
        alter_topic(&[("cleanup.policy", "")], &["+cleanup.policy="]),
        "cleanup.policy="
    );
}

#[test]
fn the_legacy_request_replaces_everything() {
    let broker = BrokerConfigs::default();
    let existing = overrides(&[("cleanup.policy", "compact")]);
    let values = vec![("retention.ms".to_owned(), Some("5".to_owned()))];
    let changed = alter::topic(&broker, &existing, Change::Replace(&values));
    assert_eq!(answer(changed), "retention.ms=5");
    let nulls = vec![("retention.ms".to_owned(), None)];
    assert_eq!(
        answer(alter::topic(&broker, &existing, Change::Replace(&nulls))),
        "42: Null value not supported for : retention.ms"
    );
    assert_eq!(
        answer(alter::new_topic(&broker, &nulls)),
        "40: Null value not supported for topic configs: retention.ms"
    );
    assert_eq!(answer(alter::new_topic(&broker, &values)), "retention.ms=5");
}

#[test]
fn tiered_topics_are_checked_as_in_kafka() {
    let broker = broker_with(&[("remote.log.storage.system.enable", "true")]);
    let on = overrides(&[
        ("remote.storage.enable", "true"),
        ("retention.ms", "10"),
        ("retention.bytes", "10"),
    ]);
    let alter =
        |texts: &[&str]| answer(alter::topic(&broker, &on, Change::Incremental(&ops(texts))));
    for (texts, expected) in [
        (
            &["local.retention.ms=11"][..],
            "40: Invalid value 11 for configuration local.retention.ms: Value must not be more than retention.ms property value: 10",
        ),
        (
            &["local.retention.ms=-1"],
            "40: Invalid value -1 for configuration local.retention.ms: Value must not be -1 as retention.ms value is set as 10.",
        ),
        (
            &["local.retention.bytes=11"],
            "40: Invalid value 11 for configuration local.retention.bytes: Value must not be more than retention.bytes property value: 10",
        ),
        (
            &["remote.copy.lag.ms=11"],
            "40: Invalid value 11 for configuration remote.copy.lag.ms: Value must not exceed local.retention.ms (effective value: 10)",
        ),
        (
            &["remote.log.copy.disable=true", "local.retention.ms=9"],
            "40: When `remote.log.copy.disable` is set to true, the `local.retention.ms` and `retention.ms` must be set to the identical value because there will be no more logs copied to the remote storage.",
        ),
        (
            &["remote.storage.enable=false"],
            "40: It is invalid to disable remote storage without deleting remote data. If you want to keep the remote data and turn to read only, please set `remote.storage.enable=true,remote.log.copy.disable=true`. If you want to disable remote storage and delete all remote data, please set `remote.storage.enable=false,remote.log.delete.on.disable=true`.",
        ),
    ] {
        assert_eq!(alter(texts), expected);
    }
    let off = [
        "remote.storage.enable=false",
        "remote.log.delete.on.disable=true",
    ];
    assert!(!alter(&off).starts_with("40"));
}

#[test]
fn brokers_are_altered_as_in_kafka() {
    let current = BrokerConfigs::default();
    let wrapped = |what: &str| {
        format!(
            "42: Invalid value org.apache.kafka.common.config.ConfigException: {what} for configuration Invalid dynamic configuration"
        )
    };
    for (scope, texts, expected) in [
        (BrokerScope::Default, &["log.retention.ms=-5"][..], "log.retention.ms=-5".to_owned()),
        (BrokerScope::Default, &["num.io.threads=16"], "num.io.threads=16".to_owned()),
        (BrokerScope::Default, &["foo.bar=1"], "foo.bar=1".to_owned()),
        (BrokerScope::Default, &["+log.cleanup.policy=compact"], "log.cleanup.policy=delete,compact".to_owned()),
        (BrokerScope::Node, &["listener.name.plaintext.ssl.keystore.type=PEM"], "listener.name.plaintext.ssl.keystore.type=PEM".to_owned()),
        (BrokerScope::Node, &["log.dirs=/x", "node.id=1"], "42: Cannot update these configs dynamically: [log.dirs, node.id]".to_owned()),
        (BrokerScope::Node, &["ssl.keystore.location=x"], "42: These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.location]".to_owned()),
        (BrokerScope::Default, &["listeners=PLAINTEXT://:1"], "42: Cannot update these configs at default cluster level, broker id must be specified: [listeners]".to_owned()),
        (BrokerScope::Default, &["listener.name.plaintext.ssl.keystore.type=PEM"], "42: Cannot update these configs at default cluster level, broker id must be specified: [listener.name.plaintext.ssl.keystore.type]".to_owned()),
        (BrokerScope::Default, &["log.retention.ms=abc"], "42: Invalid value abc for configuration log.retention.ms: Not a number of type LONG".to_owned()),
        (BrokerScope::Default, &["log.retention.ms=0"], "42: requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1".to_owned()),
        (BrokerScope::Default, &["num.io.threads=0"], "42: Invalid value 0 for configuration num.io.threads: Value must be at least 1".to_owned()),
        (BrokerScope::Default, &["num.io.threads=100"], wrapped("Dynamic thread count update validation failed for num.io.threads=100, value should not be greater than double the current value 8")),
        (BrokerScope::Default, &["num.io.threads=2"], wrapped("Dynamic thread count update validation failed for num.io.threads=2, value should be at least half the current value 8")),
        (BrokerScope::Node, &["log.cleaner.threads=5"], wrapped("Log cleaner threads cannot be increased to more than double the current value 1")),
        (BrokerScope::Node, &["log.local.retention.ms=99999999999"], wrapped("Invalid value 99999999999 for configuration log.local.retention.ms: Value must not be more than log.retention.ms property value: 604800000")),
        (BrokerScope::Default, &["+num.io.threads=1"], "40: Config value append is not allowed for config key: num.io.threads".to_owned()),
        (BrokerScope::Default, &["+foo.baz=1"], "40: Unknown config name: foo.baz".to_owned()),
    ] {
        assert_eq!(alter_broker(&current, scope, texts), expected);
    }
}

#[test]
fn groups_are_altered_as_in_kafka() {
    let broker = BrokerConfigs::default();
    let alter = |group: &str, texts: &[&str]| {
        answer(alter::group(
            &broker,
            group,
            &Overrides::new(),
            Change::Incremental(&ops(texts)),
        ))
    };
    let reset = |value: &str| {
        format!(
            "40: Invalid value {value} for configuration share.auto.offset.reset: Invalid value `{value}` for configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."
        )
    };
    for (texts, expected) in [
        (&["consumer.session.timeout.ms=50000"][..], "consumer.session.timeout.ms=50000".to_owned()),
        (&["share.auto.offset.reset=by_duration:P1DT2H3.5S"], "share.auto.offset.reset=by_duration:P1DT2H3.5S".to_owned()),
        (&["consumer.session.timeout.ms=1"], "40: consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms".to_owned()),
        (&["consumer.heartbeat.interval.ms=99999"], "40: consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms".to_owned()),
        (&["streams.num.standby.replicas=3"], "40: streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas".to_owned()),
        (&["foo=1"], "40: Unknown group config name: foo".to_owned()),
        (&["consumer.heartbeat.interval.ms=x"], "40: Invalid value x for configuration consumer.heartbeat.interval.ms: Not a number of type INT".to_owned()),
        (&["share.auto.offset.reset=x"], reset("x")),
        (&["share.auto.offset.reset=by_duration:-PT1H"], reset("by_duration:-PT1H")),
        (&["share.auto.offset.reset=by_duration:PT"], reset("by_duration:PT")),
    ] {
        assert_eq!(alter("g", texts), expected);
    }
    assert_eq!(
        alter("", &["consumer.session.timeout.ms=50000"]),
        "42: Default group resources are not allowed."
    );
}

#[test]
fn client_metrics_are_altered_as_in_kafka() {
    let alter = |name: &str, texts: &[&str]| {
        answer(alter::client_metrics(
            name,
            &Overrides::new(),
            Change::Incremental(&ops(texts)),
        ))
    };
    for (texts, expected) in [
        (&["metrics=*"][..], "metrics=*"),
        (&["match=client_id=a"], "match=client_id=a"),
        (
            &["interval.ms=1"],
            "42: Invalid value 1 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
        ),
        (
            &["interval.ms=x"],
            "40: Invalid value x for configuration interval.ms: Not a number of type INT",
        ),
        (&["foo=1"], "42: Unknown client metrics configuration: foo"),
        (&["match=x"], "40: Illegal client matching pattern: x"),
    ] {
        assert_eq!(alter("m", texts), expected);
    }
    assert_eq!(
        alter("", &["interval.ms=1000"]),
        "42: Subscription name can't be empty"
    );
}

#[test]
fn operations_have_kafkas_codes() {
    assert_eq!(AlterOp::from_code(2), Ok(AlterOp::Append));
    assert_eq!(
        AlterOp::from_code(9).unwrap_err().to_string(),
        "Unknown operations type 9"
    );
}

#[test]
fn the_reference_pages_name_each_public_key() {
    for ((file, page), table) in
        reference_markdown()
            .iter()
            .zip([&TOPIC, &BROKER, &GROUP, &CLIENT_METRICS])
    {
        assert!(file.ends_with(".md"));
        for key in table.keys() {
            assert_eq!(
                page.contains(&format!("### `{}`\n", key.name)),
                !key.internal,
                "{}",
                key.name
            );
        }
    }
}
