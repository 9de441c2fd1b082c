//! What files are served as: from a table, never from what the client said, and never a type that
//! a browser runs.

use ingot_core::FilePath;

/// For every file that is not in the table.
pub(crate) const OPAQUE: &str = "application/octet-stream";

const TEXT: &str = "text/plain; charset=utf-8";

/// By extension, in lower case. HTML, SVG, XML and scripts are left out on purpose.
const TYPES: [(&str, &str); 26] = [
    ("7z", "application/x-7z-compressed"),
    ("asc", TEXT),
    ("bz2", "application/x-bzip2"),
    ("csv", "text/csv; charset=utf-8"),
    ("ear", "application/java-archive"),
    ("gz", "application/gzip"),
    ("jar", "application/java-archive"),
    ("json", "application/json"),
    ("log", TEXT),
    ("md", TEXT),
    ("md5", TEXT),
    ("properties", TEXT),
    ("sha1", TEXT),
    ("sha256", TEXT),
    ("sha512", TEXT),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("toml", TEXT),
    ("txt", TEXT),
    ("war", "application/java-archive"),
    ("wasm", "application/wasm"),
    ("xz", "application/x-xz"),
    ("yaml", TEXT),
    ("yml", TEXT),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

fn extension(path: &FilePath) -> Option<String> {
    let (_, extension) = path.as_str().rsplit_once('.')?;
    Some(extension.to_ascii_lowercase())
}

/// The media type of a file.
pub(crate) fn media_type(path: &FilePath) -> &'static str {
    let Some(extension) = extension(path) else { return OPAQUE };
    TYPES.iter().find(|(known, _)| *known == extension).map_or(OPAQUE, |(_, found)| found)
}

/// Whether a file claims to be a zip, and so must be a sound one.
pub(crate) fn is_zip(path: &FilePath) -> bool {
    extension(path).as_deref() == Some("zip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_from_the_table_whatever_the_case() {
        for (path, expected) in [
            ("a.zip", "application/zip"),
            ("a.ZIP", "application/zip"),
            ("a.jar", "application/java-archive"),
            ("a.tar.gz", "application/gzip"),
            ("a.tgz", "application/gzip"),
            ("a.json", "application/json"),
            ("a.txt", TEXT),
            ("a.zip.txt", TEXT),
            ("a.wasm", "application/wasm"),
            ("a", OPAQUE),
            ("zip", OPAQUE),
        ] {
            assert_eq!(media_type(&path.parse().expect("path")), expected, "{path}");
        }
    }

    #[test]
    fn nothing_is_served_as_a_type_that_browsers_run() {
        for extension in ["html", "HTM", "xhtml", "svg", "xml", "xsl", "js", "mjs", "css", "pdf"] {
            let path = format!("a.{extension}").parse().expect("path");
            assert_eq!(media_type(&path), OPAQUE, "{extension}");
        }
        for (_, found) in TYPES {
            let active = ["html", "xml", "svg", "script", "css"];
            assert!(!active.iter().any(|word| found.contains(word)), "{found}");
        }
    }
}
