//! The shard and its log: record bytes, loading, unloading, appends that fail or are overdue.

use bytes::Bytes;
use coordinator::{AppendError, GroupConfig, ReplayError, Replayed};
use wire::ErrorCode;
use wire::messages::ListGroupsRequest;

use crate::harness::{Bench, START_MS, code, commit, join, sync};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn offset_records_are_kafkas() {
    let mut bench = Bench::new();
    let mut request = commit("g", "", -1, "t", 258);
    request.topics[0].partitions[0].committed_leader_epoch = 3;
    request.topics[0].topic_id = base::Uuid([7; 16]);
    bench.commit_now(10, request.clone());
    request.topics[0].topic_id = base::Uuid::ZERO;
    bench.commit_now(9, request.clone());
    request.retention_time_ms = 1;
    bench.commit_now(4, request);
    let key = "0001 0001 67 0001 74 00000000".replace(' ', "");
    let now = hex(&START_MS.to_be_bytes());
    let after = hex(&(START_MS + 1).to_be_bytes());
    let id = "07".repeat(16);
    let values = [
        // version, offset, leader epoch, compact metadata, commit timestamp, tagged topic id
        format!("0004 0000000000000102 00000003 02 6d {now} 01 00 10 {id}"),
        format!("0004 0000000000000102 00000003 02 6d {now} 00"),
        // version, offset, metadata, commit and expire timestamps
        format!("0001 0000000000000102 0001 6d {now} {after}"),
    ];
    for (record, value) in bench.log.iter().zip(values) {
        assert_eq!(hex(&record.key), key);
        assert_eq!(hex(record.value.as_ref().unwrap()), value.replace(' ', ""));
    }
}

#[test]
fn group_records_are_kafkas() {
    let mut bench = Bench::new();
    let member = bench
        .stable_group_of("g", vec![join("g").instance("i")])
        .remove(0);
    bench.send_leave("g", &[(&member.id, Some("i"))]);
    bench.advance(600_000);
    let text = |text: &str| format!("{:04x}{}", text.len(), hex(text.as_bytes()));
    let blob = |bytes: &[u8]| format!("{:08x}{}", bytes.len(), hex(bytes));
    let stamp = |ms: i64| hex(&(START_MS + ms).to_be_bytes());
    let subscription = crate::harness::subscription(&["t"]);
    let stable = [
        // version, protocol type, generation, protocol, leader, state timestamp
        format!(
            "0003{}00000001{}{}",
            text("consumer"),
            text("range"),
            text(&member.id)
        ),
        // members: id, instance id, client id, client host, rebalance and session timeout
        format!("{}00000001{}{}", stamp(3_000), text(&member.id), text("i")),
        format!(
            "{}{}{:08x}{:08x}",
            text("client"),
            text("/127.0.0.1"),
            60_000,
            10_000
        ),
        format!("{}{}", blob(&subscription), blob(b"a-0")),
    ]
    .concat();
    let values = [
        // A new group: no protocol (null), no leader (null), no members.
        Some(format!(
            "0003 0000 00000000 ffff ffff {} 00000000",
            stamp(0)
        )),
        Some(stable),
        Some(format!(
            "0003 {} 00000002 ffff ffff {} 00000000",
            text("consumer"),
            stamp(6_000)
        )),
        None,
    ];
    assert_eq!(bench.log.len(), values.len());
    for (record, value) in bench.log.iter().zip(values) {
        assert_eq!(hex(&record.key), "0002000167");
        assert_eq!(
            record.value.as_ref().map(|value| hex(value)),
            value.map(|value| value.replace(' ', ""))
        );
    }
}

#[test]
fn what_cannot_be_read_is_reported_and_unknown_types_are_skipped() {
    let mut bench = Bench::loading(GroupConfig::default(), START_MS);
    let mut replay = |key: &'static [u8], value: Option<&'static [u8]>| {
        bench.shard.replay(
            &Bytes::from_static(key),
            value.map(Bytes::from_static).as_ref(),
        )
    };
    assert!(matches!(replay(&[0], None), Err(ReplayError::NoType(1))));
    assert!(matches!(
        replay(&[0, 2, 0, 9], None),
        Err(ReplayError::Malformed { record_type: 2, .. })
    ));
    let key: &[u8] = &[0, 2, 0, 1, b'g'];
    let no_version = replay(key, Some(&[0]));
    assert!(matches!(
        no_version,
        Err(ReplayError::NoVersion {
            record_type: 2,
            length: 1
        })
    ));
    assert!(matches!(
        replay(key, Some(&[0, 99])),
        Err(ReplayError::Malformed { .. })
    ));
    assert!(matches!(
        replay(key, Some(&[0, 3, 0])),
        Err(ReplayError::Malformed { .. })
    ));
    // A type of a release to come.
    assert_eq!(
        replay(&[0, 99, 0, 1, b'g'], None).unwrap(),
        Replayed::UnknownType(99)
    );
    assert_eq!(replay(key, None).unwrap(), Replayed::Applied);
}

#[test]
fn records_of_older_kafka_are_read() {
    let mut bench = Bench::loading(GroupConfig::default(), START_MS);
    // Type 0, value version 0: offset, metadata, commit timestamp.
    let key: &[u8] = &[0, 0, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 0];
    let value: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    bench
        .shard
        .replay(&key.into(), Some(&value.into()))
        .unwrap();
    // GroupMetadata version 0: no state timestamp, no rebalance timeout, a leader that is no member.
    let key: &[u8] = &[0, 2, 0, 1, b'h'];
    let mut value = vec![0, 0];
    for field in ["consumer", "\u{1}", "range", "gone"] {
        if field == "\u{1}" {
            value.extend(7i32.to_be_bytes());
            continue;
        }
        value.extend(u16::try_from(field.len()).unwrap().to_be_bytes());
        value.extend(field.as_bytes());
    }
    value.extend(1i32.to_be_bytes());
    for field in ["m", "c", "/h"] {
        value.extend(u16::try_from(field.len()).unwrap().to_be_bytes());
        value.extend(field.as_bytes());
    }
    value.extend(10_000i32.to_be_bytes());
    value.extend([0; 8]);
    bench
        .shard
        .replay(&key.into(), Some(&value.into()))
        .unwrap();
    let actions = bench.shard.loaded();
    bench.run(actions);
    assert_eq!(bench.fetch_all("g"), "t-0=5 \"\"");
    assert_eq!(bench.state("h"), "Stable 1");
    assert_eq!(bench.heartbeat("h", "m", 7), ErrorCode::None);
    let rejoined = bench.join_now(join("h").member("m"));
    assert_eq!((rejoined.generation_id, rejoined.leader.as_str()), (8, "m"));
}

#[test]
fn a_loading_shard_puts_clients_off_and_an_unloaded_one_sends_them_away() {
    let mut bench = Bench::loading(GroupConfig::default(), START_MS);
    let check = |bench: &mut Bench, error: ErrorCode, heartbeat: ErrorCode| {
        assert_eq!(code(bench.join_now(join("g")).error_code), error);
        assert_eq!(code(bench.sync_now(sync("g", 1, "m")).error_code), error);
        assert_eq!(bench.heartbeat("g", "m", 1), heartbeat);
        let token = bench.send_leave("g", &[("m", None)]);
        assert_eq!(code(bench.left(token).error_code), error);
        assert_eq!(bench.commit_now(9, commit("g", "", -1, "t", 1)), [error]);
        assert_eq!(bench.fetch_all("g"), error.name());
        let described = bench
            .shard
            .describe_groups(&crate::harness::context(6), &["g".to_owned()])
            .remove(0);
        assert_eq!(code(described.error_code), error);
        assert_eq!(
            bench.shard.list_groups(&ListGroupsRequest::default()),
            Err(error)
        );
    };
    // Heartbeats of a loading group succeed: an error would make its members rejoin for nothing.
    check(
        &mut bench,
        ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::None,
    );
    let actions = bench.shard.loaded();
    bench.run(actions);
    let actions = bench.shard.unload();
    bench.run(actions);
    check(
        &mut bench,
        ErrorCode::NotCoordinator,
        ErrorCode::NotCoordinator,
    );
    assert_eq!(bench.shard.next_deadline(), None);
}

#[test]
fn unloading_answers_everything_that_waits() {
    let mut bench = Bench::new();
    let members = bench.stable_group("g", &["a", "b"]);
    let joining = bench.send_join(join("g").member(&members[0].id).topics(&["u"]));
    let token = bench.send_join(join("h").version(3));
    bench.advance(3_000);
    let member = bench.joined(token).member_id;
    bench.auto_commit = false;
    let syncing = bench.send_sync(sync("h", 1, &member));
    let committing = bench.send_commit(9, commit("s", "", -1, "t", 1));
    let fetching = bench.send_fetch("s", None, true);
    let actions = bench.shard.unload();
    bench.run(actions);
    assert_eq!(
        code(bench.joined(joining).error_code),
        ErrorCode::NotCoordinator
    );
    assert_eq!(
        code(bench.synced(syncing).error_code),
        ErrorCode::NotCoordinator
    );
    assert_eq!(bench.commit_errors(committing), [ErrorCode::NotCoordinator]);
    assert_eq!(bench.fetched(fetching), "NOT_COORDINATOR");
}

#[test]
fn an_assignment_that_cannot_be_stored_sends_the_members_back_to_join() {
    for (error, answer) in [
        (Some(AppendError::Storage), ErrorCode::NotCoordinator),
        (None, ErrorCode::CoordinatorNotAvailable),
    ] {
        let mut bench = Bench::new();
        let token = bench.send_join(join("g").version(3));
        bench.advance(3_000);
        let member = bench.joined(token).member_id;
        bench.auto_commit = false;
        let synced = bench.send_sync(sync("g", 1, &member));
        match error {
            Some(error) => bench.fail_next(error),
            // Overdue: the outcome is still open when the members are told.
            None => bench.advance(5_000),
        }
        assert_eq!(code(bench.synced(synced).error_code), answer);
        assert_eq!(bench.state("g"), "PreparingRebalance 1");
        bench.auto_commit = true;
        bench.run(Vec::new());
        let joined = bench.join_now(join("g").member(&member));
        let members = bench.sync_all("g", &[joined]);
        assert_eq!(members[0].generation, 2);
        assert_eq!(bench.reload().state("g"), "Stable 1");
    }
}

#[test]
fn a_group_whose_first_record_fails_does_not_exist() {
    let mut bench = Bench::new();
    bench.auto_commit = false;
    let waiting = bench.send_join(join("g").version(3));
    let pending = bench.join_now(join("g")).member_id;
    bench.fail_next(AppendError::NotLeader);
    assert_eq!(
        code(bench.joined(waiting).error_code),
        ErrorCode::NotCoordinator
    );
    let late = bench.join_now(join("g").member(&pending));
    assert_eq!(code(late.error_code), ErrorCode::UnknownMemberId);
    assert_eq!(bench.state("g"), "Dead 0");
}

#[test]
fn names_too_long_for_the_record_format_are_an_error_and_no_panic() {
    let long = "x".repeat(40_000);
    let mut bench = Bench::new();
    let waiting = bench.send_join(join(&long).version(3));
    assert_eq!(
        code(bench.joined(waiting).error_code),
        ErrorCode::UnknownServerError
    );
    let errors = bench.commit_now(9, commit("g", "", -1, &long, 1));
    assert_eq!(errors, [ErrorCode::UnknownServerError]);
    let token = bench.send_join(join("g").version(9).instance(&long));
    bench.advance(3_000);
    let joined = bench.joined(token);
    let synced = bench.sync_now(sync("g", 1, &joined.member_id).instance(&long));
    assert_eq!(code(synced.error_code), ErrorCode::UnknownServerError);
}

#[test]
fn a_watermark_commits_everything_up_to_it() {
    let mut bench = Bench::new();
    bench.auto_commit = false;
    let tokens: Vec<_> = (0..3)
        .map(|offset| bench.send_commit(9, commit("g", "", -1, "t", offset)))
        .collect();
    let last = bench.in_flight.back().unwrap().0;
    let actions = bench.shard.committed(last);
    bench.run(actions);
    for token in tokens {
        assert_eq!(bench.commit_errors(token), [ErrorCode::None]);
    }
    assert_eq!(bench.fetch_all("g"), "t-0=2 \"m\"");
    assert_eq!(bench.shard.committed(last), vec![], "reported again");
}

#[test]
fn a_group_whose_first_record_fails_exists_by_the_offsets_it_has() {
    let mut bench = Bench::new();
    bench.auto_commit = false;
    bench.join_now(join("g"));
    let committed = bench.send_commit(9, commit("g", "", -1, "t", 1));
    bench.fail_next(AppendError::TimedOut);
    bench.commit_next();
    assert_eq!(bench.commit_errors(committed), [ErrorCode::None]);
    for mut bench in [bench.reload(), bench] {
        assert_eq!(
            (bench.state("g"), bench.fetch_all("g").as_str()),
            ("Empty 0".into(), "t-0=1 \"m\"")
        );
    }

    // When it is the offset that fails, the group is there without it.
    let mut bench = Bench::new();
    bench.auto_commit = false;
    bench.join_now(join("g"));
    let committed = bench.send_commit(9, commit("g", "", -1, "t", 1));
    bench.in_flight.swap(0, 1);
    bench.fail_next(AppendError::TimedOut);
    assert_eq!(
        bench.commit_errors(committed),
        [ErrorCode::CoordinatorNotAvailable]
    );
    bench.commit_next();
    assert_eq!(bench.reload().state("g"), bench.state("g"));
}

#[test]
fn a_shard_moves_between_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<coordinator::Shard>();
}
