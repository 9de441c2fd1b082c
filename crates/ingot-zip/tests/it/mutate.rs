//! Sound archives, damaged at random: never a panic, and what is still accepted all readers read
//! alike.

use zip::write::SimpleFileOptions;

use crate::build::{Part, Zip, field, zip, zip64_field};
use crate::honest::by_the_crate;
use crate::oracles::{Accepted, listing};
use crate::{Random, check};

/// Cuts of each archive.
const CUTS: usize = 64;
/// Changed bytes tried over all small archives.
const FLIPS: usize = 20_000;
/// Accepted changes that other readers are asked about.
const COMPARED_MAX: usize = 150;

/// Small archives with everything in them, so that a changed byte mostly hits a field.
fn small() -> Vec<Vec<u8>> {
    let plain = zip([Part::deflated("a.txt", b"hello hello hello"), Part::stored("b/", b"")]);
    let times = field(0x5455, b"\x03\0\0\0\x60\0\0\0\x60");
    let parts = [
        Part::deflated("ü/a.txt", b"hello hello").both(|header| header.extra = times.clone()),
        Part::stored("b/c", b"there"),
        Part::streamed("d", b"streamed streamed"),
    ];
    let wide = Part::deflated("w", b"wide").with(|part| {
        part.local.extra = zip64_field(&[4, part.central.packed.into()]);
        (part.local.size, part.local.packed) = (u32::MAX, u32::MAX);
        part.comment = b"a comment".to_vec();
    });
    let mut unsigned = Part::deflated("u", b"unsigned unsigned");
    unsigned.stream(false);
    vec![
        plain.bytes(),
        Zip { comment: b"a comment".to_vec(), ..zip(parts) }.bytes(),
        Zip { zip64: Some(|_| {}), ..zip([wide, unsigned]) }.bytes(),
    ]
}

#[test]
fn cut_archives_are_refused() {
    let mut random = Random::seeded("cuts");
    let mut archives = small();
    archives.push(by_the_crate(SimpleFileOptions::default()));
    for bytes in archives {
        for _ in 0..CUTS {
            let length = random.below(bytes.len());
            assert!(check(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn changed_bytes_are_refused_or_change_nothing_that_readers_see() {
    let mut random = Random::seeded("changed bytes");
    let archives = small();
    let originals: Vec<_> = archives.iter().map(|bytes| listing(bytes)).collect();
    let (mut accepted, mut passed) = (Accepted::new(), 0);
    for _ in 0..FLIPS {
        let which = random.below(archives.len());
        let mut bytes = archives[which].clone();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 + random.below(255) as u8;
        if check(&bytes).is_err() {
            continue;
        }
        passed += 1;
        assert_eq!(listing(&bytes), originals[which], "byte {at} of {which} changed the content");
        if accepted.len() < COMPARED_MAX && random.below(4) == 0 {
            accepted.add(&bytes);
        }
    }
    println!("{passed} of {FLIPS} changes were accepted (times, comments, attributes)");
    accepted.compare();
}

#[test]
fn several_changes_at_once_never_panic() {
    let mut random = Random::seeded("several changes");
    let archives = small();
    let values = [0, 1, 2, 4, 8, 16, 45, 46, 127, 128, 254, 255];
    for _ in 0..FLIPS {
        let mut bytes = archives[random.below(archives.len())].clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = values[random.below(values.len())],
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, random.next() as u8),
                _ => {
                    let end = (at + 1 + random.below(8)).min(bytes.len());
                    bytes[at..end].fill(0xFF);
                }
            }
        }
        // Accepted or not: what counts is that it comes back.
        let _ = check(&bytes);
    }
}
