//! The GUID of a schema: the same for the same schema in every registry.
//!
//! It is the MD5 over text, references, metadata and rule set, written as a UUID (`MD5.ofSchema`,
//! `Schema.updateHash` of Confluent's schema-registry, 8.2). The text is the canonical or normalised one that the
//! registry keeps, not what was sent. The type of the schema is no part of it.

use md5::{Digest, Md5};
use uuid::Uuid;

use crate::model::{Metadata, Rule, RuleKind, RuleMode, RuleSet, SchemaReference};

/// The GUID of a schema whose canonical text is `schema`.
pub fn guid(
    schema: &str,
    references: &[SchemaReference],
    metadata: Option<&Metadata>,
    rules: Option<&RuleSet>,
) -> Uuid {
    let mut md5 = Md5::new();
    md5.update(schema);
    for reference in references {
        md5.update(&reference.name);
        md5.update(&reference.subject);
        md5.update(reference.version.to_be_bytes());
    }
    if let Some(metadata) = metadata {
        // An empty one differs from none.
        md5.update([1]);
        update_metadata(&mut md5, metadata);
    }
    if let Some(rules) = rules {
        md5.update([1]);
        for list in [
            &rules.migration_rules,
            &rules.domain_rules,
            &rules.encoding_rules,
        ] {
            for rule in list.iter().flatten() {
                update_rule(&mut md5, rule);
            }
        }
    }
    Uuid::from_bytes(md5.finalize().into())
}

/// The GUID of what has a name: of the same kind and name it is the same everywhere (a UUID of version 3, over the kind, a zero byte
/// and the name).
#[must_use]
pub fn of_name(kind: &str, name: &str) -> Uuid {
    let mut md5 = Md5::new();
    md5.update(kind);
    md5.update([0]);
    md5.update(name);
    let mut bytes: [u8; 16] = md5.finalize().into();
    bytes[6] = (bytes[6] & 0x0f) | 0x30;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uuid::from_bytes(bytes)
}

fn update_metadata(md5: &mut Md5, metadata: &Metadata) {
    for (path, tags) in metadata.tags.iter().flatten() {
        md5.update(path);
        for tag in tags {
            md5.update(tag);
        }
    }
    for (name, value) in metadata.properties.iter().flatten() {
        md5.update(name);
        md5.update(value);
    }
    for name in metadata.sensitive.iter().flatten() {
        md5.update(name);
    }
}

fn update_rule(md5: &mut Md5, rule: &Rule) {
    let mut text = |text: Option<&str>| md5.update(text.unwrap_or_default());
    text(Some(&rule.name));
    text(rule.doc.as_deref());
    // Where a rule says neither, it is what Confluent's client makes of it (`Rule`).
    text(Some(kind_name(rule.kind.unwrap_or(RuleKind::Transform))));
    text(Some(mode_name(rule.mode.unwrap_or(RuleMode::WriteRead))));
    text(rule.rule_type.as_deref());
    for tag in rule.tags.iter().flatten() {
        text(Some(tag));
    }
    for (name, value) in rule.params.iter().flatten() {
        text(Some(name));
        text(Some(value));
    }
    text(rule.expr.as_deref());
    text(rule.on_success.as_deref());
    text(rule.on_failure.as_deref());
    if rule.disabled {
        md5.update([1]);
    }
}

fn kind_name(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::Transform => "TRANSFORM",
        RuleKind::Condition => "CONDITION",
    }
}

fn mode_name(mode: RuleMode) -> &'static str {
    match mode {
        RuleMode::Upgrade => "UPGRADE",
        RuleMode::Downgrade => "DOWNGRADE",
        RuleMode::UpDown => "UPDOWN",
        RuleMode::Write => "WRITE",
        RuleMode::Read => "READ",
        RuleMode::WriteRead => "WRITEREAD",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn a_guid_is_the_md5_of_its_parts_in_order() {
        // MD5("\"string\"")
        assert_eq!(
            guid("\"string\"", &[], None, None).to_string(),
            "095d71cf-1255-6b9d-5e33-0ad575b3df5d"
        );
        let reference = SchemaReference {
            name: "a.B".to_owned(),
            subject: "b-value".to_owned(),
            version: 1,
        };
        let metadata = Metadata {
            tags: Some(BTreeMap::from([(
                "**.ssn".to_owned(),
                BTreeSet::from(["PII".to_owned()]),
            )])),
            properties: Some(BTreeMap::from([("owner".to_owned(), "me".to_owned())])),
            sensitive: Some(BTreeSet::from(["key".to_owned()])),
        };
        let rules: RuleSet = serde_json::from_str(
            r#"{"domainRules":[{"name":"r","kind":"CONDITION","mode":"WRITE","type":"CEL","tags":["PII"],"params":{"a":"b"},"expr":"true","onFailure":"DLQ","disabled":true}]}"#,
        )
        .unwrap();
        let mut text = b"{}a.Bb-value\0\0\0\x01".to_vec();
        text.extend_from_slice(b"\x01**.ssnPIIownermekey");
        text.extend_from_slice(b"\x01rCONDITIONWRITECELPIIabtrueDLQ\x01");
        assert_eq!(
            guid("{}", &[reference], Some(&metadata), Some(&rules)),
            Uuid::from_bytes(Md5::digest(&text).into())
        );
    }

    #[test]
    fn a_rule_without_kind_and_mode_has_those_it_is_run_with() {
        let rules = |text: &str| serde_json::from_str::<RuleSet>(text).unwrap();
        let without = rules(r#"{"domainRules":[{"name":"r","type":"CEL"}]}"#);
        let with = rules(
            r#"{"domainRules":[{"name":"r","kind":"TRANSFORM","mode":"WRITEREAD","type":"CEL"}]}"#,
        );
        assert_eq!(
            guid("{}", &[], None, Some(&without)),
            guid("{}", &[], None, Some(&with))
        );
    }

    #[test]
    fn empty_is_not_none() {
        let without = guid("{}", &[], None, None);
        assert_ne!(without, guid("{}", &[], Some(&Metadata::default()), None));
        assert_ne!(without, guid("{}", &[], None, Some(&RuleSet::default())));
    }
}
