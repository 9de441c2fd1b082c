//! The only way to the store: every call bounded by a deadline, every answer sorted into the few
//! that matter, and on local disk whatever is found made durable before it is built upon.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Error as StoreError, ListResult, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
};

use crate::{Error, Result};

/// How many deletes go to the store under one deadline.
const DELETES_AT_ONCE: usize = 500;

pub(crate) struct Door {
    store: Arc<dyn ObjectStore>,
    deadline: Duration,
    sync_root: Option<PathBuf>,
    /// Directories whose whole line up to the root was synced by this process.
    synced: Mutex<HashSet<PathBuf>>,
    /// A sync failed: after that, a sync that succeeds proves nothing.
    sync_failed: AtomicBool,
}

/// What came of creating an object.
pub(crate) enum Created {
    /// It is there and durable, and it was this call that put it there.
    New,
    /// Something is there; it may be one's own from a call whose answer was lost. Or nothing is:
    /// S3 also says this when a delete was under way.
    Occupied,
    /// It may be there, it may not, it may still come.
    Unknown(Error),
}

impl Door {
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        deadline: Duration,
        sync_root: Option<PathBuf>,
    ) -> Self {
        let (synced, sync_failed) = (Mutex::default(), AtomicBool::new(false));
        Self { store, deadline, sync_root, synced, sync_failed }
    }

    /// Refuses once a sync has failed.
    pub(crate) fn check_sound(&self) -> Result<()> {
        match self.sync_failed.load(Ordering::Acquire) {
            false => Ok(()),
            true => {
                Err(Error::SyncFailed { reason: "an earlier write could not be synced".into() })
            }
        }
    }

    async fn bounded<T>(
        &self,
        key: &Path,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> std::result::Result<object_store::Result<T>, Error> {
        tokio::time::timeout(self.deadline, call)
            .await
            .map_err(|late| Error::Unavailable { key: key.to_string(), source: Box::new(late) })
    }

    /// The whole object, if there is one.
    pub(crate) async fn find(&self, key: &Path) -> Result<Option<Bytes>> {
        let call = async { self.store.get(key).await?.bytes().await };
        found(key, self.bounded(key, call).await?)
    }

    /// What the store knows about an object, if there is one.
    pub(crate) async fn find_meta(&self, key: &Path) -> Result<Option<ObjectMeta>> {
        found(key, self.bounded(key, self.store.head(key)).await?)
    }

    /// Creates an object that must not be there yet.
    pub(crate) async fn create(&self, key: &Path, bytes: Bytes) -> Created {
        let call = self.store.put_opts(key, PutPayload::from(bytes), PutMode::Create.into());
        match self.bounded(key, call).await {
            Ok(Ok(_)) => match self.sync_directories(key).await {
                Ok(()) => Created::New,
                Err(error) => Created::Unknown(error),
            },
            Ok(Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. })) => {
                Created::Occupied
            }
            Ok(Err(error)) => {
                // A disk that failed to write has dropped the pages: whoever reads or syncs the
                // file later is told that all is well.
                if self.sync_root.is_some() && is_io_failure(&error) {
                    self.sync_failed.store(true, Ordering::Release);
                }
                Created::Unknown(unavailable(key, error))
            }
            Err(late) => Created::Unknown(late),
        }
    }

    /// Writes an object whose bytes its key determines, so that it does not matter who did.
    pub(crate) async fn overwrite(&self, key: &Path, bytes: Bytes) -> Result<()> {
        let call = self.store.put(key, PutPayload::from(bytes));
        self.bounded(key, call).await?.map_err(|error| unavailable(key, error))?;
        self.sync_directories(key).await
    }

    /// Creates an object whose bytes can only be these, and reads it back: afterwards it is there,
    /// durable and right, whoever wrote it. `Damaged` when other bytes are there.
    pub(crate) async fn create_fixed(&self, key: &Path, bytes: &Bytes) -> Result<()> {
        let outcome = self.create(key, bytes.clone()).await;
        let there = self.find(key).await?;
        match (outcome, there) {
            (Created::New, Some(there)) if there == bytes => Ok(()),
            (_, Some(there)) if there == bytes => self.sync_found(key).await,
            (_, Some(_)) => Err(Error::damaged(key.as_ref(), "other bytes are there")),
            (Created::Unknown(error), None) => Err(error),
            (_, None) => Err(Error::Unavailable {
                key: key.to_string(),
                source: "the store said that it exists, but it is not there".into(),
            }),
        }
    }

    /// Everything directly in a directory.
    pub(crate) async fn list(&self, directory: &Path) -> Result<ListResult> {
        let listed = self.bounded(directory, self.store.list_with_delimiter(Some(directory)));
        listed.await?.map_err(|error| unavailable(directory, error))
    }

    /// Everything below a directory. The deadline is for each step, not for the whole walk.
    pub(crate) async fn walk(&self, directory: &Path) -> Result<Vec<ObjectMeta>> {
        let (mut out, mut stream) = (Vec::new(), self.store.list(Some(directory)));
        while let Some(meta) = self
            .bounded(directory, stream.try_next())
            .await?
            .map_err(|error| unavailable(directory, error))?
        {
            out.push(meta);
        }
        Ok(out)
    }

    /// Deletes objects; one that is gone already is fine.
    pub(crate) async fn delete(&self, keys: &[Path]) -> Result<()> {
        for some in keys.chunks(DELETES_AT_ONCE) {
            let keys = futures_util::stream::iter(some.to_vec()).map(Ok).boxed();
            let mut deleted = self.store.delete_stream(keys);
            let call = async {
                while let Some(result) = deleted.next().await {
                    match result {
                        Ok(_) | Err(StoreError::NotFound { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            };
            self.bounded(&some[0], call).await?.map_err(|error| unavailable(&some[0], error))?;
        }
        Ok(())
    }

    /// Makes an object durable that was found rather than created: on local disk its writer may
    /// have died between making it visible and syncing it.
    pub(crate) async fn sync_found(&self, key: &Path) -> Result<()> {
        let Some(root) = self.sync_root.clone() else { return Ok(()) };
        let file = root.join(key.as_ref());
        self.sync(move || {
            std::fs::File::open(&file)?.sync_all()?;
            sync_line(&root, file.parent())
        })
        .await
    }

    /// Makes the directories above a new object durable. The store syncs those it made itself,
    /// but not one that a writer beside it had just made, or one that died before it could.
    async fn sync_directories(&self, key: &Path) -> Result<()> {
        let Some(root) = self.sync_root.clone() else { return Ok(()) };
        let Some(directory) = root.join(key.as_ref()).parent().map(ToOwned::to_owned) else {
            return Ok(());
        };
        if self.synced.lock().expect("no panic under this lock").contains(&directory) {
            return Ok(());
        }
        let line = directory.clone();
        self.sync(move || sync_line(&root, Some(&line))).await?;
        self.synced.lock().expect("no panic under this lock").insert(directory);
        Ok(())
    }

    async fn sync(
        &self,
        work: impl FnOnce() -> std::io::Result<()> + Send + 'static,
    ) -> Result<()> {
        self.check_sound()?;
        let outcome = tokio::task::spawn_blocking(work).await;
        let reason = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.sync_failed.store(true, Ordering::Release);
        Err(Error::SyncFailed { reason })
    }
}

/// Syncs every directory from `directory` up to and including `root`.
fn sync_line(root: &std::path::Path, directory: Option<&std::path::Path>) -> std::io::Result<()> {
    for directory in directory.into_iter().flat_map(|directory| directory.ancestors()) {
        std::fs::File::open(directory)?.sync_all()?;
        if directory == root {
            break;
        }
    }
    Ok(())
}

fn found<T>(key: &Path, answer: object_store::Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(unavailable(key, error)),
    }
}

fn unavailable(key: &Path, error: StoreError) -> Error {
    Error::Unavailable { key: key.to_string(), source: Box::new(error) }
}

/// Whether the device itself failed (EIO), anywhere down the chain of causes.
fn is_io_failure(error: &(dyn std::error::Error + 'static)) -> bool {
    const EIO: i32 = 5;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.raw_os_error() == Some(EIO)
        {
            return true;
        }
        cause = error.source();
    }
    false
}
