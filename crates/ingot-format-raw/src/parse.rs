//! What a request means, and the URL that means a file.

use ingot_core::format::{
    Body, Call, DocumentRef, FileRef, Intent, Method, ReleaseRef, Request, Submission,
};
use ingot_core::{Code, Coordinate, Digest, FilePath, HashSet, Refusal, ViewName};

use crate::listing::Level;
use crate::{NAME, grammar};

/// The segment under which content is found by digest; no package can be called so.
const BY_CONTENT: &str = "-";

pub(crate) fn parse(request: &Request<'_>) -> Result<Call, Refusal> {
    match request.method {
        Method::Get => read(request),
        Method::Put => write(request),
        Method::Delete => Err(not_allowed(
            request,
            "what was published is never deleted or changed; to stop serving a release, block it \
             (`ingot block`)",
        )),
        Method::Post => Err(not_allowed(request, "upload with PUT, one file to one URL")),
        Method::Options => Err(not_allowed(request, "no other site's pages may read from here")),
    }
}

/// Refuses a method, and names those that are allowed: the server makes a header of them.
fn not_allowed(request: &Request<'_>, words: &str) -> Refusal {
    let allow: &[&str] = match request.view.channel {
        None => &["GET", "HEAD", "PUT"],
        Some(_) => &["GET", "HEAD"],
    };
    Refusal::new(Code::MethodNotAllowed, words).with("allow", allow)
}

fn nothing(words: impl Into<String>) -> Refusal {
    Refusal::new(Code::NotFound, words)
}

fn write(request: &Request<'_>) -> Result<Call, Refusal> {
    let project = &request.view.project;
    if let Some(channel) = &request.view.channel {
        let words = format!(
            "a channel only changes by promotion: publish to \
             /{NAME}/{project}/<package>/<version>/<file>, then promote the release to {channel}"
        );
        return Err(not_allowed(request, &words));
    }
    let (false, [package, version, file]) = (request.directory, request.segments) else {
        return Err(Refusal::new(
            Code::Invalid,
            format!(
                "upload to /{NAME}/{project}/<package>/<version>/<file>, for example {}",
                grammar::EXAMPLE
            ),
        ));
    };
    let package = grammar::package(package)?;
    let version = grammar::version(version)?;
    let path = grammar::file(file)?;
    grammar::refuse_reserved(&version)?;
    let intent = match (switch(request, "draft")?, switch(request, "seal")?) {
        (false, false) => Intent::Publish,
        (true, false) => Intent::Stage,
        (false, true) => Intent::PublishAndSeal,
        (true, true) => {
            return Err(Refusal::new(
                Code::BadRequest,
                "draft=true and seal=true contradict each other: a draft is not published yet",
            ));
        }
    };
    Ok(Call::Submit(Submission {
        kind: "file",
        rest: Vec::new(),
        body: Body::File,
        package: Some(package),
        version: Some(version),
        path: Some(path),
        hashes: HashSet::default(),
        intent,
    }))
}

/// A parameter that is `true`, `false` or absent; given twice it must say the same.
fn switch(request: &Request<'_>, name: &str) -> Result<bool, Refusal> {
    let mut said = None;
    for (_, value) in request.query.iter().filter(|(key, _)| key == name) {
        let value = match value.as_str() {
            "true" => true,
            "false" => false,
            _ => {
                return Err(Refusal::new(
                    Code::BadRequest,
                    format!("the query parameter {name} is either true or false"),
                ));
            }
        };
        if said.is_some_and(|before| before != value) {
            return Err(Refusal::new(
                Code::BadRequest,
                format!("the query parameter {name} is given twice, with different values"),
            ));
        }
        said = Some(value);
    }
    Ok(said.unwrap_or(false))
}

fn read(request: &Request<'_>) -> Result<Call, Refusal> {
    if request.directory {
        return list(request);
    }
    let fetch = |file| Ok(Call::Fetch(file));
    let in_channel = request.view.channel.is_some();
    match request.segments {
        [dash, kind, hex] if dash == BY_CONTENT && kind == "sha256" => {
            fetch(FileRef::Content(Digest::from_hex(hex)?))
        }
        [package, release, file] => {
            let package = grammar::package(package).map_err(not_here)?;
            grammar::check_reference(release).map_err(not_here)?;
            let path = grammar::file(file).map_err(not_here)?;
            fetch(FileRef::Pinned { package, release: ReleaseRef::Any(release.clone()), path })
        }
        [package, file] if in_channel => {
            let package = grammar::package(package).map_err(not_here)?;
            let path = Some(grammar::file(file).map_err(not_here)?);
            fetch(FileRef::Current { package, path })
        }
        [package] if in_channel => {
            let package = grammar::package(package).map_err(not_here)?;
            fetch(FileRef::Current { package, path: None })
        }
        [] | [_] | [_, _] => Err(nothing(
            "there is no file here; end the path in '/' for a listing, or ask for \
             <package>/<version>/<file>",
        )),
        _ => Err(nothing("files are at <package>/<version>/<file>")),
    }
}

fn list(request: &Request<'_>) -> Result<Call, Refusal> {
    let after = request.query("after").map(str::to_owned);
    let document = |level: Level, package, version: Option<&String>| {
        let rest = level.rest(version.map(String::as_str), after.as_deref());
        Ok(Call::Render(DocumentRef { package, kind: level.kind(), rest }))
    };
    match request.segments {
        [] => document(Level::Packages, None, None),
        [package] => {
            let package = grammar::package(package).map_err(not_here)?;
            document(Level::Versions, Some(package), None)
        }
        [package, version] => {
            let package = grammar::package(package).map_err(not_here)?;
            grammar::version(version).map_err(not_here)?;
            document(Level::Files, Some(package), Some(version))
        }
        _ => Err(nothing("listings end at <package>/<version>/")),
    }
}

/// What nobody can publish is not there; only a malformed digest is said to be one.
fn not_here(refusal: Refusal) -> Refusal {
    match refusal.code() {
        Code::Invalid => nothing("nothing was ever published under a name like this"),
        _ => refusal,
    }
}

/// The path of a file in a view; `parse` reads it back.
pub(crate) fn locate(view: &ViewName, at: &Coordinate, path: &FilePath) -> String {
    let mut out = format!("/{NAME}/{view}");
    for segment in [at.package.name(), at.version.as_str(), path.as_str()] {
        out.push('/');
        for c in segment.chars() {
            // Allowed in a path (RFC 3986), but widely taken for a space.
            match c {
                '+' => out.push_str("%2B"),
                _ => out.push(c),
            }
        }
    }
    out
}
