//! `affluent schema-registry compatibility` (`schema compatibility`).

use std::path::PathBuf;

use clap::{Args, Subcommand};
use registry_client::{Method, Request};
use serde::{Deserialize, Serialize};

use super::Context;
use super::files::{self, TypeFlag};
use crate::failure::Outcome;
use crate::output::{Column, Format, Row};

/// The commands on compatibility.
#[derive(Debug, Subcommand)]
pub(crate) enum CompatibilityCommand {
    /// Validate that a schema is compatible with versions of a subject.
    Validate(ValidateArgs),
}

/// Flags of `compatibility validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The path to the schema file.
    #[arg(value_name = "schema-path")]
    schema_path: PathBuf,
    /// The subject.
    #[arg(long)]
    subject: String,
    /// The type of the schema: avro, json or protobuf.
    #[arg(long = "type", value_enum, ignore_case = true, default_value = "avro")]
    schema_type: TypeFlag,
    /// The version, or `latest`; left out, what the compatibility level of the subject looks at.
    #[arg(long)]
    version: Option<String>,
    /// The path to a file of references.
    #[arg(long, value_name = "PATH")]
    references: Option<PathBuf>,
}

/// What a registry answers.
#[derive(Debug, Deserialize)]
struct Verdict {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

/// Differs: the Confluent CLI has `is_compatible` only, and does not say what is in the way.
#[derive(Debug, Serialize)]
struct Shown {
    is_compatible: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<String>,
}

impl Row for Shown {
    const COLUMNS: &'static [Column] = &[Column::text("Compatible")];

    fn cells(&self) -> Vec<String> {
        vec![self.is_compatible.to_string()]
    }
}

pub(super) fn run(context: &mut Context, command: CompatibilityCommand) -> Outcome {
    let CompatibilityCommand::Validate(args) = command;
    let mut body = serde_json::json!({
        "schema": files::text(&args.schema_path)?,
        "schemaType": args.schema_type.schema_type().name(),
    });
    if let Some(path) = &args.references {
        body["references"] = files::json(path)?;
    }
    let mut path = vec!["compatibility", "subjects", &args.subject, "versions"];
    path.extend(args.version.as_deref());
    let request = Request::new(Method::POST, &path)
        .query("verbose", true)
        .body(body);
    let verdict: Verdict = context.ask(async |client| client.json(&request).await)?;
    let shown = Shown {
        is_compatible: verdict.is_compatible,
        messages: verdict.messages,
    };
    context.printer.object(&shown)?;
    if context.printer.format() == Format::Human {
        for message in &shown.messages {
            context.printer.line(message)?;
        }
    }
    Ok(())
}
