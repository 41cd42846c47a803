//! An instance as a member of its group.
//!
//! Members are static (KIP-345): the group knows them by `group.instance.id`, which follows from the instance's name. So the
//! next owner is the same member; and since such a member does not leave by closing, the group is told when an instance is
//! deleted or subscribes to nothing.

use std::collections::BTreeSet;

use client::{Admin, ClientError};
use wire::ErrorCode;
use wire::messages::LeaveGroupRequest;
use wire::messages::leave_group_request::MemberIdentity;

use super::record::{InstanceId, Place};

/// The version from which members can leave by their `group.instance.id`.
const LEAVE_BY_INSTANCE: i16 = 3;

/// The `group.instance.id` of an instance: characters that Kafka does not allow are written as `_` and their bytes.
pub(super) fn member_name(instance: &str) -> String {
    let mut name = "rest-proxy-".to_owned();
    for byte in instance.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => name.push(char::from(byte)),
            other => name.push_str(&format!("_{other:02x}")),
        }
    }
    name
}

/// The partitions that the group has given the instance's member, which has them as long as it is one.
///
/// # Errors
/// What the brokers say. A group nobody knows has given nothing.
pub(super) async fn held(admin: &Admin, id: &InstanceId) -> Result<BTreeSet<Place>, ClientError> {
    let described = match admin.describe_group(&id.group).await {
        Err(error) if error.error_code() == Some(ErrorCode::GroupIdNotFound) => {
            return Ok(BTreeSet::new());
        }
        described => described?,
    };
    let name = member_name(&id.instance);
    let places = described
        .members
        .into_iter()
        .filter(|member| member.instance_id.as_deref() == Some(&name))
        .flat_map(|member| member.assignment)
        .map(|partition| Place {
            topic: partition.topic,
            partition: partition.partition,
        });
    Ok(places.collect())
}

/// Takes the instance's member out of the group; its partitions go to others at once.
///
/// # Errors
/// What the brokers say. A member that is not there is none.
pub(super) async fn leave(admin: &Admin, id: &InstanceId) -> Result<(), ClientError> {
    let coordinator = admin.group_coordinator(&id.group).await?;
    if coordinator.version_of::<LeaveGroupRequest>()? < LEAVE_BY_INSTANCE {
        return Ok(());
    }
    let request = LeaveGroupRequest {
        group_id: id.group.clone(),
        members: vec![MemberIdentity {
            group_instance_id: Some(member_name(&id.instance)),
            reason: Some("the consumer instance was deleted or unsubscribed".to_owned()),
            ..MemberIdentity::default()
        }],
        ..LeaveGroupRequest::default()
    };
    let left = coordinator.send(&request).await?;
    let member = left.members.first().map_or(0, |member| member.error_code);
    for code in [left.error_code, member] {
        if code != ErrorCode::None as i16 && code != ErrorCode::UnknownMemberId as i16 {
            return Err(ClientError::Kafka(client::KafkaError {
                api: "LeaveGroup",
                subject: format!("group '{}'", id.group),
                code,
                message: None,
            }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_members_name_is_one_that_kafka_allows_and_tells_instances_apart() {
        assert_eq!(member_name("my-1.x"), "rest-proxy-my-1.x");
        assert_eq!(member_name("a b"), "rest-proxy-a_20b");
        assert_ne!(member_name("a_20b"), member_name("a b"));
        assert_eq!(member_name("é"), "rest-proxy-_c3_a9");
    }
}
