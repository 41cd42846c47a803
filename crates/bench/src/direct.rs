//! Reading the objects of an S3 server as a program that needs no broker would: the client of the crate `object_store`, which is the
//! broker's too, on as many threads as the broker gives it.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat::object_server::BUCKET;
use compat::seaweedfs::{self, SeaweedFs};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, GetRange, ObjectStore};
use tokio::runtime::Runtime;

/// Threads that drive the connections.
const WORKERS: usize = 2;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Objects of one kind, in the order of their names.
#[derive(Debug)]
pub(crate) struct Direct {
    runtime: Runtime,
    store: Arc<AmazonS3>,
    objects: Vec<(Path, u64)>,
}

impl Direct {
    /// Lists the objects below `prefix` whose names end with `suffix`.
    pub(crate) fn open(server: &SeaweedFs, prefix: &str, suffix: &str) -> Result<Direct> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()?;
        let client = ClientOptions::new()
            .with_timeout(REQUEST_TIMEOUT)
            .with_allow_http(true);
        let store = AmazonS3Builder::new()
            .with_bucket_name(BUCKET)
            .with_endpoint(server.endpoint())
            .with_region(seaweedfs::REGION)
            .with_access_key_id(seaweedfs::ACCESS_KEY)
            .with_secret_access_key(seaweedfs::SECRET_KEY)
            .with_client_options(client)
            .build()?;
        let listed = store.list(Some(&Path::from(prefix)));
        let listed = listed.map_ok(|object| (object.location, object.size));
        let mut objects: Vec<(Path, u64)> = runtime.block_on(listed.try_collect())?;
        objects.retain(|(name, _)| name.as_ref().ends_with(suffix));
        objects.sort();
        ensure!(
            !objects.is_empty(),
            "the server has no object {prefix}/*{suffix}"
        );
        Ok(Direct {
            runtime,
            store: Arc::new(store),
            objects,
        })
    }

    /// The bytes of all objects.
    pub(crate) fn bytes(&self) -> u64 {
        self.objects.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Reads all objects in ranges of `range_bytes`, in order, `at_once` of them on their way; how long it took.
    pub(crate) fn ranges(&self, range_bytes: u64, at_once: usize) -> Result<Duration> {
        let step = usize::try_from(range_bytes)?;
        let ranges = self.objects.iter().flat_map(|(name, bytes)| {
            let starts = (0..*bytes).step_by(step);
            starts.map(move |start| (name.clone(), start..(start + range_bytes).min(*bytes)))
        });
        self.timed(async {
            let reads = stream::iter(ranges).map(|(name, range)| {
                let store = Arc::clone(&self.store);
                self.runtime
                    .spawn(async move { read(&store, &name, range).await })
            });
            let mut reads = reads.buffered(at_once.max(1));
            let mut total = 0;
            while let Some(read) = reads.next().await {
                total += read??;
            }
            Ok(total)
        })
    }

    /// Reads all objects whole, one after the other; how long it took.
    pub(crate) fn whole(&self) -> Result<Duration> {
        self.timed(async {
            let mut total = 0;
            for (name, _) in &self.objects {
                let found = self.store.get_opts(name, GetOptions::default()).await?;
                let mut parts = found.into_stream();
                while let Some(part) = parts.next().await {
                    total += part?.len() as u64;
                }
            }
            Ok(total)
        })
    }

    fn timed(&self, reading: impl Future<Output = Result<u64>>) -> Result<Duration> {
        let begin = Instant::now();
        let total = self.runtime.block_on(reading)?;
        let took = begin.elapsed();
        ensure!(
            total == self.bytes(),
            "{total} bytes were read of {}",
            self.bytes()
        );
        Ok(took)
    }
}

async fn read(store: &AmazonS3, name: &Path, range: Range<u64>) -> Result<u64> {
    let options = GetOptions {
        range: Some(GetRange::Bounded(range)),
        ..GetOptions::default()
    };
    let found = store.get_opts(name, options).await;
    let bytes = found.context("could not read a range")?.bytes().await?;
    Ok(bytes.len() as u64)
}
