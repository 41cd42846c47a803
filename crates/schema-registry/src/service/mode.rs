//! Modes: who may write what.

use std::sync::Arc;

use super::{Planned, Registry};
use crate::error::RegistryError;
use crate::state::records::{ClearSubjectValue, ModeValue};
use crate::state::{Key, Lookup, Mode, Record, Value};

impl Registry {
    /// Sets the mode of a subject, a context or everybody; none takes it away. A change to `IMPORT` wants a place
    /// without live versions, unless `force`d, and removes the soft deleted ones for good.
    ///
    /// # Errors
    /// 42205 where modes may not be changed, or where subjects are in the way; 42206 when something outside refers to
    /// what would be removed; those of [`Registry::change`].
    pub async fn set_mode(
        self: &Arc<Self>,
        of: Option<String>,
        mode: Option<Mode>,
        force: bool,
    ) -> Result<(), RegistryError> {
        self.change("Update mode", move |registry| {
            registry.plan_set_mode(of.as_deref(), mode, force)
        })
        .await
    }

    /// Takes a mode away, and answers with it; with `recursive` also those of the subjects under it.
    ///
    /// # Errors
    /// 40401 when there is none, 42205 where modes may not be changed, those of [`Registry::change`].
    pub async fn delete_mode(
        self: &Arc<Self>,
        of: Option<String>,
        recursive: bool,
    ) -> Result<Option<Mode>, RegistryError> {
        self.change("Delete mode", move |registry| {
            registry.plan_delete_mode(of.as_deref(), recursive)
        })
        .await
    }

    fn check_mutable(&self) -> Result<(), RegistryError> {
        if self.config().mode_mutability {
            return Ok(());
        }
        Err(RegistryError::not_permitted("Mode changes are not allowed"))
    }

    pub(super) fn plan_set_mode(
        &self,
        of: Option<&str>,
        mode: Option<Mode>,
        force: bool,
    ) -> Result<Planned<()>, RegistryError> {
        self.check_mutable()?;
        let key = Key::Mode(of.map(str::to_owned));
        let Some(mode) = mode else {
            return Ok(Planned {
                answer: (),
                records: vec![Record::tombstone(key)],
            });
        };
        let mut records = Vec::new();
        if mode == Mode::Import && self.mode_in_scope(of) != Mode::Import && !force {
            records = self.clear_for_import(of)?;
        }
        let value = ModeValue {
            subject: of.map(str::to_owned),
            mode,
        };
        records.push(Record::new(key, Value::Mode(value)));
        Ok(Planned {
            answer: (),
            records,
        })
    }

    fn clear_for_import(&self, of: Option<&str>) -> Result<Vec<Record>, RegistryError> {
        let state = self.state();
        let mut records = Vec::new();
        for (subject, versions) in state.subjects_under(of) {
            if versions
                .values()
                .any(|version| Lookup::Live.wants(version.deleted))
            {
                return Err(RegistryError::not_permitted(
                    "Cannot import since found existing subjects",
                ));
            }
            for version in versions.keys() {
                if !state.referenced_by(subject, *version).is_empty() {
                    return Err(RegistryError::ReferenceExists {
                        subject: subject.to_string(),
                        version: *version,
                    });
                }
                records.push(Record::tombstone(Key::Schema {
                    subject: subject.to_string(),
                    version: *version,
                }));
            }
        }
        let subject = of.map(str::to_owned);
        records.push(Record::new(
            Key::ClearSubject(subject.clone()),
            Value::ClearSubject(ClearSubjectValue { subject }),
        ));
        records.push(state.noop());
        Ok(records)
    }

    pub(super) fn plan_delete_mode(
        &self,
        of: Option<&str>,
        recursive: bool,
    ) -> Result<Planned<Option<Mode>>, RegistryError> {
        self.check_mutable()?;
        let state = self.state();
        let own = state.mode_of(of);
        let mut records = Vec::new();
        if own.is_some() {
            records.push(Record::tombstone(Key::Mode(of.map(str::to_owned))));
        }
        if recursive {
            let under = |subject: &str| match of {
                None => true,
                Some(of) => subject.starts_with(of) && crate::subject::split(of).1.is_empty(),
            };
            let below = state
                .modes()
                .filter_map(|(of, _)| of)
                .filter(|of| under(of));
            for subject in below.filter(|below| Some(*below) != of) {
                records.push(Record::tombstone(Key::Mode(Some(subject.to_owned()))));
            }
        } else if own.is_none()
            && let Some(subject) = of
        {
            return Err(RegistryError::subject_not_found(subject));
        }
        drop(state);
        Ok(Planned {
            answer: own,
            records,
        })
    }
}
