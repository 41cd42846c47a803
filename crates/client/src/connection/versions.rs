//! Which version of each API both sides speak.

use std::ops::RangeInclusive;

use wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use wire::{API_SPECS, ErrorCode, Message, Request};

use super::Inner;
use crate::error::{ClientError, KafkaError};

/// What a broker said it speaks: `(key, oldest, newest)`, by key.
#[derive(Debug, Default)]
pub(super) struct VersionRanges(Vec<(i16, i16, i16)>);

impl VersionRanges {
    fn of(response: &ApiVersionsResponse) -> VersionRanges {
        let mut ranges: Vec<_> = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, api.min_version, api.max_version))
            .collect();
        ranges.sort_unstable();
        VersionRanges(ranges)
    }

    /// The newest common version in `wanted`; the broker's range when there is none.
    pub(super) fn common<R: Request>(
        &self,
        wanted: &RangeInclusive<i16>,
    ) -> Result<i16, Option<(i16, i16)>> {
        let theirs = self
            .0
            .binary_search_by_key(&R::API_KEY, |range| range.0)
            .ok()
            .and_then(|index| self.0.get(index))
            .map(|&(_, min, max)| (min, max));
        let (their_min, their_max) = theirs.ok_or(None)?;
        let newest = newest_stable::<R>().min(their_max).min(*wanted.end());
        if newest >= R::MIN_VERSION.max(their_min).max(*wanted.start()) {
            Ok(newest)
        } else {
            Err(theirs)
        }
    }
}

/// The API's name without `Request`, as the schema spells it.
pub(super) fn api_name<R: Request>() -> &'static str {
    R::NAME.strip_suffix("Request").unwrap_or(R::NAME)
}

/// Our newest version, without one that may still change.
fn newest_stable<R: Request>() -> i16 {
    let unstable = API_SPECS
        .iter()
        .any(|spec| spec.key as i16 == R::API_KEY && spec.latest_version_unstable);
    R::MAX_VERSION - i16::from(unstable)
}

/// Asks the broker for its ranges.
pub(super) async fn exchange(inner: &Inner) -> Result<VersionRanges, ClientError> {
    let request = ApiVersionsRequest {
        client_software_name: "affluent".to_owned(),
        client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..ApiVersionsRequest::default()
    };
    let newest = newest_stable::<ApiVersionsRequest>();
    let mut response = ask(inner, &request, newest).await?;
    if response.error_code == ErrorCode::UnsupportedVersion as i16 {
        // The broker's range may be missing altogether; version 0 is always understood.
        let retry = VersionRanges::of(&response)
            .common::<ApiVersionsRequest>(&(0..=newest))
            .unwrap_or(0);
        response = ask(inner, &request, retry).await?;
    }
    match response.error_code {
        0 => Ok(VersionRanges::of(&response)),
        code => Err(ClientError::Kafka(KafkaError {
            api: "ApiVersions",
            subject: format!("'{}'", inner.address),
            code,
            message: None,
        })),
    }
}

async fn ask(
    inner: &Inner,
    request: &ApiVersionsRequest,
    version: i16,
) -> Result<ApiVersionsResponse, ClientError> {
    let request = if version >= 3 {
        request
    } else {
        &ApiVersionsRequest::default()
    };
    let limit = inner.options.connect_timeout;
    let body = inner.exchange(request, version, limit).await?;
    let refused = body.clone().i16() == Ok(ErrorCode::UnsupportedVersion as i16);
    let version = if refused {
        ApiVersionsResponse::MIN_VERSION
    } else {
        version
    };
    inner.decode(body, version)
}
