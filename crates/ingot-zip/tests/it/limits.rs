//! Each limit at its greatest value and one beyond.

use std::io::Cursor;

use ingot_zip::{
    DIRECTORY_BYTES_MAX, ENTRIES_MAX, ENTRY_BYTES_MAX, INFLATED_BYTES_MAX, RATIO_FREE_BYTES,
    RATIO_MAX, ZipLimits, check_zip,
};

use crate::build::{Part, Zip, put64, zip};
use crate::{check, rule};

fn check_under(archive: &Zip, change: impl FnOnce(&mut ZipLimits)) -> Result<u64, String> {
    let mut limits = ZipLimits::default();
    change(&mut limits);
    let checked = check_zip(&mut Cursor::new(archive.bytes()), &limits);
    checked.map(|facts| facts.inflated_bytes).map_err(|refusal| rule(&refusal).to_owned())
}

fn bomb() -> Result<u64, String> {
    Err("zip_bomb".to_owned())
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let limits = ZipLimits::default();
    assert_eq!((limits.entries_max, ENTRIES_MAX), (100_000, 100_000));
    assert_eq!((limits.entry_bytes_max, ENTRY_BYTES_MAX), (1 << 31, 1 << 31));
    assert_eq!((limits.ratio_max, RATIO_MAX), (100, 100));
    assert_eq!((limits.ratio_free_bytes, RATIO_FREE_BYTES), (1 << 26, 1 << 26));
    assert_eq!((limits.inflated_bytes_max, INFLATED_BYTES_MAX), (1 << 34, 1 << 34));
    assert_eq!((limits.directory_bytes_max, DIRECTORY_BYTES_MAX), (1 << 26, 1 << 26));
}

#[test]
fn entries() {
    let archive = zip((0..5).map(|n| Part::stored(&n.to_string(), b"")).collect::<Vec<_>>());
    assert_eq!(check_under(&archive, |limits| limits.entries_max = 5), Ok(0));
    assert_eq!(check_under(&archive, |limits| limits.entries_max = 4), bomb());
}

#[test]
fn one_entry() {
    let archive = zip([Part::deflated("a", &[7; 5_000])]);
    assert_eq!(check_under(&archive, |limits| limits.entry_bytes_max = 5_000), Ok(5_000));
    assert_eq!(check_under(&archive, |limits| limits.entry_bytes_max = 4_999), bomb());
}

#[test]
fn all_entries_together() {
    let archive = zip([Part::stored("a", &[7; 300]), Part::stored("b", &[7; 200])]);
    assert_eq!(check_under(&archive, |limits| limits.inflated_bytes_max = 500), Ok(500));
    assert_eq!(check_under(&archive, |limits| limits.inflated_bytes_max = 499), bomb());
}

#[test]
fn the_directory() {
    let archive = zip([Part::stored("a", b"")]);
    assert_eq!(check_under(&archive, |limits| limits.directory_bytes_max = 47), Ok(0));
    assert_eq!(check_under(&archive, |limits| limits.directory_bytes_max = 46), bomb());
}

#[test]
fn the_ratio_and_what_is_free_of_it() {
    let archive = zip([Part::deflated("a", &vec![0; 100_000])]);
    let length = archive.bytes().len() as u64;
    let ratio = 100_000_u64.div_ceil(length);
    let under = |ratio: u64, free: u64| {
        check_under(&archive, |limits| {
            (limits.ratio_max, limits.ratio_free_bytes) = (ratio, free);
        })
    };
    assert_eq!(under(ratio, 0), Ok(100_000));
    assert_eq!(under(ratio - 1, 0), bomb());
    assert_eq!(under(1, 100_000), Ok(100_000));
    assert_eq!(under(1, 99_999), bomb());
}

#[test]
fn a_small_page_of_zeros_is_no_bomb_and_a_large_one_is() {
    let zeros = |mebibytes: usize| zip([Part::deflated("a", &vec![0; mebibytes << 20])]).bytes();
    assert!(check(&zeros(1)).is_ok());
    assert!(check(&zeros(64)).is_ok(), "exactly what is free");
    let over = zip([Part::deflated("a", &vec![0; 64 << 20]), Part::stored("b", b"x")]).bytes();
    let refusal = check(&over).expect_err("one byte more");
    assert_eq!(rule(&refusal), "zip_bomb");
    assert!(refusal.detail().contains("67108865"), "with numbers: {}", refusal.detail());
}

#[test]
fn announced_bombs_are_refused_before_anything_is_inflated() {
    // The data would be found broken, were it looked at.
    let part = Part::stored("a", b"broken").both(|header| {
        (header.method, header.size) = (8, (2u64 << 30) as u32 + 1);
    });
    let refusal = check(&zip([part]).bytes()).expect_err("over 2 GiB");
    assert_eq!(rule(&refusal), "zip_bomb");
    let part = Part::stored("a", b"broken").both(|header| {
        (header.method, header.size) = (8, 2 << 30);
    });
    let limits = ZipLimits { ratio_max: u64::MAX, ..ZipLimits::default() };
    let exact = check_zip(&mut Cursor::new(zip([part]).bytes()), &limits).expect_err("broken");
    assert_eq!(rule(&exact), "zip_damaged", "2 GiB itself is not too much");
}

#[test]
fn a_hundred_thousand_entries_and_one_more() {
    let many = |count: usize| {
        let parts: Vec<Part> = (0..count).map(|n| Part::stored(&format!("{n:x}"), b"")).collect();
        // Counts over 65,535 are kept in the zip64 record alone.
        let end = Some((|end: &mut Vec<u8>| end[8..12].fill(0xFF)) as fn(&mut Vec<u8>));
        Zip { zip64: Some(|_| {}), end, ..zip(parts) }.bytes()
    };
    assert_eq!(check(&many(100_000)).expect("the most").entries, 100_000);
    assert_eq!(rule(&check(&many(100_001)).expect_err("one more")), "zip_bomb");
}

#[test]
fn a_claimed_million_entries_is_refused_without_reading_them() {
    let count: fn(&mut Vec<u8>) = |records| {
        put64(records, 24, 1_000_000);
        put64(records, 32, 1_000_000);
    };
    let end: fn(&mut Vec<u8>) = |end| end[8..12].fill(0xFF);
    let archive = Zip { zip64: Some(count), end: Some(end), ..zip([Part::stored("a", b"")]) };
    assert_eq!(check_under(&archive, |_| {}), bomb());
}
