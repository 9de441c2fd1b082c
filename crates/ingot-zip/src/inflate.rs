//! Inflates every entry, to nowhere, and compares what came out with what was announced.

use flate2::{Decompress, FlushDecompress, Status};
use ingot_core::Refusal;

use crate::directory::{DESCRIPTOR, Entry, Method};
use crate::local::{DESCRIPTOR_SIGNATURE, Span};
use crate::refuse::{Rule, entry};
use crate::source::{CHUNK_BYTES, Source};

/// Reads all content in the order of the file. Never inflates more than was announced.
pub(crate) fn check_content(
    source: &mut Source<'_>,
    entries: &[Entry],
    spans: &[Span],
) -> Result<(), Refusal> {
    let mut inflater = Decompress::new(false);
    let mut out = vec![0; CHUNK_BYTES];
    for span in spans {
        let one = &entries[span.entry];
        let crc = match one.method {
            Method::Stored => read_stored(source, one, span.data_at)?,
            Method::Deflated => {
                inflater.reset(false);
                read_deflated(source, one, span.data_at, &mut inflater, &mut out)?
            }
        };
        if crc != one.crc {
            return Err(damaged(one, "its content does not match its checksum"));
        }
    }
    Ok(())
}

fn damaged(one: &Entry, words: &str) -> Refusal {
    entry(Rule::Damaged, one.name.as_bytes(), words)
}

fn read_stored(source: &mut Source<'_>, one: &Entry, data_at: u64) -> Result<u32, Refusal> {
    let mut crc = crc32fast::Hasher::new();
    let open = one.flags & DESCRIPTOR != 0;
    let mut tail = Vec::new();
    let end = data_at + one.packed_bytes;
    let mut at = data_at;
    while at < end {
        let count = (end - at).min(CHUNK_BYTES as u64) as usize;
        let chunk = source.bytes(at, count, CHUNK_BYTES)?;
        crc.update(chunk);
        // A reader that does not know the directory yet looks for a descriptor to find the end of
        // such an entry; it must not find one before the end.
        if open && has_signature(&mut tail, chunk) {
            return Err(entry(
                Rule::Mismatch,
                one.name.as_bytes(),
                "it is stored with its size after it, and holds what looks like that size",
            ));
        }
        at += count as u64;
    }
    Ok(crc.finalize())
}

/// Whether the signature stands in a chunk, or across its border with the one before.
fn has_signature(tail: &mut Vec<u8>, chunk: &[u8]) -> bool {
    let found = |bytes: &[u8]| bytes.windows(4).any(|four| four == DESCRIPTOR_SIGNATURE);
    tail.extend_from_slice(&chunk[..chunk.len().min(3)]);
    if found(tail) || found(chunk) {
        return true;
    }
    if chunk.len() >= 3 {
        tail.clear();
        tail.extend_from_slice(&chunk[chunk.len() - 3..]);
    } else {
        let keep = tail.len().saturating_sub(3);
        tail.drain(..keep);
    }
    false
}

fn read_deflated(
    source: &mut Source<'_>,
    one: &Entry,
    data_at: u64,
    inflater: &mut Decompress,
    out: &mut [u8],
) -> Result<u32, Refusal> {
    let mut crc = crc32fast::Hasher::new();
    let (mut taken, mut made) = (0, 0);
    loop {
        let count = (one.packed_bytes - taken).min(CHUNK_BYTES as u64) as usize;
        let chunk = source.bytes(data_at + taken, count, CHUNK_BYTES)?;
        // One byte more than announced, so that "too long" is seen and nothing beyond it is made.
        let room = (one.bytes - made + 1).min(out.len() as u64) as usize;
        let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
        let status = inflater
            .decompress(chunk, &mut out[..room], FlushDecompress::None)
            .map_err(|_| damaged(one, "its compressed data is broken"))?;
        let consumed = inflater.total_in() - before_in;
        let produced = inflater.total_out() - before_out;
        taken += consumed;
        made += produced;
        if made > one.bytes {
            return Err(damaged(one, "its content is longer than announced"));
        }
        crc.update(&out[..produced as usize]);
        if status == Status::StreamEnd {
            break;
        }
        if consumed == 0 && produced == 0 {
            return Err(damaged(one, "its compressed data is cut short"));
        }
    }
    if taken != one.packed_bytes {
        return Err(damaged(one, "bytes follow its compressed data that no reader looks at"));
    }
    if made != one.bytes {
        return Err(damaged(one, "its content is shorter than announced"));
    }
    Ok(crc.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_found_wherever_chunks_are_cut() {
        let text = b"..PK\x07PK\x07\x08..";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut tail = Vec::new();
                let parts = [&text[..first], &text[first..second], &text[second..]];
                let found = parts.iter().any(|part| has_signature(&mut tail, part));
                assert!(found, "cut at {first} and {second}");
            }
        }
        let mut tail = Vec::new();
        assert!(!b"PK\x07PK\x07PK".iter().any(|byte| has_signature(&mut tail, &[*byte])));
    }
}
