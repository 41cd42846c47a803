//! What a rule that encrypts need not say: the name of its KEK, and the kind of its service, where the id of the key
//! tells both (`EncryptionUpdateRequestHandler`, 8.2).

use std::collections::BTreeMap;

use kms::Kind;
use schema::{Rule, RuleSet};

/// The parameter of a rule that names its KEK.
pub const KEK_NAME: &str = "encrypt.kek.name";
const KMS_KEY_ID: &str = "encrypt.kms.key.id";
const KMS_TYPE: &str = "encrypt.kms.type";

/// What an id of AWS begins with.
const ARN: &str = "arn:";

/// Adds to each rule with a key id what it leaves out.
pub fn fill(rules: &mut RuleSet) {
    let lists = [&mut rules.domain_rules, &mut rules.encoding_rules];
    let all = lists.into_iter().flatten().flatten();
    all.for_each(fill_rule);
}

fn fill_rule(rule: &mut Rule) {
    let Some(params) = &mut rule.params else {
        return;
    };
    let Some(key_id) = params.get(KMS_KEY_ID).cloned() else {
        return;
    };
    set(params, KEK_NAME, || name_of(&key_id));
    if key_id.starts_with(ARN) {
        set(params, KMS_TYPE, || Kind::Aws.name().to_owned());
    }
}

fn set(params: &mut BTreeMap<String, String>, name: &str, value: impl FnOnce() -> String) {
    params.entry(name.to_owned()).or_insert_with(value);
}

/// The key's id, with a dash for each character that no name of a KEK has.
fn name_of(key_id: &str) -> String {
    let id = key_id.strip_prefix(ARN).unwrap_or(key_id);
    id.chars()
        .map(|letter| match letter {
            '_' | '-' => letter,
            letter if letter.is_alphanumeric() => letter,
            _ => '-',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_told_its_kek() {
        let text = r#"{"domainRules":[
            {"name":"a","type":"ENCRYPT","params":{"encrypt.kms.key.id":"arn:aws:kms:eu-west-1:1:key/x"}},
            {"name":"b","type":"ENCRYPT","params":{"encrypt.kms.key.id":"http://v/k","encrypt.kek.name":"mine"}},
            {"name":"c","type":"CEL"}]}"#;
        let mut rules: RuleSet = serde_json::from_str(text).unwrap();
        fill(&mut rules);
        let rules = rules.domain_rules.unwrap();
        let param = |at: usize, name: &str| {
            let rule: &Rule = &rules[at];
            rule.params
                .as_ref()
                .and_then(|params| params.get(name))
                .cloned()
        };
        assert_eq!(param(0, KEK_NAME).unwrap(), "aws-kms-eu-west-1-1-key-x");
        assert_eq!(param(0, KMS_TYPE).unwrap(), "aws-kms");
        assert_eq!(param(1, KEK_NAME).unwrap(), "mine");
        assert_eq!(param(1, KMS_TYPE), None);
        assert_eq!(rules[2].params, None);
    }
}
