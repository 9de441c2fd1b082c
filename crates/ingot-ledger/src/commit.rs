//! One commit: its bytes, its hash, and the head that stands for it.

use bytes::Bytes;
use ingot_core::{Digest, Seq, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Error, Result};

/// The format that this version writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;
/// The largest encoded commit, in bytes.
pub const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest writer id, in bytes.
pub const WRITER_BYTES_MAX: usize = 64;

/// An ordered batch of entries plus the hash of the commit before.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The number; the first is 1.
    pub seq: Seq,
    /// The hash of commit `seq - 1`; of the first: the hash of [`Head::start`].
    pub prev: Digest,
    /// When it was decided, to the millisecond; never before the commit before.
    pub at: Timestamp,
    /// A random id of the process that wrote it: two processes never write the same bytes.
    pub writer: String,
    /// What was decided, opaque here: one JSON text each, without white space between tokens.
    pub entries: Vec<Box<RawValue>>,
}

/// The written form. Members are in order of name, as RFC 8785 asks.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    at: Timestamp,
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
    prev: Digest,
    seq: Seq,
    v: u32,
    writer: std::borrow::Cow<'a, str>,
}

/// Enough of any version's form to tell which version it is.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

impl Commit {
    /// The exact bytes that are stored and hashed: one line of JSON, without a newline.
    pub fn encode(&self) -> Bytes {
        let written = Written {
            at: self.at,
            entries: self.entries.iter().map(|entry| &**entry).collect(),
            prev: self.prev,
            seq: self.seq,
            v: FORMAT_VERSION,
            writer: self.writer.as_str().into(),
        };
        Bytes::from(serde_json::to_vec(&written).expect("plain data with string keys serialises"))
    }

    /// Reads what [`encode`](Self::encode) wrote. `key` names the object in errors.
    ///
    /// Errors: `NewerFormat`; `Damaged` for anything else that `encode` would not have written,
    /// down to the byte.
    pub fn decode(key: &str, bytes: &[u8]) -> Result<Self> {
        check_version(key, bytes)?;
        let written: Written<'_> = serde_json::from_slice(bytes)
            .map_err(|error| Error::damaged(key, format!("not a commit: {error}")))?;
        let commit = Self {
            seq: written.seq,
            prev: written.prev,
            at: written.at,
            writer: written.writer.into_owned(),
            entries: written.entries.into_iter().map(ToOwned::to_owned).collect(),
        };
        if commit.encode() != bytes {
            return Err(Error::damaged(key, "not written in the canonical form"));
        }
        Ok(commit)
    }

    /// The sha256 of [`encode`](Self::encode): what the next commit names as `prev`.
    pub fn hash(&self) -> Digest {
        Digest::of(&self.encode())
    }

    /// The head that a ledger ending with this commit has.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash(), at: self.at }
    }

    /// Says why this commit does not follow `head`, if it does not.
    pub(crate) fn misfit(&self, head: &Head) -> Option<String> {
        if self.seq != head.seq + 1 {
            return Some(format!("it carries the number {}", self.seq));
        }
        if self.prev != head.hash {
            return Some(format!("it follows {}, but {} is {}", self.prev, head.seq, head.hash));
        }
        if self.at < head.at {
            return Some(format!("it was made at {}, before {}", self.at, head.at));
        }
        None
    }
}

/// Reads only the version of an object and refuses what is newer than this program.
pub(crate) fn check_version(key: &str, bytes: &[u8]) -> Result<()> {
    let versioned: Versioned = serde_json::from_slice(bytes)
        .map_err(|error| Error::damaged(key, format!("not readable: {error}")))?;
    match versioned.v {
        FORMAT_VERSION => Ok(()),
        0 => Err(Error::damaged(key, "there is no format 0")),
        found => Err(Error::NewerFormat { key: key.to_owned(), found, supported: FORMAT_VERSION }),
    }
}

/// How far a ledger goes: the last commit known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last commit; 0 before any.
    pub seq: Seq,
    /// Its hash.
    pub hash: Digest,
    /// Its time.
    pub at: Timestamp,
}

impl Head {
    /// The head of a ledger without commits. The name goes into the hash, so that the history of
    /// one ledger cannot stand in for that of another.
    pub fn start(ledger: &str) -> Self {
        Self {
            seq: 0,
            hash: Digest::of(format!("ingot ledger {ledger}").as_bytes()),
            at: Timestamp::UNIX_EPOCH,
        }
    }
}

/// Removes white space between tokens, so that a commit is one line whatever its entries were
/// printed by.
pub(crate) fn squeeze(entry: Box<RawValue>) -> Result<Box<RawValue>> {
    // Inside of strings JSON allows no raw control characters, so a newline is always between
    // tokens; most entries come from a compact printer and pass through untouched.
    if !entry.get().bytes().any(|byte| byte.is_ascii_whitespace()) {
        return Ok(entry);
    }
    let (mut out, mut in_string, mut escaped) = (String::new(), false, false);
    for character in entry.get().chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        out.push(character);
    }
    RawValue::from_string(out).map_err(|error| Error::not_accepted("an entry", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Commit {
        let entry = |text: &str| RawValue::from_string(text.to_owned()).expect("json");
        Commit {
            seq: 1,
            prev: Head::start("main").hash,
            at: "2026-11-23T10:00:00.5Z".parse().expect("time"),
            writer: "w1".into(),
            entries: vec![entry(r#"{"b":1,"a":"x y"}"#), entry("1.0")],
        }
    }

    #[test]
    fn the_written_form_is_pinned() {
        let commit = sample();
        let expected = format!(
            r#"{{"at":"2026-11-23T10:00:00.5Z","entries":[{{"b":1,"a":"x y"}},1.0],"prev":"{}","seq":1,"v":1,"writer":"w1"}}"#,
            Digest::of(b"ingot ledger main")
        );
        assert_eq!(commit.encode(), expected.as_bytes());
        let back = Commit::decode("k", &commit.encode()).expect("decodes");
        assert_eq!(back.encode(), commit.encode());
        assert_eq!(back.hash(), Digest::of(expected.as_bytes()));
    }

    #[test]
    fn other_writings_of_the_same_commit_are_refused() {
        let text = String::from_utf8(sample().encode().to_vec()).expect("utf-8");
        for bad in [
            text.replace(r#""v":1"#, r#""v": 1"#),
            text.replace(r#""v":1"#, r#""v":0"#),
            text.replace(r#""v":1"#, r#""v":1,"x":2"#),
            text.replace("00.5Z", "00.500Z"),
            text.replace("sha256:", "sha512:"),
            format!("{text}\n"),
            text[..text.len() - 1].to_owned(),
            String::new(),
        ] {
            let error = Commit::decode("k", bad.as_bytes()).expect_err(&bad);
            assert!(matches!(error, Error::Damaged { .. }), "{error}");
        }
        let newer = text.replace(r#""v":1"#, r#""future":true,"v":2"#);
        let error = Commit::decode("k", newer.as_bytes()).expect_err("newer");
        assert!(matches!(error, Error::NewerFormat { found: 2, supported: 1, .. }), "{error}");
    }

    #[test]
    fn white_space_goes_from_between_tokens_and_stays_in_strings() {
        let check = |input: &str, expected: &str| {
            let entry = RawValue::from_string(input.to_owned()).expect("json");
            assert_eq!(squeeze(entry).expect("squeezes").get(), expected);
        };
        check("{ \"a b\" :\n [1,\t2 ] }", r#"{"a b":[1,2]}"#);
        check(r#"{"q": "say \"a b\" \\", "n": 1.50}"#, r#"{"q":"say \"a b\" \\","n":1.50}"#);
        check(r#"{"as":"is"}"#, r#"{"as":"is"}"#);
    }

    #[test]
    fn the_first_commit_of_one_ledger_does_not_fit_another() {
        assert_eq!(sample().misfit(&Head::start("main")), None);
        assert!(sample().misfit(&Head::start("other")).is_some());
    }
}
