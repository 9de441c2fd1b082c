//! The headers of every answer that carries a file.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use ingot_core::records::FileRecord;
use ingot_core::{HashKind, Origin};

use crate::conditional::format_date;

/// What a file may do in a browser: nothing.
pub const CONTENT_SECURITY_POLICY: &str = "sandbox; default-src 'none'";

/// Whether others than the one who asked may keep a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The read needed no token.
    Public,
    /// The read needed a token: shared caches keep out.
    Private,
}

/// The strong entity tag of content.
pub fn etag(file: &FileRecord) -> String {
    format!("\"{}\"", file.fact.digest.hex())
}

/// The headers that are the same for the whole file and each part of it, but for the length.
/// `purl` names the release.
pub fn file_headers(
    file: &FileRecord,
    purl: &str,
    origin: &Origin,
    audience: Audience,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut out = validator_headers(file, audience);
    let mut set = |name: HeaderName, value: String| {
        // What stands in these comes from names that were parsed; a value that could not be a
        // header would have been refused at publish.
        if let Ok(value) = HeaderValue::try_from(value) {
            out.push((name, value));
        }
    };
    let fact = &file.fact;
    set(header::CONTENT_TYPE, fact.media_type.clone());
    set(header::ACCEPT_RANGES, "bytes".to_owned());
    set(HeaderName::from_static("repr-digest"), format!("sha-256=:{}:", fact.digest.base64()));
    set(HeaderName::from_static("x-checksum-sha256"), fact.digest.hex());
    for (kind, name) in [
        (HashKind::Sha1, "x-checksum-sha1"),
        (HashKind::Md5, "x-checksum-md5"),
        (HashKind::Sha512, "x-checksum-sha512"),
    ] {
        if let Some(hex) = fact.hashes.find(kind) {
            set(HeaderName::from_static(name), hex.to_owned());
        }
    }
    set(HeaderName::from_static("ingot-release"), purl.to_owned());
    if let Some(commit) = &origin.commit {
        set(HeaderName::from_static("ingot-commit"), commit.to_string());
    }
    set(header::CONTENT_DISPOSITION, disposition(fact.path.as_str()));
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
    set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY.to_owned());
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin".to_owned());
    out
}

/// The headers that a 304 carries too.
pub fn validator_headers(file: &FileRecord, audience: Audience) -> Vec<(HeaderName, HeaderValue)> {
    let cache = match audience {
        Audience::Public => "public, max-age=31536000, immutable",
        Audience::Private => "private, max-age=31536000, immutable",
    };
    let mut out = vec![
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::VARY, HeaderValue::from_static("Authorization")),
    ];
    let pairs =
        [(header::ETAG, Some(etag(file))), (header::LAST_MODIFIED, format_date(file.published_at))];
    for (name, value) in pairs {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            out.push((name, value));
        }
    }
    out
}

/// `Content-Disposition` for a file name: quoted ASCII, or the extended form of RFC 6266.
pub fn disposition(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._+-@=~".contains(&b);
    if name.bytes().all(plain) {
        format!("attachment; filename=\"{name}\"")
    } else {
        format!("attachment; filename*=UTF-8''{}", crate::listing::encode(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ingot_core::event::FileFact;
    use ingot_core::{Digest, Hashes};

    fn record() -> FileRecord {
        FileRecord {
            fact: FileFact {
                path: "a+1.zip".parse().expect("path"),
                size: 3,
                digest: Digest::of(b"abc"),
                hashes: Hashes { md5: Some("0".repeat(32)), ..Hashes::default() },
                media_type: "application/zip".into(),
                incarnation: 0,
                piece: None,
            },
            published_at: "2026-01-02T03:04:05.678Z".parse().expect("time"),
            published_by: "ci".into(),
        }
    }

    #[test]
    fn a_file_answers_with_all_its_facts() {
        let origin =
            Origin { commit: Some("abcdef0".parse().expect("commit")), ..Origin::default() };
        let headers = file_headers(&record(), "pkg:raw/app@1", &origin, Audience::Private);
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        lines.sort();
        insta::assert_snapshot!(lines.join("\n"));
        let public = validator_headers(&record(), Audience::Public);
        assert!(public.iter().any(|(_, value)| value.as_bytes().starts_with(b"public,")));
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(disposition("a.zip"), "attachment; filename=\"a.zip\"");
        for nasty in ["x\";filename=evil.html", "x\r\nSet-Cookie: a", "\u{202e}piz.a"] {
            let value = disposition(nasty);
            assert!(value.starts_with("attachment; filename*=UTF-8''"), "{value}");
            assert!(HeaderValue::try_from(&value).is_ok());
            assert!(
                !value.contains(['"', ';', '\r']) || value.matches(';').count() == 1,
                "{value}"
            );
        }
    }
}
