//! What the API tells of packages and releases, and blocking.

use ingot_core::digest::AnyDigest;
use ingot_core::facts::Facts;
use ingot_core::grant::{Principal, Right};
use ingot_core::origin::CommitSha;
use ingot_core::rules::{self, refs};
use ingot_core::{Coordinate, PackageName, ProjectName, Refusal, ViewName};
use serde_json::{Map, Value, json};

use crate::access::{Admin, Authorized, Read, nothing_here};
use crate::committer::Outcome;
use crate::shapes;
use crate::store::{Registry, Request};

/// Most rows in one page of a list.
pub const LIMIT_MAX: usize = 1_000;
/// Most releases of one commit, and most places of one digest, that are told.
const MATCHES_MAX: usize = 2_000;

impl Registry {
    /// The packages of a project, in order of name.
    pub fn packages(
        &self,
        proof: &Authorized<Read>,
        format: Option<&str>,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Value, Refusal> {
        let project = self.project(proof.project())?;
        let view = project.view()?;
        // The prefix is of the name; without a format it is tried in each.
        let formats: Vec<&str> = match format {
            Some(format) => vec![format],
            None if prefix.is_empty() => vec![""],
            None => {
                let mut names: Vec<_> = self.setup().formats.iter().map(|f| f.name()).collect();
                names.sort_unstable();
                names
            }
        };
        let limit = limit.clamp(1, LIMIT_MAX);
        let mut items = Vec::new();
        for format in formats {
            let start =
                if format.is_empty() { String::new() } else { format!("{format}:{prefix}") };
            let mut from = after.map(str::to_owned);
            loop {
                let page = view.packages(&start, from.as_deref(), limit)?;
                for row in page.items {
                    if !proof.covers(&row.package) {
                        continue;
                    }
                    if items.len() == limit {
                        let next = items.last().and_then(|item: &Value| item["package"].as_str());
                        let next = next.map(str::to_owned);
                        return Ok(shapes::list(items, next));
                    }
                    let newest = view.releases(&row.package, None, 1)?;
                    items.push(json!({
                        "package": row.package,
                        "releases": row.record.releases,
                        "newest": newest.items.first().map(|release| &release.version),
                        "seq": row.record.revision,
                    }));
                }
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(shapes::list(items, None))
    }

    /// One package: its releases, newest first, and where it stands in each channel.
    pub fn show_package(
        &self,
        proof: &Authorized<Read>,
        package: &PackageName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Value, Refusal> {
        proof.check(package)?;
        let project = self.project(proof.project())?;
        let view = project.view()?;
        let record = view.find_package(package)?.ok_or_else(nothing_here)?;
        let page = view.releases(package, after, limit.clamp(1, LIMIT_MAX))?;
        let mut releases = Vec::new();
        for release in &page.items {
            releases.push(shapes::release(&view, package, release)?);
        }
        let mut channels = Map::new();
        for channel in view.channels()? {
            let name = channel.definition.name;
            if let Some(standing) = view.find_standing(&name, package)? {
                let row = shapes::channel_row(&view, package, &standing, None)?;
                channels.insert(name.to_string(), row);
            }
        }
        Ok(json!({
            "package": package,
            "count": record.releases,
            "releases": releases,
            "items": releases,
            "next": page.next,
            "channels": channels,
        }))
    }

    /// One release, by version, alias, digest or commit.
    pub fn show_release(
        &self,
        proof: &Authorized<Read>,
        package: &PackageName,
        text: &str,
    ) -> Result<Value, Refusal> {
        proof.check(package)?;
        let project = self.project(proof.project())?;
        let view = project.view()?;
        match refs::resolve(&view, package, text) {
            Ok(release) => shapes::release(&view, package, &release),
            Err(refusal) => {
                // Who staged a draft may look at it; nobody else learns of it.
                self.show_draft(proof, &view, package, text)?.ok_or(refusal)
            }
        }
    }

    fn show_draft(
        &self,
        proof: &Authorized<Read>,
        facts: &dyn Facts,
        package: &PackageName,
        text: &str,
    ) -> Result<Option<Value>, Refusal> {
        let Ok(version) = crate::publish::version(text) else { return Ok(None) };
        let at = Coordinate { package: package.clone(), version };
        let Some(draft) = facts.find_draft(&at, &proof.principal().name)? else {
            return Ok(None);
        };
        let files: Vec<Value> = draft
            .files
            .iter()
            .map(|file| {
                json!({
                    "path": file.path, "size": file.size, "digest": file.digest,
                    "hashes": file.hashes, "media_type": file.media_type,
                })
            })
            .collect();
        Ok(Some(json!({
            "package": package,
            "version": at.version,
            "purl": at.purl(),
            "state": "draft",
            "digest": null,
            "origin": shapes::origin(&draft.origin),
            "aliases": [],
            "files": files,
            "published_at": null,
            "published_by": null,
            "channels": {},
        })))
    }

    /// Stops serving a release everywhere.
    pub async fn block(
        &self,
        proof: &Authorized<Admin>,
        package: &PackageName,
        text: &str,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        self.on_release(proof, package, text, request, |_, package, release| {
            Ok(rules::release::block(package, release))
        })
        .await
    }

    /// Serves a blocked release again.
    pub async fn unblock(
        &self,
        proof: &Authorized<Admin>,
        package: &PackageName,
        text: &str,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        self.on_release(proof, package, text, request, |_, package, release| {
            Ok(rules::release::unblock(package, release))
        })
        .await
    }

    /// Every release built from a commit.
    pub fn build(&self, proof: &Authorized<Read>, commit: &CommitSha) -> Result<Value, Refusal> {
        let project = self.project(proof.project())?;
        let view = project.view()?;
        let mut releases = Vec::new();
        let mut full = commit.clone();
        for (found, at) in view.releases_by_commit(commit, MATCHES_MAX)? {
            if !proof.covers(&at.package) {
                continue;
            }
            if let Some(release) = view.find_release(&at)? {
                full = found;
                releases.push(shapes::release(&view, &at.package, &release)?);
            }
        }
        Ok(json!({"commit": full, "releases": releases}))
    }

    /// Which releases hold some content, and where they are current: only those the principal
    /// may see, be it in the full view or in a channel.
    pub fn lookup(
        &self,
        principal: &Principal,
        project: &ProjectName,
        digest: &AnyDigest,
    ) -> Result<Value, Refusal> {
        if principal.is_anonymous() && !principal.may_see(project) {
            return Err(ingot_core::Refusal::new(
                ingot_core::Code::Unauthenticated,
                "this needs a token",
            ));
        }
        if !principal.may_see(project) {
            return Err(nothing_here());
        }
        let open = self.project(project)?;
        let view = open.view()?;
        let channels = view.channels()?;
        let mut matches = Vec::new();
        for place in view.places(digest, MATCHES_MAX)? {
            let at = &place.coordinate;
            let full = ViewName { project: project.clone(), channel: None };
            let sees_full = principal.may(Right::Read, &full, Some(&at.package));
            let (mut current_in, mut admitted_in) = (Vec::new(), Vec::new());
            for channel in &channels {
                let name = &channel.definition.name;
                let seen = ViewName { project: project.clone(), channel: Some(name.clone()) };
                if !sees_full && !principal.may(Right::Read, &seen, Some(&at.package)) {
                    continue;
                }
                if view.find_admission(name, at)?.is_none() {
                    continue;
                }
                admitted_in.push(name.clone());
                let current = view.find_standing(name, &at.package)?.and_then(|s| s.current);
                if current.is_some_and(|current| current.version == at.version) {
                    current_in.push(name.clone());
                }
            }
            if !sees_full && admitted_in.is_empty() {
                continue;
            }
            let Some(release) = view.find_release(at)? else { continue };
            let file = place.path.as_ref().and_then(|path| release.find_file(path));
            let found = file.map(|file| file.fact.digest).or(release.digest);
            matches.push(json!({
                "package": at.package,
                "version": at.version,
                "purl": at.purl(),
                "path": place.path,
                "digest": found,
                "release_digest": release.digest,
                "commit": release.origin.commit,
                "blocked": release.blocked.is_some(),
                "current_in": current_in,
                "admitted_in": admitted_in,
            }));
        }
        Ok(json!({"matches": matches}))
    }
}
