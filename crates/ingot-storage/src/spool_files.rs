//! Temp files of bodies that are too large for memory.
//!
//! They are spread over folders: with one shared folder, its lock in the kernel is what limits
//! parallel uploads.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::error::StorageError;

/// How many folders the temp files are spread over.
const FOLDERS: u64 = 64;

/// Distinguishes all temp files of this process; another process cannot have the same, because
/// they are only ever created anew.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A number that no other temp name of this process has, mixed with the process's id.
pub(crate) fn unique_number() -> u64 {
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    u64::from(std::process::id()).wrapping_mul(1_000_000_007).wrapping_add(next)
}

/// Creates a file that was not there, under a name made from a number, and returns both.
pub(crate) fn create_unique(name: impl Fn(u64) -> PathBuf) -> io::Result<(File, PathBuf)> {
    loop {
        let path = name(unique_number());
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (file, path)),
        }
    }
}

/// Free space for unprivileged processes on the file system of `path`, in bytes.
pub(crate) fn free_bytes(path: &Path) -> Result<u64, StorageError> {
    let found = rustix::fs::statvfs(path).map_err(io::Error::from);
    let found = found.map_err(StorageError::io("look up the free space"))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn keep_reserve(free_bytes: u64, reserve_bytes: u64) -> Result<(), StorageError> {
    if free_bytes < reserve_bytes {
        return Err(StorageError::NoSpace { free_bytes, reserve_bytes });
    }
    Ok(())
}

/// The folders of temp files, and which of these are in use.
pub(crate) struct SpoolFiles {
    root: PathBuf,
    reserve_bytes: u64,
    in_use: Mutex<HashSet<PathBuf>>,
}

impl SpoolFiles {
    /// Makes the folders.
    pub(crate) fn prepare(root: &Path, reserve_bytes: u64) -> Result<Arc<Self>, StorageError> {
        for folder in 0..FOLDERS {
            fs::create_dir_all(root.join(format!("{folder:02x}")))
                .map_err(StorageError::io("make the spool folders"))?;
        }
        Ok(Arc::new(Self { root: root.into(), reserve_bytes, in_use: Mutex::default() }))
    }

    /// Where the temp files are.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Refuses when less than the reserve is free on the file system of `path`.
    pub(crate) fn check_reserve(&self, path: &Path) -> Result<(), StorageError> {
        keep_reserve(free_bytes(path)?, self.reserve_bytes)
    }

    /// A new temp file.
    pub(crate) fn create(self: &Arc<Self>) -> Result<SpoolFile, StorageError> {
        self.check_reserve(&self.root)?;
        // Held over both steps, so that a sweep does not see the file before it is in use.
        let mut in_use = self.lock();
        let (file, path) =
            create_unique(|number| self.root.join(format!("{:02x}/{number}", number % FOLDERS)))
                .map_err(StorageError::io("make a spool file"))?;
        in_use.insert(path.clone());
        Ok(SpoolFile { file, path, files: self.clone() })
    }

    /// Removes temp files that nothing uses and that were last written before `now - older_than`.
    pub(crate) fn sweep(&self, older_than: Duration, now: SystemTime) -> Result<u64, StorageError> {
        let mut swept = 0;
        for folder in 0..FOLDERS {
            let folder = self.root.join(format!("{folder:02x}"));
            swept += sweep_folder(&folder, older_than, now, |_, path| !self.lock().contains(path))?;
        }
        Ok(swept)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the files of a folder that are old enough and that `is_leftover` (name, path) names.
pub(crate) fn sweep_folder(
    folder: &Path,
    older_than: Duration,
    now: SystemTime,
    is_leftover: impl Fn(&str, &Path) -> bool,
) -> Result<u64, StorageError> {
    let what = "look for leftovers";
    let mut swept = 0;
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other.map_err(StorageError::io(what))?,
    };
    for entry in entries {
        let entry = entry.map_err(StorageError::io(what))?;
        let path = entry.path();
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| is_leftover(name, &path)) {
            continue;
        }
        let written = match entry.metadata().and_then(|known| known.modified()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(StorageError::io(what))?,
        };
        // A time stamp from the future is no age at all: such a file is left alone.
        if now.duration_since(written).is_ok_and(|age| age >= older_than) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => {
                    other.map_err(StorageError::io("remove a leftover"))?;
                    swept += 1;
                }
            }
        }
    }
    Ok(swept)
}

/// A temp file, removed when dropped.
pub(crate) struct SpoolFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    files: Arc<SpoolFiles>,
}

impl SpoolFile {
    /// Refuses when the reserve is touched; asked before each piece.
    pub(crate) fn check_reserve(&self) -> Result<(), StorageError> {
        self.files.check_reserve(&self.files.root)
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            // Not lost: the sweep at the next start takes it.
            tracing::warn!(%error, "a spool file could not be removed");
        }
        self.files.lock().remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_itself_may_be_reached_but_not_touched() {
        assert!(keep_reserve(100, 100).is_ok());
        assert!(matches!(
            keep_reserve(99, 100),
            Err(StorageError::NoSpace { free_bytes: 99, reserve_bytes: 100 })
        ));
    }

    #[test]
    fn a_temp_name_that_is_taken_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (_, first) = create_unique(|_| folder.path().join("taken")).unwrap();
        let tries = std::cell::Cell::new(0);
        let (_, second) = create_unique(|_| {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { first.clone() } else { folder.path().join("free") }
        })
        .unwrap();
        assert_eq!((tries.get(), second), (3, folder.path().join("free")));
    }
}
