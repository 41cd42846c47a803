//! Who is asking, and whether they may.
//!
//! Every request carries a [`KafkaPrincipal`], and every handler asks an [`Authorizer`] before it touches a
//! resource. The one engine here is [`AllowEveryone`], which is what Apache Kafka does while
//! `authorizer.class.name` is empty; an authorizer over access control lists takes its place behind the same
//! trait.
//!
//! **Invariant:** this crate knows names and operations, never the broker or its requests.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// An authenticated identity, such as `User:alice`
/// (`org.apache.kafka.common.security.auth.KafkaPrincipal`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KafkaPrincipal {
    /// The kind of principal; `User` for all of Kafka's own mechanisms.
    pub principal_type: Arc<str>,
    /// The name within its kind.
    pub name: Arc<str>,
}

impl KafkaPrincipal {
    /// The principal of a connection that did not authenticate: `User:ANONYMOUS`.
    #[must_use]
    pub fn anonymous() -> KafkaPrincipal {
        KafkaPrincipal {
            principal_type: Arc::from("User"),
            name: Arc::from("ANONYMOUS"),
        }
    }
}

impl fmt::Display for KafkaPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.principal_type, self.name)
    }
}

/// What is to be done (`org.apache.kafka.common.acl.AclOperation`; the discriminant is Kafka's code, and the
/// bit in `authorized_operations`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum Operation {
    /// Read records, or commit offsets and join a group.
    Read = 3,
    /// Write records.
    Write = 4,
    /// Create a topic, or topics in the cluster.
    Create = 5,
    /// Delete a topic, records or a group.
    Delete = 6,
    /// Change a resource other than its configs.
    Alter = 7,
    /// See that a resource exists.
    Describe = 8,
    /// Act as a broker.
    ClusterAction = 9,
    /// See configs.
    DescribeConfigs = 10,
    /// Change configs.
    AlterConfigs = 11,
    /// Write as an idempotent producer.
    IdempotentWrite = 12,
}

impl Operation {
    /// The operations that `authorized_operations` may name for each kind of resource
    /// (`org.apache.kafka.security.authorizer.AclEntry.supportedOperations`).
    #[must_use]
    pub fn supported_by(resource_type: ResourceType) -> &'static [Operation] {
        use Operation::{
            Alter, AlterConfigs, ClusterAction, Create, Delete, Describe, DescribeConfigs,
            IdempotentWrite, Read, Write,
        };
        match resource_type {
            ResourceType::Topic => &[
                Read,
                Write,
                Create,
                Describe,
                Delete,
                Alter,
                DescribeConfigs,
                AlterConfigs,
            ],
            ResourceType::Group => &[Read, Describe, Delete, DescribeConfigs, AlterConfigs],
            ResourceType::Cluster => &[
                Create,
                ClusterAction,
                DescribeConfigs,
                AlterConfigs,
                IdempotentWrite,
                Alter,
                Describe,
            ],
            ResourceType::TransactionalId => &[Describe, Write],
        }
    }
}

/// A kind of resource (`org.apache.kafka.common.resource.ResourceType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum ResourceType {
    /// A topic, by name.
    Topic = 2,
    /// A consumer group, by id.
    Group = 3,
    /// The cluster; its only name is [`CLUSTER_NAME`].
    Cluster = 4,
    /// A transactional id.
    TransactionalId = 5,
}

/// The name of the one cluster resource.
pub const CLUSTER_NAME: &str = "kafka-cluster";

/// Where a request comes from and as whom.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// The identity the connection proved.
    pub principal: &'a KafkaPrincipal,
    /// The peer's address.
    pub host: IpAddr,
    /// The listener the connection came in on.
    pub listener: &'a str,
}

/// Decides whether a requester may perform an operation on a resource.
///
/// Called on the request path for every resource a request names, so an implementation answers from memory.
pub trait Authorizer: Send + Sync + fmt::Debug + 'static {
    /// Whether `requester` may perform `operation` on the resource.
    fn allows(
        &self,
        requester: Requester<'_>,
        operation: Operation,
        resource_type: ResourceType,
        resource_name: &str,
    ) -> bool;

    /// The bit field that `include_authorized_operations` asks for: bit `n` set when operation code `n` is
    /// allowed (KIP-430).
    fn authorized_operations(
        &self,
        requester: Requester<'_>,
        resource_type: ResourceType,
        resource_name: &str,
    ) -> i32 {
        Operation::supported_by(resource_type)
            .iter()
            .filter(|operation| self.allows(requester, **operation, resource_type, resource_name))
            .fold(0, |bits, operation| bits | (1 << (*operation as i8)))
    }
}

/// Allows everything: Apache Kafka without `authorizer.class.name`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowEveryone;

impl Authorizer for AllowEveryone {
    fn allows(&self, _: Requester<'_>, _: Operation, _: ResourceType, _: &str) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct OnlyReads;

    impl Authorizer for OnlyReads {
        fn allows(
            &self,
            requester: Requester<'_>,
            operation: Operation,
            _: ResourceType,
            resource_name: &str,
        ) -> bool {
            operation == Operation::Read
                && resource_name == "orders"
                && requester.principal.to_string() == "User:ANONYMOUS"
        }
    }

    #[test]
    fn authorized_operations_are_kafkas_bits() {
        let principal = KafkaPrincipal::anonymous();
        let host = IpAddr::from([127, 0, 0, 1]);
        let requester = Requester {
            principal: &principal,
            host,
            listener: "PLAINTEXT",
        };
        let bits = |authorizer: &dyn Authorizer, resource_type, name: &str| {
            authorizer.authorized_operations(requester, resource_type, name)
        };
        // What a Kafka 4 broker without an authorizer answers for a topic, a group and the cluster.
        assert_eq!(bits(&AllowEveryone, ResourceType::Topic, "orders"), 3576);
        assert_eq!(bits(&AllowEveryone, ResourceType::Group, "g"), 3400);
        assert_eq!(
            bits(&AllowEveryone, ResourceType::Cluster, CLUSTER_NAME),
            8096
        );
        assert_eq!(bits(&OnlyReads, ResourceType::Topic, "orders"), 8);
        assert_eq!(bits(&OnlyReads, ResourceType::Topic, "other"), 0);
    }
}
