//! What is done to one release after it was published: seal, alias, block, unblock.

use crate::canonical::release_digest;
use crate::event::Event;
use crate::facts::Facts;
use crate::names::{Alias, PackageName, Version};
use crate::records::ReleaseRecord;
use crate::refusal::{Code, Refusal};
use crate::rules::{Decision, is_reserved};

/// Most aliases one release may have.
pub const ALIASES_MAX: usize = 100;

/// The event that seals a release, or none when it is sealed.
pub fn seal_event(package: &PackageName, release: &ReleaseRecord) -> Option<Event> {
    if release.digest.is_some() {
        return None;
    }
    let files = release.files.iter().map(|file| &file.fact);
    Some(Event::Sealed {
        package: package.clone(),
        version: release.version.clone(),
        digest: release_digest(files, &release.origin),
    })
}

/// Freezes the file set and fixes the release digest.
pub fn seal(package: &PackageName, release: &ReleaseRecord) -> Decision {
    match seal_event(package, release) {
        Some(event) => Decision::fresh(vec![event]),
        None => Decision::same(),
    }
}

/// Gives a release a further name.
pub fn alias(
    facts: &dyn Facts,
    package: &PackageName,
    release: &ReleaseRecord,
    alias: &Alias,
) -> Result<Decision, Refusal> {
    if is_reserved(facts, alias.as_str())? {
        return Err(Refusal::new(
            Code::Reserved,
            format!("{alias} cannot be an alias: it would mean whatever is there now"),
        ));
    }
    let taken = |version: &Version| {
        Refusal::new(
            Code::AliasTaken,
            format!("{alias} already names {package}@{version}; an alias never moves"),
        )
        .with("existing", version.as_str())
    };
    if let Some(version) = facts.find_alias(package, alias)? {
        return if version == release.version {
            Ok(Decision::same())
        } else {
            Err(taken(&version))
        };
    }
    let same = Version::new(alias.as_str())?;
    if same == release.version {
        return Ok(Decision::same());
    }
    let at = crate::names::Coordinate { package: package.clone(), version: same };
    if facts.find_release(&at)?.is_some() {
        return Err(taken(&at.version));
    }
    if release.aliases.len() >= ALIASES_MAX {
        return Err(Refusal::new(
            Code::Invalid,
            format!("a release has at most {ALIASES_MAX} aliases"),
        ));
    }
    Ok(Decision::fresh(vec![Event::Aliased {
        package: package.clone(),
        version: release.version.clone(),
        alias: alias.clone(),
    }]))
}

/// Stops serving a release, everywhere and at once.
pub fn block(package: &PackageName, release: &ReleaseRecord) -> Decision {
    if release.blocked.is_some() {
        return Decision::same();
    }
    Decision::fresh(vec![Event::Blocked {
        package: package.clone(),
        version: release.version.clone(),
    }])
}

/// Serves a blocked release again.
pub fn unblock(package: &PackageName, release: &ReleaseRecord) -> Decision {
    if release.blocked.is_none() {
        return Decision::same();
    }
    Decision::fresh(vec![Event::Unblocked {
        package: package.clone(),
        version: release.version.clone(),
    }])
}
