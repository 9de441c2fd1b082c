//! The rules by name, and the refusals that name them.

use ingot_core::{Code, Refusal};

/// Longest part of a name that is shown in a refusal, in characters after escaping.
const SHOWN_CHARS_MAX: usize = 120;

/// Which rule an archive breaks; the member `rule` of the refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// There is no end record, or something reaches past the end of the file.
    Truncated,
    /// There is more than one way to read the end of the archive.
    End,
    /// The 64-bit fields contradict the others, are missing or are not needed.
    Zip64,
    /// A name means different places to different readers, or none.
    EntryName,
    /// A comment that not every reader can decode, or that harms whoever prints it.
    Comment,
    /// Two entries have the same name, or names that some file systems cannot tell apart.
    Duplicate,
    /// An entry is neither a plain file nor a plain directory.
    EntryType,
    /// What stands before or after an entry contradicts the directory.
    Mismatch,
    /// Two parts of the archive share bytes.
    Overlap,
    /// Some bytes belong to no part of the archive.
    Gap,
    /// The archive is, or inflates to, more than the limits allow.
    Bomb,
    /// Encryption, a compression method or a feature that not every reader has.
    Unsupported,
    /// Extra fields that cannot be read, or are there twice.
    Extra,
    /// The content is not what its checksum or sizes say.
    Damaged,
    /// Another reader finds something else.
    SecondOpinion,
}

impl Rule {
    /// The stable name of the rule.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Truncated => "zip_truncated",
            Rule::End => "zip_end",
            Rule::Zip64 => "zip_zip64",
            Rule::EntryName => "zip_entry_name",
            Rule::Comment => "zip_comment",
            Rule::Duplicate => "zip_duplicate",
            Rule::EntryType => "zip_entry_type",
            Rule::Mismatch => "zip_mismatch",
            Rule::Overlap => "zip_overlap",
            Rule::Gap => "zip_gap",
            Rule::Bomb => "zip_bomb",
            Rule::Unsupported => "zip_unsupported",
            Rule::Extra => "zip_extra",
            Rule::Damaged => "zip_damaged",
            Rule::SecondOpinion => "zip_second_opinion",
        }
    }
}

/// A refusal of the archive as a whole.
pub(crate) fn archive(rule: Rule, words: impl AsRef<str>) -> Refusal {
    Refusal::new(Code::Invalid, format!("the zip is not accepted: {}", words.as_ref()))
        .with("rule", rule.as_str())
}

/// A refusal of one entry.
pub(crate) fn entry(rule: Rule, name: &[u8], words: impl AsRef<str>) -> Refusal {
    let shown = shown(name);
    let words = format!("the zip is not accepted: entry \"{shown}\": {}", words.as_ref());
    Refusal::new(Code::Invalid, words).with("rule", rule.as_str()).with("entry", shown)
}

/// A name as it may be shown in a log or on a terminal: printable ASCII, of bounded length.
pub(crate) fn shown(name: &[u8]) -> String {
    let mut out = String::new();
    for &byte in name {
        let escaped = std::ascii::escape_default(byte);
        if out.len() + escaped.len() > SHOWN_CHARS_MAX {
            out.push_str("...");
            break;
        }
        out.extend(escaped.map(char::from));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_names_are_printable_and_short() {
        assert_eq!(shown(b"a\n\x1b[2J\0\xff"), "a\\n\\x1b[2J\\x00\\xff");
        assert_eq!(shown(&[b'a'; SHOWN_CHARS_MAX]).len(), SHOWN_CHARS_MAX);
        assert_eq!(shown(&[b'a'; SHOWN_CHARS_MAX + 1]), "a".repeat(SHOWN_CHARS_MAX) + "...");
        assert!(shown(&[0; 4096]).len() <= SHOWN_CHARS_MAX + 3);
    }
}
