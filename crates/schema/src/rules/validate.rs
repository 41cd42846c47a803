//! Whether a rule set is one that a registry takes (`RuleSet.validate` and `Rule.validate` of Confluent's
//! schema-registry, 8.2). What is wrong is answered with 422 and the error code 42210.

use std::collections::HashSet;
use std::fmt;

use crate::model::{Rule, RuleMode, RuleSet};

/// Characters of a rule's name.
const NAME_CHARS_MAX: usize = 64;

/// Rules of one set; no contract comes near it.
const RULES_MAX: usize = 10_000;

/// Which list of a rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleList {
    /// `migrationRules`.
    Migration,
    /// `domainRules`.
    Domain,
    /// `encodingRules`.
    Encoding,
}

impl RuleList {
    /// The modes that a rule of the list may have.
    pub fn modes(self) -> &'static [RuleMode] {
        match self {
            Self::Migration => &[RuleMode::Upgrade, RuleMode::Downgrade, RuleMode::UpDown],
            Self::Domain | Self::Encoding => {
                &[RuleMode::Write, RuleMode::Read, RuleMode::WriteRead]
            }
        }
    }

    fn modes_told(self) -> &'static str {
        match self {
            Self::Migration => "UPGRADE, DOWNGRADE, UPDOWN",
            Self::Domain | Self::Encoding => "WRITE, READ, WRITEREAD",
        }
    }
}

impl fmt::Display for RuleList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Migration => "Migration",
            Self::Domain => "Domain",
            Self::Encoding => "Encoding",
        })
    }
}

/// Which names `onSuccess` and `onFailure` may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ActionNames {
    /// Whatever there is: a client can bring actions of its own. This is what Confluent's registry does.
    #[default]
    Any,
    /// `NONE`, `ERROR`, `DLQ` or nothing: those that every client has.
    Known,
}

/// Why a rule set is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleSetError {
    /// A name with no characters in it.
    #[error("Empty rule name: give every rule a name that is unique in its rule set")]
    EmptyName,
    /// More than 64 characters.
    #[error("Rule name too long: {name} (the limit is {NAME_CHARS_MAX} characters)")]
    NameTooLong {
        /// As written.
        name: String,
    },
    /// The name begins with something that is neither a letter nor an underscore.
    #[error("Illegal initial character in rule name: {name} (begin it with a letter or '_')")]
    NameStart {
        /// As written.
        name: String,
    },
    /// The name has a character that is no letter, digit, underscore or dash.
    #[error("Illegal character in rule name: {name} (use letters, digits, '_' and '-')")]
    NameCharacter {
        /// As written.
        name: String,
    },
    /// Two rules of the set have the name.
    #[error("Found rule with duplicate name '{name}'")]
    DuplicateName {
        /// As written.
        name: String,
    },
    /// The rule does not say who executes it.
    #[error("Missing rule type: rule '{name}' needs one, such as CEL, JSONATA or ENCRYPT")]
    MissingType {
        /// Of the rule.
        name: String,
    },
    /// The mode is one of another list.
    #[error("{list} rules can only be {}: rule '{name}' is not", list.modes_told())]
    Mode {
        /// Of the rule.
        name: String,
        /// Where it stands.
        list: RuleList,
    },
    /// A pair of actions for a rule that runs in one mode only.
    #[error("Multiple actions only valid with WRITEREAD and UPDOWN: rule '{name}' has {action:?}")]
    ActionPair {
        /// Of the rule.
        name: String,
        /// As written.
        action: String,
    },
    /// More than two actions, or one without a name in a pair, or one that no client has.
    #[error(
        "rule '{name}' has the action {action:?}: it is NONE, ERROR or DLQ, or a pair of those"
    )]
    Action {
        /// Of the rule.
        name: String,
        /// As written.
        action: String,
    },
    /// More rules than a set may have.
    #[error("a rule set of {count} rules, the limit is {RULES_MAX}")]
    TooManyRules {
        /// In all lists.
        count: usize,
    },
}

/// Whether a registry takes the rule set.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(rules: &RuleSet, actions: ActionNames) -> Result<(), RuleSetError> {
    let lists = [
        (RuleList::Migration, &rules.migration_rules),
        (RuleList::Domain, &rules.domain_rules),
        (RuleList::Encoding, &rules.encoding_rules),
    ];
    let count = lists
        .iter()
        .flat_map(|(_, list)| list.iter())
        .map(Vec::len)
        .sum();
    if count > RULES_MAX {
        return Err(RuleSetError::TooManyRules { count });
    }
    let mut names = HashSet::new();
    for (list, rules) in lists {
        for rule in rules.iter().flatten() {
            if !names.insert(rule.name.as_str()) {
                let name = rule.name.clone();
                return Err(RuleSetError::DuplicateName { name });
            }
            check_rule(list, rule, actions)?;
        }
    }
    Ok(())
}

fn check_rule(list: RuleList, rule: &Rule, actions: ActionNames) -> Result<(), RuleSetError> {
    check_name(&rule.name)?;
    let name = || rule.name.clone();
    if rule.rule_type.as_deref().is_none_or(str::is_empty) {
        return Err(RuleSetError::MissingType { name: name() });
    }
    // A rule that says nothing runs on writing and on reading.
    let mode = rule.mode.unwrap_or(RuleMode::WriteRead);
    for action in [&rule.on_success, &rule.on_failure].into_iter().flatten() {
        check_action(&rule.name, mode, action, actions)?;
    }
    if list.modes().contains(&mode) {
        Ok(())
    } else {
        Err(RuleSetError::Mode { name: name(), list })
    }
}

fn check_name(name: &str) -> Result<(), RuleSetError> {
    let told = || name.to_owned();
    let mut characters = name.chars();
    let Some(first) = characters.next() else {
        return Err(RuleSetError::EmptyName);
    };
    // Java counts UTF-16 code units.
    if name.encode_utf16().count() > NAME_CHARS_MAX {
        return Err(RuleSetError::NameTooLong { name: told() });
    }
    if !(first.is_alphabetic() || first == '_') {
        return Err(RuleSetError::NameStart { name: told() });
    }
    if characters.any(|other| !(other.is_alphanumeric() || matches!(other, '_' | '-'))) {
        return Err(RuleSetError::NameCharacter { name: told() });
    }
    Ok(())
}

fn check_action(
    rule: &str,
    mode: RuleMode,
    action: &str,
    names: ActionNames,
) -> Result<(), RuleSetError> {
    let has_two_modes = matches!(mode, RuleMode::WriteRead | RuleMode::UpDown);
    if action.contains(',') && !has_two_modes {
        return Err(RuleSetError::ActionPair {
            name: rule.to_owned(),
            action: action.to_owned(),
        });
    }
    let parts: Vec<&str> = action.split(',').map(str::trim).collect();
    let is_known = |part: &&str| {
        ["NONE", "ERROR", "DLQ"]
            .iter()
            .any(|known| part.eq_ignore_ascii_case(known))
    };
    let is_fine = parts.len() <= 2
        && (names == ActionNames::Any || action.is_empty() || parts.iter().all(is_known));
    if is_fine {
        Ok(())
    } else {
        Err(RuleSetError::Action {
            name: rule.to_owned(),
            action: action.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, mode: Option<RuleMode>) -> Rule {
        Rule {
            name: name.to_owned(),
            doc: None,
            kind: None,
            mode,
            rule_type: Some("CEL".to_owned()),
            tags: None,
            params: None,
            expr: None,
            on_success: None,
            on_failure: None,
            disabled: false,
        }
    }

    fn domain(rules: Vec<Rule>) -> RuleSet {
        RuleSet {
            domain_rules: Some(rules),
            ..RuleSet::default()
        }
    }

    fn told(rules: &RuleSet) -> String {
        check(rules, ActionNames::Known).map_or_else(|error| error.to_string(), |()| "fine".into())
    }

    #[test]
    fn names_are_unique_and_well_formed() {
        for name in ["a", "_a", "checkLen-2", "größe", &"a".repeat(64)] {
            assert_eq!(told(&domain(vec![rule(name, None)])), "fine", "{name}");
        }
        for (name, expected) in [
            ("", "Empty rule name"),
            ("1a", "Illegal initial character in rule name: 1a"),
            ("-a", "Illegal initial character"),
            ("a b", "Illegal character in rule name: a b"),
            ("a.b", "Illegal character"),
            (&"a".repeat(65), "Rule name too long"),
        ] {
            let told = told(&domain(vec![rule(name, None)]));
            assert!(told.starts_with(expected), "{name}: {told}");
        }
        let twice = RuleSet {
            migration_rules: Some(vec![rule("a", Some(RuleMode::Upgrade))]),
            encoding_rules: Some(vec![rule("a", Some(RuleMode::Write))]),
            ..RuleSet::default()
        };
        assert_eq!(told(&twice), "Found rule with duplicate name 'a'");
    }

    #[test]
    fn every_list_takes_its_own_modes() {
        use RuleMode::{Downgrade, Read, UpDown, Upgrade, Write, WriteRead};
        for mode in [Upgrade, Downgrade, UpDown, Write, Read, WriteRead] {
            for list in [RuleList::Migration, RuleList::Domain, RuleList::Encoding] {
                let rules = Some(vec![rule("a", Some(mode))]);
                let mut set = RuleSet::default();
                match list {
                    RuleList::Migration => set.migration_rules = rules,
                    RuleList::Domain => set.domain_rules = rules,
                    RuleList::Encoding => set.encoding_rules = rules,
                }
                let is_migration = matches!(mode, Upgrade | Downgrade | UpDown);
                let told = told(&set);
                if is_migration == (list == RuleList::Migration) {
                    assert_eq!(told, "fine", "{list} {mode:?}");
                } else {
                    assert!(
                        told.starts_with(&format!("{list} rules can only be ")),
                        "{told}"
                    );
                }
            }
        }
        // Without a mode it is WRITEREAD, which no migration is.
        let set = RuleSet {
            migration_rules: Some(vec![rule("a", None)]),
            ..RuleSet::default()
        };
        assert!(told(&set).starts_with("Migration rules can only be UPGRADE, DOWNGRADE, UPDOWN"));
    }

    #[test]
    fn a_rule_says_who_executes_it() {
        let mut without = rule("a", None);
        without.rule_type = None;
        assert!(told(&domain(vec![without])).starts_with("Missing rule type"));
    }

    #[test]
    fn a_pair_of_actions_needs_two_modes() {
        let with = |mode, action: &str| {
            let mut rule = rule("a", Some(mode));
            rule.on_failure = Some(action.to_owned());
            domain(vec![rule])
        };
        for action in ["", "NONE", "ERROR", "DLQ", "dlq"] {
            assert_eq!(told(&with(RuleMode::Write, action)), "fine", "{action}");
        }
        assert_eq!(told(&with(RuleMode::WriteRead, "ERROR,NONE")), "fine");
        assert!(
            told(&with(RuleMode::Write, "ERROR,NONE")).starts_with("Multiple actions only valid")
        );
        assert!(told(&with(RuleMode::WriteRead, "ERROR,NONE,DLQ")).contains("or a pair of those"));
        assert!(told(&with(RuleMode::Write, "MAIL")).contains("has the action \"MAIL\""));
        check(&with(RuleMode::Write, "MAIL"), ActionNames::Any).unwrap();
    }

    #[test]
    fn the_number_of_rules_is_bounded() {
        let rules = (0..=RULES_MAX)
            .map(|at| rule(&format!("r{at}"), None))
            .collect();
        assert!(told(&domain(rules)).contains("the limit is 10000"));
        assert_eq!(told(&RuleSet::default()), "fine");
    }
}
