//! The four kinds of store, each empty and temporary, with a back door to what they hold.

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use ingot_core::{Digest, HashSet, ProjectName};
use ingot_storage::{
    BlobKey, Blobs, Options, Spooled, StorageError, VerifyReads, local_object_store,
};
use object_store::memory::InMemory;
use object_store::path::Path as Location;
use object_store::{ObjectStore, ObjectStoreExt};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use tempfile::TempDir;

use crate::s3::S3Server;

/// Bodies up to this many bytes stay in memory in these tests.
pub(crate) const SPOOL_MEMORY_BYTES: usize = 100_000;

pub(crate) struct Store {
    pub(crate) name: &'static str,
    pub(crate) blobs: Blobs,
    /// The same store, past everything that is under test.
    pub(crate) raw: Arc<dyn ObjectStore>,
    pub(crate) folder: TempDir,
    _server: Option<S3Server>,
}

pub(crate) fn options(folder: &Path) -> Options {
    Options {
        spool_dir: folder.join("spool"),
        spool_memory_bytes: SPOOL_MEMORY_BYTES,
        reserve_bytes: 0,
        cache_bytes: 1 << 20,
        verify: VerifyReads::FirstRead,
    }
}

impl Store {
    pub(crate) fn directory() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let raw = local_object_store(&folder.path().join("root")).unwrap();
        Self::new("directory", folder, raw, None)
    }

    pub(crate) fn memory() -> Self {
        Self::new("memory", tempfile::tempdir().unwrap(), Arc::new(InMemory::new()), None)
    }

    fn local_file_system() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let raw = local_object_store(&folder.path().join("objects")).unwrap();
        Self::new("LocalFileSystem", folder, raw, None)
    }

    async fn s3() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = S3Server::start(&folder.path().join("s3")).await;
        Self::new("S3", folder, server.client(), Some(server))
    }

    fn new(
        name: &'static str,
        folder: TempDir,
        raw: Arc<dyn ObjectStore>,
        server: Option<S3Server>,
    ) -> Self {
        let blobs = open(name, &folder, &raw, options(folder.path()));
        Self { name, blobs, raw, folder, _server: server }
    }

    /// As after a restart, with other options.
    pub(crate) fn reopened_with(&self, change: impl FnOnce(&mut Options)) -> Blobs {
        let mut options = options(self.folder.path());
        change(&mut options);
        open(self.name, &self.folder, &self.raw, options)
    }

    /// As after a restart: nothing is remembered.
    pub(crate) fn reopened(&self) -> Blobs {
        self.reopened_with(|_| ())
    }

    pub(crate) async fn peek(&self, path: &str) -> Option<Vec<u8>> {
        Some(self.raw.get(&Location::from(path)).await.ok()?.bytes().await.unwrap().to_vec())
    }

    pub(crate) async fn poke(&self, path: &str, bytes: Vec<u8>) {
        self.raw.put(&Location::from(path), bytes.into()).await.unwrap();
    }

    pub(crate) async fn remove(&self, path: &str) {
        self.raw.delete(&Location::from(path)).await.unwrap();
    }

    /// All files below the temporary folder whose path contains this.
    pub(crate) fn files(&self, part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path
                    .strip_prefix(self.folder.path())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .contains(part)
                {
                    found.push(path);
                }
            }
        }
        found
    }
}

fn open(name: &str, folder: &TempDir, raw: &Arc<dyn ObjectStore>, options: Options) -> Blobs {
    if name == "directory" {
        Blobs::local(&folder.path().join("root"), options).unwrap()
    } else {
        Blobs::over(raw.clone(), options).unwrap()
    }
}

/// Runs a test on an empty store of each kind.
pub(crate) async fn on_each(test: impl AsyncFn(&Store)) {
    for store in
        [Store::memory(), Store::local_file_system(), Store::directory(), Store::s3().await]
    {
        println!("on {}", store.name);
        test(&store).await;
    }
}

/// Bytes that are the same for the same seed.
pub(crate) fn body(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// A generator whose seed is printed, so that a failure can be repeated.
pub(crate) fn random() -> StdRng {
    let seed = std::env::var("INGOT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
    println!("INGOT_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

pub(crate) fn project() -> ProjectName {
    ProjectName::new("main").unwrap()
}

pub(crate) fn key_of(bytes: &[u8]) -> BlobKey {
    BlobKey { project: project(), digest: Digest::of(bytes), incarnation: 0 }
}

pub(crate) async fn spool(blobs: &Blobs, bytes: &[u8]) -> Spooled {
    let mut spooler = blobs.spool(HashSet::default());
    spooler.write(Bytes::copy_from_slice(bytes)).await.unwrap();
    spooler.finish().await.unwrap()
}

pub(crate) fn spool_blocking(blobs: &Blobs, bytes: &[u8], wanted: HashSet) -> Spooled {
    let mut writer = blobs.spool_writer(wanted);
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

pub(crate) async fn put(blobs: &Blobs, bytes: &[u8]) -> BlobKey {
    let spooled = spool(blobs, bytes).await;
    let key = key_of(bytes);
    blobs.put(&key, &spooled).await.unwrap();
    key
}

/// All that comes, and how it ends.
pub(crate) async fn drain(
    blobs: &Blobs,
    key: &BlobKey,
    size: u64,
    range: Option<Range<u64>>,
) -> (Vec<u8>, Result<(), StorageError>) {
    let mut stream = match blobs.open(key, size, range).await {
        Ok(body) => body.into_stream(),
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) => {
                assert!(stream.next().await.is_none(), "an error is the last thing");
                return (bytes, Err(error));
            }
        }
    }
    (bytes, Ok(()))
}

pub(crate) async fn read(
    blobs: &Blobs,
    key: &BlobKey,
    size: usize,
    range: Option<Range<u64>>,
) -> Vec<u8> {
    let (bytes, outcome) = drain(blobs, key, size as u64, range).await;
    outcome.unwrap();
    bytes
}

pub(crate) async fn keys(blobs: &Blobs) -> Vec<BlobKey> {
    let mut keys: Vec<_> = blobs.keys(&project()).try_collect().await.unwrap();
    keys.sort();
    keys
}
