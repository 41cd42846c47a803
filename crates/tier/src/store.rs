//! [`RemoteStore`] over an object store.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use storage::tier::{RemoteError, RemoteStore};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::url::{StoreOptions, StoreUrl};

/// What is larger goes up in parts of this size. S3 takes 10,000 parts: segments of up to 2 GiB are far from that.
const PART_BYTES: usize = 8 << 20;
/// Parts on their way at once: with the one being read, what a copy holds in memory.
const PARTS_AT_ONCE: usize = 3;

/// Threads that drive the connections; the bytes themselves are handled by the threads that wait.
const WORKERS: usize = 2;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL names no store.
    #[error("'{url}' is no remote store: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Its settings do not do.
    #[error("the remote store '{url}' cannot be used as it is configured")]
    Build {
        /// The URL.
        url: String,
        /// Why not.
        #[source]
        source: object_store::Error,
    },
    /// Its threads cannot be started.
    #[error("the threads of the remote store cannot be started")]
    Runtime(#[source] io::Error),
    /// The directory cannot be made.
    #[error("the directory '{}' of the remote store cannot be made", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A store, reached through a runtime.
pub struct ObjectTier {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    /// Where the objects are files: they are synced when they are written, since the local segment may go then.
    directory: Option<PathBuf>,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
    closed: CancellationToken,
}

impl Drop for ObjectTier {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever drops this may be on a runtime, where nothing may be waited for.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for ObjectTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectTier")
            .field("store", &self.store)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// The storage closed while a call was waiting.
#[derive(Debug, thiserror::Error)]
#[error("the storage is closing")]
struct Closing;

impl ObjectTier {
    /// A store with a small runtime of its own, so that its connections take no thread from clients. Nothing is sent yet: a store
    /// that is away is noticed when it is needed.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(url: &StoreUrl, options: &StoreOptions) -> Result<ObjectTier, OpenError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("remote-store")
            .enable_all()
            .build()
            .map_err(OpenError::Runtime)?;
        Ok(ObjectTier {
            store: url.build(options)?,
            prefix: url.prefix().to_owned(),
            directory: url.local_path(),
            runtime: Some(runtime),
            closed: CancellationToken::new(),
        })
    }

    fn path(&self, name: &str) -> ObjectPath {
        if self.prefix.is_empty() {
            ObjectPath::from(name)
        } else {
            ObjectPath::from(format!("{}/{name}", self.prefix))
        }
    }

    /// Waits for a request on the calling thread, which must be none of the runtime's.
    fn wait<T>(
        &self,
        action: &'static str,
        name: &str,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, RemoteError> {
        let Some(runtime) = &self.runtime else {
            return Err(RemoteError::unavailable(action, name, Closing));
        };
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.closed.cancelled() => Err(RemoteError::unavailable(action, name, Closing)),
                answer = request => answer.map_err(|error| of_error(action, name, error)),
            }
        })
    }

    /// Makes an object in a directory, and its name, durable.
    fn sync(&self, name: &str) -> Result<(), RemoteError> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let path = directory.join(name);
        let within = path
            .ancestors()
            .take_while(|path| path.starts_with(directory));
        for path in within {
            let synced = File::open(path).and_then(|file| file.sync_all());
            synced.map_err(|error| RemoteError::unavailable("sync", name, error))?;
        }
        Ok(())
    }

    async fn put_parts(
        &self,
        path: &ObjectPath,
        file: &File,
        length: u64,
    ) -> object_store::Result<()> {
        let upload = self.store.put_multipart(path).await?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut position = 0;
        while position < length {
            if let Err(error) = parts.wait_for_capacity(PARTS_AT_ONCE).await {
                return give_up(parts, error).await;
            }
            let left = usize::try_from(length - position).unwrap_or(usize::MAX);
            // A read from the page cache or the local disk, of a few milliseconds, on a thread that serves copies only.
            match read(file, position, left.min(PART_BYTES)) {
                Ok(bytes) => {
                    position += bytes.len() as u64;
                    parts.put(bytes);
                }
                Err(error) => return give_up(parts, local(error)).await,
            }
        }
        parts.finish().await.map(drop)
    }
}

/// Leaves no parts behind.
async fn give_up(parts: WriteMultipart, error: object_store::Error) -> object_store::Result<()> {
    if let Err(error) = parts.abort().await {
        tracing::warn!(%error, "cannot give up an upload; the store's own rules must remove its parts");
    }
    Err(error)
}

fn local(error: io::Error) -> object_store::Error {
    object_store::Error::Generic {
        store: "local segment",
        source: Box::new(error),
    }
}

fn read(file: &File, position: u64, length: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, position)?;
    Ok(bytes.into())
}

fn of_error(action: &'static str, name: &str, error: object_store::Error) -> RemoteError {
    match error {
        object_store::Error::NotFound { .. } => RemoteError::NotFound {
            name: name.to_owned(),
        },
        error => RemoteError::unavailable(action, name, error),
    }
}

impl RemoteStore for ObjectTier {
    fn put_file(&self, name: &str, file: &Path, length: u64) -> Result<(), RemoteError> {
        let unreadable = |error| RemoteError::unavailable("copy", name, error);
        let file = File::open(file).map_err(unreadable)?;
        let path = self.path(name);
        if length <= PART_BYTES as u64 {
            let length = usize::try_from(length).unwrap_or(PART_BYTES);
            let bytes = read(&file, 0, length).map_err(unreadable)?;
            let put = self.store.put(&path, PutPayload::from_bytes(bytes));
            self.wait("write", name, put)?;
        } else {
            self.wait("write", name, self.put_parts(&path, &file, length))?;
        }
        self.sync(name)
    }

    fn put(&self, name: &str, bytes: Bytes) -> Result<(), RemoteError> {
        let path = self.path(name);
        let put = self.store.put(&path, PutPayload::from_bytes(bytes));
        self.wait("write", name, put)?;
        self.sync(name)
    }

    fn get(&self, name: &str, position: u64, length: u64) -> Result<Bytes, RemoteError> {
        let path = self.path(name);
        let end = position.saturating_add(length);
        self.wait("read", name, async {
            // A range past the end is an error for some stores; who asks for one knows no length.
            let end = if length == u64::MAX || end == u64::MAX {
                self.store.head(&path).await?.size
            } else {
                end
            };
            if position >= end {
                return Ok(Bytes::new());
            }
            self.store.get_range(&path, position..end).await
        })
    }

    fn delete(&self, name: &str) -> Result<(), RemoteError> {
        let path = self.path(name);
        match self.wait("delete", name, self.store.delete(&path)) {
            Err(RemoteError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(&str)) -> Result<(), RemoteError> {
        let path = self.path(prefix);
        let before = if self.prefix.is_empty() {
            0
        } else {
            self.prefix.len() + 1
        };
        self.wait("list", prefix, async {
            let mut found = self.store.list(Some(&path));
            while let Some(object) = found.next().await {
                let name = object?.location;
                if let Some(name) = name.as_ref().get(before..) {
                    each(name);
                }
            }
            Ok(())
        })
    }

    fn close(&self) {
        self.closed.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::tier::conformance::check_store;

    fn open(url: &str) -> ObjectTier {
        let url = StoreUrl::parse(url).unwrap();
        let options = StoreOptions {
            endpoint: Some("http://127.0.0.1:9".to_owned()),
            access_key: Some("k".to_owned()),
            secret_key: Some("s".to_owned()),
            path_style: true,
            ..StoreOptions::default()
        };
        ObjectTier::open(&url, &options).unwrap()
    }

    #[test]
    fn a_directory_keeps_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        let tier = open(&format!("file://{}/made/here", dir.path().display()));
        check_store(&tier, "c");
    }

    #[test]
    fn a_server_that_is_away_is_an_error_and_closing_ends_the_wait() {
        let tier = open("s3://bucket/prefix");
        let tier = Arc::new(tier);
        let waiting = Arc::clone(&tier);
        let thread = std::thread::spawn(move || waiting.get("a/b", 0, 5));
        tier.close();
        let error = thread.join().unwrap().unwrap_err();
        assert!(
            matches!(error, RemoteError::Unavailable { .. }),
            "{error:?}"
        );
    }
}
