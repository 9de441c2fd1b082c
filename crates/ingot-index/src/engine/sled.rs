//! The alternative engine: sled 0.34. One tree per space.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use sled::{Db, Tree};

use crate::IndexError;
use crate::engine::{Batch, CACHE_BYTES, Direction, Engine, Pair};

/// Bytes written between two flushes: unflushed, sled keeps all of a load in memory.
const FLUSH_BYTES: usize = 8 * 1024 * 1024;

/// An index in sled.
pub struct Sled {
    database: Db,
    spaces: RwLock<HashMap<String, Tree>>,
    unflushed_bytes: AtomicUsize,
}

fn failed(error: sled::Error) -> IndexError {
    match error {
        // sled tells of a lock only in words.
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            IndexError::Busy
        }
        sled::Error::Io(error) => error.into(),
        error => IndexError::engine(error),
    }
}

impl Sled {
    /// Opens or creates the database in a directory.
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        // A crash while a snapshot was written leaves this, and sled then refuses as corrupt.
        if let Ok(entries) = std::fs::read_dir(dir) {
            for entry in entries {
                let name = entry?.file_name();
                if name.to_string_lossy().ends_with(".generating") {
                    return Err(IndexError::Damaged("a snapshot was left unfinished".to_owned()));
                }
            }
        }
        let database = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .print_profile_on_drop(false)
            .open()
            .map_err(failed)?;
        Ok(Self { database, spaces: RwLock::default(), unflushed_bytes: AtomicUsize::new(0) })
    }

    /// Writes out what is buffered.
    pub fn sync(&self) -> Result<(), IndexError> {
        self.database.flush().map_err(failed)?;
        Ok(())
    }

    /// The tree of a space, if it was ever written to: looking must not create.
    fn find(&self, space: &str) -> Result<Option<Tree>, IndexError> {
        let known = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = known.get(space) {
            return Ok(Some(tree.clone()));
        }
        drop(known);
        if !self.database.tree_names().iter().any(|name| name == space.as_bytes()) {
            return Ok(None);
        }
        self.create(space).map(Some)
    }

    fn create(&self, space: &str) -> Result<Tree, IndexError> {
        let mut known = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = known.get(space) {
            return Ok(tree.clone());
        }
        let tree = self.database.open_tree(space).map_err(failed)?;
        known.insert(space.to_owned(), tree.clone());
        Ok(tree)
    }
}

impl Engine for Sled {
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let Some(tree) = self.find(space)? else { return Ok(None) };
        Ok(tree.get(key).map_err(failed)?.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        space: &str,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, IndexError> {
        let Some(tree) = self.find(space)? else { return Ok(Vec::new()) };
        if from >= to {
            return Ok(Vec::new());
        }
        let own = |pair: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = pair.map_err(failed)?;
            Ok((key.to_vec(), value.to_vec()))
        };
        let range = tree.range(from..to);
        match direction {
            Direction::Forward => range.take(limit).map(own).collect(),
            Direction::Backward => range.rev().take(limit).map(own).collect(),
        }
    }

    fn apply(&self, space: &str, batch: &Batch) -> Result<(), IndexError> {
        let tree = match self.find(space)? {
            Some(tree) => tree,
            None => self.create(space)?,
        };
        let mut writes = sled::Batch::default();
        let mut bytes = 0;
        for (key, value) in &batch.writes {
            bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            match value {
                Some(value) => writes.insert(key.as_slice(), value.as_slice()),
                None => writes.remove(key.as_slice()),
            }
        }
        tree.apply_batch(writes).map_err(failed)?;
        if self.unflushed_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes >= FLUSH_BYTES {
            self.unflushed_bytes.store(0, Ordering::Relaxed);
            self.sync()?;
        }
        Ok(())
    }

    fn drop_space(&self, space: &str) -> Result<(), IndexError> {
        self.spaces.write().unwrap_or_else(PoisonError::into_inner).remove(space);
        self.database.drop_tree(space).map_err(failed)?;
        Ok(())
    }
}
