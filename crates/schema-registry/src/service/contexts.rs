//! Contexts: listing and deleting them. They come about with their first schema.

use std::sync::Arc;

use super::{Planned, Registry};
use crate::error::RegistryError;
use crate::state::{Key, Record};
use crate::subject::{self, DEFAULT_CONTEXT};

impl Registry {
    /// The contexts, the default one first, then by name.
    #[must_use]
    pub fn contexts(&self) -> Vec<String> {
        let state = self.state();
        std::iter::once(DEFAULT_CONTEXT)
            .chain(state.contexts())
            .map(str::to_owned)
            .collect()
    }

    /// Forgets an empty context, with its config and mode.
    ///
    /// # Errors
    /// 40401 for one that is not there, 42211 for one with subjects, soft deleted ones too, those of
    /// [`Registry::change`].
    pub async fn delete_context(self: &Arc<Self>, context: String) -> Result<(), RegistryError> {
        self.change("Delete context", move |registry| {
            registry.plan_delete_context(&context)
        })
        .await
    }

    pub(super) fn plan_delete_context(&self, context: &str) -> Result<Planned<()>, RegistryError> {
        let state = self.state();
        let prefix = subject::qualify(context, "");
        let empty =
            context != DEFAULT_CONTEXT && state.subjects_with_prefix(&prefix).next().is_none();
        if !state.has_context(context) {
            return Err(RegistryError::subject_not_found(&prefix));
        }
        if !empty {
            return Err(RegistryError::ContextNotEmpty {
                context: context.to_owned(),
            });
        }
        let mut records = vec![Record::tombstone(Key::Context(context.to_owned()))];
        let of = Some(prefix.clone());
        if state.config_of(Some(&prefix)).is_some() {
            records.push(Record::tombstone(Key::Config(of.clone())));
        }
        if state.mode_of(Some(&prefix)).is_some() {
            records.push(Record::tombstone(Key::Mode(of)));
        }
        Ok(Planned {
            answer: (),
            records,
        })
    }
}
