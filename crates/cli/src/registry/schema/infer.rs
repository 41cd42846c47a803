//! `affluent schema-registry schema infer`: a schema proposed from the records of a topic.
//!
//! Differs: the Confluent CLI has no such command.

use clap::Args;
use schema::infer::{FieldReport, Inference, Proposal};
use serde::Serialize;

use super::records::{self, Sample};
use crate::failure::{Failure, Outcome, note};
use crate::numbers::counted;
use crate::output::{Column, Format, Row};
use crate::registry::Context;
use crate::registry::files::TypeFlag;

/// Flags of `schema infer`.
#[derive(Debug, Args)]
pub(crate) struct InferArgs {
    /// The topic.
    #[arg(long)]
    pub(super) topic: String,
    /// The format of the schema: avro, json or protobuf.
    #[arg(long, value_enum, ignore_case = true, default_value = "avro")]
    format: TypeFlag,
    /// Broker addresses, separated by commas.
    #[arg(
        long,
        alias = "bootstrap-server",
        value_name = "host:port",
        env = "AFFLUENT_BOOTSTRAP",
        default_value = "localhost:9092"
    )]
    pub(super) bootstrap: String,
    /// Look at this many records, the oldest of each partition.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(super) max_records: u64,
    /// Look at keys, not values.
    #[arg(long)]
    pub(super) key: bool,
    /// The name of the record; made of the topic's where it is left out.
    #[arg(long)]
    name: Option<String>,
    /// The namespace (Avro) or package (Protobuf).
    #[arg(long)]
    namespace: Option<String>,
    /// Print the schema and nothing else.
    #[arg(long)]
    schema_only: bool,
}

/// What is printed: the proposal, and what could not be looked at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    topic: &'a str,
    #[serde(flatten)]
    proposal: &'a Proposal,
    nulls: u64,
    unreadable: u64,
}

#[derive(Debug, Serialize)]
struct FieldRow<'a>(&'a FieldReport);

impl Row for FieldRow<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::text("Field"),
        Column::text("Kinds"),
        Column::number("Null"),
        Column::number("Absent"),
        Column::number("Distinct"),
        Column::text("Range"),
        Column::text("Examples"),
        Column::text("Tags"),
    ];

    fn cells(&self) -> Vec<String> {
        let FieldRow(field) = self;
        let kinds: Vec<&str> = field.kinds.iter().map(|(kind, _)| *kind).collect();
        let range = match (field.range, field.lengths) {
            (Some((low, high)), _) => format!("{low} to {high}"),
            (None, Some((short, long))) => format!("length {short} to {long}"),
            (None, None) => String::new(),
        };
        let examples: Vec<String> = field.examples.iter().map(ToString::to_string).collect();
        let tags: Vec<String> = field
            .tags
            .iter()
            .map(|tag| format!("{} ({})", tag.tag, tag.why))
            .collect();
        vec![
            field.path.clone(),
            kinds.join(", "),
            percent(field.null_share),
            percent(field.absent_share),
            field.distinct.to_string(),
            range,
            examples.join(", "),
            tags.join(", "),
        ]
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

pub(super) fn run(context: &mut Context, args: &InferArgs) -> Outcome {
    let name = args.name.as_deref().unwrap_or(&args.topic);
    let mut inference = Inference::new(name, args.namespace.as_deref());
    let sample = records::read(context, args, &mut |record| inference.add(record))?;
    let proposal = inference
        .propose(args.format.schema_type())
        .map_err(|error| Failure::of(&error).within(&format!("topic '{}'", args.topic)))?;
    print(context, args, &proposal, sample)
}

fn print(context: &mut Context, args: &InferArgs, proposal: &Proposal, sample: Sample) -> Outcome {
    let printer = &mut context.printer;
    if args.schema_only {
        return printer.line(&proposal.schema);
    }
    if printer.format() != Format::Human {
        return printer.document(&Shown {
            topic: &args.topic,
            proposal,
            nulls: sample.nulls,
            unreadable: sample.unreadable,
        });
    }
    printer.line(&proposal.schema)?;
    printer.line("")?;
    printer.line(&format!(
        "From {} of topic \"{}\".",
        counted(proposal.records, "record"),
        args.topic
    ))?;
    let rows: Vec<FieldRow<'_>> = proposal.fields.iter().map(FieldRow).collect();
    printer.table(&rows)?;
    if sample.unreadable > 0 {
        note(&format!(
            "{} could not be read and are no part of it.",
            counted(sample.unreadable, "record")
        ));
    }
    if proposal.is_cut {
        note("There are more fields than an inference follows; the schema lacks some.");
    }
    Ok(())
}
