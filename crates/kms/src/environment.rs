//! The variables that credentials and endpoints may come from.
//!
//! They are read once, and handed over: a test brings its own, and no other code here looks at the process's. What the
//! credential chains of AWS and Google find beyond them, `object_store` finds itself.

use std::collections::BTreeMap;

/// What is looked at: everything else in the environment is nobody's business here.
const PREFIXES: [&str; 5] = ["LOCAL_SECRET", "VAULT_", "AWS_", "AZURE_", "CLOUDSDK_"];

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
