//! Where a start's settings come from, and which wins.
//!
//! Every setting has one dotted name: Kafka's own (`log.retention.ms`), or one of this program's
//! ([`own`]: `data.dir`, `admin.listener`, ...). Four **sources** give values, the later ones over the earlier:
//!
//! 1. a properties file in Kafka's format (`--properties server.properties`),
//! 2. a TOML file (`--config affluent.toml`): `log.retention.ms = 5`, or the same as nested tables,
//! 3. environment variables: `AFFLUENT_LOG_RETENTION_MS` is `log.retention.ms`,
//! 4. flags: `--override log.retention.ms=5`, and those with a name of their own (`--listener`, `--data-dir`).
//!
//! [`Settings`] keeps the source beside the value, so that an error can say where the bad value was set.
//! [`StartOptions`] is what remains once this program's own settings are taken out and checked; Kafka's are
//! the broker's to check.

mod environment;
mod listeners;
pub(crate) mod own;
mod properties_file;
mod roles;
mod toml_file;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use cli::{Failure, Outcome};

pub(crate) use own::{LogFormat, StartOptions};
pub(crate) use roles::Role;

/// The flags that name settings.
#[derive(Debug, Args, Default)]
pub(crate) struct SettingsArgs {
    /// Where everything is kept; created when missing [default: ./affluent-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Listen for Kafka clients here; may be given several times [default: 127.0.0.1:9092]
    #[arg(long, value_name = "[NAME://]host:port")]
    listener: Vec<String>,
    /// Read settings from a TOML file.
    #[arg(long, value_name = "FILE", env = "AFFLUENT_CONFIG")]
    config: Option<PathBuf>,
    /// Read settings from a file in Kafka's server.properties format.
    #[arg(long, value_name = "FILE", env = "AFFLUENT_PROPERTIES")]
    properties: Option<PathBuf>,
    /// Set one setting; may be given several times.
    #[arg(long = "override", value_name = "key=value", value_parser = key_value)]
    overrides: Vec<(String, String)>,
    /// What to run in this process: broker, schema-registry, rest-proxy [default: all of them]
    #[arg(long, value_name = "ROLE,...")]
    roles: Option<String>,
    /// The cluster that services talk to when no broker runs in this process.
    #[arg(long, value_name = "host:port,...")]
    bootstrap_server: Option<String>,
    /// Serve /metrics and /healthz here; `none` for nowhere [default: 127.0.0.1:8090]
    #[arg(long, value_name = "host:port")]
    admin_listener: Option<String>,
    /// How logs are written: human or json [default: human]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// What is logged: a level, or directives such as `info,broker=debug` [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Write the bound addresses to this file, as JSON, once the broker serves.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected key=value, such as log.retention.ms=86400000".to_owned()),
    }
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A properties or TOML file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Environment(name) => write!(f, "environment variable {name}"),
            Source::Flag(flag) => f.write_str(flag),
        }
    }
}

/// The settings of all sources, the winner of each name.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    values: BTreeMap<String, (String, Source)>,
    unknown_environment: Vec<String>,
}

impl SettingsArgs {
    /// No flags but the files.
    pub(crate) fn of_files(config: Option<PathBuf>, properties: Option<PathBuf>) -> SettingsArgs {
        SettingsArgs {
            config,
            properties,
            ..SettingsArgs::default()
        }
    }
}

impl Settings {
    /// Reads all sources.
    ///
    /// # Errors
    /// A file that cannot be read or is not what it should be.
    pub(crate) fn load(
        args: &SettingsArgs,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Outcome<Settings> {
        let mut settings = Settings::default();
        if let Some(path) = &args.properties {
            let pairs = properties_file::parse(&read(path, "properties file")?)
                .map_err(|reason| unreadable(path, "properties file", &reason))?;
            settings.set_all(pairs, &Source::File(path.clone()));
        }
        if let Some(path) = &args.config {
            let pairs = toml_file::parse(&read(path, "TOML file")?)
                .map_err(|reason| unreadable(path, "TOML file", &reason))?;
            settings.set_all(pairs, &Source::File(path.clone()));
        }
        settings.set_environment(environment);
        settings.set_flags(args)?;
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: String, source: Source) {
        self.values.insert(name.to_owned(), (value, source));
    }

    fn set_all(&mut self, pairs: Vec<(String, String)>, source: &Source) {
        for (name, value) in pairs {
            self.set(&own::canonical(name), value, source.clone());
        }
    }

    fn set_environment(&mut self, environment: impl Iterator<Item = (OsString, OsString)>) {
        for (variable, value) in environment {
            let (Some(variable), Some(value)) = (variable.to_str(), value.to_str()) else {
                continue;
            };
            match environment::key_of(variable) {
                environment::Meaning::Setting(key) => {
                    self.set(
                        &key,
                        value.to_owned(),
                        Source::Environment(variable.to_owned()),
                    );
                }
                environment::Meaning::Unknown => self.unknown_environment.push(variable.to_owned()),
                environment::Meaning::Other => {}
            }
        }
        self.unknown_environment.sort_unstable();
    }

    fn set_flags(&mut self, args: &SettingsArgs) -> Outcome {
        for (key, value) in &args.overrides {
            self.set(
                &own::canonical(key.clone()),
                value.clone(),
                Source::Flag("--override"),
            );
        }
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let flags = [
            (
                "--data-dir",
                own::DATA_DIR,
                args.data_dir.as_ref().map(path),
            ),
            ("--roles", own::ROLES, args.roles.clone()),
            (
                "--bootstrap-server",
                own::BOOTSTRAP_SERVERS,
                args.bootstrap_server.clone(),
            ),
            (
                "--admin-listener",
                own::ADMIN_LISTENER,
                args.admin_listener.clone(),
            ),
            ("--log-format", own::LOG_FORMAT, args.log_format.clone()),
            ("--log-level", own::LOG_LEVEL, args.log_level.clone()),
            (
                "--ready-file",
                own::READY_FILE,
                args.ready_file.as_ref().map(path),
            ),
        ];
        for (flag, key, value) in flags {
            if let Some(value) = value {
                self.set(key, value, Source::Flag(flag));
            }
        }
        for (key, value) in listeners::properties_of(&args.listener)? {
            self.set(key, value, Source::Flag("--listener"));
        }
        Ok(())
    }

    /// Each setting with its value and source, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &Source)> {
        self.values
            .iter()
            .map(|(name, (value, source))| (name.as_str(), value.as_str(), source))
    }

    /// Variables that look like settings and stand for none.
    pub(crate) fn unknown_environment(&self) -> &[String] {
        &self.unknown_environment
    }

    /// Takes this program's own settings out and checks them.
    ///
    /// # Errors
    /// A value that is not what its setting expects, with where it was set.
    pub(crate) fn resolve(&self) -> Outcome<StartOptions> {
        own::resolve(self)
    }

    /// Kafka's settings, for the broker, as far as they were given.
    pub(crate) fn broker_properties(&self) -> BTreeMap<String, String> {
        let given = self.iter().filter(|(name, ..)| !own::is_own(name));
        given
            .map(|(name, value, _)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn get(&self, name: &str) -> Option<(&str, &Source)> {
        self.values
            .get(name)
            .map(|(value, source)| (value.as_str(), source))
    }

    /// Adds to `failure` where the setting it speaks of was set.
    pub(crate) fn blame(&self, failure: Failure) -> Failure {
        let is_named = |name: &str| failure.message().split(is_no_key).any(|word| word == name);
        let named = self.iter().find(|(name, ..)| is_named(name));
        let blamed = named.map(|(name, _, source)| format!("change '{name}', set by {source}"));
        match blamed {
            Some(remedy) => failure.remedy(remedy),
            None => failure,
        }
    }
}

fn is_no_key(character: char) -> bool {
    !(character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-'))
}

/// An address to bind; a name is resolved to its first.
fn socket_address(text: &str) -> Option<SocketAddr> {
    use std::net::ToSocketAddrs;
    text.to_socket_addrs().ok()?.next()
}

fn read(path: &Path, kind: &str) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, kind, &error.to_string()))
}

fn unreadable(path: &Path, kind: &str, reason: &str) -> Failure {
    Failure::new(format!(
        "cannot read the {kind} '{}': {}",
        path.display(),
        reason.trim_end()
    ))
}

#[cfg(test)]
mod tests;
