//! Opening the store that a configuration names: blobs and ledgers in a directory, the index
//! beside them, and the lock that keeps a second server out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ingot_core::Timestamp;
use ingot_core::rules::keep::KeepPolicy;
use ingot_index::{EngineKind, Index};
use ingot_registry::Setup;
use ingot_storage::{Blobs, Options, VerifyReads as Verify, local_object_store};

use crate::config::{Config, IndexEngine, VerifyReads};

/// Bodies up to this size stay in memory, in bytes.
const SPOOL_MEMORY_BYTES: usize = 1024 * 1024;
/// Where the kernel says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Why a store cannot be opened, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server has it.
    #[error("{0} is in use by another ingot server; stop that one, or name another directory")]
    InUse(PathBuf),
    /// The directory cannot be used.
    #[error("cannot use the data directory {path}: {source}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The blobs cannot be opened.
    #[error("cannot open the blobs in {0}: {1}")]
    Blobs(PathBuf, #[source] ingot_storage::StorageError),
    /// The index cannot be opened.
    #[error("cannot open the index in {0}: {1}")]
    Index(PathBuf, #[source] ingot_index::IndexError),
    /// No random numbers.
    #[error("the operating system gives no random numbers")]
    Random,
}

/// Keeps other servers out of a data directory for as long as it lives.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the lock, creating the data directory if there is none.
    ///
    /// Errors: another server holds it, or the directory cannot be used.
    pub fn take(data: &Path) -> Result<Self, OpenError> {
        let wrong = |source| OpenError::Directory { path: data.to_owned(), source };
        create_durably(data).map_err(wrong)?;
        let path = data.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(data.to_owned())),
            Err(TryLockError::Error(error)) => Err(wrong(error)),
        }
    }
}

/// Creates a directory and syncs each parent that gained an entry.
fn create_durably(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    create_durably(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

/// The id of this boot of the machine: the configured one, else the kernel's, else empty, which
/// makes the index doubt itself at each start.
pub fn boot_id(configured: &str) -> String {
    if !configured.is_empty() {
        return configured.to_owned();
    }
    fs::read_to_string(BOOT_ID).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The directory of the index in a data directory.
pub fn index_dir(data: &Path) -> PathBuf {
    data.join("index")
}

/// Opens the index alone. The caller holds the [`StoreLock`].
pub fn open_index(config: &Config) -> Result<Index, OpenError> {
    let dir = index_dir(&config.storage.data);
    let kind = match config.index.engine {
        IndexEngine::Fjall => EngineKind::Fjall,
        IndexEngine::Sled => EngineKind::Sled,
    };
    Index::open(kind, &dir, &boot_id(&config.index.boot_id))
        .map_err(|error| OpenError::Index(dir, error))
}

/// What a registry over the configured directory is opened with. With an index of another place
/// (in memory, say) it is safe beside a running server, as long as nothing is changed through it.
pub fn setup(config: &Config, index: Arc<Index>) -> Result<Setup, OpenError> {
    let data = &config.storage.data;
    let blobs_error = |error| OpenError::Blobs(data.clone(), error);
    let writer = random_hex().ok_or(OpenError::Random)?;
    // A directory per process: whoever looks at a store beside its server spools elsewhere.
    let own = data.join("tmp").join(&writer);
    let options = Options {
        spool_dir: own.join("spool"),
        spool_memory_bytes: SPOOL_MEMORY_BYTES,
        reserve_bytes: config.storage.reserve_bytes,
        cache_bytes: config.storage.cache_bytes,
        verify: match config.storage.verify_reads {
            VerifyReads::First => Verify::FirstRead,
            VerifyReads::Always => Verify::Always,
        },
    };
    let scratch = own.join("scratch");
    create_durably(&scratch)
        .map_err(|source| OpenError::Directory { path: scratch.clone(), source })?;
    Ok(Setup {
        blobs: Blobs::local(data, options).map_err(blobs_error)?,
        ledgers: local_object_store(data).map_err(blobs_error)?,
        ledgers_root: Some(data.clone()),
        index,
        formats: crate::formats::all(),
        clock: Arc::new(now),
        writer,
        deadline: Duration::from_millis(config.ledger.change_timeout_ms),
        keep: KeepPolicy {
            distinct: config.retention.keep_releases,
            days: config.retention.keep_days,
        },
        scratch,
        snapshot_every: config.ledger.snapshot_every_commits,
    })
}

/// The time, to the precision that ledgers keep.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// Removes what processes before this one left in `tmp`. The caller holds the [`StoreLock`]; a
/// process that only looks, beside a server, keeps nothing there that it could not lose.
pub fn sweep(data: &Path) {
    if let Err(error) = fs::remove_dir_all(data.join("tmp"))
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "what earlier processes left in tmp could not be removed");
    }
}

/// 64 random bits as hex.
pub(crate) fn random_hex() -> Option<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).ok()?;
    Some(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_kept_out_until_the_first_is_gone() {
        let directory = tempfile::tempdir().expect("directory");
        let data = directory.path().join("a/b/c");
        let first = StoreLock::take(&data).expect("the first");
        assert!(matches!(StoreLock::take(&data), Err(OpenError::InUse(_))));
        drop(first);
        assert!(StoreLock::take(&data).is_ok());
    }

    #[test]
    fn a_configured_boot_id_wins() {
        assert_eq!(boot_id("mine"), "mine");
    }

    #[test]
    fn a_file_in_place_of_the_directory_is_named() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let error = StoreLock::take(&file.path().join("data")).expect_err("no directory");
        assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
    }
}
