//! The HTTP server: listeners, the routes of every API, a graceful end.

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::error::RestError;
use crate::proxy::Proxy;
use crate::v3;

/// Why a proxy does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address cannot be bound.
    #[error(
        "the REST proxy cannot listen on {address}: stop what runs there or choose another address in `listeners`"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// `listeners` is empty.
    #[error("`listeners` names no address for the REST proxy")]
    NoListener,
}

/// A proxy with its listeners bound; it serves once [`RestProxy::serve`] is polled.
#[derive(Debug)]
pub struct RestProxy {
    listeners: Vec<TcpListener>,
    router: Router,
}

impl RestProxy {
    /// Binds the listeners. The cluster need not be there yet.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        for address in &config.listeners {
            let bound = TcpListener::bind(address).await;
            listeners.push(bound.map_err(|source| StartError::Bind {
                address: *address,
                source,
            })?);
        }
        if listeners.is_empty() {
            return Err(StartError::NoListener);
        }
        Ok(Self {
            listeners,
            router: router(Arc::new(Proxy::new(config))),
        })
    }

    /// Where it listens, with the ports that were taken.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// Serves until `shutdown` is done and the requests that run have their answers.
    ///
    /// # Errors
    /// A listener that fails for good.
    pub async fn serve(
        self,
        shutdown: impl Future<Output = ()> + Clone + Send + 'static,
    ) -> std::io::Result<()> {
        let servers = self.listeners.into_iter().map(|listener| {
            axum::serve(listener, self.router.clone())
                .with_graceful_shutdown(shutdown.clone())
                .into_future()
        });
        futures::future::try_join_all(servers).await.map(drop)
    }
}

/// Every API, at the root and under `/kafka` (where Confluent Server has it).
fn router(proxy: Arc<Proxy>) -> Router {
    let v3 = v3::routes().with_state(proxy);
    Router::new()
        .nest("/v3", v3.clone())
        .nest("/kafka/v3", v3)
        .fallback(|| async { RestError::not_found("HTTP 404 Not Found") })
        .method_not_allowed_fallback(|| async { RestError::method_not_allowed() })
}
