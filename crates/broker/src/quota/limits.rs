//! Which limit applies to whom: the quotas that were set, laid out for look-ups that allocate nothing.
//!
//! A **kind** is one thing that is limited ([`QuotaKind`]). For each kind the most specific entity that has a
//! limit of it wins (`ClientQuotaManager`):
//!
//! 1. the user's client id, 2. the user's default client id, 3. the user,
//! 4. the default user's client id, 5. the default user's default client id, 6. the default user,
//! 7. the client id, 8. the default client id.
//!
//! A limit of levels 3 and 6 is shared by all clients of a user, one of 7 and 8 by all users of a client id, the
//! others by one user's one client id: that is the [`Scope`]. A client without an id matches no client id, not
//! even the default.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use metastore::quota::{QuotaEntity, QuotaName, QuotaValues};

/// What is limited per user and client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuotaKind {
    /// `producer_byte_rate`: bytes a second of produce requests.
    Produce,
    /// `consumer_byte_rate`: bytes a second of fetch responses.
    Fetch,
    /// `request_percentage`: time of request handlers, in percent of one thread.
    Request,
    /// `controller_mutation_rate`: partitions created or deleted a second.
    ControllerMutation,
}

impl QuotaKind {
    /// All kinds.
    pub(crate) const ALL: [QuotaKind; 4] = [
        QuotaKind::Produce,
        QuotaKind::Fetch,
        QuotaKind::Request,
        QuotaKind::ControllerMutation,
    ];

    /// Kafka's name of the limit.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            QuotaKind::Produce => "producer_byte_rate",
            QuotaKind::Fetch => "consumer_byte_rate",
            QuotaKind::Request => "request_percentage",
            QuotaKind::ControllerMutation => "controller_mutation_rate",
        }
    }

    /// The bit that says whether any limit of the kind is set.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The limit on new connections from an address.
pub(crate) const CONNECTION_RATE: &str = "connection_creation_rate";

/// Who shares a limit: a user, a client id, or one user's client id; the part that does not count is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope<'a> {
    pub(crate) user: &'a str,
    pub(crate) client_id: &'a str,
}

/// Limits of clients: of one user's, or of all users'.
#[derive(Debug, Default)]
struct ClientLimits {
    named: HashMap<Box<str>, f64>,
    default: Option<f64>,
}

impl ClientLimits {
    fn find(&self, client_id: &str) -> Option<f64> {
        if client_id.is_empty() {
            return None;
        }
        self.named.get(client_id).copied().or(self.default)
    }

    fn set(&mut self, name: &QuotaName, limit: f64) {
        match name {
            QuotaName::Default => self.default = Some(limit),
            QuotaName::Named(name) => drop(self.named.insert(name.as_str().into(), limit)),
        }
    }
}

/// Limits of one user.
#[derive(Debug, Default)]
struct UserLimits {
    clients: ClientLimits,
    own: Option<f64>,
}

/// Limits of one kind.
#[derive(Debug, Default)]
struct KindLimits {
    users: HashMap<Box<str>, UserLimits>,
    default_user: UserLimits,
    clients: ClientLimits,
    is_set: bool,
}

impl KindLimits {
    fn set(&mut self, entity: &QuotaEntity, limit: f64) {
        self.is_set = true;
        let user = match &entity.user {
            None => {
                if let Some(client) = &entity.client_id {
                    self.clients.set(client, limit);
                }
                return;
            }
            Some(QuotaName::Default) => &mut self.default_user,
            Some(QuotaName::Named(name)) => self.users.entry(name.as_str().into()).or_default(),
        };
        match &entity.client_id {
            None => user.own = Some(limit),
            Some(client) => user.clients.set(client, limit),
        }
    }

    fn find<'a>(&self, user: &'a str, client_id: &'a str) -> Option<(Scope<'a>, f64)> {
        let users = [self.users.get(user), Some(&self.default_user)];
        for limits in users.into_iter().flatten() {
            if let Some(limit) = limits.clients.find(client_id) {
                return Some((Scope { user, client_id }, limit));
            }
            if let Some(limit) = limits.own {
                let client_id = "";
                return Some((Scope { user, client_id }, limit));
            }
        }
        let limit = self.clients.find(client_id)?;
        let user = "";
        Some((Scope { user, client_id }, limit))
    }
}

/// All limits at one time.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    kinds: [KindLimits; 4],
    ips: HashMap<IpAddr, f64>,
    default_ip: Option<f64>,
}

impl Limits {
    /// Lays out what was set.
    pub(crate) fn new(quotas: &BTreeMap<QuotaEntity, QuotaValues>) -> Limits {
        let mut limits = Limits::default();
        for (entity, values) in quotas {
            if let Some(ip) = &entity.ip {
                if let Some(limit) = values.0.get(CONNECTION_RATE) {
                    limits.set_ip(ip, *limit);
                }
                continue;
            }
            for (kind, place) in QuotaKind::ALL.into_iter().zip(&mut limits.kinds) {
                if let Some(limit) = values.0.get(kind.key()) {
                    place.set(entity, *limit);
                }
            }
        }
        limits
    }

    fn set_ip(&mut self, ip: &QuotaName, limit: f64) {
        match ip {
            QuotaName::Default => self.default_ip = Some(limit),
            QuotaName::Named(text) => {
                if let Ok(ip) = text.parse() {
                    self.ips.insert(ip, limit);
                }
            }
        }
    }

    /// A bit for each kind that any limit is set of.
    pub(crate) fn kinds_set(&self) -> u8 {
        QuotaKind::ALL
            .into_iter()
            .zip(&self.kinds)
            .filter(|(_, limits)| limits.is_set)
            .fold(0, |bits, (kind, _)| bits | kind.bit())
    }

    /// The limit for a user's client, with who shares it.
    pub(crate) fn find<'a>(
        &self,
        kind: QuotaKind,
        user: &'a str,
        client_id: &'a str,
    ) -> Option<(Scope<'a>, f64)> {
        self.kinds.get(kind as usize)?.find(user, client_id)
    }

    /// New connections a second that are taken from an address; none for any number.
    pub(crate) fn connections_from(&self, ip: IpAddr) -> Option<f64> {
        self.ips
            .get(&ip)
            .copied()
            .or(self.default_ip)
            .filter(|limit| *limit < f64::from(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<QuotaName> {
        match text {
            "" => None,
            "*" => Some(QuotaName::Default),
            text => Some(QuotaName::Named(text.to_owned())),
        }
    }

    fn quotas(entries: &[(&str, &str, f64)]) -> BTreeMap<QuotaEntity, QuotaValues> {
        entries
            .iter()
            .map(|(user, client, limit)| {
                let entity = QuotaEntity {
                    user: name(user),
                    client_id: name(client),
                    ip: None,
                };
                let values = BTreeMap::from([("producer_byte_rate".to_owned(), *limit)]);
                (entity, QuotaValues(values))
            })
            .collect()
    }

    /// The levels in Kafka's order, for the user u and the client id c.
    const LEVELS: [(&str, &str, f64); 8] = [
        ("u", "c", 1.0),
        ("u", "*", 2.0),
        ("u", "", 3.0),
        ("*", "c", 4.0),
        ("*", "*", 5.0),
        ("*", "", 6.0),
        ("", "c", 7.0),
        ("", "*", 8.0),
    ];

    #[test]
    fn the_most_specific_level_wins() {
        for first in 0..LEVELS.len() {
            let limits = Limits::new(&quotas(&LEVELS[first..]));
            let (scope, limit) = limits.find(QuotaKind::Produce, "u", "c").unwrap();
            assert_eq!(limit, LEVELS[first].2);
            let expected = match first {
                2 | 5 => ("u", ""),
                6 | 7 => ("", "c"),
                _ => ("u", "c"),
            };
            assert_eq!((scope.user, scope.client_id), expected, "level {first}");
        }
    }

    #[test]
    fn a_client_without_an_id_is_held_to_limits_of_users_alone() {
        let limits = Limits::new(&quotas(&LEVELS));
        assert_eq!(limits.find(QuotaKind::Produce, "u", "").unwrap().1, 3.0);
        assert_eq!(limits.find(QuotaKind::Produce, "other", "").unwrap().1, 6.0);
        let limits = Limits::new(&quotas(&LEVELS[6..]));
        assert_eq!(limits.find(QuotaKind::Produce, "u", ""), None);
    }

    #[test]
    fn kinds_are_apart() {
        let limits = Limits::new(&quotas(&LEVELS));
        assert_eq!(limits.kinds_set(), QuotaKind::Produce.bit());
        assert_eq!(limits.find(QuotaKind::Fetch, "u", "c"), None);
        assert_eq!(Limits::default().kinds_set(), 0);
    }

    #[test]
    fn an_address_has_its_own_limit_or_the_default() {
        let ip = |text: &str, limit: f64| {
            let entity = QuotaEntity {
                ip: name(text),
                ..QuotaEntity::default()
            };
            let values = BTreeMap::from([(CONNECTION_RATE.to_owned(), limit)]);
            (entity, QuotaValues(values))
        };
        let limits = Limits::new(&BTreeMap::from([ip("*", 10.0), ip("192.0.2.1", 2.0)]));
        let from = |text: &str| limits.connections_from(text.parse().unwrap());
        assert_eq!(from("192.0.2.1"), Some(2.0));
        assert_eq!(from("192.0.2.2"), Some(10.0));
        assert_eq!(
            Limits::default().connections_from([127, 0, 0, 1].into()),
            None
        );
    }
}
