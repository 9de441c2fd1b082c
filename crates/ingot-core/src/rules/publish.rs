//! Publishing: draft → published, one content per name for ever.

use crate::canonical::release_digest;
use crate::event::{Event, FileFact};
use crate::facts::Facts;
use crate::format::{DraftView, Publication};
use crate::names::{Alias, Coordinate, FilePath};
use crate::origin::Origin;
use crate::records::{DraftRecord, ReleaseRecord};
use crate::refusal::{Code, Refusal};
use crate::rules::{Decision, is_reserved};

/// Most files one release, or one draft, may have.
pub const RELEASE_FILES_MAX: usize = 2_000;

/// A format's verdict on a draft.
pub type Judge<'a> = &'a dyn Fn(&DraftView<'_>) -> Result<Publication, Refusal>;

/// Files offered for a release, already spooled and hashed.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The release.
    pub at: Coordinate,
    /// Who offers them: drafts belong to who made them.
    pub by: String,
    /// The files.
    pub files: Vec<FileFact>,
    /// What is said about their origin.
    pub origin: Origin,
}

/// Puts files into the draft. The same path may be staged again with other bytes; what is
/// published already may only be staged again as it is.
pub fn stage(facts: &dyn Facts, offer: &Offer) -> Result<Decision, Refusal> {
    check_version(facts, &offer.at)?;
    let published = facts.find_release(&offer.at)?;
    let draft = facts.find_draft(&offer.at, &offer.by)?.unwrap_or_default();
    let origin = join_origin(published.as_ref(), &draft, &offer.origin, &offer.at)?;
    let mut files = draft.files.clone();
    let mut events = Vec::new();
    for file in &offer.files {
        if let Some(published) = &published
            && is_published(published, file, &offer.at)?
        {
            continue;
        }
        let staged = files.iter().find(|other| other.path == file.path);
        if staged.is_some_and(|other| other.digest == file.digest) && draft.origin == origin {
            continue;
        }
        place(&mut files, file)?;
        events.push(Event::Staged {
            package: offer.at.package.clone(),
            version: offer.at.version.clone(),
            file: file.clone(),
            origin: origin.clone(),
        });
    }
    check_room(published.as_ref(), &files)?;
    let fresh = !events.is_empty();
    Ok(Decision { events, fresh })
}

/// Makes files visible, together with all the draft holds. `seal` freezes the file set as well.
pub fn publish(
    facts: &dyn Facts,
    offer: &Offer,
    seal: Seal,
    judge: Judge<'_>,
) -> Result<Decision, Refusal> {
    check_version(facts, &offer.at)?;
    let published = facts.find_release(&offer.at)?;
    let staged = facts.find_draft(&offer.at, &offer.by)?;
    let mut draft = staged.clone().unwrap_or_default();
    draft.origin = join_origin(published.as_ref(), &draft, &offer.origin, &offer.at)?;
    for file in &offer.files {
        place(&mut draft.files, file)?;
    }
    let mut added = Vec::new();
    for file in &draft.files {
        match &published {
            Some(release) if is_published(release, file, &offer.at)? => {}
            _ => added.push(file.clone()),
        }
    }
    if let Some(release) = &published {
        check_open(release, &added, &offer.at)?;
    }
    check_room(published.as_ref(), &draft.files)?;
    let mut events = Vec::new();
    if !added.is_empty() || (published.is_none() && staged.is_some()) {
        let view = DraftView { at: &offer.at, draft: &draft, published: published.as_ref() };
        let publication = judge(&view)?;
        events.push(Event::Published {
            package: offer.at.package.clone(),
            version: offer.at.version.clone(),
            files: added.clone(),
            origin: draft.origin.clone(),
            unpromotable: publication.unpromotable,
        });
    }
    let fresh = !events.is_empty();
    let sealed = published.as_ref().is_some_and(|release| release.digest.is_some());
    if seal == Seal::Yes && !sealed {
        let before = published.iter().flat_map(|release| &release.files).map(|file| &file.fact);
        events.push(Event::Sealed {
            package: offer.at.package.clone(),
            version: offer.at.version.clone(),
            digest: release_digest(before.chain(&added), &draft.origin),
        });
    }
    Ok(Decision { events, fresh })
}

/// Whether publishing seals as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// The file set is frozen.
    Yes,
    /// New paths stay welcome.
    No,
}

/// Makes visible what the principal has staged; 200 when it is visible already, else 404.
pub fn publish_draft(
    facts: &dyn Facts,
    at: &Coordinate,
    by: &str,
    judge: Judge<'_>,
) -> Result<Decision, Refusal> {
    if facts.find_draft(at, by)?.is_none() {
        return match facts.find_release(at)? {
            Some(_) => Ok(Decision::same()),
            None => Err(Refusal::new(
                Code::NotFound,
                format!("you have no draft of {at}; a draft belongs to the token that uploaded it"),
            )),
        };
    }
    let offer =
        Offer { at: at.clone(), by: by.to_owned(), files: Vec::new(), origin: Origin::default() };
    publish(facts, &offer, Seal::No, judge)
}

fn check_version(facts: &dyn Facts, at: &Coordinate) -> Result<(), Refusal> {
    if is_reserved(facts, at.version.as_str())? {
        return Err(Refusal::new(
            Code::Reserved,
            format!(
                "{} cannot be a version: it would mean whatever is there now; \
                 publish under a version of its own and promote it",
                at.version
            ),
        ));
    }
    if let Some(twin) = facts.find_case_twin(at)?
        && twin != at.version
    {
        return Err(Refusal::new(
            Code::CaseConflict,
            format!("{} already has a version {twin}, which differs only by case", at.package),
        )
        .with("existing", twin.as_str()));
    }
    let alias = Alias::new(at.version.as_str())?;
    if let Some(version) = facts.find_alias(&at.package, &alias)?
        && version != at.version
    {
        return Err(Refusal::new(
            Code::AliasTaken,
            format!("{alias} is an alias of {}@{version}; an alias never moves", at.package),
        ));
    }
    Ok(())
}

/// The origin after an offer: fixed by the first published file, free to be filled in before.
fn join_origin(
    published: Option<&ReleaseRecord>,
    draft: &DraftRecord,
    offered: &Origin,
    at: &Coordinate,
) -> Result<Origin, Refusal> {
    let conflict = |(member, ours, theirs): (&str, String, String)| {
        Refusal::new(
            Code::OriginConflict,
            format!(
                "{at} was published with {member} {ours}, and this upload says {theirs}; \
                 what comes from elsewhere needs a version of its own"
            ),
        )
        .with("member", member)
        .with("existing", ours)
        .with("offered", theirs)
    };
    if let Some(release) = published {
        for later in [&draft.origin, offered] {
            if let Some(found) = release.origin.contradiction(later) {
                return Err(conflict(found));
            }
        }
        return Ok(release.origin.clone());
    }
    let mut origin = draft.origin.clone();
    // A draft without a commit has not said "none" yet: only what is published has.
    let said = Origin {
        commit: origin.commit.as_ref().and(offered.commit.clone()),
        source: origin.source.as_ref().and(offered.source.clone()),
        build: origin.build.as_ref().and(offered.build.clone()),
    };
    if let Some(found) = origin.contradiction(&said) {
        return Err(conflict(found));
    }
    let longer = match (&origin.commit, &offered.commit) {
        (Some(ours), Some(theirs)) => theirs.as_str().len() > ours.as_str().len(),
        (ours, _) => ours.is_none(),
    };
    if longer {
        origin.commit = offered.commit.clone();
    }
    origin.source = origin.source.or_else(|| offered.source.clone());
    origin.build = origin.build.or_else(|| offered.build.clone());
    Ok(origin)
}

/// Whether exactly this file is published; other bytes under its name are a conflict.
fn is_published(
    release: &ReleaseRecord,
    file: &FileFact,
    at: &Coordinate,
) -> Result<bool, Refusal> {
    match release.find_file(&file.path) {
        None => {
            let paths = release.files.iter().map(|file| &file.fact.path);
            check_case(paths, &file.path)?;
            Ok(false)
        }
        Some(existing) if existing.fact.digest == file.digest => Ok(true),
        Some(existing) => Err(Refusal::new(
            Code::ContentConflict,
            format!(
                "{} of {at} is published with {}, and this upload is {}; a published file never \
                 changes: publish the new content under a new version",
                file.path, existing.fact.digest, file.digest
            ),
        )
        .with("existing", existing.fact.digest.to_string())
        .with("offered", file.digest.to_string())),
    }
}

/// Puts a file among a draft's, in order of path, replacing one of the same name.
fn place(files: &mut Vec<FileFact>, file: &FileFact) -> Result<(), Refusal> {
    match files.binary_search_by(|other| other.path.cmp(&file.path)) {
        Ok(at) => files[at] = file.clone(),
        Err(at) => {
            check_case(files.iter().map(|file| &file.path), &file.path)?;
            files.insert(at, file.clone());
        }
    }
    Ok(())
}

fn check_case<'a>(
    mut taken: impl Iterator<Item = &'a FilePath>,
    path: &FilePath,
) -> Result<(), Refusal> {
    let twin =
        taken.find(|other| *other != path && other.as_str().eq_ignore_ascii_case(path.as_str()));
    match twin {
        None => Ok(()),
        Some(twin) => Err(Refusal::new(
            Code::CaseConflict,
            format!("the release already has a file {twin}, which differs only by case"),
        )
        .with("existing", twin.as_str())),
    }
}

fn check_open(release: &ReleaseRecord, added: &[FileFact], at: &Coordinate) -> Result<(), Refusal> {
    let Some(first) = added.first() else { return Ok(()) };
    if release.digest.is_some() {
        return Err(Refusal::new(
            Code::Sealed,
            format!(
                "{at} is sealed and takes no more files, so {} cannot be added; \
                 publish a new version",
                first.path
            ),
        ));
    }
    if release.blocked.is_some() {
        return Err(Refusal::new(
            Code::Blocked,
            format!("{at} is blocked and takes no more files until it is unblocked"),
        ));
    }
    Ok(())
}

fn check_room(published: Option<&ReleaseRecord>, files: &[FileFact]) -> Result<(), Refusal> {
    let mut count = files.len();
    if let Some(release) = published {
        count += release.files.len();
        count -= files.iter().filter(|file| release.find_file(&file.path).is_some()).count();
    }
    if count > RELEASE_FILES_MAX {
        return Err(Refusal::new(
            Code::Invalid,
            format!("a release has at most {RELEASE_FILES_MAX} files; pack them into an archive"),
        ));
    }
    Ok(())
}
