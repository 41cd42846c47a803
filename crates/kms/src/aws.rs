//! `aws-kms`: AWS Key Management Service, and the Security Token Service for roles.
//!
//! ```text
//! POST /   X-Amz-Target: TrentService.Encrypt   {"KeyId", "Plaintext": base64}       -> {"CiphertextBlob": base64}
//! POST /   X-Amz-Target: TrentService.Decrypt   {"KeyId", "CiphertextBlob": base64}  -> {"Plaintext": base64}
//! POST /   Action=AssumeRole&RoleArn=...&RoleSessionName=...                         -> XML with a session's keys
//! ```
//!
//! Requests are signed (SigV4) by `object_store`, which also has the chain of credentials: of a container, a web
//! identity, the machine. The region is that of the key's ARN.

use std::sync::Arc;
use std::time::Duration;

use object_store::CredentialProvider;
use object_store::aws::{AmazonS3Builder, AwsAuthorizer, AwsCredential};
use object_store::client::HttpRequest;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::http::{self, Answer, is_header_text};
use crate::{Kind, Kms, KmsError, KmsKey, Operation, credential_of};

const KMS_TYPE: &str = Kind::Aws.name();
const EXPECTED: &str = "the key's ARN, arn:aws:kms:<region>:<account>:key/<id>";
const DEFAULT_SESSION: &str = "confluent-encrypt";
const AMZ_TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// A session of an assumed role lasts an hour unless the role says less; it is asked for anew well before.
const SESSION_LIFE: Duration = Duration::from_secs(15 * 60);

/// A chain of credentials renews what it has by itself.
const CHAIN_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

type Chain = Arc<dyn CredentialProvider<Credential = AwsCredential>>;

/// Credentials that were had before.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    roles: Cache<Arc<AwsCredential>>,
    chains: Cache<ChainOf>,
}

#[derive(Debug, Clone)]
struct ChainOf(Chain);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypted {
    ciphertext_blob: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypted {
    plaintext: String,
}

pub(crate) async fn call(
    kms: &Kms,
    key: &KmsKey,
    key_id: &str,
    operation: Operation<'_>,
) -> Result<Vec<u8>, KmsError> {
    let place = Place::of(key_id)?;
    let credential = credential(kms, key, &place).await?;
    let (target, body) = match operation {
        Operation::Encrypt(bytes) => (
            "TrentService.Encrypt",
            json!({ "KeyId": key_id, "Plaintext": http::base64(bytes) }),
        ),
        Operation::Decrypt(bytes) => (
            "TrentService.Decrypt",
            json!({ "KeyId": key_id, "CiphertextBlob": http::base64(bytes) }),
        ),
    };
    let signing = Signing {
        credential: &credential,
        service: "kms",
        region: &place.region,
        url: place.endpoint(kms, "kms", "AWS_ENDPOINT_URL_KMS")?,
    };
    let headers = [
        (CONTENT_TYPE, "application/x-amz-json-1.1"),
        (AMZ_TARGET, target),
    ];
    let answer = signing.send(kms, &headers, body.to_string()).await?;
    match operation {
        Operation::Encrypt(_) => {
            let found: Encrypted = read(&answer)?;
            answer.base64(&found.ciphertext_blob)
        }
        Operation::Decrypt(_) => {
            let found: Decrypted = read(&answer)?;
            answer.base64(&found.plaintext)
        }
    }
}

/// AWS says what is wrong by a type in the body; a denial has the status 400.
fn read<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, KmsError> {
    let told = |body: &Value| {
        let message = body.get("message").or_else(|| body.get("Message"));
        let message = message.and_then(Value::as_str).unwrap_or_default();
        let kind = body.get("__type").and_then(Value::as_str)?;
        Some(format!("{kind}: {message}"))
    };
    answer.json(told).map_err(|error| match error {
        KmsError::Refused { message, .. } if is_denial(&message) => KmsError::Denied {
            kms_type: KMS_TYPE,
            message,
        },
        error => error,
    })
}

fn is_denial(message: &str) -> bool {
    [
        "AccessDenied",
        "UnrecognizedClient",
        "ExpiredToken",
        "InvalidSignature",
    ]
    .iter()
    .any(|kind| message.contains(kind))
}

/// Where a key is.
struct Place {
    region: String,
    suffix: &'static str,
}

impl Place {
    fn of(key_id: &str) -> Result<Self, KmsError> {
        let parts: Vec<&str> = key_id.split(':').collect();
        let is_name = |text: &str| {
            let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            !text.is_empty() && text.bytes().all(|byte| is_letter(byte) || byte == b'-')
        };
        match parts.as_slice() {
            ["arn", partition, "kms", region, _, _, ..] if is_name(region) => Ok(Self {
                region: (*region).to_owned(),
                suffix: match *partition {
                    "aws-cn" => "amazonaws.com.cn",
                    _ => "amazonaws.com",
                },
            }),
            _ => Err(KmsError::KeyId {
                kms_type: KMS_TYPE,
                key_id: key_id.to_owned(),
                expected: EXPECTED,
            }),
        }
    }

    /// Where a service of the region is; `variable` says otherwise, as for AWS's own clients.
    fn endpoint(&self, kms: &Kms, service: &str, variable: &str) -> Result<Url, KmsError> {
        let usual = format!("https://{service}.{}.{}/", self.region, self.suffix);
        let endpoint = kms.environment.get(variable).unwrap_or(&usual);
        http::url(KMS_TYPE, endpoint, "the URL of an endpoint")
    }
}

/// Who asks: the key's own credentials or those of the environment, in a role if there is one.
async fn credential(
    kms: &Kms,
    key: &KmsKey,
    place: &Place,
) -> Result<Arc<AwsCredential>, KmsError> {
    if key.property("profile").is_some() {
        return Err(KmsError::NoCredentials {
            kms_type: KMS_TYPE,
            remedy: "profiles are not read: set 'access.key.id' and 'secret.access.key' in the place of 'profile'",
        });
    }
    let own = key
        .property("access.key.id")
        .zip(key.property("secret.access.key"));
    let base = match own {
        Some((id, secret)) => Arc::new(fixed(id, secret, None)?),
        None => of_environment(kms, place).await?,
    };
    match role(kms, key) {
        Some(role) => assume(kms, key, place, &base, role).await,
        None => Ok(base),
    }
}

/// With a web identity, `AWS_ROLE_ARN` is the role of that identity, which the chain assumes by itself.
fn role<'a>(kms: &'a Kms, key: &'a KmsKey) -> Option<&'a str> {
    let has_identity = kms.environment.get("AWS_WEB_IDENTITY_TOKEN_FILE").is_some();
    let general = kms.environment.get("AWS_ROLE_ARN");
    key.property("role.arn")
        .or_else(|| general.filter(|_| !has_identity))
}

fn fixed(id: &str, secret: &str, token: Option<&str>) -> Result<AwsCredential, KmsError> {
    if !is_header_text(id) || !token.is_none_or(is_header_text) {
        return Err(KmsError::NoCredentials {
            kms_type: KMS_TYPE,
            remedy: "the access key has characters that no access key has",
        });
    }
    Ok(AwsCredential {
        key_id: id.to_owned(),
        secret_key: secret.to_owned(),
        token: token.map(str::to_owned),
    })
}

async fn of_environment(kms: &Kms, place: &Place) -> Result<Arc<AwsCredential>, KmsError> {
    let environment = &kms.environment;
    let named = environment
        .get("AWS_ACCESS_KEY_ID")
        .zip(environment.get("AWS_SECRET_ACCESS_KEY"));
    if let Some((id, secret)) = named {
        return fixed(id, secret, environment.get("AWS_SESSION_TOKEN")).map(Arc::new);
    }
    let failed = |source| KmsError::Credentials {
        kms_type: KMS_TYPE,
        source: Box::new(source),
    };
    let chain = match kms.aws.chains.get(&[&place.region]) {
        Some(chain) => chain,
        None => {
            // A store is what has a chain of credentials; nothing is stored.
            let store = AmazonS3Builder::from_env()
                .with_region(&place.region)
                .with_bucket_name("unused")
                .build()
                .map_err(failed)?;
            let chain = ChainOf(Arc::clone(store.credentials()));
            kms.aws
                .chains
                .put(&[&place.region], chain.clone(), CHAIN_LIFE);
            chain
        }
    };
    credential_of(KMS_TYPE, chain.0.as_ref()).await
}

async fn assume(
    kms: &Kms,
    key: &KmsKey,
    place: &Place,
    base: &AwsCredential,
    role: &str,
) -> Result<Arc<AwsCredential>, KmsError> {
    let session = kms.setting(key, "role.session.name", "AWS_ROLE_SESSION_NAME");
    let session = session.unwrap_or(DEFAULT_SESSION);
    let external = kms.setting(key, "role.external.id", "AWS_ROLE_EXTERNAL_ID");
    let cached = [
        role,
        session,
        external.unwrap_or_default(),
        &base.key_id,
        &base.secret_key,
        &place.region,
    ];
    if let Some(credential) = kms.aws.roles.get(&cached) {
        return Ok(credential);
    }
    let signing = Signing {
        credential: base,
        service: "sts",
        region: &place.region,
        url: place.endpoint(kms, "sts", "AWS_ENDPOINT_URL_STS")?,
    };
    let mut form = Url::parse("form:").map_err(|error| KmsError::Answer {
        kms_type: KMS_TYPE,
        what: error.to_string(),
    })?;
    form.query_pairs_mut()
        .append_pair("Action", "AssumeRole")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role)
        .append_pair("RoleSessionName", session)
        .extend_pairs(external.map(|external| ("ExternalId", external)));
    let body = form.query().unwrap_or_default().to_owned();
    let headers = [(CONTENT_TYPE, "application/x-www-form-urlencoded")];
    let answer = signing.send(kms, &headers, body).await?;
    let text = String::from_utf8_lossy(&answer.body);
    if !(200..300).contains(&answer.status) {
        return Err(answer.failure(element(&text, "Message").map(str::to_owned)));
    }
    let part = |name: &str| {
        element(&text, name).ok_or_else(|| KmsError::Answer {
            kms_type: KMS_TYPE,
            what: format!("a session has no {name}"),
        })
    };
    let credential = Arc::new(fixed(
        part("AccessKeyId")?,
        part("SecretAccessKey")?,
        Some(part("SessionToken")?),
    )?);
    kms.aws
        .roles
        .put(&cached, Arc::clone(&credential), SESSION_LIFE);
    Ok(credential)
}

/// The text of the first element of that name; those that are asked for have no markup in them.
fn element<'t>(xml: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim())
}

/// A request that is to be signed.
struct Signing<'s> {
    credential: &'s AwsCredential,
    service: &'s str,
    region: &'s str,
    url: Url,
}

impl Signing<'_> {
    async fn send(
        self,
        kms: &Kms,
        headers: &[(HeaderName, &'static str)],
        body: String,
    ) -> Result<Answer, KmsError> {
        let headers = self.sign(headers, body.clone())?;
        let request = kms.http.post(self.url).headers(headers).body(body);
        http::send(KMS_TYPE, request).await
    }

    fn sign(
        &self,
        headers: &[(HeaderName, &'static str)],
        body: String,
    ) -> Result<HeaderMap, KmsError> {
        let mut request = HttpRequest::new(body.into());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.as_str().parse().map_err(|_| KmsError::KeyId {
            kms_type: KMS_TYPE,
            key_id: self.url.to_string(),
            expected: "the URL of an endpoint",
        })?;
        for (name, value) in headers {
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert(name, value);
        }
        AwsAuthorizer::new(self.credential, self.service, self.region)
            .authorize(&mut request, None);
        Ok(request.into_parts().0.headers)
    }
}
