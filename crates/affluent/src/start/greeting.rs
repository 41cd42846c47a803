//! What a person sees when the broker serves: what listens where, what to beware of, what to try next.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use broker::BoundListener;

use crate::settings::Role;

/// The port that commands use when they are told nothing.
const DEFAULT_PORT: u16 = 9092;

/// What serves in this process.
#[derive(Debug)]
pub(super) struct Greeting<'a> {
    /// `None`: the services talk to a cluster elsewhere.
    pub(super) broker: Option<OwnBroker<'a>>,
    /// The cluster of the services.
    pub(super) bootstrap: &'a str,
    pub(super) admin: Option<SocketAddr>,
    pub(super) services: &'a [(Role, SocketAddr)],
}

/// The broker in this process.
#[derive(Debug)]
pub(super) struct OwnBroker<'a> {
    pub(super) cluster_id: String,
    pub(super) node_id: &'a str,
    pub(super) listeners: Vec<BoundListener>,
    pub(super) data_dir: &'a Path,
    pub(super) is_new: bool,
}

fn of_services(services: &[(Role, SocketAddr)]) -> String {
    let line = |(role, address): &(Role, SocketAddr)| match role {
        Role::Broker => String::new(),
        Role::SchemaRegistry => format!("  Schemas  http://{address}\n"),
        Role::RestProxy => format!("  REST     http://{address}/v3/clusters\n"),
    };
    services.iter().map(line).collect()
}

/// Whether nothing is kept in `data_dir` yet.
pub(super) fn is_new(data_dir: &Path) -> bool {
    std::fs::read_dir(data_dir).map_or(true, |mut entries| entries.next().is_none())
}

impl Greeting<'_> {
    /// The same, for programs.
    pub(super) fn log(&self) {
        let listeners = self.broker.iter().flat_map(|broker| &broker.listeners);
        for listener in listeners {
            tracing::info!(
                listener = listener.name,
                address = %listener.address,
                authenticated = listener.authenticated,
                "listening"
            );
        }
        for (role, address) in self.services {
            tracing::info!(role = role.name(), %address, "listening");
        }
        match &self.broker {
            Some(broker) => tracing::info!(
                cluster_id = broker.cluster_id,
                node_id = broker.node_id,
                "serving"
            ),
            None => tracing::info!(bootstrap = self.bootstrap, "serving"),
        }
    }

    /// Prints to standard output. When nobody reads it, what serves serves all the same.
    pub(super) fn print(&self) {
        let mut out = io::stdout().lock();
        drop(
            out.write_all(self.text().as_bytes())
                .and_then(|()| out.flush()),
        );
    }

    fn text(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let (head, listeners, tail) = match &self.broker {
            Some(broker) => (broker.head(), broker.urls(), broker.tail()),
            None => {
                let head = format!("cluster at {}", self.bootstrap);
                (head, String::new(), String::new())
            }
        };
        let admin = self.admin.map_or_else(String::new, |admin| {
            format!("  Metrics  http://{admin}/metrics\n")
        });
        let services = of_services(self.services);
        format!("\n  affluent {version} · {head}\n\n{listeners}{services}{admin}{tail}\n")
    }
}

impl OwnBroker<'_> {
    fn head(&self) -> String {
        format!("node {} · cluster {}", self.node_id, self.cluster_id)
    }

    fn urls(&self) -> String {
        let line = |listener| format!("  Kafka    {}\n", url(listener));
        self.listeners.iter().map(line).collect()
    }

    /// Where the data is, what to beware of, what to try next.
    fn tail(&self) -> String {
        let age = if self.is_new { " (new)" } else { "" };
        let mut text = format!("  Data     {}{age}\n\n", self.data_dir.display());
        let open = self.listeners.iter().filter(|one| !one.authenticated);
        for listener in open {
            text += &format!("  {}\n", warning(listener));
        }
        text += &format!(
            "\n  Try: affluent kafka topic create orders{}",
            self.bootstrap_flag()
        );
        text
    }

    fn bootstrap_flag(&self) -> String {
        match self.listeners.first() {
            Some(listener) if listener.advertised.1 != DEFAULT_PORT => {
                format!(
                    " --bootstrap {}:{}",
                    listener.advertised.0, listener.advertised.1
                )
            }
            _ => String::new(),
        }
    }
}

fn url(listener: &BoundListener) -> String {
    format!("{}://{}", listener.name, listener.address)
}

fn warning(listener: &BoundListener) -> String {
    let url = url(listener);
    if listener.address.ip().is_loopback() {
        format!(
            "! {url} asks nobody who they are: every program on this machine can read and write."
        )
    } else {
        format!(
            "!! {url} is OPEN TO THE NETWORK and asks nobody who they are:\n     \
             whoever reaches it can read, write and delete everything."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str) -> BoundListener {
        let address: SocketAddr = address.parse().unwrap();
        BoundListener {
            name: "PLAINTEXT".to_owned(),
            address,
            advertised: ("localhost".to_owned(), address.port()),
            authenticated: false,
        }
    }

    fn greeting(listeners: Vec<BoundListener>) -> String {
        Greeting {
            broker: Some(OwnBroker {
                cluster_id: "5XuYd".to_owned(),
                node_id: "1",
                listeners,
                data_dir: Path::new("./affluent-data"),
                is_new: true,
            }),
            bootstrap: "127.0.0.1:9092",
            admin: Some("127.0.0.1:8090".parse().unwrap()),
            services: &[(Role::RestProxy, "127.0.0.1:8082".parse().unwrap())],
        }
        .text()
    }

    #[test]
    fn a_new_broker_on_loopback() {
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "
  affluent {version} · node 1 · cluster 5XuYd

  Kafka    PLAINTEXT://127.0.0.1:9092
  REST     http://127.0.0.1:8082/v3/clusters
  Metrics  http://127.0.0.1:8090/metrics
  Data     ./affluent-data (new)

  ! PLAINTEXT://127.0.0.1:9092 asks nobody who they are: every program on this machine can read and write.

  Try: affluent kafka topic create orders
"
        );
        assert_eq!(greeting(vec![listener("127.0.0.1:9092")]), expected);
    }

    #[test]
    fn services_alone_say_whom_they_talk_to() {
        let version = env!("CARGO_PKG_VERSION");
        let text = Greeting {
            broker: None,
            bootstrap: "kafka:9092",
            admin: None,
            services: &[(Role::RestProxy, "127.0.0.1:8082".parse().unwrap())],
        }
        .text();
        let expected = format!(
            "
  affluent {version} · cluster at kafka:9092

  REST     http://127.0.0.1:8082/v3/clusters

"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn an_open_listener_is_a_louder_warning_and_a_port_is_part_of_the_hint() {
        let text = greeting(vec![listener("0.0.0.0:19092")]);
        assert!(
            text.contains("!! PLAINTEXT://0.0.0.0:19092 is OPEN TO THE NETWORK"),
            "{text}"
        );
        assert!(
            text.contains("orders --bootstrap localhost:19092\n"),
            "{text}"
        );
        let mut closed = listener("0.0.0.0:9092");
        closed.authenticated = true;
        assert!(!greeting(vec![closed]).contains('!'));
    }
}
