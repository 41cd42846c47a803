//! What runs in one process, and the settings of the services beside the broker.
//!
//! A service's settings carry its prefix, since Kafka's own names (`listeners`, `bootstrap.servers`) mean another thing
//! to each: `kafka.rest.listeners` is the REST Proxy's, as in Confluent Server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use cli::{Failure, Outcome};
use schema_registry::RegistryConfig;

use super::own::{BOOTSTRAP_SERVERS, ROLES, invalid};
use super::{Settings, socket_address};

/// The Schema Registry's brokers, by Confluent's name.
const REGISTRY_SERVERS: &str = "kafkastore.bootstrap.servers";

/// Something that runs in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// The Kafka broker.
    Broker,
    /// The Schema Registry.
    SchemaRegistry,
    /// The REST Proxy.
    RestProxy,
}

impl Role {
    const ALL: [Self; 3] = [Self::Broker, Self::SchemaRegistry, Self::RestProxy];

    /// As `roles` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::SchemaRegistry => "schema-registry",
            Self::RestProxy => "rest-proxy",
        }
    }

    /// What its settings begin with; the broker's are Kafka's own, the Schema Registry's have names of their own.
    fn prefix(self) -> Option<&'static str> {
        match self {
            Self::Broker | Self::SchemaRegistry => None,
            Self::RestProxy => Some("kafka.rest."),
        }
    }
}

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceListeners {
    /// The addresses to bind.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whether somebody asked for them; nobody did when it is the default.
    pub(crate) asked_for: bool,
}

/// Whether `key` is a setting of a service.
pub(super) fn is_of_service(key: &str) -> bool {
    let has_prefix = Role::ALL
        .iter()
        .filter_map(|role| role.prefix())
        .any(|prefix| key.starts_with(prefix));
    has_prefix || schema_registry::config::is_registry_key(key)
}

/// The roles that are to run; all of them unless told otherwise.
pub(super) fn roles(settings: &Settings) -> Outcome<BTreeSet<Role>> {
    let Some((roles, source)) = settings.get(ROLES) else {
        return Ok(Role::ALL.into());
    };
    let known = || Role::ALL.map(Role::name).join(", ");
    roles
        .split(',')
        .map(str::trim)
        .map(|name| {
            let role = Role::ALL.into_iter().find(|role| role.name() == name);
            let expected = || format!("some of {}, with commas between", known());
            role.ok_or_else(|| invalid(ROLES, name, source, &expected()))
        })
        .collect()
}

/// The cluster that services talk to when no broker runs in the process.
///
/// # Errors
/// None is named, though one is needed.
pub(super) fn bootstrap(settings: &Settings, roles: &BTreeSet<Role>) -> Outcome<Option<String>> {
    let named = settings.get(BOOTSTRAP_SERVERS);
    match named.or_else(|| settings.get(REGISTRY_SERVERS)) {
        Some((servers, _)) => Ok(Some(servers.to_owned())),
        None if roles.contains(&Role::Broker) => Ok(None),
        None => Err(Failure::new(
            "no broker runs in this process, and none is named for its services to talk to",
        )
        .remedy("name one with --bootstrap-server host:port, or add broker to --roles")),
    }
}

/// The settings of a service, without its prefix.
pub(super) fn properties_of(settings: &Settings, role: Role) -> BTreeMap<String, String> {
    let Some(prefix) = role.prefix() else {
        return BTreeMap::new();
    };
    settings
        .iter()
        .filter_map(|(name, value, _)| {
            Some((name.strip_prefix(prefix)?.to_owned(), value.to_owned()))
        })
        .collect()
}

/// The Schema Registry's settings, and whether somebody asked for it.
#[derive(Debug, Clone)]
pub(crate) struct RegistryRole {
    /// Without brokers where the cluster of the other services is meant.
    pub(crate) config: RegistryConfig,
    /// It does not run by default alone.
    pub(crate) asked_for: bool,
}

/// The Schema Registry, when it is to run.
pub(super) fn registry_of(
    settings: &Settings,
    roles: &BTreeSet<Role>,
) -> Outcome<Option<RegistryRole>> {
    if !roles.contains(&Role::SchemaRegistry) {
        return Ok(None);
    }
    let properties = settings
        .iter()
        .map(|(name, value, _)| (name.to_owned(), value.to_owned()))
        .collect();
    let config = RegistryConfig::from_properties(&properties)
        .map_err(|error| settings.blame(Failure::of(&error)))?;
    Ok(Some(RegistryRole {
        config,
        asked_for: settings.get(ROLES).is_some(),
    }))
}

/// Where a service listens: its `listeners`, `http://host:port` with commas between, or loopback at `port`.
pub(super) fn listeners_of(
    settings: &Settings,
    role: Role,
    port: u16,
) -> Outcome<ServiceListeners> {
    let key = format!("{}listeners", role.prefix().unwrap_or_default());
    let Some((value, source)) = settings.get(&key) else {
        return Ok(ServiceListeners {
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], port))],
            asked_for: false,
        });
    };
    let addresses = value
        .split(',')
        .map(|url| {
            let address = url.trim().trim_end_matches('/');
            let address = address.strip_prefix("http://").unwrap_or(address);
            socket_address(address).ok_or_else(|| {
                invalid(
                    &key,
                    url,
                    source,
                    "http://host:port, several with commas between",
                )
            })
        })
        .collect::<Outcome<_>>()?;
    Ok(ServiceListeners {
        addresses,
        asked_for: true,
    })
}
