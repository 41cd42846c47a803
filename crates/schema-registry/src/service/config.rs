//! Configs of subjects, contexts and everybody.

use std::sync::Arc;

use schema::{CompatibilityLevel, CompatibilityPolicy, Metadata, RuleSet};

use super::{Planned, Registry, check_settings_of, read_only, rules};
use crate::error::RegistryError;
use crate::state::{Config, Key, Record, Value};

/// A change of a config: what is `None` stays, `Some(None)` goes (`ConfigUpdateRequest`).
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(
    missing_docs,
    reason = "the fields are those of `Config`, which says what they mean"
)]
pub struct ConfigChange {
    pub alias: Option<Option<String>>,
    pub alias_for_deks: Option<Option<String>>,
    pub normalize: Option<Option<bool>>,
    pub validate_fields: Option<Option<bool>>,
    pub validate_new_schemas: Option<Option<bool>>,
    pub validate_rules: Option<Option<bool>>,
    pub compatibility_level: Option<Option<CompatibilityLevel>>,
    pub compatibility_policy: Option<Option<CompatibilityPolicy>>,
    pub compatibility_group: Option<Option<String>>,
    pub default_metadata: Option<Option<Metadata>>,
    pub override_metadata: Option<Option<Metadata>>,
    pub default_rule_set: Option<Option<RuleSet>>,
    pub override_rule_set: Option<Option<RuleSet>>,
}

impl ConfigChange {
    /// What `config` becomes.
    #[must_use]
    pub fn applied_to(self, config: &Config) -> Config {
        let Config {
            alias,
            alias_for_deks,
            normalize,
            validate_fields,
            validate_new_schemas,
            validate_rules,
            compatibility_level,
            compatibility_policy,
            compatibility_group,
            default_metadata,
            override_metadata,
            default_rule_set,
            override_rule_set,
            other,
        } = config.clone();
        let non_empty = |text: Option<String>| text.filter(|text| !text.is_empty());
        Config {
            alias: non_empty(self.alias.unwrap_or(alias)),
            alias_for_deks: non_empty(self.alias_for_deks.unwrap_or(alias_for_deks)),
            normalize: self.normalize.unwrap_or(normalize),
            validate_fields: self.validate_fields.unwrap_or(validate_fields),
            validate_new_schemas: self.validate_new_schemas.unwrap_or(validate_new_schemas),
            validate_rules: self.validate_rules.unwrap_or(validate_rules),
            compatibility_level: self.compatibility_level.unwrap_or(compatibility_level),
            compatibility_policy: self.compatibility_policy.unwrap_or(compatibility_policy),
            compatibility_group: non_empty(self.compatibility_group.unwrap_or(compatibility_group)),
            default_metadata: self.default_metadata.unwrap_or(default_metadata),
            override_metadata: self.override_metadata.unwrap_or(override_metadata),
            default_rule_set: self.default_rule_set.unwrap_or(default_rule_set),
            override_rule_set: self.override_rule_set.unwrap_or(override_rule_set),
            other,
        }
    }
}

impl Registry {
    /// Changes a config, and answers with what it is then.
    ///
    /// # Errors
    /// 42205 where the mode is against it, 42201 for rules that are none, those of [`Registry::change`].
    pub async fn update_config(
        self: &Arc<Self>,
        of: Option<String>,
        change: ConfigChange,
    ) -> Result<Config, RegistryError> {
        self.change("Update config", move |registry| {
            registry.plan_update_config(of.as_deref(), change)
        })
        .await
    }

    /// Takes a config away, and answers with what it was.
    ///
    /// # Errors
    /// 40401 when the subject has none, 42205, those of [`Registry::change`].
    pub async fn delete_config(
        self: &Arc<Self>,
        of: Option<String>,
    ) -> Result<Config, RegistryError> {
        self.change("Delete config", move |registry| {
            registry.plan_delete_config(of.as_deref())
        })
        .await
    }

    pub(super) fn plan_update_config(
        &self,
        of: Option<&str>,
        change: ConfigChange,
    ) -> Result<Planned<Config>, RegistryError> {
        let sets = [&change.default_rule_set, &change.override_rule_set];
        for set in sets.into_iter().flatten().flatten() {
            rules::check(set)?;
        }
        check_settings_of(of)?;
        self.check_pairing(of, &change)?;
        self.check_config_writable(of)?;
        let config = {
            let state = self.state();
            let old = state.config_of(of).cloned().unwrap_or_default();
            change.applied_to(&old)
        };
        let value = Value::Config(Box::new(config.clone()));
        Ok(Planned {
            answer: config,
            records: vec![Record::new(Key::Config(of.map(str::to_owned)), value)],
        })
    }

    pub(super) fn plan_delete_config(
        &self,
        of: Option<&str>,
    ) -> Result<Planned<Config>, RegistryError> {
        let own = self.state().config_of(of).cloned();
        let answer = match (own, of) {
            (Some(config), _) => config,
            (None, Some(subject)) => return Err(RegistryError::subject_not_found(subject)),
            (None, None) => return Ok(Planned::nothing(self.config_in_scope(None))),
        };
        self.check_config_writable(of)?;
        Ok(Planned {
            answer,
            records: vec![Record::tombstone(Key::Config(of.map(str::to_owned)))],
        })
    }

    /// LOGICAL asks what Iceberg can do, and that is backward only. A change that takes level or policy away is not
    /// looked at: what holds then is the parent's.
    fn check_pairing(&self, of: Option<&str>, change: &ConfigChange) -> Result<(), RegistryError> {
        let (level, policy) = match (change.compatibility_level, change.compatibility_policy) {
            (None, None) | (Some(None), _) | (_, Some(None)) => return Ok(()),
            (level, policy) => (level.flatten(), policy.flatten()),
        };
        let holds = self.config_in_scope(of);
        let level = level.or(holds.compatibility_level).unwrap_or_default();
        let policy = policy.or(holds.compatibility_policy).unwrap_or_default();
        if policy == CompatibilityPolicy::Logical && level.is_forward() && !level.is_backward() {
            return Err(RegistryError::LogicalForward { level });
        }
        Ok(())
    }

    fn check_config_writable(&self, of: Option<&str>) -> Result<(), RegistryError> {
        if self.mode_in_scope(of).is_read_only() {
            return Err(read_only(of.unwrap_or("null")));
        }
        Ok(())
    }
}
