//! Writes that are not in the engine yet, and can be taken back.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;

use crate::IndexError;
use crate::engine::{Batch, Direction, Pair};
use crate::reads::Base;

/// Fewest pairs asked of the engine at once while merging.
const MERGE_PAIRS_MIN: usize = 16;

/// Where the pending writes stood: what came after can be reverted to here.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    pub(crate) undo_len: usize,
    pub(crate) state: crate::fold::FoldState,
}

type Old = Option<Option<Vec<u8>>>;

/// The writes, and what they replaced among themselves.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    undo: Vec<(Vec<u8>, Old)>,
}

impl Pending {
    pub(crate) fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let old = self.writes.insert(key.clone(), value);
        self.undo.push((key, old));
    }

    pub(crate) fn find(&self, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.writes.get(key)
    }

    pub(crate) fn undo_len(&self) -> usize {
        self.undo.len()
    }

    pub(crate) fn revert(&mut self, undo_len: usize) {
        while self.undo.len() > undo_len {
            let Some((key, old)) = self.undo.pop() else { return };
            match old {
                Some(value) => self.writes.insert(key, value),
                None => self.writes.remove(&key),
            };
        }
    }

    pub(crate) fn into_batch(self) -> Batch {
        Batch { writes: self.writes.into_iter().collect() }
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Range<'_, Vec<u8>, Option<Vec<u8>>> {
        self.writes.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)))
    }

    /// A scan of the base as if the pending writes had been made.
    pub(crate) fn scan(
        &self,
        base: &Base<'_>,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, IndexError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let before = |a: &[u8], b: &[u8]| match direction {
            Direction::Forward => a < b,
            Direction::Backward => a > b,
        };
        let range = self.range(from, to);
        let mut written: Box<dyn Iterator<Item = _>> = match direction {
            Direction::Forward => Box::new(range),
            Direction::Backward => Box::new(range.rev()),
        };
        let mut next_written = written.next();
        let mut stored = Stored::new(base, from, to, direction, limit);
        let mut next_stored = stored.next()?;
        let mut out = Vec::new();
        while out.len() < limit {
            let stored_first = match (&next_stored, next_written) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((key, _)), Some((written, _))) => before(key, written),
            };
            if stored_first {
                out.extend(next_stored);
                next_stored = stored.next()?;
                continue;
            }
            if let Some((key, value)) = next_written {
                if next_stored.as_ref().is_some_and(|(stored, _)| stored == key) {
                    next_stored = stored.next()?;
                }
                if let Some(value) = value {
                    out.push((key.clone(), value.clone()));
                }
            }
            next_written = written.next();
        }
        Ok(out)
    }
}

/// The pairs of a range of the base, fetched some at a time.
struct Stored<'a> {
    base: &'a Base<'a>,
    from: Vec<u8>,
    to: Vec<u8>,
    direction: Direction,
    step: usize,
    fetched: std::vec::IntoIter<Pair>,
    ended: bool,
}

impl<'a> Stored<'a> {
    fn new(base: &'a Base<'a>, from: &[u8], to: &[u8], direction: Direction, limit: usize) -> Self {
        Self {
            base,
            from: from.to_vec(),
            to: to.to_vec(),
            direction,
            step: limit.max(MERGE_PAIRS_MIN),
            fetched: Vec::new().into_iter(),
            ended: false,
        }
    }

    fn next(&mut self) -> Result<Option<Pair>, IndexError> {
        if let Some(pair) = self.fetched.next() {
            return Ok(Some(pair));
        }
        if self.ended {
            return Ok(None);
        }
        let pairs = self.base.scan(&self.from, &self.to, self.direction, self.step)?;
        self.ended = pairs.len() < self.step;
        if let Some((last, _)) = pairs.last() {
            match self.direction {
                Direction::Forward => {
                    self.from = last.clone();
                    self.from.push(0);
                }
                Direction::Backward => self.to = last.clone(),
            }
        }
        self.fetched = pairs.into_iter();
        Ok(self.fetched.next())
    }
}
