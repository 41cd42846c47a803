//! Which rule sets are accepted.
//!
//! The registry runs no rules, its clients do; what it can do is to refuse a set that no client would run: a rule
//! without a name, two of one name, a mode that does not belong to its list, an action that no client has.
//! An invalid rule set is an invalid schema, 42201.

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
        if !names.insert(name) {
            return refuse(format!("two {list} rules have the name '{name}'"));
        }
        if let Some(mode) = rule.mode.filter(|mode| !is_allowed(*mode)) {
            return refuse(format!(
                "the {list} rule '{name}' has the mode {mode:?}, which {list} rules do not have"
            ));
        }
        for action in [&rule.on_success, &rule.on_failure].into_iter().flatten() {
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
        let text = r#"{"domainRules":[{"name":"a","mode":"WRITEREAD","onFailure":"DLQ,NONE","onSuccess":""}],
            "migrationRules":[{"name":"a","mode":"UPDOWN"}],"encodingRules":[]}"#;
        assert_eq!(verdict(text), None);
    }

    #[test]
    fn what_no_client_would_run_is_refused() {
        for bad in [
            r#"{"domainRules":[{"name":""}]}"#,
            r#"{"domainRules":[{"name":"a"},{"name":"a"}]}"#,
            r#"{"domainRules":[{"name":"a","mode":"UPGRADE"}]}"#,
            r#"{"migrationRules":[{"name":"a","mode":"READ"}]}"#,
            r#"{"encodingRules":[{"name":"a","mode":"UPDOWN"}]}"#,
            r#"{"domainRules":[{"name":"a","onFailure":"EXPLODE"}]}"#,
        ] {
            let message = verdict(bad).unwrap_or_default();
            assert!(message.starts_with("Invalid ruleSet: "), "{bad}: {message}");
        }
    }
}
