//! The remote part of a stopped broker's logs, for the offline tools: what the manifest says, and the store that a configuration names.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::TopicId;
use metastore::{EmbeddedStore, Metadata, MetadataError};
use storage::tier::{RemoteError, RemoteManifest, RemoteSegment, RemoteStore};
use tier::OpenError;

use super::{manifest::StoredManifest, open_store};
use crate::config::{BrokerConfigs, RemoteStoreSettings};

/// Why the remote part cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemotePartError {
    /// The metadata cannot be copied.
    #[error("the metadata in '{}' cannot be copied", path.display())]
    Copy {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The metadata cannot be read.
    #[error("the metadata cannot be read")]
    Metadata(#[source] MetadataError),
    /// The manifest cannot be read.
    #[error("the manifest of the remote part cannot be read")]
    Manifest(#[source] RemoteError),
    /// The configuration is not sound.
    #[error("the configuration of the remote store cannot be used")]
    Config(#[source] base::config::ConfigError),
    /// The store cannot be used as it is configured.
    #[error("the remote store cannot be used")]
    Store(#[source] OpenError),
}

/// What the metadata of a data directory says of the remote part.
#[derive(Debug, Default)]
pub struct RemotePart {
    /// The first part of every object's name.
    pub root: String,
    /// The manifest.
    pub entries: Vec<RemoteSegment>,
    /// The names of the topics there are; entries may be of others, which were deleted.
    pub topics: HashMap<TopicId, String>,
}

/// Removes its directory.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a copy of the metadata");
        }
    }
}

impl RemotePart {
    /// Reads the manifest of a data directory that no broker has open; empty without metadata. A copy of the metadata is opened, since
    /// opening may repair it.
    ///
    /// # Errors
    /// [`RemotePartError`].
    pub fn read(data_dir: &Path) -> Result<RemotePart, RemotePartError> {
        let from = data_dir.join("metadata");
        if !from.join("metadata.redb").exists() {
            return Ok(RemotePart::default());
        }
        let name = format!("affluent-inspect-{}", std::process::id());
        let copy = Copy(std::env::temp_dir().join(name));
        copy_files(&from, &copy.0)
            .map_err(|source| RemotePartError::Copy { path: from, source })?;
        let store = EmbeddedStore::open(copy.0.join("metadata.redb"))
            .map_err(|error| RemotePartError::Metadata(error.into()))?;
        let metadata = Metadata::load(Arc::new(store)).map_err(RemotePartError::Metadata)?;
        let manifest = StoredManifest::new(Arc::clone(metadata.store()));
        let entries = manifest.entries().map_err(RemotePartError::Manifest)?;
        let image = metadata.image();
        let topics = image.topics();
        Ok(RemotePart {
            root: image.cluster_id().unwrap_or_default().to_owned(),
            entries,
            topics: topics
                .map(|topic| (topic.id, topic.name.to_string()))
                .collect(),
        })
    }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// The remote store that a broker's properties name; none where tiered storage is switched off.
///
/// # Errors
/// [`RemotePartError::Config`] and [`RemotePartError::Store`]. A store that is away is no error.
pub fn remote_store(
    properties: BTreeMap<String, String>,
) -> Result<Option<Arc<dyn RemoteStore>>, RemotePartError> {
    let loaded = BrokerConfigs::from_properties(properties).map_err(RemotePartError::Config)?;
    let Some(settings) = RemoteStoreSettings::resolve(&loaded.configs) else {
        return Ok(None);
    };
    let (store, _) = open_store(settings).map_err(RemotePartError::Store)?;
    Ok(Some(store))
}
