//! What can go wrong with blobs, told so that the caller knows what to do next.

use std::io;

use ingot_core::Digest;

/// Why a blob could not be stored or read. `Display` is for operators.
///
/// After any of these a put may simply be repeated: the name is the content, so a put that did
/// happen after all does no harm. What must never be done is to commit a reference to a blob
/// whose put did not return success.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Too little free space, or the file system says it is full. Nothing became visible.
    #[error("no space: {free_bytes} bytes are free, {reserve_bytes} are kept in reserve")]
    NoSpace {
        /// What was free when it was looked at, in bytes.
        free_bytes: u64,
        /// What uploads must leave free, in bytes.
        reserve_bytes: u64,
    },
    /// The stored bytes are not those that the digest names.
    #[error("blob {digest} is damaged")]
    Damaged {
        /// The blob.
        digest: Digest,
    },
    /// There is no such blob.
    #[error("blob {digest} is missing")]
    Missing {
        /// The blob.
        digest: Digest,
    },
    /// The range asked for does not lie in the blob. A mistake of the caller.
    #[error("the range asked for lies outside the blob's {size_bytes} bytes")]
    OutOfRange {
        /// The length of the blob, in bytes.
        size_bytes: u64,
    },
    /// A sync to disk failed earlier, so what the disk holds is no longer known: no more writes
    /// until restart. Nothing was written.
    #[error("writes are off until restart, because a sync to disk failed")]
    ReadOnly,
    /// The object store cannot be reached or refused. Whether a write happened is unknown.
    #[error("the object store is unavailable")]
    Unavailable(#[source] object_store::Error),
    /// The file system reported an error. Whether a write happened is unknown.
    #[error("cannot {what}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StorageError {
    /// Whether a failed write certainly left nothing visible. Otherwise it is unknown.
    pub fn certainly_did_not_happen(&self) -> bool {
        match self {
            Self::NoSpace { .. } | Self::ReadOnly | Self::OutOfRange { .. } => true,
            Self::Damaged { .. }
            | Self::Missing { .. }
            | Self::Unavailable(_)
            | Self::Io { .. } => false,
        }
    }

    /// Whether the system said that the disk is full or the quota used up.
    pub(crate) fn is_full(error: &io::Error) -> bool {
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// For `map_err`: names what was being done.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            if Self::is_full(&source) {
                return Self::NoSpace { free_bytes: 0, reserve_bytes: 0 };
            }
            Self::Io { what, source }
        }
    }

    /// Sorts an object store's error: missing, full, or unavailable.
    pub(crate) fn of_store(error: object_store::Error, digest: Digest) -> Self {
        if matches!(error, object_store::Error::NotFound { .. }) {
            return Self::Missing { digest };
        }
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(inner) = source {
            if inner.downcast_ref::<io::Error>().is_some_and(Self::is_full) {
                return Self::NoSpace { free_bytes: 0, reserve_bytes: 0 };
            }
            source = inner.source();
        }
        Self::Unavailable(error)
    }

    /// A blocking task was torn down, which only happens when the runtime stops.
    pub(crate) fn stopped(error: tokio::task::JoinError) -> Self {
        Self::Io { what: "finish blocking work", source: io::Error::other(error) }
    }
}

/// Runs blocking work away from the async workers.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    tokio::task::spawn_blocking(work).await.map_err(StorageError::stopped)?
}
