//! The ledger: the totally ordered, hash-chained record of every change in a project.
//!
//! Commit *n* is an object that is *created once* under its number, so the store decides who wins
//! and every process is just another optimistic writer. This crate appends commits, reads them
//! back verified against the chain, packs old ones into segments, keeps snapshots of the fold, and
//! checks all of it.
//!
//! It is *not* a place for knowing what a commit means: entries are opaque JSON text, and the
//! rules, the committer and the fold live elsewhere. It reads no clock and draws no random number
//! of its own: both come in through [`Options`] and arguments.
//!
//! Start with [`Ledger::open`], then [`Ledger::read_after`] and [`Ledger::append`]. What lies in
//! the store, for a stranger who has to read it, is written down in [`layout`].

mod append;
mod commit;
mod compact;
mod door;
mod error;
mod find;
pub mod layout;
mod ledger;
mod read;
mod segment;
mod snapshot;
#[cfg(feature = "testing")]
pub mod testing;
mod verify;

pub use append::{Appended, Pending};
pub use commit::{COMMIT_BYTES_MAX, Commit, FORMAT_VERSION, Head, WRITER_BYTES_MAX};
pub use compact::Compacted;
pub use error::Error;
pub use ledger::{
    CALL_DEADLINE, CONFIRM_MAX, Clock, KEEP_COMMITS, Ledger, Options, SEGMENT_COMMITS,
};
pub use read::{READ_BYTES_MAX, Replay};
pub use segment::SEGMENT_PART_BYTES_MAX;
pub use snapshot::{
    CHUNK_BYTES_MAX, CHUNK_GRACE, CHUNKS_MAX, SNAPSHOTS_KEPT, SnapshotChunk, SnapshotManifest,
    SnapshotWriter,
};
pub use verify::{Fault, FaultKind, VerifyReport};

/// What a call of this crate answers with.
pub type Result<T> = std::result::Result<T, Error>;
