//! A space as a whole: its digest, and chunks to carry it elsewhere.
//!
//! A chunk is a run of pairs in order of key, each as length of key (4 bytes, big-endian), key,
//! length of value (4 bytes), value. The same fold gives the same chunks on every engine. The tag
//! is not among them: who loads says which commit they are.

use sha2::{Digest as _, Sha256};

use ingot_core::Digest;

use crate::IndexError;
use crate::engine::{Batch, Direction, Engine, Pair};
use crate::index::View;
use crate::keys::{Key, Table};
use crate::reads::{Reads, Source, damaged};

/// A chunk ends with the pair that makes it at least this long.
pub const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Pairs read at once.
const STEP_PAIRS: usize = 1000;
/// Greater than every key.
const KEYS_END: [u8; 1] = [0xff];

fn tag_key() -> Vec<u8> {
    Key::of(Table::Tag).bytes()
}

fn length(bytes: &[u8]) -> Result<[u8; 4], IndexError> {
    let length = u32::try_from(bytes.len()).map_err(|_| damaged("a value is over 4 GiB"))?;
    Ok(length.to_be_bytes())
}

impl<S: Source> Reads<S> {
    /// The next pairs from a key on, which is moved behind them.
    fn step(&self, from: &mut Vec<u8>) -> Result<Vec<Pair>, IndexError> {
        let pairs = self.source.pairs(from, &KEYS_END, Direction::Forward, STEP_PAIRS)?;
        if let Some((last, _)) = pairs.last() {
            from.clone_from(last);
            from.push(0);
        }
        Ok(pairs)
    }

    /// A digest over every key and value, the tag among them, in order of key.
    pub fn digest(&self) -> Result<Digest, IndexError> {
        let mut hash = Sha256::new();
        let mut from = Vec::new();
        loop {
            let pairs = self.step(&mut from)?;
            if pairs.is_empty() {
                return Ok(Digest::from_bytes(hash.finalize().into()));
            }
            for (key, value) in &pairs {
                hash.update(length(key)?);
                hash.update(key);
                hash.update(length(value)?);
                hash.update(value);
            }
        }
    }
}

/// A space in chunks.
pub struct Dump<'a> {
    view: View<'a>,
    from: Vec<u8>,
    fetched: std::vec::IntoIter<Pair>,
}

impl<'a> Dump<'a> {
    pub(crate) fn new(view: View<'a>) -> Self {
        let mut from = tag_key();
        from.push(0);
        Self { view, from, fetched: Vec::new().into_iter() }
    }

    /// What is dumped: its tag belongs beside the chunks.
    pub fn view(&self) -> &View<'a> {
        &self.view
    }

    fn chunk(&mut self) -> Result<Vec<u8>, IndexError> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_BYTES {
            let Some((key, value)) = self.fetched.next() else {
                self.fetched = self.view.step(&mut self.from)?.into_iter();
                if self.fetched.len() == 0 {
                    break;
                }
                continue;
            };
            chunk.extend_from_slice(&length(&key)?);
            chunk.extend_from_slice(&key);
            chunk.extend_from_slice(&length(&value)?);
            chunk.extend_from_slice(&value);
        }
        Ok(chunk)
    }
}

impl Iterator for Dump<'_> {
    type Item = Result<Vec<u8>, IndexError>;
    fn next(&mut self) -> Option<Self::Item> {
        match self.chunk() {
            Ok(chunk) if chunk.is_empty() => None,
            other => Some(other),
        }
    }
}

fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], IndexError> {
    let torn = || damaged("a chunk ends in the middle of a pair");
    let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(torn)?;
    let length = u32::from_be_bytes(*length) as usize;
    let (bytes, behind) = behind.split_at_checked(length).ok_or_else(torn)?;
    *rest = behind;
    Ok(bytes)
}

/// Writes chunks into an empty space.
pub(crate) fn load<C: AsRef<[u8]>, E: From<IndexError>>(
    engine: &dyn Engine,
    space: &str,
    chunks: impl IntoIterator<Item = Result<C, E>>,
) -> Result<(), E> {
    let mut last = tag_key();
    for chunk in chunks {
        let chunk = chunk?;
        let mut rest = chunk.as_ref();
        while !rest.is_empty() {
            let mut batch = Batch::default();
            while !rest.is_empty() && batch.writes.len() < STEP_PAIRS {
                let key = take(&mut rest)?.to_vec();
                if key <= last || key.as_slice() >= KEYS_END.as_slice() {
                    return Err(damaged("the keys of a snapshot are not in order").into());
                }
                let value = take(&mut rest)?.to_vec();
                last.clone_from(&key);
                batch.writes.push((key, Some(value)));
            }
            engine.apply(space, &batch)?;
        }
    }
    Ok(())
}
