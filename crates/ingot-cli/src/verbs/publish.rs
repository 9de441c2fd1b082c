//! `publish`: hash, upload, make visible.
//!
//! Each file is read twice: once for its digest, which the server is told before the body so that
//! a byte changed on the way is refused, and once to send it. All files but the last are staged;
//! the last one publishes them all in one change, so that nobody sees half of a release.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingot_core::{FilePath, Origin, PackageName, Version};
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::args::Publish;
use crate::client::{ANSWER_TIMEOUT, Answer, Repeat, answer};
use crate::coordinate::{PLAIN_FORMAT, ReleaseName};
use crate::environment::Environment;
use crate::failure::{Failure, Outcome};
use crate::local_file::{self, Measured};
use crate::session::Session;
use crate::table::{short, size};
use crate::verbs::find_text;
use crate::verbs::releases::act;

/// Variables in which CI systems name the commit they build.
const COMMIT_VARIABLES: [&str; 4] =
    ["GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "BUILD_SOURCEVERSION"];
/// An upload of which nothing was sent or answered for so long is given up.
const STALL: Duration = ANSWER_TIMEOUT;

/// A file to upload: where it is, and what it shall be called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Upload {
    path: PathBuf,
    name: FilePath,
}

pub(crate) async fn publish(session: &Session, args: &Publish) -> Result<Outcome, Failure> {
    let (package, version) = &args.release;
    check_format(package, version)?;
    let uploads = uploads(args)?;
    let origin = origin(args)?;
    if args.commit.is_none() && !uploads.is_empty() {
        note_missing_commit(session, &session.environment);
    }
    let release = ReleaseName { package: package.clone(), reference: version.to_string() };
    let mut document = match uploads.split_last() {
        None => {
            let answer = act(session, &release, "publish", None).await?;
            if args.seal { act(session, &release, "seal", None).await? } else { answer }
        }
        Some((last, others)) => {
            for upload in others {
                put(session, args, upload, &[("draft", "true")], &origin).await?;
            }
            let query: &[(&str, &str)] = match (args.draft, args.seal) {
                (true, _) => &[("draft", "true")],
                (_, true) => &[("seal", "true")],
                _ => &[],
            };
            let answer = put(session, args, last, query, &origin).await?.body;
            if args.draft { answer } else { seen(session, &release, answer).await }
        }
    };
    for alias in &args.alias {
        let package = package.to_string();
        let path = ["packages", &package, "releases", version.as_str(), "aliases"];
        let url = session.client.api(session.project(), &path, &[]);
        let body = json!({"name": alias});
        document = session.client.post(url, &body, HeaderMap::new()).await?.body;
    }
    session.output.answer(&document, || published_text(&release, args.draft, &document));
    Ok(Outcome::Done)
}

/// The release as everybody sees it now. It is published whether or not the look succeeds (a
/// token may publish but not read), so the upload's own answer, the file, will do as well.
async fn seen(session: &Session, release: &ReleaseName, answer: Value) -> Value {
    let package = release.package.to_string();
    let path = ["packages", package.as_str(), "releases", release.reference.as_str()];
    let url = session.client.api(session.project(), &path, &[]);
    session.client.get(url).await.map_or(answer, |found| found.body)
}

fn check_format(package: &PackageName, version: &Version) -> Result<(), Failure> {
    let format = package.format().as_str();
    if format == PLAIN_FORMAT {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{package}@{version}: only {PLAIN_FORMAT} packages are published with `ingot publish`; \
         publish this one with the client that {format} packages have, pointed at \
         <server>/{format}/<project>/"
    )))
}

/// Reads the file arguments: `PATH`, or `PATH=NAME` where no file is called that.
fn uploads(args: &Publish) -> Result<Vec<Upload>, Failure> {
    if args.name.is_some() && args.files.len() != 1 {
        return Err(Failure::Usage(
            "--as names the only file; with several, write each as PATH=NAME".to_owned(),
        ));
    }
    let mut uploads = Vec::new();
    let mut names = BTreeSet::new();
    for argument in &args.files {
        let upload = match &args.name {
            Some(name) => Upload { path: argument.clone(), name: name.clone() },
            None => upload(argument, argument.exists())?,
        };
        if !names.insert(upload.name.clone()) {
            return Err(Failure::Usage(format!(
                "two files would be called {}; name them with PATH=NAME",
                upload.name
            )));
        }
        uploads.push(upload);
    }
    Ok(uploads)
}

fn upload(argument: &Path, exists: bool) -> Result<Upload, Failure> {
    let shown = argument.display();
    if !exists
        && let Some(text) = argument.to_str()
        && let Some((path, name)) = text.rsplit_once('=')
    {
        let name = FilePath::new(name)
            .map_err(|refusal| Failure::Usage(format!("{shown}: {}", refusal.detail())))?;
        return Ok(Upload { path: PathBuf::from(path), name });
    }
    let name = argument.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let name = FilePath::new(name).map_err(|refusal| {
        Failure::Usage(format!(
            "{shown}: {}; give it another name with {shown}=NAME",
            refusal.detail()
        ))
    })?;
    Ok(Upload { path: argument.to_path_buf(), name })
}

fn origin(args: &Publish) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    let mut add = |name: &'static str, value: &str| -> Result<(), Failure> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Failure::Usage(format!("{name}: {value:?} cannot be sent")))?;
        headers.insert(HeaderName::from_static(name), value);
        Ok(())
    };
    if let Some(commit) = &args.commit {
        add("ingot-commit", commit.as_str())?;
    }
    let named =
        [("ingot-source", "--source", &args.source), ("ingot-build", "--build", &args.build)];
    for (header, flag, url) in named {
        if let Some(url) = url {
            let url = Origin::check_url(flag, url)
                .map_err(|refusal| Failure::Usage(refusal.detail().to_owned()))?;
            add(header, &url)?;
        }
    }
    Ok(headers)
}

/// Nothing is taken from the environment by itself: what is built in a checkout of one commit by
/// a job that was started for another would carry the wrong name for ever.
fn note_missing_commit(session: &Session, environment: &Environment) {
    let found = COMMIT_VARIABLES.into_iter().find(|name| environment.var(name).is_some());
    let argument = found.map_or("$(git rev-parse HEAD)".to_owned(), |name| format!("${name}"));
    session.output.note(&format!(
        "without a commit nobody can say what this was built from; \
         give it with --commit \"{argument}\""
    ));
}

async fn put(
    session: &Session,
    args: &Publish,
    upload: &Upload,
    query: &[(&str, &str)],
    origin: &HeaderMap,
) -> Result<Answer, Failure> {
    let (package, version) = &args.release;
    let segments = [package.format().as_str(), session.project(), package.name(), version.as_str()];
    let segments: Vec<&str> = segments.into_iter().chain([upload.name.as_str()]).collect();
    let url = session.client.url(&segments, query);
    let hint = local_file::size_hint(&upload.path).await;
    let hashing = session.output.progress(&format!("hashing {}", upload.name), hint);
    let Measured { size, digest } = local_file::measure(&upload.path, &hashing).await?;
    let sending = session.output.progress(&format!("sending {}", upload.name), size);
    let make = async || {
        let body = local_file::body(&upload.path, size, sending.clone()).await?;
        Ok(session
            .client
            .request(Method::PUT, url.clone())
            .headers(origin.clone())
            .header(CONTENT_LENGTH, size)
            .header("repr-digest", format!("sha-256=:{}:", digest.base64()))
            .body(body))
    };
    let sent = session.client.send(Repeat::Safe, make);
    let response = unless_stalled(STALL, sent, || sending.position()).await;
    sending.finish_and_clear();
    answer(response?).await
}

/// Gives up on work whose position did not change for `stall`. A limit on the whole upload
/// would be wrong for somebody: what takes a second here takes an hour elsewhere.
async fn unless_stalled<T>(
    stall: Duration,
    work: impl Future<Output = Result<T, Failure>>,
    position: impl Fn() -> u64,
) -> Result<T, Failure> {
    let watch = async {
        let mut last = position();
        loop {
            tokio::time::sleep(stall).await;
            let now = position();
            if now == last {
                return;
            }
            last = now;
        }
    };
    tokio::select! {
        done = work => done,
        () = watch => Err(Failure::Failed {
            code: "no_answer",
            detail: format!("the server took no more bytes for {} seconds", stall.as_secs()),
            hint: Some("the same command again does nothing twice".to_owned()),
        }),
    }
}

fn published_text(release: &ReleaseName, is_draft: bool, document: &Value) -> String {
    if is_draft {
        return format!("staged for {release}; nobody sees it before `ingot publish {release}`");
    }
    let state = find_text(document, "state").unwrap_or("published");
    let commit = document.get("origin").and_then(|origin| find_text(origin, "commit"));
    let files = document.get("files").and_then(Value::as_array);
    let mut lines = vec![format!("{state} {release}, commit {}", short(commit))];
    for file in files.into_iter().flatten() {
        let bytes = file.get("size").and_then(Value::as_u64).unwrap_or(0);
        lines.push(format!(
            "  {}  {}  {}",
            find_text(file, "path").unwrap_or("-"),
            size(bytes),
            find_text(file, "digest").unwrap_or("-")
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn check(argument: &str, exists: bool, expected: Option<(&str, &str)>) {
        let found = upload(Path::new(argument), exists).ok();
        let expected = expected
            .map(|(path, name)| Upload { path: PathBuf::from(path), name: name.parse().unwrap() });
        assert_eq!(found, expected, "{argument}");
    }

    #[test]
    fn a_file_is_called_as_it_is_unless_it_is_named() {
        check("out/thumb.zip", true, Some(("out/thumb.zip", "thumb.zip")));
        check("out/thumb.zip=t.zip", false, Some(("out/thumb.zip", "t.zip")));
        check("out/a=b.zip", true, Some(("out/a=b.zip", "a=b.zip")));
        check("out/a=b.zip=c.zip", false, Some(("out/a=b.zip", "c.zip")));
        check("out/with blank.zip", true, None);
        check("out/x.zip=../y", false, None);
        check("/", true, None);
    }

    fn args(line: &str) -> Publish {
        use clap::Parser;
        let cli = crate::args::Cli::try_parse_from(line.split_whitespace()).unwrap();
        match cli.verb {
            crate::args::Verb::Publish(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_given_once_and_to_one_file() {
        for (line, fine) in [
            ("ingot publish raw:a@1 x/a.zip y/b.zip", true),
            ("ingot publish raw:a@1 x/a.zip y/a.zip", false),
            ("ingot publish raw:a@1 x/a.zip y/a.zip=b.zip", true),
            ("ingot publish raw:a@1 x/a.zip --as b.zip", true),
            ("ingot publish raw:a@1 x/a.zip y/c.zip --as b.zip", false),
        ] {
            assert_eq!(uploads(&args(line)).is_ok(), fine, "{line}");
        }
    }

    #[test]
    fn origins_become_headers_and_bad_urls_are_refused() {
        let line = "ingot publish raw:a@1 a.zip --commit ABCDEF0 --source https://git/x";
        let headers = origin(&args(line)).unwrap();
        assert_eq!(headers["ingot-commit"], "abcdef0");
        assert_eq!(headers["ingot-source"], "https://git/x");
        assert!(!headers.contains_key("ingot-build"));
        assert!(origin(&args("ingot publish raw:a@1 a.zip --build javascript:x")).is_err());
    }

    #[test]
    fn other_formats_are_left_to_their_clients() {
        let other = args("ingot publish npm:@acme/ui@1 ui.tgz");
        let failure = check_format(&other.release.0, &other.release.1).unwrap_err();
        assert_eq!(failure.exit_code(), crate::failure::USAGE);
        assert!(failure.to_string().contains("/npm/"), "{failure}");
    }

    #[tokio::test]
    async fn an_upload_that_stands_still_is_given_up() {
        let stall = Duration::from_millis(5);
        let failure = unless_stalled(stall, std::future::pending::<Result<(), _>>(), || 7).await;
        assert_eq!(failure.unwrap_err().code(), "no_answer");
        let sent = Cell::new(0);
        let position = || {
            sent.set(sent.get() + 1);
            sent.get()
        };
        let work = async {
            tokio::time::sleep(stall * 20).await;
            Ok(())
        };
        unless_stalled(stall, work, position).await.unwrap();
    }
}
