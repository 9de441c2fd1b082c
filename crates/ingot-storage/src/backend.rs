//! The two kinds of store behind [`Blobs`](crate::Blobs).

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use ingot_core::{Digest, ProjectName};

use crate::buffer::Stock;
use crate::error::{StorageError, blocking};
use crate::hashing::PIECE_BYTES;
use crate::key::BlobKey;
use crate::local::{Local, read_at};
use crate::pieces::Pieces;
use crate::read::{PIECES_IN_FLIGHT, Source, until_error};
use crate::remote::Remote;

/// Where the blobs are.
pub(crate) enum Backend {
    Local(Arc<Local>),
    Remote(Remote),
}

impl Backend {
    /// Some bytes of a blob of that size, cut where the pieces end.
    pub(crate) async fn source(
        &self,
        key: &BlobKey,
        size: u64,
        bytes: Range<u64>,
        stock: &Arc<Stock>,
    ) -> Result<Source, StorageError> {
        match self {
            Self::Remote(remote) => remote.source(key, size, bytes).await,
            Self::Local(local) => {
                let (local, key, digest) = (local.clone(), key.clone(), key.digest);
                let file = blocking(move || local.open(&key, size)).await?;
                Ok(read_ahead(file, digest, bytes, stock.clone()))
            }
        }
    }

    /// A blob of at most one piece.
    pub(crate) async fn small(
        &self,
        key: &BlobKey,
        size: u64,
        stock: &Arc<Stock>,
    ) -> Result<Bytes, StorageError> {
        match self {
            Self::Remote(remote) => {
                let mut source = remote.source(key, size, 0..size).await?;
                source.next().await.unwrap_or(Ok(Bytes::new()))
            }
            Self::Local(local) => {
                let (local, key, stock) = (local.clone(), key.clone(), stock.clone());
                blocking(move || {
                    let file = local.open(&key, size)?;
                    read_at(&file, key.digest, 0, size as usize, &stock)
                })
                .await
            }
        }
    }

    /// The digests of the pieces, if they are there and sound.
    pub(crate) async fn find_pieces(
        &self,
        key: &BlobKey,
        size: u64,
    ) -> Result<Option<Pieces>, StorageError> {
        match self {
            Self::Remote(remote) => Ok(remote.find_pieces(key, size).await),
            Self::Local(local) => {
                let (local, key) = (local.clone(), key.clone());
                blocking(move || Ok(local.find_pieces(&key, size))).await
            }
        }
    }

    pub(crate) async fn put_pieces(
        &self,
        key: &BlobKey,
        pieces: &Pieces,
    ) -> Result<(), StorageError> {
        match self {
            Self::Remote(remote) => remote.put_pieces(key, pieces).await,
            Self::Local(local) => {
                let (local, key, pieces) = (local.clone(), key.clone(), pieces.clone());
                blocking(move || local.put_pieces(&key, &pieces)).await
            }
        }
    }

    pub(crate) fn keys(
        &self,
        project: &ProjectName,
    ) -> BoxStream<'static, Result<BlobKey, StorageError>> {
        let local = match self {
            Self::Remote(remote) => return remote.keys(project),
            Self::Local(local) => local.clone(),
        };
        let project = project.clone();
        let shards = futures_util::stream::iter(0..=u16::from(u8::MAX)).then(move |shard| {
            let (local, project) = (local.clone(), project.clone());
            async move {
                let keys = blocking(move || local.keys(&project, shard)).await;
                keys.map_or_else(
                    |error| vec![Err(error)],
                    |keys| keys.into_iter().map(Ok).collect(),
                )
            }
        });
        shards.flat_map(futures_util::stream::iter).boxed()
    }
}

/// Positioned reads of one piece each, two at a time, on blocking threads.
fn read_ahead(file: File, digest: Digest, bytes: Range<u64>, stock: Arc<Stock>) -> Source {
    let file = Arc::new(file);
    let piece = PIECE_BYTES as u64;
    let numbers = bytes.start / piece..bytes.end.div_ceil(piece);
    let reads = futures_util::stream::iter(numbers).map(move |number| {
        let (file, stock) = (file.clone(), stock.clone());
        let start = (number * piece).max(bytes.start);
        let end = ((number + 1) * piece).min(bytes.end);
        blocking(move || read_at(&file, digest, start, (end - start) as usize, &stock))
    });
    until_error(reads.buffered(PIECES_IN_FLIGHT))
}
