//! The broker's record validator, over a Schema Registry's REST API.
//!
//! The registry is the one that `confluent.schema.registry.url` names, else the one in this process, which starts after
//! the broker and is told of then ([`SchemaValidator::serve`]).

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use broker::config::SchemaValidation;
use broker::{RecordValidator, RefusedRecord, ValidatorUnavailable, Verdict};
use cli::{Failure, Outcome};
use registry_client::validator::Expectation;
use registry_client::{ClientOptions, Judged, RegistryClient, Validator};
use schema::serde::SubjectNameStrategy;
use schema::serde::framing::{KEY_HEADER, VALUE_HEADER};
use schema::serde::subject::RecordPart;
use wire::record_data::Record;

/// The broker's key that names the registry.
const URL: &str = "confluent.schema.registry.url";
/// How long one question may take: a producer waits for it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A validator whose registry may not be there yet.
#[derive(Debug, Default)]
pub(super) struct SchemaValidator {
    validator: OnceLock<Validator>,
}

impl SchemaValidator {
    /// With the registry that the properties name, if they name one.
    ///
    /// # Errors
    /// It is named by what is no URL.
    pub(super) fn of(properties: &BTreeMap<String, String>) -> Outcome<SchemaValidator> {
        let this = SchemaValidator::default();
        if let Some(urls) = properties.get(URL).filter(|urls| !urls.trim().is_empty()) {
            this.serve(urls)?;
        }
        Ok(this)
    }

    /// Whether a registry is known.
    pub(super) fn is_serving(&self) -> bool {
        self.validator.get().is_some()
    }

    /// Asks the registry at these URLs from now on, unless there is one already.
    ///
    /// # Errors
    /// They are none.
    pub(super) fn serve(&self, urls: &str) -> Outcome {
        let mut options = ClientOptions::new(urls);
        options.timeout = TIMEOUT;
        let client = RegistryClient::new(&options)
            .map_err(|error| Failure::of(&error).within(&format!("{URL} = '{urls}'")))?;
        drop(self.validator.set(Validator::new(client)));
        Ok(())
    }

    async fn judge(
        &self,
        topic: &str,
        asked: &SchemaValidation,
        records: &[Record],
    ) -> Result<Vec<RefusedRecord>, ValidatorUnavailable> {
        let Some(validator) = self.validator.get() else {
            let what = format!("no Schema Registry is known; set {URL}");
            return Err(ValidatorUnavailable(what));
        };
        let mut refused: BTreeMap<i32, String> = BTreeMap::new();
        for (part, strategy) in [
            (RecordPart::Key, &asked.key_strategy),
            (RecordPart::Value, &asked.value_strategy),
        ] {
            let Some(strategy) = strategy else {
                continue;
            };
            let expected = Expectation {
                topic,
                part,
                strategy: SubjectNameStrategy::of(strategy).unwrap_or_default(),
                rules: asked.rules && part == RecordPart::Value,
            };
            let judged: Vec<Judged<'_>> = (0..)
                .zip(records)
                .filter_map(|(index, record)| judged(index, record, part))
                .collect();
            let rejections = validator
                .judge(&expected, &judged)
                .await
                .map_err(|error| ValidatorUnavailable(base::ErrorChain(&error).to_string()))?;
            for rejection in rejections {
                refused
                    .entry(rejection.index)
                    .or_insert_with(|| format!("{}: {}", part.name(), rejection.reason));
            }
        }
        Ok(refused
            .into_iter()
            .map(|(batch_index, reason)| RefusedRecord {
                batch_index,
                reason,
            })
            .collect())
    }
}

/// A part of a record; none if it is null, which always passes.
fn judged(index: i32, record: &Record, part: RecordPart) -> Option<Judged<'_>> {
    let (bytes, name) = match part {
        RecordPart::Key => (&record.key, KEY_HEADER),
        RecordPart::Value => (&record.value, VALUE_HEADER),
    };
    // The last one counts, as for `DualSchemaIdDeserializer`.
    let header = record
        .headers
        .iter()
        .rfind(|header| *header.key == *name.as_bytes());
    Some(Judged {
        index,
        bytes: bytes.as_deref()?,
        header: header.and_then(|header| header.value.as_deref()),
    })
}

impl RecordValidator for SchemaValidator {
    fn validate<'a>(
        &'a self,
        topic: &'a str,
        asked: &'a SchemaValidation,
        records: &'a [Record],
    ) -> Verdict<'a> {
        Box::pin(self.judge(topic, asked, records))
    }
}
