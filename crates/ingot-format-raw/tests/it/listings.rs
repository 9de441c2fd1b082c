//! Listings of a view made by hand.

use ingot_core::event::FileFact;
use ingot_core::format::{Call, Document, Format, Method, PackageFacts, Row, View};
use ingot_core::records::{Block, FileRecord, ReleaseRecord};
use ingot_core::{
    Code, Coordinate, Digest, Hashes, Origin, PackageName, Refusal, Timestamp, ViewName,
};
use ingot_format_raw::{PAGE_ROWS, RawFormat};

use crate::{ask, view};

/// One package with releases, newest first, among other packages.
struct Shelf {
    name: ViewName,
    packages: Vec<PackageName>,
    releases: Vec<ReleaseRecord>,
}

impl View for Shelf {
    fn name(&self) -> &ViewName {
        &self.name
    }
    fn base_url(&self) -> &str {
        "http://localhost"
    }
    fn packages(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<PackageName>, Refusal> {
        let fits = |name: &&PackageName| {
            let text = name.to_string();
            text.starts_with(prefix) && after.is_none_or(|after| text.as_str() > after)
        };
        Ok(self.packages.iter().filter(fits).take(limit).cloned().collect())
    }
    fn releases(
        &self,
        package: &PackageName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<ReleaseRecord>, Option<String>), Refusal> {
        if *package != self.packages[0] {
            return Ok((Vec::new(), None));
        }
        let from: usize = after.map_or(0, |cursor| cursor.parse().expect("our own cursor"));
        let to = self.releases.len().min(from + limit);
        let next = (to < self.releases.len()).then(|| to.to_string());
        Ok((self.releases[from..to].to_vec(), next))
    }
    fn find_release(&self, at: &Coordinate) -> Result<Option<ReleaseRecord>, Refusal> {
        let found = self.releases.iter().find(|release| release.version == at.version);
        Ok(found.filter(|_| at.package == self.packages[0]).cloned())
    }
    fn find_package(&self, _: &PackageName) -> Result<Option<PackageFacts>, Refusal> {
        Ok(None)
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("time")
}

fn release(version: &str, files: usize) -> ReleaseRecord {
    let file = |n: usize| FileRecord {
        fact: FileFact {
            path: format!("f{n:05}").parse().expect("path"),
            size: n as u64,
            digest: Digest::of(b""),
            hashes: Hashes::default(),
            media_type: "application/octet-stream".to_owned(),
            incarnation: 0,
            piece: None,
        },
        published_at: at(n as i64),
        published_by: "somebody".to_owned(),
    };
    ReleaseRecord {
        version: version.parse().expect("version"),
        files: (0..files).map(file).collect(),
        origin: Origin::default(),
        published_at: at(7),
        published_by: "somebody".to_owned(),
        published_seq: 1,
        digest: None,
        sealed_at: None,
        past_blocks: Vec::new(),
        aliases: Vec::new(),
        blocked: None,
        unpromotable: None,
        revision: 1,
    }
}

fn shelf(packages: usize, releases: Vec<ReleaseRecord>) -> Shelf {
    let mut names: Vec<PackageName> =
        (0..packages).map(|n| format!("raw:p{n:05}").parse().expect("name")).collect();
    names.push("zzz:other".parse().expect("name"));
    Shelf { name: view("main"), packages: names, releases }
}

fn list(shelf: &Shelf, path: &str) -> Result<(Vec<Row>, Option<String>), Refusal> {
    let Call::Render(document) = ask(Method::Get, "main", path)? else { panic!("{path}") };
    match RawFormat::default().render(&document, shelf)? {
        Document::Listing { rows, next } => Ok((rows, next)),
        other => panic!("{other:?}"),
    }
}

/// Turns the pages of a listing; the names on each.
fn pages(shelf: &Shelf, path: &str) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    let mut after = String::new();
    loop {
        let (rows, next) = list(shelf, &format!("{path}{after}")).expect(path);
        out.push(rows.into_iter().map(|row| row.name).collect());
        let Some(next) = next else { return out };
        after = format!("?after={next}");
    }
}

#[test]
fn packages_are_those_of_this_format_page_by_page() {
    assert_eq!(list(&shelf(0, vec![]), "").expect("empty"), (vec![], None));
    for (count, expected) in [
        (1, vec![1]),
        (PAGE_ROWS, vec![PAGE_ROWS]),
        (PAGE_ROWS + 1, vec![PAGE_ROWS, 1]),
        (2 * PAGE_ROWS, vec![PAGE_ROWS, PAGE_ROWS]),
    ] {
        let pages = pages(&shelf(count, vec![]), "");
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), expected);
        let all: Vec<String> = pages.concat();
        let names: Vec<String> = (0..count).map(|n| format!("p{n:05}/")).collect();
        assert_eq!(all, names);
    }
}

#[test]
fn versions_come_newest_first_without_the_blocked() {
    let mut blocked = release("1.1", 1);
    blocked.blocked = Some(Block { reason: Some("bad".into()), by: "x".into(), at: at(9) });
    let shelf = shelf(2, vec![release("1.2", 1), blocked, release("1.0", 1)]);
    let (rows, next) = list(&shelf, "p00000/").expect("versions");
    let row = |name: &str| Row { name: name.into(), size: None, at: Some(at(7)) };
    assert_eq!((rows, next), (vec![row("1.2/"), row("1.0/")], None));
    assert_eq!(list(&shelf, "p00001/").expect_err("no release").code(), Code::NotFound);
    assert_eq!(list(&shelf, "p00000/1.1/").expect_err("blocked").code(), Code::Blocked);
    assert_eq!(list(&shelf, "p00000/9/").expect_err("no such").code(), Code::NotFound);
    assert_eq!(list(&shelf, "p00000/latest/").expect_err("no such").code(), Code::NotFound);
}

#[test]
fn versions_are_paged() {
    let releases = (0..=PAGE_ROWS).map(|n| release(&n.to_string(), 0)).collect();
    let pages = pages(&shelf(1, releases), "p00000/");
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [PAGE_ROWS, 1]);
    assert_eq!(pages[1], [format!("{PAGE_ROWS}/")]);
}

#[test]
fn files_come_with_size_and_time_page_by_page() {
    let small = shelf(1, vec![release("1", 2)]);
    let (rows, next) = list(&small, "p00000/1/").expect("files");
    let row = |n: i64| Row { name: format!("f{n:05}"), size: Some(n as u64), at: Some(at(n)) };
    assert_eq!((rows, next), (vec![row(0), row(1)], None));
    for (count, expected) in [(PAGE_ROWS, vec![PAGE_ROWS]), (PAGE_ROWS + 1, vec![PAGE_ROWS, 1])] {
        let pages = pages(&shelf(1, vec![release("1", count)]), "p00000/1/");
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), expected);
    }
    assert_eq!(list(&small, "p00000/1/?after=f99999").expect("past the end").0, []);
}
