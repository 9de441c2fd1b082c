//! Archives that honest tools make, which must all pass.

use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::oracles::present;
use crate::{Random, check};

/// A tree with what real ones have: nested, empty, incompressible and larger than a buffer.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let mut random = Random(7);
    let noise: Vec<u8> = (0..200_000).map(|_| random.next() as u8).collect();
    vec![
        ("README.md".into(), b"# a release\n".to_vec()),
        ("bin/run.sh".into(), b"#!/bin/sh\nexec true\n".to_vec()),
        ("bin/noise.bin".into(), noise),
        ("empty".into(), Vec::new()),
        ("lib/deep/down/zeros".into(), vec![0; 300_000]),
        ("META-INF/MANIFEST.MF".into(), b"Manifest-Version: 1.0\r\n\r\n".to_vec()),
    ]
}

pub(crate) fn by_the_crate(options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_directory("bin/", options).expect("directory");
    for (name, content) in files() {
        writer.start_file(name, options).expect("file");
        writer.write_all(&content).expect("content");
    }
    writer.start_file("größe/ü.txt", options).expect("file");
    writer.finish().expect("finished").into_inner()
}

fn by_the_crate_streamed() -> Vec<u8> {
    let mut writer = ZipWriter::new_stream(Vec::new());
    for (name, content) in files() {
        writer.start_file(name, SimpleFileOptions::default()).expect("file");
        writer.write_all(&content).expect("content");
    }
    writer.finish().expect("finished").into_inner()
}

/// Every archive that the tools of this machine make, by what made it.
pub(crate) fn archives() -> Vec<(String, Vec<u8>)> {
    let plain = SimpleFileOptions::default().unix_permissions(0o755);
    let mut all = vec![
        ("the crate".to_owned(), by_the_crate(plain)),
        (
            "the crate, stored".to_owned(),
            by_the_crate(plain.compression_method(CompressionMethod::Stored)),
        ),
        ("the crate, large".to_owned(), by_the_crate(plain.large_file(true))),
        ("the crate, streamed".to_owned(), by_the_crate_streamed()),
        ("nothing at all".to_owned(), [&b"PK\x05\x06"[..], &[0; 18]].concat()),
    ];
    let dir = tempfile::tempdir().expect("directory");
    let tree = dir.path().join("tree");
    for (name, content) in files() {
        let path = tree.join(name);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("directories");
        std::fs::write(path, content).expect("write");
    }
    if present("python3", "--version") {
        all.extend(by_python(dir.path(), &tree));
    }
    if present("zip", "-v") {
        all.extend(by_info_zip(dir.path(), &tree));
    }
    if present("jar", "--version") {
        all.extend(by_jar(dir.path(), &tree));
    }
    all
}

const PYTHON: &str = r#"
import os, sys, zipfile
out, tree, mode = sys.argv[1:]
class Unseekable:
    def __init__(self, f): self.f = f
    def write(self, b): return self.f.write(b)
    def flush(self): self.f.flush()
with open(out, "wb") as f:
    target = Unseekable(f) if "stream" in mode else f
    method = zipfile.ZIP_STORED if "stored" in mode else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(target, "w", method) as z:
        for base, _, names in sorted(os.walk(tree)):
            z.write(base, os.path.relpath(base, tree)) if base != tree else None
            for name in sorted(names):
                path = os.path.join(base, name)
                info = zipfile.ZipInfo.from_file(path, os.path.relpath(path, tree))
                info.compress_type = method
                with open(path, "rb") as src, z.open(info, "w", force_zip64="zip64" in mode) as dst:
                    dst.write(src.read())
        z.writestr("größe.txt", "ü")
        if "comment" in mode: z.comment = b"made by hand"
"#;

fn by_python(dir: &Path, tree: &Path) -> Vec<(String, Vec<u8>)> {
    let modes = ["plain", "stored", "stream", "stream stored", "zip64", "stream zip64", "comment"];
    let make = |mode: &str| {
        let out = dir.join("python.zip");
        let mut command = Command::new("python3");
        command.args(["-c", PYTHON]).arg(&out).arg(tree).arg(mode);
        assert!(command.status().expect("starts").success(), "python {mode}");
        (format!("Python, {mode}"), std::fs::read(out).expect("read"))
    };
    modes.into_iter().map(make).collect()
}

fn by_info_zip(dir: &Path, tree: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for options in [&["-qr"][..], &["-qr0"], &["-qrD"], &["-qrX"], &["-qr", "-fz"]] {
        let out = dir.join(format!("info{}.zip", all.len()));
        let mut command = Command::new("zip");
        command.current_dir(tree).args(options).arg(&out).arg(".");
        assert!(command.status().expect("starts").success(), "zip {options:?}");
        all.push((format!("Info-ZIP {options:?}"), std::fs::read(out).expect("read")));
    }
    let mut streamed = Command::new("zip");
    streamed.current_dir(tree).args(["-qr", "-", "."]).stderr(Stdio::null());
    all.push(("Info-ZIP to a pipe".into(), streamed.output().expect("starts").stdout));
    all
}

fn by_jar(dir: &Path, tree: &Path) -> Vec<(String, Vec<u8>)> {
    let make = |options: &str| {
        let out = dir.join(format!("{options}.jar"));
        let mut command = Command::new("jar");
        command.arg(options).arg(&out).arg("-C").arg(tree).arg(".");
        assert!(command.status().expect("starts").success(), "jar {options}");
        (format!("jar {options}"), std::fs::read(out).expect("read"))
    };
    ["cfM", "cf0M", "cf"].into_iter().map(make).collect()
}

#[test]
fn what_honest_tools_make_is_accepted() {
    for (maker, bytes) in archives() {
        match check(&bytes) {
            Ok(facts) => println!("{maker}: {facts:?} in {} bytes", bytes.len()),
            Err(refusal) => panic!("{maker}: {refusal:?}"),
        }
    }
}
