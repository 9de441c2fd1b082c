//! What is now and what history tells are the same thing.

use std::collections::BTreeMap;

use ingot_core::event::TransitionKind::{Promote, Rollback};
use ingot_core::facts::Facts;
use ingot_core::standing::Standing;
use ingot_index::{EngineKind, PAGE_ROWS_MAX};

use crate::common::{
    CHANNELS, SPACE, channel, channels, entry, file, fold, open, package, published, random_ledger,
    second, transition, version,
};

#[test]
fn the_standing_kept_is_the_fold_of_the_transitions_kept() {
    for seed in [31, 32, 33] {
        let ledger = random_ledger(seed, 300);
        let opened = open(EngineKind::Memory);
        fold(&opened.index, 1, &ledger, 10);
        let view = opened.index.view(SPACE).expect("view");
        let last = ledger[299][0].at;
        let mut checked = 0;
        for name in CHANNELS.map(channel) {
            let past = view.channel_at(&name, last).expect("history");
            let rows = view.channel_packages(&name, "", None, PAGE_ROWS_MAX).expect("page").items;
            assert_eq!(rows.len(), past.standings.len());
            for row in rows {
                let now = view.find_standing(&name, &row.package).expect("read").expect("stands");
                assert_eq!(past.standings.get(&row.package), Some(&now));
                let transitions =
                    view.transitions(&name, &row.package, 0, usize::MAX).expect("read");
                let mut folded = Standing::default();
                transitions.iter().for_each(|transition| folded.apply(transition));
                assert_eq!(folded, now);
                let (seq, at) =
                    view.standing_at(&name, &row.package, last).expect("read").expect("stood");
                assert_eq!((seq, at), (transitions[transitions.len() - 1].seq, now));
                let short = view.find_current(&name, &row.package).expect("read");
                assert_eq!(short, Some(row));
                checked += 1;
            }
            assert_eq!(
                past.seq,
                view.channel_transitions(&name, None, PAGE_ROWS_MAX)
                    .expect("page")
                    .items
                    .last()
                    .expect("some")
                    .transition
                    .seq
            );
        }
        assert!(checked > 3, "the ledger moved things");
    }
}

#[test]
fn every_past_moment_is_what_the_index_said_then() {
    let ledger = random_ledger(44, 150);
    let name = channel("prod");
    let opened = open(EngineKind::Memory);
    let mut said = Vec::new();
    for (seq, commit) in (1..).zip(&ledger) {
        fold(&opened.index, seq, std::slice::from_ref(commit), 1);
        let view = opened.index.view(SPACE).expect("view");
        let rows = view.channel_packages(&name, "", None, PAGE_ROWS_MAX).expect("page").items;
        let rows: BTreeMap<_, _> =
            rows.into_iter().map(|row| (row.package, (row.current, row.held))).collect();
        said.push((commit[0].at, rows));
    }
    let view = opened.index.view(SPACE).expect("view");
    for (n, (at, expected)) in said.iter().enumerate() {
        // Two commits may share a moment: the later one is what it was at that moment.
        if said.get(n + 1).is_some_and(|(next, _)| next == at) {
            continue;
        }
        let past = view.channel_at(&name, *at).expect("history");
        let past: BTreeMap<_, _> = past
            .standings
            .into_iter()
            .map(|(package, standing)| (package, (standing.current, standing.held)))
            .collect();
        assert_eq!(past, *expected, "at commit {}", n + 1);
    }
}

#[test]
fn two_transitions_of_one_commit_stay_in_order() {
    let opened = open(EngineKind::Memory);
    let release = |at: &str| published("raw:a", at, vec![file("a", at)], "abcdef0");
    let commit = [
        channels(&["dev"]),
        release("1"),
        release("2"),
        transition(Promote, "dev", "raw:a", Some("2")),
        transition(Promote, "dev", "raw:a", Some("1")),
        transition(Rollback, "dev", "raw:a", Some("2")),
    ]
    .map(|event| entry("ci", second(1), event));
    fold(&opened.index, 1, &[commit.to_vec()], 1);
    let view = opened.index.view(SPACE).expect("view");
    let (dev, app) = (channel("dev"), package("raw:a"));
    let kinds: Vec<_> = view.transitions(&dev, &app, 0, 9).expect("read");
    let tos: Vec<_> = kinds.iter().map(|transition| transition.to.clone()).collect();
    assert_eq!(tos, ["2", "1", "2"].map(|text| Some(version(text))));
    assert!(view.transitions(&dev, &app, 1, 9).expect("read").is_empty(), "after commit 1");
    let newest = view.releases(&app, None, 9).expect("page").items;
    assert_eq!(newest[0].version, version("2"));
}
