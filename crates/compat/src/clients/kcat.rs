//! kcat 1.7.1 as Debian ships it (librdkafka 2.0.2): old enough to detect a broker's features by single API
//! versions, so it also proves that the advertised ranges are Apache Kafka's.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cache::Cache;
use crate::kafka::Kafka;
use crate::process::{self, Finished};
use crate::suite::{CaseResult, Session, Suite, Tier, run_case};

/// How long one run of kcat may take. Loaded machines are slow; a healthy run ends within a second or two.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// The suite.
#[derive(Debug)]
pub struct Kcat;

type Case = fn(&Client) -> Result<()>;

const CASES: [(&str, Case); 21] = [
    ("metadata-empty", metadata_empty),
    ("metadata-topic", metadata_topic),
    ("auto-create", auto_create),
    ("codec-none", |client| codec(client, "none")),
    ("codec-gzip", |client| codec(client, "gzip")),
    ("codec-snappy", |client| codec(client, "snappy")),
    ("codec-lz4", |client| codec(client, "lz4")),
    ("codec-zstd", |client| codec(client, "zstd")),
    ("keys-and-headers", keys_and_headers),
    ("null-values", null_values),
    ("acks-0-1-all", acks),
    ("explicit-partitions", explicit_partitions),
    ("same-key-same-partition", same_key_same_partition),
    ("consume-from-offset", consume_from_offset),
    ("consume-by-timestamp", consume_by_timestamp),
    ("query-offsets", query_offsets),
    ("message-too-large", message_too_large),
    ("idempotent-producer", idempotent),
    ("group-of-three", group_of_three),
    ("group-resumes", group_resumes),
    ("transactional-produce", transactional),
];

impl Suite for Kcat {
    fn name(&self) -> &'static str {
        "kcat"
    }

    fn client(&self) -> String {
        "kcat 1.7.1 with librdkafka 2.0.2".to_owned()
    }

    fn prepare(&self, _cache: &Cache, _kafka: &Kafka, _tier: Tier) -> Result<bool> {
        ensure!(
            process::exists("kcat", "-V"),
            "kcat is not installed; on Debian: apt-get install kcat"
        );
        Ok(true)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let client = Client {
            bootstrap: session.target.bootstrap(),
            broker_id: session.target.broker_id(),
        };
        for (case, body) in CASES {
            if session.selection.wants(case) {
                run_case(case, done, || body(&client));
            }
        }
        Ok(())
    }
}

/// kcat pointed at one broker.
struct Client {
    bootstrap: String,
    broker_id: i32,
}

impl Client {
    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Finished> {
        let mut command = Command::new("kcat");
        command.args(["-b", &self.bootstrap]).args(arguments);
        process::run(&mut command, input, RUN_LIMIT)
    }

    /// Runs kcat, which must succeed, and returns its standard output.
    fn output(&self, arguments: &[&str], input: &[u8]) -> Result<String> {
        let finished = self
            .run(arguments, input)?
            .ok()
            .with_context(|| format!("kcat {}", arguments.join(" ")))?;
        Ok(finished.stdout_text())
    }

    fn produce(&self, topic: &str, options: &[&str], input: &str) -> Result<()> {
        let arguments = [&["-P", "-t", topic], options].concat();
        self.output(&arguments, input.as_bytes()).map(|_| ())
    }

    /// Consumes a topic from its beginning to its end, one record a line in the given format.
    fn consume(&self, topic: &str, options: &[&str], format: &str) -> Result<Vec<String>> {
        let arguments = [&["-C", "-t", topic, "-e", "-q", "-f", format], options].concat();
        Ok(self
            .output(&arguments, b"")?
            .lines()
            .map(str::to_owned)
            .collect())
    }

    /// Creates a topic the way kcat can: by asking for its metadata, which the broker answers by creating it.
    fn create(&self, topic: &str) -> Result<()> {
        self.produce(topic, &["-p", "0"], "first\n")
    }
}

/// Lines that differ, `count` of them.
fn lines(prefix: &str, count: usize) -> String {
    (0..count)
        .map(|index| format!("{prefix}-{index}\n"))
        .collect()
}

fn expect_lines(found: Vec<String>, wanted: &str) -> Result<()> {
    let wanted: Vec<&str> = wanted.lines().collect();
    let position = found
        .iter()
        .map(String::as_str)
        .zip(wanted.iter().copied())
        .position(|(a, b)| a != b);
    ensure!(
        position.is_none() && found.len() == wanted.len(),
        "expected {} records and found {}; the first difference is at {:?}",
        wanted.len(),
        found.len(),
        position.map(|at| (at, &found[at], wanted[at]))
    );
    Ok(())
}

fn metadata_empty(client: &Client) -> Result<()> {
    let listing = client.output(&["-L", "-J"], b"")?;
    let listing: serde_json::Value = serde_json::from_str(&listing).context("kcat -L -J")?;
    let brokers = listing["brokers"]
        .as_array()
        .context("no brokers in the listing")?;
    ensure!(
        brokers.len() == 1,
        "expected one broker, found {}",
        brokers.len()
    );
    ensure!(
        brokers[0]["name"] == client.bootstrap.as_str(),
        "the broker advertises {}",
        brokers[0]["name"]
    );
    ensure!(
        listing["controllerid"] == client.broker_id,
        "the controller is {}",
        listing["controllerid"]
    );
    Ok(())
}

fn metadata_topic(client: &Client) -> Result<()> {
    client.create("kcat-metadata")?;
    let listing = client.output(&["-L", "-J", "-t", "kcat-metadata"], b"")?;
    let listing: serde_json::Value = serde_json::from_str(&listing).context("kcat -L -J")?;
    let partitions = listing["topics"][0]["partitions"]
        .as_array()
        .context("no partitions in the listing")?;
    ensure!(
        partitions.len() == 4,
        "num.partitions is 4, the topic has {}",
        partitions.len()
    );
    for partition in partitions {
        ensure!(
            partition["leader"] == client.broker_id,
            "a partition without its leader: {partition}"
        );
        ensure!(
            partition["isrs"]
                .as_array()
                .is_some_and(|isr| isr.len() == 1),
            "the ISR is not one: {partition}"
        );
    }
    Ok(())
}

fn auto_create(client: &Client) -> Result<()> {
    client.produce("kcat-auto", &[], &lines("auto", 10))?;
    let found = client.consume("kcat-auto", &[], "%s\n")?;
    ensure!(
        found.len() == 10,
        "produced 10 records to a topic that did not exist, consumed {}",
        found.len()
    );
    Ok(())
}

fn codec(client: &Client, codec: &str) -> Result<()> {
    let topic = format!("kcat-codec-{codec}");
    let input = lines(
        "a line that compresses well, a line that compresses well",
        5000,
    );
    client.produce(&topic, &["-z", codec, "-p", "0"], &input)?;
    expect_lines(client.consume(&topic, &["-p", "0"], "%s\n")?, &input)
}

fn keys_and_headers(client: &Client) -> Result<()> {
    let topic = "kcat-headers";
    client.produce(
        topic,
        &[
            "-p", "0", "-K", ":", "-H", "one=1", "-H", "two=zwei", "-H", "bare",
        ],
        "k1:v1\nk2:v2\n",
    )?;
    let found = client.consume(topic, &["-p", "0"], "%o %p %k %s %h\n")?;
    expect_lines(
        found,
        "0 0 k1 v1 one=1,two=zwei,bare=NULL\n1 0 k2 v2 one=1,two=zwei,bare=NULL\n",
    )
}

fn null_values(client: &Client) -> Result<()> {
    let topic = "kcat-null";
    client.produce(topic, &["-p", "0", "-K", ":", "-Z"], "gone:\n:anonymous\n")?;
    // %S and %K are sizes: -1 is null.
    expect_lines(
        client.consume(topic, &["-p", "0"], "%K %S\n")?,
        "4 -1\n-1 9\n",
    )
}

fn acks(client: &Client) -> Result<()> {
    for acks in ["0", "1", "all"] {
        let topic = format!("kcat-acks-{acks}");
        client.create(&topic)?;
        client.produce(
            &topic,
            &["-p", "0", "-X", &format!("request.required.acks={acks}")],
            &lines("acked", 500),
        )?;
        let found = client.consume(&topic, &["-p", "0"], "%s\n")?;
        ensure!(
            found.len() == 501,
            "acks={acks}: produced 501, consumed {}",
            found.len()
        );
    }
    Ok(())
}

fn explicit_partitions(client: &Client) -> Result<()> {
    let topic = "kcat-partitions";
    for partition in ["0", "1", "2", "3"] {
        client.produce(topic, &["-p", partition], &lines(partition, 100))?;
    }
    for partition in ["0", "1", "2", "3"] {
        expect_lines(
            client.consume(topic, &["-p", partition], "%s\n")?,
            &lines(partition, 100),
        )?;
    }
    Ok(())
}

fn same_key_same_partition(client: &Client) -> Result<()> {
    let topic = "kcat-keyed";
    client.create(topic)?;
    let input: String = (0..1000)
        .map(|index| format!("key-{}:{index}\n", index % 20))
        .collect();
    client.produce(topic, &["-K", ":"], &input)?;
    let mut homes: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for line in client.consume(topic, &[], "%p %k %s\n")? {
        let mut fields = line.split(' ');
        let (Some(partition), Some(key), Some(value)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        // The record that created the topic has no key and is no number.
        let Ok(value) = value.parse::<i64>() else {
            continue;
        };
        let home = homes
            .entry(key.to_owned())
            .or_insert_with(|| (partition.to_owned(), -1));
        ensure!(
            home.0 == partition,
            "{key} is in partitions {} and {partition}",
            home.0
        );
        ensure!(home.1 < value, "{key}: {value} came after {}", home.1);
        home.1 = value;
    }
    ensure!(
        homes.len() == 20,
        "20 keys were produced, {} came back",
        homes.len()
    );
    Ok(())
}

fn consume_from_offset(client: &Client) -> Result<()> {
    let topic = "kcat-offsets";
    client.produce(topic, &["-p", "0"], &lines("n", 100))?;
    for (offset, first, count) in [
        ("90", "n-90", 10),
        ("-5", "n-95", 5),
        ("beginning", "n-0", 100),
        ("end", "", 0),
    ] {
        let found = client.consume(topic, &["-p", "0", "-o", offset], "%s\n")?;
        ensure!(
            found.len() == count,
            "-o {offset}: expected {count} records, found {}",
            found.len()
        );
        ensure!(
            count == 0 || found[0] == first,
            "-o {offset}: expected {first} first, found {}",
            found[0]
        );
    }
    let found = client.consume(topic, &["-p", "0", "-o", "10", "-c", "3"], "%o\n")?;
    expect_lines(found, "10\n11\n12\n")
}

/// The timestamps of all records of partition 0.
fn timestamps(client: &Client, topic: &str) -> Result<Vec<i64>> {
    let found = client.consume(topic, &["-p", "0"], "%T\n")?;
    found
        .iter()
        .map(|line| {
            line.parse()
                .with_context(|| format!("the timestamp {line:?}"))
        })
        .collect()
}

fn consume_by_timestamp(client: &Client) -> Result<()> {
    let topic = "kcat-timestamps";
    client.produce(topic, &["-p", "0"], "early\n")?;
    // Another run of kcat starts later than the first record's millisecond.
    client.produce(topic, &["-p", "0"], "late-1\nlate-2\n")?;
    let times = timestamps(client, topic)?;
    ensure!(
        times.len() == 3 && times[0] < times[1],
        "timestamps do not grow: {times:?}"
    );
    let found = client.consume(
        topic,
        &["-p", "0", "-o", &format!("s@{}", times[1])],
        "%s\n",
    )?;
    expect_lines(found, "late-1\nlate-2\n")?;
    let found = client.consume(
        topic,
        &["-p", "0", "-o", "s@0", "-o", &format!("e@{}", times[1])],
        "%s\n",
    )?;
    expect_lines(found, "early\n")
}

fn query_offsets(client: &Client) -> Result<()> {
    let topic = "kcat-query";
    client.produce(topic, &["-p", "0"], &lines("n", 7))?;
    let times = timestamps(client, topic)?;
    let query =
        |timestamp: i64| client.output(&["-Q", "-t", &format!("{topic}:0:{timestamp}")], b"");
    // -1 is the end, -2 the beginning; a time asks for the first record that is not older.
    for (timestamp, wanted) in [(-1, 7), (-2, 0), (times[0], 0), (times[6] + 3_600_000, 7)] {
        let answer = query(timestamp)?;
        ensure!(
            answer.trim() == format!("{topic} [0] offset {wanted}")
                || (wanted == 7 && answer.trim().ends_with("-1")),
            "the offset for {timestamp} is {wanted}, the answer {answer:?}"
        );
    }
    Ok(())
}

fn message_too_large(client: &Client) -> Result<()> {
    let topic = "kcat-large";
    let line = |bytes: usize| format!("{}\n", "x".repeat(bytes));
    client.produce(topic, &["-p", "0"], &line(900_000))?;
    // kcat's own limit is lifted; the broker's, 1 MiB, must answer.
    let options = [
        "-P",
        "-t",
        topic,
        "-p",
        "0",
        "-X",
        "message.max.bytes=8000000",
    ];
    let finished = client.run(&options, line(2_000_000).as_bytes())?;
    let said = finished.stderr_text();
    ensure!(
        said.contains("Message size too large"),
        "kcat says {:?}",
        process::tail(&said, 3)
    );
    let found = client.consume(topic, &["-p", "0"], "%S\n")?;
    expect_lines(found, "900000\n")
}

fn idempotent(client: &Client) -> Result<()> {
    let topic = "kcat-idempotent";
    let input = lines("once", 20_000);
    client.produce(
        topic,
        &[
            "-p",
            "0",
            "-X",
            "enable.idempotence=true",
            "-X",
            "batch.num.messages=100",
        ],
        &input,
    )?;
    expect_lines(client.consume(topic, &["-p", "0"], "%s\n")?, &input)
}

fn group_of_three(client: &Client) -> Result<()> {
    let topic = "kcat-group";
    for partition in ["0", "1", "2", "3"] {
        client.produce(topic, &["-p", partition], &lines(partition, 500))?;
    }
    // Each member leaves at the end of its partitions; together they must have read everything.
    let read = |_| {
        client.output(
            &[
                "-G",
                "kcat-three",
                topic,
                "-e",
                "-q",
                "-f",
                "%p %o\n",
                "-X",
                "auto.offset.reset=earliest",
            ],
            b"",
        )
    };
    let outputs = std::thread::scope(|scope| {
        let members: Vec<_> = (0..3)
            .map(|member| scope.spawn(move || read(member)))
            .collect();
        members
            .into_iter()
            .map(|member| {
                member
                    .join()
                    .map_err(|_| anyhow::anyhow!("a member's thread panicked"))?
            })
            .collect::<Result<Vec<String>>>()
    })?;
    let seen: BTreeSet<&str> = outputs.iter().flat_map(|output| output.lines()).collect();
    ensure!(
        seen.len() == 2000,
        "2000 records were produced, the group of three read {}",
        seen.len()
    );
    Ok(())
}

fn group_resumes(client: &Client) -> Result<()> {
    let topic = "kcat-resume";
    let read = |client: &Client| -> Result<usize> {
        let arguments = [
            "-G",
            "kcat-resumes",
            topic,
            "-e",
            "-q",
            "-f",
            "%s\n",
            "-X",
            "auto.offset.reset=earliest",
        ];
        Ok(client.output(&arguments, b"")?.lines().count())
    };
    client.produce(topic, &["-p", "1"], &lines("before", 30))?;
    ensure!(
        read(client)? == 30,
        "the first member did not read the 30 records"
    );
    client.produce(topic, &["-p", "1"], &lines("after", 12))?;
    let resumed = read(client)?;
    ensure!(
        resumed == 12,
        "the group had read 30 of 42 records and then read {resumed}, not 12"
    );
    Ok(())
}

fn transactional(client: &Client) -> Result<()> {
    let topic = "kcat-transaction";
    client.produce(
        topic,
        &["-p", "0", "-X", "transactional.id=kcat-tx"],
        &lines("atomic", 10),
    )?;
    let found = client.consume(
        topic,
        &["-p", "0", "-X", "isolation.level=read_committed"],
        "%s\n",
    )?;
    expect_lines(found, &lines("atomic", 10))
}
