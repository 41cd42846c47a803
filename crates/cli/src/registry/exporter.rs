//! `affluent schema-registry exporter`: schemas copied to another registry (schema linking).
//!
//! Differs: `--kek-format` is ours, for what the API calls `kekRenameFormat`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use registry_client::{Method, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, files};
use crate::confirm::confirm;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Format, Row};

/// What an exporter's subjects are called elsewhere where nothing else is said.
const SAME_NAME: &str = "${subject}";

/// The commands on exporters.
#[derive(Debug, Subcommand)]
pub(crate) enum ExporterCommand {
    /// List the exporters.
    List,
    /// Create an exporter.
    Create(CreateArgs),
    /// Describe an exporter.
    Describe(NameArgs),
    /// Update an exporter.
    Update(UpdateArgs),
    /// Delete exporters.
    Delete(DeleteArgs),
    /// Pause an exporter.
    Pause(NameArgs),
    /// Resume a paused exporter.
    Resume(NameArgs),
    /// Reset a paused exporter, so that it begins anew.
    Reset(NameArgs),
    /// Look at what an exporter does.
    #[command(subcommand)]
    Status(DescribeCommand),
    /// Look at how an exporter reaches the other registry.
    #[command(subcommand)]
    Configuration(DescribeCommand),
}

/// A command that only describes.
#[derive(Debug, Subcommand)]
pub(crate) enum DescribeCommand {
    /// Describe it.
    Describe(NameArgs),
}

/// An exporter.
#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// The exporter's name.
    name: String,
}

/// Flags of `exporter delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The exporters' names.
    #[arg(required = true)]
    names: Vec<String>,
    /// Do not ask.
    #[arg(long)]
    force: bool,
}

/// In which context schemas arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum ContextType {
    /// One that the exporter makes up.
    Auto,
    /// The one that is named.
    Custom,
    /// That in which they are here.
    None,
    /// The default one.
    Default,
}

/// Flags of `exporter create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The exporter's name.
    name: String,
    /// How to reach the other registry: a list such as schema.registry.url=http://other:8081, or a file.
    #[arg(long, value_delimiter = ',', value_name = "key=value,...")]
    config: Vec<String>,
    /// The subjects, with commas between.
    #[arg(long, value_delimiter = ',', default_value = "*")]
    subjects: Vec<String>,
    /// What subjects are called elsewhere; `${subject}` stands for the name they have here.
    #[arg(long, default_value = SAME_NAME)]
    subject_format: String,
    /// What KEKs are called elsewhere; `${kek}` stands for the name they have here. Left out, they keep it.
    #[arg(long)]
    kek_format: Option<String>,
    /// In which context schemas arrive.
    #[arg(long, value_enum, ignore_case = true, default_value = "auto")]
    context_type: ContextType,
    /// The context, for the type `custom`.
    #[arg(long)]
    context_name: Option<String>,
}

/// Flags of `exporter update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The exporter's name.
    name: String,
    /// How to reach the other registry: a list of key=value, or a file.
    #[arg(long, value_delimiter = ',', value_name = "key=value,...")]
    config: Vec<String>,
    /// The subjects, with commas between.
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<String>,
    /// What subjects are called elsewhere.
    #[arg(long)]
    subject_format: Option<String>,
    /// What KEKs are called elsewhere; empty for the name they have here.
    #[arg(long)]
    kek_format: Option<String>,
    /// In which context schemas arrive.
    #[arg(long, value_enum, ignore_case = true)]
    context_type: Option<ContextType>,
    /// The context, for the type `custom`.
    #[arg(long)]
    context_name: Option<String>,
}

impl ContextType {
    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_ascii_uppercase())
            .unwrap_or_default()
    }
}

/// An exporter, as a registry tells it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Exporter {
    name: String,
    subjects: Vec<String>,
    subject_rename_format: Option<String>,
    kek_rename_format: Option<String>,
    context_type: Option<String>,
    context: Option<String>,
    config: BTreeMap<String, String>,
}

/// The same, as it is printed.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    subjects: String,
    subject_format: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kek_format: Option<String>,
    context_type: String,
    context: String,
    config: BTreeMap<String, String>,
}

/// What an exporter does.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    name: String,
    state: String,
    offset: i64,
    ts: i64,
    trace: Option<String>,
}

/// The same, as it is printed.
#[derive(Debug, Serialize)]
struct ShownStatus {
    name: String,
    state: String,
    offset: String,
    timestamp: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    error_trace: String,
}

#[derive(Debug, Serialize)]
struct NameRow {
    name: String,
}

impl Row for NameRow {
    const COLUMNS: &'static [Column] = &[Column::text("Name")];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

pub(super) fn run(context: &mut Context, command: ExporterCommand) -> Outcome {
    match command {
        ExporterCommand::List => {
            let request = Request::get(&["exporters"]);
            let names: Vec<String> = context.ask(async |client| client.json(&request).await)?;
            let rows: Vec<NameRow> = names.into_iter().map(|name| NameRow { name }).collect();
            context.printer.list(&rows)
        }
        ExporterCommand::Create(args) => create(context, &args),
        ExporterCommand::Describe(args) => describe(context, &args.name),
        ExporterCommand::Update(args) => update(context, &args),
        ExporterCommand::Delete(args) => delete(context, &args),
        ExporterCommand::Pause(args) => act(context, &args.name, "pause", "Paused"),
        ExporterCommand::Resume(args) => act(context, &args.name, "resume", "Resumed"),
        ExporterCommand::Reset(args) => act(context, &args.name, "reset", "Reset"),
        ExporterCommand::Status(DescribeCommand::Describe(args)) => status(context, &args.name),
        ExporterCommand::Configuration(DescribeCommand::Describe(args)) => {
            let path = ["exporters", &args.name, "config"];
            let config: Value =
                context.ask(async |client| client.json(&Request::get(&path)).await)?;
            context.printer.document(&config)
        }
    }
}

fn create(context: &mut Context, args: &CreateArgs) -> Outcome {
    let context_name = match (args.context_type, &args.context_name) {
        (ContextType::Custom, name) => name.clone().unwrap_or_default(),
        (_, None) => ".".to_owned(),
        (_, Some(_)) => {
            return Err(
                Failure::new("can only set context name if context type is \"custom\"")
                    .remedy("--context-type custom"),
            );
        }
    };
    let body = json!({
        "name": args.name,
        "subjects": args.subjects,
        "subjectRenameFormat": args.subject_format,
        "kekRenameFormat": args.kek_format,
        "contextType": args.context_type.name(),
        "context": context_name,
        "config": files::properties(&args.config)?,
    });
    let request = Request::new(Method::POST, &["exporters"]).body(body);
    context.ask(async |client| client.send(&request).await)?;
    done(context, "Created", &args.name)
}

fn done(context: &mut Context, what: &str, name: &str) -> Outcome {
    let sentence = format!("{what} schema exporter \"{name}\".");
    context.printer.done(&sentence, &json!({ "name": name }))
}

fn find(context: &Context, name: &str) -> Outcome<Exporter> {
    let path = ["exporters", name];
    context.ask(async |client| client.json(&Request::get(&path)).await)
}

fn describe(context: &mut Context, name: &str) -> Outcome {
    let found = find(context, name)?;
    let shown = Shown {
        name: found.name,
        subjects: found.subjects.join(", "),
        subject_format: found.subject_rename_format.unwrap_or_default(),
        kek_format: found.kek_rename_format,
        context_type: found.context_type.unwrap_or_default(),
        context: found.context.unwrap_or_default(),
        config: found.config,
    };
    let config: Vec<String> = shown
        .config
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let fields = [
        ("Name", shown.name.clone()),
        ("Subjects", shown.subjects.clone()),
        ("Subject Format", shown.subject_format.clone()),
        ("KEK Format", shown.kek_format.clone().unwrap_or_default()),
        ("Context Type", shown.context_type.clone()),
        ("Context", shown.context.clone()),
        ("Config", config.join(", ")),
    ];
    context.printer.fields(&fields, &shown)
}

fn update(context: &mut Context, args: &UpdateArgs) -> Outcome {
    // What is not given stays as it is, and the request has to say so.
    let found = find(context, &args.name)?;
    let subjects = match args.subjects.as_slice() {
        [] => &found.subjects,
        some => some,
    };
    let format = args.subject_format.clone().or(found.subject_rename_format);
    let context_type = args.context_type.map(ContextType::name);
    let mut body = json!({
        "subjects": subjects,
        "subjectRenameFormat": format.unwrap_or_else(|| SAME_NAME.to_owned()),
        "contextType": context_type.or(found.context_type),
        "context": args.context_name.clone().or(found.context),
    });
    if let Some(format) = &args.kek_format {
        body["kekRenameFormat"] = json!(format);
    }
    if !args.config.is_empty() {
        body["config"] = json!(files::properties(&args.config)?);
    }
    let path = ["exporters", &args.name];
    let request = Request::new(Method::PUT, &path).body(body);
    context.ask(async |client| client.send(&request).await)?;
    done(context, "Updated", &args.name)
}

fn delete(context: &mut Context, args: &DeleteArgs) -> Outcome {
    for name in &args.names {
        find(context, name)?;
    }
    let quoted: Vec<String> = args
        .names
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect();
    let question = format!(
        "Are you sure you want to delete schema exporter {}?",
        quoted.join(", ")
    );
    confirm(args.force, &question)?;
    for name in &args.names {
        let path = ["exporters", name];
        let request = Request::new(Method::DELETE, &path);
        context.ask(async |client| client.send(&request).await)?;
        if context.printer.format() == Format::Human {
            context
                .printer
                .line(&format!("Deleted schema exporter \"{name}\"."))?;
        }
    }
    match context.printer.format() {
        Format::Human => Ok(()),
        Format::Json | Format::Yaml => context.printer.document(&args.names),
    }
}

fn act(context: &mut Context, name: &str, action: &str, done_word: &str) -> Outcome {
    let path = ["exporters", name, action];
    let request = Request::new(Method::PUT, &path);
    context.ask(async |client| client.send(&request).await)?;
    done(context, done_word, name)
}

fn status(context: &mut Context, name: &str) -> Outcome {
    let path = ["exporters", name, "status"];
    let found: Status = context.ask(async |client| client.json(&Request::get(&path)).await)?;
    let shown = ShownStatus {
        name: found.name,
        state: found.state,
        offset: found.offset.to_string(),
        timestamp: found.ts.to_string(),
        error_trace: found.trace.unwrap_or_default(),
    };
    let fields = [
        ("Name", shown.name.clone()),
        ("State", shown.state.clone()),
        ("Offset", shown.offset.clone()),
        ("Timestamp", shown.timestamp.clone()),
        ("Error Trace", shown.error_trace.clone()),
    ];
    context.printer.fields(&fields, &shown)
}
