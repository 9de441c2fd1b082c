//! Lists come in pages, whole and in order, whatever the limit.

use ingot_core::Event;
use ingot_core::event::TransitionKind::{Hold, Promote};
use ingot_core::facts::Facts;
use ingot_core::names::Coordinate;
use ingot_core::origin::CommitSha;
use ingot_core::refusal::{Code, Refusal};
use ingot_index::{EngineKind, Index, PAGE_ROWS_MAX, Page};

use crate::common::{
    SPACE, channel, channels, entry, file, fold, open, package, published, second, transition,
    version,
};

/// Every row, page by page; the last page has no cursor, all others are full.
fn all<T>(limit: usize, page: impl Fn(Option<&str>) -> Result<Page<T>, Refusal>) -> Vec<T> {
    let mut rows = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let Page { items, next } = page(after.as_deref()).expect("page");
        assert!(items.len() <= limit);
        assert!(next.is_none() || items.len() == limit);
        assert!(!items.is_empty() || after.is_none(), "a cursor leads to something");
        rows.extend(items);
        after = next;
        if after.is_none() {
            return rows;
        }
    }
}

fn filled(kind: EngineKind) -> crate::common::Opened {
    let opened = open(kind);
    let mut commits = vec![vec![entry("ci", second(0), channels(&["dev", "prod"]))]];
    for n in 0..12 {
        let name = format!("raw:p{n:02}");
        let event = published(&name, "1", vec![file("a", &name)], "abcdef0");
        let hold = transition(Hold, "dev", &name, None);
        commits.push(vec![entry("ci", second(n), event), entry("ci", second(n), hold)]);
    }
    // Names that a sloppy prefix would mix up.
    for name in ["raw:many", "raw:many-more", "npm:many"] {
        let mut commit = Vec::new();
        for n in 0..10 {
            let event = published(name, &format!("1.{n}"), vec![file("a", name)], "abcdef1");
            commit.push(entry("ci", second(100), event));
            let to = format!("1.{n}");
            let event = transition(Promote, "prod", name, Some(&to));
            commit.push(entry("ci", second(100), event));
        }
        commits.push(commit);
    }
    fold(&opened.index, 1, &commits, 4);
    opened
}

fn check(index: &Index, limit: usize) {
    let view = index.view(SPACE).expect("view");
    let names = |prefix: &str| -> Vec<String> {
        let rows = all(limit, |after| view.packages(prefix, after, limit));
        rows.into_iter().map(|row| row.package.to_string()).collect()
    };
    let everything = names("");
    assert_eq!(everything.len(), 15);
    assert!(everything.is_sorted());
    assert_eq!(names("npm:"), ["npm:many"]);
    assert_eq!(names("raw:many"), ["raw:many", "raw:many-more"]);
    assert_eq!(names("raw:p").len(), 12);
    assert!(names("raw:q").is_empty());

    let many = package("raw:many");
    let versions: Vec<_> = all(limit, |after| view.releases(&many, after, limit))
        .into_iter()
        .map(|release| release.version.to_string())
        .collect();
    let newest_first: Vec<_> = (0..10).rev().map(|n| format!("1.{n}")).collect();
    assert_eq!(versions, newest_first);
    let prod = channel("prod");
    let admitted: Vec<_> = all(limit, |after| view.admitted(&prod, &many, after, limit))
        .into_iter()
        .map(|row| row.release.version.to_string())
        .collect();
    assert_eq!(admitted, newest_first);

    let held = all(limit, |after| view.channel_packages(&channel("dev"), "", after, limit));
    assert_eq!(held.len(), 12);
    assert!(held.iter().all(|row| row.held && row.current.is_none()));
    let standing = all(limit, |after| view.channel_packages(&prod, "raw:", after, limit));
    let names: Vec<_> = standing.iter().map(|row| row.package.to_string()).collect();
    assert_eq!(names, ["raw:many", "raw:many-more"]);
    assert_eq!(standing[0].current.as_ref().map(|current| &current.version), Some(&version("1.9")));

    let moved = all(limit, |after| view.channel_transitions(&prod, after, limit));
    assert_eq!(moved.len(), 30);
    assert!(moved.is_sorted_by_key(|row| row.transition.seq));
    let moved = all(limit, |after| view.package_transitions(&prod, &many, after, limit));
    let tos: Vec<_> = moved.iter().map(|row| row.to.clone().expect("to")).collect();
    assert_eq!(tos, (0..10).map(|n| version(&format!("1.{n}"))).collect::<Vec<_>>());
}

#[test]
fn pages_put_together_are_the_whole_list() {
    for kind in EngineKind::ALL {
        let opened = filled(kind);
        for limit in [1, 3, 10, 12, 30, 100] {
            check(&opened.index, limit);
        }
    }
}

#[test]
fn a_page_holds_no_more_rows_than_the_limit() {
    let opened = open(EngineKind::Memory);
    let commit: Vec<_> = (0..=PAGE_ROWS_MAX)
        .map(|n| {
            let event = published("raw:a", &format!("1.{n}"), vec![], "abcdef0");
            entry("ci", second(0), event)
        })
        .collect();
    fold(&opened.index, 1, &[commit], 1);
    let view = opened.index.view(SPACE).expect("view");
    let a = package("raw:a");
    assert_eq!(
        view.releases(&a, None, PAGE_ROWS_MAX + 1).expect("page").items.len(),
        PAGE_ROWS_MAX
    );
    assert_eq!(view.releases(&a, None, PAGE_ROWS_MAX).expect("page").items.len(), PAGE_ROWS_MAX);
    assert_eq!(view.releases(&a, None, 0).expect("page").items.len(), 1, "a page gets on");
    let rest = view.releases(&a, Some("1.1"), PAGE_ROWS_MAX).expect("page");
    assert_eq!((rest.items.len(), rest.next), (1, None));
}

#[test]
fn a_cursor_from_elsewhere_is_refused_or_harmless() {
    let opened = filled(EngineKind::Memory);
    let view = opened.index.view(SPACE).expect("view");
    for bad in ["", "x", "1", "1.x", "-1.0", "99999999999999999999.0", "1.99999999999"] {
        let refused = view.releases(&package("raw:many"), Some(bad), 5);
        assert_eq!(refused.expect_err("no cursor").code(), Code::BadRequest, "{bad:?}");
    }
    let beyond = view.packages("raw:p", Some("zzz"), 5).expect("page");
    assert!(beyond.items.is_empty() && beyond.next.is_none());
    let before = view.packages("raw:p", Some("a"), 50).expect("page");
    assert_eq!(before.items.len(), 12, "a cursor does not widen the prefix");
}

#[test]
fn commits_are_found_by_what_they_start_with() {
    let opened = open(EngineKind::Memory);
    let full = "abcdef0123456789abcdef0123456789abcdef01";
    let near = "abcdef0999999999abcdef0123456789abcdef01";
    let commit = [
        published("raw:b", "1", vec![], full),
        published("raw:a", "1", vec![], full),
        published("raw:a", "2", vec![], near),
        published("raw:a", "3", vec![], "1234567"),
    ]
    .map(|event| entry("ci", second(0), event));
    fold(&opened.index, 1, &[commit.to_vec()], 1);
    let view = opened.index.view(SPACE).expect("view");
    let check = |text: &str, limit, expected: &[&str]| {
        let commit: CommitSha = text.parse().expect("commit");
        let found = view.versions_by_commit(&package("raw:a"), &commit, limit).expect("read");
        let found: Vec<_> = found.iter().map(|(_, version)| version.as_str()).collect();
        assert_eq!(found, expected, "{text}");
    };
    check(full, 9, &["1"]);
    check("abcdef0", 9, &["1", "2"]);
    check("abcdef0", 1, &["1"]);
    check("abcdef01", 9, &["1"]);
    check("1234567", 9, &["3"]);
    check("12345678", 9, &[]);
    let commit: CommitSha = "abcdef0".parse().expect("commit");
    let found = view.releases_by_commit(&commit, 9).expect("read");
    let found: Vec<_> = found.iter().map(|(_, at)| at.to_string()).collect();
    assert_eq!(found, ["raw:a@1", "raw:a@2", "raw:b@1"], "in order of package");
}

#[test]
fn twins_differ_by_case_alone() {
    let opened = open(EngineKind::Memory);
    let event = published("npm:Lodash", "1.0-RC", vec![], "abcdef0");
    fold(&opened.index, 1, &[vec![entry("ci", second(0), event)]], 1);
    let view = opened.index.view(SPACE).expect("view");
    let twin = |text: &str| {
        let at = Coordinate { package: package("npm:Lodash"), version: version(text) };
        view.find_case_twin(&at).expect("read").map(|version| version.to_string())
    };
    assert_eq!(twin("1.0-rc").as_deref(), Some("1.0-RC"));
    assert_eq!(twin("1.0-RC"), None, "a name is no twin of itself");
    assert_eq!(twin("1.0"), None);
    let twin = view.find_package_twin(&package("npm:lodash")).expect("read");
    assert_eq!(twin, Some(package("npm:Lodash")));
    assert_eq!(view.find_package_twin(&package("npm:Lodash")).expect("read"), None);
}

#[test]
fn projects_and_tokens() {
    let opened = open(EngineKind::Memory);
    let minted = |id: &str, project: Option<&str>| Event::TokenMinted {
        id: id.into(),
        hash: format!("hash of {id}"),
        name: "ci".into(),
        project: project.map(|project| project.parse().expect("project")),
        grants: vec![],
        expires_at: second(999),
    };
    let created =
        |project: &str| Event::ProjectCreated { project: project.parse().expect("project") };
    let events = [
        created("b"),
        created("a"),
        minted("t1", Some("a")),
        minted("t2", Some("ab")),
        minted("t3", None),
        minted("t4", Some("a")),
        Event::TokenRevoked { id: "t4".into() },
        Event::TokenRevoked { id: "t4".into() },
    ];
    let commit = events.map(|event| entry("ci", second(0), event)).to_vec();
    fold(&opened.index, 1, &[commit], 1);
    let view = opened.index.view(SPACE).expect("view");
    let projects = all(1, |after| view.projects(after, 1));
    assert_eq!(projects.iter().map(|row| row.project.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(view.has_project(&"a".parse().expect("project")).expect("read"));
    assert!(!view.has_project(&"c".parse().expect("project")).expect("read"));
    let of = |project: Option<&str>| -> Vec<String> {
        let project = project.map(|project| project.parse().expect("project"));
        let tokens = all(1, |after| view.tokens(project.as_ref(), after, 1));
        tokens.into_iter().map(|token| token.id).collect()
    };
    assert_eq!(of(Some("a")), ["t1"]);
    assert_eq!(of(Some("ab")), ["t2"]);
    assert_eq!(of(None), ["t3"]);
    assert_eq!(view.find_token("hash of t1").expect("read").expect("is there").id, "t1");
    assert!(view.find_token("hash of t4").expect("read").is_none(), "revoked");
    assert!(view.find_token_by_id("t4").expect("read").is_none());
}
