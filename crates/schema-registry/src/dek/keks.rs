//! KEKs: making, changing, deleting and listing them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kms::{is_secret_property, normal_type};

use super::error::KeyError;
use super::keys::{Keys, Stored};
use super::records::{KekValue, Key, Record};
use super::{DekRegistry, Planned};
use crate::error::RegistryError;
use crate::service::listing::Page;

/// Characters of a KEK's name.
const NAME_CHARS_MAX: usize = 64;

/// What stands for a secret that was not answered, for clients that send back what they got.
const HIDDEN: &str = "[hidden]";

/// A KEK that was found or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKek {
    /// Its name.
    pub name: String,
    /// What it is, secrets and all.
    pub stored: Stored<KekValue>,
}

/// A KEK as a request has it.
#[derive(Debug, Clone)]
pub struct NewKek {
    /// Its name.
    pub name: String,
    /// What it is to be.
    pub value: KekValue,
}

/// A change of a KEK: what is `None` stays, `Some(None)` goes (`UpdateKekRequest`).
#[derive(Debug, Clone, Default)]
#[allow(
    missing_docs,
    reason = "the fields are those of `KekValue`, which says what they mean"
)]
pub struct KekChange {
    pub kms_props: Option<Option<BTreeMap<String, String>>>,
    pub doc: Option<Option<String>>,
    pub shared: Option<Option<bool>>,
}

/// The properties that may be shown: those that are no secrets (`KmsPropsRedactor`). A client that lacks one falls back
/// to what its own environment has.
#[must_use]
pub fn shown(properties: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut shown = properties.clone();
    shown.retain(|name, _| !is_secret_property(name));
    shown
}

/// Whether a KEK may have this name.
///
/// # Errors
/// 42271.
pub fn check_name(name: &str) -> Result<(), KeyError> {
    let is_first = |letter: char| letter.is_alphabetic() || letter == '_';
    let is_next = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    let mut letters = name.chars();
    let is_name = letters.next().is_some_and(is_first)
        && letters.all(is_next)
        && name.chars().count() <= NAME_CHARS_MAX;
    if is_name {
        Ok(())
    } else {
        Err(KeyError::Invalid { field: "name" })
    }
}

impl DekRegistry {
    /// A KEK.
    ///
    /// # Errors
    /// 42271 for a name that is none, 40470 when there is no such KEK.
    pub fn kek(&self, name: &str, deleted: bool) -> Result<FoundKek, RegistryError> {
        check_name(name)?;
        Ok(found(&self.keys(), name, deleted)?)
    }

    /// The names of KEKs; with prefixes, of those that have a DEK for a subject with one of them.
    #[must_use]
    pub fn kek_names(&self, prefixes: &[String], deleted: bool, page: Page) -> Vec<String> {
        let keys = self.keys();
        if prefixes.is_empty() {
            return page.cut(keys.keks(deleted).map(|(name, _)| name.to_owned()));
        }
        let has_prefix = |subject: &str| {
            let mut prefixes = prefixes.iter();
            prefixes.any(|prefix| subject.starts_with(prefix.as_str()))
        };
        let names: BTreeSet<&str> = keys
            .deks(deleted)
            .filter(|(id, _)| has_prefix(&id.subject))
            .map(|(id, _)| id.kek_name.as_str())
            .collect();
        page.cut(names.into_iter().map(str::to_owned))
    }

    /// Makes a KEK. One that is soft deleted and otherwise the same is taken back.
    ///
    /// # Errors
    /// 42271, 40971, 40972; with `test_sharing` also those of [`DekRegistry::test_kek`].
    pub async fn create_kek(
        self: &Arc<Self>,
        new: NewKek,
        test_sharing: bool,
    ) -> Result<FoundKek, RegistryError> {
        check_name(&new.name)?;
        for (field, value) in [
            ("kmsKeyId", &new.value.kms_key_id),
            ("kmsType", &new.value.kms_type),
        ] {
            if value.is_empty() {
                return Err(KeyError::Invalid { field }.into());
            }
        }
        let name = new.name;
        let value = KekValue {
            kms_type: normal_type(&new.value.kms_type),
            ..new.value
        };
        if test_sharing {
            self.test(&name, &value).await?;
        }
        let of = name.clone();
        self.change("Create kek", move |registry, keys| {
            registry.check_room(keys.kek_count())?;
            if let Some(old) = keys.kek(&of, true) {
                let is_same = is_equivalent(&old.value, &value);
                if old.value.deleted == value.deleted || !is_same {
                    return Err(KeyError::exists(&of).into());
                }
            }
            Ok(Planned {
                answer: (),
                records: vec![Record::kek(&of, value)],
            })
        })
        .await?;
        Ok(found(&self.keys(), &name, true)?)
    }

    /// Changes properties, text or sharing of a KEK. A secret that the request leaves out stays, for nobody is told it.
    ///
    /// # Errors
    /// 42271, 40470; with `test_sharing` also those of [`DekRegistry::test_kek`].
    pub async fn update_kek(
        self: &Arc<Self>,
        name: &str,
        change: KekChange,
        test_sharing: bool,
    ) -> Result<FoundKek, RegistryError> {
        check_name(name)?;
        if test_sharing {
            let old = found(&self.keys(), name, false)?;
            self.test(name, &changed(&old.stored.value, &change))
                .await?;
        }
        let of = name.to_owned();
        self.change("Update kek", move |_, keys| {
            let old = found(keys, &of, false)?.stored.value;
            let new = changed(&old, &change);
            let is_same = is_equivalent(&old, &new);
            let record = (!is_same).then(|| Record::kek(&of, new));
            Ok(Planned {
                answer: (),
                records: record.into_iter().collect(),
            })
        })
        .await?;
        Ok(found(&self.keys(), name, true)?)
    }

    /// Deletes a KEK that has no DEKs: softly, or for good one that is soft deleted.
    ///
    /// # Errors
    /// 42271, 40470, 40471, 42272.
    pub async fn delete_kek(
        self: &Arc<Self>,
        name: &str,
        permanent: bool,
    ) -> Result<(), RegistryError> {
        check_name(name)?;
        let name = name.to_owned();
        self.change("Delete kek", move |_, keys| {
            let old = found(keys, &name, true)?.stored.value;
            if keys.deks_of(&name, permanent).next().is_some() {
                return Err(KeyError::ReferenceExists { name }.into());
            }
            let record = match (permanent, old.deleted) {
                (true, false) => return Err(KeyError::NotSoftDeleted { name }.into()),
                (true, true) => Some(Record::tombstone(Key::Kek(name))),
                (false, false) => Some(with_deleted(&name, old, true)),
                (false, true) => None,
            };
            Ok(Planned {
                answer: (),
                records: record.into_iter().collect(),
            })
        })
        .await
    }

    /// Takes a soft deleted KEK back.
    ///
    /// # Errors
    /// 42271, 40470.
    pub async fn undelete_kek(self: &Arc<Self>, name: &str) -> Result<(), RegistryError> {
        check_name(name)?;
        let name = name.to_owned();
        self.change("Undelete kek", move |_, keys| {
            let old = found(keys, &name, true)?.stored.value;
            let record = old.deleted.then(|| with_deleted(&name, old, false));
            Ok(Planned {
                answer: (),
                records: record.into_iter().collect(),
            })
        })
        .await
    }

    /// Whether the registry can use a shared KEK: it has the service encrypt a key, and throws it away.
    ///
    /// # Errors
    /// 42271 for a KEK that is not shared or that no service can be asked for, 40470, 50070 and 40370 for what the service says.
    pub async fn test_kek(&self, name: &str) -> Result<FoundKek, RegistryError> {
        let found = self.kek(name, false)?;
        self.test(name, &found.stored.value).await?;
        Ok(found)
    }
}

pub(super) fn found(keys: &Keys, name: &str, deleted: bool) -> Result<FoundKek, KeyError> {
    let stored = keys.kek(name, deleted);
    let stored = stored.ok_or_else(|| KeyError::not_found(name))?.clone();
    Ok(FoundKek {
        name: name.to_owned(),
        stored,
    })
}

fn with_deleted(name: &str, old: KekValue, deleted: bool) -> Record {
    Record::kek(name, KekValue { deleted, ..old })
}

/// The same but for the deletion (`KeyEncryptionKey.isEquivalent`).
fn is_equivalent(a: &KekValue, b: &KekValue) -> bool {
    let b = KekValue {
        deleted: a.deleted,
        ..b.clone()
    };
    *a == b
}

fn changed(old: &KekValue, change: &KekChange) -> KekValue {
    let kms_props = match &change.kms_props {
        None => old.kms_props.clone(),
        Some(None) => BTreeMap::new(),
        Some(Some(asked)) => with_secrets(asked, &old.kms_props),
    };
    KekValue {
        kms_props,
        doc: change.doc.clone().unwrap_or_else(|| old.doc.clone()),
        shared: change
            .shared
            .map_or(old.shared, |shared| shared.unwrap_or_default()),
        ..old.clone()
    }
}

/// The properties asked for, with the secrets that are kept (`KmsPropsRedactor.merge`).
fn with_secrets(
    asked: &BTreeMap<String, String>,
    kept: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut merged = asked.clone();
    for (name, secret) in kept.iter().filter(|(name, _)| is_secret_property(name)) {
        let is_shown = merged.get(name).is_some_and(|value| value != HIDDEN);
        if !is_shown {
            merged.insert(name.clone(), secret.clone());
        }
    }
    merged
}
