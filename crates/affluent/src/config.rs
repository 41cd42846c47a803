//! `affluent config`: settings checked without starting anything, and the reference.

use broker::config::BrokerConfigs;
use clap::{Args, Subcommand, ValueEnum};
use cli::output::{Column, Row};
use cli::{Failure, Format, Outcome, Printer};
use serde::Serialize;

use crate::settings::{Settings, SettingsArgs};

/// The commands on configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the settings a start would use, and show where each comes from.
    Check(Box<CheckArgs>),
    /// Print what every key means, in Markdown.
    Reference(ReferenceArgs),
}

/// Flags of `config check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// The form of the output: human, json or yaml.
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        hide_possible_values = true
    )]
    output: Format,
}

/// Flags of `config reference`.
#[derive(Debug, Args)]
pub(crate) struct ReferenceArgs {
    /// Print only the keys of one kind.
    kind: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Topic,
    Broker,
    Group,
    ClientMetrics,
}

impl Kind {
    fn page(self) -> &'static str {
        match self {
            Kind::Topic => "topic-configs.md",
            Kind::Broker => "broker-configs.md",
            Kind::Group => "group-configs.md",
            Kind::ClientMetrics => "client-metrics-configs.md",
        }
    }
}

#[derive(Debug, Serialize)]
struct SettingRow {
    name: String,
    value: String,
    source: String,
}

impl Row for SettingRow {
    const COLUMNS: &'static [Column] = &[
        Column::text("Name"),
        Column::text("Value"),
        Column::text("Set by"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.value.clone(), self.source.clone()]
    }
}

pub(crate) fn run(command: &ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Check(args) => check(args),
        ConfigCommand::Reference(args) => reference(args),
    }
}

/// A key nobody knows fails here, while a start only warns of it, so that a rollback to an older binary
/// still boots.
fn check(args: &CheckArgs) -> Outcome {
    let settings = Settings::load(&args.settings, std::env::vars_os())?;
    let options = settings.resolve()?;
    let loaded = BrokerConfigs::from_properties(options.properties)
        .map_err(|error| settings.blame(Failure::of(&error)))?;
    if let Some(unknown) = loaded.unknown.first() {
        let failure = Failure::new(format!("'{unknown}' is no configuration key"))
            .remedy("`affluent config reference broker` lists every key");
        return Err(settings.blame(failure));
    }
    if let Some(unknown) = settings.unknown_environment().first() {
        return Err(Failure::new(format!(
            "environment variable '{unknown}' stands for no configuration key"
        )));
    }
    let mut printer = Printer::new(args.output);
    let rows: Vec<SettingRow> = settings
        .iter()
        .map(|(name, value, source)| SettingRow {
            name: name.to_owned(),
            value: value.to_owned(),
            source: source.to_string(),
        })
        .collect();
    printer.list(&rows)?;
    printer.flush()
}

fn reference(args: &ReferenceArgs) -> Outcome {
    let mut printer = Printer::new(Format::Human);
    for (page, text) in broker::config::reference_markdown() {
        if args.kind.is_none_or(|kind| kind.page() == page) {
            printer.line(text.trim_end())?;
            printer.line("")?;
        }
    }
    printer.flush()
}
