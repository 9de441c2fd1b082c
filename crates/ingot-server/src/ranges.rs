//! `Range` and `If-Range` (RFC 9110, section 14), as pure functions.

use ingot_core::{Code, Refusal, Timestamp};

use crate::conditional::{Validators, parse_date};

/// Longest `Range` header looked at; a longer one is ignored, as the RFC allows.
pub const RANGE_BYTES_MAX: usize = 256;

/// A part of a file, in bytes: `first..=last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub first: u64,
    /// The last byte, included.
    pub last: u64,
}

impl ByteRange {
    /// How many bytes it spans.
    pub fn size_bytes(self) -> u64 {
        self.last - self.first + 1
    }
    /// The `Content-Range` of an answer with this part of `size` bytes.
    pub fn content_range(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.first, self.last)
    }
}

/// Which part of a file of `size` bytes to send; none means the whole.
///
/// One range of bytes is honoured. Several ranges, another unit or a malformed header are
/// answered with the whole file, which the RFC allows and which cannot be used to multiply work.
///
/// Errors: `range_not_satisfiable` (416) with the size, when the one range lies outside.
pub fn select(
    range: Option<&str>,
    if_range: Option<&str>,
    size: u64,
    validators: &Validators<'_>,
) -> Result<Option<ByteRange>, Refusal> {
    let Some(range) = range.filter(|range| range.len() <= RANGE_BYTES_MAX) else { return Ok(None) };
    if !if_range.is_none_or(|if_range| still_the_same(if_range, validators)) {
        return Ok(None);
    }
    let Some(spec) = parse(range) else { return Ok(None) };
    let outside = || {
        Refusal::new(
            Code::RangeNotSatisfiable,
            format!("the range lies outside the file, which has {size} bytes"),
        )
        .with("size", size)
    };
    match spec {
        Spec::From(first, last) => {
            if first >= size {
                return Err(outside());
            }
            Ok(Some(ByteRange { first, last: last.unwrap_or(u64::MAX).min(size - 1) }))
        }
        Spec::Last(0) => Err(outside()),
        Spec::Last(_) if size == 0 => Err(outside()),
        Spec::Last(count) => {
            Ok(Some(ByteRange { first: size.saturating_sub(count), last: size - 1 }))
        }
    }
}

enum Spec {
    From(u64, Option<u64>),
    Last(u64),
}

/// One range of bytes; none for whatever is to be ignored.
fn parse(header: &str) -> Option<Spec> {
    let (unit, set) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = set.split(',').map(str::trim).filter(|spec| !spec.is_empty());
    let (first, last) = specs.next()?.split_once('-')?;
    if specs.next().is_some() {
        return None;
    }
    match (first, last) {
        ("", last) => Some(Spec::Last(number(last)?)),
        (first, "") => Some(Spec::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

/// A number of any length: beyond 64 bits it is as good as the largest.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// `If-Range`: a strong ETag that matches, or exactly the date of the file.
fn still_the_same(if_range: &str, validators: &Validators<'_>) -> bool {
    let if_range = if_range.trim();
    if if_range.starts_with('"') {
        return if_range == validators.etag;
    }
    let exactly = |at: Timestamp| {
        validators.modified.is_some_and(|modified| modified.as_second() == at.as_second())
    };
    parse_date(if_range).is_some_and(exactly)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn check(range: &str, size: u64, expected: Result<Option<(u64, u64)>, ()>) {
        let validators = Validators { etag: "\"a\"", modified: parse_date(DATE) };
        let found = select(Some(range), None, size, &validators);
        let found = found.map(|range| range.map(|range| (range.first, range.last))).map_err(|_| ());
        assert_eq!(found, expected, "{range} of {size}");
    }

    #[test]
    fn one_range_is_honoured() {
        check("bytes=0-0", 10, Ok(Some((0, 0))));
        check("bytes=2-5", 10, Ok(Some((2, 5))));
        check("bytes=9-", 10, Ok(Some((9, 9))));
        check("bytes=0-99999999999999999999999", 10, Ok(Some((0, 9))));
        check("bytes=-3", 10, Ok(Some((7, 9))));
        check("bytes=-30", 10, Ok(Some((0, 9))));
        check("Bytes = 1-2 ,", 10, Ok(Some((1, 2))));
    }

    #[test]
    fn outside_is_416_with_the_size() {
        for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-"] {
            check(range, 10, Err(()));
        }
        check("bytes=0-", 0, Err(()));
        check("bytes=-1", 0, Err(()));
        let validators = Validators { etag: "\"a\"", modified: None };
        let refusal = select(Some("bytes=10-"), None, 10, &validators).expect_err("outside");
        assert_eq!(refusal.members()["size"], 10);
    }

    #[test]
    fn whatever_else_is_ignored() {
        let many = format!("bytes={}", "0-0,".repeat(1_000));
        for range in [
            "bytes=0-0,1-1",
            "bytes=5-2",
            "items=0-1",
            "bytes",
            "bytes=",
            "bytes=a-b",
            "bytes=--1",
            "bytes=1",
            "bytes=+1-2",
            "bytes=1-2-3",
            &many,
        ] {
            check(range, 10, Ok(None));
        }
    }

    #[test]
    fn if_range_takes_the_strong_tag_or_the_exact_date() {
        let validators = Validators { etag: "\"a\"", modified: parse_date(DATE) };
        let check = |if_range: &str, honoured: bool| {
            let found = select(Some("bytes=0-0"), Some(if_range), 10, &validators).expect("fine");
            assert_eq!(found.is_some(), honoured, "{if_range}");
        };
        check("\"a\"", true);
        check("\"b\"", false);
        check("W/\"a\"", false);
        check(DATE, true);
        check("Sun, 06 Nov 1994 08:49:38 GMT", false);
        check("Sun, 06 Nov 1994 08:49:36 GMT", false);
        check("nonsense", false);
    }
}
