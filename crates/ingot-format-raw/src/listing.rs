//! Listings: packages, versions of a package, files of a version.

use ingot_core::format::{Document, DocumentRef, Row, View};
use ingot_core::{Code, Coordinate, PackageName, Refusal, Version};

use crate::NAME;

/// Rows on one page of a listing.
pub const PAGE_ROWS: usize = 1000;

/// Which listing a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Packages,
    Versions,
    Files,
}

impl Level {
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Level::Packages => "packages",
            Level::Versions => "versions",
            Level::Files => "files",
        }
    }

    /// What [`DocumentRef::rest`] holds: the version (empty where there is none), then the cursor.
    pub(crate) fn rest(self, version: Option<&str>, after: Option<&str>) -> Vec<String> {
        let mut rest = vec![version.unwrap_or_default().to_owned()];
        rest.extend(after.map(str::to_owned));
        rest
    }
}

pub(crate) fn render(document: &DocumentRef, view: &dyn View) -> Result<Document, Refusal> {
    let after = document.rest.get(1).map(String::as_str);
    match (document.kind, &document.package) {
        ("packages", None) => packages(view, after),
        ("versions", Some(package)) => versions(view, package, after),
        ("files", Some(package)) => {
            let version = document.rest.first().map(String::as_str).unwrap_or_default();
            let at = Coordinate { package: package.clone(), version: Version::new(version)? };
            files(view, &at, after)
        }
        _ => Err(Refusal::new(Code::Internal, "a document that this format never asked for")),
    }
}

fn nothing() -> Refusal {
    Refusal::new(Code::NotFound, "nothing is published under this name here")
}

fn packages(view: &dyn View, after: Option<&str>) -> Result<Document, Refusal> {
    let prefix = format!("{NAME}:");
    let after = after.map(|name| format!("{prefix}{name}"));
    // One more than shown tells whether there is a next page.
    let mut found = view.packages(&prefix, after.as_deref(), PAGE_ROWS + 1)?;
    let more = found.len() > PAGE_ROWS;
    found.truncate(PAGE_ROWS);
    let next = found.last().filter(|_| more).map(|last| last.name().to_owned());
    let row =
        |package: PackageName| Row { name: format!("{}/", package.name()), size: None, at: None };
    Ok(Document::Listing { rows: found.into_iter().map(row).collect(), next })
}

fn versions(
    view: &dyn View,
    package: &PackageName,
    after: Option<&str>,
) -> Result<Document, Refusal> {
    let (releases, next) = view.releases(package, after, PAGE_ROWS)?;
    if releases.is_empty() && after.is_none() && next.is_none() {
        return Err(nothing());
    }
    let rows = releases
        .into_iter()
        .filter(|release| release.blocked.is_none())
        .map(|release| Row {
            name: format!("{}/", release.version),
            size: None,
            at: Some(release.published_at),
        })
        .collect();
    Ok(Document::Listing { rows, next })
}

fn files(view: &dyn View, at: &Coordinate, after: Option<&str>) -> Result<Document, Refusal> {
    let release = view.find_release(at)?.ok_or_else(nothing)?;
    if let Some(block) = &release.blocked {
        // As for its files: a 404 would send clients to look for it elsewhere.
        let reason = block.reason.as_deref().unwrap_or("no reason was given");
        return Err(Refusal::new(Code::Blocked, format!("{at} is blocked: {reason}")));
    }
    let from = after
        .map_or(0, |after| release.files.partition_point(|file| file.fact.path.as_str() <= after));
    let page = &release.files[from..release.files.len().min(from + PAGE_ROWS)];
    let more = from + page.len() < release.files.len();
    let next = page.last().filter(|_| more).map(|file| file.fact.path.to_string());
    let rows = page
        .iter()
        .map(|file| Row {
            name: file.fact.path.to_string(),
            size: Some(file.fact.size),
            at: Some(file.published_at),
        })
        .collect();
    Ok(Document::Listing { rows, next })
}
