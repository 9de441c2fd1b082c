//! What requests mean, and that `locate` and `parse` are each other's inverse.

use ingot_core::format::{Body, Call, DocumentRef, FileRef, Format, Intent, Method, ReleaseRef};
use ingot_core::{Code, Coordinate, Digest, FilePath, HashSet, Refusal, Version};
use ingot_format_raw::RawFormat;
use proptest::prelude::*;

use crate::{ask, view};

fn get(at: &str, path: &str) -> Result<Call, Refusal> {
    ask(Method::Get, at, path)
}
fn put(path: &str) -> Result<Call, Refusal> {
    ask(Method::Put, "main", path)
}
fn code(asked: Result<Call, Refusal>) -> Code {
    asked.map(|call| panic!("understood as {call:?}")).expect_err("refused").code()
}

#[test]
fn puts_are_submissions() {
    for (path, intent) in [
        ("thumb/1.4.2/thumb.zip", Intent::Publish),
        ("thumb/1.4.2/thumb.zip?draft=false&seal=false", Intent::Publish),
        ("thumb/1.4.2/thumb.zip?draft=true", Intent::Stage),
        ("thumb/1.4.2/thumb.zip?seal=true&seal=true", Intent::PublishAndSeal),
        ("thumb/1.4.2/thumb.zip?draft=false&seal=true&other=thing", Intent::PublishAndSeal),
    ] {
        let Ok(Call::Submit(submission)) = put(path) else { panic!("{path}") };
        assert_eq!(submission.intent, intent, "{path}");
        assert_eq!(submission.package, Some("raw:thumb".parse().expect("package")));
        assert_eq!((submission.kind, submission.body), ("file", Body::File));
        assert_eq!(submission.version.as_ref().map(Version::as_str), Some("1.4.2"));
        assert_eq!(submission.path.as_ref().map(FilePath::as_str), Some("thumb.zip"));
        assert_eq!(submission.hashes, HashSet::default());
    }
}

#[test]
fn puts_that_mean_nothing_are_refused() {
    for query in ["draft=true&seal=true", "draft=1", "draft", "seal=TRUE", "draft=true&draft=false"]
    {
        assert_eq!(code(put(&format!("thumb/1/t.zip?{query}"))), Code::BadRequest, "{query}");
    }
    for path in [
        "",
        "thumb",
        "thumb/1",
        "thumb/1/t.zip/",
        "thumb/1/a/t.zip",
        "Thumb/1/t.zip",
        "thumb/.1/t.zip",
        "thumb/1%20/t.zip",
        "thumb/1/.t",
        "thumb/1/t%2Fu",
        "thumb/1/a~b",
        "-/sha256/0",
        "th%C3%BCmb/1/t.zip",
        "thumb/1/con.zip",
    ] {
        let refusal = put(path).expect_err(path);
        assert_eq!(refusal.code(), Code::Invalid, "{path}");
        assert!(refusal.detail().contains("thumbnailer"), "an example: {}", refusal.detail());
    }
    for version in ["latest", "Latest", "CURRENT", "stable", "head", "HEAD"] {
        assert_eq!(code(put(&format!("thumb/{version}/t.zip"))), Code::Reserved, "{version}");
    }
}

#[test]
fn other_methods_are_refused_and_say_what_to_do() {
    for (method, at, words) in [
        (Method::Delete, "main", "block"),
        (Method::Delete, "main@prod", "block"),
        (Method::Post, "main", "PUT"),
        (Method::Options, "main", "site"),
        (Method::Put, "main@prod", "/raw/main/<package>/<version>/<file>"),
    ] {
        let refusal = ask(method, at, "thumb/1.0/t.zip").expect_err("refused");
        assert_eq!(refusal.code(), Code::MethodNotAllowed);
        assert!(refusal.detail().contains(words), "{}", refusal.detail());
        let allowed = refusal.members()["allow"].to_string();
        assert_eq!(allowed.contains("PUT"), at == "main", "{allowed}");
    }
}

#[test]
fn gets_are_files_by_release_by_channel_and_by_content() {
    let package: ingot_core::PackageName = "raw:thumb".parse().expect("package");
    let path: FilePath = "t+1.zip".parse().expect("path");
    let pinned = |release: &str| {
        let (package, path) = (package.clone(), path.clone());
        Call::Fetch(FileRef::Pinned { package, release: ReleaseRef::Any(release.into()), path })
    };
    let digest = Digest::of(b"ingot");
    for at in ["main", "main@prod"] {
        for release in ["1.4.2", "latest", "build-7", "0123abc", &digest.to_string()] {
            let asked = get(at, &format!("thumb/{release}/t%2B1.zip")).expect(release);
            assert_eq!(asked, pinned(release), "{at} {release}");
        }
        let content = get(at, &format!("-/sha256/{}", digest.hex())).expect("content");
        assert_eq!(content, Call::Fetch(FileRef::Content(digest)));
    }
    let current = |path| Call::Fetch(FileRef::Current { package: package.clone(), path });
    assert_eq!(get("main@prod", "thumb/t+1.zip").expect("file"), current(Some(path.clone())));
    assert_eq!(get("main@prod", "thumb").expect("package"), current(None));
}

#[test]
fn gets_of_what_cannot_exist_find_nothing() {
    for at in ["main", "main@prod"] {
        for path in
            ["Thumb/1/t", "thumb/.1/t", "thumb/1/~t", "thumb/1/t/u", "thumb/md5:0/t", "-/md5/0"]
        {
            assert_eq!(code(get(at, path)), Code::NotFound, "{at} {path}");
        }
        for path in ["-/sha256/00", "-/sha256/latest", "thumb/sha256:00/t", "thumb/sha256:/t"] {
            assert_eq!(code(get(at, path)), Code::BadRequest, "{at} {path}");
        }
        let upper = Digest::of(b"ingot").hex().to_uppercase();
        assert_eq!(code(get(at, &format!("-/sha256/{upper}"))), Code::BadRequest);
    }
    for path in ["thumb", "thumb/1", "thumb/t.zip"] {
        assert_eq!(code(get("main", path)), Code::NotFound, "{path}");
    }
    for path in ["Thumb", "thumb/~t"] {
        assert_eq!(code(get("main@prod", path)), Code::NotFound, "{path}");
    }
}

#[test]
fn paths_that_end_in_a_slash_are_listings() {
    for at in ["main", "main@prod"] {
        for (path, package, kind, rest) in [
            ("", None, "packages", &[""][..]),
            ("?after=m&x=y", None, "packages", &["", "m"]),
            ("thumb/", Some("raw:thumb"), "versions", &[""]),
            ("thumb/?after=a%2Bb", Some("raw:thumb"), "versions", &["", "a+b"]),
            ("thumb/1.4.2/", Some("raw:thumb"), "files", &["1.4.2"]),
            ("thumb/1.4.2/?after=b", Some("raw:thumb"), "files", &["1.4.2", "b"]),
        ] {
            let expected = DocumentRef {
                package: package.map(|name| name.parse().expect("package")),
                kind,
                rest: rest.iter().map(|part| (*part).to_owned()).collect(),
            };
            assert_eq!(get(at, path).expect(path), Call::Render(expected), "{at} {path}");
        }
        for path in ["Thumb/", "thumb/.1/", "thumb/1/t.zip/", "-/"] {
            assert_eq!(code(get(at, path)), Code::NotFound, "{at} {path}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_located_is_parsed_back(
        at in "[a-z][a-z0-9_-]{0,8}(@[a-z]{1,8})?",
        package in "[a-z0-9][a-z0-9._-]{0,127}",
        version in "[A-Za-z0-9][A-Za-z0-9._+-]{0,127}",
        file in "[A-Za-z0-9][A-Za-z0-9._+@=-]{0,254}",
    ) {
        let names = (at.parse::<ingot_core::ViewName>(), format!("raw:{package}").parse(),
            version.parse::<Version>(), file.parse::<FilePath>());
        let (Ok(at), Ok(package), Ok(version), Ok(path)) = names else {
            return Err(TestCaseError::reject("names that the core refuses"));
        };
        let coordinate = Coordinate { package, version };
        let located = RawFormat::default().locate(&at, &coordinate, &path);
        prop_assert!(located.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-@=%".contains(&b)));
        let start = format!("/raw/{at}/");
        let rest = located.strip_prefix(&start).expect("format and view first");
        let Ok(call) = get(&at.to_string(), rest) else {
            // Names that the core takes and this format does not, such as `a..b` or `nul`.
            prop_assert!(put(rest).is_err());
            return Ok(());
        };
        let release = ReleaseRef::Any(coordinate.version.to_string());
        let package = coordinate.package.clone();
        let expected = FileRef::Pinned { package, release, path };
        prop_assert_eq!(call, Call::Fetch(expected));
    }
}

#[test]
fn located_paths_look_like_this() {
    let coordinate = Coordinate {
        package: "raw:thumb".parse().expect("name"),
        version: "1+7".parse().expect("version"),
    };
    let path = "a@b=c+d.zip".parse().expect("path");
    let located = RawFormat::default().locate(&view("main@prod"), &coordinate, &path);
    assert_eq!(located, "/raw/main@prod/thumb/1%2B7/a@b=c%2Bd.zip");
}
