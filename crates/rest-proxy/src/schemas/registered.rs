//! Finding the schema that a request names, with subject, id and version (`SchemaManagerImpl`, kafka-rest 8).
//!
//! A request names a schema by its id, by a version of a subject, by its text (which is then registered unless it is), or
//! not at all: the latest of the subject. The subject is named, or follows from a strategy, by default from the topic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use registry_client::{Cache, ClientError, NewSchema, Registered as Entity, RegistryClient};
use schema::model::{ResolvedReference, SchemaReference, SchemaType};
use schema::rules::Passage;
use schema::serde::subject::{Named, RecordPart};
use schema::serde::{SchemaId, SubjectNameStrategy};
use schema::{ParseOptions, ParsedSchema, SchemaError};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::codec::Codec;
use super::contract::{Contract, Refused, Terms};
use super::runner::{ContractKey, Ended, Registry, SetupError, turns};
use crate::config::{Config, Subjects};
use crate::error::RestError;
use crate::format::Format;

/// How many schemas are kept (`max.schemas.per.subject` of Confluent's client).
const KEPT_MAX: usize = 1000;
/// How long the latest version of a subject is taken for the latest.
const LATEST_AGE_MAX: Duration = Duration::from_secs(1);
/// How long it may take until all instances of a registry know a schema.
const NEWS_AGE_MAX: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// `error_code` of a registry's 403.
const NOT_ALLOWED: i64 = 40301;

/// What a request says of the schema of a key or value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct SchemaQuery {
    pub(crate) topic: String,
    pub(crate) is_key: bool,
    /// With a text only.
    pub(crate) format: Option<Format>,
    pub(crate) subject: Option<String>,
    pub(crate) strategy: Option<SubjectNameStrategy>,
    pub(crate) id: Option<i32>,
    pub(crate) version: Option<i32>,
    pub(crate) text: Option<String>,
}

impl SchemaQuery {
    /// The query with the strategy that the proxy has for subjects, where it has none itself.
    pub(crate) fn or_default(mut self, schemas: &Schemas) -> Self {
        if self.strategy.is_none() && self.subject.is_none() {
            self.strategy = Some(schemas.strategy(part(&self)));
        }
        self
    }
}

/// A schema in a subject, ready for data.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) subject: String,
    pub(crate) id: i32,
    pub(crate) version: i32,
    pub(crate) format: Format,
    known: Arc<Known>,
    contract: Option<Arc<Contract>>,
}

/// A schema as a registry has it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) codec: Codec,
    /// None for a schema without rules.
    pub(super) terms: Option<Terms>,
}

impl Registered {
    /// Whether [`Registered::encode`] runs rules, and so blocks.
    pub(crate) fn has_rules(&self) -> bool {
        self.contract.is_some()
    }

    /// The framed bytes of `data`.
    ///
    /// # Errors
    /// What does not fit, and where; the rule that refuses it.
    pub(crate) fn encode(&self, data: Value) -> Result<Vec<u8>, Refused> {
        match &self.contract {
            None => Ok(self.known.codec.encode(self.id, &data)?),
            Some(contract) => contract.write(&self.known.codec, self.id, data),
        }
    }

    /// Data as a dead letter queue has it.
    pub(crate) fn dead_body(&self, data: Value) -> Vec<u8> {
        let codec = &self.known.codec;
        match &self.contract {
            None => codec.loose(&data),
            Some(contract) => contract.dead_body(codec, data),
        }
    }
}

/// The schemas of one registry.
#[derive(Debug)]
pub(crate) struct Schemas {
    /// None where no registry is configured.
    pub(super) registry: Option<Registry>,
    subjects: Subjects,
    named: Cache<SchemaQuery, Arc<Registered>>,
    latest: Cache<SchemaQuery, Arc<Registered>>,
    parsed: Cache<SchemaId, Arc<Known>>,
    pub(super) contracts: Cache<ContractKey, Option<Arc<Contract>>>,
    /// Of those that run rules.
    pub(super) turns: Arc<Semaphore>,
}

impl Schemas {
    /// Nothing is asked for before the first record.
    ///
    /// # Errors
    /// An address is no URL; there is no TLS to be had.
    pub(crate) fn new(http: reqwest::Client, config: &Config) -> Result<Self, SetupError> {
        let options = &config.registry;
        let registry = if options.urls.is_empty() {
            None
        } else {
            Some(Registry::new(http, options, &config.rules)?)
        };
        Ok(Self {
            registry,
            subjects: config.subjects,
            named: Cache::new(KEPT_MAX),
            latest: Cache::new(KEPT_MAX),
            parsed: Cache::new(KEPT_MAX),
            contracts: Cache::new(KEPT_MAX),
            turns: turns(),
        })
    }

    /// How the subjects of keys or values are named where nobody says it.
    pub(crate) fn strategy(&self, part: RecordPart) -> SubjectNameStrategy {
        match part {
            RecordPart::Key => self.subjects.key,
            RecordPart::Value => self.subjects.value,
        }
    }

    pub(super) fn registry(&self) -> Result<&Registry, RegistryError> {
        self.registry.as_ref().ok_or(RegistryError::NotConfigured)
    }

    fn client(&self) -> Result<&RegistryClient, RegistryError> {
        Ok(self.registry()?.client.as_ref())
    }

    /// The schema, if it was found before.
    pub(crate) fn known(&self, query: &SchemaQuery) -> Option<Arc<Registered>> {
        self.cache_of(query).get(query)
    }

    fn cache_of(&self, query: &SchemaQuery) -> &Cache<SchemaQuery, Arc<Registered>> {
        if is_of_latest(query) {
            &self.latest
        } else {
            &self.named
        }
    }

    /// The schema that a request names.
    ///
    /// # Errors
    /// 422/42207 when the registry has it not or cannot be asked, 422/42205 for a text that is no schema, 400 for a
    /// version that is not there or a strategy that needs a schema, 403/40301 as the registry says.
    pub(crate) async fn find(&self, query: &SchemaQuery) -> Result<Arc<Registered>, RestError> {
        if let Some(known) = self.known(query) {
            return Ok(known);
        }
        let found = match query {
            SchemaQuery { id: Some(id), .. } => self.by_id(query, *id).await?,
            SchemaQuery {
                version: Some(version),
                ..
            } => self.by_version(query, *version).await?,
            SchemaQuery {
                text: Some(text),
                format: Some(format),
                ..
            } => self.by_text(query, *format, text).await?,
            _ => self.latest_of(query).await?,
        };
        let found = Arc::new(found);
        let holds = is_of_latest(query).then_some(LATEST_AGE_MAX);
        let cache = self.cache_of(query);
        cache.put(query.clone(), Arc::clone(&found), holds);
        Ok(found)
    }

    async fn by_id(&self, query: &SchemaQuery, id: i32) -> Result<Registered, RestError> {
        let asked = || format!("Error when fetching schema by id. schemaId = {id}");
        let entity = self.entity(SchemaId::Id(id)).await;
        let entity = entity.map_err(|error| of_registry(&asked(), &error))?;
        let references = entity.references.clone();
        let known = self.known_as(SchemaId::Id(id), entity).await;
        let known = known.map_err(|unusable| unusable.into_rest(&asked()))?;
        let subject = subject_of(query, known.codec.name().as_deref())?;
        let version = self.version(&subject, &known.codec, &references).await?.1;
        self.registered(subject, id, version, known, &asked).await
    }

    async fn by_version(&self, query: &SchemaQuery, version: i32) -> Result<Registered, RestError> {
        let subject = subject_without_schema(query)?;
        let number = version.to_string();
        let entity = self.entity_of_version(&subject, &number).await;
        let entity = entity.map_err(|_| {
            RestError::bad_request(format!(
                "Bad Request: Schema does not exist for subject: {subject}, version: {version}"
            ))
        })?;
        let asked = || {
            format!(
                "Error when fetching schema by version. subject = {subject}, version = {version}"
            )
        };
        self.of_entity(&subject, entity, &asked).await
    }

    async fn latest_of(&self, query: &SchemaQuery) -> Result<Registered, RestError> {
        let subject = subject_without_schema(query)?;
        let asked = || format!("Error when fetching latest schema version. subject = {subject}");
        let entity = self.entity_of_version(&subject, "latest").await;
        let entity = entity.map_err(|error| of_registry(&asked(), &error))?;
        self.of_entity(&subject, entity, &asked).await
    }

    async fn of_entity(
        &self,
        subject: &str,
        entity: Entity,
        asked: &(dyn Fn() -> String + Sync),
    ) -> Result<Registered, RestError> {
        let (Some(id), Some(version)) = (entity.id, entity.version) else {
            return Err(RestError::invalid_schema(&asked()));
        };
        let subject = entity.subject.clone().unwrap_or_else(|| subject.to_owned());
        let known = self.known_as(SchemaId::Id(id), entity).await;
        let known = known.map_err(|unusable| unusable.into_rest(&asked()))?;
        self.registered(subject, id, version, known, asked).await
    }

    async fn registered(
        &self,
        subject: String,
        id: i32,
        version: i32,
        known: Arc<Known>,
        asked: &(dyn Fn() -> String + Sync),
    ) -> Result<Registered, RestError> {
        let of = (subject.as_str(), Passage::Write);
        let contract = self.contract(SchemaId::Id(id), &known, &[0], of).await;
        let contract = contract.map_err(|unusable| unusable.into_rest(&asked()))?;
        Ok(Registered {
            subject,
            id,
            version,
            format: Format::of_schema(known.codec.schema_type()),
            known,
            contract,
        })
    }

    async fn by_text(
        &self,
        query: &SchemaQuery,
        format: Format,
        text: &str,
    ) -> Result<Registered, RestError> {
        let schema_type = format.schema_type().ok_or_else(|| {
            RestError::bad_request(format!(
                "Bad Request: {} does not support schemas.",
                format.name()
            ))
        })?;
        let codec = parse(schema_type, text.to_owned(), Vec::new(), true).await;
        let codec = codec.map_err(|_| {
            RestError::invalid_schema(&format!(
                "Error when parsing raw schema. format = {}, schema = {text}",
                format.name()
            ))
        })?;
        let subject = subject_of(query, codec.name().as_deref())?;
        let canonical = codec.canonical();
        let new = NewSchema {
            schema: &canonical,
            schema_type,
            references: &[],
        };
        let asked = || {
            format!(
                "Error when registering schema. format = {}, subject = {subject}, schema = {canonical}",
                format.name()
            )
        };
        let client = self.client();
        let client = client.map_err(|error| of_registry(&asked(), &error))?;
        let (id, version, entity) = match client.look_up(&subject, &new).await {
            Ok(
                entity @ Entity {
                    id: Some(id),
                    version: Some(version),
                    ..
                },
            ) => (id, version, Ok(entity)),
            // It is not there, or cannot be seen; whether it can be registered is the registry's to say.
            Ok(_) | Err(_) => {
                let made = client.register(&subject, &new).await;
                let made = made.map_err(|error| of_registry(&asked(), &error.into()))?;
                let version = match made.version {
                    Some(version) => version,
                    None => self.new_version(&subject, &codec).await?,
                };
                // It may have got the rules of the version before it.
                let entity = self.new_entity(made.id).await;
                (made.id, version, entity)
            }
        };
        let entity = entity.map_err(|error| of_registry(&asked(), &error))?;
        let terms = terms_of(entity);
        let known = Arc::new(Known { codec, terms });
        self.registered(subject.clone(), id, version, known, &asked)
            .await
    }

    /// A schema that was just registered, as the registry has it.
    async fn new_entity(&self, id: i32) -> Result<Entity, RegistryError> {
        let deadline = Instant::now() + NEWS_AGE_MAX;
        loop {
            match self.entity(SchemaId::Id(id)).await {
                Err(RegistryError::Client(error))
                    if error.is_not_found() && Instant::now() < deadline =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                found => return found,
            }
        }
    }

    /// The version of a schema that was just registered. The instance that is asked may hear of it a little later than
    /// the one that wrote it.
    async fn new_version(&self, subject: &str, codec: &Codec) -> Result<i32, RestError> {
        let deadline = Instant::now() + NEWS_AGE_MAX;
        loop {
            match self.version(subject, codec, &[]).await {
                Ok((_, version)) => return Ok(version),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// The id and version that a schema has in a subject.
    async fn version(
        &self,
        subject: &str,
        codec: &Codec,
        references: &[SchemaReference],
    ) -> Result<(i32, i32), RestError> {
        let canonical = codec.canonical();
        let asked = || {
            format!("Error when fetching schema version. subject = {subject}, schema = {canonical}")
        };
        let new = NewSchema {
            schema: &canonical,
            schema_type: codec.schema_type(),
            references,
        };
        let found = match self.client() {
            Ok(client) => client.look_up(subject, &new).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        let found = found.map_err(|error| of_registry(&asked(), &error))?;
        found
            .id
            .zip(found.version)
            .ok_or_else(|| RestError::invalid_schema(&asked()))
    }

    /// The schema of that id.
    ///
    /// # Errors
    /// The registry does not give it, or it is not usable.
    pub(super) async fn by_schema_id(&self, id: SchemaId) -> Result<Arc<Known>, Unusable> {
        if let Some(known) = self.parsed.get(&id) {
            return Ok(known);
        }
        let entity = self.entity(id).await?;
        self.known_as(id, entity).await
    }

    async fn known_as(&self, id: SchemaId, entity: Entity) -> Result<Arc<Known>, Unusable> {
        if let Some(known) = self.parsed.get(&id) {
            return Ok(known);
        }
        let references = self.client()?.resolve(&entity.references).await;
        let references = references.map_err(RegistryError::from)?;
        let text = entity.schema.clone();
        let codec = parse(entity.schema_type, text, references, false).await?;
        let terms = terms_of(entity);
        let known = Arc::new(Known { codec, terms });
        self.parsed.put(id, Arc::clone(&known), None);
        Ok(known)
    }

    async fn entity(&self, schema: SchemaId) -> Result<Entity, RegistryError> {
        let client = self.client()?;
        Ok(match schema {
            SchemaId::Id(id) => client.schema_by_id(id).await?,
            SchemaId::Guid(guid) => client.schema_by_guid(&guid.to_string()).await?,
        })
    }

    async fn entity_of_version(
        &self,
        subject: &str,
        version: &str,
    ) -> Result<Entity, RegistryError> {
        let client = self.client()?;
        Ok(client.schema_by_version(subject, version, false).await?)
    }
}

fn terms_of(entity: Entity) -> Option<Terms> {
    let rule_set = entity.rule_set?;
    let lists = [&rule_set.domain_rules, &rule_set.encoding_rules];
    if lists.into_iter().flatten().all(Vec::is_empty) {
        return None;
    }
    Some(Terms {
        rule_set,
        metadata: entity.metadata,
    })
}

/// Whether it is of the latest schema of a subject, whichever that is.
fn is_of_latest(query: &SchemaQuery) -> bool {
    query.id.is_none() && query.version.is_none() && query.text.is_none()
}

/// Why a registry gave no answer to work with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// No address is known.
    #[error("no schema registry is known: kafka.rest.schema.registry.url names one")]
    NotConfigured,
    /// It said no, or cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Why a schema cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// The registry does not give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It is none.
    #[error("the schema cannot be used")]
    Schema(#[source] SchemaError),
    /// What was to take it apart is gone.
    #[error(transparent)]
    Ended(#[from] Ended),
}

impl From<SchemaError> for Unusable {
    fn from(error: SchemaError) -> Self {
        Self::Schema(error)
    }
}

impl Unusable {
    fn into_rest(self, asked: &str) -> RestError {
        match self {
            Self::Registry(error) => of_registry(asked, &error),
            Self::Schema(error) => RestError::invalid_schema(&format!("{asked}\n{error}")),
            Self::Ended(ended) => RestError::internal(ended.to_string()),
        }
    }
}

/// Parsing may take long, so it is not done where others are served.
async fn parse(
    schema_type: SchemaType,
    text: String,
    references: Vec<ResolvedReference>,
    validate_new: bool,
) -> Result<Codec, SchemaError> {
    let work = move || {
        let options = ParseOptions { validate_new };
        Codec::new(ParsedSchema::parse(
            schema_type,
            &text,
            &references,
            options,
        )?)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(codec) => codec,
        Err(ended) => Err(SchemaError::Invalid {
            format: schema_type.name(),
            path: "/".to_owned(),
            rule: format!("the parser ended: {ended}"),
        }),
    }
}

fn of_registry(asked: &str, error: &RegistryError) -> RestError {
    match error {
        RegistryError::Client(refused) if refused.code() == Some(NOT_ALLOWED) => {
            RestError::forbidden(asked.to_owned())
        }
        error => RestError::serialization(&format!("{asked}\n{}", base::ErrorChain(error))),
    }
}

fn part(query: &SchemaQuery) -> RecordPart {
    if query.is_key {
        RecordPart::Key
    } else {
        RecordPart::Value
    }
}

fn subject_of(query: &SchemaQuery, record: Option<&str>) -> Result<String, RestError> {
    if let Some(subject) = &query.subject {
        return Ok(subject.clone());
    }
    let named = Named {
        topic: &query.topic,
        part: part(query),
        record,
        associated: None,
    };
    let strategy = query.strategy.unwrap_or_default();
    let subject = strategy.subject(&named);
    subject.map_err(|error| RestError::serialization(&error.to_string()))
}

/// The subject, before the schema is known.
fn subject_without_schema(query: &SchemaQuery) -> Result<String, RestError> {
    let strategy = match query.strategy {
        Some(SubjectNameStrategy::RecordName) => "RECORD_NAME",
        Some(SubjectNameStrategy::TopicRecordName) => "TOPIC_RECORD_NAME",
        _ => return subject_of(query, None),
    };
    if query.subject.is_some() {
        return subject_of(query, None);
    }
    Err(RestError::bad_request(format!(
        "Bad Request: Cannot use schema_subject_strategy={strategy} without schema_id or schema."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_named_or_follows_from_the_topic() {
        let mut query = SchemaQuery {
            topic: "orders".to_owned(),
            is_key: true,
            ..SchemaQuery::default()
        };
        assert_eq!(subject_without_schema(&query).unwrap(), "orders-key");
        query.strategy = Some(SubjectNameStrategy::RecordName);
        assert_eq!(subject_of(&query, Some("a.R")).unwrap(), "a.R");
        assert_eq!(subject_of(&query, None).unwrap_err().code, 42207);
        let error = subject_without_schema(&query).unwrap_err();
        assert!(error.message.contains("RECORD_NAME"), "{error}");
        query.subject = Some("s".to_owned());
        assert_eq!(subject_without_schema(&query).unwrap(), "s");
    }

    #[test]
    fn a_registrys_refusal_is_told_with_its_words() {
        let refused = |code| {
            RegistryError::Client(ClientError::Refused {
                status: 404,
                code,
                message: "Subject Not Found".to_owned(),
            })
        };
        let error = of_registry(
            "Error when fetching schema by id. schemaId = 1000",
            &refused(40401),
        );
        assert_eq!(
            error.message,
            "Error serializing message. Error when fetching schema by id. schemaId = 1000\nSubject Not Found; error code: 40401"
        );
        assert_eq!((error.status.as_u16(), error.code), (422, 42207));
        assert_eq!(of_registry("x", &refused(40301)).code, 40301);
    }

    #[tokio::test]
    async fn without_a_registry_there_are_no_schemas() {
        let schemas = Schemas::new(reqwest::Client::new(), &Config::new("h:1")).unwrap();
        let error = schemas.find(&SchemaQuery::default()).await.unwrap_err();
        assert_eq!(error.code, 42207);
        assert!(error.message.contains("schema.registry.url"), "{error}");
    }
}
