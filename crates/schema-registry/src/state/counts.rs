//! How many schemas there are, and were, by their type.

use schema::SchemaType;

/// Versions of one type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TypeCounts {
    /// Those that were ever made, as far as the topic still tells.
    pub created: u64,
    /// Those that were soft deleted, or gone for good without.
    pub deleted: u64,
    /// Those that are there and not soft deleted.
    pub live: u64,
}

/// Versions by type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchemaCounts {
    avro: TypeCounts,
    json: TypeCounts,
    protobuf: TypeCounts,
}

impl SchemaCounts {
    /// All types, with the names that metrics give them.
    #[must_use]
    pub fn by_type(&self) -> [(&'static str, TypeCounts); 3] {
        [
            ("avro", self.avro),
            ("json", self.json),
            ("protobuf", self.protobuf),
        ]
    }

    fn of(&mut self, schema_type: SchemaType) -> &mut TypeCounts {
        match schema_type {
            SchemaType::Avro => &mut self.avro,
            SchemaType::Json => &mut self.json,
            SchemaType::Protobuf => &mut self.protobuf,
        }
    }

    /// A record made a version, or one that was there live or not.
    pub(super) fn put(&mut self, schema_type: SchemaType, deleted: bool, was_live: Option<bool>) {
        let counts = self.of(schema_type);
        if was_live.is_none() {
            counts.created += 1;
        }
        match (was_live == Some(true), deleted) {
            (false, false) => counts.live += 1,
            (true, true) => {
                counts.live = counts.live.saturating_sub(1);
                counts.deleted += 1;
            }
            (false, true) if was_live.is_none() => counts.deleted += 1,
            (true, false) | (false, true) => {}
        }
    }

    /// A version was soft deleted.
    pub(super) fn delete(&mut self, schema_type: SchemaType) {
        self.put(schema_type, true, Some(true));
    }

    /// A version is gone.
    pub(super) fn remove(&mut self, schema_type: SchemaType, was_deleted: bool) {
        if !was_deleted {
            self.delete(schema_type);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_counted_once_each_way() {
        let mut counts = SchemaCounts::default();
        let json = SchemaType::Json;
        let shown = |counts: &SchemaCounts| {
            let (_, found) = counts.by_type()[1];
            (found.created, found.deleted, found.live)
        };
        counts.put(json, false, None);
        counts.put(json, false, Some(true));
        assert_eq!(shown(&counts), (1, 0, 1));
        counts.put(json, true, Some(true));
        counts.put(json, true, Some(false));
        assert_eq!(shown(&counts), (1, 1, 0));
        counts.remove(json, true);
        assert_eq!(shown(&counts), (1, 1, 0));
        counts.put(json, false, None);
        counts.remove(json, false);
        assert_eq!(shown(&counts), (2, 2, 0));
        // What compaction left of a version that was made and deleted before the start.
        counts.put(json, true, None);
        assert_eq!(shown(&counts), (3, 3, 0));
    }
}
