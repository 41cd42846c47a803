//! Orders to exporters: what is to be mirrored where, and when it rests.
//!
//! An exporter that is ordered runs at once, on the instance that writes ([`crate::exporter`]). It is changed while it
//! rests, so that it never works after two orders at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Planned, Registry};
use crate::error::RegistryError;
use crate::exporter::destination::{self, HIDDEN};
use crate::exporter::naming;
use crate::state::exporters::{ContextType, ExporterProgress, ExporterValue};
use crate::state::{Exporter, Key, Record, Value};
use crate::subject;

/// The most exporters. Each keeps a connection and looks at every change.
const EXPORTERS_MAX: usize = 100;

/// The most characters of a name.
const NAME_CHARS_MAX: usize = 256;

/// What a request says of an exporter; none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are those of `ExporterValue`, which says what they mean"
)]
pub struct ExporterChange {
    pub context_type: Option<String>,
    pub context: Option<String>,
    pub subjects: Option<Vec<String>>,
    pub subject_rename_format: Option<String>,
    pub kek_rename_format: Option<String>,
    pub config: Option<BTreeMap<String, String>>,
}

/// What an exporter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExporterState {
    /// It was ordered, and has exported nothing yet.
    Starting,
    /// It exports.
    Running,
    /// It tries again after an error.
    Error,
    /// It rests.
    Paused,
}

impl ExporterState {
    /// All of them.
    const ALL: [Self; 4] = [Self::Starting, Self::Running, Self::Error, Self::Paused];

    fn of(value: &ExporterValue, progress: Option<&ExporterProgress>) -> Self {
        match progress {
            _ if value.paused => Self::Paused,
            None => Self::Starting,
            Some(progress) if progress.trace.is_empty() => Self::Running,
            Some(_) => Self::Error,
        }
    }

    /// `STARTING`, ...
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Error => "ERROR",
            Self::Paused => "PAUSED",
        }
    }
}

/// How an exporter is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExporterStatus {
    /// What it does.
    pub state: ExporterState,
    /// How far it has come; none before its first step.
    pub progress: Option<ExporterProgress>,
}

fn check_name(name: &str) -> Result<(), RegistryError> {
    let refuse = |reason: &str| {
        Err(RegistryError::InvalidExporterName {
            reason: reason.to_owned(),
        })
    };
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return refuse("it has more than 256 characters");
    }
    let is_allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.chars().all(is_allowed) {
        Ok(())
    } else {
        refuse("it has other characters than letters, digits, '_', '-' and '.'")
    }
}

/// What a change makes of an exporter.
fn changed(
    mut value: ExporterValue,
    change: ExporterChange,
) -> Result<ExporterValue, RegistryError> {
    let refuse = |reason: String| RegistryError::InvalidExporterConfig { reason };
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    if let Some(name) = change.context_type.and_then(some) {
        value.context_type = ContextType::of(&name).ok_or_else(|| {
            refuse(format!(
                "contextType '{name}' is none of AUTO, CUSTOM, NONE and DEFAULT"
            ))
        })?;
    }
    if let Some(context) = change.context {
        value.context = match some(context) {
            None => None,
            Some(context) => Some(
                subject::context_name(&context)
                    .ok_or_else(|| refuse(format!("context '{context}' has a colon")))?,
            ),
        };
    }
    if value.context_type == ContextType::Custom && value.context.is_none() {
        return Err(refuse("contextType CUSTOM wants a context".to_owned()));
    }
    if let Some(subjects) = change.subjects {
        value.subjects = subjects;
    }
    if value.subjects.is_empty() {
        value.subjects = vec![naming::DEFAULT_SUBJECTS.to_owned()];
    }
    naming::check(&value.subjects)
        .map_err(|reason| RegistryError::InvalidExporterSubjects { reason })?;
    if let Some(format) = change.subject_rename_format {
        value.subject_rename_format = some(format);
    }
    if let Some(format) = change.kek_rename_format {
        value.kek_rename_format = some(format);
    }
    if let Some(mut config) = change.config {
        // Whoever sends back what was shown means what is there.
        for (name, shown) in &mut config {
            if shown == HIDDEN
                && let Some(known) = value.config.get(name)
            {
                shown.clone_from(known);
            }
        }
        value.config = config;
    }
    destination::check(&value.config).map_err(refuse)?;
    Ok(value)
}

fn order(value: ExporterValue) -> Record {
    Record::new(
        Key::Exporter(value.name.clone()),
        Value::Exporter(Box::new(value)),
    )
}

impl Registry {
    /// The names of all exporters.
    #[must_use]
    pub fn exporter_names(&self) -> Vec<String> {
        let state = self.state();
        let names = state.exporters().iter().map(|(name, _)| name.to_owned());
        names.collect()
    }

    /// An exporter.
    ///
    /// # Errors
    /// 40450 for a name that none has.
    pub fn exporter(&self, name: &str) -> Result<Exporter, RegistryError> {
        let found = self.state().exporters().get(name).cloned();
        found.ok_or_else(|| RegistryError::ExporterNotFound {
            name: name.to_owned(),
        })
    }

    /// How an exporter is doing.
    ///
    /// # Errors
    /// 40450 for a name that none has.
    pub fn exporter_status(&self, name: &str) -> Result<ExporterStatus, RegistryError> {
        let exporter = self.exporter(name)?;
        let progress = self.state().exporters().progress(name).cloned();
        let state = ExporterState::of(&exporter.value, progress.as_ref());
        Ok(ExporterStatus { state, progress })
    }

    /// How many exporters do what.
    pub(crate) fn exporter_counts(&self) -> [(ExporterState, usize); 4] {
        let mut counts = ExporterState::ALL.map(|state| (state, 0));
        let state = self.state();
        let exporters = state.exporters();
        for (name, exporter) in exporters.iter() {
            let does = ExporterState::of(&exporter.value, exporters.progress(name));
            for (state, count) in &mut counts {
                *count += usize::from(*state == does);
            }
        }
        counts
    }

    /// Orders an exporter; it starts at once.
    ///
    /// # Errors
    /// 40950 to 40952 for what cannot be, 40960 for a name that is taken, 40964, those of [`Registry::change`].
    pub async fn create_exporter(
        self: &Arc<Self>,
        name: String,
        change: ExporterChange,
    ) -> Result<(), RegistryError> {
        check_name(&name)?;
        self.change("Create exporter", move |registry| {
            let state = registry.state();
            if state.exporters().get(&name).is_some() {
                return Err(RegistryError::ExporterExists { name });
            }
            if state.exporters().count() >= EXPORTERS_MAX {
                return Err(RegistryError::TooManyExporters { max: EXPORTERS_MAX });
            }
            let value = ExporterValue {
                name,
                ..ExporterValue::default()
            };
            Ok(Planned {
                answer: (),
                records: vec![order(changed(value, change)?)],
            })
        })
        .await
    }

    /// Changes an exporter that rests.
    ///
    /// # Errors
    /// 40450, 40951, 40952, 40963 while it runs, those of [`Registry::change`].
    pub async fn update_exporter(
        self: &Arc<Self>,
        name: String,
        change: ExporterChange,
    ) -> Result<(), RegistryError> {
        self.change("Update exporter", move |registry| {
            let exporter = registry.paused_exporter(&name)?;
            Ok(Planned {
                answer: (),
                records: vec![order(changed(exporter.value, change)?)],
            })
        })
        .await
    }

    fn paused_exporter(&self, name: &str) -> Result<Exporter, RegistryError> {
        let exporter = self.exporter(name)?;
        if exporter.value.paused {
            return Ok(exporter);
        }
        Err(RegistryError::ExporterNotPaused {
            name: name.to_owned(),
        })
    }

    /// Lets an exporter rest. One that rests goes on resting.
    ///
    /// # Errors
    /// 40450, those of [`Registry::change`].
    pub async fn pause_exporter(self: &Arc<Self>, name: String) -> Result<(), RegistryError> {
        self.change("Pause exporter", move |registry| {
            let mut value = registry.exporter(&name)?.value;
            let records = if value.paused {
                Vec::new()
            } else {
                value.paused = true;
                vec![order(value)]
            };
            Ok(Planned {
                answer: (),
                records,
            })
        })
        .await
    }

    /// Lets an exporter that rests go on where it was.
    ///
    /// # Errors
    /// 40450, 40961 when it does not rest, those of [`Registry::change`].
    pub async fn resume_exporter(self: &Arc<Self>, name: String) -> Result<(), RegistryError> {
        self.change("Resume exporter", move |registry| {
            let mut value = registry.exporter(&name)?.value;
            if !value.paused {
                return Err(RegistryError::ExporterRunning { name });
            }
            value.paused = false;
            Ok(Planned {
                answer: (),
                records: vec![order(value)],
            })
        })
        .await
    }

    /// Lets an exporter that rests forget how far it had come: it exports everything again.
    ///
    /// # Errors
    /// 40450, 40963 while it runs, those of [`Registry::change`].
    pub async fn reset_exporter(self: &Arc<Self>, name: String) -> Result<(), RegistryError> {
        self.change("Reset exporter", move |registry| {
            registry.paused_exporter(&name)?;
            Ok(Planned {
                answer: (),
                records: vec![Record::tombstone(Key::ExporterState(name))],
            })
        })
        .await
    }

    /// Ends an exporter. What it exported stays where it is.
    ///
    /// # Errors
    /// 40450, those of [`Registry::change`].
    pub async fn delete_exporter(self: &Arc<Self>, name: String) -> Result<(), RegistryError> {
        self.change("Delete exporter", move |registry| {
            registry.exporter(&name)?;
            Ok(Planned {
                answer: (),
                records: vec![
                    Record::tombstone(Key::Exporter(name.clone())),
                    Record::tombstone(Key::ExporterState(name)),
                ],
            })
        })
        .await
    }

    /// Keeps how far an exporter has come after the order `generation`. Whoever worked after an older one is not heard.
    ///
    /// # Errors
    /// Those of [`Registry::change`].
    pub(crate) async fn keep_progress(
        self: &Arc<Self>,
        generation: i64,
        progress: ExporterProgress,
    ) -> Result<(), RegistryError> {
        self.change("Export", move |registry| {
            let state = registry.state();
            let current = state.exporters().get(&progress.name);
            let is_current = current.is_some_and(|exporter| exporter.generation == generation);
            let is_news = state.exporters().progress(&progress.name) != Some(&progress);
            if !is_current || !is_news {
                return Ok(Planned::nothing(()));
            }
            Ok(Planned {
                answer: (),
                records: vec![Record::new(
                    Key::ExporterState(progress.name.clone()),
                    Value::ExporterState(progress),
                )],
            })
        })
        .await
    }
}
