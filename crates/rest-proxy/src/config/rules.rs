//! How the rules of data contracts are run, by the names that Confluent's serialisers have for it.
//!
//! ```text
//! rule.executors.<rule, or _default_>.onSuccess, .onFailure     another action than the rule's
//! rule.executors.<rule, or _default_>.disabled                  whether it is left out
//! rule.executors._default_.param.<property>                     how to ask for a KEK: secret, access.key.id, token.id, ...
//! rule.actions._default_.param.topic                            the dead letter queue, whatever the rule says
//! ```
//! The proxy of Confluent hands its serialisers what begins with `schema.registry.`; both forms are read here. Lists of
//! executors and their classes are Java's, and not needed.

use std::collections::BTreeMap;

use kms::Environment;
use registry_client::Password;
use schema::RuleSet;
use schema::model::Rule;

use super::ConfigError;

/// The name that stands for every rule.
const DEFAULT: &str = "_default_";

/// How rules are run.
#[derive(Debug, Clone, Default)]
pub(crate) struct RulesConfig {
    /// By a rule's name, or [`DEFAULT`].
    overrides: BTreeMap<String, Override>,
    /// Properties of key management services that a KEK does not have itself.
    pub(crate) properties: BTreeMap<String, Password>,
    /// The topic of every dead letter.
    pub(crate) dead_letters: Option<String>,
}

/// What is otherwise than a rule says.
#[derive(Debug, Clone, Default)]
struct Override {
    on_success: Option<String>,
    on_failure: Option<String>,
    disabled: Option<bool>,
}

impl RulesConfig {
    /// Takes a setting, if it is one of these.
    pub(super) fn take(&mut self, key: &str, value: &str) -> Result<bool, ConfigError> {
        let name = key.strip_prefix("schema.registry.").unwrap_or(key);
        if matches!(name, "rule.executors" | "rule.actions") {
            return Ok(true);
        }
        let unusable = |expected| ConfigError {
            key: key.to_owned(),
            value: "(hidden)".to_owned(),
            expected,
        };
        let executor = name.strip_prefix("rule.executors.");
        if let Some((rule, setting)) = executor.and_then(|rest| rest.split_once('.')) {
            let given = || Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            let of_rule = self.overrides.entry(rule.to_owned()).or_default();
            match setting {
                "class" => {}
                "onSuccess" => of_rule.on_success = given(),
                "onFailure" => of_rule.on_failure = given(),
                "disabled" => match value.trim() {
                    "true" => of_rule.disabled = Some(true),
                    "false" => of_rule.disabled = Some(false),
                    _ => return Err(unusable("true or false")),
                },
                _ => {
                    let property = setting.strip_prefix("param.");
                    let property = property.ok_or_else(|| {
                        unusable("class, onSuccess, onFailure, disabled or param.<property>")
                    })?;
                    if !Environment::default().set_property(property, value) {
                        return Err(unusable(
                            "one of secret, token.id, namespace, approle.role.id, approle.secret.id, access.key.id, secret.access.key, role.arn, role.session.name, role.external.id, tenant.id, client.id, client.secret after param.",
                        ));
                    }
                    let value = Password(value.to_owned());
                    let old = self.properties.insert(property.to_owned(), value.clone());
                    if old.is_some_and(|old| old != value) {
                        return Err(unusable("one value for all rules"));
                    }
                }
            }
            return Ok(true);
        }
        let action = name.strip_prefix("rule.actions.");
        if let Some((_, setting)) = action.and_then(|rest| rest.split_once('.')) {
            match setting {
                // Whoever asks is answered once the letter is written.
                "class" | "param.auto.flush" | "param.dlq.auto.flush" => {}
                "param.topic" | "param.dlq.topic" => {
                    self.dead_letters = Some(value.to_owned()).filter(|topic| !topic.is_empty());
                }
                _ => return Err(unusable("class, param.topic or param.auto.flush")),
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// The rules as they are run here. Those that are to run elsewhere than at a client are left out.
    pub(crate) fn apply(&self, rule_set: &RuleSet) -> RuleSet {
        let is_elsewhere = match rule_set.enable_at.as_deref() {
            None | Some("ALL" | "CLIENT") => false,
            Some(_) => true,
        };
        let apply = |rules: &Vec<Rule>| -> Vec<Rule> {
            let rules = rules.iter().cloned();
            rules
                .map(|rule| self.apply_to(rule, is_elsewhere))
                .collect()
        };
        RuleSet {
            domain_rules: rule_set.domain_rules.as_ref().map(apply),
            encoding_rules: rule_set.encoding_rules.as_ref().map(apply),
            ..RuleSet::default()
        }
    }

    fn apply_to(&self, mut rule: Rule, is_elsewhere: bool) -> Rule {
        let named = [rule.name.as_str(), DEFAULT];
        let named = named.map(|name| self.overrides.get(name));
        let overrides = || named.into_iter().flatten();
        let disabled = overrides().find_map(|found| found.disabled);
        let on_success = overrides().find_map(|found| found.on_success.clone());
        let on_failure = overrides().find_map(|found| found.on_failure.clone());
        rule.disabled = disabled.unwrap_or(rule.disabled || is_elsewhere);
        rule.on_success = on_success.or(rule.on_success);
        rule.on_failure = on_failure.or(rule.on_failure);
        rule
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(settings: &[(&str, &str)]) -> Result<RulesConfig, ConfigError> {
        let mut config = RulesConfig::default();
        for (key, value) in settings {
            assert!(config.take(key, value)?, "{key}");
        }
        Ok(config)
    }

    #[test]
    fn settings_are_those_of_the_serialisers() {
        let config = config(&[
            ("rule.executors", "encrypt"),
            ("rule.executors.encrypt.class", "x.FieldEncryptionExecutor"),
            ("rule.executors.encrypt.param.secret", "hush"),
            (
                "schema.registry.rule.executors._default_.param.token.id",
                "t",
            ),
            ("schema.registry.rule.actions._default_.param.topic", "dead"),
            ("rule.actions.dlq.param.auto.flush", "true"),
        ])
        .unwrap();
        assert_eq!(config.properties["secret"], Password("hush".to_owned()));
        assert_eq!(config.properties["token.id"], Password("t".to_owned()));
        assert_eq!(config.dead_letters.as_deref(), Some("dead"));
        assert!(!format!("{config:?}").contains("hush"));
        let mut none = RulesConfig::default();
        assert_eq!(none.take("schema.registry.url", "x"), Ok(false));
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_its_value() {
        for settings in [
            &[("rule.executors.a.disabled", "maybe")][..],
            &[("rule.executors.a.b", "c")],
            &[("rule.executors.a.param.b", "rush")],
            &[("rule.actions.a.b", "c")],
            &[
                ("rule.executors.a.param.secret", "hush"),
                ("rule.executors.b.param.secret", "rush"),
            ],
        ] {
            let error = config(settings).unwrap_err().to_string();
            assert!(!error.contains("rush"), "{error}");
        }
    }

    fn rules(enable_at: Option<&str>) -> RuleSet {
        let rule = |name: &str| json!({"name": name, "onFailure": "ERROR"});
        let mut set = json!({"domainRules": [rule("a"), rule("b")], "encodingRules": [rule("a")]});
        set["enableAt"] = json!(enable_at);
        serde_json::from_value(set).unwrap()
    }

    #[test]
    fn a_rule_has_its_own_override_or_everybodys() {
        let config = config(&[
            ("rule.executors._default_.onFailure", "NONE"),
            ("rule.executors.a.onFailure", "DLQ"),
            ("rule.executors.b.disabled", "true"),
        ])
        .unwrap();
        let applied = config.apply(&rules(None));
        let domain = applied.domain_rules.unwrap();
        let actions = domain
            .iter()
            .map(|rule| rule.on_failure.as_deref().unwrap());
        assert_eq!(actions.collect::<Vec<_>>(), ["DLQ", "NONE"]);
        let disabled = domain.iter().map(|rule| rule.disabled);
        assert_eq!(disabled.collect::<Vec<_>>(), [false, true]);
        let encoding = applied.encoding_rules.unwrap();
        assert_eq!(encoding[0].on_failure.as_deref(), Some("DLQ"));
    }

    #[test]
    fn rules_of_another_place_are_left_out() {
        let is_run = |enable_at, config: &RulesConfig| {
            let applied = config.apply(&rules(enable_at));
            !applied.domain_rules.unwrap()[0].disabled
        };
        let config = RulesConfig::default();
        assert!(is_run(None, &config) && is_run(Some("ALL"), &config));
        assert!(is_run(Some("CLIENT"), &config) && !is_run(Some("SERVER"), &config));
    }
}
