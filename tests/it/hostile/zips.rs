//! H21 to H34 and H42: archives. "A `.zip` must be a sound zip […], other files are opaque."

use std::io::{Cursor, Write};

use ingot_tests::archive::{Archive, Entry, end_record, tiny, zip_of};
use ingot_tests::client::raw;
use ingot_tests::{dice, seed};
use rand::Rng;
use zip::CompressionMethod::{Deflated, Stored};

use super::{Victim, refused};

struct Row {
    name: String,
    bytes: Vec<u8>,
}

fn row(name: impl Into<String>, archive: &Archive) -> Row {
    Row { name: name.into(), bytes: archive.build() }
}

fn one(name: impl Into<String>, entry: Entry) -> Row {
    row(name, &Archive::of([entry]))
}

fn plain() -> Entry {
    Entry::stored("a.txt", b"some content")
}

/// H21, H42: names that an unpacking client would write elsewhere, or show.
fn names() -> Vec<Row> {
    let long = "n".repeat(4096);
    let names: [&[u8]; 18] = [
        b"../../x",
        b"a/../b",
        b"..",
        b"/abs",
        b"C:\\x",
        b"C:x",
        b"..\\x",
        b"a\\b",
        b"a/./b",
        b"a//b",
        b"./a",
        b"",
        b"a\0b",
        b"a\nb",
        b"a\rb",
        b"a\x1b[31mb",
        long.as_bytes(),
        b"\xff\xfe",
    ];
    names
        .iter()
        .map(|name| one(format!("H21/H42 {}", name.escape_ascii()), Entry::stored(name, b"x")))
        .collect()
}

/// H22, H34: things that are no files.
fn modes() -> Vec<Row> {
    let modes = [0o120_777, 0o104_755, 0o102_755, 0o020_644, 0o060_644, 0o010_644, 0o140_644];
    let mut rows: Vec<_> = modes
        .iter()
        .map(|mode| one(format!("H22/H34 mode {mode:o}"), plain().mode(*mode)))
        .collect();
    let link = Entry::stored("link", b"/etc").mode(0o120_777);
    let through = Entry::stored("link/passwd", b"x");
    rows.push(row("H22 a link and a file through it", &Archive::of([link, through])));
    rows
}

/// H23: which of two would a client take?
fn duplicates() -> Vec<Row> {
    let pair = |a: &str, b: &str| Archive::of([Entry::stored(a, b"one"), Entry::stored(b, b"two")]);
    vec![
        row("H23 the same name twice", &pair("a", "a")),
        row("H23 names that differ by case", &pair("readme", "README")),
        row("H23 a file and a folder", &pair("a", "a/b")),
    ]
}

/// H24, H31, H32: two descriptions of one entry that disagree.
fn contradictions() -> Vec<Row> {
    let mut described = plain().both(|header| header.flags |= 8).local(|header| {
        (header.crc, header.packed, header.size) = (0, 0, 0);
    });
    described.after = descriptor(&described, 0);
    let mut lying = described.clone();
    lying.after = descriptor(&described, 1);
    let mut claims = described.clone().central(|header| header.size += 1);
    claims.after = descriptor(&described, 0);
    let missing = Entry { after: Vec::new(), ..described.clone() };
    let unicode = |name: &[u8]| {
        let mut extra = vec![0x75, 0x70, 0, 0, 1];
        extra.extend(crc32fast::hash(b"a.txt").to_le_bytes());
        extra.extend(name);
        extra[2] = u8::try_from(extra.len() - 4).expect("short");
        extra
    };
    let extra = unicode(b"b.txt");
    vec![
        one("H24 names differ", plain().local(|header| header.name = b"b.txt".to_vec())),
        one("H24 sizes differ", plain().local(|header| header.size += 1)),
        one("H24 packed sizes differ", plain().central(|header| header.packed -= 1)),
        one("H24 CRCs differ", plain().local(|header| header.crc ^= 1)),
        one("H24 methods differ", plain().local(|header| header.method = 8)),
        one("H24 the CRC is a lie", plain().both(|header| header.crc ^= 1)),
        one(
            "H24 the size is a lie",
            Entry::deflated("a", &[7; 500]).both(|header| header.size -= 1),
        ),
        one("H31 another Unicode name", plain().both(|header| header.extra = extra.clone())),
        one("H31 in the directory alone", plain().central(|header| header.extra = extra.clone())),
        one("H32 the descriptor lies", lying),
        one("H32 the directory contradicts the descriptor", claims),
        one("H32 no descriptor follows", missing),
    ]
}

/// The data descriptor of an entry, with its size wrong by so much.
fn descriptor(entry: &Entry, wrong_by: u32) -> Vec<u8> {
    let mut out = 0x0807_4B50u32.to_le_bytes().to_vec();
    for value in [entry.central.crc, entry.central.packed + wrong_by, entry.central.size] {
        out.extend(value.to_le_bytes());
    }
    out
}

/// H25, H26, H28, H29: archives that are larger, or other, than they look.
fn structures() -> Vec<Row> {
    let pair = || [Entry::stored("a", b"one"), Entry::stored("b", b"two")];
    let with = |change: &dyn Fn(&mut Archive)| {
        let mut archive = Archive::of(pair());
        change(&mut archive);
        archive
    };
    let shared = || {
        let mut archive = Archive::of([Entry::stored("a", b"one"), Entry::stored("a", b"one")]);
        archive.entries[1].offset = Some(0);
        archive.entries[1].central.name = b"b".to_vec();
        archive
    };
    // Fifield: the first entry's bytes quote the second's local header, so that both overlap.
    let mut quoting = Archive::of([Entry::stored("a", &[0; 64]), Entry::stored("b", b"two")]);
    quoting.entries[0].central.packed += 34;
    quoting.entries[0].central.size += 34;
    quoting.entries[0].local.packed += 34;
    quoting.entries[0].local.size += 34;
    let locator =
        [b"PK\x06\x07".to_vec(), vec![0; 4], 7u64.to_le_bytes().to_vec(), vec![1, 0, 0, 0]];
    let fake_end = end_record(0, 0, 0, b"");
    vec![
        row("H25 two entries, one place", &shared()),
        row("H25 entries overlap", &quoting),
        // Small content is let off the ratio (an honest archive may hold empty pages).
        one("H26 80 MiB of zeros", Entry::deflated("zeros", &vec![0; 80 << 20])),
        one("H28 sizes of zip64 without its record", plain().both(|header| header.size = u32::MAX)),
        row(
            "H28 a zip64 locator to elsewhere",
            &with(&|archive| archive.middle = locator.concat()),
        ),
        row("H28 two end records", &with(&|archive| archive.after = fake_end.clone())),
        row("H28 the count is a lie", &with(&|archive| archive.count = Some(1))),
        row("H28 the count is a lie", &with(&|archive| archive.count = Some(3))),
        row("H28 the directory is elsewhere", &with(&|archive| archive.directory = Some(0))),
        row("H29 bytes before", &with(&|archive| archive.before = b"#!/bin/sh\n".to_vec())),
        row("H29 a PNG before", &with(&|archive| archive.before = b"\x89PNG\r\n\x1a\n".to_vec())),
        row("H29 bytes between", &with(&|archive| archive.gap = b"hidden".to_vec())),
        row("H29 bytes after", &with(&|archive| archive.after = b"more".to_vec())),
        row(
            "H29 a comment with an end record",
            &with(&|archive| archive.comment = fake_end.clone()),
        ),
        row(
            "H29 bytes after an entry",
            &with(&|archive| archive.entries[0].after = b"gap".to_vec()),
        ),
    ]
}

/// H30: what a scanner could not look into.
fn unreadable() -> Vec<Row> {
    let flag = |bit: u16| plain().both(move |header| header.flags |= 1 << bit);
    let method = |method: u16| plain().both(move |header| header.method = method);
    let flags = [0, 6, 13].map(|bit| one(format!("H30 flag {bit}"), flag(bit)));
    let methods = [1, 6, 9, 12, 14, 93, 95, 99].map(|n| one(format!("H30 method {n}"), method(n)));
    flags.into_iter().chain(methods).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn h21_to_h34_unsound_archives_are_422() {
    let victim = Victim::new().await;
    let rows = [names(), modes(), duplicates(), contradictions(), structures(), unreadable()];
    for (n, Row { name, bytes }) in rows.into_iter().flatten().enumerate() {
        let path = raw("zip", &format!("1.{n}"), "x.zip");
        refused(&name, &victim.send("PUT", &path, &[], &bytes).await, &[422]);
        // "nothing sealed", nothing there, and the name is free for the sound one.
        victim.admin.get(&path).await.expect(404);
        victim.admin.put(&path, &tiny(n as u64, 100)).await.expect(201);
        // "other files are opaque": the same bytes under another name are nobody's business.
        victim.admin.put(&raw("bin", &format!("1.{n}"), "x.bin"), &bytes).await.expect(201);
    }
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h26_too_many_entries_are_422() {
    let victim = Victim::new().await;
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(Stored);
    for n in 0..100_001 {
        out.start_file(format!("e{n}"), options).expect("an entry");
        out.write_all(b"").expect("nothing");
    }
    let bytes = out.finish().expect("an archive").into_inner();
    let path = raw("zip", "1", "many.zip");
    let problem = refused("H26 100,001", &victim.send("PUT", &path, &[], &bytes).await, &[422]);
    // "with numbers"
    assert!(problem["detail"].to_string().contains("100"), "{problem}");
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h33_cut_archives_are_422() {
    let victim = Victim::new().await;
    let mut dice = dice(seed("cut archives"), 33);
    let content: Vec<u8> = (0..4000).map(|_| dice.random()).collect();
    let entries: [(&str, &[u8]); 2] = [("a.bin", &content), ("b/c.txt", b"text text text")];
    let whole = zip_of(&entries, Deflated);
    let path = raw("zip", "1", "cut.zip");
    let mut cuts: Vec<_> = (0..64).map(|_| dice.random_range(1..whole.len())).collect();
    cuts.extend([0, 21, whole.len() - 1]);
    for cut in cuts {
        let reply = victim.send("PUT", &path, &[], &whole[..cut]).await;
        refused(&format!("H33 cut at {cut} of {}", whole.len()), &reply, &[422]);
    }
    victim.admin.put(&path, &whole).await.expect(201);
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_archives_of_every_usual_kind_are_taken() {
    let victim = Victim::new().await;
    let text = "a line of text that repeats itself\n".repeat(50);
    let some: [(&str, &[u8]); 3] =
        [("a.txt", text.as_bytes()), ("d/e.bin", b"\x00\x01"), ("empty", b"")];
    // H27: "nested zip 5 deep: stored"
    let nested = (0..5).fold(tiny(1, 10), |inner, _| zip_of(&[("inner.zip", &inner)], Stored));
    let folder =
        Archive::of([Entry::stored("d/", b"").mode(0o040_755), Entry::stored("d/f", b"x")]);
    let utf8 =
        Archive::of([Entry::stored("größe.txt", b"x").both(|header| header.flags |= 1 << 11)]);
    // What Go, Java and `zip -` write to a stream: bit 3, zeros first, the truth in a descriptor.
    let streamed = |mut entry: Entry| {
        entry = entry.both(|header| header.flags |= 8);
        entry.after = descriptor(&entry, 0);
        Archive::of([entry.local(|header| (header.crc, header.packed, header.size) = (0, 0, 0))])
    };
    let mut commented = Archive::of([plain()]);
    commented.comment = b"built by ci".to_vec();
    for (name, bytes) in [
        ("stored", zip_of(&some, Stored)),
        ("deflated", zip_of(&some, Deflated)),
        ("nested", nested),
        ("folder", folder.build()),
        ("utf8", utf8.build()),
        ("streamed-deflated", streamed(Entry::deflated("a.txt", text.as_bytes())).build()),
        ("commented", commented.build()),
        ("empty", Archive::default().build()),
    ] {
        let reply = victim.send("PUT", &raw("fine", name, "x.zip"), &[], &bytes).await;
        assert_eq!(reply.status(), Some(201), "{name}: {}", reply.shown());
    }
    victim.unharmed().await;
}
