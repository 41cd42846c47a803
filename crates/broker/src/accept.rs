//! Accepting connections, within `max.connections`, `max.connections.per.ip` and the rates at which connections
//! may come (`max.connection.creation.rate` and quotas of addresses).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use security::KafkaPrincipal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::connection;
use crate::listener::ListenerInfo;
use crate::quota::Mute;
use crate::request::ConnectionInfo;
use crate::server::Server;

/// How long to wait after the operating system refused a connection: out of file descriptors, it would
/// refuse the next one too.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Connections of one listener that wait to be closed because their address opens too many. Beyond it they are
/// closed at once.
const DELAYED_CLOSES_MAX: usize = 1024;

/// Open connections, by address.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounts {
    by_ip: Mutex<HashMap<IpAddr, usize>>,
}

/// One open connection; counts down when dropped.
#[derive(Debug)]
struct Counted {
    counts: Arc<ConnectionCounts>,
    ip: IpAddr,
}

impl ConnectionCounts {
    /// Counts a connection, unless it is one too many.
    fn admit(self: &Arc<Self>, ip: IpAddr, server: &Server) -> Option<Counted> {
        let settings = server.settings();
        let mut by_ip = self.by_ip.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = by_ip.values().sum();
        let per_ip = settings
            .max_connections_per_ip_overrides
            .get(&ip.to_string())
            .map_or(settings.max_connections_per_ip, |limit| *limit as usize);
        let here = by_ip.get(&ip).copied().unwrap_or_default();
        if total >= settings.max_connections || here >= per_ip {
            return None;
        }
        by_ip.insert(ip, here + 1);
        Some(Counted {
            counts: Arc::clone(self),
            ip,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut by_ip = self
            .counts
            .by_ip
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                by_ip.remove(&self.ip);
            }
        }
    }
}

/// Accepts on one listener until the broker stops.
pub(crate) async fn accept(
    server: Arc<Server>,
    info: Arc<ListenerInfo>,
    socket: TcpListener,
    counts: Arc<ConnectionCounts>,
    mut stopping: watch::Receiver<bool>,
) {
    let delayed = Arc::new(Semaphore::new(DELAYED_CLOSES_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(listener = info.name, %error, "cannot accept a connection");
                tokio::time::sleep(REFUSED_PAUSE).await;
                continue;
            }
        };
        let wait = server.quotas().accepted(
            &info.name,
            server.settings().max_connection_creation_rate,
            listener_rate(&server, &info),
        );
        if !wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
        if let Some(delay) = server.quotas().connected_from(&info.name, peer.ip()) {
            tracing::debug!(%peer, listener = info.name, "too many new connections; closing");
            close_later(&server, &delayed, stream, delay, stopping.clone());
            continue;
        }
        let Some(counted) = counts.admit(peer.ip(), &server) else {
            tracing::info!(%peer, listener = info.name, "too many connections; closing");
            continue;
        };
        if let Err(error) = set_options(&stream, &server) {
            tracing::debug!(%peer, %error, "cannot set socket options");
        }
        let connection = Arc::new(ConnectionInfo {
            peer,
            listener: Arc::clone(&info),
            principal: KafkaPrincipal::anonymous(),
            software: RwLock::new(None),
            mute: Mute::default(),
        });
        let (owner, stopping) = (Arc::clone(&server), stopping.clone());
        server.tasks().spawn("connection", async move {
            let metrics = owner.request_metrics();
            metrics.connected();
            connection::serve(owner, connection, stream, stopping).await;
            metrics.disconnected();
            drop(counted);
        });
    }
}

/// New connections a second that the listener takes: its own limit, or the broker's.
fn listener_rate(server: &Server, info: &ListenerInfo) -> u32 {
    const KEY: &str = "max.connection.creation.rate";
    let configs = server.configs();
    let own = format!("listener.name.{}.{KEY}", info.name.to_lowercase());
    let set = configs
        .is_set(&own)
        .then(|| configs.integer(&own))
        .flatten();
    set.map_or(server.settings().max_connection_creation_rate, |rate| {
        u32::try_from(rate).unwrap_or(u32::MAX)
    })
}

/// Closes a connection once its client has waited, lest it comes back at once (KIP-612).
fn close_later(
    server: &Server,
    delayed: &Arc<Semaphore>,
    stream: TcpStream,
    delay: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    let Ok(permit) = Arc::clone(delayed).try_acquire_owned() else {
        return;
    };
    server.tasks().spawn("delayed close", async move {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        drop(stream);
        drop(permit);
    });
}

fn set_options(stream: &TcpStream, server: &Server) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_keepalive(true)?;
    let settings = server.settings();
    if let Some(bytes) = settings.socket_send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = settings.socket_receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    Ok(())
}
