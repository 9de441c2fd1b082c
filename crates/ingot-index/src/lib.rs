//! The fold of the ledger, per process, for fast answers.
//!
//! What the ledger says is folded here into ordered keys and values, a *space* per project and one
//! for `system`, tagged in the same batch with the commit that was folded last. It is *not* the
//! truth: it may be thrown away at any moment, and on any doubt it is. Nothing is acknowledged on
//! the strength of it, and it holds no rule: it is told what happened and answers what is.
//!
//! Start with [`Index`] (open, view, begin, commit), then [`keys`] (what is kept under which key),
//! then [`fold`] (what each event does to it). Engines are modules of [`engine`].

pub mod engine;
mod error;
pub mod fold;
mod gate;
mod index;
pub mod keys;
mod marker;
mod pages;
mod pending;
mod reads;
pub mod rows;
mod snapshot;

pub use engine::EngineKind;
pub use error::IndexError;
pub use fold::{FOLD_VERSION, Fold, FoldedBatch};
pub use index::{Index, Tag, View};
pub use marker::Opened;
pub use pages::{PAGE_ROWS_MAX, Page};
pub use pending::Checkpoint;
pub use reads::{Base, Committed, Overlay, Reads, Source};
pub use snapshot::{CHUNK_BYTES, Dump};
