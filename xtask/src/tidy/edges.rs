//! Which crate may depend on which, and why: ARCHITECTURE.md, section 3, as a list.
//!
//! An arrow only points down. An edge that is not listed fails; so does a listed edge that nobody uses, because a
//! list that allows more than there is stops saying how the house is built. A new edge is a change of the design
//! and gets a commit of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Fault;

/// From, to, and the reason.
type Edge = (&'static str, &'static str, &'static str);

/// What a crate's code may use.
pub(super) const EDGES: &[Edge] = &[
    ("wire", "base", "messages carry offsets, epochs and ids"),
    (
        "security",
        "base",
        "principals and audit events are told in base's terms",
    ),
    ("metastore", "base", "clock, ids, error chain"),
    ("storage", "base", "offsets, epochs, clock"),
    (
        "storage",
        "wire",
        "segments hold record batches as they came over the wire",
    ),
    (
        "tier",
        "storage",
        "the remote store whose trait is declared there",
    ),
    ("coordinator", "base", "clock, ids"),
    (
        "coordinator",
        "wire",
        "its records and its requests are Kafka's own messages",
    ),
    ("broker", "base", "clock, ids, configuration"),
    ("broker", "wire", "it speaks the protocol"),
    (
        "broker",
        "security",
        "a principal on every request, the authorizer before each handler",
    ),
    (
        "broker",
        "metastore",
        "topics and configurations are resources there",
    ),
    ("broker", "storage", "partitions append and read"),
    (
        "broker",
        "tier",
        "the remote store that the configuration names",
    ),
    ("broker", "coordinator", "groups are its state machines"),
    ("client", "base", "ids, error chain"),
    (
        "client",
        "wire",
        "admin calls that librdkafka does not know",
    ),
    ("rest-proxy", "base", "error chain"),
    (
        "rest-proxy",
        "client",
        "it talks to the cluster as any client does",
    ),
    (
        "rest-proxy",
        "wire",
        "Kafka's error codes, and leaving a group by name",
    ),
    (
        "rest-proxy",
        "registry-client",
        "schemas come from a registry",
    ),
    (
        "rest-proxy",
        "schema",
        "records with a schema: codecs, frames, subject names, rules",
    ),
    (
        "rest-proxy",
        "kms",
        "rules that encrypt use the variables of its process",
    ),
    ("cli", "base", "ids, error chain"),
    ("cli", "wire", "names of errors and configurations"),
    (
        "cli",
        "client",
        "every command talks to a broker as any client does",
    ),
    (
        "cli",
        "registry-client",
        "the commands that talk to a Schema Registry",
    ),
    (
        "cli",
        "schema",
        "differences, proposals, inference and quality rules are its",
    ),
    (
        "registry-client",
        "schema",
        "what a registry answers, and how records name it",
    ),
    ("registry-client", "base", "error chain"),
    (
        "registry-client",
        "kms",
        "the keys of a DEK registry are wrapped and unwrapped there",
    ),
    ("kms", "base", "error chain"),
    (
        "kms",
        "schema",
        "the cipher of data encryption keys, which the local service uses too",
    ),
    ("schema-registry", "base", "error chain"),
    (
        "schema-registry",
        "kms",
        "keys that are shared with it are wrapped and unwrapped there",
    ),
    (
        "schema-registry",
        "registry-client",
        "exporters mirror to another registry",
    ),
    ("schema-registry", "wire", "the group protocol's messages"),
    ("schema-registry", "schema", "what schemas mean"),
    (
        "schema-registry",
        "client",
        "its topic and its election are in any Kafka",
    ),
    (
        "affluent",
        "schema-registry",
        "the role beside the broker, or alone",
    ),
    ("affluent", "base", "configuration, error chain"),
    ("affluent", "broker", "a role it starts"),
    (
        "affluent",
        "registry-client",
        "the broker's record validator asks a registry",
    ),
    (
        "affluent",
        "schema",
        "how the validator names subjects and finds ids",
    ),
    ("affluent", "wire", "the records that the validator judges"),
    ("affluent", "rest-proxy", "a role it starts"),
    (
        "affluent",
        "storage",
        "offline inspect and check of a data directory",
    ),
    ("affluent", "cli", "the commands"),
    ("testkit", "wire", "it speaks to a server frame by frame"),
    (
        "bench",
        "compat",
        "Apache Kafka to compare with, and its Java tools",
    ),
    ("bench", "testkit", "it starts the real binary"),
    ("bench", "wire", "its own sub-millisecond client"),
    ("chaos", "base", "ids and clock"),
    (
        "chaos",
        "client",
        "producers and consumers that outlive the broker",
    ),
    ("chaos", "testkit", "it starts and kills the real binary"),
    ("chaos", "wire", "malformed frames are made from good ones"),
    ("sim", "base", "ids and the virtual clock"),
    ("sim", "chaos", "the history and its judge"),
    ("sim", "coordinator", "the state machines it drives"),
    (
        "sim",
        "storage",
        "journal, logs and recovery, without threads",
    ),
    ("sim", "wire", "batches, and the requests of the machines"),
    ("xtask", "compat", "the lane `cargo xtask compat`"),
];

/// What a crate's tests may use beyond that.
pub(super) const DEV_EDGES: &[Edge] = &[
    (
        "wire",
        "wire",
        "its integration tests turn on the feature that other crates' tests use",
    ),
    (
        "broker",
        "wire",
        "its tests speak as a client, which needs the other half of each message",
    ),
    (
        "affluent",
        "testkit",
        "its tests start the binary and speak to it",
    ),
];

/// A dependency of one crate of the workspace on another, as a manifest declares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) dev: bool,
}

/// Compares the edges found with the lists.
pub(super) fn check(found: &[Found], edges: &[Edge], dev_edges: &[Edge]) -> Vec<Fault> {
    let manifest = |name: &str| match name {
        "xtask" => Path::new("xtask/Cargo.toml").to_owned(),
        name => Path::new("crates").join(name).join("Cargo.toml"),
    };
    let mut faults = Vec::new();
    for edge in found {
        let list = if edge.dev { dev_edges } else { edges };
        if !list
            .iter()
            .any(|(from, to, _)| *from == edge.from && *to == edge.to)
        {
            let kind = if edge.dev {
                "dev-dependency"
            } else {
                "dependency"
            };
            let what = format!(
                "the {kind} of {} on {} is not in the allow-list (xtask/src/tidy/edges.rs): a new edge is a design change",
                edge.from, edge.to
            );
            faults.push(Fault::new(&manifest(&edge.from), None, what));
        }
    }
    for (list, dev) in [(edges, false), (dev_edges, true)] {
        for (from, to, _) in list {
            if !found
                .iter()
                .any(|edge| edge.from == *from && edge.to == *to && edge.dev == dev)
            {
                let what = format!(
                    "the allow-list permits {from} -> {to}, which no longer exists: remove it"
                );
                faults.push(Fault::new(Path::new("xtask/src/tidy/edges.rs"), None, what));
            }
        }
    }
    if let Some(cycle) = cycle(found) {
        faults.push(Fault::new(
            &manifest(&cycle),
            None,
            format!("{cycle} depends on itself through others"),
        ));
    }
    faults
}

/// A crate that reaches itself, dev-dependencies left out.
fn cycle(found: &[Found]) -> Option<String> {
    let mut below: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for edge in found.iter().filter(|edge| !edge.dev) {
        below.entry(&edge.from).or_default().insert(&edge.to);
    }
    // Takes away crates with nothing below them until none is left to take; what stays is a cycle or above one.
    loop {
        let leaf = below
            .iter()
            .find(|(_, down)| down.iter().all(|to| !below.contains_key(to)))
            .map(|(name, _)| *name);
        match leaf {
            Some(name) => below.remove(name),
            None => return below.keys().next().map(|name| (*name).to_owned()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[Edge] = &[("a", "b", "why"), ("b", "c", "why")];

    fn edge(from: &str, to: &str) -> Found {
        Found {
            from: from.to_owned(),
            to: to.to_owned(),
            dev: false,
        }
    }

    #[test]
    fn the_listed_edges_and_no_others_are_sound() {
        let sound = [edge("a", "b"), edge("b", "c")];
        assert_eq!(check(&sound, LIST, &[]), []);
        let more = [edge("a", "b"), edge("b", "c"), edge("a", "c")];
        let faults = check(&more, LIST, &[]);
        assert_eq!(faults.len(), 1);
        assert!(
            faults[0].what.contains("dependency of a on c"),
            "{}",
            faults[0].what
        );
        let faults = check(&sound[..1], LIST, &[]);
        assert!(
            faults[0].what.contains("b -> c, which no longer exists"),
            "{}",
            faults[0].what
        );
    }

    #[test]
    fn a_dev_dependency_has_a_list_of_its_own() {
        let dev = Found {
            dev: true,
            ..edge("a", "b")
        };
        assert_eq!(
            check(&[edge("a", "b"), edge("b", "c"), dev.clone()], LIST, &[]).len(),
            1
        );
        assert_eq!(
            check(
                &[edge("a", "b"), edge("b", "c"), dev],
                LIST,
                &[("a", "b", "why")]
            ),
            []
        );
    }

    #[test]
    fn a_cycle_is_found_even_if_each_edge_is_listed() {
        let list: &[Edge] = &[("a", "b", ""), ("b", "c", ""), ("c", "b", "")];
        let found = [edge("a", "b"), edge("b", "c"), edge("c", "b")];
        let faults = check(&found, list, &[]);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].what.contains("depends on itself"));
    }

    #[test]
    fn the_committed_list_has_no_cycle_and_gives_reasons() {
        let all: Vec<Found> = EDGES.iter().map(|(from, to, _)| edge(from, to)).collect();
        assert_eq!(cycle(&all), None);
        assert!(
            EDGES
                .iter()
                .chain(DEV_EDGES)
                .all(|(_, _, reason)| reason.len() > 5)
        );
    }
}
