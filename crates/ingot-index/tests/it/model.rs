//! Random ledgers, folded, against the simplest thing that could be right.

use std::collections::{BTreeMap, BTreeSet};

use ingot_core::digest::AnyDigest;
use ingot_core::event::{FileFact, TransitionKind};
use ingot_core::facts::Facts;
use ingot_core::names::{ChannelName, Coordinate, FilePath, PackageName, Seq, Version};
use ingot_core::{Digest, Event};
use ingot_index::{EngineKind, PAGE_ROWS_MAX};

use crate::common::{CHANNELS, Commit, SPACE, channel, fold, open, random_ledger};

#[derive(Default)]
struct Model {
    files: BTreeMap<Coordinate, BTreeMap<FilePath, FileFact>>,
    order: Vec<Coordinate>,
    drafts: BTreeMap<(Coordinate, String), BTreeMap<FilePath, FileFact>>,
    digests: BTreeSet<Digest>,
    aliases: BTreeMap<(PackageName, String), Version>,
    blocked: BTreeSet<Coordinate>,
    current: BTreeMap<(ChannelName, PackageName), Version>,
    held: BTreeMap<(ChannelName, PackageName), bool>,
    admitted: BTreeMap<(ChannelName, Coordinate), Seq>,
    channel_seq: BTreeMap<ChannelName, Seq>,
    package_seq: BTreeMap<PackageName, Seq>,
}

impl Model {
    fn note_where_current(&mut self, seq: Seq, package: &PackageName, version: &Version) {
        for ((channel, of), current) in &self.current {
            if of == package && current == version {
                self.channel_seq.insert(channel.clone(), seq);
            }
        }
    }

    fn apply(&mut self, seq: Seq, by: &str, event: &Event) {
        let at = |package: &PackageName, version: &Version| Coordinate {
            package: package.clone(),
            version: version.clone(),
        };
        match event {
            Event::Staged { package, version, file, .. } => {
                self.digests.insert(file.digest);
                let draft = self.drafts.entry((at(package, version), by.to_owned())).or_default();
                draft.insert(file.path.clone(), file.clone());
            }
            Event::Published { package, version, files, .. } => {
                let at = at(package, version);
                if !self.files.contains_key(&at) {
                    self.order.push(at.clone());
                }
                let release = self.files.entry(at.clone()).or_default();
                for file in files {
                    self.digests.insert(file.digest);
                    release.insert(file.path.clone(), file.clone());
                }
                self.drafts.remove(&(at, by.to_owned()));
                self.package_seq.insert(package.clone(), seq);
            }
            Event::Sealed { package, .. } => {
                self.package_seq.insert(package.clone(), seq);
            }
            Event::Aliased { package, version, alias } => {
                self.aliases.insert((package.clone(), alias.to_string()), version.clone());
                self.package_seq.insert(package.clone(), seq);
            }
            Event::Blocked { package, version } => {
                self.blocked.insert(at(package, version));
                self.note_where_current(seq, package, version);
                self.package_seq.insert(package.clone(), seq);
            }
            Event::Unblocked { package, version } => {
                self.blocked.remove(&at(package, version));
                self.note_where_current(seq, package, version);
                self.package_seq.insert(package.clone(), seq);
            }
            Event::Transition { transition, channel, package, to, .. } => {
                let place = (channel.clone(), package.clone());
                self.channel_seq.insert(channel.clone(), seq);
                self.package_seq.insert(package.clone(), seq);
                match (transition, to) {
                    (TransitionKind::Promote, Some(to)) => {
                        self.current.insert(place, to.clone());
                        let admitted = (channel.clone(), at(package, to));
                        self.admitted.entry(admitted).or_insert(seq);
                    }
                    (TransitionKind::Rollback, Some(to)) => {
                        self.current.insert(place.clone(), to.clone());
                        self.held.insert(place, true);
                    }
                    (TransitionKind::Revoke, Some(to)) => {
                        self.admitted.remove(&(channel.clone(), at(package, to)));
                    }
                    (TransitionKind::Hold, _) => {
                        self.held.insert(place, true);
                    }
                    (TransitionKind::Lift, _) => {
                        self.held.insert(place, false);
                    }
                    (kind, to) => panic!("{kind:?} to {to:?}"),
                }
            }
            _ => {}
        }
    }

    fn held_by_anything(&self, digest: &Digest) -> bool {
        let published = self.files.values().flat_map(BTreeMap::values);
        let staged = self.drafts.values().flat_map(BTreeMap::values);
        published.chain(staged).any(|file| file.digest == *digest)
    }
}

fn model_of(ledger: &[Commit]) -> Model {
    let mut model = Model::default();
    for (seq, commit) in (1..).zip(ledger) {
        for entry in commit {
            model.apply(seq, &entry.by, &entry.event);
        }
    }
    model
}

fn check(kind: EngineKind, seed: u64) {
    let ledger = random_ledger(seed, 300);
    let model = model_of(&ledger);
    let opened = open(kind);
    fold(&opened.index, 1, &ledger, 13);
    let view = opened.index.view(SPACE).expect("view");

    for (at, files) in &model.files {
        let release = view.find_release(at).expect("read").expect("is there");
        let found: Vec<_> = release.files.iter().map(|file| &file.fact).collect();
        assert_eq!(found, files.values().collect::<Vec<_>>(), "{at}, in order of path");
        assert_eq!(release.blocked.is_some(), model.blocked.contains(at), "{at}");
    }
    for ((at, by), files) in &model.drafts {
        let draft = view.find_draft(at, by).expect("read").expect("is there");
        assert_eq!(draft.files.iter().collect::<Vec<_>>(), files.values().collect::<Vec<_>>());
    }
    for digest in &model.digests {
        let blob = view.find_blob(digest).expect("read").expect("is known");
        assert_eq!(blob.referenced, model.held_by_anything(digest), "{digest}");
        let places = view.places(&AnyDigest::Sha256(*digest), PAGE_ROWS_MAX).expect("read");
        let expected = model.files.values().flat_map(BTreeMap::values);
        assert_eq!(places.len(), expected.filter(|file| file.digest == *digest).count());
        let sha1 = AnyDigest::parse(&digest.hex()[..40]).expect("sha1");
        assert_eq!(view.places(&sha1, PAGE_ROWS_MAX).expect("read"), places, "by any hash");
    }
    for ((package, alias), version) in &model.aliases {
        let found = view.find_alias(package, &alias.parse().expect("alias")).expect("read");
        assert_eq!(found.as_ref(), Some(version));
    }
    for (package, seq) in &model.package_seq {
        let record = view.find_package(package).expect("read").expect("is there");
        assert_eq!(record.revision, *seq, "{package}");
        let versions: Vec<_> =
            model.order.iter().rev().filter(|at| at.package == *package).collect();
        assert_eq!(record.releases, versions.len() as u64);
        let page = view.releases(package, None, PAGE_ROWS_MAX).expect("page");
        let found: Vec<_> = page.items.iter().map(|release| &release.version).collect();
        assert_eq!(found, versions.iter().map(|at| &at.version).collect::<Vec<_>>());
    }
    for name in CHANNELS.map(channel) {
        for package in model.package_seq.keys() {
            let place = (name.clone(), package.clone());
            let standing = view.find_standing(&name, package).expect("read").unwrap_or_default();
            let current = standing.current.map(|current| current.version);
            assert_eq!(current.as_ref(), model.current.get(&place), "{name} {package}");
            assert_eq!(standing.held, model.held.get(&place).copied().unwrap_or_default());
            let admitted = view.admitted(&name, package, None, PAGE_ROWS_MAX).expect("page");
            let found: BTreeMap<_, _> = admitted
                .items
                .iter()
                .map(|row| (row.release.version.clone(), row.admission.seq))
                .collect();
            let expected: BTreeMap<_, _> = model
                .admitted
                .iter()
                .filter(|((in_channel, at), _)| *in_channel == name && at.package == *package)
                .map(|((_, at), seq)| (at.version.clone(), *seq))
                .collect();
            assert_eq!(found, expected, "{name} {package}");
            let seqs: Vec<_> = admitted.items.iter().map(|row| row.admission.seq).collect();
            assert!(seqs.is_sorted_by(|a, b| a >= b), "newest first: {seqs:?}");
        }
        let record = view.channels().expect("read").into_iter().find(|c| c.definition.name == name);
        let expected = model.channel_seq.get(&name).copied().unwrap_or(1);
        assert_eq!(record.expect("is defined").seq, expected, "{name}");
    }
}

#[test]
fn random_ledgers_fold_into_what_the_model_says() {
    check(EngineKind::Memory, 1001);
    check(EngineKind::Memory, 1002);
    check(EngineKind::Fjall, 1003);
    check(EngineKind::Sled, 1004);
}
