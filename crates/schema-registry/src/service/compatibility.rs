//! Whether a schema may follow others, told as Confluent's registry tells it.

use std::sync::Arc;

use schema::compatibility::{self, Candidate, Demand, Previous};
use schema::{Metadata, ParsedSchema};

use super::lookup::{VersionId, live_versions};
use super::{NewSchema, Registry};
use crate::error::RegistryError;
use crate::state::{Config, SchemaBody};
use crate::subject;

/// What a new schema is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// One version.
    Version(VersionId),
    /// All that the subject's level wants.
    All,
}

impl Registry {
    /// What stands in the way of registering `new`; empty when nothing does. Without anything to compare with, there
    /// is nothing in the way.
    ///
    /// # Errors
    /// 42201 for what is no schema; 40402 for a version that is not there.
    pub fn check_compatibility(
        &self,
        subject: &str,
        new: &NewSchema,
        against: Against,
        normalize: bool,
    ) -> Result<Vec<String>, RegistryError> {
        let config = self.config_in_scope(Some(subject));
        let olds = match against {
            Against::All => live_versions(&self.state(), subject),
            Against::Version(version) => match (self.version(subject, version, false), version) {
                (Some(found), _) => vec![(found.version, found.body)],
                (None, VersionId::Latest) => Vec::new(),
                (None, VersionId::Number(version)) => {
                    return Err(RegistryError::VersionNotFound { version });
                }
            },
        };
        let canonical = self
            .canonical(&config, subject, new, true, normalize)?
            .ok_or_else(|| RegistryError::invalid_schema("Empty schema"))?;
        self.incompatibilities(
            &config,
            subject,
            &canonical.parsed,
            canonical.body.metadata.as_deref(),
            &olds,
        )
    }

    /// What stands in the way of `new` after `olds`, which are in order, oldest first.
    pub(super) fn incompatibilities(
        &self,
        config: &Config,
        subject: &str,
        new: &ParsedSchema,
        metadata: Option<&Metadata>,
        olds: &[(i32, Arc<SchemaBody>)],
    ) -> Result<Vec<String>, RegistryError> {
        let demand = Demand {
            level: config.compatibility_level.unwrap_or_default(),
            policy: config.compatibility_policy.unwrap_or_default(),
            validate_fields: config
                .validate_fields
                .unwrap_or(self.config().validate_fields),
            group: config.compatibility_group.as_deref(),
        };
        let new = Candidate {
            schema: new,
            metadata,
        };
        let previous: Vec<_> = olds
            .iter()
            .map(|(number, body)| Previous {
                number: *number,
                metadata: body.metadata.as_deref(),
            })
            .collect();
        let context = subject::context_of(subject);
        compatibility::check(demand, new, &previous, |place| match olds.get(place) {
            Some((_, body)) => self.parsed(context, body),
            None => Err(RegistryError::Store {
                message: format!("subject {subject} has no version at place {place}"),
            }),
        })
    }
}
