//! What the demo publishes: small real programs, zipped on the spot.

use std::io::{Cursor, Write};

use sha1::{Digest, Sha1};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::failure::Failure;

/// Files of one package: name in the zip, and text.
pub(super) type Sources = [(&'static str, &'static str)];

/// A function that makes thumbnails.
pub(super) const THUMBNAILER: &Sources = &[
    ("handler.py", include_str!("../../demo/thumbnailer/handler.py")),
    ("settings.json", include_str!("../../demo/thumbnailer/settings.json")),
];
/// The same one with a mistake in it: small images become large.
pub(super) const THUMBNAILER_BROKEN: &Sources = &[
    ("handler.py", include_str!("../../demo/thumbnailer/handler_broken.py")),
    ("settings.json", include_str!("../../demo/thumbnailer/settings.json")),
];
/// A function that tells of them.
pub(super) const NOTIFIER: &Sources =
    &[("handler.py", include_str!("../../demo/notifier/handler.py"))];
/// A page that shows them.
pub(super) const GALLERY: &Sources = &[
    ("index.html", include_str!("../../demo/gallery/index.html")),
    ("gallery.js", include_str!("../../demo/gallery/gallery.js")),
];

/// A zip of the files; the same files make the same bytes.
pub(super) fn zip(sources: &Sources) -> Result<Vec<u8>, Failure> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let written = (|| {
        for (name, text) in sources {
            writer.start_file(*name, options)?;
            writer.write_all(text.as_bytes())?;
        }
        writer.finish()
    })();
    let failed = |error: zip::result::ZipError| Failure::local(format!("cannot zip: {error}"));
    Ok(written.map_err(failed)?.into_inner())
}

/// What stands for a Git commit of these packages: like one, it is a hash over all of them.
pub(super) fn commit(packages: &[&Sources]) -> String {
    let mut hash = Sha1::new();
    for (name, text) in packages.iter().copied().flatten() {
        hash.update(format!("{name} {}\0", text.len()));
        hash.update(text);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn zips_hold_their_sources_and_are_the_same_each_time() {
        let bytes = zip(GALLERY).unwrap();
        assert_eq!(bytes, zip(GALLERY).unwrap());
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(archive.len(), GALLERY.len());
        for (name, text) in GALLERY {
            let mut found = String::new();
            archive.by_name(name).unwrap().read_to_string(&mut found).unwrap();
            assert_eq!(found, *text);
        }
    }

    #[test]
    fn the_broken_one_is_another_commit() {
        assert_ne!(zip(THUMBNAILER).unwrap(), zip(THUMBNAILER_BROKEN).unwrap());
        let (good, bad) = (commit(&[THUMBNAILER]), commit(&[THUMBNAILER_BROKEN]));
        assert_ne!(good, bad);
        assert_eq!(good.len(), 40);
    }
}
