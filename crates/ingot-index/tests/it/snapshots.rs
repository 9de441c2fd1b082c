//! A space carried elsewhere in chunks.

use ingot_index::{CHUNK_BYTES, EngineKind, IndexError};

use crate::common::{
    SPACE, channels, entry, file, fold, open, published, random_ledger, second, tag,
};

fn chunks(index: &ingot_index::Index) -> Vec<Vec<u8>> {
    index.dump(SPACE).expect("dump").collect::<Result<_, _>>().expect("chunks")
}

#[test]
fn what_is_dumped_loads_identical_on_any_engine() {
    let ledger = random_ledger(21, 200);
    let from = open(EngineKind::Fjall);
    fold(&from.index, 1, &ledger, 20);
    let expected = from.index.digest(SPACE).expect("digest");
    let tag = from.index.tag(SPACE).expect("tag").expect("folded");
    let dumped = chunks(&from.index);
    for kind in EngineKind::ALL {
        let to = open(kind);
        fold(&to.index, 1, &random_ledger(22, 50), 50);
        to.index.load(SPACE, dumped.iter().map(Ok::<_, IndexError>), tag).expect("loads");
        assert_eq!(to.index.digest(SPACE).expect("digest"), expected, "{kind:?}");
        assert_eq!(to.index.tag(SPACE).expect("tag"), Some(tag));
        assert_eq!(chunks(&to.index), dumped, "and dumps to the same chunks");
    }
}

#[test]
fn chunks_end_near_their_size() {
    let opened = open(EngineKind::Memory);
    let mut commits = vec![vec![entry("ci", second(0), channels(&["dev"]))]];
    for n in 0..60 {
        let files = (0..300).map(|f| file(&format!("f{f}"), &format!("{n} {f}"))).collect();
        let event = published("raw:big", &format!("1.{n}"), files, "abcdef0");
        commits.push(vec![entry("ci", second(0), event)]);
    }
    fold(&opened.index, 1, &commits, 10);
    let dumped = chunks(&opened.index);
    assert!(dumped.len() > 1);
    let (last, full) = dumped.split_last().expect("some");
    assert!(!last.is_empty());
    for chunk in full {
        assert!((CHUNK_BYTES..CHUNK_BYTES + 256 * 1024).contains(&chunk.len()), "{}", chunk.len());
    }
}

#[test]
fn a_load_that_fails_leaves_nothing() {
    let from = open(EngineKind::Memory);
    fold(&from.index, 1, &random_ledger(23, 100), 20);
    let tag_there = from.index.tag(SPACE).expect("tag").expect("folded");
    let good = chunks(&from.index);
    let mut torn = good.clone();
    let end = torn[0].len() - 1;
    torn[0].truncate(end);
    let twice = vec![good[0].clone(), good[0].clone()];
    let long = vec![[0xff; 16].to_vec()];
    for bad in [torn, twice, long] {
        for kind in EngineKind::ALL {
            let to = open(kind);
            let refused = to.index.load(SPACE, bad.iter().map(Ok::<_, IndexError>), tag_there);
            assert!(matches!(refused, Err(IndexError::Damaged(_))), "{refused:?}");
            assert_eq!(to.index.tag(SPACE).expect("tag"), None);
            fold(&to.index, 1, &random_ledger(23, 5), 1);
            assert_eq!(to.index.tag(SPACE).expect("tag").map(|tag| tag.seq), Some(5));
        }
    }
    let to = open(EngineKind::Memory);
    let broken = good.into_iter().map(Ok).chain([Err(IndexError::Closed)]);
    assert!(to.index.load(SPACE, broken, tag(7, second(0))).is_err(), "a source that ends early");
    assert_eq!(to.index.tag(SPACE).expect("tag"), None);
}
