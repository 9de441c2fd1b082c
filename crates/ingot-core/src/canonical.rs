//! The release digest: what a sealed release *is*, in 32 bytes.

use serde_json::{Value, json};

use crate::digest::Digest;
use crate::event::FileFact;
use crate::origin::Origin;

/// The canonical listing of a release: `{"files":[{"digest","path","size"}…],"origin":{…}}` with
/// files in order of path, members that are unknown left out, written as RFC 8785 asks.
///
/// All names are ASCII and all numbers whole and below 2^53, for which `serde_json`'s compact
/// form with sorted members *is* the canonical form (a test pins the bytes).
pub fn listing<'a>(files: impl IntoIterator<Item = &'a FileFact>, origin: &Origin) -> String {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let files: Vec<Value> = files
        .iter()
        .map(|file| json!({"path": file.path, "size": file.size, "digest": file.digest}))
        .collect();
    let mut about = serde_json::Map::new();
    let commit = origin.commit.as_ref().map(|commit| commit.as_str().to_owned());
    for (name, value) in
        [("commit", commit), ("source", origin.source.clone()), ("build", origin.build.clone())]
    {
        if let Some(value) = value {
            about.insert(name.to_owned(), Value::String(value));
        }
    }
    json!({"files": files, "origin": about}).to_string()
}

/// The sha256 of [`listing`].
pub fn release_digest<'a>(
    files: impl IntoIterator<Item = &'a FileFact>,
    origin: &Origin,
) -> Digest {
    Digest::of(listing(files, origin).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_bytes_never_change() {
        let file = |path: &str, content: &[u8]| FileFact {
            path: path.parse().expect("path"),
            size: content.len() as u64,
            digest: Digest::of(content),
            hashes: Default::default(),
            media_type: "application/zip".into(),
            incarnation: 0,
            piece: None,
        };
        let origin = Origin {
            commit: Some("0123456789abcdef0123456789abcdef01234567".parse().expect("commit")),
            source: None,
            build: Some("https://ci.example/7".into()),
        };
        let files = [file("b.zip", b"b"), file("a.zip", b"a")];
        assert_eq!(
            listing(&files, &origin),
            concat!(
                r#"{"files":[{"digest":"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb","path":"a.zip","size":1},"#,
                r#"{"digest":"sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d","path":"b.zip","size":1}],"#,
                r#""origin":{"build":"https://ci.example/7","commit":"0123456789abcdef0123456789abcdef01234567"}}"#
            )
        );
    }
}
