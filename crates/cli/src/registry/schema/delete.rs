//! `affluent schema-registry schema delete`.

use clap::Args;
use registry_client::{Method, Request};

use crate::confirm::confirm;
use crate::failure::{Failure, Outcome};
use crate::output::Format;
use crate::registry::subject::delete_all;
use crate::registry::{Context, print_versions};

/// Flags of `schema delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The subject.
    #[arg(long)]
    subject: String,
    /// The version, `latest`, or `all`.
    #[arg(long)]
    version: String,
    /// Delete it for good; it has to be deleted without this first.
    #[arg(long)]
    permanent: bool,
    /// Do not ask.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(context: &mut Context, args: &DeleteArgs) -> Outcome {
    check(context, args)?;
    let how = if args.permanent { "permanently " } else { "" };
    let question = format!(
        "Are you sure you want to {how}delete schema \"{} (version {})\"?",
        args.subject, args.version
    );
    confirm(args.force, &question)?;
    if args.version == "all" {
        let versions = delete_all(context, &args.subject, args.permanent)?;
        return print_versions(&mut context.printer, versions);
    }
    let path = ["subjects", &args.subject, "versions", &args.version];
    let request = Request::new(Method::DELETE, &path).flag("permanent", args.permanent);
    let version: i32 = context.ask(async |client| client.json(&request).await)?;
    let how = if args.permanent { "hard" } else { "soft" };
    if context.printer.format() == Format::Human {
        context.printer.line(&format!(
            "Successfully {how} deleted version \"{}\" for subject \"{}\".",
            args.version, args.subject
        ))?;
    }
    print_versions(&mut context.printer, vec![version])
}

/// Whether there is what is to be deleted, before anybody is asked about it.
fn check(context: &Context, args: &DeleteArgs) -> Outcome {
    let version = match args.version.as_str() {
        "all" => "latest",
        version => version,
    };
    let subject = &args.subject;
    if !args.permanent {
        return context
            .ask(async |client| client.schema_by_version(subject, version, false).await)
            .map(drop);
    }
    if version == "latest" {
        return Ok(());
    }
    context.ask(async |client| client.schema_by_version(subject, version, true).await)?;
    let living =
        context.ask_for(async |client| client.schema_by_version(subject, version, false).await)?;
    match living {
        None => Ok(()),
        Some(_) => Err(Failure::new(
            "you must first soft delete a schema version before you can permanently delete it",
        )
        .remedy("the same command without --permanent")),
    }
}
