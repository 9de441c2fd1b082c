//! What packages, versions and files may be called here.

use ingot_core::names::{FILE_BYTES_MAX, RESERVED_VERSIONS, is_windows_device};
use ingot_core::{Code, Digest, FilePath, FormatName, PackageName, Refusal, Version};

use crate::NAME;

/// Longest package name in bytes.
pub const PACKAGE_BYTES_MAX: usize = 128;

/// An upload's URL as it should be, for refusals.
pub(crate) const EXAMPLE: &str = "PUT /raw/main/thumbnailer/1.4.2/thumbnailer.zip";

/// Parses a package name: `[a-z0-9][a-z0-9._-]{0,127}`.
pub(crate) fn package(text: &str) -> Result<PackageName, Refusal> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let rest = |b: u8| plain(b) || b"._-".contains(&b);
    let bytes = text.as_bytes();
    let fine = (1..=PACKAGE_BYTES_MAX).contains(&bytes.len())
        && plain(bytes[0])
        && bytes.iter().all(|&b| rest(b));
    if !fine {
        return Err(invalid(
            "the package name",
            "use 1 to 128 lower-case letters, digits, '.', '_' and '-', starting with a letter or \
             digit, for example thumbnailer",
        ));
    }
    if text.ends_with('.') || text.contains("..") || is_windows_device(text) {
        return Err(invalid(
            "the package name",
            "it must not end in '.', contain '..' or be a device name on Windows such as nul",
        ));
    }
    PackageName::new(FormatName::new(NAME)?, text)
}

/// Parses a version: `[A-Za-z0-9][A-Za-z0-9._+-]{0,127}`, which is the core's own rule.
pub(crate) fn version(text: &str) -> Result<Version, Refusal> {
    Version::new(text).map_err(|refusal| with_example(&refusal, "1.4.2"))
}

/// Parses a file name: `[A-Za-z0-9][A-Za-z0-9._+@=-]{0,254}`, narrower than the core's.
pub(crate) fn file(text: &str) -> Result<FilePath, Refusal> {
    let first = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if !first || text.contains('~') || text.len() > FILE_BYTES_MAX {
        return Err(invalid(
            "the file name",
            "use 1 to 255 letters, digits and . _ + @ = -, starting with a letter or digit, for \
             example thumbnailer.zip",
        ));
    }
    FilePath::new(text).map_err(|refusal| with_example(&refusal, "thumbnailer.zip"))
}

/// Refuses to publish versions that, read back, would mean whatever is newest.
pub(crate) fn refuse_reserved(version: &Version) -> Result<(), Refusal> {
    let text = version.as_str();
    if RESERVED_VERSIONS.iter().any(|reserved| text.eq_ignore_ascii_case(reserved)) {
        return Err(Refusal::new(
            Code::Reserved,
            format!(
                "'{text}' cannot be published: a version names one content for ever. Publish \
                 under a version such as 1.4.2, and promote it to a channel to make it current"
            ),
        ));
    }
    Ok(())
}

/// Whether this can name a release: a version, an alias, a commit, or `sha256:<hex>`.
pub(crate) fn check_reference(text: &str) -> Result<(), Refusal> {
    if text.starts_with("sha256:") {
        return text.parse::<Digest>().map(drop);
    }
    Version::new(text).map(drop)
}

fn invalid(what: &str, rule: &str) -> Refusal {
    Refusal::new(Code::Invalid, format!("{what} is not valid: {rule} ({EXAMPLE})"))
}

fn with_example(refusal: &Refusal, example: &str) -> Refusal {
    let words = format!("{}, for example {example} ({EXAMPLE})", refusal.detail());
    Refusal::new(refusal.code(), words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_keep_to_their_alphabet_and_length() {
        let longest = "a".repeat(PACKAGE_BYTES_MAX);
        for fine in ["a", "0", "thumb.nail_er-2", "a.", "x"] {
            assert_eq!(package(fine).is_ok(), fine != "a.", "{fine}");
        }
        assert!(package(&longest).is_ok());
        assert!(package(&format!("{longest}a")).is_err());
        for bad in ["", "A", "-", "-a", "_a", ".a", "a/b", "a b", "a@b", "a..b", "nul", "é"] {
            let refusal = package(bad).expect_err(bad);
            assert_eq!(refusal.code(), Code::Invalid, "{bad}");
            assert!(refusal.detail().contains(EXAMPLE));
        }
    }

    #[test]
    fn files_keep_to_their_alphabet_and_length() {
        let longest = "a".repeat(FILE_BYTES_MAX);
        for fine in ["a", "A.zip", "a@1=2+3_4-5.tar.gz", longest.as_str()] {
            assert!(file(fine).is_ok(), "{fine}");
        }
        let over = format!("{longest}a");
        for bad in ["", "_a", ".a", "-a", "a~b", "a/b", "a:b", "a..b", "a.", "con.zip", &over] {
            assert_eq!(file(bad).expect_err(bad).code(), Code::Invalid, "{bad}");
        }
    }

    #[test]
    fn versions_keep_to_their_alphabet_and_length() {
        let longest = "1".repeat(128);
        for fine in ["1", "1.4.2+7_rc-1", longest.as_str()] {
            assert!(version(fine).is_ok(), "{fine}");
        }
        let over = format!("{longest}1");
        for bad in ["", "-1", "1@2", "1~2", "sha256:0", &over] {
            assert_eq!(version(bad).expect_err(bad).code(), Code::Invalid, "{bad}");
        }
    }

    #[test]
    fn reserved_versions_are_refused_in_any_case() {
        for text in ["latest", "LATEST", "Current", "stable", "hEAD"] {
            let refusal = refuse_reserved(&version(text).expect(text)).expect_err(text);
            assert_eq!(refusal.code(), Code::Reserved);
        }
        for text in ["latest-1", "head.1", "1.0-stable"] {
            assert!(refuse_reserved(&version(text).expect(text)).is_ok(), "{text}");
        }
    }
}
