//! What can go wrong.

use ingot_core::names::Seq;

/// Why a call on the ledger did not give an answer.
///
/// None of these says that an append *happened or not*: that is what
/// [`Appended`](crate::Appended) is for. An error returned by `append` itself means that nothing
/// was sent to the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not be reached, refused, or did not answer within the deadline.
    #[error("the ledger's store is not available")]
    Unavailable {
        /// The object that was asked for.
        key: String,
        /// What the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A commit does not follow from the one before. Writes of this ledger are stopped: somebody
    /// changed, removed or forked its history.
    #[error("the ledger's chain is broken at commit {seq}: {reason}; writes are stopped")]
    ChainBroken {
        /// The first commit that does not fit.
        seq: Seq,
        /// What does not fit.
        reason: String,
    },
    /// The head that was given is not a commit of this ledger. Drop the index and replay.
    #[error("commit {seq}, as it is remembered here, is not in the ledger")]
    NotOnChain {
        /// The number of the head that was given.
        seq: Seq,
    },
    /// An object was written by a newer version.
    #[error("{key} is in format {found}, and this version reads up to {supported}")]
    NewerFormat {
        /// The object.
        key: String,
        /// The format it is in.
        found: u32,
        /// The newest format understood.
        supported: u32,
    },
    /// An object is not what was written.
    #[error("{key} is damaged: {reason}")]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that was handed in cannot be kept; nothing was written.
    #[error("{what} is not accepted: {reason}")]
    NotAccepted {
        /// What was handed in.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// The disk refused to make a write durable. After that a later sync proves nothing, so this
    /// process writes no more; restart once the disk is sound.
    #[error("the disk failed to make a write durable; writes are stopped until a restart")]
    SyncFailed {
        /// What the operating system said.
        reason: String,
    },
}

impl Error {
    pub(crate) fn damaged(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Damaged { key: key.into(), reason: reason.into() }
    }
    pub(crate) fn broken(seq: Seq, reason: impl Into<String>) -> Self {
        Self::ChainBroken { seq, reason: reason.into() }
    }
    pub(crate) fn not_accepted(what: &'static str, reason: impl Into<String>) -> Self {
        Self::NotAccepted { what, reason: reason.into() }
    }
}
