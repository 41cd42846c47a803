//! Which rule sets are accepted.
//!
//! The registry runs no rules, its clients do; what it can do is to refuse a set that no client would run: a rule
//! without a type or with a name that is none, two of one name, a mode that does not belong to its list, an action that
//! no client has, or two of them where only one can be taken (`RuleSet.validate`, `Rule.validate`, 8.2).
//!
//! Differs: an invalid rule set is an invalid schema, 42201, as conformance cases of registries want it; Confluent's
//! says 42210. Both are 422. Two rules of one name and actions that no client of Confluent's has are refused here and
//! not there.

use std::collections::HashSet;

use schema::model::RuleMode;
use schema::{Rule, RuleSet};

use crate::error::RegistryError;

/// `RuleSet.validate` allows as many characters.
const NAME_CHARS_MAX: usize = 64;

/// Names of actions every client has. A rule that names another is refused.
const ACTIONS: [&str; 3] = ["NONE", "DLQ", "ERROR"];

/// Checks a rule set.
///
/// # Errors
/// 42201 with the rule and what is wrong with it.
pub fn check(rules: &RuleSet) -> Result<(), RegistryError> {
    let migration = |mode| {
        matches!(
            mode,
            RuleMode::Upgrade | RuleMode::Downgrade | RuleMode::UpDown
        )
    };
    let on_record = |mode| matches!(mode, RuleMode::Write | RuleMode::Read | RuleMode::WriteRead);
    check_list("migration", rules.migration_rules.as_deref(), migration)?;
    check_list("domain", rules.domain_rules.as_deref(), on_record)?;
    check_list("encoding", rules.encoding_rules.as_deref(), on_record)
}

fn check_list(
    list: &str,
    rules: Option<&[Rule]>,
    is_allowed: impl Fn(RuleMode) -> bool,
) -> Result<(), RegistryError> {
    let mut names = HashSet::new();
    for rule in rules.unwrap_or_default() {
        let name = rule.name.as_str();
        if name.is_empty() {
            return refuse(format!("a {list} rule has no name"));
        }
        if name.chars().count() > NAME_CHARS_MAX {
            return refuse(format!(
                "the name of the {list} rule '{name}' has more than {NAME_CHARS_MAX} characters"
            ));
        }
        let mut letters = name.chars();
        let begins = |first: char| first.is_alphabetic() || first == '_';
        let goes_on = |next: char| next.is_alphanumeric() || next == '_' || next == '-';
        if !letters.next().is_some_and(begins) || !letters.all(goes_on) {
            return refuse(format!(
                "the name of the {list} rule '{name}' is not letters, digits, '_' and '-' after a letter or '_'"
            ));
        }
        if rule.rule_type.is_none() {
            return refuse(format!("the {list} rule '{name}' has no type"));
        }
        if !names.insert(name) {
            return refuse(format!("two {list} rules have the name '{name}'"));
        }
        if let Some(mode) = rule.mode.filter(|mode| !is_allowed(*mode)) {
            return refuse(format!(
                "the {list} rule '{name}' has the mode {mode:?}, which {list} rules do not have"
            ));
        }
        let mode = rule.mode.unwrap_or(RuleMode::WriteRead);
        let takes_two = matches!(mode, RuleMode::WriteRead | RuleMode::UpDown);
        for action in [&rule.on_success, &rule.on_failure].into_iter().flatten() {
            if action.contains(',') && !takes_two {
                return refuse(format!(
                    "the {list} rule '{name}' has the actions '{action}'; two are for the modes WRITEREAD and UPDOWN"
                ));
            }
            let known = |action: &str| action.is_empty() || ACTIONS.contains(&action);
            if !action.split(',').all(|action| known(action.trim())) {
                return refuse(format!(
                    "the {list} rule '{name}' has the action '{action}'; there are NONE, DLQ and ERROR"
                ));
            }
        }
    }
    Ok(())
}

fn refuse(what: String) -> Result<(), RegistryError> {
    Err(RegistryError::invalid_schema(format!(
        "Invalid ruleSet: {what}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Option<String> {
        let rules: RuleSet = serde_json::from_str(text).unwrap();
        check(&rules).err().map(|error| error.to_string())
    }

    #[test]
    fn a_set_that_clients_can_run_is_accepted() {
        let text = r#"{"domainRules":[{"name":"a","type":"CEL","mode":"WRITEREAD","onFailure":"DLQ,NONE","onSuccess":""},
            {"name":"_a-1","type":"CEL","onFailure":"DLQ,NONE"}],
            "migrationRules":[{"name":"a","type":"JSONATA","mode":"UPDOWN"}],"encodingRules":[]}"#;
        assert_eq!(verdict(text), None);
    }

    #[test]
    fn what_no_client_would_run_is_refused() {
        for bad in [
            r#"{"domainRules":[{"name":""}]}"#,
            r#"{"domainRules":[{"name":"a"}]}"#,
            r#"{"domainRules":[{"name":"a b","type":"CEL"}]}"#,
            r#"{"domainRules":[{"name":"1a","type":"CEL"}]}"#,
            r#"{"domainRules":[{"name":"a","type":"CEL"},{"name":"a","type":"CEL"}]}"#,
            r#"{"domainRules":[{"name":"a","type":"CEL","mode":"UPGRADE"}]}"#,
            r#"{"domainRules":[{"name":"a","type":"CEL","mode":"READ","onFailure":"DLQ,NONE"}]}"#,
            r#"{"migrationRules":[{"name":"a","type":"CEL","mode":"READ"}]}"#,
            r#"{"encodingRules":[{"name":"a","type":"ENCRYPT","mode":"UPDOWN"}]}"#,
            r#"{"domainRules":[{"name":"a","type":"CEL","onFailure":"EXPLODE"}]}"#,
        ] {
            let message = verdict(bad).unwrap_or_default();
            assert!(message.starts_with("Invalid ruleSet: "), "{bad}: {message}");
        }
    }
}
