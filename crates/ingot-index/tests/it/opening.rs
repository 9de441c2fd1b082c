//! An index that is damaged or in doubt starts empty, and never keeps a server from starting.

use std::fs;
use std::path::{Path, PathBuf};

use ingot_index::{EngineKind, Index, IndexError, Opened};

use crate::common::{BOOT, Dice, SPACE, fold, open, random_ledger};

const ON_DISK: [EngineKind; 2] = [EngineKind::Fjall, EngineKind::Sled];

fn marker(dir: &Path, kind: EngineKind) -> PathBuf {
    dir.join(format!("{}.open", kind.as_str()))
}

/// Folds something, then leaves the directory as a killed process would, or as a clean stop.
fn left_behind(kind: EngineKind, clean: bool) -> tempfile::TempDir {
    let opened = open(kind);
    fold(&opened.index, 1, &random_ledger(3, 60), 5);
    if clean {
        opened.index.close().expect("closes");
    }
    assert_eq!(marker(opened.dir.path(), kind).exists(), !clean);
    opened.dir
}

fn check(dir: &Path, kind: EngineKind, boot: &str, expected: Opened) {
    let index = Index::open(kind, dir, boot).expect("opens");
    assert_eq!(index.opened(), expected, "{kind:?}");
    let seq = index.tag(SPACE).expect("tag").map(|tag| tag.seq);
    assert_eq!(seq, (expected != Opened::Dropped).then_some(60), "{kind:?}");
    // Usable in any case.
    let first = seq.map_or(1, |seq| seq + 1);
    fold(&index, first, &random_ledger(3, 60)[..1], 1);
    assert_eq!(index.tag(SPACE).expect("tag").map(|tag| tag.seq), Some(first));
}

#[test]
fn the_marker_tells_how_the_last_process_ended() {
    for kind in ON_DISK {
        check(left_behind(kind, true).path(), kind, BOOT, Opened::Clean);
        check(left_behind(kind, true).path(), kind, "boot-2", Opened::Clean);
        check(left_behind(kind, false).path(), kind, BOOT, Opened::SameBoot);
        check(left_behind(kind, false).path(), kind, "boot-2", Opened::Dropped);
        let dir = left_behind(kind, false);
        fs::write(marker(dir.path(), kind), [0xff, 0xfe]).expect("write");
        check(dir.path(), kind, BOOT, Opened::Dropped);
        let dir = left_behind(kind, false);
        fs::write(marker(dir.path(), kind), "").expect("write");
        check(dir.path(), kind, "", Opened::Dropped);
    }
}

#[test]
fn a_closed_index_takes_no_commits() {
    for kind in ON_DISK {
        let opened = open(kind);
        opened.index.close().expect("closes");
        opened.index.close().expect("twice is once");
        let fold = opened.index.begin(SPACE).expect("begin");
        let tag = crate::common::tag(1, crate::common::second(0));
        let refused = opened.index.commit(&fold.into_batch(tag).expect("batch"));
        assert!(matches!(refused, Err(IndexError::Closed)), "{refused:?}");
    }
}

#[test]
fn an_index_open_elsewhere_is_neither_used_nor_dropped() {
    for kind in ON_DISK {
        let opened = open(kind);
        fold(&opened.index, 1, &random_ledger(3, 20), 5);
        let refused = Index::open(kind, opened.dir.path(), BOOT).err();
        assert!(matches!(refused, Some(IndexError::Busy)), "{kind:?}: {refused:?}");
        assert_eq!(opened.index.tag(SPACE).expect("tag").map(|tag| tag.seq), Some(20));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("directory");
    for entry in fs::read_dir(from).expect("read") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("copy")),
        }
    }
}

/// What a killed process leaves is what the operating system has of an index that is still open.
#[test]
fn a_killed_process_leaves_whole_commits() {
    let ledger = random_ledger(12, 80);
    for kind in ON_DISK {
        let opened = open(kind);
        for cut in [1, 7, 40, 80] {
            let first = opened.index.tag(SPACE).expect("tag").map_or(1, |tag| tag.seq + 1);
            let since = first as usize - 1;
            fold(&opened.index, first, &ledger[since..cut], 3);
            let left = tempfile::tempdir().expect("directory");
            copy(opened.dir.path(), left.path());
            let found = Index::open(kind, left.path(), BOOT).expect("opens");
            let seq = found.tag(SPACE).expect("tag").map_or(0, |tag| tag.seq) as usize;
            if kind == EngineKind::Fjall {
                assert_eq!((found.opened(), seq), (Opened::SameBoot, cut), "nothing is lost");
            }
            assert!(seq <= cut);
            // Caught up, it is as if nothing had happened: whatever was there was whole.
            fold(&found, seq as u64 + 1, &ledger[seq..cut], 80);
            let expected = open(EngineKind::Memory);
            fold(&expected.index, 1, &ledger[..cut], 80);
            let digest = |index: &Index| index.digest(SPACE).expect("digest");
            assert_eq!(digest(&found), digest(&expected.index), "{kind:?} at {cut} from {seq}");
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("read") {
        let path = entry.expect("entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn an_unfinished_snapshot_drops_the_index() {
    let dir = left_behind(EngineKind::Sled, true);
    fs::write(dir.path().join("sled/snap.0000000000000001.generating"), "half").expect("write");
    check(dir.path(), EngineKind::Sled, BOOT, Opened::Dropped);
}

/// Damages every file in turn: the index opens, and whatever is then folded says what it should,
/// or says that it is damaged; it is never silently wrong about its tag.
fn damaged(kind: EngineKind, damage: impl Fn(&mut Vec<u8>)) {
    let count = files(&left_behind(kind, true).path().join(kind.as_str())).len();
    let mut dropped = 0;
    for n in 0..count {
        let dir = left_behind(kind, true);
        let victims = files(&dir.path().join(kind.as_str()));
        let Some(victim) = victims.get(n) else { continue };
        let mut bytes = fs::read(victim).expect("read");
        damage(&mut bytes);
        fs::write(victim, &bytes).expect("write");
        let index = Index::open(kind, dir.path(), BOOT).expect("opens whatever is damaged");
        dropped += usize::from(index.opened() == Opened::Dropped);
        match index.tag(SPACE) {
            Ok(None) => {}
            Ok(Some(tag)) => assert_eq!(tag.seq, 60, "{}", victim.display()),
            Err(error) => assert!(error.asks_for_rebuild(), "{error}"),
        }
    }
    assert!(dropped > 0, "some file matters");
}

#[test]
fn garbage_in_place_of_a_file_starts_empty() {
    for kind in ON_DISK {
        println!("seed 8");
        damaged(kind, |bytes| {
            let mut dice = Dice(8);
            bytes.iter_mut().for_each(|byte| *byte = dice.roll(256) as u8);
        });
    }
}

#[test]
fn an_engines_directory_of_garbage_starts_empty() {
    for kind in ON_DISK {
        let dir = tempfile::tempdir().expect("directory");
        fs::write(dir.path().join(kind.as_str()), "not even a directory").expect("write");
        let index = Index::open(kind, dir.path(), BOOT).expect("opens");
        assert_eq!(index.opened(), Opened::Dropped);
        assert_eq!(index.tag(SPACE).expect("tag"), None);
    }
}

#[test]
fn two_engines_do_not_vouch_for_each_other() {
    let dir = left_behind(EngineKind::Fjall, false);
    let sled = Index::open(EngineKind::Sled, dir.path(), "boot-2").expect("opens");
    assert_eq!(sled.opened(), Opened::Clean, "sled was never opened before");
    sled.close().expect("closes");
    check(dir.path(), EngineKind::Fjall, "boot-2", Opened::Dropped);
}
