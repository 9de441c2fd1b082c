//! Writes zips byte by byte, and can lie in each field.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

pub(crate) const DESCRIPTOR: u16 = 1 << 3;
pub(crate) const UTF8: u16 = 1 << 11;

/// One header, as it stands before an entry or in the directory.
#[derive(Clone)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) version: u16,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    pub(crate) packed: u32,
    pub(crate) size: u32,
    pub(crate) extra: Vec<u8>,
}

/// One entry: both headers, the data, and what follows it.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) junk_before: Vec<u8>,
    pub(crate) local: Header,
    pub(crate) data: Vec<u8>,
    pub(crate) descriptor: Vec<u8>,
    pub(crate) central: Header,
    pub(crate) made_by: u16,
    pub(crate) disk: u16,
    pub(crate) attributes: u32,
    pub(crate) comment: Vec<u8>,
    /// Where the directory says it is, if not where it is.
    pub(crate) at: Option<u32>,
    /// Whether anything is written before the directory.
    pub(crate) listed_only: bool,
    /// Whether the directory leaves it out.
    pub(crate) unlisted: bool,
}

pub(crate) fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("to memory");
    encoder.finish().expect("to memory")
}

impl Part {
    fn new(name: &str, method: u16, content: &[u8], data: Vec<u8>) -> Self {
        let header = Header {
            name: name.as_bytes().to_vec(),
            version: 20,
            flags: if name.is_ascii() { 0 } else { UTF8 },
            method,
            crc: crc32fast::hash(content),
            packed: data.len() as u32,
            size: content.len() as u32,
            extra: Vec::new(),
        };
        Self {
            junk_before: Vec::new(),
            local: header.clone(),
            data,
            descriptor: Vec::new(),
            central: header,
            made_by: 0x031E,
            disk: 0,
            attributes: 0,
            comment: Vec::new(),
            at: None,
            listed_only: false,
            unlisted: false,
        }
    }

    pub(crate) fn stored(name: &str, content: &[u8]) -> Self {
        Self::new(name, 0, content, content.to_vec())
    }

    pub(crate) fn deflated(name: &str, content: &[u8]) -> Self {
        Self::new(name, 8, content, deflate(content))
    }

    /// As a packer writes that cannot seek back: zeros before, a descriptor after.
    pub(crate) fn streamed(name: &str, content: &[u8]) -> Self {
        let mut part = Self::deflated(name, content);
        part.stream(true);
        part
    }

    pub(crate) fn stream(&mut self, signed: bool) {
        self.local.flags |= DESCRIPTOR;
        self.central.flags |= DESCRIPTOR;
        if signed {
            self.descriptor.extend(b"PK\x07\x08");
        }
        for number in [self.central.crc, self.central.packed, self.central.size] {
            self.descriptor.extend(number.to_le_bytes());
        }
        (self.local.crc, self.local.packed, self.local.size) = (0, 0, 0);
    }

    /// The same change on both headers.
    pub(crate) fn both(mut self, change: impl Fn(&mut Header)) -> Self {
        change(&mut self.local);
        change(&mut self.central);
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// A whole archive.
#[derive(Clone, Default)]
pub(crate) struct Zip {
    pub(crate) prefix: Vec<u8>,
    /// Whether offsets count from after the prefix, as self-extracting archives do.
    pub(crate) shifted: bool,
    pub(crate) parts: Vec<Part>,
    pub(crate) before_directory: Vec<u8>,
    pub(crate) after_directory: Vec<u8>,
    /// Writes a zip64 end record and locator, after a change to their bytes.
    pub(crate) zip64: Option<fn(&mut Vec<u8>)>,
    /// A change to the end record's 22 bytes.
    pub(crate) end: Option<fn(&mut Vec<u8>)>,
    pub(crate) comment: Vec<u8>,
    pub(crate) suffix: Vec<u8>,
}

pub(crate) fn zip(parts: impl Into<Vec<Part>>) -> Zip {
    Zip { parts: parts.into(), ..Zip::default() }
}

pub(crate) fn put16(out: &mut [u8], at: usize, value: u16) {
    out[at..at + 2].copy_from_slice(&value.to_le_bytes());
}
pub(crate) fn put32(out: &mut [u8], at: usize, value: u32) {
    out[at..at + 4].copy_from_slice(&value.to_le_bytes());
}
pub(crate) fn put64(out: &mut [u8], at: usize, value: u64) {
    out[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// One extra field.
pub(crate) fn field(id: u16, value: &[u8]) -> Vec<u8> {
    let mut out = id.to_le_bytes().to_vec();
    out.extend((value.len() as u16).to_le_bytes());
    out.extend(value);
    out
}

/// A zip64 extra field of these numbers.
pub(crate) fn zip64_field(numbers: &[u64]) -> Vec<u8> {
    field(1, &numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
}

impl Header {
    fn write(&self, out: &mut Vec<u8>) {
        let time: [u16; 2] = [0x6000, 0x5D77];
        for number in [self.version, self.flags, self.method, time[0], time[1]] {
            out.extend(number.to_le_bytes());
        }
        for number in [self.crc, self.packed, self.size] {
            out.extend(number.to_le_bytes());
        }
        out.extend((self.name.len() as u16).to_le_bytes());
        out.extend((self.extra.len() as u16).to_le_bytes());
    }
}

impl Zip {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let base = if self.shifted { self.prefix.len() } else { 0 };
        let mut places = Vec::new();
        for part in &self.parts {
            out.extend(&part.junk_before);
            places.push(part.at.unwrap_or((out.len() - base) as u32));
            if part.listed_only {
                continue;
            }
            out.extend(b"PK\x03\x04");
            part.local.write(&mut out);
            out.extend(&part.local.name);
            out.extend(&part.local.extra);
            out.extend(&part.data);
            out.extend(&part.descriptor);
        }
        out.extend(&self.before_directory);
        let directory_at = out.len() - base;
        let mut count = 0;
        for (part, at) in self.parts.iter().zip(places).filter(|(part, _)| !part.unlisted) {
            count += 1;
            out.extend(b"PK\x01\x02");
            out.extend(part.made_by.to_le_bytes());
            part.central.write(&mut out);
            out.extend((part.comment.len() as u16).to_le_bytes());
            out.extend(part.disk.to_le_bytes());
            out.extend(0u16.to_le_bytes());
            out.extend(part.attributes.to_le_bytes());
            out.extend(at.to_le_bytes());
            out.extend(&part.central.name);
            out.extend(&part.central.extra);
            out.extend(&part.comment);
        }
        let directory_bytes = out.len() - base - directory_at;
        out.extend(&self.after_directory);
        if let Some(change) = self.zip64 {
            let at = (out.len() - base) as u64;
            let mut records = vec![0; 76];
            records[..4].copy_from_slice(b"PK\x06\x06");
            put64(&mut records, 4, 44);
            put16(&mut records, 12, 45);
            put16(&mut records, 14, 45);
            put64(&mut records, 24, count);
            put64(&mut records, 32, count);
            put64(&mut records, 40, directory_bytes as u64);
            put64(&mut records, 48, directory_at as u64);
            records[56..60].copy_from_slice(b"PK\x06\x07");
            put64(&mut records, 64, at);
            put32(&mut records, 72, 1);
            change(&mut records);
            out.extend(records);
        }
        let mut end = vec![0; 22];
        end[..4].copy_from_slice(b"PK\x05\x06");
        put16(&mut end, 8, count as u16);
        put16(&mut end, 10, count as u16);
        put32(&mut end, 12, directory_bytes as u32);
        put32(&mut end, 16, directory_at as u32);
        put16(&mut end, 20, self.comment.len() as u16);
        if let Some(change) = self.end {
            change(&mut end);
        }
        out.extend(end);
        out.extend(&self.comment);
        out.extend(&self.suffix);
        out
    }
}
