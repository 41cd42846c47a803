//! Key management services: whoever holds the keys that encrypt keys.
//!
//! A key encryption key (KEK) never leaves its service; a data encryption key (DEK) is sent there to be wrapped, and
//! comes back as bytes that only the service can unwrap. Five kinds are spoken to, with the names, key ids, properties
//! and environment variables of Confluent's drivers (`KmsDriver` and its implementations, 8.2), so that what one of
//! Confluent's clients wrapped is unwrapped here, and the other way round:
//!
//! | `kmsType` | key id | properties, else environment |
//! |---|---|---|
//! | `local-kms` | any | `secret`, else `LOCAL_SECRET` |
//! | `hcvault` | `http(s)://host:port/<mount>/keys/<name>` | `token.id`, `namespace`, `approle.role.id`, `approle.secret.id`, else `VAULT_*` |
//! | `aws-kms` | the key's ARN | `access.key.id`, `secret.access.key`, `role.arn`, `role.session.name`, `role.external.id`, else `AWS_*` and the machine's role |
//! | `azure-kms` | the key's URL, with its version | `tenant.id`, `client.id`, `client.secret`, else `AZURE_*` and the managed identity |
//! | `gcp-kms` | the key's resource name | `client.id`, `client.email`, `private.key.id`, `private.key`, else `GOOGLE_*` and the machine's account |
//!
//! `encrypt.alternate.kms.key.ids` names further keys of the same service, which are tried in order when the first one
//! fails ([`Kms::wrap`]).
//!
//! **Invariants:** credentials of the environment go only where the environment says, or to the cloud that they are
//! of: a key id that somebody made up cannot fetch them. Redirects are not followed, answers are bounded in time and
//! length. No secret is printed.
//!
//! Differs: Confluent's drivers send the environment's Vault token to any address that a key id names; here it goes to
//! `VAULT_ADDR` only. Java key stores (`ssl.keystore.location`, `ssl.truststore.location`) and named profiles of AWS
//! (`profile`) are refused, since they are not read.
//!
//! **Not here:** what a DEK is and does (`schema::encryption`), and who may ask for which.

mod aws;
mod azure;
mod cache;
mod environment;
mod error;
mod gcp;
mod http;
mod key;
mod local;
mod vault;

use std::sync::Arc;
use std::time::Duration;

use base::ErrorChain;
use object_store::CredentialProvider;

pub use environment::Environment;
pub use error::{Fault, KmsError};
pub use key::{Kind, KmsKey, is_secret_property, normal_type};

use http::Http;
use zeroize::Zeroizing;

/// How long one request to a service may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked of a service.
#[derive(Clone, Copy)]
enum Operation<'a> {
    Encrypt(&'a [u8]),
    Decrypt(&'a [u8]),
}

/// The way to all services.
#[derive(Debug)]
pub struct Kms {
    http: Http,
    environment: Environment,
    aws: aws::Sessions,
    azure: azure::Tokens,
    gcp: gcp::Accounts,
    vault: vault::Logins,
}

impl Kms {
    /// Nothing is asked before the first key.
    ///
    /// # Errors
    /// [`KmsError::Client`]: there is no TLS to be had.
    pub fn new(environment: Environment) -> Result<Self, KmsError> {
        Ok(Self {
            http: Http::new(TIMEOUT)?,
            environment,
            aws: aws::Sessions::default(),
            azure: azure::Tokens::default(),
            gcp: gcp::Accounts::default(),
            vault: vault::Logins::default(),
        })
    }

    /// Encrypts `plaintext` with the key, or, when that fails, with the first of its alternates that does.
    ///
    /// # Errors
    /// [`KmsError`]; of several keys a denial before anything else, then what the last one said.
    ///
    /// # Cancel safety
    /// Cancel safe: services keep nothing of a request.
    pub async fn wrap(&self, key: &KmsKey, plaintext: &[u8]) -> Result<Vec<u8>, KmsError> {
        self.try_all(key, Operation::Encrypt(plaintext)).await
    }

    /// Decrypts what [`Kms::wrap`], or one of Confluent's clients, made of a plaintext.
    ///
    /// # Errors
    /// As [`Kms::wrap`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn unwrap(
        &self,
        key: &KmsKey,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let plaintext = self.try_all(key, Operation::Decrypt(ciphertext)).await;
        plaintext.map(Zeroizing::new)
    }

    async fn try_all(&self, key: &KmsKey, operation: Operation<'_>) -> Result<Vec<u8>, KmsError> {
        let kind = Kind::of(&key.kms_type).ok_or_else(|| KmsError::UnknownType {
            kms_type: key.kms_type.clone(),
        })?;
        let mut failure = None;
        for key_id in key.ids() {
            let error = match self.call(kind, key, key_id, operation).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            tracing::warn!(
                kms_type = kind.name(),
                key_id,
                error = %ErrorChain(&error),
                "a key management service does not do what it is asked"
            );
            let is_denial_kept = failure.as_ref().is_some_and(KmsError::is_access_denied);
            if !is_denial_kept {
                failure = Some(error);
            }
        }
        Err(failure.unwrap_or_else(|| KmsError::KeyId {
            kms_type: kind.name(),
            key_id: String::new(),
            expected: "a key id",
        }))
    }

    async fn call(
        &self,
        kind: Kind,
        key: &KmsKey,
        key_id: &str,
        operation: Operation<'_>,
    ) -> Result<Vec<u8>, KmsError> {
        match kind {
            Kind::Local => local::call(self, key, operation),
            Kind::Vault => vault::call(self, key, key_id, operation).await,
            Kind::Aws => aws::call(self, key, key_id, operation).await,
            Kind::Azure => azure::call(self, key, key_id, operation).await,
            Kind::Gcp => gcp::call(self, key, key_id, operation).await,
        }
    }

    /// A property of the key, else a variable of the environment.
    fn setting<'a>(&'a self, key: &'a KmsKey, property: &str, variable: &str) -> Option<&'a str> {
        key.property(property)
            .or_else(|| self.environment.get(variable))
    }
}

/// What a chain of credentials gives, within the time of a request: a machine without an identity service keeps a chain
/// waiting for minutes.
async fn credential_of<C>(
    kms_type: &'static str,
    chain: &dyn CredentialProvider<Credential = C>,
) -> Result<Arc<C>, KmsError> {
    match tokio::time::timeout(TIMEOUT, chain.get_credential()).await {
        Ok(found) => found.map_err(|source| KmsError::Credentials {
            kms_type,
            source: Box::new(source),
        }),
        Err(_) => Err(KmsError::NoCredentials {
            kms_type,
            remedy: "neither the KEK's properties nor the environment have any, and the machine's identity service does not answer",
        }),
    }
}

#[cfg(test)]
mod tests;
