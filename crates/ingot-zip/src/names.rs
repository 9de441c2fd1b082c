//! Names that mean one place, on every system and to every reader.

use std::collections::HashSet;

use ingot_core::Refusal;

use crate::refuse::{Rule, entry};

/// Longest name of an entry in bytes.
pub const ENTRY_NAME_BYTES_MAX: usize = 1024;
/// Longest part of a name between two slashes in bytes: what common file systems can hold.
pub const ENTRY_SEGMENT_BYTES_MAX: usize = 255;

/// Checks one name, and says whether it is that of a directory.
pub(crate) fn check_name(raw: &[u8], says_utf8: bool) -> Result<(String, bool), Refusal> {
    let refuse = |words: &str| Err(entry(Rule::EntryName, raw, words));
    if raw.is_empty() {
        return refuse("the name is empty");
    }
    if raw.len() > ENTRY_NAME_BYTES_MAX {
        return refuse("the name is longer than 1024 bytes");
    }
    let Ok(name) = std::str::from_utf8(raw) else {
        return refuse("the name is not UTF-8; pack it with a tool that writes UTF-8 names");
    };
    if !name.is_ascii() && !says_utf8 {
        return refuse(
            "the name is not ASCII and the archive does not say that it is UTF-8, so readers \
             disagree about it (with Info-ZIP use `zip -UN=UTF8`)",
        );
    }
    if name.contains(|c: char| c.is_control() || is_format_control(c)) {
        return refuse("the name has control characters");
    }
    if name.contains('\\') {
        return refuse("the name has a backslash, which is a separator to some readers only");
    }
    if name.starts_with('/') {
        return refuse("the name is absolute");
    }
    let bytes = name.as_bytes();
    if bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' {
        return refuse("the name starts with a drive letter");
    }
    let directory = name.ends_with('/');
    for segment in name.strip_suffix('/').unwrap_or(name).split('/') {
        match segment {
            "" => return refuse("the name has an empty part"),
            "." | ".." => return refuse("the name has a '.' or '..' part"),
            _ if segment.len() > ENTRY_SEGMENT_BYTES_MAX => {
                return refuse("a part of the name is longer than 255 bytes");
            }
            _ => {}
        }
    }
    Ok((name.to_owned(), directory))
}

/// Whether a comment, of an entry or of the archive, is one that no reader stumbles over: Java's
/// throws on one that is not UTF-8 while it lists the names, and some print it as it is.
pub(crate) fn is_plain_comment(comment: &[u8]) -> bool {
    let harmless = |c: char| matches!(c, '\n' | '\r' | '\t') || !c.is_control();
    std::str::from_utf8(comment).is_ok_and(|text| text.chars().all(harmless))
}

/// Characters that are not seen but change how the rest is shown.
fn is_format_control(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// Checks that no two names mean the same place, and that none lies inside a file.
///
/// Names that differ only in case are refused, since the second would replace the first on a
/// file system that does not tell them apart. A file `LICENSE` beside a directory `license/` is
/// so common in honest archives that only the exact spelling counts there.
pub(crate) fn check_together(names: &[(String, bool)]) -> Result<(), Refusal> {
    let mut folded = HashSet::with_capacity(names.len());
    for (name, _) in names {
        if !folded.insert(name.to_lowercase()) {
            return Err(entry(
                Rule::Duplicate,
                name.as_bytes(),
                "another entry has this name, or one that differs only in case",
            ));
        }
    }
    drop(folded);
    // Sorted, everything inside a directory stands together: one search for each file.
    let mut sorted: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    sorted.sort_unstable();
    for (name, _) in names.iter().filter(|(_, directory)| !directory) {
        let inside = format!("{name}/");
        let at = sorted.partition_point(|other| *other < inside.as_str());
        if sorted.get(at).is_some_and(|other| other.starts_with(&inside)) {
            return Err(entry(
                Rule::Duplicate,
                name.as_bytes(),
                "it is a file, and other entries lie in it as if it were a directory",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, fine: bool) {
        assert_eq!(check_name(name.as_bytes(), true).is_ok(), fine, "{name:?}");
    }

    #[test]
    fn names_mean_one_place() {
        for fine in ["a", "a/b", "a/", "a/b/", ".a", "a..b", "...", "é/ü", "ab:c", "man/A::B.3"] {
            check(fine, true);
        }
        for bad in [
            "",
            "/",
            "//",
            "/a",
            "a//b",
            "a//",
            ".",
            "..",
            "./a",
            "a/.",
            "a/./b",
            "a/../b",
            "../a",
            "..\\a",
            "a\\b",
            "C:\\x",
            "c:x",
            "z:/x",
            "a\0b",
            "a\nb",
            "\u{1b}[2J",
            "a\u{202E}b",
            "a\u{85}b",
            "\u{FEFF}a",
        ] {
            check(bad, false);
        }
    }

    #[test]
    fn names_have_a_longest() {
        check(&"a".repeat(ENTRY_SEGMENT_BYTES_MAX), true);
        check(&"a".repeat(ENTRY_SEGMENT_BYTES_MAX + 1), false);
        let long = format!("{}/", "a".repeat(127)).repeat(ENTRY_NAME_BYTES_MAX / 128);
        assert_eq!(long.len(), ENTRY_NAME_BYTES_MAX);
        check(&long, true);
        check(&format!("{long}a"), false);
    }

    #[test]
    fn comments_can_be_read_and_printed() {
        for fine in ["", "a comment\r\n\tof two lines", "ü"] {
            assert!(is_plain_comment(fine.as_bytes()), "{fine:?}");
        }
        for bad in [&b"\xff"[..], b"a\xe4", b"\x1b[2J", b"\0"] {
            assert!(!is_plain_comment(bad), "{bad:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_plainly_utf8_are_refused() {
        assert!(check_name(b"a\xe4", true).is_err());
        assert!(check_name(b"a\xe4", false).is_err());
        assert!(check_name("ä".as_bytes(), false).is_err());
        assert!(check_name("ä".as_bytes(), true).is_ok());
        assert!(check_name(b"a", false).is_ok());
    }
}
