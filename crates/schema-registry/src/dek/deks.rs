//! DEKs: making, rewrapping, deleting and listing them.

use std::sync::Arc;

use schema::encryption::Algorithm;
use zeroize::Zeroizing;

use super::error::KeyError;
use super::keks::{check_name, found};
use super::keys::{Keys, Stored};
use super::records::{DekId, DekValue, Key, Record};
use super::sharing::{Material, Wrapped};
use super::{DekRegistry, Planned};
use crate::error::RegistryError;
use crate::service::listing::Page;
use crate::service::lookup::VersionId;
use crate::state::Mode;

/// The version that a request means which names none.
pub const FIRST_VERSION: i32 = 1;

/// How often a key is made anew because its KEK changed meanwhile.
const TRIES: usize = 3;

/// A DEK that was found or made.
#[derive(Debug)]
pub struct FoundDek {
    /// Which.
    pub id: DekId,
    /// What it is.
    pub stored: Stored<DekValue>,
    /// The key itself, in base 64: only where the KEK is shared.
    pub key_material: Option<Zeroizing<String>>,
}

/// A DEK as a request has it.
#[derive(Debug, Clone)]
pub struct NewDek {
    /// Which.
    pub id: DekId,
    /// What it is to be.
    pub value: DekValue,
    /// Whether one that is there is encrypted anew.
    pub rewrap: bool,
}

/// What a request about one DEK names.
#[derive(Debug, Clone)]
pub struct Named {
    /// The KEK.
    pub kek_name: String,
    /// In normal form.
    pub subject: String,
    /// How it encrypts.
    pub algorithm: Algorithm,
}

impl Named {
    fn at(&self, version: i32) -> DekId {
        DekId {
            kek_name: self.kek_name.clone(),
            subject: self.subject.clone(),
            algorithm: self.algorithm,
            version,
        }
    }

    /// Whether there can be such a DEK.
    ///
    /// # Errors
    /// 42271.
    pub fn check(&self) -> Result<(), KeyError> {
        check_name(&self.kek_name)?;
        check_subject(&self.subject)
    }

    /// The versions there are.
    fn versions<'k>(
        &self,
        keys: &'k Keys,
        deleted: bool,
    ) -> impl DoubleEndedIterator<Item = (&'k DekId, &'k Stored<DekValue>)> + use<'k> {
        keys.versions(&self.kek_name, &self.subject, self.algorithm, deleted)
    }

    /// One version.
    fn version(
        &self,
        keys: &Keys,
        version: VersionId,
        deleted: bool,
    ) -> Result<(DekId, Stored<DekValue>), KeyError> {
        let found = match version {
            VersionId::Latest => self.versions(keys, deleted).next_back(),
            VersionId::Number(version) => {
                let id = self.at(version);
                let mut versions = self.versions(keys, deleted);
                versions.find(|(found, _)| **found == id)
            }
        };
        let (id, stored) = found.ok_or_else(|| KeyError::not_found(&self.subject))?;
        Ok((id.clone(), stored.clone()))
    }
}

/// What a plan for a DEK came to.
enum Step {
    /// It is written; the key itself where it may be answered.
    Done(Option<Zeroizing<String>>),
    /// A service has to be asked first.
    Ask(Material),
}

/// Whether a DEK may be for this subject.
///
/// # Errors
/// 42271.
pub fn check_subject(subject: &str) -> Result<(), KeyError> {
    if subject.is_empty() || subject.chars().any(char::is_control) {
        return Err(KeyError::Invalid { field: "subject" });
    }
    Ok(())
}

impl DekRegistry {
    /// The subjects that a KEK has DEKs for.
    ///
    /// # Errors
    /// 42271, 40470.
    pub fn dek_subjects(
        &self,
        kek_name: &str,
        deleted: bool,
        page: Page,
    ) -> Result<Vec<String>, RegistryError> {
        self.kek(kek_name, deleted)?;
        let keys = self.keys();
        let mut subjects: Vec<String> = keys
            .deks_of(kek_name, deleted)
            .map(|(id, _)| id.subject.clone())
            .collect();
        subjects.dedup();
        Ok(page.cut(subjects.into_iter()))
    }

    /// The versions of a DEK.
    ///
    /// # Errors
    /// 42271, 40470.
    pub fn dek_versions(
        &self,
        named: &Named,
        deleted: bool,
        page: Page,
    ) -> Result<Vec<i32>, RegistryError> {
        named.check()?;
        let keys = self.keys();
        found(&keys, &named.kek_name, deleted)?;
        let versions = named.versions(&keys, deleted);
        Ok(page.cut(versions.map(|(id, _)| id.version)))
    }

    /// A version of a DEK, with the key itself where the KEK is shared.
    ///
    /// # Errors
    /// 42271, 40470, 50070 and 40370.
    pub async fn dek(
        &self,
        named: &Named,
        version: VersionId,
        deleted: bool,
    ) -> Result<FoundDek, RegistryError> {
        named.check()?;
        let (kek, (id, stored)) = {
            let keys = self.keys();
            let kek = found(&keys, &named.kek_name, deleted)?;
            (kek.stored.value, named.version(&keys, version, deleted)?)
        };
        let key_material = match &stored.value.encrypted_key_material {
            Some(material) if kek.shared => Some(self.open(&id, &kek, material).await?),
            _ => None,
        };
        Ok(FoundDek {
            id,
            stored,
            key_material,
        })
    }

    /// Makes a DEK: of encrypted material that the request brings, or, where the KEK is shared, a new one. One that is
    /// soft deleted and otherwise the same is taken back; with [`NewDek::rewrap`] one that is there is encrypted anew.
    ///
    /// Differs: Confluent's registry takes a version below 1, which none of its operations finds again.
    ///
    /// # Errors
    /// 42271, 40470, 40971, 40972, 50070 and 40370.
    pub async fn create_dek(self: &Arc<Self>, new: NewDek) -> Result<FoundDek, RegistryError> {
        check_name(&new.id.kek_name)?;
        check_subject(&new.id.subject)?;
        if new.id.version < FIRST_VERSION {
            return Err(KeyError::Invalid { field: "version" }.into());
        }
        let mode = self.registry.mode_in_scope(Some(&new.id.subject));
        let is_answered = mode != Mode::Import;
        let mut wrapped: Option<Wrapped> = None;
        for _ in 0..TRIES {
            let (asked, made) = (new.clone(), wrapped.take());
            let step = self
                .change("Create dek", move |registry, keys| {
                    registry.plan_create(keys, &asked, is_answered, made)
                })
                .await?;
            match step {
                Step::Done(key_material) => {
                    let keys = self.keys();
                    let stored = keys.dek(&new.id, true);
                    let stored = stored.ok_or_else(|| KeyError::not_found(&new.id.subject))?;
                    return Ok(FoundDek {
                        id: new.id,
                        stored: stored.clone(),
                        key_material,
                    });
                }
                Step::Ask(material) => wrapped = Some(self.wrap(&new.id, material).await?),
            }
        }
        let subject = &new.id.subject;
        Err(KeyError::Generation {
            message: format!(
                "Could not generate encrypted dek for {subject}: its kek keeps changing"
            ),
        }
        .into())
    }

    fn plan_create(
        &self,
        keys: &Keys,
        new: &NewDek,
        is_answered: bool,
        wrapped: Option<Wrapped>,
    ) -> Result<Planned<Step, Record>, RegistryError> {
        let kek = found(keys, &new.id.kek_name, new.value.deleted)?
            .stored
            .value;
        self.check_room(keys.dek_count())?;
        let old = keys.dek(&new.id, true).map(|old| &old.value);
        let exists = || KeyError::exists(&new.id.subject);
        if let Some(old) = old
            && !new.rewrap
            && (old.deleted == new.value.deleted
                || old.encrypted_key_material != new.value.encrypted_key_material)
        {
            return Err(exists().into());
        }
        let given = &new.value.encrypted_key_material;
        let written = |material: String, answer| Planned {
            answer: Step::Done(answer),
            records: vec![Record::dek(
                new.id.clone(),
                DekValue {
                    encrypted_key_material: Some(material),
                    deleted: new.value.deleted,
                },
            )],
        };
        let needed = match (given, kek.shared) {
            (None, false) => {
                let field = "encryptedKeyMaterial";
                return Err(KeyError::Invalid { field }.into());
            }
            (Some(_), true) if old.is_some() => return Err(exists().into()),
            (Some(given), shared) if !shared || !is_answered => {
                return Ok(written(given.clone(), None));
            }
            (Some(given), _) => Material::given(kek, given),
            (None, true) => {
                let old = old.and_then(|old| old.encrypted_key_material.as_deref());
                Material::made(kek, old)
            }
        };
        match wrapped.filter(|wrapped| wrapped.material == needed) {
            Some(wrapped) => {
                let answer = is_answered.then_some(wrapped.key_material);
                Ok(written(wrapped.encrypted, answer))
            }
            None => Ok(Planned::nothing(Step::Ask(needed))),
        }
    }

    /// Deletes versions of a DEK, all without a `version`: softly, or for good those that are soft deleted.
    ///
    /// # Errors
    /// 42271, 40470, 40471.
    pub async fn delete_deks(
        self: &Arc<Self>,
        named: &Named,
        version: Option<VersionId>,
        permanent: bool,
    ) -> Result<(), RegistryError> {
        named.check()?;
        let named = named.clone();
        self.change("Delete dek", move |_, keys| {
            found(keys, &named.kek_name, true)?;
            let mut records = Vec::new();
            for (id, stored) in chosen(keys, &named, version)? {
                match (permanent, stored.value.deleted) {
                    (true, false) => {
                        let name = named.subject.clone();
                        return Err(KeyError::NotSoftDeleted { name }.into());
                    }
                    (true, true) => records.push(Record::tombstone(Key::Dek(id))),
                    (false, false) => records.push(with_deleted(id, stored, true)),
                    (false, true) => {}
                }
            }
            Ok(Planned {
                answer: (),
                records,
            })
        })
        .await
    }

    /// Takes soft deleted versions of a DEK back, all without a `version`.
    ///
    /// # Errors
    /// 42271, 40470, 40472.
    pub async fn undelete_deks(
        self: &Arc<Self>,
        named: &Named,
        version: Option<VersionId>,
    ) -> Result<(), RegistryError> {
        named.check()?;
        let named = named.clone();
        self.change("Undelete dek", move |_, keys| {
            let kek = found(keys, &named.kek_name, true)?;
            let chosen = chosen(keys, &named, version)?;
            if kek.stored.value.deleted {
                return Err(KeyError::SoftDeleted { name: kek.name }.into());
            }
            let dead = chosen.into_iter().filter(|(_, dek)| dek.value.deleted);
            Ok(Planned {
                answer: (),
                records: dead.map(|(id, dek)| with_deleted(id, dek, false)).collect(),
            })
        })
        .await
    }
}

/// The versions that a deletion, or its end, is about.
///
/// Differs: Confluent's registry does nothing for `latest`, and says that it did; here it is the newest version.
fn chosen(
    keys: &Keys,
    named: &Named,
    version: Option<VersionId>,
) -> Result<Vec<(DekId, Stored<DekValue>)>, KeyError> {
    if let Some(version) = version {
        return Ok(vec![named.version(keys, version, true)?]);
    }
    let all = named.versions(keys, true);
    let all: Vec<_> = all.map(|(id, dek)| (id.clone(), dek.clone())).collect();
    if all.is_empty() {
        return Err(KeyError::not_found(&named.subject));
    }
    Ok(all)
}

fn with_deleted(id: DekId, old: Stored<DekValue>, deleted: bool) -> Record {
    let value = DekValue {
        deleted,
        ..old.value
    };
    Record::dek(id, value)
}
