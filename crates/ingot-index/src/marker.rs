//! How the last process left the index.
//!
//! A file with the machine's boot id lies beside the engine's directory from open to clean close.
//! Found at open with another boot id it means that the machine went down under an open index,
//! whose newest writes may be lost *and* whose oldest may be torn: no engine here is trusted then.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::IndexError;

/// How much of the index was usable when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It was closed cleanly, or is new.
    Clean,
    /// A process ended without closing it, but the machine went on: whoever opened it checks that
    /// each space's tag lies on the ledger's chain before using it.
    SameBoot,
    /// It was not to be trusted, and everything was dropped.
    Dropped,
}

pub(crate) struct Marker {
    path: PathBuf,
}

impl Marker {
    pub(crate) fn beside(dir: &Path, engine: &str) -> Self {
        Self { path: dir.join(format!("{engine}.open")) }
    }

    pub(crate) fn look(&self, boot_id: &str) -> Result<Opened, IndexError> {
        match fs::read_to_string(&self.path) {
            // A boot that has no name is never the same one.
            Ok(found) if found == boot_id && !boot_id.is_empty() => Ok(Opened::SameBoot),
            Ok(_) => Ok(Opened::Dropped),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Opened::Clean),
            Err(error) if error.kind() == ErrorKind::InvalidData => Ok(Opened::Dropped),
            Err(error) => Err(error.into()),
        }
    }

    /// Lays the marker, durably: it must be there before anything of the index changes.
    pub(crate) fn lay(&self, boot_id: &str) -> Result<(), IndexError> {
        let mut file = File::create(&self.path)?;
        file.write_all(boot_id.as_bytes())?;
        file.sync_all()?;
        self.sync_dir()
    }

    pub(crate) fn lift(&self) -> Result<(), IndexError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => self.sync_dir(),
        }
    }

    fn sync_dir(&self) -> Result<(), IndexError> {
        match self.path.parent() {
            Some(dir) => Ok(File::open(dir)?.sync_all()?),
            None => Ok(()),
        }
    }
}

/// Asks the disk to keep every file under a directory, and the directory. sled's own flush does
/// not reach its directory, which is how it loses what it says is flushed.
pub(crate) fn sync_tree(dir: &Path) -> Result<(), IndexError> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let synced = if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())
        } else {
            File::open(entry.path()).and_then(|file| file.sync_all()).map_err(IndexError::from)
        };
        match synced {
            // An engine may remove its own files meanwhile.
            Err(IndexError::Engine(error))
                if error
                    .downcast_ref::<std::io::Error>()
                    .is_some_and(|error| error.kind() == ErrorKind::NotFound) => {}
            other => other?,
        }
    }
    Ok(File::open(dir)?.sync_all()?)
}
