//! Reads of a body at given places, through one buffer.

use std::io::SeekFrom;

use ingot_core::format::ReadSeek;
use ingot_core::{Code, Refusal};

use crate::refuse::{Rule, archive};

/// Bytes read at once while entries are inflated.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// A body of known length and the part of it that was read last.
pub(crate) struct Source<'a> {
    body: &'a mut dyn ReadSeek,
    len: u64,
    buffer: Vec<u8>,
    /// How much of the buffer holds bytes of the body.
    filled: usize,
    /// Where in the body the buffer begins.
    at: u64,
}

impl<'a> Source<'a> {
    pub(crate) fn new(body: &'a mut dyn ReadSeek) -> Result<Self, Refusal> {
        let len = body.seek(SeekFrom::End(0)).map_err(unreadable)?;
        Ok(Self { body, len, buffer: vec![0; CHUNK_BYTES], filled: 0, at: 0 })
    }

    /// Length of the body in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn into_inner(self) -> &'a mut dyn ReadSeek {
        self.body
    }

    /// The bytes at a place; at most [`CHUNK_BYTES`]. `ahead` says how much more may be read along,
    /// for a caller that goes on from here.
    pub(crate) fn bytes(&mut self, at: u64, count: usize, ahead: usize) -> Result<&[u8], Refusal> {
        let end = at.checked_add(count as u64).filter(|&end| end <= self.len);
        let Some(end) = end else {
            return Err(archive(Rule::Truncated, "something reaches past the end of the file"));
        };
        debug_assert!(count <= CHUNK_BYTES, "records and chunks fit the buffer");
        if at < self.at || end > self.at + self.filled as u64 {
            let left = usize::try_from(self.len - at).unwrap_or(usize::MAX);
            let wanted = (count + ahead).min(CHUNK_BYTES).min(left);
            // What is half read must not be taken for content later.
            self.filled = 0;
            self.body.seek(SeekFrom::Start(at)).map_err(unreadable)?;
            self.body.read_exact(&mut self.buffer[..wanted]).map_err(unreadable)?;
            (self.at, self.filled) = (at, wanted);
        }
        let from = usize::try_from(at - self.at).unwrap_or(usize::MAX);
        Ok(&self.buffer[from..from + count])
    }
}

fn unreadable(error: std::io::Error) -> Refusal {
    Refusal::new(Code::Internal, "the received body could not be read back; please send it again")
        .because(error)
}

/// Little-endian numbers out of a record whose length was checked.
pub(crate) fn u16_at(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([record[at], record[at + 1]])
}

/// See [`u16_at`].
pub(crate) fn u32_at(record: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
}

/// See [`u16_at`].
pub(crate) fn u64_at(record: &[u8], at: usize) -> u64 {
    u64::from(u32_at(record, at)) | u64::from(u32_at(record, at + 4)) << 32
}
