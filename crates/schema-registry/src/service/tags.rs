//! The next version of a schema with other tags, metadata or rules (`modifySchemaTags`, 8.2).

use std::sync::Arc;

use schema::{FieldTags, Metadata, Rule, RuleSet};

use super::lookup::VersionId;
use super::register::RegisterOptions;
use super::{Found, NewSchema, Registry, merge};
use crate::error::RegistryError;
use crate::state::Lookup;

/// What is to be different.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TagChange {
    /// The number that the new version must get; without one, the next.
    pub new_version: Option<i32>,
    /// Tags to write into the schema.
    pub add: FieldTags,
    /// Tags to take out of it.
    pub remove: FieldTags,
    /// Metadata in the place of the old.
    pub metadata: Option<Metadata>,
    /// Rules in the place of the old, unless the next two say more.
    pub rule_set: Option<RuleSet>,
    /// Rules to add to those of the version before.
    pub rules_to_merge: Option<RuleSet>,
    /// Names of rules to leave out.
    pub rules_to_remove: Option<Vec<String>>,
}

impl Registry {
    /// Registers `version` of `subject` again with the change.
    ///
    /// Differs: a subject without a context is not looked for in other contexts; Confluent's registry copies a version
    /// that it finds there to the default context.
    ///
    /// # Errors
    /// 40401 and 40402 for what is not there, 42210 for rules that are given twice; as of a registration.
    pub async fn modify_tags(
        self: &Arc<Self>,
        subject: String,
        version: VersionId,
        change: TagChange,
    ) -> Result<Found, RegistryError> {
        self.change("Modify schema tags", move |registry| {
            let (new, options) = registry.tagged(&subject, version, change)?;
            registry.plan_register(&subject, new, &options)
        })
        .await
    }

    fn tagged(
        &self,
        subject: &str,
        version: VersionId,
        change: TagChange,
    ) -> Result<(NewSchema, RegisterOptions), RegistryError> {
        if change.rule_set.is_some()
            && (change.rules_to_merge.is_some() || change.rules_to_remove.is_some())
        {
            return Err(RegistryError::InvalidRuleSet {
                message: "ruleSet should be omitted if specifying rulesToMerge or rulesToRemove"
                    .to_owned(),
            });
        }
        let Some(found) = self.version(subject, version, false) else {
            let known = self.state().has_subject(subject, Lookup::Live);
            return Err(match version {
                VersionId::Number(version) if known => RegistryError::VersionNotFound { version },
                _ => RegistryError::subject_not_found(subject),
            });
        };
        let rule_set = self.changed_rules(subject, &change);
        let metadata = change
            .metadata
            .or_else(|| found.body.metadata.as_deref().cloned());
        let asked = change.new_version.unwrap_or(0);
        let new = NewSchema {
            version: asked,
            id: -1,
            schema_type: found.body.schema_type,
            references: found.body.references.to_vec(),
            metadata: Some(merge::with_confluent_version(metadata, asked)),
            rule_set,
            text: found.body.text.to_string(),
        };
        let options = RegisterOptions {
            tags_to_add: change.add,
            tags_to_remove: change.remove,
            ..RegisterOptions::default()
        };
        Ok((new, options))
    }

    fn changed_rules(&self, subject: &str, change: &TagChange) -> Option<RuleSet> {
        if change.rules_to_merge.is_none() && change.rules_to_remove.is_none() {
            return change.rule_set.clone();
        }
        let old = match change.new_version {
            Some(new) => VersionId::Number(new.saturating_sub(1)),
            None => VersionId::Latest,
        };
        let old = self.version(subject, old, false);
        let rules = old
            .as_ref()
            .and_then(|found| found.body.rule_set.as_deref());
        let mut merged = merge::rule_set(rules, change.rules_to_merge.as_ref())?;
        let removed = change.rules_to_remove.as_deref().unwrap_or_default();
        let keep = |list: &mut Option<Vec<Rule>>| {
            if let Some(list) = list {
                list.retain(|rule| !removed.contains(&rule.name));
            }
        };
        keep(&mut merged.migration_rules);
        keep(&mut merged.domain_rules);
        keep(&mut merged.encoding_rules);
        Some(merged)
    }
}
