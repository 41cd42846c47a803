//! What members of the group tell each other, and whom they elect (`SchemaRegistryProtocol`,
//! `SchemaRegistryCoordinator`, 8.2).
//!
//! ```text
//! member      {"version":1,"host":"h","port":8081,"master_eligibility":true,"scheme":"http","leader":false}
//! assignment  {"version":1,"error":0,"master":"member id","master_identity":{...}}
//! ```
//!
//! Elected is the eligible member that writes already, if there is exactly one; else the one with the smallest URL.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// An instance, as others reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    version: i32,
    /// `host.name`.
    pub host: String,
    /// Of the listener.
    pub port: u16,
    /// `leader.eligibility`.
    pub master_eligibility: bool,
    #[serde(default = "http")]
    scheme: String,
    /// Whether it writes now.
    #[serde(default)]
    pub leader: bool,
}

fn http() -> String {
    "http".to_owned()
}

/// What the members are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    version: i32,
    /// 1: two members have one URL.
    #[serde(default)]
    pub error: i16,
    /// The member id of whoever writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// And who that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_identity: Option<Identity>,
}

const DUPLICATE_URLS: i16 = 1;

impl Identity {
    /// An instance that does not write yet.
    #[must_use]
    pub fn new(host: String, port: u16, master_eligibility: bool) -> Self {
        Self {
            version: 1,
            host,
            port,
            master_eligibility,
            scheme: http(),
            leader: false,
        }
    }

    /// Where it is reached.
    #[must_use]
    pub fn url(&self) -> String {
        let host = if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        format!("{}://{host}:{}", self.scheme, self.port)
    }

    /// The metadata of a member.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an identity has string keys only")
    }

    /// Reads the metadata of a member.
    ///
    /// # Errors
    /// What is no identity.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

impl Assignment {
    /// The assignment's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an assignment has string keys only")
    }

    /// Reads an assignment.
    ///
    /// # Errors
    /// What is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// Elects among members, given by member id.
#[must_use]
pub fn elect(members: &[(String, Identity)]) -> Assignment {
    let urls: HashSet<String> = members.iter().map(|(_, member)| member.url()).collect();
    let eligible = || {
        members
            .iter()
            .filter(|(_, member)| member.master_eligibility)
    };
    let mut writing = eligible().filter(|(_, member)| member.leader);
    let elected = match (writing.next(), writing.next()) {
        (Some(one), None) => Some(one),
        _ => eligible().min_by_key(|(id, member)| (member.url(), id.clone())),
    };
    Assignment {
        version: 1,
        error: if urls.len() == members.len() {
            0
        } else {
            DUPLICATE_URLS
        },
        master: elected.map(|(id, _)| id.clone()),
        master_identity: elected.map(|(_, member)| member.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, port: u16, eligible: bool, leader: bool) -> (String, Identity) {
        let mut identity = Identity::new("h".to_owned(), port, eligible);
        identity.leader = leader;
        (id.to_owned(), identity)
    }

    #[test]
    fn the_smallest_url_is_elected_unless_one_writes_already() {
        let a = member("a", 8083, true, false);
        let b = member("b", 8081, true, false);
        let c = member("c", 8080, false, false);
        let elected = |members: &[_]| elect(members).master;
        assert_eq!(
            elected(&[a.clone(), b.clone(), c.clone()]).as_deref(),
            Some("b")
        );
        let writing = member("a", 8083, true, true);
        assert_eq!(elected(&[writing.clone(), b.clone()]).as_deref(), Some("a"));
        let also = member("b", 8081, true, true);
        assert_eq!(elected(&[writing, also]).as_deref(), Some("b"));
        assert_eq!(elected(&[c]), None);
    }

    #[test]
    fn one_url_for_two_is_told() {
        let members = [member("a", 1, true, false), member("b", 1, true, false)];
        assert_eq!(elect(&members).error, DUPLICATE_URLS);
    }

    #[test]
    fn members_are_spelled_as_confluent_spells_them() {
        let text = r#"{"version":1,"host":"h","port":8081,"master_eligibility":true,"scheme":"http","leader":false}"#;
        let identity = Identity::new("h".to_owned(), 8081, true);
        assert_eq!(identity.encode(), text.as_bytes());
        let old = r#"{"version":1,"host":"h","port":8081,"master_eligibility":true}"#;
        assert_eq!(Identity::decode(old.as_bytes()).unwrap(), identity);
        let assignment = elect(&[("m".to_owned(), identity)]);
        assert_eq!(
            Assignment::decode(&assignment.encode()).unwrap(),
            assignment
        );
    }
}
