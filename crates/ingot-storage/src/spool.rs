//! Receiving a body: into memory up to a limit, then into a temp file, hashed on the way.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use ingot_core::{Digest, HashSet, Hashes};

use crate::buffer::{Buffer, Stock};
use crate::error::{StorageError, blocking};
use crate::hashing::{Hashers, INLINE_HASH_BYTES_MAX};
use crate::pieces::{self, Pieces};
use crate::spool_files::{SpoolFile, SpoolFiles};

/// What all spools of one store share.
pub(crate) struct SpoolPlace {
    pub(crate) files: Arc<SpoolFiles>,
    pub(crate) stock: Arc<Stock>,
    /// At most one piece.
    pub(crate) memory_bytes: usize,
}

/// Receives a body on an async worker. Dropping it forgets the body.
///
/// At most two pieces are in memory: one that fills, and one that is being hashed and written by
/// a blocking thread; `write` waits while that one is not done. No thread is held between writes.
pub struct Spooler {
    place: Arc<SpoolPlace>,
    tail: Tail,
    state: Running,
}

/// The part that was handed on.
enum Running {
    Idle(Box<Settled>),
    Busy(tokio::task::JoinHandle<Result<Box<Settled>, StorageError>>),
    /// An error was reported; nothing more is taken.
    Failed,
}

/// Everything up to the last full piece.
struct Settled {
    hashers: Hashers,
    file: Option<SpoolFile>,
    written_bytes: u64,
    place: Arc<SpoolPlace>,
}

/// The bytes after the last full piece.
enum Tail {
    Small(Vec<u8>),
    Large(Buffer),
}

impl Tail {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large(buffer) => buffer.as_ref(),
        }
    }

    /// Takes as much as fits into the piece and returns how much that was.
    fn fill(&mut self, from: &[u8], stock: &Arc<Stock>) -> usize {
        if let Self::Small(bytes) = self {
            if bytes.len() + from.len() <= INLINE_HASH_BYTES_MAX {
                bytes.extend_from_slice(from);
                return from.len();
            }
            let mut buffer = stock.take();
            buffer.fill(bytes);
            *self = Self::Large(buffer);
        }
        match self {
            Self::Large(buffer) => buffer.fill(from),
            Self::Small(_) => 0,
        }
    }

    fn is_full(&self) -> bool {
        matches!(self, Self::Large(buffer) if buffer.is_full())
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Small(Vec::new()))
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Small(bytes) => bytes.into(),
            Self::Large(buffer) => Bytes::from_owner(buffer),
        }
    }
}

impl Settled {
    fn new(place: Arc<SpoolPlace>, wanted: HashSet) -> Box<Self> {
        Box::new(Self { hashers: Hashers::new(wanted), file: None, written_bytes: 0, place })
    }

    /// Hashes and writes one piece. Blocks.
    fn take_piece(&mut self, piece: &[u8]) -> Result<(), StorageError> {
        self.hashers.update(piece);
        let file = match &mut self.file {
            Some(file) => {
                file.check_reserve()?;
                file
            }
            none => none.insert(self.place.files.create()?),
        };
        file.file
            .write_all_at(piece, self.written_bytes)
            .map_err(StorageError::io("write a spool file"))?;
        self.written_bytes += piece.len() as u64;
        Ok(())
    }

    /// Takes what is left and closes the books. Blocks, unless the whole body is small.
    fn finish(mut self, tail: Tail) -> Result<Spooled, StorageError> {
        let rest = tail.bytes();
        let whole_in_memory = self.file.is_none() && rest.len() <= self.place.memory_bytes;
        if whole_in_memory {
            self.hashers.update(rest);
        } else if !rest.is_empty() {
            self.take_piece(rest)?;
        }
        let size = self.written_bytes + if whole_in_memory { rest.len() as u64 } else { 0 };
        let finished = self.hashers.finish();
        let pieces =
            pieces::are_kept(size).then(|| Pieces::of(finished.digest, size, &finished.pieces));
        let content = match self.file {
            Some(file) => Content::File(file),
            None => Content::Memory(tail.into_bytes()),
        };
        let (digest, hashes) = (finished.digest, finished.hashes);
        Ok(Spooled(Arc::new(Body { content, size, digest, hashes, pieces })))
    }
}

impl Spooler {
    pub(crate) fn new(place: Arc<SpoolPlace>, wanted: HashSet) -> Self {
        let state = Running::Idle(Settled::new(place.clone(), wanted));
        Self { place, tail: Tail::Small(Vec::new()), state }
    }

    /// Takes more of the body. Returns once there is room for more.
    ///
    /// # Errors
    /// [`StorageError::NoSpace`] and [`StorageError::Io`]; the body is then lost, and further
    /// writes are refused.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            // Only a further byte proves that the body does not end with this piece.
            if self.tail.is_full() {
                self.hand_on().await?;
            }
            let taken = self.tail.fill(rest, &self.place.stock);
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// The body is complete: what it is.
    ///
    /// # Errors
    /// Those of [`Self::write`].
    pub async fn finish(mut self) -> Result<Spooled, StorageError> {
        let settled = self.settle().await?;
        let tail = self.tail;
        let inline_bytes_max = INLINE_HASH_BYTES_MAX.min(self.place.memory_bytes);
        if settled.file.is_none() && tail.bytes().len() <= inline_bytes_max {
            return settled.finish(tail);
        }
        blocking(move || settled.finish(tail)).await
    }

    /// Gives the full tail to a blocking thread, once that is done with the piece before.
    async fn hand_on(&mut self) -> Result<(), StorageError> {
        let mut settled = self.settle().await?;
        let piece = self.tail.take();
        self.state = Running::Busy(tokio::task::spawn_blocking(move || {
            settled.take_piece(piece.bytes())?;
            Ok(settled)
        }));
        Ok(())
    }

    /// Waits for the piece that is being written, and takes the books; they must be put back.
    async fn settle(&mut self) -> Result<Box<Settled>, StorageError> {
        if let Running::Busy(work) = &mut self.state {
            // Awaited in place, so that a caller who gives up here and comes back finds it again.
            let done = work.await;
            self.state = Running::Failed;
            return done.map_err(StorageError::stopped)?;
        }
        match std::mem::replace(&mut self.state, Running::Failed) {
            Running::Idle(settled) => Ok(settled),
            Running::Busy(_) | Running::Failed => Err(StorageError::Io {
                what: "go on with a body that could not be spooled",
                source: io::ErrorKind::BrokenPipe.into(),
            }),
        }
    }
}

/// Receives a body on a blocking thread. Dropping it forgets the body.
///
/// Errors of `write` carry a [`StorageError`] inside; [`SpoolWriter::error`] takes it out again.
pub struct SpoolWriter {
    tail: Tail,
    settled: Box<Settled>,
    failed: bool,
}

impl SpoolWriter {
    pub(crate) fn new(place: Arc<SpoolPlace>, wanted: HashSet) -> Self {
        let settled = Settled::new(place, wanted);
        Self { tail: Tail::Small(Vec::new()), settled, failed: false }
    }

    /// The body is complete: what it is. Blocks.
    ///
    /// # Errors
    /// [`StorageError::NoSpace`] and [`StorageError::Io`].
    pub fn finish(self) -> Result<Spooled, StorageError> {
        if self.failed {
            return Err(StorageError::Io {
                what: "go on with a body that could not be spooled",
                source: io::ErrorKind::BrokenPipe.into(),
            });
        }
        self.settled.finish(self.tail)
    }

    /// Turns an error of `write`, as it comes back out of a decoder, into what it was.
    pub fn error(error: io::Error) -> StorageError {
        match error.downcast::<StorageError>() {
            Ok(inner) => inner,
            Err(source) => StorageError::Io { what: "decode a body", source },
        }
    }
}

impl Write for SpoolWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.tail.is_full() && !bytes.is_empty() {
            let piece = self.tail.take();
            if let Err(error) = self.settled.take_piece(piece.bytes()) {
                self.failed = true;
                return Err(io::Error::other(error));
            }
        }
        let stock = self.settled.place.stock.clone();
        Ok(self.tail.fill(bytes, &stock))
    }

    /// Nothing to do: durable it becomes only by a put.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A complete body with its hashes. Clones share it; its temp file goes with the last of them.
#[derive(Clone)]
pub struct Spooled(pub(crate) Arc<Body>);

/// The shared part of [`Spooled`].
pub(crate) struct Body {
    pub(crate) content: Content,
    size: u64,
    digest: Digest,
    hashes: Hashes,
    /// For bodies whose pieces are kept.
    pub(crate) pieces: Option<Pieces>,
}

/// Where a body is.
pub(crate) enum Content {
    Memory(Bytes),
    File(SpoolFile),
}

impl Spooled {
    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.0.size
    }
    /// Its sha256.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }
    /// The further hashes that were asked for.
    pub fn hashes(&self) -> &Hashes {
        &self.0.hashes
    }
    /// The body itself, when it is in memory.
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.0.content {
            Content::Memory(bytes) => Some(bytes),
            Content::File(_) => None,
        }
    }
    /// Reads it from the start. Each reader has a position of its own. Blocks; reads are not
    /// buffered.
    pub fn reader(&self) -> SpooledReader {
        SpooledReader { body: self.0.clone(), position: 0 }
    }
}

impl std::fmt::Debug for Spooled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spooled({}, {} bytes)", self.0.digest, self.0.size)
    }
}

impl Body {
    /// Fills `into` with the bytes at `position`. Blocks when the body is a file.
    pub(crate) fn read_exact_at(&self, into: &mut [u8], position: u64) -> io::Result<()> {
        match &self.content {
            Content::Memory(bytes) => {
                let start = usize::try_from(position).map_err(io::Error::other)?;
                let part = bytes.get(start..).and_then(|rest| rest.get(..into.len()));
                into.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
            Content::File(spool) => spool.file.read_exact_at(into, position),
        }
    }
}

/// A position in a spooled body. It keeps the body alive.
pub struct SpooledReader {
    body: Arc<Body>,
    position: u64,
}

impl Read for SpooledReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.body.size.saturating_sub(self.position);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        self.body.read_exact_at(&mut into[..count], self.position.min(self.body.size))?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for SpooledReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.body.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
