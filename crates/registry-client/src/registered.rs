//! Schemas as a registry gives them, with what they refer to.

use std::collections::HashSet;

use reqwest::Method;
use schema::{
    Metadata, ParseOptions, ParsedSchema, ResolvedReference, RuleSet, SchemaReference, SchemaType,
    limits,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::client::{RegistryClient, Request};
use crate::error::ClientError;

/// A schema of a registry (`Schema`, `SchemaString` of Confluent's API).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// Under which subject, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Which version there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i32>,
    /// What every registry calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    /// Its format.
    #[serde(default)]
    pub schema_type: SchemaType,
    /// What it refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<SchemaReference>,
    /// The contract's metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// The contract's rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_set: Option<RuleSet>,
    /// The text.
    pub schema: String,
}

/// A schema to look up or to register, without metadata and rules.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewSchema<'a> {
    /// The text.
    pub schema: &'a str,
    /// Its format.
    pub schema_type: SchemaType,
    /// What it refers to.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub references: &'a [SchemaReference],
}

/// A schema that was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Registration {
    /// The id that it has from now on.
    pub id: i32,
    /// Its version; registries before 8 do not say it.
    pub version: Option<i32>,
}

/// Where a schema is registered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SubjectVersion {
    /// The subject.
    pub subject: String,
    /// The version.
    pub version: i32,
}

/// An id in a context, as `/schemas/guids/{guid}/ids` answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ContextId {
    /// The context, `.` for the default one.
    pub context: String,
    /// The id there.
    pub id: i32,
}

impl RegistryClient {
    /// The schema of that id.
    ///
    /// # Errors
    /// 40403 when there is none; otherwise as [`RegistryClient::json`].
    pub async fn schema_by_id(&self, id: i32) -> Result<Registered, ClientError> {
        let id = id.to_string();
        self.json(&Request::get(&["schemas", "ids", &id])).await
    }

    /// The schema that every registry calls so.
    ///
    /// # Errors
    /// 40403 when there is none; otherwise as [`RegistryClient::json`].
    pub async fn schema_by_guid(&self, guid: &str) -> Result<Registered, ClientError> {
        self.json(&Request::get(&["schemas", "guids", guid])).await
    }

    /// The version of a subject that this schema is.
    ///
    /// # Errors
    /// 40401, 40403 when there is none; otherwise as [`RegistryClient::json`].
    pub async fn look_up(
        &self,
        subject: &str,
        schema: &NewSchema<'_>,
    ) -> Result<Registered, ClientError> {
        let path = ["subjects", subject];
        self.json(&Request::new(Method::POST, &path).body(json!(schema)))
            .await
    }

    /// Registers a schema under a subject, unless it is.
    ///
    /// # Errors
    /// 409 when it is not compatible, 42201 when it is none; otherwise as [`RegistryClient::json`].
    pub async fn register(
        &self,
        subject: &str,
        schema: &NewSchema<'_>,
    ) -> Result<Registration, ClientError> {
        let path = ["subjects", subject, "versions"];
        self.json(&Request::new(Method::POST, &path).body(json!(schema)))
            .await
    }

    /// A version of a subject: a number, `latest` or `-1`.
    ///
    /// # Errors
    /// 40401, 40402 when there is none; otherwise as [`RegistryClient::json`].
    pub async fn schema_by_version(
        &self,
        subject: &str,
        version: &str,
        deleted: bool,
    ) -> Result<Registered, ClientError> {
        let path = ["subjects", subject, "versions", version];
        self.json(&Request::get(&path).flag("deleted", deleted))
            .await
    }

    /// The numbers of a subject's versions.
    ///
    /// # Errors
    /// 40401 when there is no such subject; otherwise as [`RegistryClient::json`].
    pub async fn versions(&self, subject: &str, deleted: bool) -> Result<Vec<i32>, ClientError> {
        let path = ["subjects", subject, "versions"];
        self.json(&Request::get(&path).flag("deleted", deleted))
            .await
    }

    /// Under which subjects the schema of that id is registered, deleted versions left out.
    ///
    /// # Errors
    /// 40403 when there is no such schema; otherwise as [`RegistryClient::json`].
    pub async fn subjects_of_id(&self, id: i32) -> Result<Vec<SubjectVersion>, ClientError> {
        let id = id.to_string();
        self.json(&Request::get(&["schemas", "ids", &id, "versions"]))
            .await
    }

    /// The ids of a schema, one for each context that has it.
    ///
    /// # Errors
    /// 40403 when nobody has it; otherwise as [`RegistryClient::json`].
    pub async fn ids_of_guid(&self, guid: &str) -> Result<Vec<ContextId>, ClientError> {
        self.json(&Request::get(&["schemas", "guids", guid, "ids"]))
            .await
    }

    /// The texts behind references: those that others need first, each name once.
    ///
    /// # Errors
    /// A reference leads nowhere, or there are more than [`limits::REFERENCES_MAX`].
    pub async fn resolve(
        &self,
        references: &[SchemaReference],
    ) -> Result<Vec<ResolvedReference>, ClientError> {
        /// A schema whose own references are to be resolved before it.
        enum Step {
            Enter(SchemaReference),
            Leave(ResolvedReference),
        }
        let mut resolved = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        let mut steps: Vec<Step> = references.iter().rev().cloned().map(Step::Enter).collect();
        while let Some(step) = steps.pop() {
            let reference = match step {
                Step::Leave(done) => {
                    resolved.push(done);
                    continue;
                }
                Step::Enter(reference) => reference,
            };
            if !seen.insert(reference.name.clone()) {
                continue;
            }
            if seen.len() > limits::REFERENCES_MAX {
                return Err(ClientError::TooManyReferences {
                    max: limits::REFERENCES_MAX,
                });
            }
            let version = reference.version.to_string();
            // What is referred to may have been deleted since; it still means what it meant.
            let found = self
                .schema_by_version(&reference.subject, &version, true)
                .await?;
            steps.push(Step::Leave(ResolvedReference {
                name: reference.name,
                schema: found.schema,
            }));
            steps.extend(found.references.into_iter().rev().map(Step::Enter));
        }
        Ok(resolved)
    }

    /// The schema as the library knows it.
    ///
    /// # Errors
    /// As [`RegistryClient::resolve`]; the text is no schema.
    pub async fn parse(&self, registered: &Registered) -> Result<ParsedSchema, ClientError> {
        let references = self.resolve(&registered.references).await?;
        let options = ParseOptions::default();
        ParsedSchema::parse(
            registered.schema_type,
            &registered.schema,
            &references,
            options,
        )
        .map_err(|source| ClientError::Schema {
            what: registered.name(),
            source,
        })
    }
}

impl Registered {
    /// How people call it: its subject and version, or its id.
    pub fn name(&self) -> String {
        match (&self.subject, self.version, self.id) {
            (Some(subject), Some(version), _) => format!("version {version} of subject {subject}"),
            (_, _, Some(id)) => format!("schema {id}"),
            _ => "the schema".to_owned(),
        }
    }
}
