//! The DEK registry: which keys encrypt the fields of records, and which keys encrypt those (client-side field level
//! encryption; `AbstractDekRegistry`, 8.2).
//!
//! A *KEK* (key encryption key) is a name for a key in a key management service. A *DEK* (data encryption key) is kept
//! here in the form in which its KEK has encrypted it, for one subject, one algorithm and one version. Clients ask the
//! service to decrypt it; where the KEK is *shared*, the registry may use the key, and makes and decrypts DEKs itself
//! ([`sharing`]).
//!
//! Keys are in a topic of their own, in Confluent's form ([`records`]); [`keys`] is what its records say. Operations
//! follow the shape of those on schemas: a question is answered from the state, a change is planned, written and read
//! back ([`crate::service::Turns`]).
//!
//! **Invariants:** no decrypted key is written anywhere or kept longer than an answer takes. While a service is asked,
//! no change waits: the answer counts only if what it was asked for still holds when its turn has come. Secrets among
//! the properties of a KEK are never answered ([`KekEntity::redacted`](keks)).

pub mod defaults;
pub mod deks;
pub mod error;
pub mod keks;
pub mod keys;
pub mod records;
mod sharing;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use kms::Kms;
use tokio::sync::watch;

pub use error::KeyError;
pub use keys::Keys;
use records::Record;

use crate::error::RegistryError;
use crate::service::{Leadership, Log, Planned, Registry, Turns};

/// The keys of one instance, and the way to change them.
#[derive(Debug)]
pub struct DekRegistry {
    registry: Arc<Registry>,
    keys: Arc<RwLock<Keys>>,
    turns: Turns<Record>,
    kms: Kms,
}

impl DekRegistry {
    /// Keys that somebody keeps up to date with what `log` writes, beside the schemas of `registry`.
    #[must_use]
    pub fn new(
        registry: Arc<Registry>,
        keys: Arc<RwLock<Keys>>,
        log: Arc<dyn Log<Record>>,
        leadership: watch::Receiver<Leadership>,
        kms: Kms,
    ) -> Self {
        let turns = Turns::new(log, leadership, registry.config().timeout);
        Self {
            registry,
            keys,
            turns,
            kms,
        }
    }

    /// The state, for a look-up.
    pub fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        // A writer that panicked left a whole record applied or not at all.
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change whose plan needs nothing but the state.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        plan: impl FnOnce(&Self, &Keys) -> Result<Planned<T, Record>, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let registry = Arc::clone(self);
        let plan = move || std::future::ready(plan(&registry, &registry.keys()));
        self.turns.make(operation, plan).await
    }

    /// Waits for the changes that are under way. Those that begin later are not waited for.
    pub async fn finish(&self) {
        self.turns.finish().await;
    }

    fn check_room(&self, count: usize) -> Result<(), RegistryError> {
        let max = self.registry.config().dek_max_keys;
        // As in the counterpart, the last key is one more than the maximum.
        if count > max {
            return Err(KeyError::TooMany { max }.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
