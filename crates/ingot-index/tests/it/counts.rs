//! One release among ten thousand costs what it costs among ten: counted, not timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ingot_core::Event;
use ingot_core::event::TransitionKind::Promote;
use ingot_core::facts::Facts;
use ingot_core::names::Coordinate;
use ingot_index::engine::{Batch, Direction, Engine, Pair, memory::Memory};
use ingot_index::{Index, IndexError};

use crate::common::{
    SPACE, channel, channels, entry, file, fold, package, published, second, transition, version,
};

#[derive(Default)]
struct Counts {
    calls: AtomicUsize,
    keys: AtomicUsize,
    value_bytes: AtomicUsize,
}

struct Counting {
    engine: Memory,
    counts: Arc<Counts>,
}

impl Counting {
    fn note<'a>(&self, pairs: impl Iterator<Item = Option<&'a Vec<u8>>>) {
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        for value in pairs {
            self.counts.keys.fetch_add(1, Ordering::Relaxed);
            let length = value.map_or(0, Vec::len);
            self.counts.value_bytes.fetch_add(length, Ordering::Relaxed);
        }
    }
}

impl Engine for Counting {
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let value = self.engine.get(space, key)?;
        self.note([value.as_ref()].into_iter());
        Ok(value)
    }
    fn scan(
        &self,
        space: &str,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, IndexError> {
        let pairs = self.engine.scan(space, from, to, direction, limit)?;
        self.note(pairs.iter().map(|(_, value)| Some(value)));
        Ok(pairs)
    }
    fn apply(&self, space: &str, batch: &Batch) -> Result<(), IndexError> {
        self.note(batch.writes.iter().map(|(_, value)| value.as_ref()));
        self.engine.apply(space, batch)
    }
    fn drop_space(&self, space: &str) -> Result<(), IndexError> {
        self.engine.drop_space(space)
    }
}

/// What a doing cost: calls of the engine, keys that went through, bytes of their values.
type Cost = [usize; 3];

fn cost(counts: &Counts, doing: impl FnOnce()) -> Cost {
    let now = || {
        [&counts.calls, &counts.keys, &counts.value_bytes]
            .map(|count| count.load(Ordering::Relaxed))
    };
    let before = now();
    doing();
    let after = now();
    [0, 1, 2].map(|n| after[n] - before[n])
}

/// The costs of publishing, sealing and naming, promoting, and fetching one more release.
fn costs(others: u64) -> [Cost; 4] {
    let counts = Arc::new(Counts::default());
    let engine = Counting { engine: Memory::default(), counts: counts.clone() };
    let index = Index::over(Box::new(engine));
    fold(&index, 1, &[vec![entry("ci", second(0), channels(&["dev"]))]], 1);
    let release = |n: u64| {
        // Versions and commits of one length, whatever their number.
        let text = format!("1.{n:06}");
        let event = published("raw:app", &text, vec![file("a.zip", &text)], &format!("{n:040x}"));
        vec![entry("ci", second(1), event)]
    };
    let ledger: Vec<_> = (0..others).map(release).collect();
    fold(&index, 2, &ledger, 1000);
    let seq = others + 2;
    let at =
        || Coordinate { package: package("raw:app"), version: version(&format!("1.{others:06}")) };

    let publish = cost(&counts, || fold(&index, seq, &[release(others)], 1));
    let seal = cost(&counts, || {
        let Coordinate { package, version } = at();
        let digest = ingot_core::Digest::of(b"x");
        let sealed = Event::Sealed { package: package.clone(), version: version.clone(), digest };
        let alias = "build-1".parse().expect("alias");
        let named = Event::Aliased { package, version, alias };
        let commit = [sealed, named].map(|event| entry("ci", second(2), event)).to_vec();
        fold(&index, seq + 1, &[commit], 1);
    });
    let promote = cost(&counts, || {
        let to = at().version.to_string();
        let event = transition(Promote, "dev", "raw:app", Some(&to));
        fold(&index, seq + 2, &[vec![entry("ci", second(3), event)]], 1);
    });
    let fetch = cost(&counts, || {
        let view = index.view(SPACE).expect("view");
        assert!(view.find_release(&at()).expect("read").is_some());
        assert!(
            view.find_alias(&package("raw:app"), &"build-1".parse().expect("alias"))
                .expect("read")
                .is_some()
        );
        assert!(view.find_admission(&channel("dev"), &at()).expect("read").is_some());
        assert!(view.find_current(&channel("dev"), &package("raw:app")).expect("read").is_some());
        let commit = format!("{others:040x}").parse().expect("commit");
        assert_eq!(
            view.versions_by_commit(&package("raw:app"), &commit, 2).expect("read").len(),
            1
        );
        assert_eq!(view.releases(&package("raw:app"), None, 5).expect("page").items.len(), 5);
    });
    [publish, seal, promote, fetch]
}

#[test]
fn a_release_among_ten_thousand_costs_what_it_costs_among_ten() {
    let few = costs(10);
    let many = costs(10_000);
    println!("publish, seal, promote, fetch among 10:     {few:?}");
    println!("publish, seal, promote, fetch among 10,000: {many:?}");
    for (few, many) in few.iter().zip(&many) {
        assert_eq!(few[..2], many[..2], "the same calls and the same keys");
        // Numbers of commits and releases get a few digits longer, and nothing else does.
        assert!(many[2] <= few[2] + 64, "{few:?} {many:?}");
    }
    assert!(many.iter().all(|cost| cost[1] < 60), "and few at all: {many:?}");
}
