//! The fold depends on the ledger alone; answers go; refusals leave no trace.

use ingot_core::Event;
use ingot_core::event::TransitionKind::Promote;
use ingot_core::facts::Facts;
use ingot_core::names::Coordinate;
use ingot_core::{Digest, Entry};
use ingot_index::fold::{ANSWER_HOURS, PRUNED_ANSWERS_MAX};
use ingot_index::{EngineKind, Index, IndexError};

use crate::common::{
    Commit, SPACE, channels, entry, file, fold, open, package, published, random_ledger, second,
    tag, transition, version,
};

fn digest_of(kind: EngineKind, ledger: &[Commit], step: usize) -> Digest {
    let opened = open(kind);
    fold(&opened.index, 1, ledger, step);
    opened.index.digest(SPACE).expect("digest")
}

#[test]
fn the_same_ledger_gives_the_same_bytes_whatever_the_engine_and_the_batches() {
    for seed in [1, 77] {
        let ledger = random_ledger(seed, 250);
        let expected = digest_of(EngineKind::Memory, &ledger, 1);
        for kind in EngineKind::ALL {
            for step in [1, 7, 250] {
                assert_eq!(digest_of(kind, &ledger, step), expected, "{kind:?} by {step}");
            }
        }
        let shorter = digest_of(EngineKind::Memory, &ledger[..249], 1);
        assert_ne!(shorter, expected, "a digest that never differs proves nothing");
    }
}

#[test]
fn an_index_that_was_dropped_is_rebuilt_identical() {
    let ledger = random_ledger(5, 120);
    for kind in EngineKind::ALL {
        let opened = open(kind);
        fold(&opened.index, 1, &ledger, 1);
        let before = opened.index.digest(SPACE).expect("digest");
        opened.index.reset(SPACE).expect("reset");
        assert_eq!(opened.index.tag(SPACE).expect("tag"), None);
        assert_ne!(opened.index.digest(SPACE).expect("digest"), before);
        fold(&opened.index, 1, &ledger, 120);
        assert_eq!(opened.index.digest(SPACE).expect("digest"), before, "{kind:?}");
    }
}

#[test]
fn what_is_reverted_leaves_no_trace() {
    let ledger = random_ledger(9, 150);
    let plain = digest_of(EngineKind::Memory, &ledger, 150);
    let opened = open(EngineKind::Memory);
    let mut fold = opened.index.begin(SPACE).expect("begin");
    for (seq, commit) in (1..).zip(&ledger) {
        for (position, entry) in (0..).zip(commit) {
            // Every event is tried with another one before it, taken back, and made again.
            let checkpoint = fold.checkpoint();
            let bystander =
                crate::common::entry("x", entry.at, published("raw:no", "1", vec![], "abcdef2"));
            fold.apply(&bystander, seq, position).expect("folds");
            fold.apply(entry, seq, position + 1).expect("folds");
            fold.revert(checkpoint);
            fold.apply(entry, seq, position).expect("folds");
        }
    }
    let at = ledger[149][0].at;
    let folded = fold.into_batch(tag(150, at)).expect("batch");
    opened.index.commit(&folded).expect("commit");
    assert_eq!(opened.index.digest(SPACE).expect("digest"), plain);
}

#[test]
fn a_fold_sees_what_it_was_told_and_nobody_else_does() {
    let opened = open(EngineKind::Fjall);
    let at = Coordinate { package: package("raw:app"), version: version("1") };
    let mut fold = opened.index.begin(SPACE).expect("begin");
    let event = published("raw:app", "1", vec![file("a.zip", "a")], "abcdef0");
    fold.apply(&entry("ci", second(1), event), 1, 0).expect("folds");
    assert!(fold.facts().find_release(&at).expect("read").is_some());
    assert_eq!(fold.facts().seq(), 1);
    assert!(opened.index.view(SPACE).expect("view").find_release(&at).expect("read").is_none());
    let folded = fold.into_batch(tag(1, second(1))).expect("batch");
    opened.index.commit(&folded).expect("commit");
    let view = opened.index.view(SPACE).expect("view");
    assert_eq!(view.seq(), 1);
    assert_eq!(view.tag().expect("tag"), Some(tag(1, second(1))));
    assert!(view.find_release(&at).expect("read").is_some());
}

#[test]
fn a_batch_that_was_overtaken_is_refused() {
    let opened = open(EngineKind::Memory);
    let one = [vec![entry("ci", second(1), published("raw:a", "1", vec![], "abcdef0"))]];
    let late = opened.index.begin(SPACE).expect("begin");
    fold(&opened.index, 1, &one, 1);
    let late = late.into_batch(tag(1, second(1))).expect("batch");
    let refused = opened.index.commit(&late);
    assert!(matches!(refused, Err(IndexError::Moved { begun: 0, found: 1 })), "{refused:?}");
}

#[test]
fn events_that_cannot_be_are_refused_and_leave_nothing() {
    let opened = open(EngineKind::Memory);
    let ledger = [vec![
        entry("ci", second(1), channels(&["dev"])),
        entry("ci", second(1), published("raw:a", "1", vec![file("a", "a")], "abcdef0")),
    ]];
    fold(&opened.index, 1, &ledger, 1);
    let mut fold = opened.index.begin(SPACE).expect("begin");
    let mut check = |event: Event, seq| {
        let refused = fold.apply(&entry("ci", second(2), event), seq, 0);
        assert!(matches!(refused, Err(IndexError::Misfit(_))), "{refused:?}");
    };
    check(published("raw:a", "2", vec![], "abcdef0"), 1);
    check(published("raw:a", "1", vec![file("a", "other")], "abcdef0"), 2);
    let digest = Digest::of(b"");
    check(Event::Sealed { package: package("raw:a"), version: version("9"), digest }, 2);
    check(transition(Promote, "moon", "raw:a", Some("1")), 2);
    check(transition(Promote, "dev", "raw:a", None), 2);
    assert_eq!(fold.into_batch(tag(2, second(2))).expect("batch").keys(), 1, "the tag alone");
}

fn answered(key: &str, at: i64) -> Entry {
    entry(
        "ci",
        second(at),
        Event::Answered {
            key: key.to_owned(),
            fingerprint: Digest::of(key.as_bytes()),
            fresh: true,
            body: serde_json::json!({ "at": at }),
        },
    )
}

fn knows(index: &Index, key: &str) -> bool {
    let view = index.view(SPACE).expect("view");
    view.find_answer("ci", key).expect("read").is_some()
}

#[test]
fn answers_are_kept_a_day_of_the_ledgers_clock() {
    let day = ANSWER_HOURS * 3600;
    for kind in EngineKind::ALL {
        let Opened { index, dir: _dir } = open(kind);
        fold(&index, 1, &[vec![answered("a", 0)], vec![answered("b", 10)]], 1);
        fold(&index, 3, &[vec![answered("c", day - 1)]], 1);
        assert!(knows(&index, "a") && knows(&index, "b"), "not a second too early");
        fold(&index, 4, &[vec![answered("d", day)]], 1);
        assert!(!knows(&index, "a") && knows(&index, "b") && knows(&index, "c"));
        // Used again: the new answer stays although the old one's time is over.
        fold(&index, 5, &[vec![answered("b", day + 9)], vec![answered("e", day + 10)]], 1);
        assert!(knows(&index, "b") && knows(&index, "e"));
    }
}

#[test]
fn one_commit_prunes_no_more_than_its_share() {
    let day = ANSWER_HOURS * 3600;
    let Opened { index, dir: _dir } = open(EngineKind::Memory);
    let many: Commit = (0..=PRUNED_ANSWERS_MAX).map(|n| answered(&format!("k{n}"), 0)).collect();
    fold(&index, 1, &[many], 1);
    let last = format!("k{PRUNED_ANSWERS_MAX}");
    fold(&index, 2, &[vec![answered("x", day)]], 1);
    assert!(!knows(&index, &format!("k{}", PRUNED_ANSWERS_MAX - 1)) && knows(&index, &last));
    fold(&index, 3, &[vec![answered("y", day)]], 1);
    assert!(!knows(&index, &last), "what one leaves the next one takes");
}

use crate::common::Opened;
