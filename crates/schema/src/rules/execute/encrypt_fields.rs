//! Encryption of the fields of a record: which they are, and how JSON has what becomes of them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::Value;

use super::encrypt::{Cipher, Keys};
use super::shape::Shape;
use super::{Passage, Prepared, RuleError, Rules};
use crate::model::Rule;

impl Rules {
    /// A rule with its keys.
    pub(super) fn cipher<'c>(
        &'c self,
        prepared: &'c Prepared,
        keys: &'c Keys,
    ) -> Result<Cipher<'c>, RuleError> {
        let (rule, fetched) = (&prepared.rule, &prepared.fetched);
        Cipher::new(keys, fetched, rule, self.metadata.as_ref(), self.passage)
    }

    /// Encrypts, or decrypts, the texts and bytes that have one of the rule's tags.
    pub(super) fn encrypt_fields(
        &self,
        rule: &Rule,
        cipher: &Cipher<'_>,
        record: &Value,
    ) -> Result<Value, RuleError> {
        let mut changed = record.clone();
        self.visit(rule, &mut changed, &mut |field, value| {
            let is_text = match field.type_name {
                _ if value.is_null() => return Ok(()),
                "STRING" => true,
                "BYTES" => false,
                _ if self.passage == Passage::Read => return Ok(()),
                other => {
                    return Err(RuleError::Encryption {
                        what: format!(
                            "type {other} not supported for encryption, at {}",
                            field.full_name
                        ),
                    });
                }
            };
            let Value::String(text) = &*value else {
                return Ok(());
            };
            *value = Value::String(self.encrypt_field(cipher, is_text, text)?);
            Ok(())
        })?;
        Ok(changed)
    }

    /// A text becomes base 64 of its ciphertext; bytes stay bytes, in the form in which JSON has them.
    fn encrypt_field(
        &self,
        cipher: &Cipher<'_>,
        is_text: bool,
        value: &str,
    ) -> Result<String, RuleError> {
        let broken = |what: String| RuleError::Encryption { what };
        let bytes_form = self.shape.as_ref().map(Shape::bytes_form);
        let bytes_form = bytes_form.unwrap_or_default();
        match (is_text, self.passage) {
            (false, _) => {
                let bytes = bytes_form.read(value).map_err(broken)?;
                Ok(bytes_form.write(&cipher.apply(&bytes)?))
            }
            (true, Passage::Read) => {
                let bytes = BASE64.decode(value);
                let bytes = bytes.map_err(|error| broken(format!("no ciphertext: {error}")))?;
                let text = String::from_utf8(cipher.apply(&bytes)?);
                text.map_err(|_| broken("what was decrypted is no text".to_owned()))
            }
            (true, _) => Ok(BASE64.encode(cipher.apply(value.as_bytes())?)),
        }
    }
}
