//! The hash of the topics a group is subscribed to: when it changes, the group is assigned anew.
//!
//! ```text
//! topic:  i8 magic (0) │ i64 id, high │ i64 id, low │ name │ i32 partitions │ { i32 index │ racks }*
//! string: { u16 UTF-16 unit }* │ i32 units        rack: i32 units │ string
//! group:  { i64 topic hash }*, in the order of the topics' names
//! ```
//!
//! All little-endian, through XXH3 of 64 bits with seed 0; a topic that does not exist hashes to 0, and so does
//! a group without topics. To the byte what Kafka computes, so that a log changes hands without a rebalance.
//! Source: `Utils.computeTopicHash`, `Utils.computeGroupHash` (Kafka 4.3), hash4j's `HashStream64`.

use twox_hash::XxHash3_64;

use crate::cluster::{ClusterView, TopicMetadata};

const MAGIC: u8 = 0;

/// The hash of `names`, which come in any order.
pub(crate) fn of_topics<'a>(
    cluster: &dyn ClusterView,
    names: impl Iterator<Item = &'a str>,
) -> i64 {
    let mut names: Vec<&str> = names.collect();
    if names.is_empty() {
        return 0;
    }
    // Java orders strings by UTF-16 units.
    names.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
    let mut bytes = Vec::with_capacity(names.len() * 8);
    for name in names {
        let hash = cluster.topic(name).map_or(0, |topic| of_topic(&topic));
        bytes.extend_from_slice(&hash.to_le_bytes());
    }
    hash(&bytes)
}

fn of_topic(topic: &TopicMetadata) -> i64 {
    let partitions = usize::try_from(topic.partitions).unwrap_or(0);
    let mut bytes = Vec::with_capacity(64 + partitions * 4);
    bytes.push(MAGIC);
    // The id is big-endian bytes; its two halves go in as longs.
    let (high, low) = topic.id.0.split_at(8);
    bytes.extend(high.iter().rev());
    bytes.extend(low.iter().rev());
    put_string(&mut bytes, &topic.name);
    bytes.extend_from_slice(&topic.partitions.to_le_bytes());
    for partition in 0..topic.partitions {
        bytes.extend_from_slice(&partition.to_le_bytes());
        if let Some(rack) = &topic.rack {
            put_length(&mut bytes, rack);
            put_string(&mut bytes, rack);
        }
    }
    hash(&bytes)
}

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    put_length(bytes, text);
}

fn put_length(bytes: &mut Vec<u8>, text: &str) {
    let units = i32::try_from(text.encode_utf16().count()).unwrap_or(i32::MAX);
    bytes.extend_from_slice(&units.to_le_bytes());
}

/// XXH3 as a Java `long`.
fn hash(bytes: &[u8]) -> i64 {
    XxHash3_64::oneshot(bytes).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::NoTopics;

    fn topic(name: &str, partitions: i32, rack: Option<&str>) -> TopicMetadata {
        TopicMetadata {
            id: base::Uuid([7; 16]),
            name: name.into(),
            partitions,
            rack: rack.map(Into::into),
        }
    }

    #[test]
    fn every_part_of_a_topic_counts() {
        let plain = of_topic(&topic("t", 2, None));
        assert_ne!(plain, of_topic(&topic("t", 3, None)));
        assert_ne!(plain, of_topic(&topic("u", 2, None)));
        assert_ne!(plain, of_topic(&topic("t", 2, Some("r"))));
        let other = TopicMetadata {
            id: base::Uuid([8; 16]),
            ..topic("t", 2, None)
        };
        assert_ne!(plain, of_topic(&other));
    }

    #[test]
    fn no_topic_is_zero_and_order_does_not_count() {
        assert_eq!(of_topics(&NoTopics, [].into_iter()), 0);
        let hash = of_topics(&NoTopics, ["a", "b"].into_iter());
        assert_ne!(hash, 0);
        assert_eq!(hash, of_topics(&NoTopics, ["b", "a"].into_iter()));
    }

    #[derive(Debug)]
    struct Two;

    impl ClusterView for Two {
        fn topic(&self, name: &str) -> Option<TopicMetadata> {
            let (id, partitions) = match name {
                "pt" => (0x0e29_0ca0_a311_4d4d_85b5_5d91_76e8_41e1_u128, 4),
                "pu" => (0xa582_abb5_7b96_4be5_8a51_914d_6bd4_ad3a_u128, 2),
                _ => return None,
            };
            Some(TopicMetadata {
                id: base::Uuid(id.to_be_bytes()),
                ..topic(name, partitions, None)
            })
        }

        fn topic_by_id(&self, _: base::Uuid) -> Option<TopicMetadata> {
            None
        }

        fn topic_names(&self) -> Vec<String> {
            Vec::new()
        }

        fn version(&self) -> i64 {
            0
        }
    }

    /// As Apache Kafka 4.3.1 wrote them into its log for groups that were subscribed to these topics.
    #[test]
    fn the_hashes_are_kafkas() {
        let of = |names: &[&str]| of_topics(&Two, names.iter().copied()).cast_unsigned();
        assert_eq!(of(&["pt"]), 0xa3b0_7d0e_a5ae_3aed);
        assert_eq!(of(&["pu", "pt"]), 0xa8e0_068f_667e_ebd1);
    }

    #[test]
    fn the_hash_function_is_xxh3() {
        // The reference implementation's value of no input with seed 0.
        assert_eq!(hash(&[]), 0x2d06_8005_38d3_94c2);
    }
}
