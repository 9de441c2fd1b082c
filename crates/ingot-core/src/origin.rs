//! Where a release came from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::refusal::{Code, Refusal};

/// Longest source or build URL, in bytes.
pub const URL_BYTES_MAX: usize = 2048;

/// A Git commit: 7 to 64 lower-case hex digits; 40 (SHA-1) or 64 (SHA-256) are a full one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitSha(String);

impl CommitSha {
    /// Fewest hex digits that count as a commit.
    pub const DIGITS_MIN: usize = 7;
    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// True when this is an abbreviation, which Git may one day find ambiguous.
    pub fn is_short(&self) -> bool {
        self.0.len() != 40 && self.0.len() != 64
    }
    /// True when both can name the same commit.
    pub fn agrees_with(&self, other: &CommitSha) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }
}
impl FromStr for CommitSha {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let fine = (Self::DIGITS_MIN..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !fine {
            return Err(Refusal::new(
                Code::Invalid,
                "a commit is 7 to 64 hex digits; best the full one that `git rev-parse HEAD` prints",
            ));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}
impl TryFrom<String> for CommitSha {
    type Error = Refusal;
    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}
impl From<CommitSha> for String {
    fn from(commit: CommitSha) -> String {
        commit.0
    }
}
impl fmt::Display for CommitSha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The facts about where a release came from. The first file published fixes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The Git commit it was built from.
    pub commit: Option<CommitSha>,
    /// The source repository's URL.
    pub source: Option<String>,
    /// The URL of the build that made it.
    pub build: Option<String>,
}

impl Origin {
    /// Checks a source or build URL: http(s), ssh or git, printable, of bounded length.
    pub fn check_url(what: &str, text: &str) -> Result<String, Refusal> {
        let scheme = ["https://", "http://", "ssh://", "git://", "git@"];
        let fine = text.len() <= URL_BYTES_MAX
            && text.bytes().all(|b| b.is_ascii_graphic())
            && scheme.iter().any(|scheme| text.starts_with(scheme));
        if !fine {
            return Err(Refusal::new(
                Code::Invalid,
                format!("{what} must be an https, http, ssh or git URL of at most 2048 characters"),
            ));
        }
        Ok(text.to_owned())
    }

    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What `later` says against this origin: the member's name and both values.
    /// A member that `later` leaves out contradicts nothing, and a commit contradicts neither
    /// its abbreviation nor its full form.
    pub fn contradiction(&self, later: &Origin) -> Option<(&'static str, String, String)> {
        let shown = |value: Option<&str>| value.unwrap_or("none").to_owned();
        if let Some(theirs) = &later.commit {
            let agrees = self.commit.as_ref().is_some_and(|ours| ours.agrees_with(theirs));
            if !agrees {
                let ours = shown(self.commit.as_ref().map(CommitSha::as_str));
                return Some(("commit", ours, theirs.to_string()));
            }
        }
        for (name, ours, theirs) in
            [("source", &self.source, &later.source), ("build", &self.build, &later.build)]
        {
            if theirs.is_some() && theirs != ours {
                return Some((name, shown(ours.as_deref()), shown(theirs.as_deref())));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_seven_to_sixty_four_hex_digits() {
        for (text, fine) in
            [("abcdef", false), ("abcdef0", true), ("ABCDEF0", true), ("abcdefg", false)]
        {
            assert_eq!(text.parse::<CommitSha>().is_ok(), fine, "{text}");
        }
        assert!("a".repeat(64).parse::<CommitSha>().is_ok());
        assert!("a".repeat(65).parse::<CommitSha>().is_err());
    }

    #[test]
    fn only_another_statement_contradicts() {
        let origin = |commit: &str| Origin {
            commit: (!commit.is_empty()).then(|| commit.parse().expect("commit")),
            ..Origin::default()
        };
        let full = origin(&"a".repeat(40));
        assert!(full.contradiction(&origin("")).is_none());
        assert!(full.contradiction(&origin("aaaaaaa")).is_none());
        assert!(full.contradiction(&origin("bbbbbbb")).is_some());
        assert!(origin("").contradiction(&full).is_some(), "none was fixed as none");
    }
}
