//! Deleting versions and subjects: softly first, for good then.
//!
//! A soft deleted version keeps its number and answers by its id; a hard deleted one is gone. The records of a hard
//! delete come with the highest ids in one batch, so that no id is ever given twice ([`crate::state::records`]).

use std::sync::Arc;

use super::lookup::VersionId;
use super::register::version_record;
use super::{Planned, Registry};
use crate::error::RegistryError;
use crate::state::records::DeleteSubjectValue;
use crate::state::{Key, Lookup, Record, Value};

impl Registry {
    /// Deletes one version, and answers with its number.
    ///
    /// # Errors
    /// 40401 and 40402 for what is not there, 40406 and 40407 for what is not in the state to be deleted so, 42205 where
    /// the mode is against it, 42206 when others refer to it, and those of [`Registry::change`].
    pub async fn delete_version(
        self: &Arc<Self>,
        subject: String,
        version: VersionId,
        permanent: bool,
    ) -> Result<i32, RegistryError> {
        self.change("Delete schema version", move |registry| {
            registry.plan_delete_version(&subject, version, permanent)
        })
        .await
    }

    /// Deletes all versions of a subject, and answers with their numbers.
    ///
    /// # Errors
    /// 40401, 40404, 40405, 42205, 42206, and those of [`Registry::change`].
    pub async fn delete_subject(
        self: &Arc<Self>,
        subject: String,
        permanent: bool,
    ) -> Result<Vec<i32>, RegistryError> {
        self.change("Delete subject", move |registry| {
            registry.plan_delete_subject(&subject, permanent)
        })
        .await
    }

    pub(super) fn plan_delete_version(
        &self,
        subject: &str,
        version: VersionId,
        permanent: bool,
    ) -> Result<Planned<i32>, RegistryError> {
        let Some(found) = self.version(subject, version, true) else {
            let known = self.state().has_subject(subject, Lookup::All);
            return Err(match version {
                VersionId::Number(version) if known => RegistryError::VersionNotFound { version },
                VersionId::Latest if known => RegistryError::VersionNotFound { version: -1 },
                _ => RegistryError::subject_not_found(subject),
            });
        };
        let number = found.version;
        if found.deleted && !permanent {
            return Err(RegistryError::VersionSoftDeleted {
                subject: subject.to_owned(),
                version: number,
            });
        }
        self.check_writable(subject)?;
        self.check_unreferenced(subject, number)?;
        if !permanent {
            let record = version_record(subject, number, found.id, &found.body, true);
            return Ok(Planned {
                answer: number,
                records: vec![record],
            });
        }
        if !found.deleted {
            return Err(RegistryError::VersionNotSoftDeleted {
                subject: subject.to_owned(),
                version: number,
            });
        }
        Ok(Planned {
            answer: number,
            records: self.removal(subject, &[number]),
        })
    }

    pub(super) fn plan_delete_subject(
        &self,
        subject: &str,
        permanent: bool,
    ) -> Result<Planned<Vec<i32>>, RegistryError> {
        let (all, live): (Vec<i32>, Vec<i32>) = {
            let state = self.state();
            let versions = state
                .versions(subject)
                .ok_or_else(|| RegistryError::subject_not_found(subject))?;
            let live = versions.iter().filter(|(_, version)| !version.deleted);
            (
                versions.keys().copied().collect(),
                live.map(|(number, _)| *number).collect(),
            )
        };
        let Some(last) = live.last().copied() else {
            if !permanent {
                return Err(RegistryError::SubjectSoftDeleted {
                    subject: subject.to_owned(),
                });
            }
            self.check_writable(subject)?;
            for version in &all {
                self.check_unreferenced(subject, *version)?;
            }
            let records = self.removal(subject, &all);
            return Ok(Planned {
                answer: all,
                records,
            });
        };
        self.check_writable(subject)?;
        if permanent {
            return Err(RegistryError::SubjectNotSoftDeleted {
                subject: subject.to_owned(),
            });
        }
        for version in &live {
            self.check_unreferenced(subject, *version)?;
        }
        let record = Record::new(
            Key::DeleteSubject(subject.to_owned()),
            Value::DeleteSubject(DeleteSubjectValue {
                subject: subject.to_owned(),
                version: last,
            }),
        );
        Ok(Planned {
            answer: live,
            records: vec![record],
        })
    }

    pub(super) fn check_unreferenced(
        &self,
        subject: &str,
        version: i32,
    ) -> Result<(), RegistryError> {
        if self.state().referenced_by(subject, version).is_empty() {
            return Ok(());
        }
        Err(RegistryError::ReferenceExists {
            subject: subject.to_owned(),
            version,
        })
    }

    /// The records that remove these versions for good, and with the last one the subject's config and mode.
    fn removal(&self, subject: &str, numbers: &[i32]) -> Vec<Record> {
        let state = self.state();
        let mut records: Vec<Record> = numbers
            .iter()
            .map(|version| {
                Record::tombstone(Key::Schema {
                    subject: subject.to_owned(),
                    version: *version,
                })
            })
            .collect();
        let remain = state
            .versions(subject)
            .is_some_and(|versions| versions.keys().any(|number| !numbers.contains(number)));
        if !remain {
            let of = Some(subject.to_owned());
            if state.mode_of(Some(subject)).is_some() {
                records.push(Record::tombstone(Key::Mode(of.clone())));
            }
            if state.config_of(Some(subject)).is_some() {
                records.push(Record::tombstone(Key::Config(of)));
            }
        }
        records.push(state.noop());
        records
    }
}
