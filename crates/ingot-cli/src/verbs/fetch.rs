//! `fetch`: download a file, and let nothing through that is not the very content asked for.
//!
//! The bytes go to a temporary file beside the target and are hashed on the way. Only when their
//! sha256 is the one the server announced (and, where the release was looked at, the one recorded
//! there) does the file get its name. What fails leaves nothing behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ingot_core::{Digest, FilePath, PackageName};
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, Response, Url};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use crate::args::Fetch;
use crate::client::{ANSWER_TIMEOUT, Client, Repeat, TRIES_MAX, innermost};
use crate::coordinate::PLAIN_FORMAT;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::table::{short, size};
use crate::verbs::{list, text};

/// A download of which nothing came for so long is given up.
const STALL: Duration = Duration::from_secs(60);
/// Most redirects that are followed; a channel's answers with one.
const REDIRECTS_MAX: usize = 3;

/// What is asked for.
#[derive(Debug)]
struct Wanted {
    url: Url,
    /// What the release records of the file, where it was looked at.
    digest: Option<Digest>,
}

/// What came.
#[derive(Debug)]
struct Received {
    size: u64,
    digest: Digest,
}

pub(crate) async fn fetch(session: &Session, args: &Fetch) -> Result<Outcome, Failure> {
    let package = &args.target.package;
    if package.format().as_str() != PLAIN_FORMAT {
        return Err(Failure::Usage(format!(
            "{package}: files of other than {PLAIN_FORMAT} packages are fetched with the client \
             that their format has"
        )));
    }
    let wanted = wanted(session, args).await?;
    let (url, response) = follow(session, args, wanted.url).await?;
    let headers = response.headers().clone();
    let expected = expected(wanted.digest, announced(&headers))?;
    let target = target(args, &url)?;
    let temporary = temporary(&target)?;
    let received = receive(session, response, &temporary, &target).await?;
    if received.digest != expected {
        return Err(Failure::Failed {
            code: "damaged",
            detail: format!("what came is {}, not {expected}; it was thrown away", received.digest),
            hint: Some("try again; if it happens again, `ingot verify` on the server".to_owned()),
        });
    }
    keep(temporary, &target)?;
    let document = document(args, &headers, &url, &received, &target);
    session.output.answer(&document, || fetched_text(args, &document));
    Ok(Outcome::Done)
}

/// The URL to ask; where only the release knows its file's name, after a look at the release.
async fn wanted(session: &Session, args: &Fetch) -> Result<Wanted, Failure> {
    let package = &args.target.package;
    let view = match &args.channel {
        None => session.project().to_owned(),
        Some(channel) => format!("{}@{channel}", session.project()),
    };
    let Some(reference) = &args.target.reference else {
        if args.channel.is_none() {
            return Err(Failure::Usage(format!(
                "say which release: {package}@VERSION, or {package} --in CHANNEL for what is \
                 current there"
            )));
        }
        let url = file_url(&session.client, &view, package, None, args.file.as_ref());
        return Ok(Wanted { url, digest: None });
    };
    if let (Some(_), Some(file)) = (&args.channel, &args.file) {
        // A token for this channel alone may not be able to look at the release.
        let url = file_url(&session.client, &view, package, Some(reference), Some(file));
        return Ok(Wanted { url, digest: None });
    }
    let name = package.to_string();
    let path = ["packages", &name, "releases", reference];
    let url = session.client.api(session.project(), &path, &[]);
    let release = match session.client.get(url).await {
        Ok(answer) => answer.body,
        Err(Failure::Refused(problem)) if args.channel.is_some() && problem.status == 404 => {
            return Err(Failure::Failed {
                code: "not_found",
                detail: problem.detail().to_owned(),
                hint: Some(
                    "name the file too: a token for a channel alone may fetch it, but not look \
                     at the release to see which it has"
                        .to_owned(),
                ),
            });
        }
        Err(failure) => return Err(failure),
    };
    let (file, digest) = choose(list(&release, "files")?, args.file.as_ref())?;
    let version = text(&release, "version")?;
    let url = file_url(&session.client, &view, package, Some(version), Some(&file));
    Ok(Wanted { url, digest: Some(digest) })
}

fn file_url(
    client: &Client,
    view: &str,
    package: &PackageName,
    reference: Option<&str>,
    file: Option<&FilePath>,
) -> Url {
    let mut segments = vec![package.format().as_str(), view, package.name()];
    segments.extend(reference);
    segments.extend(file.map(FilePath::as_str));
    client.url(&segments, &[])
}

/// The file asked for, or the only one.
fn choose(files: &[Value], asked: Option<&FilePath>) -> Result<(FilePath, Digest), Failure> {
    let mut found = Vec::new();
    for file in files {
        let strange = |refusal: ingot_core::Refusal| Failure::strange(refusal.detail());
        let path = FilePath::new(text(file, "path")?).map_err(strange)?;
        let digest = text(file, "digest")?.parse::<Digest>().map_err(strange)?;
        if asked.is_none_or(|asked| *asked == path) {
            found.push((path, digest));
        }
    }
    if found.len() == 1 {
        return Ok(found.remove(0));
    }
    let names: Vec<&str> = files.iter().filter_map(|file| text(file, "path").ok()).collect();
    let names = names.join(", ");
    Err(match asked {
        Some(asked) => Failure::local(format!("the release has no file {asked}; it has {names}")),
        None => Failure::Usage(format!("say which of the release's files: {names}")),
    })
}

/// Asks, and follows redirects: to the same server only, since it is the one the token is for.
async fn follow(session: &Session, args: &Fetch, mut url: Url) -> Result<(Url, Response), Failure> {
    for _ in 0..=REDIRECTS_MAX {
        let make = async || Ok(session.client.request(Method::GET, url.clone()));
        let sent = session.client.send(Repeat::Safe, make);
        let response = tokio::time::timeout(ANSWER_TIMEOUT * TRIES_MAX, sent)
            .await
            .map_err(|_| stalled(ANSWER_TIMEOUT * TRIES_MAX))??;
        if !response.status().is_redirection() {
            return Ok((url, response));
        }
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let project = session.project();
        let channel = args.channel.as_ref().map(|channel| format!("{project}@{channel}"));
        let view = channel.as_deref().unwrap_or(project);
        let format = args.target.package.format().as_str();
        url = location
            .and_then(|location| redirect(&url, location, &format!("/{format}/{view}/")))
            .ok_or_else(|| Failure::strange("the server redirects to where nothing can be"))?;
    }
    Err(Failure::strange("the server redirects in circles"))
}

/// Where a redirect leads, on the server that was asked. A server that is reached by another name
/// than its public one answers with the public one: then the path below `view` is what counts.
fn redirect(asked: &Url, location: &str, view: &str) -> Option<Url> {
    let found = asked.join(location).ok()?;
    if found.origin() == asked.origin() {
        return Some(found);
    }
    let (_, below) = found.path().split_once(view)?;
    let (prefix, _) = asked.path().split_once(view)?;
    let mut url = asked.clone();
    url.set_path(&format!("{prefix}{view}{below}"));
    url.set_query(found.query());
    Some(url)
}

/// The digest that the answer's head announces for the body.
fn announced(headers: &HeaderMap) -> Option<Digest> {
    let value = headers.get("repr-digest")?.to_str().ok()?;
    value.split(',').find_map(|member| {
        let member = member.trim();
        member.strip_prefix("sha-256=:")?;
        match ingot_core::digest::AnyDigest::parse(member).ok()? {
            ingot_core::digest::AnyDigest::Sha256(digest) => Some(digest),
            ingot_core::digest::AnyDigest::Other(..) => None,
        }
    })
}

fn expected(recorded: Option<Digest>, announced: Option<Digest>) -> Result<Digest, Failure> {
    match (recorded, announced) {
        (Some(recorded), Some(announced)) if recorded != announced => Err(Failure::Failed {
            code: "damaged",
            detail: format!(
                "the release records {recorded}, but the server announces {announced}; nothing \
                 was saved"
            ),
            hint: None,
        }),
        (Some(digest), _) | (None, Some(digest)) => Ok(digest),
        (None, None) => {
            Err(Failure::strange("the server does not say the file's sha256; nothing was saved"))
        }
    }
}

/// Where the file goes: the path asked for, in the directory asked for, or here under its name.
fn target(args: &Fetch, url: &Url) -> Result<PathBuf, Failure> {
    let last = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or("");
    let name = match &args.file {
        Some(file) => file.clone(),
        None => FilePath::new(last)
            .map_err(|_| Failure::strange(format!("{last:?} is not the name of a file")))?,
    };
    let target = match &args.output {
        None => PathBuf::from(name.as_str()),
        Some(path) if path.is_dir() => path.join(name.as_str()),
        Some(path) => path.clone(),
    };
    match std::fs::metadata(&target) {
        Ok(metadata) if !metadata.is_file() => {
            Err(Failure::Usage(format!("{} is not a file and stays as it is", target.display())))
        }
        _ => Ok(target),
    }
}

/// A file beside the target that goes away by itself unless it is kept.
fn temporary(target: &Path) -> Result<NamedTempFile, Failure> {
    let dir = match target.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ingot-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any program makes its files: what the umask leaves.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
        .tempfile_in(dir)
        .map_err(|error| Failure::local(format!("cannot write in {}: {error}", dir.display())))
}

async fn receive(
    session: &Session,
    mut response: Response,
    temporary: &NamedTempFile,
    target: &Path,
) -> Result<Received, Failure> {
    let unwritable =
        |error: std::io::Error| Failure::local(format!("{}: {error}", target.display()));
    let mut file = tokio::fs::File::from_std(temporary.reopen().map_err(unwritable)?);
    let length = response.content_length();
    let name = target.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let bar = session.output.progress(&format!("fetching {name}"), length.unwrap_or(0));
    let mut hash = Sha256::new();
    let mut size = 0;
    loop {
        let chunk = tokio::time::timeout(STALL, response.chunk())
            .await
            .map_err(|_| stalled(STALL))?
            .map_err(|error| cut(size, length, &innermost(&error)))?;
        let Some(chunk) = chunk else { break };
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(unwritable)?;
        size += chunk.len() as u64;
        bar.inc(chunk.len() as u64);
    }
    if length.is_some_and(|length| length != size) {
        return Err(cut(size, length, "the end came early"));
    }
    file.flush().await.map_err(unwritable)?;
    file.sync_all().await.map_err(unwritable)?;
    bar.finish_and_clear();
    Ok(Received { size, digest: Digest::from_bytes(hash.finalize().into()) })
}

fn keep(temporary: NamedTempFile, target: &Path) -> Result<(), Failure> {
    let kept = temporary.persist(target);
    kept.map_err(|error| Failure::local(format!("{}: {}", target.display(), error.error)))?;
    Ok(())
}

fn cut(size: u64, length: Option<u64>, reason: &str) -> Failure {
    let of = length.map_or_else(String::new, |length| format!(" of {length}"));
    Failure::Failed {
        code: "cut_off",
        detail: format!("the transfer ended after {size}{of} bytes: {reason}; nothing was saved"),
        hint: Some("try again; if it happens again, `ingot verify` on the server".to_owned()),
    }
}

fn stalled(after: Duration) -> Failure {
    Failure::Failed {
        code: "no_answer",
        detail: format!("nothing came for {} seconds; nothing was saved", after.as_secs()),
        hint: None,
    }
}

fn document(
    args: &Fetch,
    headers: &HeaderMap,
    url: &Url,
    received: &Received,
    target: &Path,
) -> Value {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let purl = header("ingot-release");
    let version = purl.and_then(|purl| purl.rsplit_once('@')).map(|(_, text)| text);
    json!({
        "package": args.target.package,
        "version": version.map(|version| version.replace("%2B", "+")),
        "purl": purl,
        "commit": header("ingot-commit"),
        "channel": args.channel,
        "path": url.path_segments().and_then(|mut segments| segments.next_back()),
        "size": received.size,
        "digest": received.digest,
        "url": url.as_str(),
        "saved_as": target.to_string_lossy(),
    })
}

fn fetched_text(args: &Fetch, document: &Value) -> String {
    let text = |member: &str| crate::verbs::find_text(document, member);
    let bytes = document.get("size").and_then(Value::as_u64).unwrap_or(0);
    let version = text("version").unwrap_or("?");
    let from = match &args.channel {
        Some(channel) => format!(" from {channel}"),
        None => String::new(),
    };
    crate::table::clean_lines(&format!(
        "{}@{version}{from}, commit {}\n  {}  {}  {}",
        args.target.package,
        short(text("commit")),
        text("saved_as").unwrap_or("?"),
        size(bytes),
        text("digest").unwrap_or("?"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_with_the_server_that_was_asked() {
        let check = |asked: &str, location: &str, expected: Option<&str>| {
            let asked = Url::parse(asked).unwrap();
            let found = redirect(&asked, location, "/raw/main@prod/");
            assert_eq!(found.as_ref().map(Url::as_str), expected, "{location}");
        };
        let asked = "http://127.0.0.1:8470/raw/main@prod/a";
        let pinned = "http://127.0.0.1:8470/raw/main@prod/a/1/a.zip";
        check(asked, "/raw/main@prod/a/1/a.zip", Some(pinned));
        check(asked, pinned, Some(pinned));
        check(asked, "https://ingot.example.org/raw/main@prod/a/1/a.zip", Some(pinned));
        check(asked, "https://ingot.example.org/below/raw/main@prod/a/1/a.zip", Some(pinned));
        check(asked, "https://evil.example.org/steal", None);
        check(
            "http://127.0.0.1/below/raw/main@prod/a",
            "https://ingot.example.org/raw/main@prod/a/1/a.zip",
            Some("http://127.0.0.1/below/raw/main@prod/a/1/a.zip"),
        );
    }

    #[test]
    fn the_announced_digest_is_read_among_others() {
        let digest = Digest::of(b"x");
        let check = |value: String, expected: Option<Digest>| {
            let mut headers = HeaderMap::new();
            headers.insert("repr-digest", value.parse().unwrap());
            assert_eq!(announced(&headers), expected, "{value}");
        };
        check(format!("sha-256=:{}:", digest.base64()), Some(digest));
        check(format!("sha-512=:AAAA:, sha-256=:{}:", digest.base64()), Some(digest));
        check("md5=:AAAA:".into(), None);
        check("sha-256=:AAAA:".into(), None);
    }

    #[test]
    fn what_is_recorded_and_what_is_announced_must_agree() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(expected(Some(a), Some(a)).unwrap(), a);
        assert_eq!(expected(None, Some(b)).unwrap(), b);
        assert_eq!(expected(Some(a), None).unwrap(), a);
        assert_eq!(expected(Some(a), Some(b)).unwrap_err().code(), "damaged");
        assert!(expected(None, None).is_err());
    }

    #[test]
    fn the_only_file_needs_no_name() {
        let digest = Digest::of(b"a");
        let file = |path: &str| json!({"path": path, "digest": digest});
        let name = |text: &str| FilePath::new(text).unwrap();
        assert_eq!(choose(&[file("a.zip")], None).unwrap(), (name("a.zip"), digest));
        let two = [file("a.zip"), file("b.zip")];
        assert_eq!(choose(&two, Some(&name("b.zip"))).unwrap().0, name("b.zip"));
        assert!(choose(&two, None).unwrap_err().to_string().contains("a.zip, b.zip"));
        assert!(choose(&two, Some(&name("c.zip"))).is_err());
        assert!(choose(&[file("../x")], None).is_err(), "a path that leaves the directory");
    }
}
