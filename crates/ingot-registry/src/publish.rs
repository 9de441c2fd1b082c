//! Publishing: body → spool → format → blobs → commit. Blobs first, ledger last.

use std::io::Read;
use std::sync::Arc;

use ingot_core::digest::HashKind;
use ingot_core::event::FileFact;
use ingot_core::facts::Facts;
use ingot_core::format::{Action, FileSink, Format, Intent, Method, NewFile, Submission};
use ingot_core::names::{Alias, FilePath, Version};
use ingot_core::rules::publish::{Offer, Seal};
use ingot_core::rules::{self, Decision};
use ingot_core::{Code, Coordinate, Digest, HashSet, Origin, PackageName, Refusal, ViewName};
use ingot_storage::{BlobKey, Spooled, Spooler, StorageError};
use serde_json::{Value, json};

use crate::access::{Authorized, Publish};
use crate::committer::Outcome;
use crate::project::Project;
use crate::shapes;
use crate::store::{Registry, Request};

/// Digests of the body that the client announced; all of them are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// sha256.
    pub sha256: Option<Digest>,
    /// The others, lower-case hex.
    pub others: Vec<(HashKind, String)>,
}

/// An upload that was authorised, waiting for its body.
pub struct Upload {
    proof: Authorized<Publish>,
    format: Arc<dyn Format>,
    submission: Submission,
    announced: Announced,
    origin: Origin,
}

impl Registry {
    /// Begins an upload: checks the right, and that there is room, before the body is read.
    pub async fn begin_upload(
        &self,
        proof: &Authorized<Publish>,
        format: &str,
        submission: Submission,
        announced: Announced,
        origin: Origin,
    ) -> Result<(Upload, Spooler), Refusal> {
        if let Some(package) = &submission.package {
            proof.check(package)?;
        }
        self.project(proof.project())?.readiness()?;
        let format = Arc::clone(self.find_format(format).ok_or_else(crate::access::nothing_here)?);
        self.setup().blobs.check_reserve().await.map_err(stored)?;
        let mut hashes = submission.hashes;
        for (kind, _) in &announced.others {
            match kind {
                HashKind::Md5 => hashes.md5 = true,
                HashKind::Sha1 => hashes.sha1 = true,
                HashKind::Sha512 => hashes.sha512 = true,
            }
        }
        let spooler = self.setup().blobs.spool(hashes);
        let proof = proof.clone();
        Ok((Upload { proof, format, submission, announced, origin }, spooler))
    }

    /// Finishes an upload whose body was received whole.
    pub async fn finish_upload(
        &self,
        upload: Upload,
        body: Spooled,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        check_announced(&upload.announced, &body)?;
        let blobs = self.setup().blobs.clone();
        let (format, submission) = (Arc::clone(&upload.format), upload.submission.clone());
        let unpacked = tokio::task::spawn_blocking(move || {
            let hashes = submission.hashes;
            let mut sink = Sink { body: &body, blobs: &blobs, hashes, files: Vec::new() };
            let action = format.unpack(&submission, &mut body.reader(), &mut sink)?;
            Ok::<_, Refusal>((action, sink.files))
        });
        let (action, files) = unpacked.await.map_err(|error| {
            Refusal::new(Code::Internal, "the upload was not read").because(error)
        })??;
        match action {
            Action::Stage { at, intent, origin, labels } => {
                if !labels.is_empty() {
                    return Err(no_such_action());
                }
                upload.proof.check(&at.package)?;
                let mut origin = origin;
                // What the client says wins over what the content says.
                let said = upload.origin;
                origin.commit = said.commit.or(origin.commit);
                origin.source = said.source.or(origin.source);
                origin.build = said.build.or(origin.build);
                self.stage(&upload.proof, upload.format, at, intent, origin, files, request).await
            }
            other => self.act(&upload.proof, other, request).await,
        }
    }

    /// Does what a client asked for without an upload.
    pub async fn act(
        &self,
        proof: &Authorized<Publish>,
        action: Action,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        match action {
            Action::Publish { package, versions } => {
                let mut last = None;
                for version in versions {
                    let at = Coordinate { package: package.clone(), version };
                    last = Some(self.publish_draft(proof, &at, request).await?);
                }
                last.ok_or_else(|| Refusal::new(Code::Invalid, "no version was named to publish"))
            }
            Action::Nothing => {
                let seq = self.seq(proof.project())?;
                Ok(Outcome { seq, fresh: false, body: Value::Null })
            }
            Action::Stage { .. } => {
                Err(Refusal::new(Code::BadRequest, "files come with a body; there was none"))
            }
            Action::Ask(_) | Action::Login(_) => {
                Err(Refusal::new(Code::Internal, "a question reached the door for changes"))
            }
            Action::Label { .. } | Action::Annotate { .. } | Action::Verify { .. } => {
                Err(no_such_action())
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one call site, all of it one upload")]
    async fn stage(
        &self,
        proof: &Authorized<Publish>,
        format: Arc<dyn Format>,
        at: Coordinate,
        intent: Intent,
        origin: Origin,
        files: Vec<(FileFact, Spooled)>,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        let project = self.project(proof.project())?;
        let by = proof.principal().name.clone();
        let mut files = files;
        for (fact, _) in &mut files {
            let blob = project.view()?.find_blob(&fact.digest)?;
            fact.incarnation = blob.map_or(0, |blob| blob.incarnation);
        }
        let facts = files.iter().map(|(fact, _)| fact.clone()).collect();
        let offer = Offer { at, by: by.clone(), files: facts, origin };
        // A look before the bytes are stored: a loser leaves no blob behind. What decides is the
        // same rule inside the committer.
        let preview = {
            let view = project.view()?;
            decide(&view, &offer, intent, &*format)?
        };
        if preview.fresh {
            self.put_blobs(&project, proof, &files).await?;
        }
        let paths: Vec<FilePath> = offer.files.iter().map(|file| file.path.clone()).collect();
        let (asked, answering) = (offer.clone(), offer.at.clone());
        let view = ViewName { project: proof.project().clone(), channel: None };
        let judge = Arc::clone(&format);
        project
            .change(
                &by,
                request,
                move |facts, _| decide(facts, &asked, intent, &*judge),
                move |facts, _, _| {
                    upload_shape(facts, &*format, &view, &answering, &offer.by, &paths, intent)
                },
            )
            .await
    }

    /// Stores content that no published or staged file holds yet.
    async fn put_blobs(
        &self,
        project: &Project,
        proof: &Authorized<Publish>,
        files: &[(FileFact, Spooled)],
    ) -> Result<(), Refusal> {
        for (fact, content) in files {
            let known = project.view()?.find_blob(&fact.digest)?;
            if known.is_some_and(|blob| blob.referenced && blob.incarnation == fact.incarnation) {
                continue;
            }
            let key = BlobKey {
                project: proof.project().clone(),
                digest: fact.digest,
                incarnation: fact.incarnation,
            };
            self.setup().blobs.put(&key, content).await.map_err(stored)?;
        }
        Ok(())
    }

    /// Makes visible what this principal has staged for a release.
    pub async fn publish_draft(
        &self,
        proof: &Authorized<Publish>,
        at: &Coordinate,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        proof.check(&at.package)?;
        let format = Arc::clone(self.format(at.package.format())?);
        let by = proof.principal().name.clone();
        let (asked, answering) = (at.clone(), at.clone());
        self.project(proof.project())?
            .change(
                &by.clone(),
                request,
                move |facts, _| {
                    rules::publish::publish_draft(facts, &asked, &by, &|draft| format.judge(draft))
                },
                move |facts, _, _| release_shape(facts, &answering),
            )
            .await
    }

    /// Freezes a release's file set.
    pub async fn seal(
        &self,
        proof: &Authorized<Publish>,
        package: &PackageName,
        text: &str,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        self.on_release(proof, package, text, request, |_, package, release| {
            Ok(rules::release::seal(package, release))
        })
        .await
    }

    /// Gives a release a further name.
    pub async fn alias(
        &self,
        proof: &Authorized<Publish>,
        package: &PackageName,
        text: &str,
        alias: Alias,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        self.on_release(proof, package, text, request, move |facts, package, release| {
            rules::release::alias(facts, package, release, &alias)
        })
        .await
    }

    pub(crate) async fn on_release<A: crate::access::Act>(
        &self,
        proof: &Authorized<A>,
        package: &PackageName,
        text: &str,
        request: &Request,
        rule: impl Fn(
            &dyn Facts,
            &PackageName,
            &ingot_core::records::ReleaseRecord,
        ) -> Result<Decision, Refusal>
        + Send
        + 'static,
    ) -> Result<Outcome, Refusal> {
        proof.check(package)?;
        let (package, text) = (package.clone(), text.to_owned());
        let (named, meant) = (package.clone(), text.clone());
        self.project(proof.project())?
            .change(
                &proof.principal().name,
                request,
                move |facts, _| {
                    let release = rules::refs::resolve(facts, &package, &text)?;
                    rule(facts, &package, &release)
                },
                move |facts, _, _| {
                    let release = rules::refs::resolve(facts, &named, &meant)?;
                    shapes::release(facts, &named, &release)
                },
            )
            .await
    }
}

/// Labels, notes and checksums come with the formats that have them.
fn no_such_action() -> Refusal {
    Refusal::new(Code::MethodNotAllowed, "this server has no such action")
}

fn decide(
    facts: &dyn Facts,
    offer: &Offer,
    intent: Intent,
    format: &dyn Format,
) -> Result<Decision, Refusal> {
    let seal = match intent {
        Intent::Stage => return rules::publish::stage(facts, offer),
        Intent::Publish => Seal::No,
        Intent::PublishAndSeal => Seal::Yes,
    };
    rules::publish::publish(facts, offer, seal, &|draft| format.judge(draft))
}

fn release_shape(facts: &dyn Facts, at: &Coordinate) -> Result<Value, Refusal> {
    let release = facts.find_release(at)?.ok_or_else(crate::access::nothing_here)?;
    shapes::release(facts, &at.package, &release)
}

/// The answer to an upload: only what never changes, so that a repetition is answered alike.
fn upload_shape(
    facts: &dyn Facts,
    format: &dyn Format,
    view: &ViewName,
    at: &Coordinate,
    by: &str,
    paths: &[FilePath],
    intent: Intent,
) -> Result<Value, Refusal> {
    let release = facts.find_release(at)?;
    let mut shape = json!({"package": at.package, "version": at.version, "purl": at.purl()});
    if intent == Intent::Stage {
        let draft = facts.find_draft(at, by)?.unwrap_or_default();
        let origin = release.as_ref().map_or(&draft.origin, |release| &release.origin);
        let staged =
            draft.files.iter().chain(release.iter().flat_map(|r| r.files.iter().map(|f| &f.fact)));
        let files: Vec<Value> = staged
            .filter(|file| paths.contains(&file.path))
            .map(|file| json!({"path": file.path, "size": file.size, "digest": file.digest}))
            .collect();
        shape["state"] = "draft".into();
        shape["origin"] = shapes::origin(origin);
        flatten(&mut shape, files);
        return Ok(shape);
    }
    let release = release.ok_or_else(crate::access::nothing_here)?;
    let files: Vec<Value> = release
        .files
        .iter()
        .filter(|file| paths.contains(&file.fact.path))
        .map(|file| {
            let mut row = shapes::file(file);
            row["url"] = format.locate(view, at, &file.fact.path).into();
            row
        })
        .collect();
    shape["origin"] = shapes::origin(&release.origin);
    if intent == Intent::PublishAndSeal {
        shape["state"] = "sealed".into();
        shape["release_digest"] = json!(release.digest);
    }
    flatten(&mut shape, files);
    Ok(shape)
}

/// One file's members stand beside the release's; several stand in a list.
fn flatten(shape: &mut Value, mut files: Vec<Value>) {
    if files.len() == 1
        && let (Some(members), Some(Value::Object(file))) = (shape.as_object_mut(), files.pop())
    {
        members.extend(file);
        return;
    }
    shape["files"] = files.into();
}

fn check_announced(announced: &Announced, body: &Spooled) -> Result<(), Refusal> {
    let wrong = |kind: &str, said: &str, found: &str| {
        Refusal::new(
            Code::DigestMismatch,
            format!(
                "the body's {kind} is {found}, but the request announced {said}; the upload was \
                 damaged on the way or the announcement is wrong: nothing was published"
            ),
        )
    };
    if let Some(said) = announced.sha256
        && said != body.digest()
    {
        return Err(wrong("sha256", &said.hex(), &body.digest().hex()));
    }
    for (kind, said) in &announced.others {
        let found = body.hashes().find(*kind).unwrap_or("unknown");
        if said != found {
            return Err(wrong(kind.as_str(), said, found));
        }
    }
    Ok(())
}

/// What the client is told when bytes could not be stored or read.
pub(crate) fn stored(error: StorageError) -> Refusal {
    match &error {
        StorageError::NoSpace { .. } => Refusal::new(
            Code::NoSpace,
            "no space is left for uploads; what is stored can still be read, and uploads work \
             again as soon as there is space",
        ),
        StorageError::ReadOnly => Refusal::new(
            Code::Unavailable,
            "the disk failed to keep a write, so uploads are off until the server is restarted; \
             what is stored can still be read",
        ),
        StorageError::Damaged { digest, .. } => Refusal::new(
            Code::Damaged,
            format!("the stored content {digest} is damaged; restore it from a copy of the store"),
        ),
        StorageError::Missing { digest, .. } => Refusal::new(
            Code::Damaged,
            format!("the stored content {digest} is missing; restore it from a copy of the store"),
        ),
        _ => Refusal::new(Code::Unavailable, "the blob store cannot be reached; try again"),
    }
    .because(error)
}

/// Spools the files that a format finds in a body. Those of a refused body vanish with it.
struct Sink<'a> {
    body: &'a Spooled,
    blobs: &'a ingot_storage::Blobs,
    hashes: HashSet,
    files: Vec<(FileFact, Spooled)>,
}

impl Sink<'_> {
    fn take(&mut self, file: NewFile, content: Spooled) -> FileFact {
        let fact = FileFact {
            path: file.path,
            size: content.size(),
            digest: content.digest(),
            hashes: content.hashes().clone(),
            media_type: file.media_type,
            incarnation: 0,
            piece: file.piece,
        };
        self.files.push((fact.clone(), content));
        fact
    }
}

impl FileSink for Sink<'_> {
    fn adopt(&mut self, file: NewFile) -> Result<FileFact, Refusal> {
        Ok(self.take(file, self.body.clone()))
    }

    fn create(&mut self, file: NewFile, content: &mut dyn Read) -> Result<FileFact, Refusal> {
        let mut writer = self.blobs.spool_writer(self.hashes);
        std::io::copy(content, &mut writer)?;
        let content = writer.finish().map_err(stored)?;
        Ok(self.take(file, content))
    }
}

// What a format may be asked by the server before there is a body.
impl Registry {
    /// What a request means in a format.
    pub fn parse(
        &self,
        format: &str,
        request: &ingot_core::format::Request<'_>,
    ) -> Result<ingot_core::format::Call, Refusal> {
        let format = self.find_format(format).ok_or_else(crate::access::nothing_here)?;
        if request.view.channel.is_some()
            && !matches!(request.method, Method::Get | Method::Options)
        {
            return Err(Refusal::new(
                Code::MethodNotAllowed,
                format!(
                    "a channel is read-only; publish to /{}/{}/… and promote the release",
                    format.name(),
                    request.view.project
                ),
            ));
        }
        format.parse(request)
    }
}

/// A version that does not parse names nothing.
pub(crate) fn version(text: &str) -> Result<Version, Refusal> {
    Version::new(text).map_err(|_| crate::access::nothing_here())
}
