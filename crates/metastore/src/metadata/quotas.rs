//! Changes of client quotas.

use std::collections::BTreeMap;

use super::{Held, Metadata, MetadataError};
use crate::quota::{QuotaEntity, QuotaValues};
use crate::resource::{Resource, ResourceKey};
use crate::store::{Op, limits};

/// What becomes of an entity's quotas: key to the new amount, or to none when it is to go.
pub type QuotaChange = BTreeMap<String, Option<f64>>;

impl Metadata {
    /// Changes the quotas of entities, up to 512 of them in one transaction. An entity without any quota left
    /// is forgotten.
    ///
    /// # Errors
    /// When the store fails; the changes of earlier transactions of this call were made then.
    pub fn alter_client_quotas(
        &self,
        changes: &BTreeMap<QuotaEntity, QuotaChange>,
    ) -> Result<(), MetadataError> {
        let changes: Vec<(&QuotaEntity, &QuotaChange)> = changes.iter().collect();
        for batch in changes.chunks(limits::TXN_OPS / 2) {
            self.retry("quotas", || self.try_alter_client_quotas(batch))?;
        }
        Ok(())
    }

    fn try_alter_client_quotas(
        &self,
        changes: &[(&QuotaEntity, &QuotaChange)],
    ) -> Result<Option<()>, MetadataError> {
        let mut compares = Vec::new();
        let mut ops = Vec::new();
        for (entity, change) in changes {
            let key = ResourceKey::ClientQuotas((*entity).clone()).to_bytes();
            let held: Held<QuotaValues> = self.read(&key)?;
            let before = held.value.unwrap_or_default();
            let mut after = before.clone();
            for (name, amount) in *change {
                match amount {
                    Some(amount) => drop(after.0.insert(name.clone(), *amount)),
                    None => drop(after.0.remove(name)),
                }
            }
            if after == before {
                continue;
            }
            compares.push(held.compare);
            ops.push(if after.0.is_empty() {
                Op::delete(key)
            } else {
                Op::put(key, after.encode())
            });
        }
        if ops.is_empty() {
            return Ok(Some(()));
        }
        Ok(self.commit(&compares, &ops)?.then_some(()))
    }
}
