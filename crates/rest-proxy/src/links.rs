//! The addresses and names of resources in answers: `self`, `related`, `resource_name`.
//!
//! Addresses are made from what the caller used to get here (its `Host`, and whether the API lies under `/kafka`),
//! so that a link works from where the answer is read.

use std::convert::Infallible;
use std::fmt;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::header::HOST;
use axum::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

/// What stays as it is in a path segment or a query value (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Makes the links of one answer.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    root: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Links {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let original = parts.extensions.get::<OriginalUri>();
        let uri = original.map_or(&parts.uri, |OriginalUri(uri)| uri);
        let host = parts
            .headers
            .get(HOST)
            .and_then(|value| value.to_str().ok())
            .or_else(|| uri.authority().map(|authority| authority.as_str()))
            .unwrap_or("localhost");
        let prefix = if uri.path().starts_with("/kafka/") {
            "/kafka"
        } else {
            ""
        };
        Ok(Self {
            root: format!("http://{host}{prefix}"),
        })
    }
}

impl Links {
    /// The address of the resource that the segments name, such as `["clusters"]`.
    pub(crate) fn to(&self, segments: &[&dyn fmt::Display]) -> String {
        let mut url = format!("{}/v3", self.root);
        push_segments(&mut url, segments);
        url
    }

    /// The address of what the segments name in version 2, which has no prefix.
    pub(crate) fn at_root(&self, segments: &[&dyn fmt::Display]) -> String {
        let mut url = self.root.clone();
        push_segments(&mut url, segments);
        url
    }
}

/// Adds a query string to an address.
pub(crate) fn search(mut address: String, query: &[(&str, Option<&str>)]) -> String {
    let mut before = '?';
    for (name, value) in query {
        if let Some(value) = value {
            address.push(before);
            address.push_str(name);
            address.push('=');
            push_escaped(&mut address, value);
            before = '&';
        }
    }
    address
}

fn push_segments(url: &mut String, segments: &[&dyn fmt::Display]) {
    for segment in segments {
        url.push('/');
        push_escaped(url, &segment.to_string());
    }
}

/// `-` stands for "all" and must not be escaped; neither is anything else that RFC 3986 allows.
fn push_escaped(url: &mut String, segment: &str) {
    for piece in utf8_percent_encode(segment, ESCAPED) {
        url.push_str(piece);
    }
}

/// A link from one resource to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Related {
    related: String,
}

/// Where a resource is: its address, and its name (`crn://authority/kafka=cluster/topic=name`) where names are on. A
/// place is made from the cluster down, so that path and name cannot disagree.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    address: String,
    name: Option<String>,
}

impl Place {
    /// The cluster of that id; names need an authority.
    pub(crate) fn cluster(links: &Links, authority: Option<&str>, id: &str) -> Self {
        Self {
            address: links.to(&[&"clusters", &id]),
            name: authority.map(|authority| format!("crn://{authority}/kafka={id}")),
        }
    }

    fn child(&self, path: &[&dyn fmt::Display], kind: &str, value: &dyn fmt::Display) -> Self {
        let mut address = self.address.clone();
        push_segments(&mut address, path);
        let name = self.name.as_ref();
        Self {
            address,
            name: name.map(|name| format!("{name}/{kind}={value}")),
        }
    }

    pub(crate) fn broker(&self, id: i32) -> Self {
        self.child(&[&"brokers", &id], "broker", &id)
    }

    /// A config of all brokers.
    pub(crate) fn cluster_config(&self, name: &str) -> Self {
        self.child(&[&"broker-configs", &name], "broker-config", &name)
    }

    /// A config of a topic or a broker.
    pub(crate) fn config(&self, name: &str) -> Self {
        self.child(&[&"configs", &name], "config", &name)
    }

    pub(crate) fn topic(&self, name: &str) -> Self {
        self.child(&[&"topics", &name], "topic", &name)
    }

    pub(crate) fn partition(&self, id: i32) -> Self {
        self.child(&[&"partitions", &id], "partition", &id)
    }

    pub(crate) fn replica(&self, broker: i32) -> Self {
        self.child(&[&"replicas", &broker], "replica", &broker)
    }

    pub(crate) fn reassignment(&self) -> Self {
        self.child(&[&"reassignment"], "reassignment", &"")
    }

    pub(crate) fn group(&self, id: &str) -> Self {
        self.child(&[&"consumer-groups", &id], "consumer-group", &id)
    }

    pub(crate) fn share_group(&self, id: &str) -> Self {
        self.child(&[&"share-groups", &id], "share-group", &id)
    }

    /// A partition that a share group has.
    pub(crate) fn shared_partition(&self, topic: &str, partition: i32) -> Self {
        self.child(
            &[&"assigned-topic-partitions", &topic, &partition],
            "topic-partition",
            &format_args!("{topic}:{partition}"),
        )
    }

    pub(crate) fn streams_group(&self, id: &str) -> Self {
        self.child(&[&"streams-groups", &id], "streams-group", &id)
    }

    pub(crate) fn subtopology(&self, id: &str) -> Self {
        self.child(&[&"subtopologies", &id], "subtopology", &id)
    }

    pub(crate) fn member(&self, id: &str) -> Self {
        self.child(&[&"members", &id], "member", &id)
    }

    /// What a member of a streams group has or is to have, which `segment` says.
    pub(crate) fn tasks(&self, segment: &str) -> Self {
        let mut place = self.below(&[&segment]);
        place.name = place.name.map(|name| format!("{name}/{segment}"));
        place
    }

    /// Its tasks of one type.
    pub(crate) fn tasks_of_type(&self, segment: &str, tasks: &str) -> Self {
        self.child(&[&segment, &tasks], segment, &tasks)
    }

    pub(crate) fn consumer(&self, id: &str) -> Self {
        self.child(&[&"consumers", &id], "consumer", &id)
    }

    /// What a consumer was assigned of a topic; a partition of it comes below.
    pub(crate) fn assignment(&self, topic: &str) -> Self {
        self.child(&[&"assignments", &topic], "assignment", &topic)
    }

    /// A group's lag in a topic; a partition of it comes below.
    pub(crate) fn lag(&self, topic: &str) -> Self {
        self.child(&[&"lags", &topic], "lag", &topic)
    }

    /// What belongs to it and has no name of its own: `below(&["partitions"])`. The name stays the resource's.
    pub(crate) fn below(&self, segments: &[&dyn fmt::Display]) -> Self {
        let mut place = self.clone();
        push_segments(&mut place.address, segments);
        place
    }

    /// The place with its address changed, such as by [`search`].
    pub(crate) fn map_address(self, change: impl FnOnce(String) -> String) -> Self {
        Self {
            address: change(self.address),
            name: self.name,
        }
    }

    /// A link to it.
    pub(crate) fn link(&self) -> Related {
        Related {
            related: self.address.clone(),
        }
    }

    /// Its address.
    pub(crate) fn into_address(self) -> String {
        self.address
    }

    /// Its address and its name.
    pub(crate) fn into_parts(self) -> (String, Option<String>) {
        (self.address, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        Links {
            root: "http://h:8082".to_owned(),
        }
    }

    #[test]
    fn a_name_is_escaped_where_a_path_needs_it() {
        let url = Place::cluster(&links(), None, "c")
            .group("a/b c%")
            .into_address();
        assert_eq!(
            url,
            "http://h:8082/v3/clusters/c/consumer-groups/a%2Fb%20c%25"
        );
        let url = search(
            links().to(&[&"clusters", &"c", &"acls"]),
            &[("principal", Some("User:alice")), ("host", None)],
        );
        assert_eq!(
            url,
            "http://h:8082/v3/clusters/c/acls?principal=User%3Aalice"
        );
    }

    #[test]
    fn names_need_an_authority() {
        assert_eq!(
            Place::cluster(&links(), None, "c").broker(1).into_parts().1,
            None
        );
        let named = Place::cluster(&links(), Some("host"), "c");
        let (address, name) = named.broker(1).below(&[&"configs"]).into_parts();
        assert_eq!(address, "http://h:8082/v3/clusters/c/brokers/1/configs");
        assert_eq!(name.as_deref(), Some("crn://host/kafka=c/broker=1"));
        let (address, name) = named.topic("t").partition(2).replica(1).into_parts();
        assert_eq!(
            address,
            "http://h:8082/v3/clusters/c/topics/t/partitions/2/replicas/1"
        );
        assert_eq!(
            name.as_deref(),
            Some("crn://host/kafka=c/topic=t/partition=2/replica=1")
        );
        let partition = named.share_group("g").shared_partition("t", 2).into_parts();
        assert_eq!(
            partition.0,
            "http://h:8082/v3/clusters/c/share-groups/g/assigned-topic-partitions/t/2"
        );
        assert_eq!(
            partition.1.as_deref(),
            Some("crn://host/kafka=c/share-group=g/topic-partition=t:2")
        );
        let member = named.streams_group("g").member("m");
        assert_eq!(
            member.tasks("assignments").into_parts().1.as_deref(),
            Some("crn://host/kafka=c/streams-group=g/member=m/assignments")
        );
        let tasks = member.tasks_of_type("target-assignments", "active");
        let (address, name) = tasks.subtopology("0").into_parts();
        assert_eq!(
            address,
            "http://h:8082/v3/clusters/c/streams-groups/g/members/m/target-assignments/active/subtopologies/0"
        );
        assert_eq!(
            name.as_deref(),
            Some(
                "crn://host/kafka=c/streams-group=g/member=m/target-assignments=active/subtopology=0"
            )
        );
    }
}
