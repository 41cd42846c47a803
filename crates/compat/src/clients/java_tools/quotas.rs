//! ConfigCommand for quotas, and a producer that is held to one.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::configs::CONFIG_COMMAND;
use super::performance::PRODUCER_PERFORMANCE;
use super::{Cases, Tools, eventually, expect, expect_not};

pub(super) const CASES: Cases = &[
    ("quota-user-and-client", user_and_client),
    ("quota-defaults", defaults),
    ("quota-ip", ip),
    ("quota-refused", refused),
    ("quota-producer-held-back", producer_held_back),
];

const ALICE: [&str; 4] = ["--entity-type", "users", "--entity-name", "alice"];
const APP: [&str; 4] = ["--entity-type", "clients", "--entity-name", "quota-app"];

fn run(tools: &Tools<'_>, entity: &[&str], change: &[&str]) -> Result<String> {
    tools.output(CONFIG_COMMAND, &[entity, change].concat(), "")
}

fn set(tools: &Tools<'_>, entity: &[&str], quotas: &str) -> Result<()> {
    run(tools, entity, &["--alter", "--add-config", quotas]).map(drop)
}

fn remove(tools: &Tools<'_>, entity: &[&str], quotas: &str) -> Result<()> {
    run(tools, entity, &["--alter", "--delete-config", quotas]).map(drop)
}

fn user_and_client(tools: &Tools<'_>) -> Result<()> {
    let both = [ALICE, APP].concat();
    set(
        tools,
        &ALICE,
        "producer_byte_rate=1048576,request_percentage=75.5",
    )?;
    set(
        tools,
        &both,
        "consumer_byte_rate=2097152,controller_mutation_rate=2.5",
    )?;
    eventually(|| {
        let text = run(tools, &ALICE, &["--describe"])?;
        expect(&text, "Quota configs for user-principal 'alice' are")?;
        expect(&text, "producer_byte_rate=1048576.0")?;
        expect(&text, "request_percentage=75.5")?;
        let text = run(tools, &both, &["--describe"])?;
        expect(&text, "user-principal 'alice', client-id 'quota-app' are")?;
        expect(&text, "consumer_byte_rate=2097152.0")?;
        expect(&text, "controller_mutation_rate=2.5")?;
        expect_not(&text, "producer_byte_rate")
    })?;
    remove(tools, &ALICE, "producer_byte_rate")?;
    eventually(|| {
        let text = run(tools, &ALICE, &["--describe"])?;
        expect(&text, "request_percentage=75.5")?;
        expect_not(&text, "producer_byte_rate")
    })?;
    remove(tools, &ALICE, "request_percentage")?;
    remove(tools, &both, "consumer_byte_rate,controller_mutation_rate")?;
    eventually(|| {
        let all = run(tools, &["--entity-type", "users"], &["--describe"])?;
        expect_not(&all, "alice")
    })
}

fn defaults(tools: &Tools<'_>) -> Result<()> {
    let users = ["--entity-type", "users", "--entity-default"];
    let clients = ["--entity-type", "clients", "--entity-default"];
    set(tools, &users, "producer_byte_rate=1000000000")?;
    set(tools, &clients, "consumer_byte_rate=1000000000")?;
    eventually(|| {
        let text = run(tools, &users, &["--describe"])?;
        expect(&text, "the default user-principal")?;
        expect(&text, "producer_byte_rate=1.0E9")?;
        let text = run(tools, &clients, &["--describe"])?;
        expect(&text, "the default client-id")?;
        expect(&text, "consumer_byte_rate=1.0E9")
    })?;
    remove(tools, &users, "producer_byte_rate")?;
    remove(tools, &clients, "consumer_byte_rate")?;
    eventually(|| {
        let text = run(tools, &users, &["--describe"])?;
        expect_not(&text, "producer_byte_rate")
    })
}

fn ip(tools: &Tools<'_>) -> Result<()> {
    let address = ["--entity-type", "ips", "--entity-name", "192.0.2.1"];
    set(tools, &address, "connection_creation_rate=10")?;
    eventually(|| {
        let text = run(tools, &address, &["--describe"])?;
        expect(
            &text,
            "Quota configs for ip '192.0.2.1' are connection_creation_rate=10.0",
        )
    })?;
    remove(tools, &address, "connection_creation_rate")?;
    eventually(|| {
        let text = run(tools, &address, &["--describe"])?;
        expect_not(&text, "connection_creation_rate")
    })
}

fn refused(tools: &Tools<'_>) -> Result<()> {
    // The tool knows the names of quotas; that an amount is whole is left to the broker.
    let arguments = [
        &APP[..],
        &["--alter", "--add-config", "producer_byte_rate=1.5"],
    ]
    .concat();
    tools.refused(CONFIG_COMMAND, &arguments, "InvalidRequestException")
}

/// A window of eleven samples lets ten seconds' worth pass at once; the rest takes its time.
fn producer_held_back(tools: &Tools<'_>) -> Result<()> {
    const RATE_BYTES: u64 = 200_000;
    const RECORDS: u64 = 5_000;
    const RECORD_BYTES: u64 = 1_000;
    let topic = "tools-quota-produce";
    tools.create_topic(topic, "1")?;
    let client = [
        "--entity-type",
        "clients",
        "--entity-name",
        "quota-producer",
    ];
    set(tools, &client, &format!("producer_byte_rate={RATE_BYTES}"))?;
    eventually(|| {
        let text = run(tools, &client, &["--describe"])?;
        expect(&text, "producer_byte_rate=200000.0")
    })?;
    let begun = Instant::now();
    let (records, size) = (RECORDS.to_string(), RECORD_BYTES.to_string());
    let arguments = [
        "--topic",
        topic,
        "--num-records",
        &records,
        "--record-size",
        &size,
        "--throughput",
        "-1",
        "--command-property",
        "client.id=quota-producer",
    ];
    tools.output(PRODUCER_PERFORMANCE, &arguments, "")?;
    let took = begun.elapsed();
    let beyond_burst = RECORDS * RECORD_BYTES - 10 * RATE_BYTES;
    let expected = Duration::from_secs(beyond_burst / RATE_BYTES);
    ensure!(
        took > expected.mul_f64(0.85) && took < expected * 3,
        "{RECORDS} records at {RATE_BYTES} bytes a second took {took:?}, expected about {expected:?}"
    );
    remove(tools, &client, "producer_byte_rate")
}
