//! Client telemetry over sockets: subscribe through configs, ask, push, and see the metrics exported.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use base::Uuid;
use bytes::Bytes;
use prost::Message;
use support::{Client, Running};
use wire::ErrorCode;
use wire::messages::describe_configs_request::DescribeConfigsResource;
use wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use wire::messages::{
    ApiVersionsRequest, DescribeConfigsRequest, GetTelemetrySubscriptionsRequest,
    GetTelemetrySubscriptionsResponse, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
    PushTelemetryRequest,
};

const CLIENT_METRICS: i8 = 16;

/// A gauge in OpenTelemetry's protocol, written by hand: this is what the broker must read.
mod otlp {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Text {
        #[prost(string, tag = "1")]
        pub(super) value: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Attribute {
        #[prost(string, tag = "1")]
        pub(super) key: String,
        #[prost(message, optional, tag = "2")]
        pub(super) value: Option<Text>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Point {
        #[prost(message, repeated, tag = "7")]
        pub(super) attributes: Vec<Attribute>,
        #[prost(fixed64, tag = "3")]
        pub(super) time_unix_nano: u64,
        #[prost(double, tag = "4")]
        pub(super) as_double: f64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Gauge {
        #[prost(message, repeated, tag = "1")]
        pub(super) data_points: Vec<Point>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metric {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(message, optional, tag = "5")]
        pub(super) gauge: Option<Gauge>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Scope {
        #[prost(message, repeated, tag = "2")]
        pub(super) metrics: Vec<Metric>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Resource {
        #[prost(message, repeated, tag = "2")]
        pub(super) scope_metrics: Vec<Scope>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metrics {
        #[prost(message, repeated, tag = "1")]
        pub(super) resource_metrics: Vec<Resource>,
    }
}

fn gauge(name: &str, topic: &str, value: f64) -> Bytes {
    let point = otlp::Point {
        attributes: vec![otlp::Attribute {
            key: "topic".to_owned(),
            value: Some(otlp::Text {
                value: topic.to_owned(),
            }),
        }],
        time_unix_nano: 1,
        as_double: value,
    };
    let metric = otlp::Metric {
        name: name.to_owned(),
        gauge: Some(otlp::Gauge {
            data_points: vec![point],
        }),
    };
    let metrics = otlp::Metrics {
        resource_metrics: vec![otlp::Resource {
            scope_metrics: vec![otlp::Scope {
                metrics: vec![metric],
            }],
        }],
    };
    Bytes::from(metrics.encode_to_vec())
}

/// Sets (`Some`) or removes (`None`) configs of a subscription; returns the error code.
fn alter(client: &mut Client, name: &str, configs: &[(&str, Option<&str>)]) -> i16 {
    let configs = configs.iter().map(|(key, value)| AlterableConfig {
        name: (*key).to_owned(),
        config_operation: i8::from(value.is_none()),
        value: value.map(str::to_owned),
    });
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: CLIENT_METRICS,
            resource_name: name.to_owned(),
            configs: configs.collect(),
        }],
        validate_only: false,
    };
    client.call(1, &request).responses[0].error_code
}

fn ask(client: &mut Client, id: Uuid) -> GetTelemetrySubscriptionsResponse {
    let request = GetTelemetrySubscriptionsRequest {
        client_instance_id: id,
    };
    client.call(0, &request)
}

#[test]
fn a_client_is_asked_pushes_and_is_exported() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    let mut admin = running.connect("admin");
    let mut client = running.connect("app");
    client.call(
        3,
        &ApiVersionsRequest {
            client_software_name: "my-client".to_owned(),
            client_software_version: "1.2.3".to_owned(),
            ..ApiVersionsRequest::default()
        },
    );
    // Nothing is wanted yet.
    let nothing = ask(&mut client, Uuid::ZERO);
    assert_eq!(nothing.error_code, 0);
    assert!(nothing.requested_metrics.is_empty());
    assert_eq!(nothing.push_interval_ms, 300_000);
    assert_eq!(nothing.telemetry_max_bytes, 1_048_576);
    assert!(nothing.delta_temporality);
    assert_eq!(nothing.accepted_compression_types, [4, 3, 1, 2]);
    let id = nothing.client_instance_id;
    assert!(!id.is_zero());
    let too_early = ask(&mut client, id);
    assert_eq!(
        too_early.error_code,
        ErrorCode::ThrottlingQuotaExceeded.code()
    );

    let configs = [
        ("metrics", Some("org.apache.kafka.producer.")),
        ("interval.ms", Some("100")),
        ("match", Some("client_software_name=my-.*,client_id=app")),
    ];
    assert_eq!(alter(&mut admin, "sub", &configs), 0);
    let wanted = ask(&mut client, id);
    assert_eq!(wanted.error_code, 0, "a change is told at once");
    assert_eq!(wanted.requested_metrics, ["org.apache.kafka.producer."]);
    assert_eq!(
        (wanted.client_instance_id, wanted.push_interval_ms),
        (id, 100)
    );

    let name = "org.apache.kafka.producer.record.send.rate";
    let plain = gauge(name, "t", 42.5);
    let packed =
        wire::compression::compress(wire::record_batch::Compression::Zstd, None, &plain).unwrap();
    let push = PushTelemetryRequest {
        client_instance_id: id,
        subscription_id: wanted.subscription_id,
        terminating: false,
        compression_type: 4,
        metrics: Bytes::from(packed),
    };
    assert_eq!(client.call(0, &push).error_code, 0);
    let exported = running.client_metrics();
    let expected = format!(
        "kafka_client_producer_record_send_rate{{client_instance_id=\"{id}\",client_id=\"app\",\
         client_software_name=\"my-client\",client_software_version=\"1.2.3\",topic=\"t\"}} 42.5\n"
    );
    assert!(
        exported.contains(&expected),
        "{expected} is missing in\n{exported}"
    );

    let stale = PushTelemetryRequest {
        subscription_id: wanted.subscription_id ^ 1,
        terminating: true,
        ..push
    };
    let code = client.call(0, &stale).error_code;
    assert_eq!(code, ErrorCode::UnknownSubscriptionId.code());
    running.stop();
}

#[test]
fn subscriptions_are_configs() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    let mut admin = running.connect("admin");
    assert_eq!(
        alter(&mut admin, "sub", &[("interval.ms", Some("5000"))]),
        0
    );
    for (key, value, expected) in [
        ("interval.ms", "99", ErrorCode::InvalidRequest),
        ("match", "client_id=(", ErrorCode::InvalidConfig),
        ("match", "nobody=x", ErrorCode::InvalidConfig),
        ("colour", "red", ErrorCode::InvalidRequest),
    ] {
        let code = alter(&mut admin, "sub", &[(key, Some(value))]);
        assert_eq!(code, expected.code(), "{key}={value}");
    }
    let describe = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: CLIENT_METRICS,
            resource_name: "sub".to_owned(),
            configuration_keys: None,
        }],
        ..DescribeConfigsRequest::default()
    };
    let response = admin.call(4, &describe);
    let rows: Vec<(&str, Option<&str>)> = response.results[0]
        .configs
        .iter()
        .map(|row| (row.name.as_str(), row.value.as_deref()))
        .collect();
    let expected = [
        ("interval.ms", Some("5000")),
        ("match", Some("")),
        ("metrics", Some("")),
    ];
    assert_eq!(rows, expected);

    let nameless = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: CLIENT_METRICS,
            ..DescribeConfigsResource::default()
        }],
        ..DescribeConfigsRequest::default()
    };
    let refused = admin.call(4, &nameless).results.remove(0);
    assert_eq!(refused.error_code, ErrorCode::InvalidRequest.code());
    assert_eq!(
        refused.error_message.as_deref(),
        Some("Client metrics subscription name must not be empty")
    );

    let names = |admin: &mut Client| {
        let response = admin.call(0, &ListConfigResourcesRequest::default());
        let resources = response.config_resources.into_iter();
        resources.map(|r| r.resource_name).collect::<Vec<_>>()
    };
    assert_eq!(names(&mut admin), ["sub"]);
    assert_eq!(alter(&mut admin, "sub", &[("interval.ms", None)]), 0);
    assert!(
        names(&mut admin).is_empty(),
        "without any config it is gone"
    );
    running.stop();
}
