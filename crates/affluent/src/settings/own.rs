//! This program's own settings, beside Kafka's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use cli::{Failure, Outcome};

use super::roles::{self, RegistryRole, Role, ServiceListeners};
use super::{Settings, Source, socket_address};

/// Where everything is kept.
pub(super) const DATA_DIR: &str = "data.dir";
/// What runs in this process.
pub(super) const ROLES: &str = "roles";
/// Where `/metrics` and `/healthz` are served.
pub(super) const ADMIN_LISTENER: &str = "admin.listener";
/// How logs are written.
pub(super) const LOG_FORMAT: &str = "log.format";
/// What is logged.
pub(super) const LOG_LEVEL: &str = "log.level";
/// Where the bound addresses are written to.
pub(super) const READY_FILE: &str = "ready.file";
/// The cluster that services talk to when it is not the one in this process.
pub(super) const BOOTSTRAP_SERVERS: &str = "bootstrap.servers";

const ALL: [&str; 7] = [
    DATA_DIR,
    ROLES,
    BOOTSTRAP_SERVERS,
    ADMIN_LISTENER,
    LOG_FORMAT,
    LOG_LEVEL,
    READY_FILE,
];

const DEFAULT_DATA_DIR: &str = "./affluent-data";
const DEFAULT_ADMIN_LISTENER: &str = "127.0.0.1:8090";
/// Differs: Apache Kafka listens on every interface unless told otherwise; this broker only on loopback,
/// since a fresh one authenticates nobody.
const DEFAULT_LISTENERS: &str = "PLAINTEXT://127.0.0.1:9092";
/// Confluent's port of the REST Proxy.
const DEFAULT_REST_PORT: u16 = 8082;
/// Apache Kafka's names for its data directories.
const LOG_DIRS: [&str; 2] = ["log.dirs", "log.dir"];

/// Whether `key` is one of this program's own, its services' among them.
pub(super) fn is_own(key: &str) -> bool {
    ALL.contains(&key) || roles::is_of_service(key)
}

/// The dotted name of a key; own keys may also be spelled as their flags are (`data-dir`).
pub(super) fn canonical(key: String) -> String {
    let dotted = key.replace('-', ".");
    if is_own(&dotted) { dotted } else { key }
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// A line for people.
    Human,
    /// An object a line.
    Json,
}

/// Where `/metrics` and `/healthz` are to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AdminListener {
    /// The address to bind.
    pub(crate) address: SocketAddr,
    /// Whether somebody asked for it; nobody did when it is the default.
    pub(crate) asked_for: bool,
}

/// What a start needs to know.
#[derive(Debug)]
pub(crate) struct StartOptions {
    pub(crate) roles: BTreeSet<Role>,
    /// The cluster of the services; `None`: the broker in this process.
    pub(crate) bootstrap_servers: Option<String>,
    pub(crate) registry: Option<RegistryRole>,
    pub(crate) rest_listeners: ServiceListeners,
    /// The REST Proxy's settings, without `kafka.rest.`.
    pub(crate) rest_properties: BTreeMap<String, String>,
    pub(crate) data_dir: PathBuf,
    pub(crate) admin_listener: Option<AdminListener>,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: String,
    pub(crate) ready_file: Option<PathBuf>,
    /// Kafka's settings, for the broker.
    pub(crate) properties: BTreeMap<String, String>,
}

impl StartOptions {
    /// `node.id`, as the broker takes it.
    pub(crate) fn node_id(&self) -> &str {
        self.properties.get("node.id").map_or("1", String::as_str)
    }
}

pub(super) fn resolve(settings: &Settings) -> Outcome<StartOptions> {
    let roles = roles::roles(settings)?;
    let mut properties: BTreeMap<String, String> = settings
        .iter()
        .filter(|(name, ..)| !is_own(name))
        .map(|(name, value, _)| (name.to_owned(), value.to_owned()))
        .collect();
    properties
        .entry("listeners".to_owned())
        .or_insert_with(|| DEFAULT_LISTENERS.to_owned());
    Ok(StartOptions {
        bootstrap_servers: roles::bootstrap(settings, &roles)?,
        registry: roles::registry_of(settings, &roles)?,
        roles,
        rest_listeners: roles::listeners_of(settings, Role::RestProxy, DEFAULT_REST_PORT)?,
        rest_properties: roles::properties_of(settings, Role::RestProxy),
        data_dir: data_dir(settings)?,
        admin_listener: admin_listener(settings)?,
        log_format: log_format(settings)?,
        log_level: settings
            .get(LOG_LEVEL)
            .map_or("info", |(value, _)| value)
            .to_owned(),
        ready_file: settings
            .get(READY_FILE)
            .map(|(value, _)| PathBuf::from(value)),
        properties,
    })
}

pub(super) fn invalid(key: &str, value: &str, source: &Source, expected: &str) -> Failure {
    Failure::new(format!(
        "{key} = '{value}' is not usable: expected {expected}"
    ))
    .remedy(format!("change '{key}', set by {source}"))
}

fn data_dir(settings: &Settings) -> Outcome<PathBuf> {
    if let Some((value, source)) = settings.get(DATA_DIR) {
        return match value {
            "" => Err(invalid(DATA_DIR, value, source, "a directory")),
            value => Ok(PathBuf::from(value)),
        };
    }
    for key in LOG_DIRS {
        match settings.get(key) {
            Some((value, source)) if value.contains(',') || value.trim().is_empty() => {
                return Err(invalid(key, value, source, "one directory"));
            }
            Some((value, _)) => return Ok(PathBuf::from(value.trim())),
            None => {}
        }
    }
    Ok(PathBuf::from(DEFAULT_DATA_DIR))
}

fn admin_listener(settings: &Settings) -> Outcome<Option<AdminListener>> {
    let (value, source) = match settings.get(ADMIN_LISTENER) {
        Some(("none", _)) => return Ok(None),
        Some((value, source)) => (value, Some(source)),
        None => (DEFAULT_ADMIN_LISTENER, None),
    };
    match (socket_address(value), source) {
        (Some(address), source) => Ok(Some(AdminListener {
            address,
            asked_for: source.is_some(),
        })),
        (None, Some(source)) => Err(invalid(ADMIN_LISTENER, value, source, "host:port or none")),
        (None, None) => Ok(None),
    }
}

fn log_format(settings: &Settings) -> Outcome<LogFormat> {
    match settings.get(LOG_FORMAT) {
        None | Some(("human", _)) => Ok(LogFormat::Human),
        Some(("json", _)) => Ok(LogFormat::Json),
        Some((value, source)) => Err(invalid(LOG_FORMAT, value, source, "human or json")),
    }
}
