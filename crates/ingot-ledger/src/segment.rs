//! Segments: a full range of commits in one object, so that a start reads few.
//!
//! A segment's bytes follow from its commits alone, so that any two processes that pack the same
//! range write the same object and it does not matter who comes first.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ingot_core::{Digest, Seq};
use serde::{Deserialize, Serialize};

use crate::commit::{FORMAT_VERSION, Head, check_version};
use crate::ledger::Ledger;
use crate::{Error, Result};

/// How many bytes of commits one object holds; a segment with more consists of parts. At least
/// one commit is in every part, so this bounds what is held in memory.
pub const SEGMENT_PART_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The first line of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) first: Seq,
    /// The hash of the last commit.
    pub(crate) hash: Digest,
    pub(crate) last: Seq,
    pub(crate) ledger: String,
    /// None when the commits follow in the same object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<PartHeader>,
    /// The hash of the commit before the first.
    pub(crate) prev: Digest,
    v: u32,
}

/// One part of a segment that is too large for one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartHeader {
    bytes: u64,
    pub(crate) digest: Digest,
    /// The last commit in it.
    pub(crate) last: Seq,
}

/// Puts a segment together, commit by commit, holding no more than one part.
pub(crate) struct Packer {
    first: Seq,
    prev: Digest,
    head: Head,
    lines: Vec<u8>,
    parts: Vec<PartHeader>,
    part_bytes_max: usize,
}

impl Packer {
    pub(crate) fn new(before: &Head) -> Self {
        Self {
            first: before.seq + 1,
            prev: before.hash,
            head: *before,
            lines: Vec::new(),
            parts: Vec::new(),
            part_bytes_max: SEGMENT_PART_BYTES_MAX,
        }
    }

    /// Adds the next commit; gives back a part that is full and must be stored first.
    pub(crate) fn push(&mut self, line: &[u8], head: Head) -> Option<(Digest, Bytes)> {
        let full = !self.lines.is_empty() && self.lines.len() + line.len() >= self.part_bytes_max;
        let part = full.then(|| self.cut());
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
        self.head = head;
        part
    }

    fn cut(&mut self) -> (Digest, Bytes) {
        let bytes = Bytes::from(std::mem::take(&mut self.lines));
        let digest = Digest::of(&bytes);
        let last = self.head.seq;
        self.parts.push(PartHeader { bytes: bytes.len() as u64, digest, last });
        (digest, bytes)
    }

    /// The last part, if the segment has parts, and the segment itself.
    pub(crate) fn finish(mut self, ledger: &str) -> (Option<(Digest, Bytes)>, Bytes) {
        let part = (!self.parts.is_empty()).then(|| self.cut());
        let header = Header {
            first: self.first,
            hash: self.head.hash,
            last: self.head.seq,
            ledger: ledger.to_owned(),
            parts: self.parts,
            prev: self.prev,
            v: FORMAT_VERSION,
        };
        let mut bytes = header.line();
        bytes.extend_from_slice(&self.lines);
        (part, Bytes::from(bytes))
    }
}

impl Header {
    fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("plain data with string keys serialises");
        line.push(b'\n');
        line
    }

    /// Reads the first line of a segment; also says where the commits start.
    fn read(key: &str, bytes: &Bytes) -> Result<(Self, usize)> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| Error::damaged(key, "its first line has no end"))? + 1;
        let line = &bytes[..end];
        check_version(key, line)?;
        let header: Self = serde_json::from_slice(line)
            .map_err(|error| Error::damaged(key, format!("not a segment: {error}")))?;
        match header.line() == line {
            true => Ok((header, end)),
            false => Err(Error::damaged(key, "not written in the canonical form")),
        }
    }
}

/// Consecutive commits of one segment, in memory.
pub(crate) struct Part {
    number: u64,
    first: Seq,
    header: Arc<Header>,
    bytes: Bytes,
    lines: Vec<Range<usize>>,
}

impl Part {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }
    /// The bytes of a commit, if it is in this part.
    pub(crate) fn find(&self, seq: Seq) -> Option<Bytes> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        Some(self.bytes.slice(self.lines.get(index)?.clone()))
    }

    fn read(
        key: &str,
        number: u64,
        header: Arc<Header>,
        bytes: Bytes,
        seqs: (Seq, Seq),
    ) -> Result<Self> {
        let mut lines = Vec::new();
        let mut start = 0;
        for (end, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            lines.push(start..end);
            start = end + 1;
        }
        let (first, last) = seqs;
        if start != bytes.len() || lines.len() as u64 != last + 1 - first {
            return Err(Error::damaged(
                key,
                format!("not the commits {first} to {last}, one a line"),
            ));
        }
        if last == header.last && Digest::of(&bytes[lines[lines.len() - 1].clone()]) != header.hash
        {
            return Err(Error::damaged(key, format!("commit {last} is not the one it names")));
        }
        Ok(Self { number, first, header, bytes, lines })
    }
}

impl Ledger {
    /// The part of a segment that holds commit `seq`; none when that segment does not exist.
    pub(crate) async fn find_part(&self, seq: Seq) -> Result<Option<Arc<Part>>> {
        let cached = self.state().part.clone().filter(|part| part.find(seq).is_some());
        if cached.is_some() {
            return Ok(cached);
        }
        let found = self.load_part(seq).await?.map(Arc::new);
        if let Some(part) = &found {
            let mut state = self.state();
            state.segments.insert(part.number);
            state.part = Some(Arc::clone(part));
        }
        Ok(found)
    }

    /// As [`find_part`](Self::find_part), always from the store.
    pub(crate) async fn load_part(&self, seq: Seq) -> Result<Option<Part>> {
        let number = self.layout.segment_of(seq);
        let (first, last) = self.layout.segment_range(number);
        let path = self.layout.segment(number);
        let key = path.as_ref();
        let Some(bytes) = self.door.find(&path).await? else { return Ok(None) };
        let (header, start) = Header::read(key, &bytes)?;
        if (header.first, header.last, header.ledger.as_str()) != (first, last, self.name.as_str())
        {
            return Err(Error::damaged(key, "it describes another range or ledger"));
        }
        let header = Arc::new(header);
        if header.parts.is_empty() {
            let lines = bytes.slice(start..);
            return Part::read(key, number, header, lines, (first, last)).map(Some);
        }
        if start != bytes.len() || header.parts.last().is_some_and(|part| part.last != last) {
            return Err(Error::damaged(key, "its parts are not all of it"));
        }
        let index = header.parts.partition_point(|part| part.last < seq);
        let first = if index == 0 { first } else { header.parts[index - 1].last + 1 };
        let part = &header.parts[index];
        let path = self.layout.segment_part(&part.digest);
        let key = path.as_ref();
        let found = self.door.find(&path).await?;
        let bytes = found.ok_or_else(|| Error::damaged(key, "it is missing"))?;
        if bytes.len() as u64 != part.bytes || Digest::of(&bytes) != part.digest {
            return Err(Error::damaged(key, "its bytes are not the ones it is named after"));
        }
        if first > part.last {
            return Err(Error::damaged(key, "its parts are not in order"));
        }
        let last = part.last;
        Part::read(key, number, header, bytes, (first, last)).map(Some)
    }
}
