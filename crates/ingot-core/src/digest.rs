//! Digests and the other checksums kept with a file.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::refusal::{Code, Refusal};

/// The sha256 of some bytes: the only identity content has. Prints as `sha256:<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Takes over a finished sha256.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// Hashes bytes that are already in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
    /// Parses 64 hex digits without a prefix.
    pub fn from_hex(text: &str) -> Result<Self, Refusal> {
        let mut out = [0; 32];
        let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !lower || hex::decode_to_slice(text, &mut out).is_err() {
            return Err(Refusal::new(
                Code::BadRequest,
                "a sha256 digest is written as 64 lower-case hex digits",
            ));
        }
        Ok(Self(out))
    }
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// 64 lower-case hex digits.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
    /// Base64 as in `Repr-Digest` (RFC 9530) and AWS `CodeSha256`.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for Digest {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text.strip_prefix("sha256:") {
            Some(hex) => Self::from_hex(hex),
            None => Err(Refusal::new(
                Code::BadRequest,
                "write the digest as sha256:<64 hex digits>; only sha256 addresses content",
            )),
        }
    }
}
impl TryFrom<String> for Digest {
    type Error = Refusal;
    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}
impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// A checksum algorithm that clients of some format ask for, beside sha256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashKind {
    /// MD5, 16 bytes.
    Md5,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl HashKind {
    /// All kinds.
    pub const ALL: [HashKind; 3] = [HashKind::Md5, HashKind::Sha1, HashKind::Sha512];
    /// The length of a hash of this kind, in bytes.
    pub fn size_bytes(self) -> usize {
        match self {
            HashKind::Md5 => 16,
            HashKind::Sha1 => 20,
            HashKind::Sha512 => 64,
        }
    }
    /// `md5`, `sha1` or `sha512`.
    pub fn as_str(self) -> &'static str {
        match self {
            HashKind::Md5 => "md5",
            HashKind::Sha1 => "sha1",
            HashKind::Sha512 => "sha512",
        }
    }
}

/// Which further hashes are wanted while a body is received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashSet {
    /// MD5 is wanted.
    pub md5: bool,
    /// SHA-1 is wanted.
    pub sha1: bool,
    /// SHA-512 is wanted.
    pub sha512: bool,
}

/// Further hashes of some bytes, lower-case hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// MD5, 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// SHA-1, 40 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    /// SHA-512, 128 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<String>,
}

impl Hashes {
    /// The hash of one kind, where known.
    pub fn find(&self, kind: HashKind) -> Option<&str> {
        match kind {
            HashKind::Md5 => self.md5.as_deref(),
            HashKind::Sha1 => self.sha1.as_deref(),
            HashKind::Sha512 => self.sha512.as_deref(),
        }
    }
}

/// Any digest that a person may hold in hand, for `lookup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyDigest {
    /// Content or release by sha256.
    Sha256(Digest),
    /// One of the others, lower-case hex.
    Other(HashKind, String),
}

impl AnyDigest {
    /// Reads every spelling in use: bare hex, `sha256:<hex>`, `sha-256=:<base64>:` (RFC 9530),
    /// npm's `sha512-<base64>` (SRI), and AWS's bare base64 `CodeSha256`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        let wrong = || {
            Refusal::new(
                Code::BadRequest,
                "not a digest: give hex (md5, sha1, sha256, sha512), sha256:<hex>, \
                 sha-256=:<base64>:, an npm integrity (sha512-<base64>) or an AWS CodeSha256",
            )
        };
        let structured = text.split_once("=:").and_then(|(name, rest)| {
            rest.strip_suffix(':').map(|value| (name.to_ascii_lowercase(), value))
        });
        if let Some((name, value)) = structured {
            let bytes = STANDARD.decode(value).map_err(|_| wrong())?;
            return Self::from_named(&name, &bytes).ok_or_else(wrong);
        }
        if let Some((name, value)) = text.split_once(':') {
            let bytes = hex::decode(value).map_err(|_| wrong())?;
            return Self::from_named(&name.to_ascii_lowercase(), &bytes).ok_or_else(wrong);
        }
        if let Some((name, value)) = text.split_once('-')
            && matches!(name, "sha1" | "sha256" | "sha512" | "md5")
        {
            let bytes = STANDARD.decode(value).map_err(|_| wrong())?;
            return Self::from_named(name, &bytes).ok_or_else(wrong);
        }
        if let Ok(bytes) = hex::decode(text)
            && let Some(found) = Self::from_length(&bytes)
        {
            return Ok(found);
        }
        match STANDARD.decode(text) {
            Ok(bytes) if bytes.len() == 32 => Self::from_length(&bytes).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }

    fn from_length(bytes: &[u8]) -> Option<Self> {
        if let Ok(sha256) = <[u8; 32]>::try_from(bytes) {
            return Some(Self::Sha256(Digest(sha256)));
        }
        let kind = HashKind::ALL.into_iter().find(|kind| kind.size_bytes() == bytes.len())?;
        Some(Self::Other(kind, hex::encode(bytes)))
    }

    fn from_named(name: &str, bytes: &[u8]) -> Option<Self> {
        let found = Self::from_length(bytes)?;
        let expected = match &found {
            Self::Sha256(_) => ["sha256", "sha-256"],
            Self::Other(HashKind::Md5, _) => ["md5", "md-5"],
            Self::Other(HashKind::Sha1, _) => ["sha1", "sha-1"],
            Self::Other(HashKind::Sha512, _) => ["sha512", "sha-512"],
        };
        expected.contains(&name).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_digest_is_the_same_digest() {
        let digest = Digest::of(b"ingot");
        let expected = AnyDigest::Sha256(digest);
        for text in [
            digest.hex(),
            digest.hex().to_uppercase(),
            digest.to_string(),
            format!("sha-256=:{}:", digest.base64()),
            format!("sha256-{}", digest.base64()),
            digest.base64(),
        ] {
            assert_eq!(AnyDigest::parse(&text).expect("parses"), expected, "{text}");
        }
    }

    #[test]
    fn a_digest_of_the_wrong_length_or_name_is_refused() {
        let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        assert_eq!(
            AnyDigest::parse(sha1).expect("sha1"),
            AnyDigest::Other(HashKind::Sha1, sha1.into())
        );
        for bad in ["", "sha256:", "sha256:abcd", &format!("sha256:{sha1}"), "sha256:zz", "latest"]
        {
            assert!(AnyDigest::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Digest::from_hex(&"A".repeat(64)).is_err(), "identity is lower-case");
    }
}
