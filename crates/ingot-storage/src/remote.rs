//! Blobs in any object store.
//!
//! An object that such a store shows is taken to be durable. For a directory that does not hold
//! (a file is visible before it is synced), which is why disks have a backend of their own.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use ingot_core::ProjectName;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{
    GetOptions, GetRange, GetResult, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::buffer::{Buffer, Stock};
use crate::error::{StorageError, blocking};
use crate::hashing::PIECE_BYTES;
use crate::key::BlobKey;
use crate::pieces::{PIECES_BYTES_MAX, Pieces};
use crate::spool::{Body, Content, Spooled};

/// Bodies up to this size are sent whole, larger ones in parts of at least this size, in bytes.
pub const PART_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// How many parts an upload may have (a limit of S3); above, the parts are larger.
pub const PARTS_MAX: u64 = 10_000;
/// How many parts, and whole bodies, are in memory at a time, over all uploads of a process.
pub const PARTS_IN_FLIGHT_MAX: usize = 8;
/// How many of them one upload may take.
const PARTS_IN_FLIGHT_PER_UPLOAD: usize = 4;

/// A directory as an object store with synced writes, for those who need no blobs.
///
/// # Errors
/// [`StorageError::Io`], [`StorageError::Unavailable`] when it cannot be made or opened.
pub fn local_object_store(root: &Path) -> Result<Arc<dyn ObjectStore>, StorageError> {
    std::fs::create_dir_all(root).map_err(StorageError::io("make the directory of the store"))?;
    let store = LocalFileSystem::new_with_prefix(root).map_err(StorageError::Unavailable)?;
    Ok(Arc::new(store.with_fsync(true)))
}

/// The object store.
pub(crate) struct Remote {
    store: Arc<dyn ObjectStore>,
    stock: Arc<Stock>,
    parts_in_flight: Arc<Semaphore>,
}

impl Remote {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, stock: Arc<Stock>) -> Self {
        let parts_in_flight = Arc::new(Semaphore::new(PARTS_IN_FLIGHT_MAX));
        Self { store, stock, parts_in_flight }
    }

    /// The size of a blob, in bytes, if it is there.
    pub(crate) async fn find_size(&self, key: &BlobKey) -> Result<Option<u64>, StorageError> {
        match self.store.head(&key.location()).await {
            Ok(known) => Ok(Some(known.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(StorageError::of_store(error, key.digest)),
        }
    }

    /// Writes a body, over whatever is there: it can only be the same, or damaged.
    pub(crate) async fn put(&self, key: &BlobKey, spooled: &Spooled) -> Result<(), StorageError> {
        if let Some(pieces) = &spooled.0.pieces {
            self.put_pieces(key, pieces).await?;
        }
        let location = key.location();
        if spooled.size() > PART_BYTES_MIN {
            return self.put_in_parts(key, &location, spooled).await;
        }
        let permit = self.permit().await?;
        let payload = self.payload(&spooled.0, 0..spooled.size()).await?;
        let sent = self.store.put(&location, payload).await;
        drop(permit);
        sent.map(drop).map_err(|error| StorageError::of_store(error, key.digest))
    }

    async fn put_in_parts(
        &self,
        key: &BlobKey,
        location: &Location,
        spooled: &Spooled,
    ) -> Result<(), StorageError> {
        let failed = |error| StorageError::of_store(error, key.digest);
        let mut upload = self.store.put_multipart(location).await.map_err(failed)?;
        let sent = match self.send_parts(key, upload.as_mut(), spooled).await {
            Ok(()) => upload.complete().await.map(drop).map_err(failed),
            Err(error) => Err(error),
        };
        if sent.is_err()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(%error, "the parts of a failed upload are left to the bucket's rules");
        }
        sent
    }

    async fn send_parts(
        &self,
        key: &BlobKey,
        upload: &mut dyn MultipartUpload,
        spooled: &Spooled,
    ) -> Result<(), StorageError> {
        let size = spooled.size();
        let part_bytes = part_bytes(size);
        let mut sending = JoinSet::new();
        let mut start = 0;
        while start < size || !sending.is_empty() {
            if start < size && sending.len() < PARTS_IN_FLIGHT_PER_UPLOAD {
                let permit = self.permit().await?;
                let end = (start + part_bytes).min(size);
                let part = upload.put_part(self.payload(&spooled.0, start..end).await?);
                sending.spawn(async move {
                    let sent = part.await;
                    drop(permit);
                    sent
                });
                start = end;
            } else if let Some(sent) = sending.join_next().await {
                sent.map_err(StorageError::stopped)?
                    .map_err(|error| StorageError::of_store(error, key.digest))?;
            }
        }
        Ok(())
    }

    async fn permit(&self) -> Result<tokio::sync::OwnedSemaphorePermit, StorageError> {
        let closed = |error| StorageError::Io {
            what: "wait for a turn to upload",
            source: std::io::Error::other(error),
        };
        self.parts_in_flight.clone().acquire_owned().await.map_err(closed)
    }

    /// Some bytes of a body as a payload of pieces.
    async fn payload(
        &self,
        body: &Arc<Body>,
        bytes: Range<u64>,
    ) -> Result<PutPayload, StorageError> {
        if let Content::Memory(whole) = &body.content {
            return Ok(whole.slice(bytes.start as usize..bytes.end as usize).into());
        }
        let (body, stock) = (body.clone(), self.stock.clone());
        blocking(move || {
            let mut chunks = Vec::new();
            let mut position = bytes.start;
            while position < bytes.end {
                let count = (bytes.end - position).min(PIECE_BYTES as u64);
                let mut buffer = stock.take();
                body.read_exact_at(buffer.space(count as usize), position)
                    .map_err(StorageError::io("read a spool file"))?;
                chunks.push(Bytes::from_owner(buffer));
                position += count;
            }
            Ok(PutPayload::from_iter(chunks))
        })
        .await
    }

    pub(crate) async fn put_pieces(
        &self,
        key: &BlobKey,
        pieces: &Pieces,
    ) -> Result<(), StorageError> {
        let written = self.store.put(&key.pieces_location(), pieces.encoded().clone().into()).await;
        written.map(drop).map_err(|error| StorageError::of_store(error, key.digest))
    }

    /// The digests of the pieces, if they are there and sound.
    pub(crate) async fn find_pieces(&self, key: &BlobKey, size: u64) -> Option<Pieces> {
        let found = self.store.get(&key.pieces_location()).await.ok()?;
        if found.meta.size > PIECES_BYTES_MAX as u64 {
            return None;
        }
        Pieces::parse(found.bytes().await.ok()?, key.digest, size)
    }

    /// Some bytes of a blob of that size, cut where the pieces end.
    pub(crate) async fn source(
        &self,
        key: &BlobKey,
        size: u64,
        bytes: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        let digest = key.digest;
        if size == 0 {
            // An empty range cannot be asked for; its size is all there is to know.
            return match self.find_size(key).await? {
                Some(0) => Ok(futures_util::stream::empty().boxed()),
                Some(_) => Err(StorageError::Damaged { digest }),
                None => Err(StorageError::Missing { digest }),
            };
        }
        let range = (bytes != (0..size)).then(|| GetRange::Bounded(bytes.clone()));
        let options = GetOptions { range, ..GetOptions::default() };
        let found = match self.store.get_opts(&key.location(), options).await {
            Ok(found) => found,
            // A range beyond the end is reported in a way of each store's own.
            Err(error) => {
                return match self.find_size(key).await {
                    Ok(Some(other)) if other != size => Err(StorageError::Damaged { digest }),
                    Ok(None) => Err(StorageError::Missing { digest }),
                    Ok(Some(_)) | Err(_) => Err(StorageError::of_store(error, digest)),
                };
            }
        };
        if found.meta.size != size || found.range != bytes {
            return Err(StorageError::Damaged { digest });
        }
        Ok(in_pieces(found, key, self.stock.clone()))
    }

    /// The keys of a project's blobs, in the order of the store.
    pub(crate) fn keys(
        &self,
        project: &ProjectName,
    ) -> BoxStream<'static, Result<BlobKey, StorageError>> {
        let project = project.clone();
        let prefix = Location::from(BlobKey::folder(&project));
        let listed = self.store.list(Some(&prefix));
        listed
            .filter_map(move |found| {
                let key = match found {
                    Ok(known) => known
                        .location
                        .filename()
                        .and_then(|name| BlobKey::parse_name(&project, name))
                        .map(Ok),
                    Err(error) => Some(Err(StorageError::Unavailable(error))),
                };
                std::future::ready(key)
            })
            .boxed()
    }
}

/// Parts of one size, so many that the largest body fits into the allowed number.
fn part_bytes(size: u64) -> u64 {
    let piece = PIECE_BYTES as u64;
    size.div_ceil(PARTS_MAX).next_multiple_of(piece).max(PART_BYTES_MIN)
}

/// Gathers the small chunks of a download into pieces.
fn in_pieces(
    found: GetResult,
    key: &BlobKey,
    stock: Arc<Stock>,
) -> BoxStream<'static, Result<Bytes, StorageError>> {
    struct Gather {
        chunks: BoxStream<'static, object_store::Result<Bytes>>,
        rest: Bytes,
        left: u64,
        position: u64,
        done: bool,
    }
    let digest = key.digest;
    let (position, left) = (found.range.start, found.range.end - found.range.start);
    let state =
        Gather { chunks: found.into_stream(), rest: Bytes::new(), left, position, done: false };
    futures_util::stream::unfold(state, move |mut state| {
        let stock = stock.clone();
        async move {
            if state.left == 0 || state.done {
                return None;
            }
            let piece = PIECE_BYTES as u64;
            let wanted = (piece - state.position % piece).min(state.left) as usize;
            let mut buffer: Buffer = stock.take();
            while buffer.as_ref().len() < wanted {
                if state.rest.is_empty() {
                    let error = match state.chunks.next().await {
                        Some(Ok(chunk)) => {
                            state.rest = chunk;
                            continue;
                        }
                        Some(Err(error)) => StorageError::of_store(error, digest),
                        None => StorageError::Io {
                            what: "read a blob to its end: the store sent too little",
                            source: std::io::ErrorKind::UnexpectedEof.into(),
                        },
                    };
                    state.done = true;
                    return Some((Err(error), state));
                }
                let missing = wanted - buffer.as_ref().len();
                let taken = buffer.fill(&state.rest[..missing.min(state.rest.len())]);
                state.rest = state.rest.slice(taken..);
            }
            state.position += wanted as u64;
            state.left -= wanted as u64;
            Some((Ok(Bytes::from_owner(buffer)), state))
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_parts_stays_within_the_limit() {
        let at_limit = PART_BYTES_MIN * PARTS_MAX;
        assert_eq!(part_bytes(1), PART_BYTES_MIN);
        assert_eq!(part_bytes(at_limit), PART_BYTES_MIN);
        assert_eq!(part_bytes(at_limit + 1), PART_BYTES_MIN + PIECE_BYTES as u64);
        assert!((at_limit + 1).div_ceil(part_bytes(at_limit + 1)) <= PARTS_MAX);
    }
}
