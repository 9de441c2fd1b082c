//! The vocabulary and the rules of Ingot.
//!
//! This crate is what the other crates agree on: names that were parsed once, the events of the
//! ledger, the records they fold into, and the rules that turn a wish into events or a refusal.
//! It is *not* a place for I/O, clocks, randomness or async code: time and ids come in as
//! arguments, and what is already known is read through [`facts::Facts`].
//!
//! Start with [`names`] (the words), then [`event`] (what can happen), then [`rules`] (what may
//! happen). A new package format starts at [`format`].

pub mod canonical;
pub mod digest;
pub mod event;
pub mod facts;
pub mod format;
pub mod grant;
pub mod names;
pub mod origin;
pub mod records;
pub mod refusal;
pub mod rules;
pub mod standing;

pub use digest::{Digest, HashKind, HashSet, Hashes};
pub use event::{Change, Entry, Event};
pub use names::{
    Alias, ChannelName, Coordinate, FilePath, FormatName, PackageName, ProjectName, Seq, Version,
    ViewName,
};
pub use origin::{CommitSha, Origin};
pub use refusal::{Code, Refusal};

/// A point in time, to the precision the ledger keeps (microseconds would be noise: milliseconds).
pub type Timestamp = jiff::Timestamp;
