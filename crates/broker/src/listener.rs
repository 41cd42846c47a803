//! Listeners: `listeners` and `advertised.listeners`, bound sockets, and what Metadata tells clients.
//!
//! Syntax and defaults follow Apache Kafka's `SocketServerConfigs` (`NAME://host:port`, comma-separated).
//! Differs: a listener without a host binds the loopback address, not every interface; whoever wants the
//! world to connect says so.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use tokio::net::TcpListener;

use crate::start::StartError;

/// Default of `listeners`.
pub(crate) const DEFAULT_LISTENERS: &str = "PLAINTEXT://127.0.0.1:9092";

/// How a listener is reached and named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenerInfo {
    /// The listener's name, in upper case.
    pub(crate) name: String,
    /// The host that Metadata, FindCoordinator and DescribeCluster answer with.
    pub(crate) advertised_host: String,
    /// The port that goes with it.
    pub(crate) advertised_port: u16,
}

/// One entry of `listeners` or `advertised.listeners`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    name: String,
    host: String,
    port: u16,
}

/// A listener that is to be bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenerSpec {
    endpoint: Endpoint,
    advertised: Option<Endpoint>,
}

/// A bound listener, before it accepts.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    pub(crate) info: ListenerInfo,
    pub(crate) address: SocketAddr,
    pub(crate) socket: TcpListener,
}

/// Reads the listeners out of the broker's properties.
///
/// # Errors
/// [`StartError::InvalidListener`] names the property, the value and what was expected.
pub(crate) fn parse_listeners(
    properties: &BTreeMap<String, String>,
) -> Result<Vec<ListenerSpec>, StartError> {
    let text = properties
        .get("listeners")
        .map_or(DEFAULT_LISTENERS, String::as_str);
    let listeners = parse_endpoints("listeners", text)?;
    let advertised = match properties.get("advertised.listeners") {
        Some(text) => parse_endpoints("advertised.listeners", text)?,
        None => Vec::new(),
    };
    let protocols = protocol_map(properties)?;
    let controller_names: Vec<String> = properties
        .get("controller.listener.names")
        .map(|names| {
            names
                .split(',')
                .map(|name| name.trim().to_uppercase())
                .collect()
        })
        .unwrap_or_default();
    let mut specs = Vec::new();
    for endpoint in listeners {
        // A configuration written for Apache Kafka names its controller's listener too; there is none here.
        if controller_names.contains(&endpoint.name) {
            continue;
        }
        let protocol = protocols.get(&endpoint.name).unwrap_or(&endpoint.name);
        if protocol != "PLAINTEXT" {
            return Err(StartError::InvalidListener {
                property: "listener.security.protocol.map",
                value: format!("{}:{protocol}", endpoint.name),
                reason: "only PLAINTEXT listeners are available in this release".to_owned(),
            });
        }
        let advertised = advertised.iter().find(|a| a.name == endpoint.name).cloned();
        specs.push(ListenerSpec {
            endpoint,
            advertised,
        });
    }
    if specs.is_empty() {
        return Err(StartError::InvalidListener {
            property: "listeners",
            value: text.to_owned(),
            reason: "no broker listener is left".to_owned(),
        });
    }
    Ok(specs)
}

fn protocol_map(
    properties: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, StartError> {
    let mut map = BTreeMap::new();
    let Some(text) = properties.get("listener.security.protocol.map") else {
        return Ok(map);
    };
    for entry in text.split(',').filter(|entry| !entry.trim().is_empty()) {
        let Some((name, protocol)) = entry.split_once(':') else {
            return Err(StartError::InvalidListener {
                property: "listener.security.protocol.map",
                value: entry.to_owned(),
                reason: "expected NAME:PROTOCOL".to_owned(),
            });
        };
        map.insert(name.trim().to_uppercase(), protocol.trim().to_uppercase());
    }
    Ok(map)
}

fn parse_endpoints(property: &'static str, text: &str) -> Result<Vec<Endpoint>, StartError> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for entry in text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        let invalid = |reason: &str| StartError::InvalidListener {
            property,
            value: entry.to_owned(),
            reason: reason.to_owned(),
        };
        let (name, rest) = entry
            .split_once("://")
            .ok_or_else(|| invalid("expected NAME://host:port"))?;
        let (host, port) = rest
            .rsplit_once(':')
            .ok_or_else(|| invalid("expected NAME://host:port"))?;
        let port = port
            .parse()
            .map_err(|_| invalid("the port is not a number of 0 to 65535"))?;
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = name.to_uppercase();
        if endpoints.iter().any(|known| known.name == name) {
            return Err(invalid("each listener needs a name of its own"));
        }
        if port != 0
            && endpoints
                .iter()
                .any(|known| known.port == port && known.host == host)
        {
            return Err(invalid("each listener needs an address of its own"));
        }
        endpoints.push(Endpoint { name, host, port });
    }
    Ok(endpoints)
}

impl ListenerSpec {
    /// Binds the socket; port 0 takes a free one, which is then advertised.
    ///
    /// # Errors
    /// [`StartError::Bind`] with the address and the operating system's reason.
    pub(crate) fn bind(&self, backlog: i32) -> Result<BoundSocket, StartError> {
        let host = if self.endpoint.host.is_empty() {
            "127.0.0.1"
        } else {
            &self.endpoint.host
        };
        let failed = |source: io::Error| StartError::Bind {
            listener: self.endpoint.name.clone(),
            address: format!("{host}:{}", self.endpoint.port),
            source,
        };
        let address = (host, self.endpoint.port)
            .to_socket_addrs()
            .map_err(failed)?
            .next()
            .ok_or_else(|| failed(io::Error::other("the host has no address")))?;
        let socket = bind_socket(address, backlog).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let (advertised_host, advertised_port) = match &self.advertised {
            Some(advertised) if advertised.port == 0 => (advertised.host.clone(), address.port()),
            Some(advertised) => (advertised.host.clone(), advertised.port),
            None if address.ip().is_unspecified() => (host_name(), address.port()),
            // An address literal, since `localhost` resolves to ::1 first for some clients.
            None if address.ip().is_loopback() => (address.ip().to_string(), address.port()),
            None => (host.to_owned(), address.port()),
        };
        let info = ListenerInfo {
            name: self.endpoint.name.clone(),
            advertised_host,
            advertised_port,
        };
        Ok(BoundSocket {
            info,
            address,
            socket,
        })
    }
}

fn bind_socket(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    // A broker that restarts must not wait for its predecessor's connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    TcpListener::from_std(socket.into())
}

fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Vec<ListenerSpec>, StartError> {
        let properties = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        parse_listeners(&properties)
    }

    #[tokio::test]
    async fn a_free_port_is_what_clients_are_told() {
        let specs = parse(&[("listeners", "PLAINTEXT://127.0.0.1:0")]).unwrap();
        let bound = specs[0].bind(50).unwrap();
        assert_eq!(bound.info.advertised_host, "127.0.0.1");
        assert_eq!(bound.info.advertised_port, bound.address.port());
        assert_ne!(bound.address.port(), 0);
    }

    #[tokio::test]
    async fn advertised_listeners_win_and_the_default_is_loopback() {
        let specs = parse(&[
            ("listeners", "internal://:0,CONTROLLER://:9093"),
            ("advertised.listeners", "INTERNAL://broker.example:19092"),
            ("controller.listener.names", "CONTROLLER"),
            (
                "listener.security.protocol.map",
                "INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
            ),
        ])
        .unwrap();
        assert_eq!(specs.len(), 1);
        let bound = specs[0].bind(50).unwrap();
        assert!(bound.address.ip().is_loopback());
        assert_eq!(
            (
                bound.info.advertised_host.as_str(),
                bound.info.advertised_port
            ),
            ("broker.example", 19092)
        );
    }

    #[test]
    fn errors_name_property_and_value() {
        for (value, expected) in [
            ("PLAINTEXT://localhost", "expected NAME://host:port"),
            ("PLAINTEXT://localhost:99999", "not a number of 0 to 65535"),
            ("A://h:1,A://h:2", "name of its own"),
            ("SSL://localhost:1", "only PLAINTEXT"),
        ] {
            let error = parse(&[("listeners", value)]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
