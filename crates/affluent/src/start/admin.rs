//! The admin listener: `/metrics` for Prometheus, `/healthz` for whoever restarts things, and what services serve there
//! too (the REST Proxy, under `/kafka`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use cli::{Failure, Outcome};

use super::exposition::Exporter;
use crate::settings::own::AdminListener;

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const STOPPING: u8 = 2;

/// What `/healthz` answers: 200 while the broker serves, else 503.
#[derive(Debug, Clone, Default)]
pub(super) struct Health(Arc<AtomicU8>);

impl Health {
    pub(super) fn set_serving(&self) {
        self.0.store(SERVING, Ordering::Release);
    }

    pub(super) fn set_stopping(&self) {
        self.0.store(STOPPING, Ordering::Release);
    }

    fn answer(&self) -> (StatusCode, &'static str) {
        match self.0.load(Ordering::Acquire) {
            STARTING => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
            SERVING => (StatusCode::OK, "serving\n"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        }
    }
}

/// Binds and serves until the process ends. An address nobody asked for may be taken: a second broker on one
/// machine then goes without, and says so.
pub(super) async fn serve(
    listener: AdminListener,
    exporter: Exporter,
    health: Health,
    services: Router,
) -> Outcome<Option<SocketAddr>> {
    let AdminListener { address, asked_for } = listener;
    let bound = match tokio::net::TcpListener::bind(address).await {
        Ok(bound) => bound,
        Err(error) if !asked_for => {
            tracing::warn!(%address, %error, "metrics are not served; --admin-listener names another address");
            return Ok(None);
        }
        Err(error) => {
            return Err(
                Failure::new(format!("admin.listener cannot bind {address}: {error}")).remedy(
                    "choose another address with --admin-listener (port 0 takes a free one)",
                ),
            );
        }
    };
    let address = bound
        .local_addr()
        .map_err(|error| Failure::new(format!("admin.listener has no address: {error}")))?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .with_state(exporter)
        .route("/healthz", get(healthz))
        .with_state(health)
        .merge(services);
    // Ends with the process: there is nothing to hand over, and a scrape may come while the broker stops.
    tokio::spawn(async move {
        if let Err(error) = axum::serve(bound, router).await {
            tracing::error!(%error, "the admin listener ended");
        }
    });
    Ok(Some(address))
}

async fn metrics(State(exporter): State<Exporter>) -> impl IntoResponse {
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, exporter.render())
}

async fn healthz(State(health): State<Health>) -> impl IntoResponse {
    health.answer()
}
