//! What a reader gets, and how it is verified on the way.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use ingot_core::Digest;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use crate::error::{StorageError, blocking};
use crate::hashing::{INLINE_HASH_BYTES_MAX, PIECE_BYTES};
use crate::pieces::Pieces;

/// Pieces on their way in a stream at a time: read ahead of, or being verified.
pub(crate) const PIECES_IN_FLIGHT: usize = 2;

/// Pieces of a blob, in order, not verified.
pub(crate) type Source = BoxStream<'static, Result<Bytes, StorageError>>;

/// The bytes asked for.
pub enum BlobBody {
    /// All of them, verified.
    Whole(Bytes),
    /// As they come. They are the right ones only if the stream ends without an error.
    Stream(BlobStream),
}

impl BlobBody {
    /// Both kinds as a stream.
    pub fn into_stream(self) -> BlobStream {
        match self {
            Self::Whole(bytes) => {
                BlobStream(futures_util::stream::once(std::future::ready(Ok(bytes))).boxed())
            }
            Self::Stream(stream) => stream,
        }
    }
}

/// Chunks of a blob of up to [`PIECE_BYTES`]. An error is the last thing that it yields, and
/// stands in place of at least one byte: a damaged blob is never delivered in full.
pub struct BlobStream(pub(crate) Source);

impl Stream for BlobStream {
    type Item = Result<Bytes, StorageError>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

/// Whether the bytes are those that the digest names. Large ones are hashed elsewhere.
pub(crate) async fn is_right(bytes: &Bytes, digest: Digest) -> Result<bool, StorageError> {
    if bytes.len() <= INLINE_HASH_BYTES_MAX {
        return Ok(Digest::of(bytes) == digest);
    }
    let bytes = bytes.clone();
    blocking(move || Ok(Digest::of(&bytes) == digest)).await
}

/// Reads ahead of the hashes by one piece, and holds back the last until the digest matches.
/// `settled` hears the outcome of a read that came to its end.
pub(crate) fn verify_whole(
    source: Source,
    digest: Digest,
    size: u64,
    settled: impl Fn(bool) + Send + Sync + 'static,
) -> Source {
    struct State<F> {
        source: Source,
        hashing: Hashing,
        left: u64,
        settled: F,
        done: bool,
    }
    let state = State { source, hashing: Hashing::new(), left: size, settled, done: false };
    futures_util::stream::unfold(state, move |mut state| async move {
        if state.done {
            return None;
        }
        let piece = match state.source.next().await {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => {
                state.done = true;
                return Some((Err(error), state));
            }
            None => {
                // Every source ends with an error rather than early; none may end as complete.
                state.done = true;
                return Some((Err(StorageError::Damaged { digest }), state));
            }
        };
        state.left = state.left.saturating_sub(piece.len() as u64);
        let last = state.left == 0;
        state.done = last;
        if let Err(error) = state.hashing.update(piece.clone()).await {
            state.done = true;
            return Some((Err(error), state));
        }
        if last {
            match state.hashing.finish().await {
                Ok(found) => {
                    (state.settled)(found == digest);
                    if found != digest {
                        return Some((Err(StorageError::Damaged { digest }), state));
                    }
                }
                Err(error) => return Some((Err(error), state)),
            }
        }
        Some((Ok(piece), state))
    })
    .boxed()
}

/// A sha256 that runs on a blocking thread while the next piece is fetched.
enum Hashing {
    Idle(Sha256),
    Busy(JoinHandle<Sha256>),
}

impl Hashing {
    fn new() -> Self {
        Self::Idle(Sha256::new())
    }

    async fn settle(&mut self) -> Result<Sha256, StorageError> {
        match std::mem::replace(self, Self::new()) {
            Self::Idle(hasher) => Ok(hasher),
            Self::Busy(work) => work.await.map_err(StorageError::stopped),
        }
    }

    async fn update(&mut self, piece: Bytes) -> Result<(), StorageError> {
        let mut hasher = self.settle().await?;
        *self = Self::Busy(tokio::task::spawn_blocking(move || {
            hasher.update(&piece);
            hasher
        }));
        Ok(())
    }

    async fn finish(&mut self) -> Result<Digest, StorageError> {
        Ok(Digest::from_bytes(self.settle().await?.finalize().into()))
    }
}

/// The whole pieces that cover some bytes of a blob of that size.
pub(crate) fn covering(bytes: &Range<u64>, size: u64) -> Range<u64> {
    let piece = PIECE_BYTES as u64;
    let start = bytes.start / piece * piece;
    start..bytes.end.next_multiple_of(piece).min(size)
}

/// Checks each piece of `source`, which covers `bytes`, and cuts off what was not asked for.
/// `damaged` hears of it when one is wrong.
pub(crate) fn verify_pieces(
    source: Source,
    pieces: Arc<Pieces>,
    digest: Digest,
    bytes: Range<u64>,
    damaged: impl Fn() + Send + Sync + 'static,
) -> Source {
    let first = bytes.start / PIECE_BYTES as u64;
    let checked = source.enumerate().map(move |(nth, piece)| {
        let pieces = pieces.clone();
        let number = first + nth as u64;
        async move {
            let piece = piece?;
            let (right, piece) =
                blocking(move || Ok((pieces.matches(number, &piece), piece))).await?;
            if !right {
                return Err(StorageError::Damaged { digest });
            }
            let start = number * PIECE_BYTES as u64;
            let from = bytes.start.saturating_sub(start) as usize;
            let to = (bytes.end - start).min(piece.len() as u64) as usize;
            Ok(piece.slice(from..to))
        }
    });
    until_error(checked.buffered(PIECES_IN_FLIGHT).inspect(move |piece| {
        if matches!(piece, Err(StorageError::Damaged { .. })) {
            damaged();
        }
    }))
}

/// Ends a stream with its first error.
pub(crate) fn until_error(
    source: impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static,
) -> Source {
    let mut failed = false;
    source
        .take_while(move |item| {
            let go_on = !failed;
            failed |= item.is_err();
            std::future::ready(go_on)
        })
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_widened_to_whole_pieces() {
        let piece = PIECE_BYTES as u64;
        let size = 3 * piece + 10;
        assert_eq!(covering(&(0..1), size), 0..piece);
        assert_eq!(covering(&(piece - 1..piece), size), 0..piece);
        assert_eq!(covering(&(piece - 1..piece + 1), size), 0..2 * piece);
        assert_eq!(covering(&(piece..2 * piece), size), piece..2 * piece);
        assert_eq!(covering(&(size - 1..size), size), 3 * piece..size);
    }
}
