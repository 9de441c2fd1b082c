//! Archives that lie, each in one way.

use crate::build::{DESCRIPTOR, Part, UTF8, Zip, field, put16, put32, put64, zip, zip64_field};
use crate::{check, rule};

fn text() -> Part {
    Part::deflated("a.txt", b"hello hello hello")
}

fn other() -> Part {
    Part::stored("b/c.txt", b"there")
}

/// Checks that an archive is refused by that rule, with words that are safe to print.
fn refused(case: &str, archive: &Zip, expected: &str) {
    let refusal = check(&archive.bytes()).err().unwrap_or_else(|| panic!("{case} was accepted"));
    assert_eq!(rule(&refusal), expected, "{case}: {refusal:?}");
    assert_eq!(refusal.code(), ingot_core::Code::Invalid, "{case}");
    let fine = |c: char| c.is_ascii_graphic() || c == ' ';
    assert!(refusal.detail().chars().all(fine), "{case}: {:?}", refusal.detail());
    assert!(refusal.detail().len() < 500, "{case}: {}", refusal.detail());
}

fn one(case: &str, part: Part, expected: &str) {
    refused(case, &zip([other(), part]), expected);
}

#[test]
fn the_builder_builds_sound_zips() {
    for parts in [
        vec![],
        vec![text()],
        vec![text(), other(), Part::stored("b/", b""), Part::streamed("d", b"data")],
        vec![Part::stored("empty", b""), Part::deflated("é", b"x")],
    ] {
        let entries = parts.len() as u64;
        for archive in [
            zip(parts.clone()),
            Zip { zip64: Some(|_| {}), ..zip(parts.clone()) },
            Zip { comment: b"0123456789abcdef, as git archive writes".to_vec(), ..zip(parts) },
        ] {
            assert_eq!(check(&archive.bytes()).expect("sound").entries, entries);
        }
    }
}

#[test]
fn h21_names_that_lead_elsewhere() {
    for name in ["../../x", "/abs", "C:\\x", "c:x", "..\\x", "a/./b", "a//b", "a/..", "./a", "."] {
        one(name, Part::stored(name, b"x"), "zip_entry_name");
    }
}

#[test]
fn h22_h34_entries_that_are_no_plain_files() {
    for (case, mode) in [
        ("symbolic link", 0o120_777u32),
        ("pipe", 0o010_644),
        ("character device", 0o020_644),
        ("block device", 0o060_644),
        ("socket", 0o140_644),
        ("set-user-id", 0o104_755),
        ("set-group-id", 0o102_755),
        ("set-user-id without a type", 0o004_755),
        ("directory without a slash", 0o040_755),
    ] {
        // The mode counts whatever system the archive says it was made on.
        for made_by in [0x031E, 0x0014, 0x131E] {
            let attributes = mode << 16;
            let part = text().with(|p| (p.attributes, p.made_by) = (attributes, made_by));
            one(case, part, "zip_entry_type");
        }
        let mut asi = vec![0; 14];
        put16(&mut asi, 4, mode as u16);
        let part = text().with(|p| p.central.extra = field(0x756E, &asi));
        one(case, part, "zip_entry_type");
    }
    let file_mode = |p: &mut Part| p.attributes = 0o100_644 << 16;
    one("file with a slash", Part::stored("d/", b"").with(file_mode), "zip_entry_type");
    one("directory with content", Part::stored("d/", b"x"), "zip_entry_type");
    one("directory by attribute", text().with(|p| p.attributes = 0x10), "zip_entry_type");
    let link = field(0x000D, b"\0\0\0\0\0\0\0\0\0\0\0\0target");
    one("PKWARE link", text().with(|p| p.central.extra = link), "zip_entry_type");
    let inherited = Part::stored("d/", b"").with(|p| p.attributes = 0o042_755 << 16);
    check(&zip([inherited]).bytes()).expect("set-group-id on a directory is inherited, harmless");
}

#[test]
fn h23_names_that_are_there_twice() {
    let named = |name: &str| Part::stored(name, b"x");
    for (case, names) in [
        ("twice", ["a", "a"]),
        ("but for case", ["README", "readme"]),
        ("but for case, beyond ASCII", ["É", "é"]),
        ("directory twice", ["d/", "d/"]),
        ("directory but for case", ["d/", "D/"]),
        ("file and directory", ["d", "d/"]),
        ("file and what lies in it", ["d/e/f", "d/e"]),
        ("file and what lies in it", ["d", "d/e/f"]),
    ] {
        let parts: Vec<Part> = names
            .iter()
            .map(|name| if name.ends_with('/') { Part::stored(name, b"") } else { named(name) })
            .collect();
        refused(case, &zip(parts), "zip_duplicate");
    }
    let common =
        [named("META-INF/LICENSE"), named("META-INF/license/x"), named("META-INF/LICENSE-")];
    check(&zip(common).bytes()).expect("a directory may be called like a file but for case");
}

#[test]
fn h24_headers_that_contradict_the_directory() {
    for (case, change) in [
        ("name", (|p| p.local.name = b"b.txt".to_vec()) as fn(&mut Part)),
        ("longer name", |p| p.local.name.push(b'x')),
        ("size", |p| p.local.size += 1),
        ("no size", |p| p.local.size = 0),
        ("packed size", |p| p.local.packed -= 1),
        ("checksum", |p| p.local.crc ^= 1),
        ("no checksum", |p| p.local.crc = 0),
        ("method", |p| p.local.method = 0),
        ("unknown method", |p| p.local.method = 99),
        ("flags", |p| p.local.flags |= UTF8),
        ("encrypted here only", |p| p.local.flags |= 1),
        ("descriptor here only", |p| p.local.flags |= DESCRIPTOR),
    ] {
        one(case, text().with(change), "zip_mismatch");
    }
    let none = text().with(|p| p.at = Some(3));
    refused(
        "no header there",
        &zip([other().with(|p| p.junk_before = vec![]), none]),
        "zip_overlap",
    );
    for (case, change) in [
        ("both sizes too long", (|h| h.size += 1) as fn(&mut crate::build::Header)),
        ("both sizes too short", |h| h.size -= 1),
        ("both sizes zero", |h| h.size = 0),
        ("both checksums", |h| h.crc ^= 1),
    ] {
        one(case, text().both(change), "zip_damaged");
    }
    one(
        "stored, sizes differ",
        other().both(|h| h.size += 1).both(|h| h.name.push(b'2')),
        "zip_mismatch",
    );
}

#[test]
fn h25_entries_that_overlap() {
    // Two names for one entry.
    let twin = text().with(|p| (p.listed_only, p.at) = (true, Some(0)));
    let twin_named = twin.both(|h| h.name = b"b.txt".to_vec());
    refused("same header", &zip([text(), twin_named]), "zip_overlap");
    // The quoted form: the first entry's data holds the second's header.
    let inner = zip([Part::stored("inner", b"inner")]).bytes();
    let cover = Part::stored("cover", &inner);
    let at = 30 + 5;
    let quoted = Part::stored("inner", b"inner").with(|p| (p.listed_only, p.at) = (true, Some(at)));
    refused("quoted header", &zip([cover, quoted]), "zip_overlap");
    let long = Part::stored("z", b"x").both(|h| (h.packed, h.size) = (500, 500));
    refused("into the directory", &zip([long]), "zip_overlap");
    let past = Part::stored("z", b"x").with(|p| p.at = Some(5_000));
    refused("past the directory", &zip([past]), "zip_gap");
}

#[test]
fn h28_zip64_that_lies() {
    let base = || Zip { zip64: Some(|_| {}), ..zip([text()]) };
    for (case, change, expected) in [
        ("elsewhere", (|r| put64(r, 64, 0)) as fn(&mut Vec<u8>), "zip_zip64"),
        ("past the end", |r| put64(r, 64, u64::MAX - 3), "zip_zip64"),
        ("two disks", |r| put32(r, 72, 2), "zip_zip64"),
        ("other disk", |r| put32(r, 60, 1), "zip_zip64"),
        ("no record", |r| r[0] = 0, "zip_zip64"),
        ("longer record", |r| put64(r, 4, 45), "zip_zip64"),
        ("endless record", |r| put64(r, 4, u64::MAX), "zip_zip64"),
        ("count", |r| put64(r, 32, 2), "zip_zip64"),
        ("place", |r| put64(r, 48, 1), "zip_zip64"),
        ("size", |r| put64(r, 40, u64::MAX), "zip_zip64"),
    ] {
        refused(case, &Zip { zip64: Some(change), ..base() }, expected);
    }
    let end: fn(&mut Vec<u8>) = |e| {
        put16(e, 8, 0xFFFF);
        put16(e, 10, 0xFFFF);
        put32(e, 12, u32::MAX);
        put32(e, 16, u32::MAX);
    };
    check(&Zip { end: Some(end), ..base() }.bytes()).expect("markers point to the zip64 record");
    refused("markers, no record", &Zip { end: Some(end), ..zip([text()]) }, "zip_end");
    for (case, change) in [
        ("size", (|e| put32(e, 12, u32::MAX)) as fn(&mut Vec<u8>)),
        ("place", |e| put32(e, 16, u32::MAX)),
        ("count", |e| put16(e, 10, 0xFFFF)),
    ] {
        let refusal = check(&Zip { end: Some(change), ..zip([text()]) }.bytes());
        assert!(refusal.is_err(), "marker without a record: {case}");
    }
    let both = |e: &mut Vec<u8>| {
        put64(e, 40, u64::MAX);
        put64(e, 48, u64::MAX);
    };
    refused("sums overflow", &Zip { zip64: Some(both), end: Some(end), ..base() }, "zip_end");
}

#[test]
fn h28_zip64_fields_that_lie() {
    let (crc_size, packed) = (17u64, text().central.packed);
    for (case, extra) in [
        ("missing", vec![]),
        ("empty", zip64_field(&[])),
        ("more than needed", zip64_field(&[crc_size, 99])),
        ("cut", field(1, &[17, 0, 0, 0])),
    ] {
        let part = text().with(|p| {
            p.central.size = u32::MAX;
            p.central.extra = extra;
        });
        one(case, part, "zip_zip64");
    }
    let unasked = text().with(|p| p.central.extra = zip64_field(&[17]));
    one("nobody asked", unasked, "zip_zip64");
    let huge = text().with(|p| {
        (p.central.size, p.central.extra) = (u32::MAX, zip64_field(&[u64::MAX]));
    });
    one("endless", huge, "zip_bomb");
    let far = text().with(|p| {
        (p.at, p.central.extra) = (Some(u32::MAX), zip64_field(&[u64::MAX - 1]));
    });
    one("far away", far, "zip_gap");
    let wide = |numbers: &[u64]| {
        let extra = zip64_field(numbers);
        text().with(|p| {
            (p.local.size, p.local.packed, p.local.extra) = (u32::MAX, u32::MAX, extra);
        })
    };
    let right = wide(&[crc_size, packed.into()]);
    check(&zip([right]).bytes()).expect("64-bit sizes in the local header alone");
    one("other sizes before it", wide(&[crc_size + 1, packed.into()]), "zip_mismatch");
    one("one size before it", wide(&[crc_size]), "zip_zip64");
    one("no sizes before it", text().with(|p| p.local.size = u32::MAX), "zip_zip64");
    let idle = text().with(|p| p.local.extra = zip64_field(&[1, 2]));
    one("sizes that not all look at", idle, "zip_zip64");
    let twice = [zip64_field(&[17]), zip64_field(&[18])].concat();
    let part = text().with(|p| (p.central.size, p.central.extra) = (u32::MAX, twice));
    one("twice", part, "zip_extra");
}

#[test]
fn h28_h29_more_than_one_way_to_read_it() {
    let whole = zip([text()]).bytes();
    refused("two archives", &Zip { prefix: whole.clone(), ..zip([other()]) }, "zip_gap");
    refused(
        "two archives, shifted",
        &Zip { prefix: whole.clone(), shifted: true, ..zip([other()]) },
        "zip_gap",
    );
    let end = whole[whole.len() - 22..].to_vec();
    refused("two end records", &Zip { suffix: end.clone(), ..zip([text()]) }, "zip_gap");
    refused("end record in the comment", &Zip { comment: end, ..zip([text()]) }, "zip_end");
    let bare = b"x PK\x05\x06 y".to_vec();
    refused("signature in the comment", &Zip { comment: bare, ..zip([text()]) }, "zip_end");
    // An end record before the real one whose comment is all that follows it.
    let mut nested = vec![0; 22];
    nested[..4].copy_from_slice(b"PK\x05\x06");
    let mut archive = zip([Part::stored("nested", &nested)]);
    let behind = archive.bytes().len() - (30 + 6) - 22;
    put16(&mut nested, 20, behind as u16);
    archive.parts = vec![Part::stored("nested", &nested)];
    refused("a choice of two", &archive, "zip_end");
    let inside = Part::stored("lib.zip", &zip([text()]).bytes());
    check(&zip([inside]).bytes()).expect("a zip in a zip is content (H27)");
}

#[test]
fn h29_h44_bytes_that_belong_to_nothing() {
    for prefix in [&b"#!/bin/sh\n"[..], b"\x89PNG\r\n\x1a\n", b"<html>", b"\0"] {
        let shifted = Zip { prefix: prefix.to_vec(), shifted: true, ..zip([text()]) };
        refused("before, not counted", &shifted, "zip_gap");
        refused("before, counted", &Zip { shifted: false, ..shifted.clone() }, "zip_gap");
    }
    refused("after", &Zip { suffix: b"x".to_vec(), ..zip([text()]) }, "zip_truncated");
    refused(
        "before the directory",
        &Zip { before_directory: b"x".to_vec(), ..zip([text()]) },
        "zip_gap",
    );
    refused(
        "after the directory",
        &Zip { after_directory: b"x".to_vec(), ..zip([text()]) },
        "zip_gap",
    );
    let second = other().with(|p| p.junk_before = b"x".to_vec());
    refused("between", &zip([text(), second]), "zip_gap");
    refused("before and empty", &Zip { prefix: b"x".to_vec(), ..zip([]) }, "zip_gap");
    let hidden = other().with(|p| p.unlisted = true);
    refused("an entry that is not listed", &zip([text(), hidden.clone()]), "zip_gap");
    refused("the first is not listed", &zip([hidden, text()]), "zip_gap");
    let trailing = text().with(|p| p.data.push(0)).both(|h| h.packed += 1);
    one("after the compressed data", trailing, "zip_damaged");
}

#[test]
fn h30_what_not_everyone_can_read() {
    for flag in [1 << 0, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 12, 1 << 13, 1 << 14, 1 << 15] {
        one(&format!("flags {flag:#x}"), text().both(|h| h.flags |= flag), "zip_unsupported");
    }
    for method in [1, 6, 9, 12, 14, 93, 95, 98, 99, 0xFFFF] {
        one(&format!("method {method}"), text().both(|h| h.method = method), "zip_unsupported");
    }
    // The upper byte makes Info-ZIP take the entry for one in the format of another system.
    for version in [46, 63, 0x0214, 0xFF0A] {
        one("version", text().with(|p| p.central.version = version), "zip_unsupported");
        one("version before it", text().with(|p| p.local.version = version), "zip_unsupported");
    }
    check(&zip([text().both(|h| h.version = 45)]).bytes()).expect("the highest version");
    let aes = text().with(|p| p.central.extra = field(0x9901, b"\x02\0AE\x03\x08\0"));
    one("AES", aes, "zip_unsupported");
    let strong = text().with(|p| p.local.extra = field(0x0017, b"\x02\0"));
    one("strong encryption", strong, "zip_unsupported");
    one("other disk", text().with(|p| p.disk = 1), "zip_unsupported");
    for at in [4, 6] {
        let mut archive = zip([text()]);
        archive.end = Some(if at == 4 { |e| put16(e, 4, 1) } else { |e| put16(e, 6, 1) });
        refused("split", &archive, "zip_unsupported");
    }
}

#[test]
fn h31_second_names() {
    let path = |version: u8, crc: u32, name: &[u8]| {
        let value = [&[version][..], &crc.to_le_bytes(), name].concat();
        field(0x7075, &value)
    };
    let crc = crc32fast::hash(b"a.txt");
    check(&zip([text().both(|h| h.extra = path(1, crc, b"a.txt"))]).bytes())
        .expect("the same name");
    for extra in [
        path(1, crc, b"b.txt"),
        path(1, crc ^ 1, b"a.txt"),
        path(2, crc, b"a.txt"),
        path(1, crc, b""),
        field(0x7075, b"\x01"),
    ] {
        one("in the directory", text().with(|p| p.central.extra = extra.clone()), "zip_entry_name");
        one("before it", text().with(|p| p.local.extra = extra.clone()), "zip_entry_name");
    }
}

#[test]
fn h32_descriptors_that_lie() {
    let streamed = || Part::streamed("a.txt", b"hello hello hello");
    check(&zip([streamed(), other()]).bytes()).expect("a sound descriptor");
    let mut unsigned = text();
    unsigned.stream(false);
    check(&zip([unsigned.clone(), other()]).bytes()).expect("a sound one without its signature");
    for at in [4, 8, 12] {
        one("signed", streamed().with(|p| p.descriptor[at] ^= 1), "zip_mismatch");
        one("unsigned", unsigned.clone().with(|p| p.descriptor[at - 4] ^= 1), "zip_mismatch");
    }
    one("signature", streamed().with(|p| p.descriptor[0] ^= 1), "zip_mismatch");
    one("missing", streamed().with(|p| p.descriptor.clear()), "zip_overlap");
    one("cut", streamed().with(|p| p.descriptor.truncate(11)), "zip_overlap");
    one("cut between forms", streamed().with(|p| p.descriptor.truncate(15)), "zip_gap");
    one("too long", streamed().with(|p| p.descriptor.extend([0; 9])), "zip_gap");
    one("too wide", streamed().with(|p| p.descriptor.extend([0; 8])), "zip_mismatch");
    one("sizes before it", streamed().with(|p| p.local.size = 5), "zip_mismatch");
    one("not announced", text().with(|p| p.descriptor = vec![0; 16]), "zip_gap");
    // Stored, with an end that a reader who only reads forwards would find too early.
    let mut stored = Part::stored("s", b"one PK\x07\x08 two");
    stored.stream(true);
    one("a descriptor in stored data", stored, "zip_mismatch");
    let mut plain = Part::stored("s", b"one two");
    plain.stream(true);
    check(&zip([plain]).bytes()).expect("stored with a descriptor, and nothing to mistake for it");
}

#[test]
fn h32_wide_descriptors() {
    let content = b"hello hello hello";
    let part = text().with(|p| {
        p.stream(true);
        p.local.extra = zip64_field(&[0, 0]);
        (p.local.size, p.local.packed) = (u32::MAX, u32::MAX);
        p.descriptor.truncate(8);
        p.descriptor.extend(u64::from(p.central.packed).to_le_bytes());
        p.descriptor.extend((content.len() as u64).to_le_bytes());
    });
    check(&zip([part.clone()]).bytes()).expect("64-bit numbers as the zip64 field announced");
    one("upper half", part.clone().with(|p| p.descriptor[15] = 1), "zip_mismatch");
    let narrow = part.with(|p| {
        p.descriptor.truncate(8);
        p.descriptor.extend(p.central.packed.to_le_bytes());
        p.descriptor.extend((content.len() as u32).to_le_bytes());
    });
    one("narrow though announced wide", narrow, "zip_mismatch");
}

#[test]
fn h33_too_little() {
    let whole = zip([text(), other()]).bytes();
    for bytes in [&b""[..], &[0; 21], b"PK\x05\x06", b"PK\x03\x04 not a zip at all, really not"] {
        assert_eq!(rule(&check(bytes).expect_err("too little")), "zip_truncated");
    }
    for length in 0..whole.len() {
        assert!(check(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
    }
    let counts: [fn(&mut Vec<u8>); 2] = [
        |e| {
            put16(e, 8, 1);
            put16(e, 10, 1);
        },
        |e| {
            put16(e, 8, 3);
            put16(e, 10, 3);
        },
    ];
    for end in counts {
        refused("count", &Zip { end: Some(end), ..zip([text(), other()]) }, "zip_end");
    }
}

#[test]
fn h42_names_that_harm_whoever_prints_them() {
    let long = "n".repeat(4096);
    for name in ["a\0b", "a\nb", "\u{1b}[31mred", "a\u{7f}", "a\u{202E}gpj.exe", long.as_str()] {
        one("name", Part::stored(name, b"x"), "zip_entry_name");
    }
    let raw = |name: &[u8]| other().both(|h| h.name = name.to_vec());
    refused("not UTF-8", &zip([raw(b"a\xff\xfe")]), "zip_entry_name");
    refused("overlong", &zip([raw(b"..\xc0\xafx")]), "zip_entry_name");
    refused("UTF-8 that is not said to be", &zip([raw("é".as_bytes())]), "zip_entry_name");
    refused("empty", &zip([raw(b"")]), "zip_entry_name");
}

#[test]
fn h42_comments_that_harm_whoever_prints_them() {
    for comment in [&b"a\xff"[..], b"\x1b[2J", b"\0"] {
        one("of an entry", text().with(|p| p.comment = comment.to_vec()), "zip_comment");
        let archive = Zip { comment: comment.to_vec(), ..zip([text()]) };
        refused("of the archive", &archive, "zip_comment");
    }
}

#[test]
fn extra_fields_must_be_readable() {
    for extra in [&b"x"[..], b"UT\x05\0ab", b"UT\xff\xff", b"\0\0\0x"] {
        one("in the directory", text().with(|p| p.central.extra = extra.to_vec()), "zip_extra");
        one("before it", text().with(|p| p.local.extra = extra.to_vec()), "zip_extra");
    }
    let padded = text().with(|p| p.local.extra = vec![0; 3]);
    check(&zip([padded]).bytes()).expect("padding as zipalign writes it");
}

#[test]
fn compressed_data_must_be_whole() {
    let cut = text().with(|p| p.data.truncate(p.data.len() - 1)).both(|h| h.packed -= 1);
    one("cut", cut, "zip_damaged");
    let broken = text().with(|p| p.data[0] = 0xFF);
    one("broken", broken, "zip_damaged");
    let nothing = text().with(|p| p.data.clear()).both(|h| (h.packed, h.size, h.crc) = (0, 0, 0));
    one("none at all", nothing, "zip_damaged");
    let stored = other().with(|p| p.data[0] ^= 1);
    refused("stored", &zip([stored]), "zip_damaged");
}
