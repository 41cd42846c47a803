//! `affluent schema-registry mode`.
//!
//! Differs: the Confluent CLI updates modes with `cluster update` and `subject update` only, and describes none.

use clap::{Args, Subcommand, ValueEnum};
use registry_client::{Method, Request};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Context;
use super::config::path;
use crate::failure::Outcome;
use crate::output::{Column, Row};

/// The commands on modes.
#[derive(Debug, Subcommand)]
pub(crate) enum ModeCommand {
    /// Describe the mode of all subjects, or of one.
    Describe(DescribeArgs),
    /// Update the mode of all subjects, or of one.
    Update(UpdateArgs),
}

/// Flags of `mode describe`.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// The subject; everybody where it is left out.
    #[arg(long)]
    subject: Option<String>,
}

/// Flags of `mode update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The subject; everybody where it is left out.
    #[arg(long)]
    subject: Option<String>,
    /// The mode.
    #[arg(long, value_enum, ignore_case = true)]
    mode: ModeFlag,
    /// Go to import mode though there are schemas.
    #[arg(long)]
    force: bool,
}

/// A mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum ModeFlag {
    Readwrite,
    Readonly,
    ReadonlyOverride,
    Import,
    Forward,
}

#[derive(Debug, Serialize, Deserialize)]
struct Mode {
    mode: String,
}

impl Row for Mode {
    const COLUMNS: &'static [Column] = &[Column::text("Mode")];

    fn cells(&self) -> Vec<String> {
        vec![self.mode.clone()]
    }
}

pub(super) fn run(context: &mut Context, command: ModeCommand) -> Outcome {
    match command {
        ModeCommand::Describe(args) => {
            let path = path("mode", args.subject.as_deref());
            // A subject without a mode of its own has that of everybody.
            let request = Request::get(&path).query("defaultToGlobal", true);
            let mode: Mode = context.ask(async |client| client.json(&request).await)?;
            context.printer.object(&mode)
        }
        ModeCommand::Update(args) => {
            put_mode(context, args.subject.as_deref(), args.mode, args.force)
        }
    }
}

/// Changes a mode.
pub(super) fn put_mode(
    context: &mut Context,
    subject: Option<&str>,
    mode: ModeFlag,
    force: bool,
) -> Outcome {
    let name = mode
        .to_possible_value()
        .map(|value| value.get_name().to_ascii_uppercase())
        .unwrap_or_default();
    let path = path("mode", subject);
    let request = Request::new(Method::PUT, &path)
        .flag("force", force)
        .body(json!({ "mode": name }));
    let now: Mode = context.ask(async |client| client.json(&request).await)?;
    let sentence = match subject {
        Some(subject) => format!(
            "Successfully updated subject-level mode to \"{}\" for subject \"{subject}\".",
            now.mode
        ),
        None => format!("Successfully updated top-level mode to \"{}\".", now.mode),
    };
    context.printer.done(&sentence, &now)
}
