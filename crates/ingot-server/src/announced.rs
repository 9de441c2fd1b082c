//! The digests a client announces with an upload, verified before anything is visible.

use actix_web::http::header::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingot_core::{Code, Digest, HashKind, Refusal};
use ingot_registry::Announced;

fn add(
    out: &mut Announced,
    header: &str,
    kind: Option<HashKind>,
    bytes: &[u8],
) -> Result<(), Refusal> {
    let size = kind.map_or(32, HashKind::size_bytes);
    if bytes.len() != size {
        return Err(wrong(header, &format!("that digest has {size} bytes")));
    }
    let contradiction = match kind {
        None => {
            let mut sha256 = [0; 32];
            sha256.copy_from_slice(bytes);
            let digest = Digest::from_bytes(sha256);
            out.sha256.replace(digest).is_some_and(|before| before != digest)
        }
        Some(kind) => {
            let hex = hex::encode(bytes);
            match out.others.iter().find(|(other, _)| *other == kind) {
                Some((_, before)) => *before != hex,
                None => {
                    out.others.push((kind, hex));
                    false
                }
            }
        }
    };
    if contradiction {
        return Err(wrong(header, "two headers name different digests of one kind"));
    }
    Ok(())
}

fn wrong(header: &str, detail: &str) -> Refusal {
    Refusal::new(Code::BadRequest, format!("{header}: {detail}"))
}

const HEX_HEADERS: [(&str, Option<HashKind>); 4] = [
    ("X-Checksum-Sha256", None),
    ("X-Checksum-Sha1", Some(HashKind::Sha1)),
    ("X-Checksum-Md5", Some(HashKind::Md5)),
    ("X-Checksum-Sha512", Some(HashKind::Sha512)),
];

/// Reads `X-Checksum-*` (hex), `Content-MD5` (base64), `Repr-Digest` and `Content-Digest`
/// (RFC 9530: dictionaries of byte sequences; algorithms we do not know are ignored).
///
/// Errors: `bad_request` for a wrong shape or length, or headers that contradict each other.
pub fn parse(headers: &HeaderMap) -> Result<Announced, Refusal> {
    let mut out = Announced::default();
    for (header, kind) in HEX_HEADERS {
        for text in texts(headers, header) {
            let bytes = hex::decode(text?.trim()).map_err(|_| wrong(header, "it is not hex"))?;
            add(&mut out, header, kind, &bytes)?;
        }
    }
    for text in texts(headers, "Content-MD5") {
        let bytes =
            STANDARD.decode(text?.trim()).map_err(|_| wrong("Content-MD5", "it is not base64"))?;
        add(&mut out, "Content-MD5", Some(HashKind::Md5), &bytes)?;
    }
    for header in ["Repr-Digest", "Content-Digest"] {
        for text in texts(headers, header) {
            for member in text?.split(',').map(str::trim).filter(|member| !member.is_empty()) {
                dictionary_member(header, member, &mut out)?;
            }
        }
    }
    Ok(out)
}

fn texts<'a>(
    headers: &'a HeaderMap,
    header: &'static str,
) -> impl Iterator<Item = Result<&'a str, Refusal>> {
    headers
        .get_all(header)
        .map(move |value| value.to_str().map_err(|_| wrong(header, "it is not plain text")))
}

/// One `algorithm=:base64:` of a structured dictionary.
fn dictionary_member(header: &str, member: &str, out: &mut Announced) -> Result<(), Refusal> {
    let shape = || wrong(header, "write it as sha-256=:<base64>:");
    let (name, value) = member.split_once('=').ok_or_else(shape)?;
    let kind = match name {
        "sha-256" => None,
        "sha-512" => Some(HashKind::Sha512),
        "sha" => Some(HashKind::Sha1),
        "md5" => Some(HashKind::Md5),
        _ => return Ok(()),
    };
    let inner =
        value.strip_prefix(':').and_then(|value| value.strip_suffix(':')).ok_or_else(shape)?;
    let bytes = STANDARD.decode(inner).map_err(|_| shape())?;
    add(out, header, kind, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn read(pairs: &[(&str, &str)]) -> Result<Announced, Code> {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::try_from(*name).expect("name"),
                HeaderValue::from_str(value).expect("value"),
            );
        }
        parse(&map).map_err(|refusal| refusal.code())
    }

    #[test]
    fn every_spelling_is_read() {
        let digest = Digest::of(b"x");
        let structured = format!("sha-256=:{}:, unixsum=:AAA=:", digest.base64());
        for (name, value) in [
            ("x-checksum-sha256", digest.hex()),
            ("x-checksum-sha256", digest.hex().to_uppercase()),
            ("repr-digest", structured.clone()),
            ("content-digest", structured),
        ] {
            let found = read(&[(name, &value)]).expect("parses");
            assert_eq!(found.sha256, Some(digest), "{name}");
            assert_eq!(found.others, []);
        }
        let md5 = "9dd4e461268c8034f5c8564e155c67a6";
        let found = read(&[
            ("content-md5", "ndTkYSaMgDT1yFZOFVxnpg=="),
            ("x-checksum-md5", md5),
            ("x-checksum-sha1", "11f6ad8ec52a2984abaafd7c3b516503785c2072"),
        ])
        .expect("parses");
        assert_eq!(found.others[0].1, "11f6ad8ec52a2984abaafd7c3b516503785c2072");
        assert_eq!(found.others[1], (HashKind::Md5, md5.to_owned()));
        assert_eq!(found.others.len(), 2);
        assert_eq!(read(&[]), Ok(Announced::default()));
    }

    #[test]
    fn wrong_shapes_and_contradictions_are_bad_requests() {
        let other = Digest::of(b"y").hex();
        let this = Digest::of(b"x").hex();
        for pairs in [
            [("x-checksum-sha256", "zz"), ("x-a", "")],
            [("x-checksum-sha256", "abcd"), ("x-a", "")],
            [("x-checksum-sha256", ""), ("x-a", "")],
            [("x-checksum-sha512", this.as_str()), ("x-a", "")],
            [("content-md5", this.as_str()), ("x-a", "")],
            [("repr-digest", "sha-256"), ("x-a", "")],
            [("repr-digest", "sha-256=abcd"), ("x-a", "")],
            [("repr-digest", "sha-256=:!:"), ("x-a", "")],
            [("repr-digest", "sha-512=:AAAA:"), ("x-a", "")],
            [("x-checksum-sha256", &this), ("x-checksum-sha256", &other)],
        ] {
            assert_eq!(read(&pairs), Err(Code::BadRequest), "{pairs:?}");
        }
    }
}
