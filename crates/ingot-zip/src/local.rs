//! Walks what stands before and after each entry, and checks that all of it covers the file.

use ingot_core::Refusal;

use crate::directory::{DESCRIPTOR, Entry, MARKER, Method, VERSION_NEEDED_MAX};
use crate::extra::read_extra;
use crate::refuse::{Rule, archive, entry};
use crate::source::{Source, u16_at, u32_at, u64_at};

const SIGNATURE: [u8; 4] = *b"PK\x03\x04";
const HEADER_BYTES: usize = 30;
/// What may stand before a descriptor (APPNOTE 4.3.9.3).
pub(crate) const DESCRIPTOR_SIGNATURE: [u8; 4] = *b"PK\x07\x08";
/// How much is read along with a header: the next one, where entries are small.
const AHEAD_BYTES: usize = 4 << 10;

/// Where the content of an entry stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Which entry, by its place in the directory.
    pub(crate) entry: usize,
    /// Where its data begins.
    pub(crate) data_at: u64,
}

/// Checks every entry's surroundings in the order of the file: the first starts at 0, each begins
/// where the one before ended, and the last ends where the directory begins.
pub(crate) fn walk(
    source: &mut Source<'_>,
    entries: &[Entry],
    directory_at: u64,
) -> Result<Vec<Span>, Refusal> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_unstable_by_key(|&n| entries[n].at);
    let mut spans = Vec::with_capacity(entries.len());
    let mut reached = 0;
    for (place, &n) in order.iter().enumerate() {
        let one = &entries[n];
        check_start(one, reached, place == 0)?;
        let next = order.get(place + 1).map_or(directory_at, |&next| entries[next].at);
        let (data_at, end) = check_entry(source, one, next)?;
        spans.push(Span { entry: n, data_at });
        reached = end;
    }
    if reached != directory_at {
        // The walk keeps `reached` from passing the directory, so something was left out.
        return Err(archive(Rule::Gap, "bytes before the central directory belong to no entry"));
    }
    Ok(spans)
}

fn check_start(one: &Entry, reached: u64, first: bool) -> Result<(), Refusal> {
    if one.at == reached {
        return Ok(());
    }
    let name = one.name.as_bytes();
    if one.at < reached {
        return Err(entry(Rule::Overlap, name, "it overlaps the entry before it"));
    }
    let words = if first {
        "bytes stand before the first entry; the file is something else as well"
    } else {
        "bytes before it belong to no entry"
    };
    Err(entry(Rule::Gap, name, words))
}

/// Checks one local header and what follows the data; where the data begins and all of it ends.
fn check_entry(source: &mut Source<'_>, one: &Entry, next: u64) -> Result<(u64, u64), Refusal> {
    let raw = one.name.as_bytes();
    let overlap = || entry(Rule::Overlap, raw, "it reaches into what follows it");
    let bounded = |at: u64, count: u64| at.checked_add(count).filter(|&end| end <= next);
    let name_at = bounded(one.at, HEADER_BYTES as u64).ok_or_else(overlap)?;
    let mut header = [0; HEADER_BYTES];
    header.copy_from_slice(source.bytes(one.at, HEADER_BYTES, AHEAD_BYTES)?);
    if header[..4] != SIGNATURE {
        return Err(entry(Rule::Mismatch, raw, "there is no header where the directory says"));
    }
    let name_bytes = usize::from(u16_at(&header, 26));
    let extra_bytes = usize::from(u16_at(&header, 28));
    let extra_at = bounded(name_at, name_bytes as u64).ok_or_else(overlap)?;
    let data_at = bounded(extra_at, extra_bytes as u64).ok_or_else(overlap)?;
    if source.bytes(name_at, name_bytes, AHEAD_BYTES)? != raw {
        return Err(entry(Rule::Mismatch, raw, "the header before it has another name"));
    }
    let extra = read_extra(raw, source.bytes(extra_at, extra_bytes, AHEAD_BYTES)?)?;
    if !extra.zip64_rest.is_empty() {
        return Err(entry(Rule::Zip64, raw, "the zip64 field before it cannot be read"));
    }
    let long = check_header(&header, one, extra.zip64.as_deref())?;
    let data_end = bounded(data_at, one.packed_bytes).ok_or_else(overlap)?;
    if one.flags & DESCRIPTOR == 0 {
        return Ok((data_at, data_end));
    }
    let descriptor_bytes = next - data_end;
    check_descriptor(source, one, data_end, descriptor_bytes, long)?;
    Ok((data_at, next))
}

/// Compares a local header with the directory; whether its sizes are 64-bit ones.
fn check_header(
    header: &[u8; HEADER_BYTES],
    one: &Entry,
    zip64: Option<&[u64]>,
) -> Result<bool, Refusal> {
    let raw = one.name.as_bytes();
    let refuse = |words: &str| Err(entry(Rule::Mismatch, raw, words));
    let method = match u16_at(header, 8) {
        0 => Method::Stored,
        8 => Method::Deflated,
        _ => return refuse("the header before it has another compression method"),
    };
    if method != one.method {
        return refuse("the header before it has another compression method");
    }
    if u16_at(header, 4) > VERSION_NEEDED_MAX {
        let words = "the header before it asks for a version of the format nobody knows";
        return Err(entry(Rule::Unsupported, raw, words));
    }
    if u16_at(header, 6) != one.flags {
        return refuse("the header before it has other flags");
    }
    let (short_packed, short) = (u32_at(header, 18), u32_at(header, 22));
    let (packed, bytes) = match zip64 {
        // APPNOTE 4.5.3: in a local header the field holds both sizes or is not there.
        Some([long, long_packed]) => {
            let wide = |short, long| if short == MARKER { long } else { u64::from(short) };
            (wide(short_packed, *long_packed), wide(short, *long))
        }
        Some(_) => {
            return Err(entry(Rule::Zip64, raw, "the zip64 field before it lacks its two sizes"));
        }
        None if short_packed == MARKER || short == MARKER => {
            return Err(entry(Rule::Zip64, raw, "the header before it points to no zip64 field"));
        }
        None => (u64::from(short_packed), u64::from(short)),
    };
    if let Some([long, long_packed]) = zip64 {
        // Whether or not a reader looks at the 64-bit sizes, it must find nothing new.
        let agrees = |long: u64, used: u64| long == used || long == 0;
        if !agrees(*long, bytes) || !agrees(*long_packed, packed) {
            return Err(entry(
                Rule::Zip64,
                raw,
                "the zip64 field before it contradicts its header",
            ));
        }
    }
    // With a descriptor the packer did not know yet, and wrote zeros.
    let open = one.flags & DESCRIPTOR != 0;
    let agrees = |local: u64, central: u64| local == central || (open && local == 0);
    if !agrees(packed, one.packed_bytes) || !agrees(bytes, one.bytes) {
        return refuse("the header before it has other sizes");
    }
    if !agrees(u64::from(u32_at(header, 14)), u64::from(one.crc)) {
        return refuse("the header before it has another checksum");
    }
    Ok(zip64.is_some())
}

/// Compares a descriptor with the directory. Its four forms differ in length, so the space up to
/// the next header says which one it must be.
fn check_descriptor(
    source: &mut Source<'_>,
    one: &Entry,
    at: u64,
    length: u64,
    long: bool,
) -> Result<(), Refusal> {
    let raw = one.name.as_bytes();
    let (signed, wide) = match length {
        12 => (false, false),
        16 => (true, false),
        20 => (false, true),
        24 => (true, true),
        0..12 => {
            return Err(entry(Rule::Overlap, raw, "there is no room for its data descriptor"));
        }
        _ => return Err(entry(Rule::Gap, raw, "bytes after it belong to no entry")),
    };
    let refuse = |words: &str| Err(entry(Rule::Mismatch, raw, words));
    if wide != long {
        return refuse("its data descriptor has numbers of the wrong width");
    }
    let record = source.bytes(at, length as usize, AHEAD_BYTES)?;
    let fields = if signed {
        if record[..4] != DESCRIPTOR_SIGNATURE {
            return refuse("its data descriptor is not where the sizes say");
        }
        &record[4..]
    } else {
        if record[..4] == DESCRIPTOR_SIGNATURE {
            return refuse("its data descriptor can be read in two ways");
        }
        record
    };
    let (packed, bytes) = if wide {
        (u64_at(fields, 4), u64_at(fields, 12))
    } else {
        (u64::from(u32_at(fields, 4)), u64::from(u32_at(fields, 8)))
    };
    if u32_at(fields, 0) != one.crc || packed != one.packed_bytes || bytes != one.bytes {
        return refuse("its data descriptor has other sizes or another checksum");
    }
    Ok(())
}
