//! Whether records name a schema of the subject they should have (Confluent Server's `RecordSchemaValidator`).
//!
//! A record passes when its key or value begins with the id of a schema that the registry has under the subject that
//! the naming strategy gives, or has that schema's GUID in its header. Null passes, as there: it is a deletion.
//! What a record says beyond that is looked at only where the domain rules of the schema are asked for.
//!
//! **Bounds:** [`ANSWERS_MAX`] answers and [`CONTRACTS_MAX`] schemas are kept. A yes holds for [`YES_HOLDS`], a no for
//! [`NO_HOLDS`]: whoever registers the missing schema does not wait, whoever writes rubbish does not ask each time.
//!
//! Differs from Confluent Server: there the same is kept for as long as `confluent.missing.id.cache.ttl.sec` and an LRU
//! say; and there only the default context is known, here a GUID is looked up in it as well.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use schema::rules::{Passage, RuleFailure, Rules, Shape, on_stack};
use schema::serde::subject::{Named, RecordPart};
use schema::serde::{Frame, SchemaId, SubjectNameStrategy};
use schema::{ParsedSchema, RecordReader, SchemaType};

use crate::cache::Cache;
use crate::client::RegistryClient;
use crate::error::ClientError;
use crate::registered::Registered;

/// How many answers are kept.
pub const ANSWERS_MAX: usize = 10_000;
/// How many schemas are kept.
pub const CONTRACTS_MAX: usize = 1_000;
/// How many schemas of one batch are asked for once a record of it was refused: the batch is refused then anyway.
const SCHEMAS_ASKED_MAX: usize = 100;
/// How long a schema is believed to be of its subject.
pub const YES_HOLDS: Duration = Duration::from_secs(300);
/// How long a schema is believed not to be of its subject.
pub const NO_HOLDS: Duration = Duration::from_secs(1);

/// The context whose subjects have no context in their names.
const DEFAULT_CONTEXT: &str = ".";

/// What keys or values of a topic should be.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Keys or values.
    pub part: RecordPart,
    /// How their subject is named.
    pub strategy: SubjectNameStrategy,
    /// Whether the domain rules of the schema are run too.
    pub rules: bool,
}

/// The key or the value of one record.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// Its place in the batch.
    pub index: i32,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The header that names its schema, if it has one.
    pub header: Option<&'a [u8]>,
}

/// A record that must not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its place in the batch.
    pub index: i32,
    /// Why, for the log of whoever runs the broker.
    pub reason: String,
}

/// Judges records by a registry.
#[derive(Debug)]
pub struct Validator {
    client: RegistryClient,
    answers: Cache<(SchemaId, String), Option<String>>,
    contracts: Cache<SchemaId, Readable>,
}

/// A schema, or why there is none to read records with.
type Readable = Result<Arc<Contract>, String>;

/// A schema with its rules. What an id or a GUID stands for never changes.
#[derive(Debug)]
struct Contract {
    reader: RecordReader,
    /// The conditions among the domain rules of writing; none for a schema without them, or whose data has no shape.
    rules: Option<Rules>,
}

impl Validator {
    /// A validator that asks that registry.
    pub fn new(client: RegistryClient) -> Self {
        Self {
            client,
            answers: Cache::new(ANSWERS_MAX),
            contracts: Cache::new(CONTRACTS_MAX),
        }
    }

    /// Those of the records that must not be taken.
    ///
    /// With [`Expectation::rules`] it blocks its thread, which must be one of a runtime with several.
    ///
    /// # Errors
    /// The registry cannot be asked: nothing is known of the records then.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn judge(
        &self,
        expected: &Expectation<'_>,
        records: &[Judged<'_>],
    ) -> Result<Vec<Rejection>, ClientError> {
        let mut rejected = Vec::new();
        // Most batches have records of one schema.
        let mut known: HashMap<(SchemaId, Option<String>), Option<String>> = HashMap::new();
        let mut is_judged = true;
        for record in records {
            let reject = |reason: String| Rejection {
                index: record.index,
                reason,
            };
            let schema = match framed(record, SchemaType::Avro) {
                Ok((frame, _)) => frame.schema,
                Err(error) => {
                    rejected.push(reject(error.to_string()));
                    continue;
                }
            };
            if known.len() >= SCHEMAS_ASKED_MAX && !rejected.is_empty() {
                is_judged = false;
                break;
            }
            let record_name = self.record_name(expected, record, schema).await?;
            let key = (schema, record_name);
            let verdict = match known.get(&key) {
                Some(verdict) => verdict.clone(),
                None => {
                    let verdict = self.check(expected, key.1.as_deref(), schema).await?;
                    known.insert(key, verdict.clone());
                    verdict
                }
            };
            rejected.extend(verdict.map(reject));
        }
        if expected.rules && is_judged {
            self.run_rules(records, &mut rejected).await?;
        }
        Ok(rejected)
    }

    /// The name of the record's type, where the subject is named after it.
    async fn record_name(
        &self,
        expected: &Expectation<'_>,
        record: &Judged<'_>,
        schema: SchemaId,
    ) -> Result<Option<String>, ClientError> {
        match expected.strategy {
            SubjectNameStrategy::TopicName | SubjectNameStrategy::AssociatedName => Ok(None),
            SubjectNameStrategy::RecordName | SubjectNameStrategy::TopicRecordName => {
                let contract = self.contract(schema).await?;
                Ok(contract
                    .ok()
                    .and_then(|contract| contract.record_name(record)))
            }
        }
    }

    /// Why a schema is not one of the subject it should be of; none if it is.
    async fn check(
        &self,
        expected: &Expectation<'_>,
        record_name: Option<&str>,
        schema: SchemaId,
    ) -> Result<Option<String>, ClientError> {
        let named = Named {
            topic: expected.topic,
            part: expected.part,
            record: record_name,
            associated: None,
        };
        let subject = match expected.strategy.subject(&named) {
            Ok(subject) => subject,
            Err(error) => return Ok(Some(format!("{}: {error}", shown(schema)))),
        };
        let key = (schema, subject);
        if let Some(answer) = self.answers.get(&key) {
            return Ok(answer);
        }
        let answer = self.ask(schema, &key.1).await?;
        let holds = if answer.is_none() {
            YES_HOLDS
        } else {
            NO_HOLDS
        };
        self.answers.put(key, answer.clone(), Some(holds));
        Ok(answer)
    }

    async fn ask(&self, schema: SchemaId, subject: &str) -> Result<Option<String>, ClientError> {
        let Some(id) = self.id_of(schema).await? else {
            return Ok(Some(format!("{} is unknown", shown(schema))));
        };
        let versions = match self.client.subjects_of_id(id).await {
            Ok(versions) => versions,
            Err(error) if error.is_not_found() => {
                return Ok(Some(format!("{} is unknown", shown(schema))));
            }
            Err(error) => return Err(error),
        };
        let is_of = |subject: &str| versions.iter().any(|version| version.subject == subject);
        if is_of(subject) {
            return Ok(None);
        }
        // The subject may be an alias of another.
        let latest = self
            .client
            .schema_by_version(subject, "latest", false)
            .await;
        let real = match latest {
            Ok(latest) => latest.subject,
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        if real.is_some_and(|real| is_of(&real)) {
            return Ok(None);
        }
        Ok(Some(format!(
            "{} is not of subject {subject}",
            shown(schema)
        )))
    }

    async fn id_of(&self, schema: SchemaId) -> Result<Option<i32>, ClientError> {
        let guid = match schema {
            SchemaId::Id(id) => return Ok(Some(id)),
            SchemaId::Guid(guid) => guid.to_string(),
        };
        match self.client.ids_of_guid(&guid).await {
            Ok(ids) => Ok(ids
                .into_iter()
                .find(|found| found.context == DEFAULT_CONTEXT)
                .map(|found| found.id)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The schema, or why records cannot be read with it: what a producer cannot change by trying again.
    async fn contract(&self, schema: SchemaId) -> Result<Readable, ClientError> {
        if let Some(known) = self.contracts.get(&schema) {
            return Ok(known);
        }
        let readable = match self.ask_contract(schema).await {
            Ok(Some(contract)) => Ok(Arc::new(contract)),
            Ok(None) => Err(format!("{} is unknown", shown(schema))),
            Err(error @ (ClientError::Schema { .. } | ClientError::TooManyReferences { .. })) => {
                let error = base::ErrorChain(&error);
                Err(format!("{} cannot be read: {error}", shown(schema)))
            }
            Err(error) => return Err(error),
        };
        let holds = if readable.is_ok() {
            YES_HOLDS
        } else {
            NO_HOLDS
        };
        self.contracts.put(schema, readable.clone(), Some(holds));
        Ok(readable)
    }

    /// The schema; none if the registry does not know it.
    async fn ask_contract(&self, schema: SchemaId) -> Result<Option<Contract>, ClientError> {
        let Some(id) = self.id_of(schema).await? else {
            return Ok(None);
        };
        let registered = match self.client.schema_by_id(id).await {
            Ok(registered) => registered,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let parsed = self.client.parse(&registered).await?;
        let unusable = |source| ClientError::Schema {
            what: registered.name(),
            source,
        };
        Ok(Some(Contract {
            rules: rules_of(&registered, &parsed),
            reader: RecordReader::new(parsed).map_err(unusable)?,
        }))
    }

    /// Runs the domain rules of writing on those that nothing was said against.
    async fn run_rules(
        &self,
        records: &[Judged<'_>],
        rejected: &mut Vec<Rejection>,
    ) -> Result<(), ClientError> {
        let refused: HashSet<i32> = rejected.iter().map(|rejection| rejection.index).collect();
        let mut by_schema: HashMap<SchemaId, (Readable, Vec<&Judged<'_>>)> = HashMap::new();
        for record in records
            .iter()
            .filter(|record| !refused.contains(&record.index))
        {
            let Ok((Frame { schema, .. }, _)) = framed(record, SchemaType::Avro) else {
                continue;
            };
            let (_, of_it) = match by_schema.entry(schema) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert((self.contract(schema).await?, Vec::new())),
            };
            of_it.push(record);
        }
        let mut todo = Vec::new();
        for (readable, of_it) in by_schema.into_values() {
            match readable {
                Ok(contract) if contract.rules.is_some() => todo.push((contract, of_it)),
                Ok(_) => {}
                Err(reason) => rejected.extend(of_it.iter().map(|record| Rejection {
                    index: record.index,
                    reason: reason.clone(),
                })),
            }
        }
        if !todo.is_empty() {
            let run = || {
                for (contract, of_it) in &todo {
                    contract.run(of_it.iter().copied(), rejected);
                }
            };
            tokio::task::block_in_place(|| on_stack(run));
        }
        rejected.sort_by_key(|rejection| rejection.index);
        Ok(())
    }
}

impl Contract {
    fn record_name(&self, record: &Judged<'_>) -> Option<String> {
        match self.reader.schema() {
            ParsedSchema::Protobuf(schema) => {
                let (frame, _) = framed(record, SchemaType::Protobuf).ok()?;
                schema.message_name(&frame.message_indexes)
            }
            other => other.name(),
        }
    }

    fn run<'r>(
        &self,
        records: impl Iterator<Item = &'r Judged<'r>>,
        rejected: &mut Vec<Rejection>,
    ) {
        let Some(rules) = &self.rules else {
            return;
        };
        for record in records {
            let outcome = self.decoded(record).and_then(|json| {
                let failed = |failure: RuleFailure| {
                    format!("rule {} failed: {}", failure.rule, failure.error)
                };
                rules.run(json).map(drop).map_err(failed)
            });
            if let Err(reason) = outcome {
                rejected.push(Rejection {
                    index: record.index,
                    reason,
                });
            }
        }
    }

    fn decoded(&self, record: &Judged<'_>) -> Result<serde_json::Value, String> {
        let schema_type = self.reader.schema().schema_type();
        let (frame, payload) = framed(record, schema_type).map_err(|error| error.to_string())?;
        self.reader
            .to_json(&frame.message_indexes, payload)
            .map_err(|error| error.to_string())
    }
}

fn rules_of(registered: &Registered, parsed: &ParsedSchema) -> Option<Rules> {
    let rule_set = registered.rule_set.as_ref()?;
    let shape = Shape::of(parsed, None).ok()?;
    let metadata = registered.metadata.as_ref();
    // What comes has been through its writer's transforms; encrypting it again would be wrong, and there are no keys.
    let rules = Rules::new(rule_set, metadata, &shape, Passage::Write).conditions_only();
    (!rules.is_empty()).then_some(rules)
}

fn framed<'r>(
    record: &Judged<'r>,
    schema_type: SchemaType,
) -> Result<(Frame, &'r [u8]), schema::serde::FramingError> {
    Frame::read_dual(record.header, record.bytes, schema_type)
}

fn shown(schema: SchemaId) -> String {
    match schema {
        SchemaId::Id(id) => format!("schema ID {id}"),
        SchemaId::Guid(guid) => format!("schema GUID {guid}"),
    }
}

#[cfg(test)]
mod tests;
