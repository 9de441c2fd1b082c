//! Finds the end record, and through it the central directory (APPNOTE 4.3.14 to 4.3.16).

use ingot_core::Refusal;

use crate::names::is_plain_comment;
use crate::refuse::{Rule, archive};
use crate::source::{Source, u16_at, u32_at, u64_at};

const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const END_BYTES: u64 = 22;
const LOCATOR_SIGNATURE: [u8; 4] = *b"PK\x06\x07";
const LOCATOR_BYTES: u64 = 20;
const END64_SIGNATURE: [u8; 4] = *b"PK\x06\x06";
const END64_BYTES: u64 = 56;
/// Longest comment that the end record can announce.
const COMMENT_BYTES_MAX: u64 = 0xFFFF;

/// Where the central directory is, as everybody will find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) entries: u64,
    pub(crate) directory_at: u64,
    pub(crate) directory_bytes: u64,
}

/// Finds the one end record and checks that the directory stands right before it.
pub(crate) fn find_end(source: &mut Source<'_>) -> Result<End, Refusal> {
    let end_at = find_record(source)?;
    let record: [u8; END_BYTES as usize] = fixed(source, end_at)?;
    let short = Fields {
        disk: u32::from(u16_at(&record, 4)),
        directory_disk: u32::from(u16_at(&record, 6)),
        entries_here: u64::from(u16_at(&record, 8)),
        entries: u64::from(u16_at(&record, 10)),
        directory_bytes: u64::from(u32_at(&record, 12)),
        directory_at: u64::from(u32_at(&record, 16)),
    };
    let (fields, directory_end) = match find_locator(source, end_at)? {
        Some(end64_at) => (read_end64(source, end64_at, end_at, &short)?, end64_at),
        None => (short, end_at),
    };
    if fields.disk != 0 || fields.directory_disk != 0 || fields.entries_here != fields.entries {
        return Err(archive(
            Rule::Unsupported,
            "it is one part of a split archive; join the parts with `zip -s 0` first",
        ));
    }
    let reach = fields.directory_at.checked_add(fields.directory_bytes);
    match reach {
        Some(reach) if reach == directory_end => {}
        Some(reach) if reach < directory_end => {
            return Err(archive(
                Rule::Gap,
                "bytes stand between the central directory and the end record, or before the \
                 first entry (a self-extracting archive is not a plain zip)",
            ));
        }
        _ => return Err(archive(Rule::End, "the central directory reaches past its end record")),
    }
    Ok(End {
        entries: fields.entries,
        directory_at: fields.directory_at,
        directory_bytes: fields.directory_bytes,
    })
}

struct Fields {
    disk: u32,
    directory_disk: u32,
    entries_here: u64,
    entries: u64,
    directory_bytes: u64,
    directory_at: u64,
}

fn fixed<const N: usize>(source: &mut Source<'_>, at: u64) -> Result<[u8; N], Refusal> {
    let mut out = [0; N];
    out.copy_from_slice(source.bytes(at, N, 0)?);
    Ok(out)
}

/// The place of the only record that can be taken for the end record.
///
/// Readers search backwards, and differ in whether they ask the comment to reach exactly to the
/// end of the file. Where the last signature in the file is also the only one whose comment does,
/// there is nothing to differ about.
fn find_record(source: &mut Source<'_>) -> Result<u64, Refusal> {
    let len = source.len();
    if len < END_BYTES {
        return Err(archive(Rule::Truncated, format!("{len} bytes are too few for any zip")));
    }
    let tail_at = len.saturating_sub(END_BYTES + COMMENT_BYTES_MAX);
    let tail = read_tail(source, tail_at)?;
    let mut whole = Vec::new();
    let mut last = None;
    for (at, _) in tail.windows(4).enumerate().filter(|(_, bytes)| *bytes == END_SIGNATURE) {
        last = Some(at);
        let fits = tail.len() - at >= END_BYTES as usize
            && at + END_BYTES as usize + usize::from(u16_at(&tail, at + 20)) == tail.len();
        if fits {
            whole.push(at);
        }
    }
    match (whole.as_slice(), last) {
        (_, None) => Err(archive(
            Rule::Truncated,
            "there is no end record; the file is cut short or is not a zip",
        )),
        ([], Some(_)) => Err(archive(
            Rule::Truncated,
            "the end record's comment does not end with the file; bytes are missing or were added",
        )),
        ([only], Some(last)) if *only == last => {
            if !is_plain_comment(&tail[last + END_BYTES as usize..]) {
                return Err(archive(Rule::Comment, "its comment is not plain UTF-8 text"));
            }
            Ok(tail_at + last as u64)
        }
        _ => Err(archive(
            Rule::End,
            "there is more than one end record to choose from; readers would disagree",
        )),
    }
}

fn read_tail(source: &mut Source<'_>, from: u64) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::new();
    let mut at = from;
    while at < source.len() {
        let count = (source.len() - at).min(32 << 10) as usize;
        out.extend_from_slice(source.bytes(at, count, 0)?);
        at += count as u64;
    }
    Ok(out)
}

/// The place that the zip64 locator names, where there is a locator.
fn find_locator(source: &mut Source<'_>, end_at: u64) -> Result<Option<u64>, Refusal> {
    let Some(at) = end_at.checked_sub(LOCATOR_BYTES) else { return Ok(None) };
    let record: [u8; LOCATOR_BYTES as usize] = fixed(source, at)?;
    if record[..4] != LOCATOR_SIGNATURE {
        return Ok(None);
    }
    if u32_at(&record, 4) != 0 || u32_at(&record, 16) != 1 {
        return Err(archive(Rule::Zip64, "the zip64 locator speaks of more than one disk"));
    }
    let end64_at = u64_at(&record, 8);
    // Only the short form is known to all readers, so the record must fill the space exactly.
    if end64_at.checked_add(END64_BYTES) != Some(at) {
        return Err(archive(
            Rule::Zip64,
            "the zip64 locator does not point at the record right before it",
        ));
    }
    Ok(Some(end64_at))
}

fn read_end64(
    source: &mut Source<'_>,
    at: u64,
    end_at: u64,
    short: &Fields,
) -> Result<Fields, Refusal> {
    debug_assert!(at + END64_BYTES + LOCATOR_BYTES == end_at);
    let record: [u8; END64_BYTES as usize] = fixed(source, at)?;
    if record[..4] != END64_SIGNATURE || u64_at(&record, 4) != END64_BYTES - 12 {
        return Err(archive(Rule::Zip64, "the zip64 end record is not where its locator says"));
    }
    let long = Fields {
        disk: u32_at(&record, 16),
        directory_disk: u32_at(&record, 20),
        entries_here: u64_at(&record, 24),
        entries: u64_at(&record, 32),
        directory_bytes: u64_at(&record, 40),
        directory_at: u64_at(&record, 48),
    };
    let agree = |short: u64, marker: u64, long: u64| short == marker || short == long;
    let agrees = agree(short.disk.into(), 0xFFFF, long.disk.into())
        && agree(short.directory_disk.into(), 0xFFFF, long.directory_disk.into())
        && agree(short.entries_here, 0xFFFF, long.entries_here)
        && agree(short.entries, 0xFFFF, long.entries)
        && agree(short.directory_bytes, 0xFFFF_FFFF, long.directory_bytes)
        && agree(short.directory_at, 0xFFFF_FFFF, long.directory_at);
    if !agrees {
        return Err(archive(Rule::Zip64, "the zip64 end record contradicts the end record"));
    }
    Ok(long)
}
