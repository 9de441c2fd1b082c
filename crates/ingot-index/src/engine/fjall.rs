//! The default engine: fjall, a log-structured tree. One keyspace per space.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::IndexError;
use crate::engine::{Batch, CACHE_BYTES, Direction, Engine, Pair};

/// Most bytes of journal kept before old memtables are flushed.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes a space collects in memory before they are written out.
const MEMTABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// An index in fjall.
pub struct Fjall {
    database: Database,
    spaces: RwLock<HashMap<String, Keyspace>>,
}

fn failed(error: fjall::Error) -> IndexError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error.into(),
        fjall::Error::Locked => IndexError::Busy,
        error => IndexError::engine(error),
    }
}

impl Fjall {
    /// Opens or creates the database in a directory.
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        let database = Database::builder(dir)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .open()
            .map_err(failed)?;
        Ok(Self { database, spaces: RwLock::default() })
    }

    /// Asks the disk to keep what was written.
    pub fn sync(&self) -> Result<(), IndexError> {
        self.database.persist(PersistMode::SyncAll).map_err(failed)
    }

    fn options() -> KeyspaceCreateOptions {
        KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX)
    }

    /// The keyspace of a space, if it was ever written to: looking must not create.
    fn find(&self, space: &str) -> Result<Option<Keyspace>, IndexError> {
        let known = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(keyspace) = known.get(space) {
            return Ok(Some(keyspace.clone()));
        }
        drop(known);
        if !self.database.keyspace_exists(space) {
            return Ok(None);
        }
        self.create(space).map(Some)
    }

    fn create(&self, space: &str) -> Result<Keyspace, IndexError> {
        let mut known = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(keyspace) = known.get(space) {
            return Ok(keyspace.clone());
        }
        let keyspace = self.database.keyspace(space, Self::options).map_err(failed)?;
        known.insert(space.to_owned(), keyspace.clone());
        Ok(keyspace)
    }
}

impl Engine for Fjall {
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let Some(keyspace) = self.find(space)? else { return Ok(None) };
        Ok(keyspace.get(key).map_err(failed)?.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        space: &str,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, IndexError> {
        let Some(keyspace) = self.find(space)? else { return Ok(Vec::new()) };
        if from >= to {
            return Ok(Vec::new());
        }
        let own = |guard: fjall::Guard| {
            let (key, value) = guard.into_inner().map_err(failed)?;
            Ok((key.to_vec(), value.to_vec()))
        };
        let range = keyspace.range(from..to);
        match direction {
            Direction::Forward => range.take(limit).map(own).collect(),
            Direction::Backward => range.rev().take(limit).map(own).collect(),
        }
    }

    fn apply(&self, space: &str, batch: &Batch) -> Result<(), IndexError> {
        let keyspace = match self.find(space)? {
            Some(keyspace) => keyspace,
            None => self.create(space)?,
        };
        // To the operating system, not to the disk: a killed process loses nothing, and after a
        // power cut the index is dropped anyway.
        let mut writes = self.database.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in &batch.writes {
            match value {
                Some(value) => writes.insert(&keyspace, key.as_slice(), value.as_slice()),
                None => writes.remove(&keyspace, key.as_slice()),
            }
        }
        writes.commit().map_err(failed)
    }

    fn drop_space(&self, space: &str) -> Result<(), IndexError> {
        let Some(keyspace) = self.find(space)? else { return Ok(()) };
        self.spaces.write().unwrap_or_else(PoisonError::into_inner).remove(space);
        self.database.delete_keyspace(keyspace).map_err(failed)
    }
}
