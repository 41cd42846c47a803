//! The HTTP server: listeners, the routes of every API, a graceful end.

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpStream};

use crate::compression::compress;
use crate::config::Config;
use crate::error::RestError;
use crate::proxy::Proxy;
use crate::{v2, v3};

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
    /// No HTTP client can be made, for the registry and for other proxies.
    #[error("the REST proxy cannot make an HTTP client")]
    Http(#[source] reqwest::Error),
    /// `schema.registry.url` has what is no address.
    #[error(
        "the REST proxy cannot ask its registry: set kafka.rest.schema.registry.url to addresses"
    )]
    Registry(#[source] registry_client::ClientError),
    /// No HTTP client can be made, for key management services.
    #[error("the REST proxy cannot ask key management services")]
    Kms(#[source] kms::KmsError),
    /// `listeners` is empty.
    #[error("`listeners` names no address for the REST proxy")]
    NoListener,
}

/// A proxy with its listeners bound; it serves once [`RestProxy::serve`] is polled.
#[derive(Debug)]
pub struct RestProxy {
    listeners: Vec<TcpListener>,
    proxy: Arc<Proxy>,
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
        let first = listeners.first().and_then(|first| first.local_addr().ok());
        let url = advertised(&config, first.ok_or(StartError::NoListener)?);
        let proxy = Proxy::new(config, url)?;
        Ok(Self {
            listeners,
            proxy: Arc::new(proxy),
        })
    }

    /// Every API under `/kafka`, for a listener that serves others beside it. It serves as long as
    /// [`RestProxy::serve`] does.
    pub fn under_kafka(&self) -> Router {
        Router::new().nest("/kafka", apis(&self.proxy))
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
        let router = apis(&self.proxy).merge(self.under_kafka());
        let servers = self.listeners.into_iter().map(|listener| {
            axum::serve(listener.tap_io(without_delay), router.clone())
                .with_graceful_shutdown(shutdown.clone())
                .into_future()
        });
        let served = futures::future::try_join_all(servers).await.map(drop);
        self.proxy.consumers().shut_down().await;
        served
    }
}

/// A report goes out when it is there, not when the last one has been acknowledged by TCP.
fn without_delay(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
}

/// Every version of the API.
fn apis(proxy: &Arc<Proxy>) -> Router {
    let body_bytes_max = proxy.config.produce_request_bytes_max;
    let routes = Router::new()
        .merge(v2::routes(body_bytes_max))
        .nest("/v3", v3::routes())
        .fallback(|| async { RestError::no_such_path() })
        .method_not_allowed_fallback(other_method)
        .with_state(Arc::clone(proxy));
    // Around the router, since it is what finds the way.
    Router::new()
        .fallback_service(routes)
        .layer(middleware::from_fn(without_slash))
        .layer(middleware::from_fn(compress))
}

/// The answer to a method that a path does not have; which it has, the router says in `Allow`. To ask for that is what
/// `OPTIONS` is there for.
async fn other_method(method: Method) -> Result<StatusCode, RestError> {
    if method == Method::OPTIONS {
        Ok(StatusCode::OK)
    } else {
        Err(RestError::method_not_allowed())
    }
}

/// A path that ends in a slash is the one without, as it is to JAX-RS.
async fn without_slash(mut request: Request, next: Next) -> Response {
    let uri = request.uri();
    let shorter = match (uri.path().strip_suffix('/'), uri.query()) {
        (None | Some(""), _) => None,
        (Some(path), None) => path.parse().ok(),
        (Some(path), Some(query)) => format!("{path}?{query}").parse().ok(),
    };
    if let Some(shorter) = shorter {
        *request.uri_mut() = shorter;
    }
    next.run(request).await
}

/// Where other proxies reach this one, whose first listener is bound to `bound`.
fn advertised(config: &Config, bound: SocketAddr) -> String {
    if let Some(url) = &config.advertised.url {
        return url.clone();
    }
    let port = bound.port();
    match &config.advertised.host {
        Some(host) => format!("http://{host}:{port}"),
        None if bound.ip().is_unspecified() => {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
            let host = host.map(|host| host.trim().to_owned());
            let host = host.ok().filter(|host| !host.is_empty());
            format!("http://{}:{port}", host.as_deref().unwrap_or("localhost"))
        }
        None => format!("http://{bound}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_reach_it_where_it_says_or_listens() {
        let mut config = Config::new("k:1");
        let loopback = SocketAddr::from(([127, 0, 0, 1], 82));
        assert_eq!(advertised(&config, loopback), "http://127.0.0.1:82");
        let everywhere = SocketAddr::from(([0, 0, 0, 0], 82));
        let named = advertised(&config, everywhere);
        assert!(
            named.ends_with(":82") && !named.contains("0.0.0.0"),
            "{named}"
        );
        config.advertised.host = Some("h".to_owned());
        assert_eq!(advertised(&config, everywhere), "http://h:82");
        config.advertised.url = Some("http://lb:1".to_owned());
        assert_eq!(advertised(&config, everywhere), "http://lb:1");
    }
}
