//! From a request to the proxy that owns its instance: this one, another, or this one from now on.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, OriginalUri, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base::ErrorChain;
use serde::de::DeserializeOwned;

use super::instance::Resume;
use super::manager::{Consumers, Local, Seat, now_ms};
use super::membership;
use super::record::{InstanceId, InstanceRecord, Interest, Owner};
use crate::error::RestError;
use crate::json::read;

/// A request that comes from another proxy carries the incarnation it is meant for.
const FORWARDED: HeaderName = HeaderName::from_static("x-affluent-rest-owner");
/// How long another proxy may take beyond the time of a read.
const ANSWER_LIMIT: Duration = Duration::from_secs(40);
/// How often an instance may turn out to be elsewhere.
const MOVES_MAX: usize = 4;

/// A request, kept whole, so that it can go to another proxy.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    path_and_query: String,
    pub(crate) headers: HeaderMap,
    body: Bytes,
}

/// Where a request is answered.
#[derive(Debug)]
pub(crate) enum Routed {
    /// Here.
    Here(Seat),
    /// It was, by the instance's owner.
    Answered(Response),
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = RestError;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, RestError> {
        let original = request.extensions().get::<OriginalUri>();
        let uri = original.map_or(request.uri(), |OriginalUri(uri)| uri);
        let path_and_query = uri.path_and_query().map(ToString::to_string);
        let (method, headers) = (request.method().clone(), request.headers().clone());
        Ok(Self {
            method,
            path_and_query: path_and_query.unwrap_or_default(),
            headers,
            body: Bytes::from_request(request, state).await?,
        })
    }
}

impl Call {
    /// The body as JSON, if there is one.
    ///
    /// # Errors
    /// Those of [`read`].
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<Option<T>, RestError> {
        read(&self.body)
    }

    fn forwarded_to(&self) -> Option<&HeaderValue> {
        self.headers.get(FORWARDED)
    }
}

impl Consumers {
    /// Finds the instance: here, or its owner answers.
    ///
    /// # Errors
    /// 404/40403 when there is none; 503/50302 while it is on its way.
    pub(crate) async fn route(
        self: &Arc<Self>,
        id: &InstanceId,
        call: &Call,
    ) -> Result<Routed, RestError> {
        for _ in 0..MOVES_MAX {
            if let Some(local) = self.find_here(id) {
                return Ok(Routed::Here(Seat::take(self, local)));
            }
            if call.forwarded_to().is_some() {
                return Err(RestError::misdirected());
            }
            let known = self.find(id).await?;
            if known.owner != self.owner {
                match self.forward(&known.owner, call).await {
                    Some(answer) => return Ok(Routed::Answered(answer)),
                    None => tracing::info!(
                        group_id = id.group,
                        instance = id.instance,
                        owner = known.owner.url,
                        "the owner of a consumer instance is gone"
                    ),
                }
            }
            if let Some(local) = self.take_over(id, &known).await? {
                return Ok(Routed::Here(Seat::take(self, local)));
            }
        }
        Err(RestError::instance_is_moving())
    }

    fn find_here(&self, id: &InstanceId) -> Option<Arc<Local>> {
        let local = self.local().get(id).map(Arc::clone);
        local.filter(|local| local.is_open())
    }

    /// What the topic says of the instance; it is read to its end before one is said not to be there.
    async fn find(self: &Arc<Self>, id: &InstanceId) -> Result<InstanceRecord, RestError> {
        let log = self.log().await?;
        let known = log.state().get(id).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        log.catch_up(self.admin().await?).await?;
        let known = log.state().get(id).cloned();
        known.ok_or_else(RestError::consumer_instance_not_found)
    }

    /// Has the owner answer; none when it does not, or says that the instance is not there.
    async fn forward(&self, owner: &Owner, call: &Call) -> Option<Response> {
        let mut request = self
            .http
            .request(
                call.method.clone(),
                format!("{}{}", owner.url, call.path_and_query),
            )
            .timeout(self.config.consumers.request_timeout + ANSWER_LIMIT)
            .header(FORWARDED, &owner.incarnation)
            .body(call.body.clone());
        for name in [header::CONTENT_TYPE, header::ACCEPT, header::AUTHORIZATION] {
            for value in call.headers.get_all(&name) {
                request = request.header(name.clone(), value.clone());
            }
        }
        let failed = |error: reqwest::Error| {
            tracing::debug!(owner = owner.url, error = %ErrorChain(&error), "a proxy does not answer");
        };
        let response = request.send().await.map_err(failed).ok()?;
        let status = response.status();
        if status == StatusCode::MISDIRECTED_REQUEST {
            return None;
        }
        let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
        let body = response.bytes().await.map_err(failed).ok()?;
        let mut answer = (status, body).into_response();
        answer.headers_mut().remove(header::CONTENT_TYPE);
        if let Some(content_type) = content_type {
            let headers = answer.headers_mut();
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        Some(answer)
    }

    /// Makes the instance this proxy's, unless its owner is not `seen` any more; none when another was first.
    async fn take_over(
        self: &Arc<Self>,
        id: &InstanceId,
        seen: &InstanceRecord,
    ) -> Result<Option<Arc<Local>>, RestError> {
        let _claim = self.claim(id).await;
        if let Some(local) = self.find_here(id) {
            return Ok(Some(local));
        }
        let log = self.log().await?;
        log.catch_up(self.admin().await?).await?;
        let known = log.state().get(id).cloned();
        let known = known.ok_or_else(RestError::consumer_instance_not_found)?;
        if (known.epoch, &known.owner) != (seen.epoch, &seen.owner) {
            return Ok(None);
        }
        self.check_room()?;
        let record = InstanceRecord {
            epoch: known.epoch.saturating_add(1),
            owner: self.owner.clone(),
            written_ms: now_ms(),
            ..known
        };
        log.write(id, Some(&record)).await?;
        if !self.is_mine(id, record.epoch) {
            return Ok(None);
        }
        let resume = self.resume(id, &record).await?;
        let instance = self.start(id, &record, resume).await?;
        tracing::info!(
            group_id = id.group,
            instance = id.instance,
            epoch = record.epoch,
            "a consumer instance is taken over"
        );
        Ok(Some(self.seat(id.clone(), record.epoch, instance)))
    }

    /// Where a new owner begins.
    async fn resume(&self, id: &InstanceId, record: &InstanceRecord) -> Result<Resume, RestError> {
        let mut positions = record.positions.clone();
        if matches!(record.interest, Interest::Topics(_) | Interest::Pattern(_)) {
            // What the member lost was read by others, who may have gone further or stopped before.
            let held = membership::held(self.admin().await?, id).await?;
            positions.retain(|place, _| held.contains(place));
        }
        Ok(Resume {
            interest: record.interest.clone(),
            positions,
        })
    }
}
