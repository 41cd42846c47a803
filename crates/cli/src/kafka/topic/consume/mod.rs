//! `affluent kafka topic consume`: print records as they come.
//!
//! Without `--group` the consumer takes all partitions (or the one asked for) by itself: it joins no group
//! and leaves no offsets behind. "Differs:" from the Confluent CLI, which makes up a group for each run.
//! With `--group` it is a member like any other; an offset is committed only once its record was handed to
//! standard output.

mod position;
mod render;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use client::data::{self, BaseConsumer, CommitMode, Consumer, DataError, Message, Offset};
use client::data::{RDKafkaErrorCode, Timeout, TopicPartitionList};

use self::position::Start;
use self::render::Style;
use self::watch::Watch;
use crate::failure::{Failure, Outcome, note};
use crate::interrupt::Interrupt;
use crate::kafka::{Context, Settings, settings};
use crate::output::{Format, Printer};
use crate::progress::Progress;

/// How long one wait may be before Ctrl-C is looked for.
const TICK: Duration = Duration::from_millis(100);

/// Flags of `topic consume`.
#[derive(Debug, Args)]
pub struct ConsumeArgs {
    /// The topic's name.
    topic: String,
    /// Join this consumer group and commit what was read.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    group: Option<String>,
    /// Begin with the oldest record there is, instead of the next one written.
    #[arg(short = 'b', long)]
    from_beginning: bool,
    /// Begin at this offset.
    #[arg(long, conflicts_with_all = ["from_beginning", "group"], value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<i64>,
    /// Read only this partition.
    #[arg(long, conflicts_with = "group", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Print the key before the value.
    #[arg(long)]
    print_key: bool,
    /// Print the partition and the offset before the record.
    #[arg(long)]
    print_offset: bool,
    /// Print the timestamp in milliseconds before the record.
    #[arg(long)]
    timestamp: bool,
    /// Print the headers on a line of their own after the record.
    #[arg(long)]
    full_header: bool,
    /// What stands between key and value.
    #[arg(long, default_value = "\t", value_name = "TEXT")]
    delimiter: String,
    /// End after this many records.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_messages: Option<u64>,
    /// End when every partition was read to its end.
    #[arg(long)]
    exit: bool,
    /// librdkafka settings; may be given several times.
    #[arg(long, value_name = "key=value,...")]
    config: Vec<Settings>,
}

pub(super) fn run(context: &mut Context, args: &ConsumeArgs) -> Outcome {
    let located = context.locate(&args.topic)?;
    let partitions = position::select(&args.topic, located.partitions, args.partition)?;
    let interrupt = Interrupt::listen()?;
    let consumer = consumer(args, &located.brokers)?;
    match &args.group {
        Some(_) => consumer.subscribe(&[&args.topic])?,
        None => {
            position::assign(
                context,
                &consumer,
                &args.topic,
                &partitions,
                Start::of(args),
            )?;
        }
    }
    if std::io::stderr().is_terminal() && std::io::stdin().is_terminal() && !args.exit {
        note("Starting Kafka Consumer. Use Ctrl-C to exit.");
    }
    let shown = std::io::stdout().is_terminal();
    let progress = if shown {
        Progress::hidden()
    } else {
        Progress::open_ended("records")
    };
    let mut reading = Reading {
        args,
        consumer: &consumer,
        printer: &mut context.printer,
        style: Style::of(args),
        progress,
        records: 0,
        printed: BTreeMap::new(),
        at_end: BTreeSet::new(),
        end_is_new: true,
    };
    let read = reading.read_all(&interrupt);
    // What was printed counts as read, also when the reading ended with an error.
    let handed_over = reading.hand_over();
    reading.progress.clear();
    read.and(handed_over)?;
    commit(&consumer, args)
}

fn consumer(args: &ConsumeArgs, bootstrap: &str) -> Outcome<BaseConsumer<Watch>> {
    let group = args.group.as_deref().unwrap_or("affluent-cli");
    let mut config = data::consumer_config(bootstrap, "affluent-cli", group);
    let reset = match Start::of(args) {
        Start::Earliest => "earliest",
        Start::Latest => "latest",
        // Silently beginning elsewhere would not be what was asked for.
        Start::At(_) => "error",
    };
    config
        .set("auto.offset.reset", reset)
        .set(
            "enable.auto.commit",
            if args.group.is_some() {
                "true"
            } else {
                "false"
            },
        )
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true");
    for (key, value) in settings::parse(&args.config)? {
        config.set(key, value);
    }
    Ok(config.create_with_context(Watch::default())?)
}

fn commit(consumer: &BaseConsumer<Watch>, args: &ConsumeArgs) -> Outcome {
    if args.group.is_none() {
        return Ok(());
    }
    match consumer.commit_consumer_state(CommitMode::Sync) {
        // There is nothing to commit, or the partitions are somebody else's now.
        Ok(()) | Err(DataError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
        Err(error) => Err(Failure::new(format!(
            "the offsets of group '{}' could not be committed: {error}",
            args.group.as_deref().unwrap_or_default()
        ))),
    }
}

struct Reading<'a> {
    args: &'a ConsumeArgs,
    consumer: &'a BaseConsumer<Watch>,
    printer: &'a mut Printer,
    style: Style,
    progress: Progress,
    records: u64,
    /// The newest offset printed of each partition, not yet handed over.
    printed: BTreeMap<i32, i64>,
    /// Partitions read to their end.
    at_end: BTreeSet<i32>,
    /// Whether `at_end` changed since it was compared with the assignment, which takes a thread's round trip.
    end_is_new: bool,
}

impl Reading<'_> {
    fn read_all(&mut self, interrupt: &Interrupt) -> Outcome {
        while !interrupt.is_asked() && !self.is_done() {
            let event = match self.consumer.poll(Timeout::After(Duration::ZERO)) {
                Some(event) => Some(event),
                None => {
                    self.hand_over()?;
                    self.progress.set(self.records);
                    self.consumer
                        .context()
                        .check_brokers(self.consumer, &self.args.topic);
                    self.consumer.poll(TICK)
                }
            };
            match event {
                None => {}
                Some(Ok(message)) => self.print(&message)?,
                Some(Err(DataError::PartitionEOF(partition))) => {
                    self.consumer.context().is_up();
                    self.at_end.insert(partition);
                    self.end_is_new = true;
                }
                Some(Err(error)) => self.consumer.context().judge(error, &self.args.topic)?,
            }
        }
        Ok(())
    }

    fn print(&mut self, message: &data::BorrowedMessage<'_>) -> Outcome {
        self.consumer.context().is_up();
        match self.printer.format() {
            Format::Human => self.style.print(self.printer, message)?,
            Format::Json | Format::Yaml => {
                self.printer.document_of_many(&render::document(message))?;
            }
        }
        self.printed.insert(message.partition(), message.offset());
        self.records += 1;
        Ok(())
    }

    /// Flushes what was printed; only then may its offsets be committed.
    fn hand_over(&mut self) -> Outcome {
        self.printer.flush()?;
        let printed = std::mem::take(&mut self.printed);
        if self.args.group.is_none() || printed.is_empty() {
            return Ok(());
        }
        let mut next = TopicPartitionList::with_capacity(printed.len());
        for (partition, offset) in printed {
            next.add_partition_offset(&self.args.topic, partition, Offset::Offset(offset + 1))?;
        }
        match self.consumer.store_offsets(&next) {
            // A rebalance took a partition away meanwhile: its next owner reads the records again.
            Ok(()) | Err(DataError::StoreOffset(RDKafkaErrorCode::State)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn is_done(&mut self) -> bool {
        if self
            .args
            .max_messages
            .is_some_and(|max| self.records >= max)
        {
            return true;
        }
        if self.consumer.context().take_rebalanced() {
            self.at_end.clear();
            self.end_is_new = true;
        }
        if !self.args.exit || !self.end_is_new || !self.consumer.context().is_assigned() {
            return false;
        }
        self.end_is_new = false;
        self.consumer.assignment().is_ok_and(|assigned| {
            let mut partitions = assigned.elements().into_iter().map(|part| part.partition());
            partitions.all(|partition| self.at_end.contains(&partition))
        })
    }
}
