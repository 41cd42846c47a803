//! Compares batches and produce validation with Apache Kafka itself, on random and on damaged input:
//!
//! ```text
//! cargo run -p wire --example java_records -- <kafka>/libs [cases [seed]]
//! cargo run -p wire --example java_records -- <kafka>/libs record
//! ```
//!
//! Apache Kafka answers through `crates/compat/java/records/RecordsOracle.java`. The first form ends with a
//! count of each kind of answer and fails on a difference that is not one of [`known_difference`]; the second
//! writes the golden files that `tests/record_golden.rs` reads.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bytes::Bytes;
use wire::record_batch::Compression;
use wire::record_validate::{TimestampRule, ValidationError};

#[path = "../tests/support/mod.rs"]
mod support;

use support::{CODECS, Case, Rng, dump, hex, random_batch, unhex};

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Oracle {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    fn start(libs: &str) -> Outcome<Oracle> {
        let source = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../compat/java/records/RecordsOracle.java"
        );
        let mut process = Command::new("java")
            .args(["-Xmx256m", "-cp", &format!("{libs}/*"), source])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = process.stdin.take().ok_or("no stdin")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no stdout")?);
        Ok(Oracle {
            process,
            requests,
            answers,
        })
    }

    fn ask(&mut self, request: &str) -> Outcome<String> {
        writeln!(self.requests, "{request}")?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            return Err(format!("the oracle ended: {:?}", self.process.wait()?).into());
        }
        Ok(answer.trim_end_matches('\n').to_owned())
    }
}

/// The differences that `wire::record_validate` documents.
fn known_difference(case: &Case, kafka: &str, ours: &str) -> Option<&'static str> {
    let codec = case
        .header()
        .and_then(|header| header.attributes.compression());
    let kafka_fails = kafka.starts_with("error\tUNKNOWN_SERVER_ERROR");
    if kafka_fails && ours.starts_with("error\tUNSUPPORTED_COMPRESSION_TYPE") {
        return Some("unknown codec");
    }
    if kafka_fails && ours.starts_with("error\tINVALID_RECORD") {
        return Some("does not decompress, or malformed where Kafka does not expect it");
    }
    if kafka_fails && ours.starts_with("error\tCORRUPT_MESSAGE") {
        return Some("length below that of a header");
    }
    let negative = || {
        let Ok(records) = wire::record_data::records(&case.bytes, support::LIMIT) else {
            return false;
        };
        records
            .flatten()
            .any(|record| record.timestamp < wire::record_data::NO_TIMESTAMP)
    };
    if kafka_fails && ours.starts_with("ok\ttrue") && negative() {
        return Some("negative timestamps survive a conversion");
    }
    let no_producer = || {
        case.header()
            .is_some_and(|h| h.attributes.is_transactional() && !h.has_producer_id())
    };
    if kafka_fails && ours.starts_with("ok\ttrue") && no_producer() {
        return Some("a transactional batch without producer id survives a conversion");
    }
    let kafka_ok = kafka.starts_with("ok");
    let too_large = "error\tMESSAGE_TOO_LARGE";
    if case.target.is_some() && kafka.starts_with(too_large) != ours.starts_with(too_large) {
        return Some("the two encoders' output lies on either side of the limit");
    }
    let typed = case
        .header()
        .is_some_and(|h| h.attributes.is_log_append_time());
    if typed && case.timestamps != TimestampRule::LogAppendTime {
        return Some("a client's LogAppendTime in a CreateTime topic");
    }
    let error = wire::record_validate::validate_produce(&case.bytes, &case.rules()).err();
    match error {
        Some(ValidationError::Decompression(_)) if has_reserved_gzip_flags(case) => {
            Some("reserved flags in a gzip header")
        }
        Some(ValidationError::OffsetDelta { .. }) if kafka_ok => Some("wrong offset delta"),
        Some(ValidationError::Malformed { .. }) if codec != Some(Compression::None) => {
            Some("wrong record length in a compressed batch")
        }
        _ => None,
    }
}

/// Whether the records are a gzip stream whose header has flags that RFC 1952 reserves.
fn has_reserved_gzip_flags(case: &Case) -> bool {
    const MAGIC_AND_METHOD: [u8; 3] = [0x1f, 0x8b, 8];
    const RESERVED: u8 = 0xe0;
    let stream = case.bytes.get(wire::record_batch::BATCH_HEADER_LEN..);
    let flags = stream.and_then(|stream| stream.strip_prefix(&MAGIC_AND_METHOD)?.first());
    flags.is_some_and(|flags| flags & RESERVED != 0)
}

fn compare_formats(oracle: &mut Oracle, rng: &mut Rng, cases: usize) -> Outcome<()> {
    for case in 0..cases {
        let batch = random_batch(rng, 1_700_000_000_000);
        let ours = dump(&batch)?;
        let kafka = oracle.ask(&format!("read\t{}", hex(&batch)))?;
        if kafka != format!("ok\t{ours}") {
            return Err(format!("case {case}: ours\n{ours}\nKafka\n{kafka}").into());
        }
        let codec = rng.pick(&CODECS).name();
        let answer = oracle.ask(&format!("rewrite\t{codec}\t-\t{}", hex(&batch)))?;
        let rewritten = answer.strip_prefix("ok\t").ok_or(answer.clone())?;
        let (before, after) = (ours.split_once(' '), dump(&unhex(rewritten).into())?);
        if before.map(|(_, rest)| rest) != after.split_once(' ').map(|(_, rest)| rest) {
            return Err(format!("case {case} as {codec}: sent\n{ours}\nread\n{after}").into());
        }
    }
    Ok(())
}

fn compare_validation(
    oracle: &mut Oracle,
    rng: &mut Rng,
    cases: usize,
) -> Outcome<BTreeMap<String, usize>> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..cases {
        let case = Case::random(rng);
        // One message shows which of two Java classes read the record; that is not worth copying.
        let kafka = oracle
            .ask(&case.request())?
            .replace("PartialDefaultRecord", "DefaultRecord");
        let (kafka, ours) = (kafka.replace("=-1 bytes", "=0 bytes"), case.answer());
        let kind = if kafka == ours {
            kafka.split('\t').take(2).collect::<Vec<_>>().join(" ")
        } else if let Some(reason) = known_difference(&case, &kafka, &ours) {
            format!("known difference: {reason}")
        } else {
            let request = case.request();
            return Err(format!("case {number}: {request}\nours\n{ours}\nKafka\n{kafka}").into());
        };
        *kinds.entry(kind).or_default() += 1;
    }
    Ok(kinds)
}

/// Writes the golden files: batches of each side as Kafka reads them, and Kafka's judgements.
fn record(oracle: &mut Oracle) -> Outcome<()> {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut rng = Rng::new(2);
    let mut batches = String::from(
        "# writer, batch, what Apache Kafka 4.3.1 reads in it. Written by the example java_records.\n",
    );
    for codec in CODECS {
        for _ in 0..3 {
            let sample: Bytes =
                std::iter::repeat_with(|| random_batch(&mut rng, 1_700_000_000_000))
                    .find(|batch| batch.len() < 900)
                    .ok_or("no small batch")?;
            let levels: &[&str] = match codec {
                Compression::None | Compression::Snappy => &["-"],
                Compression::Gzip => &["-", "1", "9"],
                Compression::Lz4 => &["-", "1", "17"],
                Compression::Zstd => &["-", "1", "22"],
            };
            for level in levels {
                let request = format!("rewrite\t{}\t{level}\t{}", codec.name(), hex(&sample));
                let answer = oracle.ask(&request)?;
                let bytes = answer.strip_prefix("ok\t").ok_or(answer.clone())?;
                let read = oracle.ask(&format!("read\t{bytes}"))?;
                batches += &format!("kafka\t{bytes}\t{read}\n");
            }
            let read = oracle.ask(&format!("read\t{}", hex(&sample)))?;
            batches += &format!("ours\t{}\t{read}\n", hex(&sample));
        }
    }
    std::fs::write(format!("{golden}/batches.txt"), batches)?;

    let mut cases = String::from(
        "# a question and the answer of Apache Kafka 4.3.1. Written by the example java_records.\n",
    );
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    while seen.len() < 12 || seen.values().sum::<usize>() < 100 {
        let case = Case::random(&mut rng);
        let answer = oracle.ask(&case.request())?;
        let kind = answer.split('\t').take(2).collect::<Vec<_>>().join(" ");
        let number = seen.entry(kind).or_default();
        let small = case.bytes.len() < 700 && answer.len() < 2_000;
        if *number < 12 && small && known_difference(&case, &answer, &case.answer()).is_none() {
            *number += 1;
            cases += &format!("{}\n{answer}\n", case.request());
        }
        if seen.values().filter(|count| **count >= 12).count() >= 6 {
            break;
        }
    }
    std::fs::write(format!("{golden}/validate.txt"), cases)?;
    Ok(())
}

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // A person reads this: `Termination` would print the text escaped.
            let told = writeln!(std::io::stderr(), "{error}");
            std::process::ExitCode::from(if told.is_ok() { 1 } else { 2 })
        }
    }
}

fn run() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let libs = arguments
        .next()
        .ok_or("give the directory with Apache Kafka's jars")?;
    let mut oracle = Oracle::start(&libs)?;
    let cases = match arguments.next().as_deref() {
        Some("record") => return record(&mut oracle),
        Some(number) => number.parse()?,
        None => 2_000,
    };
    let seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let mut rng = Rng::new(seed);
    compare_formats(&mut oracle, &mut rng, cases / 4)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} batches read alike in both directions", cases / 4)?;
    for (kind, count) in compare_validation(&mut oracle, &mut rng, cases)? {
        writeln!(out, "{count:6} {kind}")?;
    }
    drop(oracle.requests);
    oracle.process.wait()?;
    Ok(())
}
