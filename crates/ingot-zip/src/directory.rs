//! Reads the central directory (APPNOTE 4.3.12) and judges each entry by what it says there.

use ingot_core::Refusal;

use crate::ZipLimits;
use crate::end::End;
use crate::extra::{Extra, read_extra};
use crate::names::{check_name, check_together, is_plain_comment};
use crate::refuse::{Rule, archive, entry};
use crate::source::{CHUNK_BYTES, Source, u16_at, u32_at};

const SIGNATURE: [u8; 4] = *b"PK\x01\x02";
const HEADER_BYTES: usize = 46;

/// The value of a 32-bit field that says "look into the zip64 field".
pub(crate) const MARKER: u32 = 0xFFFF_FFFF;

/// Flag: the sizes and the checksum follow the data.
pub(crate) const DESCRIPTOR: u16 = 1 << 3;
/// Flag: name and comment are UTF-8.
const UTF8: u16 = 1 << 11;
/// Flags: how hard the packer tried; of no consequence to a reader.
const DEFLATE_EFFORT: u16 = 0b110;
/// Flags: the content, or the directory, is encrypted.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;

/// Highest "version needed" (4.5, zip64) of anything accepted here. Info-ZIP leaves out entries that
/// ask for more than it knows, and those whose upper byte names a foreign system's own format.
pub(crate) const VERSION_NEEDED_MAX: u16 = 45;

/// How the content is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Stored,
    Deflated,
}

/// One entry as the central directory tells it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) flags: u16,
    pub(crate) method: Method,
    pub(crate) crc: u32,
    pub(crate) packed_bytes: u64,
    pub(crate) bytes: u64,
    pub(crate) at: u64,
}

/// Reads all entries, in the order of the directory.
pub(crate) fn read_directory(
    source: &mut Source<'_>,
    end: &End,
    limits: &ZipLimits,
) -> Result<Vec<Entry>, Refusal> {
    if end.entries > limits.entries_max {
        let words = format!("{} entries, at most {} may be", end.entries, limits.entries_max);
        return Err(archive(Rule::Bomb, words));
    }
    if end.directory_bytes > limits.directory_bytes_max {
        let words = format!(
            "the central directory has {} bytes, at most {} may be",
            end.directory_bytes, limits.directory_bytes_max
        );
        return Err(archive(Rule::Bomb, words));
    }
    let directory_end = end.directory_at + end.directory_bytes;
    // The count is only a claim until the entries are there.
    let mut entries = Vec::new();
    let mut names = Vec::new();
    let mut at = end.directory_at;
    while at < directory_end {
        if entries.len() as u64 == end.entries {
            return Err(archive(Rule::End, "the directory holds more than the end record counts"));
        }
        let left = directory_end - at;
        let ahead = left.min(CHUNK_BYTES as u64) as usize;
        if left < HEADER_BYTES as u64 {
            return Err(broken_directory());
        }
        let header: [u8; HEADER_BYTES] = {
            let mut out = [0; HEADER_BYTES];
            out.copy_from_slice(source.bytes(at, HEADER_BYTES, ahead)?);
            out
        };
        let name_bytes = usize::from(u16_at(&header, 28));
        let extra_bytes = usize::from(u16_at(&header, 30));
        let comment_bytes = usize::from(u16_at(&header, 32));
        let whole = (HEADER_BYTES + name_bytes + extra_bytes + comment_bytes) as u64;
        if header[..4] != SIGNATURE || whole > left {
            return Err(broken_directory());
        }
        let name_at = at + HEADER_BYTES as u64;
        let raw = source.bytes(name_at, name_bytes, ahead)?.to_vec();
        let (name, directory) = check_name(&raw, u16_at(&header, 8) & UTF8 != 0)?;
        let fields = source.bytes(name_at + name_bytes as u64, extra_bytes, ahead)?;
        let extra = read_extra(&raw, fields)?;
        let comment_at = at + whole - comment_bytes as u64;
        if !is_plain_comment(source.bytes(comment_at, comment_bytes, ahead)?) {
            return Err(entry(Rule::Comment, &raw, "its comment is not plain UTF-8 text"));
        }
        entries.push(judge(&header, name.clone(), directory, &extra)?);
        names.push((name, directory));
        at += whole;
    }
    if entries.len() as u64 != end.entries {
        return Err(archive(Rule::End, "the directory holds less than the end record counts"));
    }
    check_together(&names)?;
    Ok(entries)
}

fn broken_directory() -> Refusal {
    archive(Rule::End, "the central directory cannot be read; the file is damaged or no zip")
}

/// Checks what one header says, apart from its name and place.
fn judge(
    header: &[u8; HEADER_BYTES],
    name: String,
    directory: bool,
    extra: &Extra,
) -> Result<Entry, Refusal> {
    let refuse = |rule, words: &str| Err(entry(rule, name.as_bytes(), words));
    let (flags, method) = (u16_at(header, 8), u16_at(header, 10));
    if flags & ENCRYPTED != 0 {
        return refuse(Rule::Unsupported, "it is encrypted; what cannot be read is not stored");
    }
    if flags & !(DESCRIPTOR | UTF8 | DEFLATE_EFFORT) != 0 {
        return refuse(Rule::Unsupported, "it uses features that few readers have");
    }
    let method = match method {
        0 => Method::Stored,
        8 => Method::Deflated,
        other => {
            let words = format!("compression method {other}; only stored (0) and deflate (8) are");
            return refuse(Rule::Unsupported, &format!("{words} read by everyone"));
        }
    };
    if u16_at(header, 6) > VERSION_NEEDED_MAX {
        return refuse(Rule::Unsupported, "it asks for a version of the format nobody knows");
    }
    let (packed_bytes, bytes, at) = places(header, &name, extra)?;
    check_kind(header, &name, directory, extra)?;
    if directory && bytes != 0 {
        return refuse(Rule::EntryType, "it is a directory with content");
    }
    if method == Method::Stored && packed_bytes != bytes {
        return refuse(Rule::Mismatch, "it is stored as it is, yet its two sizes differ");
    }
    Ok(Entry { name, flags, method, crc: u32_at(header, 16), packed_bytes, bytes, at })
}

/// The sizes and the place: 32 bits, or where those hold the marker the zip64 field.
fn places(
    header: &[u8; HEADER_BYTES],
    name: &str,
    extra: &Extra,
) -> Result<(u64, u64, u64), Refusal> {
    let refuse = |rule, words: &str| Err(entry(rule, name.as_bytes(), words));
    let mut long = extra.zip64.iter().flatten().copied();
    let mut missing = false;
    let mut take = |short: u32| {
        if short != MARKER {
            return u64::from(short);
        }
        long.next().unwrap_or_else(|| {
            missing = true;
            0
        })
    };
    let bytes = take(u32_at(header, 24));
    let packed_bytes = take(u32_at(header, 20));
    let at = take(u32_at(header, 42));
    let disk = match u16_at(header, 34) {
        0xFFFF => extra.zip64_rest.as_slice(),
        _ if !extra.zip64_rest.is_empty() => {
            return refuse(Rule::Zip64, "its zip64 field is longer than its numbers");
        }
        0 => &[0; 4],
        _ => return refuse(Rule::Unsupported, "it begins on another disk"),
    };
    if missing || long.next().is_some() || disk != [0; 4] {
        return refuse(Rule::Zip64, "its zip64 field does not hold just the numbers it must");
    }
    Ok((packed_bytes, bytes, at))
}

/// Only plain files and plain directories: nothing that points elsewhere or grants rights.
fn check_kind(
    header: &[u8; HEADER_BYTES],
    name: &str,
    directory: bool,
    extra: &Extra,
) -> Result<(), Refusal> {
    let refuse = |words: &str| Err(entry(Rule::EntryType, name.as_bytes(), words));
    let attributes = u32_at(header, 38);
    for mode in [Some((attributes >> 16) as u16), extra.mode].into_iter().flatten() {
        match mode & 0o170_000 {
            0 => {}
            0o100_000 if !directory => {}
            0o040_000 if directory => {}
            0o100_000 | 0o040_000 => {
                return refuse("its name and its mode disagree about whether it is a directory");
            }
            0o120_000 => return refuse("it is a symbolic link; pack the file it points to"),
            _ => return refuse("it is a device, a pipe or a socket"),
        }
        // Set-group-id is inherited by directories everywhere and grants nothing on them.
        let special = if directory { 0o4000 } else { 0o6000 };
        if mode & special != 0 {
            return refuse("its mode would run it as its owner (set-user-id, set-group-id)");
        }
    }
    if attributes & 0x10 != 0 && !directory {
        return refuse("its attributes say directory, its name does not end in '/'");
    }
    Ok(())
}

/// Checks the announced sizes before a byte is inflated; their sum.
pub(crate) fn check_budget(
    entries: &[Entry],
    archive_bytes: u64,
    limits: &ZipLimits,
) -> Result<u64, Refusal> {
    let mut sum: u64 = 0;
    for one in entries {
        if one.bytes > limits.entry_bytes_max {
            let words = format!("{} bytes, at most {} may be", one.bytes, limits.entry_bytes_max);
            return Err(entry(Rule::Bomb, one.name.as_bytes(), words));
        }
        sum = sum.saturating_add(one.bytes);
    }
    let ratio = archive_bytes.saturating_mul(limits.ratio_max).max(limits.ratio_free_bytes);
    let allowed = ratio.min(limits.inflated_bytes_max);
    if sum > allowed {
        return Err(archive(
            Rule::Bomb,
            format!(
                "{archive_bytes} bytes inflate to {sum}, at most {allowed} are taken \
                 ({} times the archive, never more than {})",
                limits.ratio_max, limits.inflated_bytes_max
            ),
        ));
    }
    Ok(sum)
}
