//! Exporters: which subjects are mirrored to which registry, and how far that has come.
//!
//! Two records each, since one is changed by people and the other by whoever exports: `EXPORTER` is what was ordered,
//! `EXPORTER_STATE` what became of it.
//!
//! Differs: Confluent's registry keeps these in topics of their own, in a form that it does not publish, so its exporters
//! are not taken over. Its registries pass over these records of ours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Into which context of the other registry subjects go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContextType {
    /// One named after this registry, before the subject's own.
    #[default]
    Auto,
    /// One that was chosen, before the subject's own.
    Custom,
    /// The subject's own.
    None,
    /// The default one.
    Default,
}

impl ContextType {
    /// The type of that name; none if there is none.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "AUTO" => Some(Self::Auto),
            "CUSTOM" => Some(Self::Custom),
            "NONE" => Some(Self::None),
            "DEFAULT" => Some(Self::Default),
            _ => None,
        }
    }

    /// `AUTO`, ...
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "AUTO",
            Self::Custom => "CUSTOM",
            Self::None => "NONE",
            Self::Default => "DEFAULT",
        }
    }
}

/// The value of an `EXPORTER` record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExporterValue {
    /// As in the key.
    pub name: String,
    /// Where to.
    #[serde(default)]
    pub context_type: ContextType,
    /// With [`ContextType::Custom`], the context, with its dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Names and prefixes of subjects ([`crate::exporter::naming`]).
    #[serde(default)]
    pub subjects: Vec<String>,
    /// The name over there, with `${subject}` for the name here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_rename_format: Option<String>,
    /// The same for KEKs, with `${kek}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kek_rename_format: Option<String>,
    /// `schema.registry.url` and how to sign in there.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Whether it rests.
    #[serde(default)]
    pub paused: bool,
}

/// The value of an `EXPORTER_STATE` record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExporterProgress {
    /// As in the key.
    pub name: String,
    /// The offset, in this registry's topic, up to which everything is over there.
    pub offset: i64,
    /// When that was written here, in milliseconds since 1970.
    pub ts: i64,
    /// Why it does not go on; empty while it does.
    #[serde(default)]
    pub trace: String,
}

/// An exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exporter {
    /// What was ordered.
    pub value: ExporterValue,
    /// The offset of that order; whoever carries out an older one stops.
    pub generation: i64,
}

/// All exporters.
#[derive(Debug, Default)]
pub struct Exporters {
    ordered: BTreeMap<String, Exporter>,
    progress: BTreeMap<String, ExporterProgress>,
}

impl Exporters {
    pub(super) fn put(&mut self, name: String, value: ExporterValue, offset: i64) {
        let generation = offset;
        self.ordered.insert(name, Exporter { value, generation });
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.ordered.remove(name);
    }

    pub(super) fn put_progress(&mut self, name: String, progress: ExporterProgress) {
        self.progress.insert(name, progress);
    }

    pub(super) fn remove_progress(&mut self, name: &str) {
        self.progress.remove(name);
    }

    /// One.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Exporter> {
        self.ordered.get(name)
    }

    /// How far one has come; none before its first step.
    #[must_use]
    pub fn progress(&self, name: &str) -> Option<&ExporterProgress> {
        self.progress.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Exporter)> {
        self.ordered.iter().map(|(name, one)| (name.as_str(), one))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ordered.len()
    }
}
