//! The variables that credentials and endpoints may come from.
//!
//! They are read once, and handed over: a test brings its own, and no other code here looks at the process's. What the
//! credential chains of AWS and Google find beyond them, `object_store` finds itself.

use std::collections::BTreeMap;

/// What is looked at: everything else in the environment is nobody's business here.
const PREFIXES: [&str; 5] = ["LOCAL_SECRET", "VAULT_", "AWS_", "AZURE_", "CLOUDSDK_"];

/// Properties of Confluent's drivers, and the variables that say the same.
const PROPERTIES: [(&str, &str); 13] = [
    ("secret", "LOCAL_SECRET"),
    ("token.id", "VAULT_TOKEN"),
    ("namespace", "VAULT_NAMESPACE"),
    ("approle.role.id", "VAULT_APPROLE_ROLE_ID"),
    ("approle.secret.id", "VAULT_APPROLE_SECRET_ID"),
    ("access.key.id", "AWS_ACCESS_KEY_ID"),
    ("secret.access.key", "AWS_SECRET_ACCESS_KEY"),
    ("role.arn", "AWS_ROLE_ARN"),
    ("role.session.name", "AWS_ROLE_SESSION_NAME"),
    ("role.external.id", "AWS_ROLE_EXTERNAL_ID"),
    ("tenant.id", "AZURE_TENANT_ID"),
    ("client.id", "AZURE_CLIENT_ID"),
    ("client.secret", "AZURE_CLIENT_SECRET"),
];

/// Variables by name.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// That of this process, as it is now.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
            .collect()
    }

    /// Sets the variable that says the same as a property, for whoever has a configuration and is no KEK: what it says is
    /// used as variables are, for a token of Vault where `VAULT_ADDR` is. Gives whether there is such a variable.
    pub fn set_property(&mut self, property: &str, value: &str) -> bool {
        let mut known = PROPERTIES.iter().filter(|(known, _)| *known == property);
        let Some((_, variable)) = known.next() else {
            return false;
        };
        self.0.insert((*variable).to_owned(), value.to_owned());
        true
    }

    /// A variable that is set to something.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}
