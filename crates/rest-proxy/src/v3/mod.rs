//! The API of resources: `/v3/clusters/...`, one file for each kind of resource.
//!
//! Every answer is a [`resource::Resource`] or a [`resource::List`] of them, with links to what belongs to it. The
//! bodies are those of `kafka-rest`'s OpenAPI description of version 3, and of Confluent Cloud's for share and streams
//! groups.

mod acls;
mod brokers;
mod clusters;
mod configs;
mod groups;
mod lags;
mod partitions;
mod reassignments;
pub mod records;
mod replicas;
mod resource;
mod share_groups;
mod streams_groups;
mod topics;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};

use crate::error::RestError;
use crate::media;
use crate::proxy::Proxy;
use streams_groups::When;

/// What every request and every answer is.
const JSON: &str = "application/json";

/// Routes whose requests and answers are JSON.
#[derive(Default)]
struct Routes(Router<Arc<Proxy>>);

impl Routes {
    fn new() -> Self {
        Self::default()
    }

    fn route(self, path: &str, methods: MethodRouter<Arc<Proxy>>) -> Self {
        // Only once path and method are known: 404 and 405 come first.
        let methods = methods.route_layer(middleware::from_fn(negotiate));
        Self(self.0.route(path, methods))
    }

    fn merge(self, other: Self) -> Self {
        Self(self.0.merge(other.0))
    }
}

/// Refuses bodies that are no JSON, then clients that take none.
async fn negotiate(request: Request, next: Next) -> Result<Response, RestError> {
    let headers = request.headers();
    let has_body = matches!(
        *request.method(),
        Method::POST | Method::PUT | Method::PATCH
    );
    if has_body
        && let Some(content_type) = media::content_type(headers)
        && !content_type.eq_ignore_ascii_case(JSON)
    {
        return Err(RestError::unsupported_media_type());
    }
    if !media::accepts(headers, [JSON]) {
        return Err(RestError::not_acceptable());
    }
    Ok(next.run(request).await)
}

/// The routes below `/v3`.
pub(crate) fn routes() -> Router<Arc<Proxy>> {
    Routes::new()
        .route("/clusters", get(clusters::list))
        .route("/clusters/{cluster_id}", get(clusters::get))
        .merge(of_brokers())
        .merge(of_topics())
        .merge(of_partitions())
        .merge(of_groups())
        .merge(of_share_groups())
        .merge(of_streams_groups())
        .route(
            "/clusters/{cluster_id}/acls",
            get(acls::search).post(acls::create).delete(acls::delete),
        )
        .route(
            "/clusters/{cluster_id}/acls:batch",
            post(acls::create_batch),
        )
        .0
}

fn of_brokers() -> Routes {
    Routes::new()
        .route(
            "/clusters/{cluster_id}/broker-configs",
            get(configs::list_of_cluster),
        )
        .route(
            "/clusters/{cluster_id}/broker-configs:alter",
            post(configs::alter_of_cluster),
        )
        .route(
            "/clusters/{cluster_id}/broker-configs/{name}",
            get(configs::get_of_cluster)
                .put(configs::set_of_cluster)
                .delete(configs::reset_of_cluster),
        )
        .route("/clusters/{cluster_id}/brokers", get(brokers::list))
        .route(
            "/clusters/{cluster_id}/brokers/{broker_id}",
            get(brokers::get),
        )
        .route(
            "/clusters/{cluster_id}/brokers/-/configs",
            get(configs::list_of_brokers),
        )
        .route(
            "/clusters/{cluster_id}/brokers/{broker_id}/configs",
            get(configs::list_of_broker),
        )
        .route(
            "/clusters/{cluster_id}/brokers/{broker_id}/configs:alter",
            post(configs::alter_of_broker),
        )
        .route(
            "/clusters/{cluster_id}/brokers/{broker_id}/configs/{name}",
            get(configs::get_of_broker)
                .put(configs::set_of_broker)
                .delete(configs::reset_of_broker),
        )
        .route(
            "/clusters/{cluster_id}/brokers/{broker_id}/partition-replicas",
            get(replicas::of_broker),
        )
}

fn of_topics() -> Routes {
    Routes::new()
        .route(
            "/clusters/{cluster_id}/topics",
            get(topics::list).post(topics::create),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}",
            get(topics::get).patch(topics::grow).delete(topics::delete),
        )
        .route(
            "/clusters/{cluster_id}/topics/-/configs",
            get(configs::list_of_topics),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/configs",
            get(configs::list_of_topic),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/configs:alter",
            post(configs::alter_of_topic),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/configs/{name}",
            get(configs::get_of_topic)
                .put(configs::set_of_topic)
                .delete(configs::reset_of_topic),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/default-configs",
            get(configs::defaults_of_topic),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/records",
            post(records::stream),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/records:batch",
            post(records::batch),
        )
}

fn of_partitions() -> Routes {
    Routes::new()
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/partitions",
            get(partitions::list),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}",
            get(partitions::get),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/offset",
            get(partitions::offsets),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/replicas",
            get(replicas::of_partition),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/replicas/{broker_id}",
            get(replicas::get),
        )
        .route(
            "/clusters/{cluster_id}/topics/-/partitions/-/reassignment",
            get(reassignments::all),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/partitions/-/reassignment",
            get(reassignments::of_topic),
        )
        .route(
            "/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/reassignment",
            get(reassignments::get),
        )
}

fn of_groups() -> Routes {
    const GROUP: &str = "/clusters/{cluster_id}/consumer-groups/{consumer_group_id}";
    Routes::new()
        .route("/clusters/{cluster_id}/consumer-groups", get(groups::list))
        .route(GROUP, get(groups::get))
        .route(&format!("{GROUP}/consumers"), get(groups::consumers))
        .route(
            &format!("{GROUP}/consumers/{{consumer_id}}"),
            get(groups::consumer),
        )
        .route(
            &format!("{GROUP}/consumers/{{consumer_id}}/assignments"),
            get(groups::assignments),
        )
        .route(
            &format!(
                "{GROUP}/consumers/{{consumer_id}}/assignments/{{topic_name}}/partitions/{{partition_id}}"
            ),
            get(groups::assignment),
        )
        .route(&format!("{GROUP}/lag-summary"), get(lags::summary))
        .route(&format!("{GROUP}/lags"), get(lags::list))
        .route(
            &format!("{GROUP}/lags/{{topic_name}}/partitions/{{partition_id}}"),
            get(lags::get),
        )
}

fn of_share_groups() -> Routes {
    const GROUP: &str = "/clusters/{cluster_id}/share-groups/{group_id}";
    Routes::new()
        .route(
            "/clusters/{cluster_id}/share-groups",
            get(share_groups::list),
        )
        .route(
            GROUP,
            get(share_groups::get).delete(share_groups::delete),
        )
        .route(
            &format!("{GROUP}/assigned-topic-partitions/{{topic_name}}/{{partition_id}}"),
            get(share_groups::partition),
        )
        .route(&format!("{GROUP}/consumers"), get(share_groups::consumers))
        .route(
            &format!("{GROUP}/consumers/{{consumer_id}}"),
            get(share_groups::consumer),
        )
        .route(
            &format!("{GROUP}/consumers/{{consumer_id}}/assignments"),
            get(share_groups::assignments),
        )
        .route(
            &format!(
                "{GROUP}/consumers/{{consumer_id}}/assignments/{{topic_name}}/partitions/{{partition_id}}"
            ),
            get(share_groups::assignment),
        )
}

fn of_streams_groups() -> Routes {
    const GROUP: &str = "/clusters/{cluster_id}/streams-groups/{group_id}";
    let router = Routes::new()
        .route(
            "/clusters/{cluster_id}/streams-groups",
            get(streams_groups::list),
        )
        .route(GROUP, get(streams_groups::get))
        .route(
            &format!("{GROUP}/subtopologies"),
            get(streams_groups::subtopologies),
        )
        .route(
            &format!("{GROUP}/subtopologies/{{subtopology_id}}"),
            get(streams_groups::subtopology),
        )
        .route(&format!("{GROUP}/members"), get(streams_groups::members))
        .route(
            &format!("{GROUP}/members/{{member_id}}"),
            get(streams_groups::member),
        );
    [When::Now, When::Target]
        .into_iter()
        .fold(router, |router, when| {
            let assignments = format!("{GROUP}/members/{{member_id}}/{}", when.segment());
            let tasks = format!("{assignments}/{{assignments_type}}");
            router
                .route(
                    &assignments,
                    get(move |proxy, path, links| {
                        streams_groups::assignments(when, proxy, path, links)
                    }),
                )
                .route(
                    &tasks,
                    get(move |proxy, path, links| streams_groups::tasks(when, proxy, path, links)),
                )
                .route(
                    &format!("{tasks}/subtopologies/{{subtopology_id}}"),
                    get(move |proxy, path, links| {
                        streams_groups::tasks_of(when, proxy, path, links)
                    }),
                )
        })
}
