//! What can go wrong with an index.

use ingot_core::refusal::{Code, Refusal};

/// Why the index could not do something. Nothing here is a reason to doubt the ledger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The engine failed to read or write.
    #[error("the index engine failed")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The disk refuses: full, read-only, or not permitted. Dropping the index would not help.
    #[error("the disk refuses the index")]
    Disk(#[source] std::io::Error),
    /// Another process has the index open.
    #[error("the index is open in another process")]
    Busy,
    /// What is stored cannot be what was written. The space has to be rebuilt.
    #[error("the index is damaged: {0}")]
    Damaged(String),
    /// An event that no rule would have let through here: ledger and index do not belong together.
    #[error("the event does not fit what is folded: {0}")]
    Misfit(String),
    /// The space moved on since the batch was begun.
    #[error("the batch was begun at commit {begun}, but the index is at {found}")]
    Moved {
        /// The commit the batch builds on.
        begun: u64,
        /// The commit that is folded.
        found: u64,
    },
    /// The index was closed.
    #[error("the index is closed")]
    Closed,
}

impl IndexError {
    pub(crate) fn engine(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Engine(Box::new(source))
    }

    /// True when dropping the space and folding again is the remedy.
    pub fn asks_for_rebuild(&self) -> bool {
        matches!(self, Self::Engine(_) | Self::Damaged(_) | Self::Misfit(_))
    }
}

/// Sorts an error of the file system into "the disk refuses" and "the engine failed".
impl From<std::io::Error> for IndexError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{
            PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
        };
        match error.kind() {
            StorageFull | QuotaExceeded | PermissionDenied | ReadOnlyFilesystem => {
                Self::Disk(error)
            }
            _ => Self::Engine(Box::new(error)),
        }
    }
}

impl From<IndexError> for Refusal {
    fn from(error: IndexError) -> Self {
        Refusal::new(Code::Internal, "the index could not be used").because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_refuses_is_no_reason_to_rebuild() {
        use std::io::ErrorKind;
        for kind in [ErrorKind::StorageFull, ErrorKind::PermissionDenied] {
            let error = IndexError::from(std::io::Error::from(kind));
            assert!(matches!(error, IndexError::Disk(_)) && !error.asks_for_rebuild());
        }
        let error = IndexError::from(std::io::Error::from(ErrorKind::InvalidData));
        assert!(error.asks_for_rebuild());
        assert_eq!(Refusal::from(error).code(), Code::Internal);
    }
}
