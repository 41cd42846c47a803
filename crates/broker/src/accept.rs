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
    by_listener: HashMap<String, usize>,
}

/// One open connection; counts down when dropped.
#[derive(Debug)]
struct Counted {
    counts: Arc<ConnectionCounts>,
    ip: IpAddr,
    listener: Arc<ListenerInfo>,
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
    fn admit(
        self: &Arc<Self>,
        listener: &Arc<ListenerInfo>,
        ip: IpAddr,
        server: &Server,
    ) -> Admission {
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
        let of_listener = listener_limit(server, listener, "max.connections");
        let on_listener = open.by_listener.get(&listener.name).copied();
        let on_listener = on_listener.unwrap_or_default();
        if open.total >= settings.max_connections
            || of_listener.is_some_and(|limit| on_listener >= limit as usize)
        {
            return Admission::Full;
        }
        open.by_listener
            .insert(listener.name.clone(), on_listener + 1);
        open.total += 1;
        open.by_ip.insert(ip, here + 1);
        Admission::Admitted(Counted {
            counts: Arc::clone(self),
            ip,
            listener: Arc::clone(listener),
        })
    }

    /// Counts a connection, when others have been closed if need be; none when its address has too many
    /// (`ConnectionQuotas.waitForConnectionSlot`).
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn slot(
        self: &Arc<Self>,
        listener: &Arc<ListenerInfo>,
        ip: IpAddr,
        server: &Server,
    ) -> Option<Counted> {
        loop {
            match self.admit(listener, ip, server) {
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
        if let Some(count) = open.by_listener.get_mut(&self.listener.name) {
            *count -= 1;
        }
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
            counted = counts.slot(&info, peer.ip(), &server) => counted,
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
        client_host: format!("/{}", peer.ip()),
        peer,
        listener: Arc::clone(info),
        principal: KafkaPrincipal::anonymous(),
        software: RwLock::new(None),
        mute: Mute::default(),
        client_instance: Mutex::new(None),
        share_sessions: Mutex::default(),
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
        for (key, id) in connection.take_share_sessions() {
            owner.share_groups().close(&owner, &key, Some(id));
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
    let broker_rate = server.settings().max_connection_creation_rate;
    let own_rate = listener_limit(server, info, "max.connection.creation.rate");
    let listener_rate = own_rate.unwrap_or(broker_rate);
    let wait = server
        .quotas()
        .accepted(&info.name, broker_rate, listener_rate);
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

/// A listener's own limit, set with its prefix; none when it has none.
fn listener_limit(server: &Server, info: &ListenerInfo, key: &str) -> Option<u32> {
    let configs = server.configs();
    let own = format!("listener.name.{}.{key}", info.name.to_lowercase());
    let set = configs
        .is_set(&own)
        .then(|| configs.integer(&own))
        .flatten();
    set.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX))
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
