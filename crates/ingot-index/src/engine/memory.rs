//! Keys and values in a `BTreeMap`: for the temporary index of `verify`, and for tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use crate::IndexError;
use crate::engine::{Batch, Direction, Engine, Pair};

type Space = BTreeMap<Vec<u8>, Vec<u8>>;

/// An index that ends with the process.
#[derive(Debug, Default)]
pub struct Memory {
    spaces: RwLock<HashMap<String, Space>>,
}

impl Engine for Memory {
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        Ok(spaces.get(space).and_then(|space| space.get(key)).cloned())
    }

    fn scan(
        &self,
        space: &str,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, IndexError> {
        let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        let Some(space) = spaces.get(space) else { return Ok(Vec::new()) };
        if from >= to {
            return Ok(Vec::new());
        }
        let range = space.range(from.to_vec()..to.to_vec());
        let own = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        Ok(match direction {
            Direction::Forward => range.take(limit).map(own).collect(),
            Direction::Backward => range.rev().take(limit).map(own).collect(),
        })
    }

    fn apply(&self, space: &str, batch: &Batch) -> Result<(), IndexError> {
        let mut spaces = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
        let space = spaces.entry(space.to_owned()).or_default();
        for (key, value) in &batch.writes {
            match value {
                Some(value) => space.insert(key.clone(), value.clone()),
                None => space.remove(key),
            };
        }
        Ok(())
    }

    fn drop_space(&self, space: &str) -> Result<(), IndexError> {
        self.spaces.write().unwrap_or_else(PoisonError::into_inner).remove(space);
        Ok(())
    }
}
