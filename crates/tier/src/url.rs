//! Which store, by URL, and how to reach it.
//!
//! | URL | store |
//! |---|---|
//! | `file:///dir` | a directory, created when missing |
//! | `s3://bucket/prefix` | Amazon S3 and what speaks like it |
//! | `gs://bucket/prefix` | Google Cloud Storage |
//! | `az://container/prefix` | Azure Blob Storage |
//!
//! Keys that are not given come from the environment, by the names that the store's own tools use (`AWS_ACCESS_KEY_ID`, ...).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use crate::store::OpenError;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a failed request is tried again.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES_MAX: usize = 4;

/// A checked URL of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUrl {
    url: Url,
}

impl StoreUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`OpenError::Url`] for one that names no store that there is.
    pub fn parse(text: &str) -> Result<StoreUrl, OpenError> {
        let refuse = |reason: &str| OpenError::Url {
            url: text.to_owned(),
            reason: reason.to_owned(),
        };
        let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        let needs_host = match url.scheme() {
            "file" => false,
            "s3" | "gs" | "az" => true,
            _ => return Err(refuse("expected file://, s3://, gs:// or az://")),
        };
        if needs_host != url.host_str().is_some_and(|host| !host.is_empty()) {
            return Err(refuse(if needs_host {
                "the bucket is missing"
            } else {
                "expected three slashes: file:///dir"
            }));
        }
        if url.query().is_some() || url.fragment().is_some() || url.password().is_some() {
            return Err(refuse("expected a place and nothing more"));
        }
        Ok(StoreUrl { url })
    }

    /// What every object's name begins with: the path behind the bucket, without slashes at its ends. Empty for a directory.
    pub(crate) fn prefix(&self) -> &str {
        if self.url.scheme() == "file" {
            ""
        } else {
            self.url.path().trim_matches('/')
        }
    }

    pub(crate) fn build(&self, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>, OpenError> {
        let failed = |source| OpenError::Build {
            url: self.url.to_string(),
            source,
        };
        let bucket = self.url.host_str().unwrap_or_default();
        Ok(match self.url.scheme() {
            "s3" => Arc::new(s3(bucket, options).build().map_err(failed)?),
            "gs" => {
                let mut builder = GoogleCloudStorageBuilder::from_env()
                    .with_bucket_name(bucket)
                    .with_retry(retries())
                    .with_client_options(client(options));
                if let Some(key) = &options.secret_key {
                    builder = builder.with_service_account_key(key);
                }
                if let Some(endpoint) = &options.endpoint {
                    builder = builder.with_base_url(endpoint);
                }
                Arc::new(builder.build().map_err(failed)?)
            }
            "az" => {
                let mut builder = MicrosoftAzureBuilder::from_env()
                    .with_container_name(bucket)
                    .with_retry(retries())
                    .with_client_options(client(options));
                if let Some(account) = &options.access_key {
                    builder = builder.with_account(account);
                }
                if let Some(key) = &options.secret_key {
                    builder = builder.with_access_key(key);
                }
                if let Some(endpoint) = &options.endpoint {
                    builder = builder.with_endpoint(endpoint.clone());
                }
                Arc::new(builder.build().map_err(failed)?)
            }
            _ => Arc::new(self.directory()?),
        })
    }

    fn directory(&self) -> Result<LocalFileSystem, OpenError> {
        let directory = |source| OpenError::Directory {
            path: self.url.path().into(),
            source,
        };
        let path = self
            .url
            .to_file_path()
            .map_err(|()| directory(std::io::ErrorKind::InvalidInput.into()))?;
        std::fs::create_dir_all(&path).map_err(directory)?;
        LocalFileSystem::new_with_prefix(&path).map_err(|source| OpenError::Build {
            url: self.url.to_string(),
            source,
        })
    }

    /// The directory, if it is one.
    pub(crate) fn local_path(&self) -> Option<PathBuf> {
        let is_file = self.url.scheme() == "file";
        is_file.then(|| self.url.to_file_path().ok()).flatten()
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

/// How to reach a store; what is none comes from the environment. Keys are not printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// The server's URL, for a store that is not its vendor's own.
    pub endpoint: Option<String>,
    /// The region; `us-east-1` when neither this nor the environment says.
    pub region: Option<String>,
    /// S3: the access key id. Azure: the account.
    pub access_key: Option<String>,
    /// S3: the secret access key. Azure: the account's key. Google: the service account's key, as JSON.
    pub secret_key: Option<String>,
    /// S3: the bucket is the first part of the path, not of the host name. Servers of one's own want that.
    pub path_style: bool,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .finish_non_exhaustive()
    }
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIMEOUT,
    }
}

fn client(options: &StoreOptions) -> ClientOptions {
    let plain = options
        .endpoint
        .as_ref()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new()
        .with_timeout(REQUEST_TIMEOUT)
        .with_allow_http(plain)
}

fn s3(bucket: &str, options: &StoreOptions) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(retries())
        .with_client_options(client(options))
        .with_virtual_hosted_style_request(!options.path_style);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(key) = &options.access_key {
        builder = builder.with_access_key_id(key);
    }
    if let Some(key) = &options.secret_key {
        builder = builder.with_secret_access_key(key);
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_store() {
        for (text, prefix) in [
            ("file:///tmp/a b", ""),
            ("s3://bucket", ""),
            ("s3://bucket/a/b/", "a/b"),
            ("gs://bucket/x", "x"),
            ("az://container", ""),
        ] {
            assert_eq!(StoreUrl::parse(text).unwrap().prefix(), prefix, "{text}");
        }
        for (text, reason) in [
            ("", "relative URL without a base"),
            ("http://x/y", "expected file://, s3://"),
            ("s3:///x", "the bucket is missing"),
            ("file://host/x", "three slashes"),
            ("s3://b/p?x=1", "a place and nothing more"),
        ] {
            let error = StoreUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn keys_are_not_printed() {
        let options = StoreOptions {
            access_key: Some("open".to_owned()),
            secret_key: Some("sesame".to_owned()),
            ..StoreOptions::default()
        };
        let text = format!("{options:?}");
        assert!(!text.contains("sesame") && !text.contains("open"), "{text}");
    }
}
