//! Keys of services: which, where, and with what to ask.

use std::collections::BTreeMap;

/// Further keys to try.
const ALTERNATES: &str = "encrypt.alternate.kms.key.ids";

/// How many of them are tried: each may take as long as a service that does not answer.
const ALTERNATES_MAX: usize = 8;

/// The kinds of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No service: a secret that is known here.
    Local,
    /// HashiCorp Vault's transit engine, or OpenBao's.
    Vault,
    /// AWS KMS.
    Aws,
    /// Azure Key Vault.
    Azure,
    /// Google Cloud KMS.
    Gcp,
}

impl Kind {
    /// The kind with this `kmsType`.
    #[must_use]
    pub fn of(kms_type: &str) -> Option<Self> {
        [Self::Local, Self::Vault, Self::Aws, Self::Azure, Self::Gcp]
            .into_iter()
            .find(|kind| kind.name() == kms_type)
    }

    /// Its `kmsType`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local-kms",
            Self::Vault => "hcvault",
            Self::Aws => "aws-kms",
            Self::Azure => "azure-kms",
            Self::Gcp => "gcp-kms",
        }
    }
}

/// A type as it is kept: whatever begins with `aws`, `azure` or `gcp`, in any case, is that cloud's
/// (`AbstractDekRegistry.normalizeKmsType`).
#[must_use]
pub fn normal_type(kms_type: &str) -> String {
    let lower = kms_type.to_lowercase();
    for (start, kind) in [
        ("aws", Kind::Aws),
        ("azure", Kind::Azure),
        ("gcp", Kind::Gcp),
    ] {
        if lower.starts_with(start) {
            return kind.name().to_owned();
        }
    }
    kms_type.to_owned()
}

/// Whether a property's value is a secret, shown to nobody (`KmsPropsRedactor`).
#[must_use]
pub fn is_secret_property(name: &str) -> bool {
    matches!(
        name,
        "token.id"
            | "approle.secret.id"
            | "ssl.keystore.password"
            | "secret.access.key"
            | "client.secret"
            | "private.key"
            | "secret"
    )
}

/// A key encryption key, as a service knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct KmsKey {
    /// Which service.
    pub kms_type: String,
    /// Which key there.
    pub key_id: String,
    /// How to ask for it; may hold secrets.
    pub properties: BTreeMap<String, String>,
}

impl std::fmt::Debug for KmsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KmsKey")
            .field("kms_type", &self.kms_type)
            .field("key_id", &self.key_id)
            .field("properties", &self.properties.keys())
            .finish()
    }
}

impl KmsKey {
    /// A property that is set to something.
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        let value = self.properties.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// The key's id, then those of its alternates.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        let alternates = self.property(ALTERNATES).unwrap_or_default();
        let alternates = alternates.split(',').map(str::trim);
        let alternates = alternates.filter(|id| !id.is_empty()).take(ALTERNATES_MAX);
        std::iter::once(self.key_id.as_str()).chain(alternates)
    }
}
