//! What uploads contain: one file, as it came, checked when it claims to be a zip.

use std::io::{Cursor, Read, Write};

use ingot_core::event::FileFact;
use ingot_core::format::{
    Action, Call, DraftView, FileSink, Format, Method, NewFile, Publication, Submission,
};
use ingot_core::records::DraftRecord;
use ingot_core::{Code, Coordinate, Digest, Hashes, Refusal};
use ingot_format_raw::RawFormat;
use ingot_zip::ZipLimits;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::ask;

#[derive(Default)]
struct Sink(Vec<NewFile>);

impl FileSink for Sink {
    fn adopt(&mut self, file: NewFile) -> Result<FileFact, Refusal> {
        self.0.push(file.clone());
        Ok(FileFact {
            path: file.path,
            size: 0,
            digest: Digest::of(b""),
            hashes: Hashes::default(),
            media_type: file.media_type,
            incarnation: 0,
            piece: file.piece,
        })
    }
    fn create(&mut self, _: NewFile, _: &mut dyn Read) -> Result<FileFact, Refusal> {
        panic!("nothing is decoded out of a body here")
    }
}

fn submission(path: &str) -> Submission {
    match ask(Method::Put, "main", path) {
        Ok(Call::Submit(submission)) => submission,
        other => panic!("{path}: {other:?}"),
    }
}

fn unpack(path: &str, body: &[u8]) -> Result<(Action, Vec<NewFile>), Refusal> {
    let mut sink = Sink::default();
    let mut body = Cursor::new(body);
    let action = RawFormat::default().unpack(&submission(path), &mut body, &mut sink)?;
    Ok((action, sink.0))
}

fn a_zip() -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("a.txt", SimpleFileOptions::default()).expect("file");
    writer.write_all(b"content").expect("content");
    writer.finish().expect("finished").into_inner()
}

#[test]
fn the_body_is_the_file() {
    for (path, body, media_type) in [
        ("thumb/1.4.2/t.zip", a_zip(), "application/zip"),
        ("thumb/1.4.2/t.ZIP?draft=true", a_zip(), "application/zip"),
        ("thumb/1.4.2/notes.html", b"<script>".to_vec(), "application/octet-stream"),
        ("thumb/1.4.2/not-a.zip.txt", b"no zip".to_vec(), "text/plain; charset=utf-8"),
        ("thumb/1.4.2/empty", Vec::new(), "application/octet-stream"),
    ] {
        let (action, files) = unpack(path, &body).expect(path);
        let asked = submission(path);
        let at = Coordinate {
            package: asked.package.expect("package"),
            version: asked.version.expect("version"),
        };
        let origin = ingot_core::Origin::default();
        assert_eq!(action, Action::Stage { at, intent: asked.intent, origin, labels: Vec::new() });
        let file = NewFile {
            path: asked.path.expect("path"),
            media_type: media_type.to_owned(),
            piece: None,
        };
        assert_eq!(files, [file]);
    }
}

#[test]
fn what_claims_to_be_a_zip_must_be_one_and_is_else_not_adopted() {
    for path in ["thumb/1/t.zip", "thumb/1/T.Zip"] {
        let mut sink = Sink::default();
        let mut body = Cursor::new(b"no zip");
        let refused = RawFormat::default().unpack(&submission(path), &mut body, &mut sink);
        assert_eq!(refused.expect_err(path).code(), Code::Invalid);
        assert!(sink.0.is_empty());
    }
    let strict = RawFormat::new(ZipLimits { entries_max: 0, ..ZipLimits::default() });
    let refused = strict.unpack(
        &submission("thumb/1/t.zip"),
        &mut Cursor::new(a_zip()),
        &mut Sink::default(),
    );
    assert_eq!(refused.expect_err("limits").members()["rule"], "zip_bomb");
}

#[test]
fn every_draft_is_whole() {
    let at = Coordinate {
        package: "raw:thumb".parse().expect("name"),
        version: "1".parse().expect("version"),
    };
    let draft = DraftView { at: &at, draft: &DraftRecord::default(), published: None };
    assert_eq!(RawFormat::default().judge(&draft).expect("whole"), Publication::default());
}
