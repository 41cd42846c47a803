//! Which partition of `__consumer_offsets` a group lives in.

/// The partition of `group_id` among `partition_count` (`offsets.topic.num.partitions`, from 1):
/// `Utils.abs(groupId.hashCode()) % partitionCount`, as Kafka computes it. Tools and other brokers compute
/// the same, so changing the count moves groups away from their offsets.
#[must_use]
pub fn partition_for(group_id: &str, partition_count: i32) -> i32 {
    // `Utils.abs` maps `Integer.MIN_VALUE` to 0: it clears the sign after the two's complement negation.
    let hash = java_hash_code(group_id);
    let positive = hash.checked_abs().unwrap_or(0);
    positive % partition_count.max(1)
}

/// `java.lang.String.hashCode`: a polynomial over UTF-16 code units in wrapping `int` arithmetic.
fn java_hash_code(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_code_is_javas() {
        for (text, hash) in [
            ("", 0),
            ("a", 97),
            ("console-consumer-12345", 158_455_506),
            // Java's two classic collisions and the string whose hash is `Integer.MIN_VALUE`.
            ("Aa", 2112),
            ("BB", 2112),
            ("polygenelubricants", i32::MIN),
            // Outside the basic plane: two UTF-16 units, 0xD83D and 0xDE00.
            ("\u{1F600}", 0xD83D * 31 + 0xDE00),
        ] {
            assert_eq!(java_hash_code(text), hash, "{text}");
        }
    }

    #[test]
    fn the_partition_is_never_negative() {
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        assert_eq!(partition_for("a", 50), 47);
        assert_eq!(partition_for("a", 0), 0);
    }
}
