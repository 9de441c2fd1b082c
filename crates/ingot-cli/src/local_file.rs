//! Files on this machine: hashed, and sent without being held in memory.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use indicatif::ProgressBar;
use ingot_core::Digest;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::failure::Failure;

/// How much of a file is in memory at once, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// What a file held when it was read through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Length in bytes.
    pub(crate) size: u64,
    /// The sha256 of all of it.
    pub(crate) digest: Digest,
}

/// Reads a file through once.
pub(crate) async fn measure(path: &Path, bar: &ProgressBar) -> Result<Measured, Failure> {
    let mut file = open(path).await?;
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    loop {
        chunk.clear();
        let count = file.read_buf(&mut chunk).await.map_err(|error| unreadable(path, &error))?;
        if count == 0 {
            break;
        }
        hash.update(&chunk);
        size += count as u64;
        bar.inc(count as u64);
    }
    bar.finish_and_clear();
    Ok(Measured { size, digest: Digest::from_bytes(hash.finalize().into()) })
}

/// The file's length, as far as its directory entry tells; for progress only.
pub(crate) async fn size_hint(path: &Path) -> u64 {
    tokio::fs::metadata(path).await.map_or(0, |metadata| metadata.len())
}

/// A body that sends the first `size` bytes of a file. A file that has become shorter since it
/// was measured is a failure; other changes the server notices by the digest.
pub(crate) async fn body(
    path: &Path,
    size: u64,
    bar: ProgressBar,
) -> Result<reqwest::Body, Failure> {
    let file = open(path).await?;
    bar.set_position(0);
    let shown = path.display().to_string();
    let chunks = stream::try_unfold((file, size), move |(mut file, left)| {
        let shown = shown.clone();
        let bar = bar.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let mut chunk = BytesMut::with_capacity(want);
            let count = (&mut file)
                .take(want as u64)
                .read_buf(&mut chunk)
                .await
                .map_err(|error| Failure::local(format!("{shown} cannot be read: {error}")))?;
            if count == 0 {
                return Err(Failure::local(format!("{shown} became shorter while it was sent")));
            }
            bar.inc(count as u64);
            Ok(Some((Bytes::from(chunk), (file, left - count as u64))))
        }
    });
    Ok(reqwest::Body::wrap_stream(chunks))
}

async fn open(path: &Path) -> Result<File, Failure> {
    let file = File::open(path).await.map_err(|error| unreadable(path, &error))?;
    let metadata = file.metadata().await.map_err(|error| unreadable(path, &error))?;
    if metadata.is_dir() {
        return Err(Failure::local(format!(
            "{} is a directory; pack it into an archive first",
            path.display()
        )));
    }
    Ok(file)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::local(format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_measured_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let content = vec![7_u8; CHUNK_BYTES * 2 + 3];
        std::fs::write(&path, &content).unwrap();
        let measured = measure(&path, &ProgressBar::hidden()).await.unwrap();
        assert_eq!(measured, Measured { size: content.len() as u64, digest: Digest::of(&content) });
        assert_eq!(size_hint(&path).await, measured.size);
    }

    #[tokio::test]
    async fn what_is_no_file_is_said_so() {
        let dir = tempfile::tempdir().unwrap();
        let check = async |path: &Path, word: &str| {
            let failure = measure(path, &ProgressBar::hidden()).await.unwrap_err();
            assert!(failure.to_string().contains(word), "{failure}");
        };
        check(dir.path(), "directory").await;
        check(&dir.path().join("missing"), "cannot be read").await;
    }
}
