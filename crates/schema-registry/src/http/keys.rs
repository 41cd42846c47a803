//! `/dek-registry/v1/keks`: key encryption keys, and the data encryption keys under each.

use std::collections::BTreeMap;

use axum::http::Method;
use schema::encryption::Algorithm;
use serde::{Deserialize, Deserializer, Serialize};

use super::entities::present;
use super::{App, Call, HttpError, Reply, forward, methods};
use crate::dek::KeyError;
use crate::dek::deks::{FIRST_VERSION, FoundDek, Named, NewDek};
use crate::dek::keks::{FoundKek, KekChange, NewKek, shown};
use crate::dek::records::{DekId, DekValue, KekValue};
use crate::service::listing::Limits;
use crate::service::lookup::VersionId;

/// The paths below `/dek-registry/v1/keks`.
pub(super) async fn route(app: &App, call: &Call, rest: &[&str]) -> Result<Reply, HttpError> {
    match rest {
        [] => methods!(call,
            GET => list_keks(app, call),
            POST => create_kek(app, call).await,
        ),
        [kek] => methods!(call,
            GET => Reply::json(&KekEntity::of(&app.keys.kek(kek, call.flag("deleted"))?)),
            PUT => update_kek(app, call, kek).await,
            DELETE => delete_kek(app, call, kek).await,
        ),
        [kek, "undelete"] => methods!(call, POST => undelete_kek(app, call, kek).await),
        [kek, "test"] => methods!(call, POST => test_kek(app, kek).await),
        [kek, "deks"] => methods!(call,
            GET => list_subjects(app, call, kek),
            POST => create_dek(app, call, kek, None).await,
        ),
        [kek, "deks", subject, rest @ ..] => {
            let subject = app.registry.unaliased_for_deks(call.subject(subject));
            dek_routes(app, call, kek, subject, rest).await
        }
        _ => Err(HttpError::not_found()),
    }
}

async fn dek_routes(
    app: &App,
    call: &Call,
    kek: &str,
    subject: String,
    rest: &[&str],
) -> Result<Reply, HttpError> {
    match rest {
        [] => methods!(call,
            GET => get_dek(app, call, kek, subject, None).await,
            POST => create_dek(app, call, kek, Some(subject)).await,
            DELETE => delete_deks(app, call, kek, subject, None).await,
        ),
        ["undelete"] => methods!(call, POST => undelete_deks(app, call, kek, subject, None).await),
        ["versions"] => methods!(call, GET => list_versions(app, call, kek, subject)),
        ["versions", version] => methods!(call,
            GET => get_dek(app, call, kek, subject, Some(version)).await,
            DELETE => delete_deks(app, call, kek, subject, Some(version)).await,
        ),
        ["versions", version, "undelete"] => methods!(call,
            POST => undelete_deks(app, call, kek, subject, Some(version)).await,
        ),
        _ => Err(HttpError::not_found()),
    }
}

/// A KEK (`Kek`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KekEntity<'a> {
    name: &'a str,
    kms_type: &'a str,
    kms_key_id: &'a str,
    kms_props: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doc: Option<&'a str>,
    shared: bool,
    ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<bool>,
}

impl<'a> KekEntity<'a> {
    fn of(found: &'a FoundKek) -> Self {
        let value = &found.stored.value;
        Self {
            name: &found.name,
            kms_type: &value.kms_type,
            kms_key_id: &value.kms_key_id,
            kms_props: shown(&value.kms_props),
            doc: value.doc.as_deref(),
            shared: value.shared,
            ts: found.stored.timestamp_ms,
            deleted: value.deleted.then_some(true),
        }
    }
}

/// A DEK (`Dek`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DekEntity<'a> {
    kek_name: &'a str,
    subject: &'a str,
    version: i32,
    algorithm: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted_key_material: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material: Option<&'a str>,
    ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<bool>,
}

impl<'a> DekEntity<'a> {
    fn of(found: &'a FoundDek) -> Self {
        let value = &found.stored.value;
        Self {
            kek_name: &found.id.kek_name,
            subject: &found.id.subject,
            version: found.id.version,
            algorithm: found.id.algorithm.name(),
            encrypted_key_material: value.encrypted_key_material.as_deref(),
            key_material: found.key_material.as_ref().map(|key| key.as_str()),
            ts: found.stored.timestamp_ms,
            deleted: value.deleted.then_some(true),
        }
    }
}

/// A KEK to make (`CreateKekRequest`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateKekRequest {
    name: Option<String>,
    kms_type: Option<String>,
    kms_key_id: Option<String>,
    kms_props: Option<BTreeMap<String, String>>,
    doc: Option<String>,
    shared: Option<bool>,
    deleted: Option<bool>,
}

/// A change of a KEK (`UpdateKekRequest`). What is absent stays, what is `null` goes.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UpdateKekRequest {
    #[serde(deserialize_with = "present")]
    kms_props: Option<Option<BTreeMap<String, String>>>,
    #[serde(deserialize_with = "present")]
    doc: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    shared: Option<Option<bool>>,
}

/// A DEK to make (`CreateDekRequest`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateDekRequest {
    subject: Option<String>,
    version: Option<i32>,
    #[serde(default, deserialize_with = "algorithm")]
    algorithm: Option<Algorithm>,
    encrypted_key_material: Option<String>,
    deleted: Option<bool>,
}

fn algorithm<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Algorithm>, D::Error> {
    use serde::de::Error;
    let name: Option<String> = Option::deserialize(deserializer)?;
    let Some(name) = name else {
        return Ok(None);
    };
    let unknown = || D::Error::custom(format!("there is no algorithm {name}"));
    Algorithm::of(&name).ok_or_else(unknown).map(Some)
}

/// `*.search.*.limit` of keys: none, unless a request asks for less.
const LIMITS: Limits = Limits {
    default: usize::MAX,
    max: usize::MAX,
};

/// The query's `algorithm`; one that is none is answered as Jersey does: there is no such resource.
fn algorithm_of(call: &Call) -> Result<Algorithm, HttpError> {
    match call.text("algorithm") {
        None => Ok(Algorithm::default()),
        Some(name) => Algorithm::of(name).ok_or_else(HttpError::not_found),
    }
}

fn named(call: &Call, kek: &str, subject: String) -> Result<Named, HttpError> {
    Ok(Named {
        kek_name: kek.to_owned(),
        subject,
        algorithm: algorithm_of(call)?,
    })
}

/// What a path names, and its version if it has one. The version is looked at last, as there: a name that is none is
/// answered as such.
fn versioned(
    call: &Call,
    kek: &str,
    subject: String,
    version: Option<&str>,
) -> Result<(Named, Option<VersionId>), HttpError> {
    let named = named(call, kek, subject)?;
    named.check()?;
    let version = version.map(VersionId::parse).transpose()?;
    Ok((named, version))
}

/// `GET /dek-registry/v1/keks?subjectPrefix=&deleted=&offset=&limit=`
fn list_keks(app: &App, call: &Call) -> Result<Reply, HttpError> {
    let (prefixes, deleted) = (call.subject_prefixes(), call.flag("deleted"));
    Reply::json(&app.keys.kek_names(&prefixes, deleted, call.page(LIMITS)?))
}

/// `POST /dek-registry/v1/keks?testSharing=`
async fn create_kek(app: &App, call: &Call) -> Result<Reply, HttpError> {
    let request: CreateKekRequest = call.json()?;
    if let Some(reply) = forward::to_leader(app, call, "Create kek").await? {
        return Ok(reply);
    }
    let new = NewKek {
        name: request.name.unwrap_or_default(),
        value: KekValue {
            kms_type: request.kms_type.unwrap_or_default(),
            kms_key_id: request.kms_key_id.unwrap_or_default(),
            kms_props: request.kms_props.unwrap_or_default(),
            doc: request.doc,
            shared: request.shared.unwrap_or_default(),
            deleted: request.deleted.unwrap_or_default(),
        },
    };
    let made = app.keys.create_kek(new, call.flag("testSharing")).await?;
    Reply::json(&KekEntity::of(&made))
}

/// `PUT /dek-registry/v1/keks/{name}?testSharing=`
async fn update_kek(app: &App, call: &Call, kek: &str) -> Result<Reply, HttpError> {
    let request: UpdateKekRequest = call.json()?;
    if let Some(reply) = forward::to_leader(app, call, "Update kek").await? {
        return Ok(reply);
    }
    let change = KekChange {
        kms_props: request.kms_props,
        doc: request.doc,
        shared: request.shared,
    };
    let test_sharing = call.flag("testSharing");
    let changed = app.keys.update_kek(kek, change, test_sharing).await?;
    Reply::json(&KekEntity::of(&changed))
}

/// `DELETE /dek-registry/v1/keks/{name}?permanent=`
async fn delete_kek(app: &App, call: &Call, kek: &str) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Delete kek").await? {
        return Ok(reply);
    }
    app.keys.delete_kek(kek, call.flag("permanent")).await?;
    Ok(Reply::nothing())
}

/// `POST /dek-registry/v1/keks/{name}/undelete`
async fn undelete_kek(app: &App, call: &Call, kek: &str) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Undelete kek").await? {
        return Ok(reply);
    }
    app.keys.undelete_kek(kek).await?;
    Ok(Reply::nothing())
}

/// `POST /dek-registry/v1/keks/{name}/test`
async fn test_kek(app: &App, kek: &str) -> Result<Reply, HttpError> {
    let tested = app.keys.test_kek(kek).await?;
    Reply::json(&KekEntity::of(&tested))
}

/// `GET /dek-registry/v1/keks/{name}/deks?deleted=&offset=&limit=`
fn list_subjects(app: &App, call: &Call, kek: &str) -> Result<Reply, HttpError> {
    let page = call.page(LIMITS)?;
    Reply::json(&app.keys.dek_subjects(kek, call.flag("deleted"), page)?)
}

/// `GET /dek-registry/v1/keks/{name}/deks/{subject}/versions?algorithm=&deleted=&offset=&limit=`
fn list_versions(app: &App, call: &Call, kek: &str, subject: String) -> Result<Reply, HttpError> {
    let page = call.page(LIMITS)?;
    let named = named(call, kek, subject)?;
    Reply::json(&app.keys.dek_versions(&named, call.flag("deleted"), page)?)
}

/// `GET /dek-registry/v1/keks/{name}/deks/{subject}[/versions/{version}]?algorithm=&deleted=`
async fn get_dek(
    app: &App,
    call: &Call,
    kek: &str,
    subject: String,
    version: Option<&str>,
) -> Result<Reply, HttpError> {
    let (named, version) = versioned(call, kek, subject, version)?;
    let version = version.unwrap_or(VersionId::Number(FIRST_VERSION));
    let found = app.keys.dek(&named, version, call.flag("deleted")).await?;
    Reply::json(&DekEntity::of(&found))
}

/// `POST /dek-registry/v1/keks/{name}/deks[/{subject}]?rewrap=`
async fn create_dek(
    app: &App,
    call: &Call,
    kek: &str,
    of_path: Option<String>,
) -> Result<Reply, HttpError> {
    let request: CreateDekRequest = call.json()?;
    let of_body = request.subject.map(|subject| call.subject(&subject));
    let subject = match (of_path, of_body) {
        (Some(of_path), Some(of_body))
            if app.registry.unaliased_for_deks(of_body.clone()) != of_path =>
        {
            return Err(KeyError::Invalid { field: "subject" }.into());
        }
        (Some(subject), _) | (None, Some(subject)) => subject,
        (None, None) => String::new(),
    };
    if let Some(reply) = forward::to_leader(app, call, "Create dek").await? {
        return Ok(reply);
    }
    let new = NewDek {
        id: DekId {
            kek_name: kek.to_owned(),
            subject,
            algorithm: request.algorithm.unwrap_or_default(),
            version: request.version.unwrap_or(FIRST_VERSION),
        },
        value: DekValue {
            encrypted_key_material: request.encrypted_key_material,
            deleted: request.deleted.unwrap_or_default(),
        },
        rewrap: call.flag("rewrap"),
    };
    let made = app.keys.create_dek(new).await?;
    Reply::json(&DekEntity::of(&made))
}

/// `DELETE /dek-registry/v1/keks/{name}/deks/{subject}[/versions/{version}]?algorithm=&permanent=`
async fn delete_deks(
    app: &App,
    call: &Call,
    kek: &str,
    subject: String,
    version: Option<&str>,
) -> Result<Reply, HttpError> {
    let (named, version) = versioned(call, kek, subject, version)?;
    if let Some(reply) = forward::to_leader(app, call, "Delete dek").await? {
        return Ok(reply);
    }
    let permanent = call.flag("permanent");
    app.keys.delete_deks(&named, version, permanent).await?;
    Ok(Reply::nothing())
}

/// `POST /dek-registry/v1/keks/{name}/deks/{subject}[/versions/{version}]/undelete?algorithm=`
async fn undelete_deks(
    app: &App,
    call: &Call,
    kek: &str,
    subject: String,
    version: Option<&str>,
) -> Result<Reply, HttpError> {
    let (named, version) = versioned(call, kek, subject, version)?;
    if let Some(reply) = forward::to_leader(app, call, "Undelete dek").await? {
        return Ok(reply);
    }
    app.keys.undelete_deks(&named, version).await?;
    Ok(Reply::nothing())
}
