//! The store of blobs.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use ingot_core::{HashSet, ProjectName};
use object_store::ObjectStore;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::backend::Backend;
use crate::buffer::Stock;
use crate::error::{StorageError, blocking};
use crate::hashing::{Hashers, PIECE_BYTES};
use crate::key::BlobKey;
use crate::local::{Local, Put};
use crate::pieces::{Pieces, are_kept};
use crate::read::{BlobBody, BlobStream, covering, is_right, verify_pieces, verify_whole};
use crate::remote::{PART_BYTES_MIN, Remote};
use crate::spool::{SpoolPlace, SpoolWriter, Spooled, Spooler};
use crate::spool_files::{self, SpoolFiles};

/// The largest blob that is kept in the cache, in bytes.
pub const CACHED_BLOB_BYTES_MAX: u64 = 64 * 1024;

/// Of how many blobs it is remembered that they were verified; the others are verified again.
pub const VERIFIED_KEYS_MAX: usize = 65_536;

/// What a cached entry takes beside its bytes, roughly, in bytes.
const CACHE_ENTRY_BYTES: u64 = 256;

/// When reads are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyReads {
    /// The first time that a blob is read in full since the start, and ranges until then.
    FirstRead,
    /// Every time. The cache is not used.
    Always,
}

/// How a store of blobs works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the temp files of uploads go: a directory of this process alone, on the same file
    /// system as the blobs where these are local (on another one they are copied).
    pub spool_dir: PathBuf,
    /// Bodies up to this size stay in memory, in bytes; at most [`PIECE_BYTES`] counts.
    pub spool_memory_bytes: usize,
    /// Uploads are refused while less than this is free, in bytes.
    pub reserve_bytes: u64,
    /// What the cache of small blobs may hold, in bytes.
    pub cache_bytes: u64,
    /// When reads are verified.
    pub verify: VerifyReads,
}

/// The blobs of all projects. Clones share everything.
#[derive(Clone)]
pub struct Blobs(Arc<Inner>);

struct Inner {
    backend: Backend,
    place: Arc<SpoolPlace>,
    verify: VerifyReads,
    verified: Cache<BlobKey, ()>,
    cache: Cache<(BlobKey, Kept), Bytes, ByBytes>,
    /// Held while lost digests of pieces are made again, so that it happens once.
    rebuilding: tokio::sync::Mutex<()>,
}

/// What of a blob is in the cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kept {
    Whole,
    Pieces,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<(BlobKey, Kept), Bytes> for ByBytes {
    fn weight(&self, _: &(BlobKey, Kept), bytes: &Bytes) -> u64 {
        bytes.len() as u64 + CACHE_ENTRY_BYTES
    }
}

impl Blobs {
    /// Blobs in a directory of this process alone.
    ///
    /// # Errors
    /// [`StorageError::Io`] when the directories cannot be made.
    pub fn local(root: &Path, options: Options) -> Result<Self, StorageError> {
        Self::new(options, |files, stock| {
            Ok(Backend::Local(Arc::new(Local::new(root, files, stock)?)))
        })
    }

    /// Blobs in an object store, whose visible objects must be durable. It may be shared.
    ///
    /// # Errors
    /// [`StorageError::Io`] when the spool directory cannot be made.
    pub fn over(store: Arc<dyn ObjectStore>, options: Options) -> Result<Self, StorageError> {
        Self::new(options, |_, stock| Ok(Backend::Remote(Remote::new(store, stock))))
    }

    fn new(
        options: Options,
        backend: impl FnOnce(Arc<SpoolFiles>, Arc<Stock>) -> Result<Backend, StorageError>,
    ) -> Result<Self, StorageError> {
        let Options { spool_dir, spool_memory_bytes, reserve_bytes, cache_bytes, verify } = options;
        let files = SpoolFiles::prepare(&spool_dir, reserve_bytes)?;
        let stock = Arc::new(Stock::default());
        let backend = backend(files.clone(), stock.clone())?;
        let memory_bytes = spool_memory_bytes.min(PIECE_BYTES);
        let likely = (cache_bytes / (16 * 1024)).clamp(16, 1 << 20) as usize;
        Ok(Self(Arc::new(Inner {
            backend,
            place: Arc::new(SpoolPlace { files, stock, memory_bytes }),
            verify,
            verified: Cache::new(VERIFIED_KEYS_MAX),
            cache: Cache::with_weighter(likely, cache_bytes, ByBytes),
            rebuilding: tokio::sync::Mutex::new(()),
        })))
    }

    /// Makes the folders of a project beforehand, durably. Idempotent; puts do it when needed.
    ///
    /// # Errors
    /// [`StorageError::NoSpace`], [`StorageError::Io`], [`StorageError::ReadOnly`].
    pub async fn prepare(&self, project: &ProjectName) -> Result<(), StorageError> {
        match &self.0.backend {
            Backend::Remote(_) => Ok(()),
            Backend::Local(local) => {
                let (local, project) = (local.clone(), project.clone());
                blocking(move || local.prepare(&project)).await
            }
        }
    }

    /// Receives a body on an async worker, computing these hashes beside the sha256.
    pub fn spool(&self, wanted: HashSet) -> Spooler {
        Spooler::new(self.0.place.clone(), wanted)
    }

    /// Receives a body on a blocking thread, computing these hashes beside the sha256.
    pub fn spool_writer(&self, wanted: HashSet) -> SpoolWriter {
        SpoolWriter::new(self.0.place.clone(), wanted)
    }

    /// Stores a body. When this returns, its bytes are there and durable, no matter who wrote
    /// them: what is found under the name is verified (unless it was since the start), synced,
    /// and replaced if damaged. May be repeated after any error, and run beside itself.
    ///
    /// # Errors
    /// Any but [`StorageError::OutOfRange`]; [`StorageError::Damaged`] when the key names other
    /// bytes than those of the body.
    pub async fn put(&self, key: &BlobKey, spooled: &Spooled) -> Result<(), StorageError> {
        if key.digest != spooled.digest() {
            return Err(StorageError::Damaged { digest: key.digest });
        }
        let trusted = self.is_trusted(key);
        match &self.0.backend {
            Backend::Local(local) => {
                let (local, known, spooled) = (local.clone(), key.clone(), spooled.clone());
                let put = blocking(move || local.put(&known, &spooled, trusted)).await?;
                if put == Put::Found {
                    self.0.verified.insert(key.clone(), ());
                }
                Ok(())
            }
            Backend::Remote(remote) => {
                // Small ones are simply written: that is cheaper than to ask first.
                if spooled.size() > PART_BYTES_MIN
                    && remote.find_size(key).await? == Some(spooled.size())
                {
                    match self.verify_unless(trusted, key, spooled.size()).await {
                        Ok(()) => return self.restore_pieces(remote, key, spooled).await,
                        Err(StorageError::Damaged { .. } | StorageError::Missing { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                remote.put(key, spooled).await
            }
        }
    }

    async fn verify_unless(
        &self,
        trusted: bool,
        key: &BlobKey,
        size: u64,
    ) -> Result<(), StorageError> {
        if trusted { Ok(()) } else { self.verify(key, size).await }
    }

    async fn restore_pieces(
        &self,
        remote: &Remote,
        key: &BlobKey,
        spooled: &Spooled,
    ) -> Result<(), StorageError> {
        match &spooled.0.pieces {
            Some(pieces)
                if remote.find_pieces(key, spooled.size()).await.as_ref() != Some(pieces) =>
            {
                remote.put_pieces(key, pieces).await
            }
            _ => Ok(()),
        }
    }

    /// Opens a blob of that size, or a range of its bytes. An empty range is empty.
    ///
    /// # Errors
    /// [`StorageError::Missing`], [`StorageError::Damaged`] (as far as it shows at once),
    /// [`StorageError::OutOfRange`], [`StorageError::Unavailable`], [`StorageError::Io`]; what
    /// shows later ends the stream.
    pub async fn open(
        &self,
        key: &BlobKey,
        size: u64,
        range: Option<Range<u64>>,
    ) -> Result<BlobBody, StorageError> {
        let bytes = range.unwrap_or(0..size);
        if bytes.start > bytes.end || bytes.end > size {
            return Err(StorageError::OutOfRange { size_bytes: size });
        }
        if size <= PIECE_BYTES as u64 {
            let whole = self.open_small(key, size).await?;
            return Ok(BlobBody::Whole(whole.slice(bytes.start as usize..bytes.end as usize)));
        }
        if bytes.is_empty() {
            return Ok(BlobBody::Whole(Bytes::new()));
        }
        let inner = &self.0;
        let stock = &inner.place.stock;
        let source = if self.is_trusted(key) {
            inner.backend.source(key, size, bytes, stock).await?
        } else if bytes == (0..size) {
            self.verified_source(key, size).await?
        } else {
            let pieces = self.pieces(key, size).await?;
            let covering = covering(&bytes, size);
            let source = inner.backend.source(key, size, covering, stock).await?;
            let (blobs, known) = (self.clone(), key.clone());
            verify_pieces(source, pieces.into(), key.digest, bytes, move || blobs.forget(&known))
        };
        Ok(BlobBody::Stream(BlobStream(source)))
    }

    async fn open_small(&self, key: &BlobKey, size: u64) -> Result<Bytes, StorageError> {
        let inner = &self.0;
        let may_cache = size <= CACHED_BLOB_BYTES_MAX && inner.verify == VerifyReads::FirstRead;
        let cache_key = (key.clone(), Kept::Whole);
        if may_cache
            && let Some(bytes) = inner.cache.get(&cache_key)
            && bytes.len() as u64 == size
        {
            return Ok(bytes);
        }
        let bytes = inner.backend.small(key, size, &inner.place.stock).await?;
        if !self.is_trusted(key) {
            if !is_right(&bytes, key.digest).await? {
                self.forget(key);
                return Err(StorageError::Damaged { digest: key.digest });
            }
            inner.verified.insert(key.clone(), ());
        }
        if may_cache {
            inner.cache.insert(cache_key, bytes.clone());
        }
        Ok(bytes)
    }

    /// A full read that remembers how it came out.
    async fn verified_source(
        &self,
        key: &BlobKey,
        size: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        let inner = &self.0;
        let source = inner.backend.source(key, size, 0..size, &inner.place.stock).await?;
        let (blobs, known) = (self.clone(), key.clone());
        Ok(verify_whole(source, key.digest, size, move |right| {
            if right {
                blobs.0.verified.insert(known.clone(), ());
            } else {
                blobs.forget(&known);
            }
        }))
    }

    /// The digests of the pieces of a large blob: cached, stored, or made again from a blob that
    /// was found to be right.
    async fn pieces(&self, key: &BlobKey, size: u64) -> Result<Pieces, StorageError> {
        if let Some(pieces) = self.find_pieces(key, size).await? {
            return Ok(pieces);
        }
        let _only_one = self.0.rebuilding.lock().await;
        if let Some(pieces) = self.find_pieces(key, size).await? {
            return Ok(pieces);
        }
        tracing::warn!(digest = %key.digest, "the digests of a blob's pieces are made again");
        let mut source = self.verified_source(key, size).await?;
        let mut hashers = Hashers::new(HashSet::default());
        while let Some(piece) = source.next().await {
            let piece = piece?;
            hashers = blocking(move || {
                hashers.update(&piece);
                Ok(hashers)
            })
            .await?;
        }
        let pieces = Pieces::of(key.digest, size, &hashers.finish().pieces);
        if are_kept(size)
            && let Err(error) = self.0.backend.put_pieces(key, &pieces).await
        {
            // They are a help for reading only, so the read goes on.
            tracing::warn!(%error, digest = %key.digest, "they could not be stored");
        }
        self.0.cache.insert((key.clone(), Kept::Pieces), pieces.encoded().clone());
        Ok(pieces)
    }

    async fn find_pieces(&self, key: &BlobKey, size: u64) -> Result<Option<Pieces>, StorageError> {
        let inner = &self.0;
        let cache_key = (key.clone(), Kept::Pieces);
        if let Some(bytes) = inner.cache.get(&cache_key) {
            return Ok(Pieces::parse(bytes, key.digest, size));
        }
        let found = inner.backend.find_pieces(key, size).await?;
        if let Some(pieces) = &found {
            inner.cache.insert(cache_key, pieces.encoded().clone());
        }
        Ok(found)
    }

    /// Reads a blob in full, past all caches, and compares its sha256.
    ///
    /// # Errors
    /// [`StorageError::Damaged`], [`StorageError::Missing`], or why it could not be read.
    pub async fn verify(&self, key: &BlobKey, size: u64) -> Result<(), StorageError> {
        let inner = &self.0;
        if size > PIECE_BYTES as u64 {
            let mut source = self.verified_source(key, size).await?;
            while let Some(piece) = source.next().await {
                piece?;
            }
            return Ok(());
        }
        let bytes = inner.backend.small(key, size, &inner.place.stock).await?;
        if !is_right(&bytes, key.digest).await? {
            self.forget(key);
            return Err(StorageError::Damaged { digest: key.digest });
        }
        inner.verified.insert(key.clone(), ());
        Ok(())
    }

    /// All blobs of a project, for `verify`. They come in no particular order.
    pub fn keys(&self, project: &ProjectName) -> BoxStream<'static, Result<BlobKey, StorageError>> {
        self.0.backend.keys(project)
    }

    /// Removes what torn writes left behind: spool files, temp names, digests of pieces without
    /// their blob, if last written before `now - older_than`. Says how many. What is in use is
    /// left alone; an object store's own leftovers are left to its rules.
    ///
    /// # Errors
    /// [`StorageError::Io`]; what was swept stays swept.
    pub async fn sweep(&self, older_than: Duration, now: SystemTime) -> Result<u64, StorageError> {
        let files = self.0.place.files.clone();
        let local = match &self.0.backend {
            Backend::Local(local) => Some(local.clone()),
            Backend::Remote(_) => None,
        };
        blocking(move || {
            let spooled = files.sweep(older_than, now)?;
            Ok(spooled + local.map_or(Ok(0), |local| local.sweep(older_than, now))?)
        })
        .await
    }

    /// What is free for uploads, in bytes: where the blobs are, or else where they are spooled.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub async fn free_space(&self) -> Result<u64, StorageError> {
        let path = match &self.0.backend {
            Backend::Local(local) => local.root().to_path_buf(),
            Backend::Remote(_) => self.0.place.files.root().to_path_buf(),
        };
        blocking(move || spool_files::free_bytes(&path)).await
    }

    /// Refuses an upload before it is read, when less than the reserve is free.
    ///
    /// # Errors
    /// [`StorageError::NoSpace`], [`StorageError::Io`].
    pub async fn check_reserve(&self) -> Result<(), StorageError> {
        let files = self.0.place.files.clone();
        blocking(move || files.check_reserve(files.root())).await
    }

    fn is_trusted(&self, key: &BlobKey) -> bool {
        self.0.verify == VerifyReads::FirstRead && self.0.verified.contains_key(key)
    }

    /// Nothing that is remembered of a blob holds any more.
    fn forget(&self, key: &BlobKey) {
        self.0.verified.remove(key);
        self.0.cache.remove(&(key.clone(), Kept::Whole));
        self.0.cache.remove(&(key.clone(), Kept::Pieces));
    }
}
