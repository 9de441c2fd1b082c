//! What an engine takes to load, keep and reopen many releases. By hand, a process per line:
//!
//! `cargo run --release -p ingot-index --example load -- keys|fold fjall|sled COUNT DIR`
//!
//! `keys` writes a record of 600 bytes and five short keys per release straight to the engine;
//! `fold` publishes the releases through the index, as a rebuild from the ledger does.

#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use ingot_core::event::FileFact;
use ingot_core::facts::Facts;
use ingot_core::names::Coordinate;
use ingot_core::{Digest, Entry, Event, Hashes, Origin, Timestamp};
use ingot_index::engine::{Batch, Engine, fjall::Fjall, sled::Sled};
use ingot_index::{EngineKind, Index, Tag};

const BATCH_RELEASES: u64 = 1000;
const READS: u64 = 200_000;
const PACKAGES: u64 = 100;
const SPACE: &str = "main";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn coordinate(n: u64) -> Outcome<Coordinate> {
    let package = format!("raw:package-{:03}", n % PACKAGES).parse()?;
    Ok(Coordinate { package, version: format!("1.{n}.0").parse()? })
}

/// Some release, all of them equally likely.
fn scattered(n: u64, count: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % count
}

fn digest(n: u64) -> Digest {
    Digest::of(&n.to_be_bytes())
}

fn record_key(n: u64) -> Vec<u8> {
    format!("Rraw:package-{:03}\0{n:08}", n % PACKAGES).into_bytes()
}

fn load_keys(engine: &dyn Engine, count: u64) -> Outcome<()> {
    for start in (0..count).step_by(BATCH_RELEASES as usize) {
        let mut batch = Batch::default();
        for n in start..count.min(start + BATCH_RELEASES) {
            let hash = digest(n);
            // Half as hard to compress as random bytes: hex.
            let record = hash.hex().repeat(10).as_bytes()[..600].to_vec();
            batch.writes.push((record_key(n), Some(record)));
            for table in [b'A', b'C', b'D', b'F', b'H'] {
                let mut key = vec![table];
                key.extend_from_slice(&digest(n ^ u64::from(table) << 40).as_bytes()[..20]);
                batch.writes.push((key, Some(n.to_be_bytes().to_vec())));
            }
        }
        engine.apply(SPACE, &batch)?;
    }
    Ok(())
}

fn load_fold(index: &Index, count: u64) -> Outcome<()> {
    for start in (0..count).step_by(BATCH_RELEASES as usize) {
        let mut fold = index.begin(SPACE)?;
        let mut seq = start;
        for n in start..count.min(start + BATCH_RELEASES) {
            let Coordinate { package, version } = coordinate(n)?;
            let content = digest(n);
            let file = FileFact {
                path: "package.zip".parse()?,
                size: n,
                digest: content,
                hashes: Hashes::default(),
                media_type: "application/zip".into(),
                incarnation: 0,
                piece: None,
            };
            let commit = Some(content.hex()[..40].parse()?);
            let build = Some(format!("https://ci.example/builds/{n}"));
            let origin = Origin { commit, source: Some("https://git.example/a".into()), build };
            let event = Event::Published {
                package,
                version,
                files: vec![file],
                origin,
                unpromotable: None,
            };
            let at = Timestamp::from_second(1_800_000_000 + n as i64)?;
            let entry = Entry { by: "ci".into(), at, request_id: "r".into(), reason: None, event };
            seq = n + 1;
            fold.apply(&entry, seq, 0)?;
        }
        let at = Timestamp::from_second(1_800_000_000)?;
        index.commit(&fold.into_batch(Tag { seq, hash: digest(seq), at })?)?;
    }
    Ok(())
}

fn disk_bytes(dir: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let found = entry.metadata()?;
        // What is allocated: a sparse journal costs what it holds.
        bytes += match found.is_dir() {
            true => disk_bytes(&entry.path())?,
            false => std::os::unix::fs::MetadataExt::blocks(&found) * 512,
        };
    }
    Ok(bytes)
}

fn peak_mb() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse::<u64>()? / 1024)
}

fn open_engine(kind: EngineKind, dir: &Path) -> Outcome<Box<dyn Engine>> {
    match kind {
        EngineKind::Fjall => Ok(Box::new(Fjall::open(dir)?)),
        EngineKind::Sled => Ok(Box::new(Sled::open(dir)?)),
        EngineKind::Memory => Err("memory keeps nothing to measure".into()),
    }
}

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [how, engine, count, dir] = words.as_slice() else {
        return Err("usage: load keys|fold fjall|sled COUNT DIR".into());
    };
    let kind: EngineKind = engine.parse()?;
    let count: u64 = count.parse()?;
    let dir = Path::new(dir);
    let is_fold = how == "fold";

    let start = Instant::now();
    let (load_s, read_s, peak);
    if is_fold {
        let index = Index::open(kind, dir, "bench")?;
        load_fold(&index, count)?;
        load_s = start.elapsed().as_secs_f64();
        peak = peak_mb()?;
        let start = Instant::now();
        for n in 0..READS {
            let view = index.view(SPACE)?;
            let at = coordinate(scattered(n, count))?;
            view.find_release(&at)?.ok_or("a release is missing")?;
        }
        read_s = start.elapsed().as_secs_f64();
        index.close()?;
    } else {
        let engine = open_engine(kind, dir)?;
        load_keys(&*engine, count)?;
        load_s = start.elapsed().as_secs_f64();
        peak = peak_mb()?;
        let start = Instant::now();
        for n in 0..READS {
            engine.get(SPACE, &record_key(scattered(n, count)))?.ok_or("a key is missing")?;
        }
        read_s = start.elapsed().as_secs_f64();
    }
    let peak_after = peak_mb()?;
    let disk_mb = disk_bytes(dir)? >> 20;
    let start = Instant::now();
    if is_fold {
        let index = Index::open(kind, dir, "bench")?;
        let tag = index.tag(SPACE)?.ok_or("nothing is there")?;
        assert_eq!(tag.seq, count);
    } else {
        open_engine(kind, dir)?.get(SPACE, &record_key(0))?.ok_or("nothing is there")?;
    }
    let reopen_ms = start.elapsed().as_millis();
    println!(
        "{how} {engine} {count}: load {load_s:.1} s, peak {peak} MB (with reads {peak_after} MB), \
         {:.0} gets/s, disk {disk_mb} MB, reopen {reopen_ms} ms",
        READS as f64 / read_s
    );
    Ok(())
}
