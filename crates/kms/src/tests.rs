//! What goes over the wire to each kind of service, by a server that writes down what it gets, and what is made of
//! answers in the documented form. Real servers are asked in the compatibility lane.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use reqwest::Url;
use serde_json::{Value, json};

use super::*;
use crate::http::ORIGIN;

/// A request as it came.
#[derive(Debug, Clone)]
struct Seen {
    method: String,
    /// Where it would have gone, with path and query.
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Debug, Default)]
struct Book {
    seen: Vec<Seen>,
    answers: VecDeque<(u16, String)>,
}

/// A server that gives its answers in turn.
struct Recorder {
    book: Arc<Mutex<Book>>,
    url: Url,
}

impl Recorder {
    async fn start(answers: &[(u16, Value)]) -> Self {
        let answers = answers.iter().map(|(status, body)| {
            (
                *status,
                body.as_str().map_or(body.to_string(), str::to_owned),
            )
        });
        let book = Arc::new(Mutex::new(Book {
            seen: Vec::new(),
            answers: answers.collect(),
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new()
            .fallback(write_down)
            .with_state(Arc::clone(&book));
        drop(tokio::spawn(
            async move { axum::serve(listener, app).await },
        ));
        Self {
            book,
            url: url.parse().unwrap(),
        }
    }

    fn kms(&self, variables: &[(&str, &str)]) -> Kms {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut kms = Kms::new(variables.collect()).unwrap();
        kms.http.stand_in = Some(self.url.clone());
        kms
    }

    fn seen(&self) -> Vec<Seen> {
        self.book.lock().unwrap().seen.clone()
    }
}

async fn write_down(State(book): State<Arc<Mutex<Book>>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let headers: BTreeMap<String, String> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let mut book = book.lock().unwrap();
    book.seen.push(Seen {
        method: parts.method.to_string(),
        url: format!("{}{}", headers[ORIGIN], parts.uri),
        body: String::from_utf8(body.to_vec()).unwrap(),
        headers,
    });
    match book.answers.pop_front() {
        Some((status, body)) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        None => StatusCode::IM_A_TEAPOT.into_response(),
    }
}

fn key(kms_type: &str, key_id: &str, properties: &[(&str, &str)]) -> KmsKey {
    KmsKey {
        kms_type: kms_type.to_owned(),
        key_id: key_id.to_owned(),
        properties: properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

const WRAPPED: [u8; 38] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 246, 3, 104, 236, 213, 43, 87, 108, 114, 45, 2, 107, 237,
    101, 50, 241, 171, 69, 82, 63, 167, 22, 98, 186, 93, 113,
];

fn alone(variables: &[(&str, &str)]) -> Kms {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Kms::new(variables.collect()).unwrap()
}

#[tokio::test]
async fn the_local_service_is_that_of_confluents_clients() {
    let kms = alone(&[("LOCAL_SECRET", "mysecret")]);
    let by_environment = key("local-kms", "any", &[]);
    // Made by another implementation of HKDF and AES-GCM, with a nonce of zeros.
    assert_eq!(
        kms.unwrap(&by_environment, &WRAPPED)
            .await
            .unwrap()
            .as_slice(),
        b"a data key"
    );
    let own = key("local-kms", "any", &[("secret", "another")]);
    let wrapped = kms.wrap(&own, b"k").await.unwrap();
    assert_eq!(kms.unwrap(&own, &wrapped).await.unwrap().as_slice(), b"k");
    let refused = kms.unwrap(&by_environment, &wrapped).await.unwrap_err();
    assert!(matches!(refused, KmsError::Cipher(_)), "{refused:?}");
    let nobody = alone(&[]).wrap(&by_environment, b"k").await.unwrap_err();
    assert!(nobody.to_string().contains("LOCAL_SECRET"), "{nobody}");
}

const VAULT_KEY: &str = "http://vault.example:8200/transit/keys/mine";

#[tokio::test]
async fn vault_is_asked_as_its_documentation_says() {
    let recorder = Recorder::start(&[
        (
            200,
            json!({ "data": { "ciphertext": "vault:v1:abc", "key_version": 1 } }),
        ),
        (200, json!({ "data": { "plaintext": "aw==" } })),
        (403, json!({ "errors": ["permission denied"] })),
        (400, json!({ "errors": ["encryption key not found"] })),
    ])
    .await;
    let kms = recorder.kms(&[]);
    let key = key(
        "hcvault",
        VAULT_KEY,
        &[("token.id", "t"), ("namespace", "n")],
    );
    assert_eq!(kms.wrap(&key, b"k").await.unwrap(), b"vault:v1:abc");
    let plaintext = kms.unwrap(&key, b"vault:v1:abc").await.unwrap();
    assert_eq!(plaintext.as_slice(), b"k");
    let denied = kms.wrap(&key, b"k").await.unwrap_err();
    assert!(denied.is_access_denied());
    assert_eq!(
        denied.to_string(),
        "hcvault denies access: permission denied"
    );
    let refused = kms.wrap(&key, b"k").await.unwrap_err();
    assert!(matches!(refused, KmsError::Refused { status: 400, .. }));
    let seen = recorder.seen();
    let [encrypt, decrypt, ..] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    assert_eq!(
        encrypt.url,
        "http://vault.example:8200/v1/transit/encrypt/mine"
    );
    assert_eq!(encrypt.json(), json!({ "plaintext": "aw==" }));
    assert_eq!(encrypt.method, "POST");
    for (name, value) in [("x-vault-token", "t"), ("x-vault-namespace", "n")] {
        assert_eq!(encrypt.headers[name], value);
    }
    assert_eq!(
        decrypt.url,
        "http://vault.example:8200/v1/transit/decrypt/mine"
    );
    assert_eq!(decrypt.json(), json!({ "ciphertext": "vault:v1:abc" }));
}

#[tokio::test]
async fn a_role_of_vault_logs_in_once() {
    let login = json!({ "auth": { "client_token": "fresh", "lease_duration": 3600 } });
    let good = json!({ "data": { "ciphertext": "vault:v1:abc" } });
    let recorder = Recorder::start(&[(200, login), (200, good.clone()), (200, good)]).await;
    let kms = recorder.kms(&[]);
    let role = [("approle.role.id", "r"), ("approle.secret.id", "s")];
    let key = key("hcvault", VAULT_KEY, &role);
    kms.wrap(&key, b"k").await.unwrap();
    kms.wrap(&key, b"k").await.unwrap();
    let seen = recorder.seen();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen[0].url.ends_with("/v1/auth/approle/login"));
    assert_eq!(seen[0].json(), json!({ "role_id": "r", "secret_id": "s" }));
    assert_eq!(seen[2].headers["x-vault-token"], "fresh");
}

#[tokio::test]
async fn the_environments_token_goes_nowhere_but_home() {
    let good = json!({ "data": { "ciphertext": "vault:v1:abc" } });
    let recorder = Recorder::start(&[(200, good)]).await;
    let token = ("VAULT_TOKEN", "secret-token");
    for home in [
        "http://other.example:8200",
        "",
        "https://vault.example:8200",
    ] {
        let kms = recorder.kms(&[token, ("VAULT_ADDR", home)]);
        let error = kms.wrap(&key("hcvault", VAULT_KEY, &[]), b"k").await;
        let error = error.unwrap_err();
        assert!(matches!(error, KmsError::NoCredentials { .. }), "{error:?}");
    }
    assert!(recorder.seen().is_empty());
    let kms = recorder.kms(&[token, ("VAULT_ADDR", "http://vault.example:8200")]);
    kms.wrap(&key("hcvault", VAULT_KEY, &[]), b"k")
        .await
        .unwrap();
    assert_eq!(recorder.seen()[0].headers["x-vault-token"], "secret-token");
}

const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd";
const ACCESS: [(&str, &str); 2] = [("access.key.id", "AKID"), ("secret.access.key", "shh")];

#[tokio::test]
async fn aws_gets_signed_requests_in_the_keys_region() {
    let recorder = Recorder::start(&[
        (
            200,
            json!({ "CiphertextBlob": "d3JhcHBlZA==", "KeyId": ARN }),
        ),
        (200, json!({ "Plaintext": "aw==", "KeyId": ARN })),
        (
            400,
            json!({ "__type": "AccessDeniedException", "message": "not you" }),
        ),
        (
            400,
            json!({ "__type": "DisabledException", "message": "off" }),
        ),
    ])
    .await;
    let kms = recorder.kms(&[]);
    let key = key("aws-kms", ARN, &ACCESS);
    assert_eq!(kms.wrap(&key, b"k").await.unwrap(), b"wrapped");
    assert_eq!(kms.unwrap(&key, b"wrapped").await.unwrap().as_slice(), b"k");
    let denied = kms.wrap(&key, b"k").await.unwrap_err();
    assert_eq!(
        denied.to_string(),
        "aws-kms denies access: AccessDeniedException: not you"
    );
    assert!(!kms.wrap(&key, b"k").await.unwrap_err().is_access_denied());
    let seen = recorder.seen();
    let encrypt = &seen[0];
    assert_eq!(encrypt.url, "https://kms.eu-west-1.amazonaws.com/");
    assert_eq!(encrypt.json(), json!({ "KeyId": ARN, "Plaintext": "aw==" }));
    assert_eq!(encrypt.headers["x-amz-target"], "TrentService.Encrypt");
    assert_eq!(
        encrypt.headers["content-type"],
        "application/x-amz-json-1.1"
    );
    assert_eq!(encrypt.headers["host"], "kms.eu-west-1.amazonaws.com");
    let authorization = &encrypt.headers["authorization"];
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"));
    assert!(authorization.contains("/eu-west-1/kms/aws4_request"));
    assert!(
        authorization.contains(
            "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target"
        )
    );
    assert_eq!(
        seen[1].json(),
        json!({ "KeyId": ARN, "CiphertextBlob": "d3JhcHBlZA==" })
    );
}

#[tokio::test]
async fn a_role_of_aws_is_assumed_once() {
    let session = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId>\
        <SecretAccessKey>s</SecretAccessKey><SessionToken>tok</SessionToken></Credentials></AssumeRoleResult></AssumeRoleResponse>";
    let good = json!({ "CiphertextBlob": "d3JhcHBlZA==" });
    let recorder =
        Recorder::start(&[(200, json!(session)), (200, good.clone()), (200, good)]).await;
    let kms = recorder.kms(&[]);
    let role = [
        ACCESS[0],
        ACCESS[1],
        ("role.arn", "arn:aws:iam::1:role/r"),
        ("role.external.id", "x&y"),
    ];
    let key = key("aws-kms", ARN, &role);
    kms.wrap(&key, b"k").await.unwrap();
    kms.wrap(&key, b"k").await.unwrap();
    let seen = recorder.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].url, "https://sts.eu-west-1.amazonaws.com/");
    assert_eq!(
        seen[0].body,
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr\
        &RoleSessionName=confluent-encrypt&ExternalId=x%26y"
    );
    assert_eq!(seen[1].headers["x-amz-security-token"], "tok");
    assert!(seen[1].headers["authorization"].contains("Credential=ASIA/"));
}

#[tokio::test]
async fn azure_is_asked_with_a_token_for_key_vault() {
    let recorder = Recorder::start(&[
        (200, json!({ "access_token": "tok", "expires_in": 3599 })),
        (200, json!({ "kid": "k", "value": "d3JhcHBlZA" })),
        (200, json!({ "kid": "k", "value": "aw" })),
        (
            403,
            json!({ "error": { "code": "Forbidden", "message": "no permission" } }),
        ),
    ])
    .await;
    let kms = recorder.kms(&[]);
    let who = [
        ("tenant.id", "ten"),
        ("client.id", "cli"),
        ("client.secret", "s&s"),
    ];
    let id = "https://mine.vault.azure.net/keys/k/0123";
    let key = key("azure-kms", id, &who);
    assert_eq!(kms.wrap(&key, b"k").await.unwrap(), b"wrapped");
    assert_eq!(kms.unwrap(&key, b"wrapped").await.unwrap().as_slice(), b"k");
    assert!(kms.wrap(&key, b"k").await.unwrap_err().is_access_denied());
    let seen = recorder.seen();
    assert_eq!(
        seen[0].url,
        "https://login.microsoftonline.com/ten/oauth2/v2.0/token"
    );
    assert_eq!(
        seen[0].body,
        "grant_type=client_credentials&client_id=cli\
        &scope=https%3A%2F%2Fvault.azure.net%2F.default&client_secret=s%26s"
    );
    assert_eq!(seen[1].url, format!("{id}/encrypt?api-version=7.4"));
    assert_eq!(
        seen[1].json(),
        json!({ "alg": "RSA-OAEP-256", "value": "aw" })
    );
    assert_eq!(seen[1].headers["authorization"], "Bearer tok");
    assert_eq!(seen[2].url, format!("{id}/decrypt?api-version=7.4"));
    assert_eq!(
        seen[2].json(),
        json!({ "alg": "RSA-OAEP-256", "value": "d3JhcHBlZA" })
    );
}

#[tokio::test]
async fn azures_machine_gives_tokens_too() {
    let recorder = Recorder::start(&[
        (200, json!({ "access_token": "tok", "expires_in": "3599" })),
        (200, json!({ "value": "d3JhcHBlZA" })),
    ])
    .await;
    let kms = recorder.kms(&[]);
    let key = key("azure-kms", "https://m.vault.azure.cn/keys/k/1", &[]);
    kms.wrap(&key, b"k").await.unwrap();
    let seen = recorder.seen();
    assert_eq!(
        seen[0].url,
        "http://169.254.169.254/metadata/identity/oauth2/token\
        ?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.cn"
    );
    assert_eq!(
        (seen[0].method.as_str(), &*seen[0].headers["metadata"]),
        ("GET", "true")
    );
}

#[tokio::test]
async fn google_is_asked_for_the_key_by_its_name() {
    let recorder = Recorder::start(&[
        (200, json!({ "name": "k", "ciphertext": "d3JhcHBlZA==" })),
        (200, json!({ "plaintext": "aw==" })),
        (
            403,
            json!({ "error": { "code": 403, "message": "denied", "status": "PERMISSION_DENIED" } }),
        ),
    ])
    .await;
    let kms = recorder.kms(&[("CLOUDSDK_AUTH_ACCESS_TOKEN", "tok")]);
    let id = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
    let key = key("gcp-kms", id, &[]);
    assert_eq!(kms.wrap(&key, b"k").await.unwrap(), b"wrapped");
    assert_eq!(kms.unwrap(&key, b"wrapped").await.unwrap().as_slice(), b"k");
    let denied = kms.wrap(&key, b"k").await.unwrap_err();
    assert_eq!(denied.to_string(), "gcp-kms denies access: denied");
    let seen = recorder.seen();
    let host = "https://cloudkms.googleapis.com/v1";
    assert_eq!(seen[0].url, format!("{host}/{id}:encrypt"));
    assert_eq!(seen[0].json(), json!({ "plaintext": "aw==" }));
    assert_eq!(seen[0].headers["authorization"], "Bearer tok");
    assert_eq!(seen[1].url, format!("{host}/{id}:decrypt"));
    assert_eq!(seen[1].json(), json!({ "ciphertext": "d3JhcHBlZA==" }));
}

#[tokio::test]
async fn an_id_that_is_no_keys_is_asked_of_nobody() {
    let recorder = Recorder::start(&[]).await;
    let kms = recorder.kms(&[("CLOUDSDK_AUTH_ACCESS_TOKEN", "tok")]);
    for (kms_type, key_id) in [
        ("hcvault", "transit/keys/k"),
        ("hcvault", "ftp://v/transit/keys/k"),
        ("hcvault", "http://v/transit/k"),
        ("hcvault", "http://v/keys/k"),
        ("aws-kms", "alias/mine"),
        ("aws-kms", "arn:aws:kms:evil.example/:1:key/k"),
        ("azure-kms", "https://vault.azure.net.evil.example/keys/k/1"),
        ("azure-kms", "http://mine.vault.azure.net/keys/k/1"),
        ("azure-kms", "https://mine.vault.azure.net:444/keys/k/1"),
        ("azure-kms", "https://u@mine.vault.azure.net/keys/k/1"),
        ("gcp-kms", "projects/p"),
        (
            "gcp-kms",
            "projects/../locations/l/keyRings/r/cryptoKeys/k?x=/",
        ),
    ] {
        let key = key(kms_type, key_id, &[("token.id", "t")]);
        let error = kms.wrap(&key, b"k").await.unwrap_err();
        assert!(
            matches!(error, KmsError::KeyId { .. }),
            "{key_id}: {error:?}"
        );
    }
    let unknown = kms.wrap(&key("my-kms", "k", &[]), b"k").await.unwrap_err();
    assert!(matches!(unknown, KmsError::UnknownType { .. }));
    assert!(recorder.seen().is_empty());
}

#[tokio::test]
async fn credentials_that_no_header_can_hold_are_refused() {
    let recorder = Recorder::start(&[]).await;
    let kms = recorder.kms(&[]);
    let broken = [("access.key.id", "A\nB"), ("secret.access.key", "s")];
    for key in [
        key("aws-kms", ARN, &broken),
        key("hcvault", VAULT_KEY, &[("token.id", "a\r\nb")]),
        key("aws-kms", ARN, &[("profile", "p")]),
    ] {
        let error = kms.wrap(&key, b"k").await.unwrap_err();
        assert!(matches!(error, KmsError::NoCredentials { .. }), "{error:?}");
    }
    assert!(recorder.seen().is_empty());
}

#[tokio::test]
async fn an_alternate_key_is_used_when_the_first_fails() {
    let good = json!({ "data": { "ciphertext": "vault:v1:abc" } });
    let recorder = Recorder::start(&[
        (500, json!({ "errors": ["sealed"] })),
        (200, good),
        (403, json!({ "errors": ["permission denied"] })),
        (500, json!({ "errors": ["sealed"] })),
    ])
    .await;
    let kms = recorder.kms(&[]);
    let other = "http://other.example/transit/keys/theirs";
    let alternates = [("token.id", "t"), ("encrypt.alternate.kms.key.ids", other)];
    let key = key("hcvault", VAULT_KEY, &alternates);
    assert_eq!(kms.wrap(&key, b"k").await.unwrap(), b"vault:v1:abc");
    assert!(
        recorder.seen()[1]
            .url
            .starts_with("http://other.example/v1/")
    );
    assert!(kms.wrap(&key, b"k").await.unwrap_err().is_access_denied());
}

#[tokio::test]
async fn answers_that_say_nothing_are_errors() {
    let recorder = Recorder::start(&[
        (200, json!("no json")),
        (200, json!({ "data": {} })),
        (200, json!({ "data": { "plaintext": "%" } })),
        (200, json!(" ".repeat(300_000))),
        (302, json!("")),
    ])
    .await;
    let kms = recorder.kms(&[]);
    let key = key("hcvault", VAULT_KEY, &[("token.id", "t")]);
    for _ in 0..4 {
        let error = kms.unwrap(&key, b"x").await.unwrap_err();
        assert!(matches!(error, KmsError::Answer { .. }), "{error:?}");
    }
    let redirected = kms.unwrap(&key, b"x").await.unwrap_err();
    assert!(matches!(redirected, KmsError::Refused { status: 302, .. }));
}

#[test]
fn nothing_prints_a_secret() {
    let key = key("hcvault", VAULT_KEY, &[("token.id", "hush")]);
    let kms = alone(&[("VAULT_TOKEN", "hush")]);
    let text = format!("{key:?} {kms:?}");
    assert!(
        !text.contains("hush") && text.contains("token.id"),
        "{text}"
    );
}

#[test]
fn a_type_is_kept_in_one_spelling() {
    for (given, kept) in [
        ("AWS", "aws-kms"),
        ("Azure-KMS", "azure-kms"),
        ("gcp", "gcp-kms"),
        ("hcvault", "hcvault"),
        ("Mine", "Mine"),
    ] {
        assert_eq!(normal_type(given), kept);
    }
}

#[tokio::test]
async fn a_property_of_a_configuration_is_a_variable() {
    let mut environment = Environment::default();
    assert!(environment.set_property("secret", "s"));
    assert!(environment.set_property("token.id", "hush"));
    assert!(!environment.set_property("nonsense", "x"));
    assert!(!format!("{environment:?}").contains("hush"));
    let kms = Kms::new(environment).unwrap();
    let local = key("local-kms", "k", &[]);
    let wrapped = kms.wrap(&local, b"dek").await.unwrap();
    assert_eq!(*kms.unwrap(&local, &wrapped).await.unwrap(), b"dek");
    // The token is for the vault of VAULT_ADDR, and nobody has named one.
    let vault = key("hcvault", "http://127.0.0.1:1/transit/keys/k", &[]);
    let error = kms.wrap(&vault, b"dek").await.unwrap_err();
    assert!(matches!(error, KmsError::NoCredentials { .. }), "{error}");
}
