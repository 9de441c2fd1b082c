//! Names, parsed once at the edge and valid ever after.
//!
//! The alphabets here are the widest any format needs; each format narrows them to its own rules.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::refusal::{Code, Refusal};

/// Longest project, channel or format name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest package name after the `format:` part, in bytes.
pub const PACKAGE_BYTES_MAX: usize = 512;
/// Longest version or alias, in bytes.
pub const VERSION_BYTES_MAX: usize = 128;
/// Longest file path inside a release, in bytes.
pub const FILE_BYTES_MAX: usize = 255;

/// Versions nobody may publish, since as a reference they would mean "whatever is newest".
pub const RESERVED_VERSIONS: [&str; 4] = ["latest", "current", "stable", "head"];

fn invalid(what: &'static str, rule: &str) -> Refusal {
    Refusal::new(Code::Invalid, format!("{what} is not valid: {rule}"))
}

/// Device names that a Windows client cannot store, with or without an extension.
pub fn is_windows_device(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or(segment).to_ascii_lowercase();
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul")
        || (stem.len() == 4
            && (stem.starts_with("com") || stem.starts_with("lpt"))
            && matches!(stem.as_bytes()[3], b'1'..=b'9'))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses the name, or says which rule it breaks.
            pub fn new(text: impl Into<String>) -> Result<Self, Refusal> {
                let text = text.into();
                let check: fn(&str) -> Result<(), &'static str> = $check;
                match check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(rule) => Err(invalid($what, rule)),
                }
            }
            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = Refusal;
            fn from_str(text: &str) -> Result<Self, Refusal> {
                Self::new(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = Refusal;
            fn try_from(text: String) -> Result<Self, Refusal> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

fn short_name(text: &str) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > NAME_BYTES_MAX {
        return Err("it must have 1 to 64 characters");
    }
    if !plain(bytes[0]) || !bytes.iter().all(|&b| plain(b) || b == b'-' || b == b'_') {
        return Err("use lower-case letters, digits, '-' and '_', starting with a letter or digit");
    }
    if is_windows_device(text) {
        return Err("it is a reserved device name on Windows");
    }
    Ok(())
}

fn version_like(text: &str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > VERSION_BYTES_MAX {
        return Err("it must have 1 to 128 characters");
    }
    if !bytes[0].is_ascii_alphanumeric()
        || !bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
    {
        return Err("use letters, digits, '.', '_', '+' and '-', starting with a letter or digit");
    }
    if text.ends_with('.') || text.contains("..") {
        return Err("it must not end in '.' or contain '..'");
    }
    if is_windows_device(text) {
        return Err("it is a reserved device name on Windows");
    }
    Ok(())
}

name!(
    /// The owner of names, channels and policy; one ledger and one set of blobs.
    ProjectName, "the project name", |text| {
        short_name(text)?;
        if text == "system" {
            return Err("'system' is the name of Ingot's own ledger");
        }
        Ok(())
    }
);
name!(
    /// A named environment of a project, such as `dev` or `prod`.
    ChannelName, "the channel name", short_name
);
name!(
    /// A package format, such as `raw`.
    FormatName, "the format name", |text| {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > 16 || !bytes.iter().all(u8::is_ascii_lowercase) {
            return Err("use 1 to 16 lower-case letters");
        }
        Ok(())
    }
);
name!(
    /// What one release of a package is called. Compared as written; formats order them.
    Version, "the version", version_like
);
name!(
    /// A further immutable name of a release: a build number, a tag.
    Alias, "the alias", version_like
);
name!(
    /// The name of one file in its release.
    FilePath, "the file name", |text| {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > FILE_BYTES_MAX {
            return Err("it must have 1 to 255 characters");
        }
        if !(bytes[0].is_ascii_alphanumeric() || bytes[0] == b'_')
            || !bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b"._+@=~-".contains(&b))
        {
            return Err("use letters, digits and . _ + @ = ~ -, starting with a letter or digit");
        }
        if text.ends_with('.') || text.contains("..") {
            return Err("it must not end in '.' or contain '..'");
        }
        if is_windows_device(text) {
            return Err("it is a reserved device name on Windows");
        }
        Ok(())
    }
);

/// A format and a name in it; prints as `raw:thumbnailer` or `npm:@acme/ui`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageName {
    format: FormatName,
    name: String,
}

impl PackageName {
    /// Joins a format and a name in it, keeping to the alphabet every format shares.
    pub fn new(format: FormatName, name: impl Into<String>) -> Result<Self, Refusal> {
        let name = name.into();
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"._+@/:~-".contains(&b);
        if name.is_empty() || name.len() > PACKAGE_BYTES_MAX || !name.bytes().all(fine) {
            return Err(invalid(
                "the package name",
                "use 1 to 512 letters, digits and . _ + @ / : ~ -",
            ));
        }
        Ok(Self { format, name })
    }
    /// The format, such as `npm`.
    pub fn format(&self) -> &FormatName {
        &self.format
    }
    /// The name inside the format, such as `@acme/ui` or `org.acme:app`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.format, self.name)
    }
}
impl FromStr for PackageName {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let Some((format, name)) = text.split_once(':') else {
            return Err(invalid(
                "the package name",
                "write it as format:name, for example raw:thumbnailer",
            ));
        };
        Self::new(FormatName::new(format)?, name)
    }
}
impl TryFrom<String> for PackageName {
    type Error = Refusal;
    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}
impl From<PackageName> for String {
    fn from(name: PackageName) -> String {
        name.to_string()
    }
}

/// A package and one of its versions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinate {
    /// The package.
    pub package: PackageName,
    /// The version.
    pub version: Version,
}

impl Coordinate {
    /// The package URL (<https://github.com/package-url/purl-spec>) of this coordinate.
    /// `raw` packages are purl type `generic`-like but keep their own type, as the contract says.
    pub fn purl(&self) -> String {
        let mut out = format!("pkg:{}/", self.package.format);
        for byte in self.package.name.bytes() {
            match byte {
                b'@' | b'+' | b'~' => out.push_str(&format!("%{byte:02X}")),
                b':' => out.push('/'),
                _ => out.push(byte as char),
            }
        }
        out.push('@');
        for byte in self.version.as_str().bytes() {
            match byte {
                b'+' => out.push_str("%2B"),
                _ => out.push(byte as char),
            }
        }
        out
    }
}

impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.package, self.version)
    }
}

/// The number of a commit in a project's ledger; the first is 1, 0 is "before anything".
pub type Seq = u64;

/// What is looked at: a whole project, or one channel of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ViewName {
    /// The project.
    pub project: ProjectName,
    /// The channel; none means the full view.
    pub channel: Option<ChannelName>,
}

impl FromStr for ViewName {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text.split_once('@') {
            None => Ok(Self { project: text.parse()?, channel: None }),
            Some((project, channel)) => {
                Ok(Self { project: project.parse()?, channel: Some(channel.parse()?) })
            }
        }
    }
}
impl fmt::Display for ViewName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.channel {
            None => write!(f, "{}", self.project),
            Some(channel) => write!(f, "{}@{channel}", self.project),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_check(text: &str, fine: bool) {
        assert_eq!(Version::new(text).is_ok(), fine, "{text:?}");
    }

    #[test]
    fn versions_keep_to_their_alphabet_and_length() {
        version_check("1.4.2", true);
        version_check("1.0+build_7-rc", true);
        version_check(&"a".repeat(VERSION_BYTES_MAX), true);
        version_check(&"a".repeat(VERSION_BYTES_MAX + 1), false);
        for bad in ["", ".1", "-1", "1..2", "1.", "a/b", "a b", "é", "nul", "con.1"] {
            version_check(bad, false);
        }
    }

    #[test]
    fn purls_escape_what_the_spec_asks_for() {
        let check = |package: &str, version: &str, expected: &str| {
            let coordinate = Coordinate {
                package: package.parse().expect("package"),
                version: version.parse().expect("version"),
            };
            assert_eq!(coordinate.purl(), expected);
        };
        check("maven:org.acme:app", "1.4.2", "pkg:maven/org.acme/app@1.4.2");
        check("npm:@acme/ui", "1.0.0", "pkg:npm/%40acme/ui@1.0.0");
        check("raw:thumb", "1+7", "pkg:raw/thumb@1%2B7");
    }

    #[test]
    fn projects_cannot_take_the_name_of_the_system_ledger() {
        assert!(ProjectName::new("system").is_err());
        assert!(ProjectName::new("main").is_ok());
        assert!(ProjectName::new("a".repeat(NAME_BYTES_MAX)).is_ok());
        assert!(ProjectName::new("a".repeat(NAME_BYTES_MAX + 1)).is_err());
    }
}
