//! Finding the schema that a request names, with subject, id and version (`SchemaManagerImpl`, kafka-rest 8).
//!
//! A request names a schema by its id, by a version of a subject, by its text (which is then registered unless it is), or
//! not at all: the latest of the subject. The subject is named, or follows from a strategy, by default from the topic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use registry_client::{
    Cache, ClientError, ClientOptions, NewSchema, Registered as Entity, RegistryClient,
};
use schema::model::{ResolvedReference, SchemaReference, SchemaType};
use schema::serde::subject::{Named, RecordPart};
use schema::serde::{Frame, SchemaId, SubjectNameStrategy};
use schema::{ParseOptions, ParsedSchema, SchemaError};
use serde_json::Value;

use super::codec::{Codec, CodecError};
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

/// A schema in a subject, ready for data.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) subject: String,
    pub(crate) id: i32,
    pub(crate) version: i32,
    pub(crate) format: Format,
    codec: Arc<Codec>,
}

impl Registered {
    /// The framed bytes of `data`.
    ///
    /// # Errors
    /// What does not fit, and where.
    pub(crate) fn encode(&self, data: &Value) -> Result<Vec<u8>, CodecError> {
        self.codec.encode(self.id, data)
    }
}

/// The schemas of one registry.
#[derive(Debug)]
pub(crate) struct Schemas {
    /// None where no registry is configured.
    client: Option<RegistryClient>,
    named: Cache<SchemaQuery, Arc<Registered>>,
    latest: Cache<SchemaQuery, Arc<Registered>>,
    parsed: Cache<SchemaId, Arc<Codec>>,
}

impl Schemas {
    /// Nothing is asked for before the first record.
    ///
    /// # Errors
    /// An address is no URL.
    pub(crate) fn new(http: reqwest::Client, options: &ClientOptions) -> Result<Self, ClientError> {
        let client = if options.urls.is_empty() {
            None
        } else {
            Some(RegistryClient::with_http(http, options)?)
        };
        Ok(Self {
            client,
            named: Cache::new(KEPT_MAX),
            latest: Cache::new(KEPT_MAX),
            parsed: Cache::new(KEPT_MAX),
        })
    }

    fn client(&self) -> Result<&RegistryClient, RegistryError> {
        self.client.as_ref().ok_or(RegistryError::NotConfigured)
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
        let codec = self.codec(SchemaId::Id(id), entity).await;
        let codec = codec.map_err(|unusable| unusable.into_rest(&asked()))?;
        let subject = subject_of(query, codec.name().as_deref())?;
        let version = self.version(&subject, &codec, &references).await?.1;
        Ok(registered(subject, id, version, codec))
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
        let codec = self.codec(SchemaId::Id(id), entity).await;
        let codec = codec.map_err(|unusable| unusable.into_rest(&asked()))?;
        Ok(registered(subject, id, version, codec))
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
        let (id, version) = match client.look_up(&subject, &new).await {
            Ok(Entity {
                id: Some(id),
                version: Some(version),
                ..
            }) => (id, version),
            // It is not there, or cannot be seen; whether it can be registered is the registry's to say.
            Ok(_) | Err(_) => {
                let made = client.register(&subject, &new).await;
                let made = made.map_err(|error| of_registry(&asked(), &error.into()))?;
                let version = match made.version {
                    Some(version) => version,
                    None => self.new_version(&subject, &codec).await?,
                };
                (made.id, version)
            }
        };
        Ok(registered(subject, id, version, Arc::new(codec)))
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

    /// The data of a record's key or value: `header` is that of its schema, where the record has one.
    ///
    /// # Errors
    /// Bytes that name no schema, a schema the registry has not, bytes that are not of it.
    pub(crate) async fn decode(
        &self,
        header: Option<&[u8]>,
        bytes: &[u8],
        expected: SchemaType,
    ) -> Result<Value, DecodeError> {
        let (frame, payload) = Frame::read_dual(header, bytes, expected)?;
        let codec = match self.parsed.get(&frame.schema) {
            Some(codec) => codec,
            None => {
                let entity = self.entity(frame.schema).await?;
                self.codec(frame.schema, entity).await?
            }
        };
        if codec.schema_type() != expected {
            return Err(DecodeError::Type {
                found: codec.schema_type().name(),
                expected: expected.name(),
            });
        }
        Ok(codec.decode(&frame.message_indexes, payload)?)
    }

    async fn codec(&self, id: SchemaId, entity: Entity) -> Result<Arc<Codec>, Unusable> {
        if let Some(known) = self.parsed.get(&id) {
            return Ok(known);
        }
        let references = self.client()?.resolve(&entity.references).await;
        let references = references.map_err(RegistryError::from)?;
        let codec = parse(entity.schema_type, entity.schema, references, false).await?;
        let codec = Arc::new(codec);
        self.parsed.put(id, Arc::clone(&codec), None);
        Ok(codec)
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

fn registered(subject: String, id: i32, version: i32, codec: Arc<Codec>) -> Registered {
    Registered {
        subject,
        id,
        version,
        format: Format::of_schema(codec.schema_type()),
        codec,
    }
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

/// Why bytes are not shown as JSON.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// They name no schema.
    #[error(transparent)]
    Frame(#[from] schema::serde::FramingError),
    /// The registry does not give the schema.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The schema is not usable.
    #[error("the schema cannot be used")]
    Schema(#[source] SchemaError),
    /// They are of a schema of another type than the consumer reads.
    #[error("the record is of type {found}, the consumer reads {expected}")]
    Type {
        /// As found.
        found: &'static str,
        /// As the consumer was made.
        expected: &'static str,
    },
    /// They are not of the schema.
    #[error(transparent)]
    Data(#[from] CodecError),
}

/// Why a schema cannot be worked with.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl From<Unusable> for DecodeError {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Registry(error) => Self::Registry(error),
            Unusable::Schema(error) => Self::Schema(error),
        }
    }
}

impl Unusable {
    fn into_rest(self, asked: &str) -> RestError {
        match self {
            Self::Registry(error) => of_registry(asked, &error),
            Self::Schema(error) => RestError::invalid_schema(&format!("{asked}\n{error}")),
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
        let schemas = Schemas::new(reqwest::Client::new(), &ClientOptions::new("")).unwrap();
        let error = schemas.find(&SchemaQuery::default()).await.unwrap_err();
        assert_eq!(error.code, 42207);
        assert!(error.message.contains("schema.registry.url"), "{error}");
    }
}
