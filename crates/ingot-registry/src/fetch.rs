//! Fetching: which file a request means in a view, and its bytes.

use std::ops::Range;

use ingot_core::digest::AnyDigest;
use ingot_core::facts::Facts;
use ingot_core::format::{Document, DocumentRef, FileRef, ReleaseRef};
use ingot_core::names::Seq;
use ingot_core::records::{FileRecord, ReleaseRecord};
use ingot_core::rules::{is_reserved, refs};
use ingot_core::{Code, Coordinate, Digest, FilePath, Origin, PackageName, Refusal, ViewName};
use ingot_index::View;
use ingot_storage::{BlobBody, BlobKey};

use crate::access::{Authorized, Read, nothing_here};
use crate::publish::stored;
use crate::store::Registry;
use crate::view::FormatView;

/// Most places looked at to find one that may be seen.
const PLACES_MAX: usize = 1_000;
/// Most pinned URLs named instead of a word like `latest`.
const PINNED_MAX: usize = 5;

/// A file that may be served.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its release.
    pub at: Coordinate,
    /// The file.
    pub file: FileRecord,
    /// Where the release came from.
    pub origin: Origin,
    /// The path of its pinned URL in the view asked.
    pub location: String,
    /// True when the request named "current": the answer is a redirect to `location`.
    pub moving: bool,
    /// The commit this was read at.
    pub seq: Seq,
    key: BlobKey,
}

impl Registry {
    /// The file a request means. Nothing, not admitted and not readable are one answer: 404.
    pub fn find_file(
        &self,
        proof: &Authorized<Read>,
        format: &str,
        file: &FileRef,
    ) -> Result<Found, Refusal> {
        let project = self.project(proof.project())?;
        let view = project.view()?;
        let (at, release, path, moving) = match file {
            FileRef::Pinned { package, release, path } => {
                proof.check(package)?;
                let release = self.pinned(&view, proof.view(), package, release)?;
                (package.clone(), release, path.clone(), false)
            }
            FileRef::Current { package, path } => {
                proof.check(package)?;
                let release = current(&view, proof.view(), package)?;
                let path = match path {
                    Some(path) => path.clone(),
                    None => only_file(&release)?,
                };
                (package.clone(), release, path, true)
            }
            FileRef::Content(digest) => {
                let (package, release, path) = by_content(&view, proof, format, digest)?;
                (package, release, path, false)
            }
        };
        let at = Coordinate { package: at, version: release.version.clone() };
        check_served(&release, &at)?;
        let file = release.find_file(&path).cloned().ok_or_else(|| {
            let names: Vec<_> =
                release.files.iter().take(20).map(|file| file.fact.path.to_string()).collect();
            Refusal::new(
                Code::NotFound,
                format!("{at} has no file {path}; it has: {}", names.join(", ")),
            )
        })?;
        let format = self.format(at.package.format())?;
        let key = BlobKey {
            project: proof.project().clone(),
            digest: file.fact.digest,
            incarnation: file.fact.incarnation,
        };
        Ok(Found {
            location: format.locate(proof.view(), &at, &path),
            at,
            file,
            origin: release.origin,
            moving,
            seq: view.seq(),
            key,
        })
    }

    /// The bytes of a file, or of a range of it, verified on the way.
    pub async fn read(
        &self,
        found: &Found,
        range: Option<Range<u64>>,
    ) -> Result<BlobBody, Refusal> {
        self.setup().blobs.open(&found.key, found.file.fact.size, range).await.map_err(stored)
    }

    /// A document a format computes in a view.
    pub fn render(
        &self,
        proof: &Authorized<Read>,
        format: &str,
        document: &DocumentRef,
        base_url: &str,
    ) -> Result<(Document, Seq), Refusal> {
        let format = self.find_format(format).ok_or_else(nothing_here)?;
        if let Some(package) = &document.package {
            proof.check(package)?;
        }
        let project = self.project(proof.project())?;
        let view = project.view()?;
        if let Some(channel) = &proof.view().channel {
            ingot_core::rules::channel(&view, channel).map_err(|_| nothing_here())?;
        }
        let seq = view.seq();
        let seen = FormatView::new(&view, proof, base_url);
        Ok((format.render(document, &seen)?, seq))
    }

    fn pinned(
        &self,
        view: &View<'_>,
        name: &ViewName,
        package: &PackageName,
        release: &ReleaseRef,
    ) -> Result<ReleaseRecord, Refusal> {
        let found = match release {
            ReleaseRef::Version(version) => view
                .find_release(&Coordinate { package: package.clone(), version: version.clone() })?
                .ok_or_else(nothing_here)?,
            ReleaseRef::Any(text) => match refs::resolve(view, package, text) {
                Err(refusal) if refusal.code() == Code::NotFound && is_reserved(view, text)? => {
                    return Err(self.name_pinned(view, name, package, text)?);
                }
                Err(refusal) if refusal.code() == Code::Ambiguous && name.channel.is_some() => {
                    // The candidates may not be admitted here, and so may not be named.
                    return Err(nothing_here());
                }
                other => other?,
            },
        };
        if !is_admitted(view, name, package, &found)? {
            return Err(nothing_here());
        }
        Ok(found)
    }

    /// 404 for a word like `latest`, with the pinned URLs to use instead.
    fn name_pinned(
        &self,
        view: &View<'_>,
        name: &ViewName,
        package: &PackageName,
        text: &str,
    ) -> Result<Refusal, Refusal> {
        let format = self.format(package.format())?;
        let mut pinned: Vec<String> = Vec::new();
        let mut add = |release: &ReleaseRecord| {
            let at = Coordinate { package: package.clone(), version: release.version.clone() };
            for file in release.files.iter().take(PINNED_MAX) {
                let url = format.locate(name, &at, &file.fact.path);
                if pinned.len() < PINNED_MAX && !pinned.contains(&url) {
                    pinned.push(url);
                }
            }
        };
        if name.channel.is_some() {
            if let Ok(release) = current(view, name, package) {
                add(&release);
            }
        } else {
            let newest = view.releases(package, None, PINNED_MAX)?;
            newest.items.iter().filter(|release| release.blocked.is_none()).for_each(add);
        }
        let use_instead = if pinned.is_empty() {
            "nothing is published there yet".to_owned()
        } else {
            format!("use a pinned URL: {}", pinned.join(" "))
        };
        Ok(Refusal::new(
            Code::NotFound,
            format!("{text} is no version: it would change under you; {use_instead}"),
        )
        .with("pinned", pinned))
    }
}

/// Whether a release belongs to a view. In a channel: whether it was admitted there.
pub(crate) fn is_admitted(
    facts: &dyn Facts,
    name: &ViewName,
    package: &PackageName,
    release: &ReleaseRecord,
) -> Result<bool, Refusal> {
    let Some(channel) = &name.channel else { return Ok(true) };
    let at = Coordinate { package: package.clone(), version: release.version.clone() };
    Ok(facts.find_admission(channel, &at)?.is_some())
}

/// A blocked release is refused by name, so that no client falls through to another source.
pub(crate) fn check_served(release: &ReleaseRecord, at: &Coordinate) -> Result<(), Refusal> {
    match &release.blocked {
        None => Ok(()),
        Some(block) => {
            let reason = block.reason.as_deref().unwrap_or("no reason was given");
            Err(Refusal::new(
                Code::Blocked,
                format!("{at} was blocked by {}: {reason}; use another release", block.by),
            )
            .with("reason", reason))
        }
    }
}

fn current(
    view: &View<'_>,
    name: &ViewName,
    package: &PackageName,
) -> Result<ReleaseRecord, Refusal> {
    let channel = name.channel.as_ref().ok_or_else(nothing_here)?;
    // Without the line of earlier releases, which no fetch needs.
    let standing = view.find_current(channel, package)?.ok_or_else(nothing_here)?;
    let current = standing.current.ok_or_else(nothing_here)?;
    let at = Coordinate { package: package.clone(), version: current.version };
    view.find_release(&at)?
        .ok_or_else(|| Refusal::new(Code::Internal, "the index lost a release that is current"))
}

fn only_file(release: &ReleaseRecord) -> Result<FilePath, Refusal> {
    match release.files.as_slice() {
        [file] => Ok(file.fact.path.clone()),
        files => {
            let names: Vec<_> =
                files.iter().take(20).map(|file| file.fact.path.to_string()).collect();
            Err(Refusal::new(
                Code::NotFound,
                format!("the release has {} files; name one of: {}", files.len(), names.join(", ")),
            ))
        }
    }
}

fn by_content(
    view: &View<'_>,
    proof: &Authorized<Read>,
    format: &str,
    digest: &Digest,
) -> Result<(PackageName, ReleaseRecord, FilePath), Refusal> {
    let mut blocked = None;
    for place in view.places(&AnyDigest::Sha256(*digest), PLACES_MAX)? {
        let package = &place.coordinate.package;
        let Some(path) = place.path else { continue };
        if package.format().as_str() != format || !proof.covers(package) {
            continue;
        }
        let Some(release) = view.find_release(&place.coordinate)? else { continue };
        if !is_admitted(view, proof.view(), package, &release)? {
            continue;
        }
        let found = (package.clone(), release, path);
        if found.1.blocked.is_none() {
            return Ok(found);
        }
        blocked.get_or_insert(found);
    }
    blocked.ok_or_else(nothing_here)
}
