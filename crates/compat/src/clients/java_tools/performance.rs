//! The performance tools, on a few records: that they work at all. How fast they are is the bench lane's matter.

use anyhow::{Context, Result, ensure};

use super::{Cases, Tools, expect};

pub(super) const PRODUCER_PERFORMANCE: &str = "org.apache.kafka.tools.ProducerPerformance";

pub(super) const CASES: Cases = &[
    ("producer-performance", producer_performance),
    ("consumer-performance", consumer_performance),
    ("end-to-end-latency", end_to_end_latency),
];

fn producer_performance(tools: &Tools<'_>) -> Result<()> {
    tools.create_topic("tools-perf", "6")?;
    let text = produce(tools, "tools-perf")?;
    expect(&text, "20000 records sent")?;
    expect(&text, "99.9th")
}

fn produce(tools: &Tools<'_>, topic: &str) -> Result<String> {
    let arguments = [
        "--topic",
        topic,
        "--num-records",
        "20000",
        "--record-size",
        "1024",
        "--throughput",
        "-1",
        "--command-property",
        "acks=all",
        "batch.size=65536",
    ];
    tools.output(PRODUCER_PERFORMANCE, &arguments, "")
}

fn consumer_performance(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-perf-consume";
    tools.create_topic(topic, "6")?;
    produce(tools, topic)?;
    let arguments = [
        "--topic",
        topic,
        "--num-records",
        "20000",
        "--timeout",
        "30000",
    ];
    let text = tools.output("org.apache.kafka.tools.ConsumerPerformance", &arguments, "")?;
    // A header and a row: start, end, MB, MB/s, records, records/s, ...
    let row = text
        .lines()
        .last()
        .with_context(|| format!("no row in {text:?}"))?;
    let records = row
        .split(", ")
        .nth(4)
        .with_context(|| format!("the row is {row:?}"))?;
    ensure!(
        records.parse::<u64>().is_ok_and(|count| count >= 20_000),
        "the row is {row:?}"
    );
    Ok(())
}

fn end_to_end_latency(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-latency";
    tools.create_topic(topic, "1")?;
    let arguments = [
        "--topic",
        topic,
        "--num-records",
        "300",
        "--producer-acks",
        "all",
        "--record-size",
        "100",
    ];
    let text = tools.output("org.apache.kafka.tools.EndToEndLatency", &arguments, "")?;
    expect(&text, "Avg latency: ")?;
    expect(&text, "Percentiles: 50th = ")
}
