//! The seam to whatever keeps ordered keys and values.
//!
//! Four functions, and no more: a fifth would have to be written for every engine and could hold
//! a rule. What the index needs beyond them (paging, prefixes, isolation) is built on top, once.

use std::path::Path;
use std::str::FromStr;

use ingot_core::refusal::{Code, Refusal};

use crate::IndexError;

pub mod fjall;
pub mod memory;
pub mod sled;

/// Most memory an engine may use to cache what is on disk.
pub const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Which end of a range a scan starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Forward,
    /// Largest key first.
    Backward,
}

/// Writes that take effect together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Per key the value it gets, or none if it goes. A key stands here once.
    pub writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Ordered keys and values in separate spaces. Keys compare as bytes.
pub trait Engine: Send + Sync {
    /// The value of a key.
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;

    /// At most `limit` pairs with `from <= key < to`, in the given direction.
    fn scan(
        &self,
        space: &str,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, IndexError>;

    /// Makes all writes of a batch, or none, also across a crash. Need not be durable.
    fn apply(&self, space: &str, batch: &Batch) -> Result<(), IndexError>;

    /// Removes a space and all that is in it. Readers of it must have ended before.
    fn drop_space(&self, space: &str) -> Result<(), IndexError>;
}

/// The engines there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// The default: bounded memory under load.
    #[default]
    Fjall,
    /// The alternative.
    Sled,
    /// Nothing on disk: for temporary indexes and tests.
    Memory,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [EngineKind; 3] = [Self::Fjall, Self::Sled, Self::Memory];

    /// `fjall`, `sled` or `memory`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fjall => "fjall",
            Self::Sled => "sled",
            Self::Memory => "memory",
        }
    }
}

impl FromStr for EngineKind {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            Refusal::new(Code::Invalid, "the index engine is one of fjall, sled and memory")
        })
    }
}

/// An engine that was opened, before it is hidden behind the seam.
pub(crate) enum Running {
    Fjall(fjall::Fjall),
    Sled(sled::Sled),
    Memory(memory::Memory),
    /// One that a test brought along.
    Given(Box<dyn Engine>),
}

impl Running {
    /// Opens one attempt; whatever panics inside an engine counts as damage.
    pub(crate) fn open(kind: EngineKind, dir: &Path) -> Result<Self, IndexError> {
        let attempt = std::panic::catch_unwind(|| match kind {
            EngineKind::Fjall => fjall::Fjall::open(dir).map(Running::Fjall),
            EngineKind::Sled => sled::Sled::open(dir).map(Running::Sled),
            EngineKind::Memory => Ok(Running::Memory(memory::Memory::default())),
        });
        attempt.unwrap_or_else(|_| Err(IndexError::Damaged("the engine panicked".to_owned())))
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        match self {
            Self::Fjall(engine) => engine,
            Self::Sled(engine) => engine,
            Self::Memory(engine) => engine,
            Self::Given(engine) => &**engine,
        }
    }

    /// Hands everything to the operating system and asks the disk to keep it.
    pub(crate) fn sync(&self) -> Result<(), IndexError> {
        match self {
            Self::Fjall(engine) => engine.sync(),
            Self::Sled(engine) => engine.sync(),
            Self::Memory(_) | Self::Given(_) => Ok(()),
        }
    }
}
