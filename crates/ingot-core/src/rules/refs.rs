//! What a reference means: a version, an alias, a release digest, a commit, in this order.

use serde_json::{Value, json};

use crate::digest::Digest;
use crate::facts::Facts;
use crate::names::{Alias, Coordinate, PackageName, Version};
use crate::origin::CommitSha;
use crate::records::ReleaseRecord;
use crate::refusal::{Code, Refusal};

/// Most candidates named when a reference fits several releases.
pub const CANDIDATES_MAX: usize = 20;

/// The release a reference means; 404 when there is none, 409 with the candidates when several.
pub fn resolve(
    facts: &dyn Facts,
    package: &PackageName,
    text: &str,
) -> Result<ReleaseRecord, Refusal> {
    let release =
        |version: Version| facts.find_release(&Coordinate { package: package.clone(), version });
    if let Ok(version) = Version::new(text)
        && let Some(found) = release(version)?
    {
        return Ok(found);
    }
    if let Ok(alias) = Alias::new(text)
        && let Some(version) = facts.find_alias(package, &alias)?
        && let Some(found) = release(version)?
    {
        return Ok(found);
    }
    let mut versions = Vec::new();
    if text.starts_with("sha256:") {
        versions = facts.versions_by_digest(package, &text.parse::<Digest>()?)?;
    } else if let Ok(commit) = text.parse::<CommitSha>() {
        versions = facts
            .versions_by_commit(package, &commit, CANDIDATES_MAX)?
            .into_iter()
            .map(|(_, version)| version)
            .collect();
    }
    match versions.as_slice() {
        [] => Err(not_found(package, text)),
        [version] => release(version.clone())?.ok_or_else(|| not_found(package, text)),
        several => Err(ambiguous(
            format!("{text} fits {} releases of {package}; name one by its version", several.len()),
            several
                .iter()
                .map(|version| Coordinate { package: package.clone(), version: version.clone() }),
        )),
    }
}

fn not_found(package: &PackageName, text: &str) -> Refusal {
    Refusal::new(
        Code::NotFound,
        format!(
            "{package} has no release that is called {text}, by version, alias, digest or commit"
        ),
    )
}

/// 409 with the releases to choose from.
pub fn ambiguous(detail: String, candidates: impl IntoIterator<Item = Coordinate>) -> Refusal {
    let candidates: Vec<Value> = candidates
        .into_iter()
        .map(|at| json!({"package": at.package, "version": at.version, "purl": at.purl()}))
        .collect();
    Refusal::new(Code::Ambiguous, detail).with("candidates", candidates)
}
