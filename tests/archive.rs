//! Zips: sound ones by a library, and any other kind byte by byte.

use std::io::{Cursor, Write};

use rand::RngCore;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A small sound zip with one stored entry of random bytes, the same for the same seed and size.
pub fn tiny(seed: u64, size: usize) -> Vec<u8> {
    let mut content = vec![0; size];
    crate::dice(seed, 0x7A69).fill_bytes(&mut content);
    zip_of(&[("content.bin", &content)], CompressionMethod::Stored)
}

/// A sound zip of some entries.
pub fn zip_of(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, content) in entries {
        out.start_file(*name, options).expect("an entry");
        out.write_all(content).expect("its content");
    }
    out.finish().expect("an archive").into_inner()
}

/// Raw DEFLATE of some bytes.
pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

/// One of the two places that describe an entry: the local header, or the central directory.
#[derive(Clone, Debug)]
pub struct Header {
    /// The name, as bytes.
    pub name: Vec<u8>,
    /// General purpose bits.
    pub flags: u16,
    /// The compression method.
    pub method: u16,
    /// The CRC-32 it claims.
    pub crc: u32,
    /// The compressed size it claims.
    pub packed: u32,
    /// The size it claims.
    pub size: u32,
    /// The extra field.
    pub extra: Vec<u8>,
}

/// An entry whose two descriptions, and bytes, may each say what a test likes.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What precedes the bytes.
    pub local: Header,
    /// What the central directory says.
    pub central: Header,
    /// The bytes as stored.
    pub bytes: Vec<u8>,
    /// What follows the bytes: a data descriptor, or something else.
    pub after: Vec<u8>,
    /// The upper half of the external attributes: a Unix mode.
    pub mode: u16,
    /// Where the central directory says the entry starts; none means where it does.
    pub offset: Option<u32>,
}

impl Entry {
    /// A sound stored entry.
    pub fn stored(name: impl AsRef<[u8]>, content: &[u8]) -> Self {
        Self::packed(name, 0, content.to_vec(), content)
    }

    /// A sound deflated entry.
    pub fn deflated(name: impl AsRef<[u8]>, content: &[u8]) -> Self {
        Self::packed(name, 8, deflate(content), content)
    }

    fn packed(name: impl AsRef<[u8]>, method: u16, bytes: Vec<u8>, content: &[u8]) -> Self {
        let header = Header {
            name: name.as_ref().to_vec(),
            flags: 0,
            method,
            crc: crc32fast::hash(content),
            packed: u32::try_from(bytes.len()).expect("small"),
            size: u32::try_from(content.len()).expect("small"),
            extra: Vec::new(),
        };
        let (local, central) = (header.clone(), header);
        Self { local, central, bytes, after: Vec::new(), mode: 0o100_644, offset: None }
    }

    /// Changes both descriptions alike.
    #[must_use]
    pub fn both(mut self, change: impl Fn(&mut Header)) -> Self {
        change(&mut self.local);
        change(&mut self.central);
        self
    }

    /// Changes the local header alone.
    #[must_use]
    pub fn local(mut self, change: impl Fn(&mut Header)) -> Self {
        change(&mut self.local);
        self
    }

    /// Changes the central directory alone.
    #[must_use]
    pub fn central(mut self, change: impl Fn(&mut Header)) -> Self {
        change(&mut self.central);
        self
    }

    /// Sets the Unix mode.
    #[must_use]
    pub fn mode(mut self, mode: u16) -> Self {
        self.mode = mode;
        self
    }
}

/// An archive of such entries.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    /// Bytes before the first entry, that the offsets know nothing of.
    pub before: Vec<u8>,
    /// The entries.
    pub entries: Vec<Entry>,
    /// Bytes between the last entry and the central directory.
    pub gap: Vec<u8>,
    /// Bytes between the central directory and its end record (zip64 records).
    pub middle: Vec<u8>,
    /// The archive's comment.
    pub comment: Vec<u8>,
    /// Bytes after everything.
    pub after: Vec<u8>,
    /// The number of entries the end record claims; none means the truth.
    pub count: Option<u16>,
    /// The offset of the central directory the end record claims; none means the truth.
    pub directory: Option<u32>,
}

impl Archive {
    /// An archive of entries, sound as far as they are.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self { entries: entries.into_iter().collect(), ..Self::default() }
    }

    /// The archive as bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut directory = Vec::new();
        for entry in &self.entries {
            let offset = entry.offset.unwrap_or(len32(&body));
            put32(&mut body, 0x0403_4B50);
            put_header(&mut body, &entry.local);
            body.extend_from_slice(&entry.local.name);
            body.extend_from_slice(&entry.local.extra);
            body.extend_from_slice(&entry.bytes);
            body.extend_from_slice(&entry.after);
            put32(&mut directory, 0x0201_4B50);
            put16(&mut directory, 0x0314); // made by: Unix, version 2.0
            put_header(&mut directory, &entry.central);
            put16(&mut directory, 0); // comment
            put16(&mut directory, 0); // disk
            put16(&mut directory, 0); // internal attributes
            put32(&mut directory, u32::from(entry.mode) << 16);
            put32(&mut directory, offset);
            directory.extend_from_slice(&entry.central.name);
            directory.extend_from_slice(&entry.central.extra);
        }
        body.extend_from_slice(&self.gap);
        let start = self.directory.unwrap_or(len32(&body));
        let count = self.count.unwrap_or_else(|| u16::try_from(self.entries.len()).expect("few"));
        let mut out = self.before.clone();
        out.extend_from_slice(&body);
        out.extend_from_slice(&directory);
        out.extend_from_slice(&self.middle);
        out.extend_from_slice(&end_record(count, len32(&directory), start, &self.comment));
        out.extend_from_slice(&self.after);
        out
    }
}

/// An end-of-central-directory record.
pub fn end_record(count: u16, size: u32, start: u32, comment: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put32(&mut out, 0x0605_4B50);
    put16(&mut out, 0);
    put16(&mut out, 0);
    put16(&mut out, count);
    put16(&mut out, count);
    put32(&mut out, size);
    put32(&mut out, start);
    put16(&mut out, u16::try_from(comment.len()).expect("short"));
    out.extend_from_slice(comment);
    out
}

/// The fields both headers share, from "version needed" to the lengths of name and extra field.
fn put_header(out: &mut Vec<u8>, header: &Header) {
    put16(out, 20);
    put16(out, header.flags);
    put16(out, header.method);
    put16(out, 0); // time
    put16(out, 0x21); // 1980-01-01
    put32(out, header.crc);
    put32(out, header.packed);
    put32(out, header.size);
    put16(out, u16::try_from(header.name.len()).expect("short"));
    put16(out, u16::try_from(header.extra.len()).expect("short"));
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}
fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}
fn len32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("small")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_by_hand_is_read_by_the_library() {
        let bytes =
            Archive::of([Entry::stored("a", b"one"), Entry::deflated("b", b"two two two")]).build();
        let mut read = zip::ZipArchive::new(Cursor::new(bytes)).expect("sound");
        assert_eq!(read.len(), 2);
        let mut content = String::new();
        std::io::Read::read_to_string(&mut read.by_name("b").expect("b"), &mut content).unwrap();
        assert_eq!(content, "two two two");
    }
}
