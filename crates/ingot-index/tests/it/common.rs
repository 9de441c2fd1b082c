//! Ledgers to fold: written by hand, or at random from a seed.

use ingot_core::event::{ChannelDefinition, FileFact, TransitionKind};
use ingot_core::names::{ChannelName, PackageName, Seq, Version};
use ingot_core::{Digest, Entry, Event, Hashes, Origin, Timestamp};
use ingot_index::{EngineKind, Index, Tag};
use tempfile::TempDir;

pub(crate) const SPACE: &str = "main";
pub(crate) const BOOT: &str = "boot-1";

/// One commit's events.
pub(crate) type Commit = Vec<Entry>;

pub(crate) fn package(text: &str) -> PackageName {
    text.parse().expect("package")
}
pub(crate) fn version(text: &str) -> Version {
    text.parse().expect("version")
}
pub(crate) fn channel(text: &str) -> ChannelName {
    text.parse().expect("channel")
}
pub(crate) fn second(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("time")
}

pub(crate) fn entry(by: &str, at: Timestamp, event: Event) -> Entry {
    let reason = Some("because".to_owned());
    Entry { by: by.to_owned(), at, request_id: "r".to_owned(), reason, event }
}

pub(crate) fn file(path: &str, content: &str) -> FileFact {
    let digest = Digest::of(content.as_bytes());
    FileFact {
        path: path.parse().expect("path"),
        size: content.len() as u64,
        digest,
        hashes: Hashes { sha1: Some(digest.hex()[..40].to_owned()), ..Hashes::default() },
        media_type: "application/zip".into(),
        incarnation: 0,
        piece: None,
    }
}

pub(crate) fn origin(commit: &str) -> Origin {
    Origin { commit: Some(commit.parse().expect("commit")), ..Origin::default() }
}

pub(crate) fn published(name: &str, at: &str, files: Vec<FileFact>, commit: &str) -> Event {
    let (package, version) = (package(name), version(at));
    Event::Published { package, version, files, origin: origin(commit), unpromotable: None }
}

pub(crate) fn transition(
    transition: TransitionKind,
    to_channel: &str,
    name: &str,
    to: Option<&str>,
) -> Event {
    let (channel, package, to) = (channel(to_channel), package(name), to.map(version));
    Event::Transition { transition, channel, package, from: None, to }
}

pub(crate) fn channels(names: &[&str]) -> Event {
    let channels = names
        .iter()
        .map(|name| ChannelDefinition { name: channel(name), from: None, protected: false })
        .collect();
    Event::ChannelsDefined { channels }
}

pub(crate) fn tag(seq: Seq, at: Timestamp) -> Tag {
    Tag { seq, hash: Digest::of(&seq.to_be_bytes()), at }
}

/// Folds commits, the first of which is `first`, in batches of `step` commits.
pub(crate) fn fold(index: &Index, first: Seq, commits: &[Commit], step: usize) {
    let mut seq = first;
    for batch in commits.chunks(step) {
        let mut fold = index.begin(SPACE).expect("begin");
        let mut at = second(0);
        for commit in batch {
            for (position, entry) in (0..).zip(commit) {
                fold.apply(entry, seq, position).expect("folds");
                at = entry.at;
            }
            seq += 1;
        }
        let folded = fold.into_batch(tag(seq - 1, at)).expect("batch");
        index.commit(&folded).expect("commit");
    }
}

/// An open index and the directory it lives in.
pub(crate) struct Opened {
    pub(crate) index: Index,
    pub(crate) dir: TempDir,
}

pub(crate) fn open(kind: EngineKind) -> Opened {
    let dir = tempfile::tempdir().expect("directory");
    let index = Index::open(kind, dir.path(), BOOT).expect("opens");
    Opened { index, dir }
}

/// splitmix64: the same numbers for the same seed, for ever.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

pub(crate) const CHANNELS: [&str; 3] = ["dev", "staging", "prod"];
const PACKAGES: [&str; 4] = ["raw:app", "raw:app-two", "npm:@acme/ui", "raw:z"];
const PEOPLE: [&str; 3] = ["ci", "ann", "system"];

/// A random ledger such as the rules would let through. Prints its seed.
pub(crate) fn random_ledger(seed: u64, commits: usize) -> Vec<Commit> {
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let mut now = 0;
    let mut releases: Vec<(&str, String)> = Vec::new();
    let mut staged: Vec<(&str, &str, String)> = Vec::new();
    let mut ledger = vec![vec![entry("system", second(0), channels(&CHANNELS))]];
    for n in 1..commits {
        now += dice.roll(7200) as i64;
        let at = second(now);
        let mut commit = Vec::new();
        for _ in 0..=dice.roll(3) {
            let by = *dice.pick(&PEOPLE);
            let name = *dice.pick(&PACKAGES);
            let known = match releases.is_empty() {
                true => None,
                false => Some(dice.pick(&releases).clone()),
            };
            let event = match (dice.roll(12), known) {
                (0 | 1, _) | (_, None) => {
                    let version_text = format!("1.{n}.{}", commit.len());
                    releases.push((name, version_text.clone()));
                    let content = format!("content {}", dice.roll(40));
                    let sha = format!("{:07x}{:033x}", dice.roll(20), 0);
                    published(name, &version_text, vec![file("a.zip", &content)], &sha)
                }
                (2, Some((name, at_version))) => {
                    let path = format!("more-{n}-{}.zip", commit.len());
                    let files = vec![file(&path, &format!("content {}", dice.roll(40)))];
                    published(name, &at_version, files, "abcdef0")
                }
                (3, _) => {
                    let version_text = format!("2.{}", dice.roll(5));
                    staged.push((by, name, version_text.clone()));
                    Event::Staged {
                        package: package(name),
                        version: version(&version_text),
                        file: file(
                            &format!("f{}.zip", dice.roll(3)),
                            &format!("content {}", dice.roll(40)),
                        ),
                        origin: Origin::default(),
                    }
                }
                (4, _) if !staged.is_empty() => {
                    let at_draft = dice.roll(staged.len());
                    let (by, name, version_text) = staged.swap_remove(at_draft);
                    let path = format!("d-{n}-{}.zip", commit.len());
                    releases.push((name, version_text.clone()));
                    let event = published(name, &version_text, vec![file(&path, &path)], "abcdef1");
                    commit.push(entry(by, at, event));
                    continue;
                }
                (5, Some((name, at_version))) => Event::Aliased {
                    package: package(name),
                    version: version(&at_version),
                    alias: format!("build-{n}-{}", commit.len()).parse().expect("alias"),
                },
                (6, Some((name, at_version))) if dice.roll(2) == 0 => {
                    Event::Blocked { package: package(name), version: version(&at_version) }
                }
                (6, Some((name, at_version))) => {
                    Event::Unblocked { package: package(name), version: version(&at_version) }
                }
                (7, Some((name, at_version))) => Event::Sealed {
                    package: package(name),
                    version: version(&at_version),
                    digest: Digest::of(at_version.as_bytes()),
                },
                (8, _) => Event::Answered {
                    key: format!("key-{}", dice.roll(30)),
                    fingerprint: Digest::of(b"request"),
                    fresh: true,
                    body: serde_json::json!({ "n": n }),
                },
                (_, Some((name, at_version))) => {
                    use TransitionKind::{Hold, Lift, Promote, Revoke, Rollback};
                    let kind =
                        *dice.pick(&[Promote, Promote, Promote, Rollback, Hold, Lift, Revoke]);
                    let to = match kind {
                        Hold | Lift => None,
                        _ => Some(at_version.as_str()),
                    };
                    let channel: &str = CHANNELS[dice.roll(CHANNELS.len())];
                    transition(kind, channel, name, to)
                }
            };
            commit.push(entry(by, at, event));
        }
        ledger.push(commit);
    }
    ledger
}
