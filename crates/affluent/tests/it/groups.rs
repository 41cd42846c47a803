//! `affluent kafka consumer`.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use testkit::wait::wait_for;

use crate::expect::check;
use crate::server::Server;

#[test]
fn a_group_reads_on_where_it_stopped() {
    let server = Server::start();
    server.run("kafka topic create read --partitions 1").ok();
    server
        .run_with_input("kafka topic produce read", b"a\nb\nc\n")
        .ok();
    let consume = "kafka topic consume read --group readers -b";
    assert_eq!(
        server.run(&format!("{consume} --max-messages 2")).ok(),
        "a\nb\n"
    );

    check(
        "lag-list.txt",
        &server.run("kafka consumer group lag list readers").ok(),
    );
    let summary = server
        .run("kafka consumer group lag summarize readers -o json")
        .ok();
    check("lag-summary.json", &server.stable(&summary));
    let one = "kafka consumer group lag describe readers --topic read --partition 0 -o json";
    check("lag-describe.json", &server.stable(&server.run(one).ok()));
    check(
        "group-list.txt",
        &server.stable(&server.run("kafka consumer group list").ok()),
    );
    let described = server
        .run("kafka consumer group describe readers -o json")
        .ok();
    check("group-describe.json", &server.stable(&described));

    assert_eq!(server.run(&format!("{consume} --exit")).ok(), "c\n");
    assert_eq!(server.run(&format!("{consume} --exit")).ok(), "");
    let summary = server.json("kafka consumer group lag summarize readers");
    assert_eq!(summary["total_lag"], 0);
}

#[test]
fn a_member_is_shown_while_it_reads_and_ctrl_c_ends_it() {
    let server = Server::start();
    server.run("kafka topic create watched --partitions 2").ok();
    let child = server
        .command("kafka topic consume watched --group watchers")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let members = wait_for(
        "a member with two partitions",
        Duration::from_secs(30),
        || {
            let run = server.run("kafka consumer list --group watchers -o json");
            if run.code != 0 {
                return Ok(None);
            }
            let members: serde_json::Value = serde_json::from_str(&run.ok())?;
            Ok((members[0]["partition_count"] == 2).then_some(members))
        },
    );
    let members = members.unwrap();
    assert_eq!(members[0]["client"], "affluent-cli");
    let group = server.json("kafka consumer group describe watchers");
    assert_eq!(
        (&group["state"], &group["is_simple"]),
        (&"Stable".into(), &false.into())
    );
    let lag = server.json("kafka consumer group lag list watchers");
    assert_eq!(lag[0]["consumer"], members[0]["consumer"]);

    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let left = server.run("kafka consumer list --group watchers").ok();
    assert_eq!(
        left, "None found.\n",
        "a consumer that ends leaves its group"
    );
}

#[test]
fn an_unknown_group_is_named() {
    let server = Server::start();
    check(
        "group-unknown.txt",
        &server.run("kafka consumer group describe nobody").failed(),
    );
    assert_eq!(
        server.run("kafka consumer group list").ok(),
        "None found.\n"
    );
}
