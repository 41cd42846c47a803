//! `affluent schema-registry subject`.

use clap::{Args, Subcommand};
use registry_client::{Method, Request};

use super::config::ConfigFlags;
use super::mode::{ModeFlag, put_mode};
use super::{Context, print_subjects, print_versions};
use crate::confirm::confirm;
use crate::failure::{Failure, Outcome};
use crate::output::Format;

/// The commands on subjects.
#[derive(Debug, Subcommand)]
pub(crate) enum SubjectCommand {
    /// List the subjects.
    List(ListArgs),
    /// Show the versions of a subject.
    Describe(DescribeArgs),
    /// Update compatibility or mode of a subject.
    Update(UpdateArgs),
    /// Delete a subject with all of its versions.
    Delete(DeleteArgs),
}

/// Flags of `subject list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Include deleted subjects.
    #[arg(long)]
    all: bool,
    /// Only subjects that begin so; `:*:` is every subject of every context.
    #[arg(long, default_value = ":*:")]
    prefix: String,
}

/// Flags of `subject describe`.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// The subject.
    subject: String,
    /// Include deleted versions.
    #[arg(long)]
    all: bool,
}

/// Flags of `subject update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The subject.
    subject: String,
    #[command(flatten)]
    config: ConfigFlags,
    /// The mode.
    #[arg(long, value_enum, ignore_case = true)]
    mode: Option<ModeFlag>,
}

/// Flags of `subject delete`. Differs: the Confluent CLI has it as `schema delete --version all` only.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The subject.
    subject: String,
    /// Delete it for good; it has to be deleted without this first.
    #[arg(long)]
    permanent: bool,
    /// Do not ask.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(context: &mut Context, command: SubjectCommand) -> Outcome {
    match command {
        SubjectCommand::List(args) => {
            let request = Request::get(&["subjects"])
                .query("subjectPrefix", &args.prefix)
                .flag("deleted", args.all);
            let subjects = context.ask(async |client| client.json(&request).await)?;
            print_subjects(&mut context.printer, subjects)
        }
        SubjectCommand::Describe(args) => {
            let versions =
                context.ask(async |client| client.versions(&args.subject, args.all).await)?;
            print_versions(&mut context.printer, versions)
        }
        SubjectCommand::Update(args) => update(context, &args),
        SubjectCommand::Delete(args) => delete(context, &args),
    }
}

fn update(context: &mut Context, args: &UpdateArgs) -> Outcome {
    match (args.config.is_given(), args.mode) {
        (true, None) => super::config::put_config(context, Some(&args.subject), &args.config),
        (false, Some(mode)) => put_mode(context, Some(&args.subject), mode, false),
        _ => Err(Failure::new(
            "either what is to be configured or --mode must be given, and not both",
        )
        .remedy("--compatibility backward")),
    }
}

fn delete(context: &mut Context, args: &DeleteArgs) -> Outcome {
    // What is deleted already can only be deleted for good.
    context.ask(async |client| client.versions(&args.subject, args.permanent).await)?;
    let how = if args.permanent { "permanently " } else { "" };
    let question = format!(
        "Are you sure you want to {how}delete subject \"{}\"?",
        args.subject
    );
    confirm(args.force, &question)?;
    let versions = delete_all(context, &args.subject, args.permanent)?;
    print_versions(&mut context.printer, versions)
}

/// Deletes all versions, and says so to people.
pub(super) fn delete_all(
    context: &mut Context,
    subject: &str,
    permanent: bool,
) -> Outcome<Vec<i32>> {
    let path = ["subjects", subject];
    let request = Request::new(Method::DELETE, &path).flag("permanent", permanent);
    let versions = context.ask(async |client| client.json(&request).await)?;
    let how = if permanent { "hard" } else { "soft" };
    if context.printer.format() == Format::Human {
        context.printer.line(&format!(
            "Successfully {how} deleted all versions for subject \"{subject}\"."
        ))?;
    }
    Ok(versions)
}
