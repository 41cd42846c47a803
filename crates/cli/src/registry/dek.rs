//! `affluent schema-registry dek`: data encryption keys of the DEK registry.

use clap::{Args, Subcommand, ValueEnum};
use registry_client::{Method, Request};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, kek, print_subjects, print_versions};
use crate::confirm::confirm;
use crate::failure::{Outcome, note};
use crate::output::{Column, Row};

/// The commands on DEKs.
#[derive(Debug, Subcommand)]
pub(crate) enum DekCommand {
    /// List the subjects that have DEKs under a KEK.
    List(SubjectListArgs),
    /// Create a DEK.
    Create(CreateArgs),
    /// Describe a DEK.
    Describe(DescribeArgs),
    /// Delete a DEK.
    Delete(DeleteArgs),
    /// Undelete a DEK.
    Undelete(UndeleteArgs),
    /// Look at subjects that have DEKs.
    #[command(subcommand)]
    Subject(SubjectCommand),
    /// Look at versions of DEKs.
    #[command(subcommand)]
    Version(VersionCommand),
}

/// The commands on subjects.
#[derive(Debug, Subcommand)]
pub(crate) enum SubjectCommand {
    /// List the subjects that have DEKs under a KEK.
    List(SubjectListArgs),
}

/// The commands on versions.
#[derive(Debug, Subcommand)]
pub(crate) enum VersionCommand {
    /// List the versions of a subject's DEKs.
    List(VersionListArgs),
}

/// An algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// AES with 128 bits, GCM.
    #[value(name = "AES128_GCM")]
    Aes128Gcm,
    /// AES with 256 bits, GCM.
    #[value(name = "AES256_GCM")]
    Aes256Gcm,
    /// AES with 256 bits, SIV: the same text is encrypted the same way.
    #[value(name = "AES256_SIV")]
    Aes256Siv,
}

/// Which DEKs.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The KEK's name.
    #[arg(long)]
    kek_name: String,
    /// The subject.
    #[arg(long)]
    subject: String,
    /// The algorithm; AES256_GCM where it is left out.
    #[arg(long, value_enum, ignore_case = true)]
    algorithm: Option<Algorithm>,
}

/// Flags of `dek subject list`.
#[derive(Debug, Args)]
pub(crate) struct SubjectListArgs {
    /// The KEK's name.
    #[arg(long)]
    kek_name: String,
    /// Include deleted DEKs.
    #[arg(long)]
    all: bool,
}

/// Flags of `dek version list`.
#[derive(Debug, Args)]
pub(crate) struct VersionListArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// Include deleted DEKs.
    #[arg(long)]
    all: bool,
}

/// Flags of `dek create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// The version.
    #[arg(long)]
    version: i32,
    /// The key, encrypted with the KEK; left out, the registry makes one if it shares the KEK.
    #[arg(long)]
    encrypted_key_material: Option<String>,
}

/// Flags of `dek describe`.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// The version; the first where it is left out.
    #[arg(long)]
    version: Option<String>,
    /// Find it though it is deleted.
    #[arg(long)]
    all: bool,
}

/// Flags of `dek delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// The version; all of them where it is left out.
    #[arg(long)]
    version: Option<String>,
    /// Delete it for good; it has to be deleted without this first.
    #[arg(long)]
    permanent: bool,
    /// Do not ask.
    #[arg(long)]
    force: bool,
}

/// Flags of `dek undelete`.
#[derive(Debug, Args)]
pub(crate) struct UndeleteArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// The version; all of them where it is left out.
    #[arg(long)]
    version: Option<String>,
}

/// A DEK, as a registry tells it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Dek {
    kek_name: String,
    subject: String,
    version: i32,
    algorithm: String,
    encrypted_key_material: Option<String>,
    key_material: Option<String>,
    ts: i64,
    deleted: bool,
}

/// The same, as it is printed.
#[derive(Debug, Serialize)]
struct Shown {
    kek_name: String,
    subject: String,
    version: i32,
    algorithm: String,
    encrypted_key_material: String,
    key_material: String,
    timestamp: i64,
    is_deleted: bool,
}

impl Row for Shown {
    const COLUMNS: &'static [Column] = &[
        Column::text("KEK Name"),
        Column::text("Subject"),
        Column::number("Version"),
        Column::text("Algorithm"),
        Column::text("Encrypted Key Material"),
        Column::text("Key Material"),
        Column::number("Timestamp"),
        Column::text("Deleted"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.kek_name.clone(),
            self.subject.clone(),
            self.version.to_string(),
            self.algorithm.clone(),
            self.encrypted_key_material.clone(),
            self.key_material.clone(),
            self.timestamp.to_string(),
            self.is_deleted.to_string(),
        ]
    }
}

impl Algorithm {
    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

impl KeyArgs {
    /// The path of the DEKs, or of what is named behind them.
    fn path<'p>(&'p self, rest: &[&'p str]) -> Vec<&'p str> {
        let mut path = kek::path(&[&self.kek_name, "deks", &self.subject]);
        path.extend(rest);
        path
    }

    /// The path of a version, or of all of them.
    fn version_path<'p>(&'p self, version: Option<&'p str>, rest: &[&'p str]) -> Vec<&'p str> {
        let mut path = match version {
            Some(version) => self.path(&["versions", version]),
            None => self.path(&[]),
        };
        path.extend(rest);
        path
    }

    fn request<'p>(&self, method: Method, path: &'p [&'p str]) -> Request<'p> {
        let request = Request::new(method, path);
        match self.algorithm {
            Some(algorithm) => request.query("algorithm", algorithm.name()),
            None => request,
        }
    }
}

pub(super) fn run(context: &mut Context, command: DekCommand) -> Outcome {
    match command {
        DekCommand::List(args) | DekCommand::Subject(SubjectCommand::List(args)) => {
            let path = kek::path(&[&args.kek_name, "deks"]);
            let request = Request::get(&path).flag("deleted", args.all);
            let subjects = context.ask(async |client| client.json(&request).await)?;
            print_subjects(&mut context.printer, subjects)
        }
        DekCommand::Version(VersionCommand::List(args)) => {
            let path = args.key.path(&["versions"]);
            let request = args
                .key
                .request(Method::GET, &path)
                .flag("deleted", args.all);
            let versions = context.ask(async |client| client.json(&request).await)?;
            print_versions(&mut context.printer, versions)
        }
        DekCommand::Create(args) => create(context, &args),
        DekCommand::Describe(args) => {
            let path = args.key.version_path(args.version.as_deref(), &[]);
            let request = args
                .key
                .request(Method::GET, &path)
                .flag("deleted", args.all);
            let dek = context.ask(async |client| client.json(&request).await)?;
            print(context, dek)
        }
        DekCommand::Delete(args) => delete(context, &args),
        DekCommand::Undelete(args) => {
            let path = args
                .key
                .version_path(args.version.as_deref(), &["undelete"]);
            let request = args.key.request(Method::POST, &path);
            context.ask(async |client| client.send(&request).await)?;
            note("Undeleted the DEK corresponding to the parameters.");
            Ok(())
        }
    }
}

fn print(context: &mut Context, dek: Dek) -> Outcome {
    context.printer.object(&Shown {
        kek_name: dek.kek_name,
        subject: dek.subject,
        version: dek.version,
        algorithm: dek.algorithm,
        encrypted_key_material: dek.encrypted_key_material.unwrap_or_default(),
        key_material: dek.key_material.unwrap_or_default(),
        timestamp: dek.ts,
        is_deleted: dek.deleted,
    })
}

fn create(context: &mut Context, args: &CreateArgs) -> Outcome {
    let mut body = json!({ "subject": args.key.subject, "version": args.version });
    if let Some(algorithm) = args.key.algorithm {
        body["algorithm"] = json!(algorithm.name());
    }
    if let Some(material) = &args.encrypted_key_material {
        body["encryptedKeyMaterial"] = json!(material);
    }
    let path = kek::path(&[&args.key.kek_name, "deks"]);
    let request = Request::new(Method::POST, &path).body(body);
    let dek = context.ask(async |client| client.json(&request).await)?;
    print(context, dek)
}

fn delete(context: &mut Context, args: &DeleteArgs) -> Outcome {
    confirm(
        args.force,
        "Are you sure you want to delete the DEK corresponding to these parameters?",
    )?;
    let path = args.key.version_path(args.version.as_deref(), &[]);
    let request = args
        .key
        .request(Method::DELETE, &path)
        .flag("permanent", args.permanent);
    context.ask(async |client| client.send(&request).await)?;
    note("Deleted the DEK corresponding to the parameters.");
    Ok(())
}
