//! The REST API: Confluent's paths, names, numbers and texts.
//!
//! One handler takes every request: it splits the path, takes a `/contexts/{context}` before it off, looks at the
//! content type, and matches path and method ([`route`]). There is one file per resource; each turns a [`Call`] into
//! an operation of [`Registry`] and its answer into a [`Reply`].
//!
//! Matching is a `match` rather than a router's table because the registry's paths can be prefixed as a whole, and
//! because what Jersey answers to a wrong path, method or type is part of the interface.
//!
//! Questions are answered by any instance. Orders are the leader's; the others forward them ([`forward`]).

mod associations;
mod call;
mod catalog;
mod compatibility;
mod config;
mod contexts;
mod entities;
mod exporters;
mod forward;
mod keys;
mod mode;
pub(crate) mod paths;
mod reply;
mod requests;
mod schemas;
mod server;
mod subjects;
mod versions;

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;

use crate::catalog::Catalog;
use crate::dek::DekRegistry;
use crate::metrics;
use crate::service::Registry;
pub(crate) use call::Call;
use paths::Route;
pub(crate) use reply::{HttpError, Reply};

/// What requests work on.
#[derive(Debug)]
pub struct App {
    /// The instance.
    pub registry: Arc<Registry>,
    /// Its keys.
    pub keys: Arc<DekRegistry>,
    /// Its catalog.
    pub catalog: Arc<Catalog>,
    /// For requests to the leader.
    pub client: reqwest::Client,
    /// The id of the Kafka cluster that holds the topic.
    pub cluster_id: String,
}

/// Answers a request. It is served as it is: a router with this one handler would box every request on the way to it.
pub(crate) async fn answer(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    let began = Instant::now();
    let is_head = request.method() == Method::HEAD;
    let method = request.method().clone();
    let logged = requests::Logged::of(&request);
    let mut called = Route::NONE;
    let response = match reply::negotiate(request.headers()) {
        Err(error) => error.into_response(reply::DEFAULT_TYPE, is_head),
        Ok(accept) => {
            let answer = match Call::read(request).await {
                Ok(call) => {
                    let path = call.path();
                    called = Route::of(&path);
                    route(&app, &call, &path).await
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok(reply) => reply.into_response(accept, is_head),
                Err(error) => error.into_response(accept, is_head),
            }
        }
    };
    let (status, took) = (response.status().as_u16(), began.elapsed());
    metrics::answered(&method, called, status, took);
    if let Some(logged) = logged {
        logged.answered(called, status, took);
    }
    response
}

/// Which methods a path has; a wrong one is answered with 405, with those there are in `Allow`.
macro_rules! methods {
    ($call:expr, $($method:ident => $answer:expr),+ $(,)?) => {
        match $call.method() {
            $(&Method::$method => $answer,)+
            _ => Err(HttpError::method_not_allowed(&[$(stringify!($method)),+])),
        }
    };
}
pub(crate) use methods;

async fn route(app: &App, call: &Call, path: &[&str]) -> Result<Reply, HttpError> {
    match path {
        [] => methods!(call, GET => server::root(), POST => server::root()),
        ["schemas", rest @ ..] => schemas_routes(app, call, rest).await,
        ["subjects", rest @ ..] => subjects_routes(app, call, rest).await,
        ["config"] => methods!(call,
            GET => config::get(app, call, call.top()),
            PUT => config::put(app, call, call.top()).await,
            DELETE => config::delete(app, call, call.top()).await,
        ),
        ["config", subject] => {
            let of = call.scope(subject);
            methods!(call,
                GET => config::get(app, call, of),
                PUT => config::put(app, call, of).await,
                DELETE => config::delete(app, call, of).await,
            )
        }
        ["mode"] => methods!(call,
            GET => mode::get(app, call, call.top()),
            PUT => mode::put(app, call, call.top()).await,
            DELETE => mode::delete(app, call, call.top()).await,
        ),
        ["mode", subject] => {
            let of = call.scope(subject);
            methods!(call,
                GET => mode::get(app, call, of),
                PUT => mode::put(app, call, of).await,
                DELETE => mode::delete(app, call, of).await,
            )
        }
        ["compatibility", "subjects", subject, "versions"] => {
            methods!(call, POST => compatibility::all(app, call, subject).await)
        }
        ["compatibility", "subjects", subject, "versions", version] => {
            methods!(call, POST => compatibility::one(app, call, subject, version).await)
        }
        ["contexts"] => methods!(call, GET => contexts::list(app, call)),
        ["contexts", context] => {
            methods!(call, DELETE => contexts::delete(app, call, context).await)
        }
        ["associations", rest @ ..] => associations_routes(app, call, rest).await,
        ["associations:batch" | "associations:batchMutate"] => {
            methods!(call, POST => associations::mutate(app, call).await)
        }
        ["associations:batchGet"] => methods!(call, POST => associations::get_batch(app, call)),
        ["exporters", rest @ ..] => exporters_routes(app, call, rest).await,
        ["clusterconfig"] => methods!(call, GET => server::cluster_config()),
        ["dek-registry", "v1", "keks", rest @ ..] => keys::route(app, call, rest).await,
        ["catalog", "v1", rest @ ..] => catalog::route(app, call, rest).await,
        ["v1", "metadata", "id"] => methods!(call, GET => server::id(app)),
        ["v1", "metadata", "version"] => methods!(call, GET => server::version()),
        ["v1", "metadata", "deployment"] => methods!(call, GET => server::deployment()),
        _ => Err(HttpError::not_found()),
    }
}

async fn schemas_routes(app: &App, call: &Call, rest: &[&str]) -> Result<Reply, HttpError> {
    match rest {
        ["ids", id] => methods!(call, GET => schemas::by_id(app, call, id).await),
        ["ids", id, "schema"] => methods!(call, GET => schemas::text_by_id(app, call, id).await),
        ["ids", id, "subjects"] => methods!(call, GET => schemas::subjects(app, call, id)),
        ["ids", id, "versions"] => methods!(call, GET => schemas::versions(app, call, id)),
        ["guids", guid] => methods!(call, GET => schemas::by_guid(app, call, guid).await),
        ["guids", guid, "ids"] => methods!(call, GET => schemas::ids(app, guid)),
        ["types"] => methods!(call, GET => schemas::types()),
        [] => methods!(call, GET => schemas::list(app, call)),
        _ => Err(HttpError::not_found()),
    }
}

async fn subjects_routes(app: &App, call: &Call, rest: &[&str]) -> Result<Reply, HttpError> {
    match rest {
        [] => methods!(call, GET => subjects::list(app, call)),
        [subject] => methods!(call,
            POST => subjects::look_up(app, call, subject).await,
            DELETE => subjects::delete(app, call, subject).await,
        ),
        [subject, "metadata"] => {
            methods!(call, GET => subjects::with_metadata(app, call, subject).await)
        }
        [subject, "versions"] => methods!(call,
            GET => versions::list(app, call, subject),
            POST => versions::register(app, call, subject).await,
        ),
        [subject, "versions", version] => methods!(call,
            GET => versions::get(app, call, subject, version).await,
            DELETE => versions::delete(app, call, subject, version).await,
        ),
        [subject, "versions", version, "schema"] => {
            methods!(call, GET => versions::text(app, call, subject, version).await)
        }
        [subject, "versions", version, "referencedby"] => {
            methods!(call, GET => versions::referenced_by(app, call, subject, version))
        }
        [subject, "versions", version, "tags"] => {
            methods!(call, POST => versions::tags(app, call, subject, version).await)
        }
        _ => Err(HttpError::not_found()),
    }
}

async fn associations_routes(app: &App, call: &Call, rest: &[&str]) -> Result<Reply, HttpError> {
    match rest {
        [] => methods!(call, POST => associations::create(app, call).await),
        ["subjects", subject] => {
            methods!(call, GET => associations::of_subject(app, call, subject))
        }
        ["resources", id] => methods!(call,
            GET => associations::of_resource(app, call, id),
            PUT => associations::upsert(app, call, id).await,
            DELETE => associations::delete(app, call, id).await,
        ),
        ["resources", namespace, name] => {
            methods!(call, GET => associations::of_name(app, call, namespace, name))
        }
        _ => Err(HttpError::not_found()),
    }
}

async fn exporters_routes(app: &App, call: &Call, rest: &[&str]) -> Result<Reply, HttpError> {
    match rest {
        [] => methods!(call,
            GET => exporters::list(app),
            POST => exporters::create(app, call).await,
        ),
        [name] => methods!(call,
            GET => exporters::get(app, name),
            PUT => exporters::update(app, call, name).await,
            DELETE => exporters::delete(app, call, name).await,
        ),
        [name, "config"] => methods!(call,
            GET => exporters::get_config(app, name),
            PUT => exporters::put_config(app, call, name).await,
        ),
        [name, "status"] => methods!(call, GET => exporters::status(app, name)),
        [name, "pause"] => methods!(call, PUT => exporters::pause(app, call, name).await),
        [name, "resume"] => methods!(call, PUT => exporters::resume(app, call, name).await),
        [name, "reset"] => methods!(call, PUT => exporters::reset(app, call, name).await),
        _ => Err(HttpError::not_found()),
    }
}

#[cfg(test)]
mod tests;
