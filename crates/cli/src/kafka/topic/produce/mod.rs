//! `affluent kafka topic produce`: one record for each line of standard input.
//!
//! A reader thread hands lines over in small batches, so that lines typed one by one leave at once and a
//! file does not pay for a hand-over per line. The producer is idempotent and keeps librdkafka's own limits:
//! when its queue is full, reading waits. A broker that is away for less than `message.timeout.ms` (five
//! minutes) costs time, no record.

mod lines;
mod record;
mod tally;

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use client::data::{self, BaseRecord, DataError, OwnedHeaders, Producer, ThreadedProducer};
use client::data::{RDKafkaErrorCode, Timeout};
use serde::Serialize;

use self::lines::Batch;
use self::tally::Tally;
use crate::failure::{Failure, Outcome, note};
use crate::interrupt::Interrupt;
use crate::kafka::{Context, Settings, settings};
use crate::numbers;
use crate::output::Format;
use crate::progress::Progress;

/// How long one wait may be before Ctrl-C is looked for.
const TICK: Duration = Duration::from_millis(100);

/// Flags of `topic produce`.
#[derive(Debug, Args)]
pub struct ProduceArgs {
    /// The topic's name.
    topic: String,
    /// Cut each line at the first delimiter into key and value.
    #[arg(long)]
    parse_key: bool,
    /// What stands between key and value.
    #[arg(long, default_value = ":", value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    delimiter: String,
    /// Headers of every record.
    #[arg(long, value_name = "key:value,...", value_delimiter = ',')]
    headers: Vec<String>,
    /// Write to this partition; left out, the key's hash decides, and chance without a key.
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// How batches are compressed.
    #[arg(long, value_enum, default_value_t)]
    compression: Compression,
    /// librdkafka settings; may be given several times.
    #[arg(long, value_name = "key=value,...")]
    config: Vec<Settings>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

#[derive(Debug, Serialize)]
struct Produced<'a> {
    topic: &'a str,
    records: u64,
    bytes: u64,
}

pub(super) fn run(context: &mut Context, args: &ProduceArgs) -> Outcome {
    let headers = record::headers(&args.headers)?;
    let bootstrap = context.locate(&args.topic)?.brokers;
    let interrupt = Interrupt::listen()?;
    let tally = Arc::new(Tally::default());
    let producer = producer(args, &bootstrap, Arc::clone(&tally))?;
    let typed = std::io::stdin().is_terminal();
    if typed {
        note("Starting Kafka Producer. Use Ctrl-C or Ctrl-D to exit.");
    }
    let progress = if typed {
        Progress::hidden()
    } else {
        Progress::open_ended("records")
    };

    let sender = Sender {
        args,
        headers,
        producer,
        interrupt,
        progress,
    };
    let sent = sender.send_all(&lines::read_stdin()?);
    // Whatever went wrong with the input: what was accepted before it is delivered first.
    let delivered = sender.deliver_rest(&tally);
    sender.progress.clear();
    report(context, args, &tally, typed)?;
    sent.and(delivered)
}

fn producer(
    args: &ProduceArgs,
    bootstrap: &str,
    tally: Arc<Tally>,
) -> Outcome<ThreadedProducer<tally::Shared>> {
    let mut config = data::producer_config(bootstrap, "affluent-cli");
    config.set("compression.type", args.compression.name());
    for (key, value) in settings::parse(&args.config)? {
        config.set(key, value);
    }
    config
        .create_with_context(tally::Shared(tally))
        .map_err(Failure::from)
}

struct Sender<'a> {
    args: &'a ProduceArgs,
    headers: Option<OwnedHeaders>,
    producer: ThreadedProducer<tally::Shared>,
    interrupt: Interrupt,
    progress: Progress,
}

impl Sender<'_> {
    /// Sends lines until they end, one is wrong, or the user asks for an end.
    fn send_all(&self, batches: &Receiver<Batch>) -> Outcome {
        let mut number = 0;
        while !self.interrupt.is_asked() {
            let batch = match batches.recv_timeout(TICK) {
                Ok(batch) => batch,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            for line in batch? {
                number += 1;
                self.send(&line, number)?;
            }
            self.progress.set(number);
        }
        Ok(())
    }

    fn send(&self, line: &[u8], number: u64) -> Outcome {
        let delimiter = self
            .args
            .parse_key
            .then_some(self.args.delimiter.as_bytes());
        let (key, value) = record::split(line, delimiter).ok_or_else(|| {
            Failure::new(format!(
                "line {number} has no delimiter \"{}\" after its key",
                self.args.delimiter
            ))
            .remedy("name the delimiter with --delimiter, or leave --parse-key out")
        })?;
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.args.topic).payload(value);
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(partition) = self.args.partition {
            record = record.partition(partition);
        }
        if let Some(headers) = &self.headers {
            record = record.headers(headers.clone());
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((DataError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    self.producer.poll(TICK);
                }
                Err((error, _)) => {
                    return Err(Failure::from(error).within(&format!("line {number} was not sent")));
                }
            }
        }
    }

    /// Waits until every record sent has been acknowledged or given up.
    fn deliver_rest(&self, tally: &Tally) -> Outcome {
        loop {
            match self.producer.flush(Timeout::After(TICK)) {
                Ok(()) => break,
                Err(DataError::Flush(RDKafkaErrorCode::OperationTimedOut)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        tally.outcome()
    }
}

fn report(context: &mut Context, args: &ProduceArgs, tally: &Tally, typed: bool) -> Outcome {
    let produced = Produced {
        topic: &args.topic,
        records: tally.delivered(),
        bytes: tally.bytes(),
    };
    match context.printer.format() {
        // Who typed the lines has seen them.
        Format::Human if typed => {}
        Format::Human => {
            let count = numbers::counted(produced.records, "record");
            note(&format!("Produced {count} to topic \"{}\".", args.topic));
        }
        Format::Json | Format::Yaml => context.printer.document(&produced)?,
    }
    Ok(())
}
