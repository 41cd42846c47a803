//! Accepting connections, within `max.connections`, `max.connections.per.ip` and the rates at which connections
//! may come (`max.connection.creation.rate` and quotas of addresses).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use security::KafkaPrincipal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};

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

/// How long a listener waits for a connection to close before it looks whether `max.connections` was raised.
const FULL_RECHECK: Duration = Duration::from_secs(1);

/// Open connections.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounts {
    open: Mutex<Open>,
    closed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// One open connection; counts down when dropped.
#[derive(Debug)]
struct Counted {
    counts: Arc<ConnectionCounts>,
    ip: IpAddr,
}

/// Whether a connection may be served.
#[derive(Debug)]
enum Admission {
    /// It is counted.
    Admitted(Counted),
    /// Not before another is closed.
    Full,
    /// Not at all: its address has too many.
    TooManyOfAddress,
}

impl ConnectionCounts {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection, unless it is one too many.
    fn admit(self: &Arc<Self>, ip: IpAddr, server: &Server) -> Admission {
        let settings = server.settings();
        let per_ip = settings
            .max_connections_per_ip_overrides
            .get(&ip.to_string())
            .map_or(settings.max_connections_per_ip, |limit| *limit as usize);
        let mut open = self.lock();
        let here = open.by_ip.get(&ip).copied().unwrap_or_default();
        if here >= per_ip {
            return Admission::TooManyOfAddress;
        }
        if open.total >= settings.max_connections {
            return Admission::Full;
        }
        open.total += 1;
        open.by_ip.insert(ip, here + 1);
        Admission::Admitted(Counted {
            counts: Arc::clone(self),
            ip,
        })
    }

    /// Counts a connection, when others have been closed if need be; none when its address has too many
    /// (`ConnectionQuotas.waitForConnectionSlot`).
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn slot(self: &Arc<Self>, ip: IpAddr, server: &Server) -> Option<Counted> {
        loop {
            match self.admit(ip, server) {
                Admission::Admitted(counted) => return Some(counted),
                Admission::TooManyOfAddress => return None,
                Admission::Full => {
                    // Elapsed or not, the counts and the limit are looked at again.
                    tokio::time::timeout(FULL_RECHECK, self.closed.notified())
                        .await
                        .ok();
                }
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.counts.lock();
        open.total -= 1;
        if let Some(count) = open.by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.by_ip.remove(&self.ip);
            }
        }
        drop(open);
        self.counts.closed.notify_one();
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
        let stop = stopping.clone();
        let stream = tokio::select! {
            stream = within_rates(&server, &info, &delayed, stream, peer, stop) => stream,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let Some(stream) = stream else { continue };
        let counted = tokio::select! {
            counted = counts.slot(peer.ip(), &server) => counted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let Some(counted) = counted else {
            tracing::info!(%peer, listener = info.name, "too many connections; closing");
            continue;
        };
        if let Err(error) = set_options(&stream, &server) {
            tracing::debug!(%peer, %error, "cannot set socket options");
        }
        serve(&server, &info, stream, peer, counted, stopping.clone());
    }
}

/// Serves a connection in a task of its own.
fn serve(
    server: &Arc<Server>,
    info: &Arc<ListenerInfo>,
    stream: TcpStream,
    peer: SocketAddr,
    counted: Counted,
    stopping: watch::Receiver<bool>,
) {
    let connection = Arc::new(ConnectionInfo {
        peer,
        listener: Arc::clone(info),
        principal: KafkaPrincipal::anonymous(),
        software: RwLock::new(None),
        mute: Mute::default(),
        client_instance: Mutex::new(None),
    });
    let owner = Arc::clone(server);
    server.tasks().spawn("connection", async move {
        let metrics = owner.request_metrics();
        metrics.connected();
        let served = Arc::clone(&connection);
        connection::serve(Arc::clone(&owner), served, stream, stopping).await;
        if let Some(instance) = connection.take_client_instance() {
            owner.client_telemetry().disconnected(instance);
        }
        metrics.disconnected();
        drop(counted);
    });
}

/// Waits until broker and listener may take another connection; none when its address may not have one.
///
/// # Cancel safety
/// The connection is closed when the call is dropped.
async fn within_rates(
    server: &Server,
    info: &ListenerInfo,
    delayed: &Arc<Semaphore>,
    stream: TcpStream,
    peer: SocketAddr,
    stopping: watch::Receiver<bool>,
) -> Option<TcpStream> {
    let wait = server.quotas().accepted(
        &info.name,
        server.settings().max_connection_creation_rate,
        listener_rate(server, info),
    );
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if let Some(delay) = server.quotas().connected_from(&info.name, peer.ip()) {
        tracing::debug!(%peer, listener = info.name, "too many new connections; closing");
        close_later(server, delayed, stream, delay, stopping);
        return None;
    }
    Some(stream)
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
