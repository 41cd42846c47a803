//! Where rules run: on threads that may block, a bounded number at once, with the keys of the registry.

use std::sync::Arc;

use kms::{Environment, Kms};
use registry_client::{ClientError, ClientOptions, RegistryClient, RegistryKeys};
use schema::rules::{Passage, on_stack};
use schema::serde::SchemaId;
use tokio::sync::Semaphore;

use super::contract::{Contract, Executor};
use super::registered::{Known, Schemas, Unusable};
use crate::config::RulesConfig;

/// How many requests run rules at once. Each has a thread for it, which may wait for a key management service.
const RULES_AT_ONCE_MAX: usize = 32;

/// Which contract: a schema under a subject, a message of it, and a way.
pub(super) type ContractKey = (SchemaId, String, Vec<i32>, Passage);

/// A registry, and the keys that it knows of.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) client: Arc<RegistryClient>,
    executor: Executor,
}

impl Registry {
    pub(super) fn new(
        http: reqwest::Client,
        options: &ClientOptions,
        rules: &RulesConfig,
    ) -> Result<Self, SetupError> {
        let client = Arc::new(RegistryClient::with_http(http, options)?);
        let mut environment = Environment::of_process();
        for (property, value) in &rules.properties {
            environment.set_property(property, &value.0);
        }
        let keys = RegistryKeys::new(Arc::clone(&client), Kms::new(environment)?);
        let executor = Executor {
            config: Arc::new(rules.clone()),
            keys: Arc::new(keys),
        };
        Ok(Self { client, executor })
    }
}

/// Why there are no schemas at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// An address of the registry is no URL.
    #[error(transparent)]
    Registry(#[from] ClientError),
    /// Key management services cannot be asked.
    #[error(transparent)]
    Kms(#[from] kms::KmsError),
}

/// A turn for each request that may run rules at once.
pub(super) fn turns() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(RULES_AT_ONCE_MAX))
}

impl Schemas {
    /// Has rules run, or whatever else blocks, where nobody else waits. The rules of all records of a request belong into
    /// one call, for they share a stack.
    ///
    /// # Errors
    /// The work panicked.
    ///
    /// # Cancel safety
    /// Work that has begun is finished, and its result lost.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|closed| Ended(closed.to_string()))?;
        let work = move || {
            let done = on_stack(work);
            drop(turn);
            done
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|ended| Ended(ended.to_string()))
    }

    /// The rules of a schema under a subject; none where there are none.
    ///
    /// # Errors
    /// The schema cannot be taken apart.
    pub(super) async fn contract(
        &self,
        id: SchemaId,
        known: &Arc<Known>,
        message_indexes: &[i32],
        (subject, passage): (&str, Passage),
    ) -> Result<Option<Arc<Contract>>, Unusable> {
        if known.terms.is_none() {
            return Ok(None);
        }
        let indexes = message_indexes.to_vec();
        let key = (id, subject.to_owned(), indexes, passage);
        if let Some(contract) = self.contracts.get(&key) {
            return Ok(contract);
        }
        let executor = self.registry()?.executor.clone();
        let known = Arc::clone(known);
        let work = move || {
            let (id, subject, indexes, passage) = key;
            let contract = known.terms.as_ref().map(|terms| {
                let of = (subject.as_str(), passage);
                Contract::new(terms, &known.codec, &indexes, of, &executor)
            });
            let contract = contract.transpose()?.flatten().map(Arc::new);
            Ok(((id, subject, indexes, passage), contract))
        };
        let made = self.run(work).await.map_err(Unusable::Ended)?;
        let (key, contract) = made.map_err(Unusable::Schema)?;
        self.contracts.put(key, contract.clone(), None);
        Ok(contract)
    }
}

/// Work that ended without a result.
#[derive(Debug, thiserror::Error)]
#[error("the rules were not run: {0}")]
pub(crate) struct Ended(String);
