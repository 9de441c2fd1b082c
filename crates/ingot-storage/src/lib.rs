//! Blobs: bytes that are named by their sha256 and by nothing else.
//!
//! A body is first *spooled* ([`Spooler`], [`SpoolWriter`]): received into memory or a temp file
//! and hashed on the way. The finished [`Spooled`] can be looked into and then [put](Blobs::put),
//! durably, under a [`BlobKey`]. [`Blobs::open`] streams it back and never lets a wrong body pass
//! as complete.
//!
//! This crate does *not* know releases, packages or the ledger; it never decides what may be
//! stored or removed, and it never reads the clock.
//!
//! Start with [`Blobs`]. Below it are two backends: [`local`](Blobs::local), a directory written
//! with plain system calls, and [`over`](Blobs::over), any object store.

mod backend;
mod blobs;
mod buffer;
mod error;
mod hashing;
mod key;
mod local;
mod pieces;
mod read;
mod remote;
mod spool;
mod spool_files;

pub use blobs::{Blobs, CACHED_BLOB_BYTES_MAX, Options, VERIFIED_KEYS_MAX, VerifyReads};
pub use error::StorageError;
pub use hashing::PIECE_BYTES;
pub use key::BlobKey;
pub use read::{BlobBody, BlobStream};
pub use remote::{PART_BYTES_MIN, PARTS_IN_FLIGHT_MAX, PARTS_MAX, local_object_store};
pub use spool::{SpoolWriter, Spooled, SpooledReader, Spooler};
