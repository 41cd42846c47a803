//! Client quotas as they are stored: who a quota is for ([`QuotaEntity`]) and how much it grants
//! ([`QuotaValues`]).
//!
//! An entity is a user, a client id, both together, or an address; each by name or as the default of its type
//! (`org.apache.kafka.common.quota.ClientQuotaEntity`). Its key spells that out, types in this order:
//!
//! ```text
//! quotas/user=alice/client-id=app     the client id "app" of the user "alice"
//! quotas/user=alice/client-id         every client id of "alice" that has no quota of its own
//! quotas/client-id                    every client id
//! quotas/ip=192.0.2.1                 an address
//! ```
//!
//! `%`, `/` and `=` in a name are written as `%25`, `%2F` and `%3D`. Amounts are stored as decimal text that
//! reads back as the very same number. Which amounts make sense together is the broker's business.

use std::collections::BTreeMap;

use crate::resource::{DecodeError, Resource, from_json, to_json};

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";

/// One part of an entity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaName {
    /// Whoever has no quota of its own.
    Default,
    /// This one.
    Named(String),
}

impl QuotaName {
    /// The name as requests carry it: none for the default.
    #[must_use]
    pub fn as_option(&self) -> Option<&str> {
        match self {
            QuotaName::Default => None,
            QuotaName::Named(name) => Some(name),
        }
    }
}

impl From<Option<String>> for QuotaName {
    fn from(name: Option<String>) -> QuotaName {
        name.map_or(QuotaName::Default, QuotaName::Named)
    }
}

/// Whom a quota is for. At least one part is set; `ip` stands alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct QuotaEntity {
    /// The user.
    pub user: Option<QuotaName>,
    /// The client id.
    pub client_id: Option<QuotaName>,
    /// The address.
    pub ip: Option<QuotaName>,
}

impl QuotaEntity {
    /// Its parts with Kafka's names of their types.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &QuotaName)> {
        [
            (USER, &self.user),
            (CLIENT_ID, &self.client_id),
            (IP, &self.ip),
        ]
        .into_iter()
        .filter_map(|(kind, name)| Some((kind, name.as_ref()?)))
    }

    /// The place of a part by Kafka's name of its type; none for a type there is not.
    pub fn part_mut(&mut self, kind: &str) -> Option<&mut Option<QuotaName>> {
        match kind {
            USER => Some(&mut self.user),
            CLIENT_ID => Some(&mut self.client_id),
            IP => Some(&mut self.ip),
            _ => None,
        }
    }

    /// The part of its key below `quotas/`.
    pub(crate) fn to_path(&self) -> String {
        let parts = self.parts().map(|(kind, name)| match name {
            QuotaName::Default => kind.to_owned(),
            QuotaName::Named(name) => format!("{kind}={}", escape(name)),
        });
        parts.collect::<Vec<_>>().join("/")
    }

    /// The entity of a path; none for one that this version does not write.
    pub(crate) fn parse_path(path: &str) -> Option<QuotaEntity> {
        let mut entity = QuotaEntity::default();
        for part in path.split('/') {
            let (kind, name) = match part.split_once('=') {
                Some((kind, name)) => (kind, QuotaName::Named(unescape(name)?)),
                None => (part, QuotaName::Default),
            };
            let place = entity.part_mut(kind)?;
            if place.replace(name).is_some() {
                return None;
            }
        }
        Some(entity)
    }
}

fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '%' => escaped.push_str("%25"),
            '/' => escaped.push_str("%2F"),
            '=' => escaped.push_str("%3D"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut name = pieces.next()?.to_owned();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        name.push(match code {
            "25" => '%',
            "2F" => '/',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    Some(name)
}

/// What an entity was granted: Kafka's quota key, such as `producer_byte_rate`, to the amount.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QuotaValues(pub BTreeMap<String, f64>);

impl Resource for QuotaValues {
    fn encode(&self) -> Vec<u8> {
        let texts: BTreeMap<&str, String> = self
            .0
            .iter()
            .map(|(key, amount)| (key.as_str(), amount.to_string()))
            .collect();
        to_json(&texts)
    }

    fn decode(bytes: &[u8]) -> Result<QuotaValues, DecodeError> {
        let texts: BTreeMap<String, String> = from_json(bytes)?;
        let amounts = texts.into_iter().map(|(key, text)| {
            let amount = text
                .parse()
                .map_err(|_| DecodeError::Malformed(format!("{key}={text} is no number")))?;
            Ok((key, amount))
        });
        Ok(QuotaValues(amounts.collect::<Result<_, DecodeError>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(user: Option<&str>, client_id: Option<Option<&str>>) -> QuotaEntity {
        QuotaEntity {
            user: user.map(|name| QuotaName::Named(name.to_owned())),
            client_id: client_id.map(|name| name.map(str::to_owned).into()),
            ip: None,
        }
    }

    #[test]
    fn paths_round_trip_and_differ() {
        let entities = [
            entity(Some("alice"), None),
            entity(Some("alice"), Some(None)),
            entity(Some("alice"), Some(Some("client-id"))),
            entity(None, Some(None)),
            entity(None, Some(Some("a=b/c%2F%"))),
            entity(Some("CN=ünï,O=x/y"), Some(Some("user"))),
            QuotaEntity {
                ip: Some(QuotaName::Named("::1".to_owned())),
                ..QuotaEntity::default()
            },
        ];
        let mut paths: Vec<String> = entities.iter().map(QuotaEntity::to_path).collect();
        for (entity, path) in entities.iter().zip(&paths) {
            assert_eq!(QuotaEntity::parse_path(path).as_ref(), Some(entity));
        }
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), entities.len());
    }

    #[test]
    fn a_path_nobody_writes_is_no_entity() {
        for path in [
            "",
            "group=a",
            "user=a/user=b",
            "user=%",
            "user=%zz",
            "user=%é",
        ] {
            assert_eq!(QuotaEntity::parse_path(path), None, "{path}");
        }
    }

    #[test]
    fn amounts_read_back_as_the_same_number() {
        let amounts = [0.1, 1_048_576.0, 1e300, -1.5, f64::INFINITY];
        let values = QuotaValues(
            amounts
                .into_iter()
                .enumerate()
                .map(|(index, amount)| (format!("key{index}"), amount))
                .collect(),
        );
        assert_eq!(QuotaValues::decode(&values.encode()), Ok(values));
        let garbage = br#"{"v":1,"data":{"producer_byte_rate":"much"}}"#;
        assert!(QuotaValues::decode(garbage).is_err());
    }
}
