//! Answers to the calls of formats: files, documents, uploads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix_web::HttpResponse;
use actix_web::HttpResponseBuilder;
use actix_web::body::{BoxBody, SizedStream};
use actix_web::dev::RequestHead;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use ingot_core::format::{Call, Document, DocumentRef, Done, Format, Submission, Target};
use ingot_core::grant::Principal;
use ingot_core::origin::CommitSha;
use ingot_core::{Code, Digest, HashKind, Origin, Refusal};
use ingot_registry::{Authorized, BlobBody, Found, Outcome, Publish, Read, Request};
use ingot_storage::StorageError;

use crate::announced;
use crate::body::Body;
use crate::conditional::{Validators, Verdict, evaluate};
use crate::edge::{Edge, Permit};
use crate::file_headers::{self, Audience, etag, file_headers, validator_headers};
use crate::listing;
use crate::metrics::InFlight;
use crate::ranges::{self, ByteRange};

/// Bytes of a file handed to the connection at once. actix copies each piece into its write
/// buffer, which is kept small by small pieces.
pub const PIECE_BYTES: usize = 64 * 1024;

/// Who asks, and in which request.
pub struct Asker<'a> {
    /// The request's head.
    pub head: &'a RequestHead,
    /// Who.
    pub principal: &'a Principal,
    /// The request's id.
    pub request_id: &'a str,
}

impl Asker<'_> {
    fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }
    fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }
    fn is_head(&self) -> bool {
        self.head.method == Method::HEAD
    }
    fn audience(&self) -> Audience {
        if self.principal.is_anonymous() { Audience::Public } else { Audience::Private }
    }
}

/// Answers a call that was admitted.
pub async fn answer(
    edge: &Edge,
    asker: &Asker<'_>,
    format: &dyn Format,
    call: Call,
    permit: Permit,
    asked: &str,
    body: &mut Body,
) -> Result<HttpResponse, Refusal> {
    match (call, permit) {
        (Call::Fetch(file), Permit::Read(proof)) => {
            let found = edge.registry.find_file(&proof, format.name(), &file)?;
            send_file(edge, asker, &found).await
        }
        (Call::Checksum { of: Target::File(file), kind }, Permit::Read(proof)) => {
            let found = edge.registry.find_file(&proof, format.name(), &file)?;
            send_checksum(asker, &found, kind)
        }
        (Call::Checksum { of: Target::Document(_), .. }, Permit::Read(_)) => {
            Err(not_yet("a checksum of this document"))
        }
        (Call::Render(document), Permit::Read(proof)) => {
            send_document(edge, asker, format, &proof, document, asked).await
        }
        (Call::Submit(submission), Permit::Publish(proof)) => {
            let done = receive(edge, asker, format, &proof, submission, body).await?;
            Ok(changed(edge, asker, &done, None, asked))
        }
        (Call::Submit(_), Permit::Read(_)) => Err(not_yet("asking with a body")),
        (Call::Submit(_), Permit::Nothing) => Err(not_yet("logging in")),
        (Call::Act(action), Permit::Publish(proof)) => {
            let request =
                Request { id: asker.request_id.to_owned(), reason: None, idempotency: None };
            let done = edge.registry.act(&proof, action.clone(), &request).await?;
            let told = format.accept(&Done::Changed { action: &action, fresh: done.fresh });
            Ok(changed(edge, asker, &done, told, asked))
        }
        (Call::Reply(document), _) => Ok(document_answer(asker, document, asked)),
        (Call::Identity, _) => {
            let name = &asker.principal.name;
            match format.accept(&Done::Identity(name)) {
                Some(document) => Ok(document_answer(asker, document, asked)),
                None => Ok(HttpResponse::Ok().json(serde_json::json!({"username": name}))),
            }
        }
        (Call::Fetch(_) | Call::Checksum { .. } | Call::Render(_) | Call::Act(_), _) => {
            Err(Refusal::new(Code::Internal, "a call came without the proof it needs"))
        }
    }
}

fn not_yet(what: &str) -> Refusal {
    Refusal::new(Code::NotFound, format!("{what} is not offered by this server"))
}

fn set(answer: &mut HttpResponseBuilder, headers: Vec<(HeaderName, HeaderValue)>) {
    for (name, value) in headers {
        answer.insert_header((name, value));
    }
}

/// A file, a part of one, a redirect to its pinned URL, or 304.
async fn send_file(edge: &Edge, asker: &Asker<'_>, found: &Found) -> Result<HttpResponse, Refusal> {
    let location = format!("{}{}", edge.base_path(), found.location);
    let purl = found.at.purl();
    if found.moving {
        let mut answer = HttpResponse::TemporaryRedirect();
        answer
            .insert_header((header::LOCATION, location))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header(("ingot-release", purl));
        if let Some(commit) = &found.origin.commit {
            answer.insert_header(("ingot-commit", commit.as_str()));
        }
        return Ok(answer.finish());
    }
    let etag = etag(&found.file);
    let validators = Validators { etag: &etag, modified: Some(found.file.published_at) };
    let with_location = |answer: &mut HttpResponseBuilder| {
        answer.insert_header((header::CONTENT_LOCATION, location.clone()));
    };
    match evaluate(asker.headers(), &validators) {
        Verdict::Proceed => {}
        Verdict::NotModified => {
            let mut answer = HttpResponse::NotModified();
            set(&mut answer, validator_headers(&found.file, asker.audience()));
            with_location(&mut answer);
            return Ok(answer.finish());
        }
        Verdict::Failed => {
            return Err(Refusal::new(
                Code::PreconditionFailed,
                format!("the file is {}, not the one the request names", found.file.fact.digest),
            ));
        }
    }
    let size = found.file.fact.size;
    // A range is defined for GET alone (RFC 9110, 14.2).
    let range = asker.header(header::RANGE).filter(|_| !asker.is_head());
    let range = ranges::select(range, asker.header(header::IF_RANGE), size, &validators)?;
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut answer = HttpResponse::build(status);
    set(&mut answer, file_headers(&found.file, &purl, &found.origin, asker.audience()));
    with_location(&mut answer);
    if let Some(range) = range {
        answer.insert_header((header::CONTENT_RANGE, range.content_range(size)));
    }
    let length = range.map_or(size, ByteRange::size_bytes);
    if asker.is_head() {
        let nothing = futures_util::stream::empty::<Result<Bytes, StorageError>>();
        return Ok(answer.body(SizedStream::new(length, nothing)));
    }
    let bytes = range.map(|range| range.first..range.last + 1);
    let body = match edge.registry.read(found, bytes).await? {
        BlobBody::Whole(bytes) => return Ok(answer.body(bytes)),
        BlobBody::Stream(stream) => stream,
    };
    let pieces = body.flat_map(|piece| {
        let (error, bytes) = match piece {
            Ok(bytes) => (None, bytes),
            Err(error) => (Some(error), Bytes::new()),
        };
        let whole = (0..bytes.len()).step_by(PIECE_BYTES);
        let parts: Vec<_> = whole
            .map(|at| Ok(bytes.slice(at..bytes.len().min(at + PIECE_BYTES))))
            .chain(error.map(Err))
            .collect();
        futures_util::stream::iter(parts)
    });
    let digest = found.file.fact.digest;
    let request_id = asker.request_id.to_owned();
    let metrics = Arc::clone(&edge.metrics);
    let told = pieces.inspect(move |piece| {
        if let Err(error) = piece {
            if matches!(error, StorageError::Damaged { .. } | StorageError::Missing { .. }) {
                metrics.damaged.fetch_add(1, Ordering::Relaxed);
            }
            tracing::error!(%digest, %error, request_id, "a transfer was ended");
        }
    });
    Ok(answer.body(BoxBody::new(SizedStream::new(length, told))))
}

fn send_checksum(
    asker: &Asker<'_>,
    found: &Found,
    kind: Option<HashKind>,
) -> Result<HttpResponse, Refusal> {
    let fact = &found.file.fact;
    let text = match kind {
        None => fact.digest.hex(),
        Some(kind) => match fact.hashes.find(kind) {
            Some(hex) => hex.to_owned(),
            None => {
                return Err(Refusal::new(
                    Code::NotFound,
                    format!("the {} of this file was not kept", kind.as_str()),
                ));
            }
        },
    };
    let mut answer = HttpResponse::Ok();
    set(&mut answer, validator_headers(&found.file, asker.audience()));
    answer.insert_header((header::ETAG, format!("\"{text}\"")));
    Ok(answer.content_type("text/plain").body(text))
}

async fn send_document(
    edge: &Edge,
    asker: &Asker<'_>,
    format: &dyn Format,
    proof: &Authorized<Read>,
    document: DocumentRef,
    asked: &str,
) -> Result<HttpResponse, Refusal> {
    let base_url = edge.base_url(asker.headers());
    let (registry, proof, name) = (edge.registry.clone(), proof.clone(), format.name());
    let (document, _seq) =
        blocking(move || registry.render(&proof, name, &document, &base_url)).await?;
    Ok(document_answer(asker, document, asked))
}

/// Runs what may wait for the disk off the worker's thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Refusal::new(Code::Internal, "the work was given up").because(error))?
}

/// A document with its own entity tag, to be asked for again each time.
fn document_answer(asker: &Asker<'_>, document: Document, asked: &str) -> HttpResponse {
    let (media_type, content, policy) = match document {
        Document::Bytes { media_type, content } => {
            (media_type, content, file_headers::CONTENT_SECURITY_POLICY)
        }
        Document::Listing { rows, next } => {
            let page = listing::render(&format!("{asked}/"), &rows, next.as_deref());
            ("text/html; charset=utf-8", page.into_bytes(), listing::CONTENT_SECURITY_POLICY)
        }
    };
    let etag = format!("\"{}\"", Digest::of(&content).hex());
    let verdict = evaluate(asker.headers(), &Validators { etag: &etag, modified: None });
    let mut answer = match verdict {
        Verdict::NotModified => HttpResponse::NotModified(),
        Verdict::Proceed | Verdict::Failed => HttpResponse::Ok(),
    };
    let cache = match asker.audience() {
        Audience::Public => "no-cache",
        Audience::Private => "private, no-cache",
    };
    answer
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((header::VARY, "Authorization"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy));
    if verdict == Verdict::NotModified {
        return answer.finish();
    }
    answer.content_type(media_type).body(content)
}

/// Receives an upload: body → spool → registry.
async fn receive(
    edge: &Edge,
    asker: &Asker<'_>,
    format: &dyn Format,
    proof: &Authorized<Publish>,
    submission: Submission,
    body: &mut Body,
) -> Result<Outcome, Refusal> {
    refuse_encoded(asker.headers())?;
    body.check_length()?;
    let origin = origin(asker.headers())?;
    let announced = announced::parse(asker.headers())?;
    let _counted = InFlight::enter(&edge.metrics.uploads_in_flight);
    let (upload, mut spooler) =
        edge.registry.begin_upload(proof, format.name(), submission, announced, origin).await?;
    while let Some(piece) = body.next().await? {
        edge.metrics.count_bytes_in(format.name(), piece.len() as u64);
        spooler.write(piece).await.map_err(spooling)?;
    }
    let spooled = spooler.finish().await.map_err(spooling)?;
    let request = Request { id: asker.request_id.to_owned(), reason: None, idempotency: None };
    edge.registry.finish_upload(upload, spooled, &request).await
}

/// What a client is told when its upload could not be received. Nothing was stored by then.
fn spooling(error: StorageError) -> Refusal {
    match &error {
        StorageError::NoSpace { .. } => {
            Refusal::new(Code::NoSpace, "no space is left for this upload; nothing was stored")
        }
        _ => Refusal::new(
            Code::Unavailable,
            "the upload could not be received; nothing was stored, try again",
        ),
    }
    .because(error)
}

/// A body in another coding than its own would be stored as it came and served as what it is not.
fn refuse_encoded(headers: &HeaderMap) -> Result<(), Refusal> {
    let encoding = headers.get(header::CONTENT_ENCODING);
    let plain = encoding.is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !plain || headers.contains_key(header::CONTENT_RANGE) {
        return Err(Refusal::new(
            Code::UnsupportedMedia,
            "send the file whole and as it is, without Content-Encoding or Content-Range",
        ));
    }
    Ok(())
}

/// Where an upload says it comes from.
///
/// Errors: a header that is not what its name promises, or is sent twice.
pub fn origin(headers: &HeaderMap) -> Result<Origin, Refusal> {
    let one = |name: &str| -> Result<Option<&str>, Refusal> {
        let mut all = headers.get_all(name);
        let Some(value) = all.next() else { return Ok(None) };
        let wrong = |what| Refusal::new(Code::Invalid, format!("{name}: {what}"));
        if all.next().is_some() {
            return Err(wrong("send it once"));
        }
        let text = value.to_str().map_err(|_| wrong("it is not plain text"))?.trim();
        if text.is_empty() {
            // A build whose variable was not set: better told now than found out in production.
            return Err(wrong("it is empty; leave the header out, or fill it"));
        }
        Ok(Some(text))
    };
    let url = |name: &str| one(name)?.map(|text| Origin::check_url(name, text)).transpose();
    Ok(Origin {
        commit: one("Ingot-Commit")?.map(str::parse::<CommitSha>).transpose()?,
        source: url("Ingot-Source")?,
        build: url("Ingot-Build")?,
    })
}

/// The answer to a change: the house's, or the body its format words for its clients.
fn changed(
    edge: &Edge,
    asker: &Asker<'_>,
    done: &Outcome,
    told: Option<Document>,
    asked: &str,
) -> HttpResponse {
    let mut answer = match told {
        Some(document) => {
            let mut answer = document_answer(asker, document, asked);
            *answer.status_mut() = if done.fresh { StatusCode::CREATED } else { StatusCode::OK };
            answer
        }
        None if done.fresh => HttpResponse::Created().json(&done.body),
        None => HttpResponse::Ok().json(&done.body),
    };
    let url = done.body["url"].as_str().map(|url| format!("{}{url}", edge.base_path()));
    let mut pairs = vec![
        (HeaderName::from_static("ingot-seq"), Some(done.seq.to_string())),
        (header::CACHE_CONTROL, Some("no-store".to_owned())),
        (header::CONTENT_LOCATION, url.clone()),
    ];
    if done.fresh {
        pairs.push((header::LOCATION, url));
    }
    for (name, value) in pairs {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, &str)], expected: Result<Option<&str>, Code>) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::try_from(*name).expect("name"),
                HeaderValue::from_str(value).expect("value"),
            );
        }
        let found = origin(&headers).map_err(|refusal| refusal.code());
        let found = found.map(|origin| origin.commit.map(|commit| commit.to_string()));
        assert_eq!(found, expected.map(|commit| commit.map(str::to_owned)), "{pairs:?}");
    }

    #[test]
    fn origins_are_taken_from_headers() {
        check(&[], Ok(None));
        check(&[("ingot-commit", "ABCDEF0")], Ok(Some("abcdef0")));
        check(&[("ingot-commit", "")], Err(Code::Invalid));
        check(&[("ingot-commit", "xyz")], Err(Code::Invalid));
        check(&[("ingot-commit", "abcdef0"), ("ingot-commit", "abcdef1")], Err(Code::Invalid));
        check(&[("ingot-source", "https://git.example/a")], Ok(None));
        check(&[("ingot-source", "javascript:alert(1)")], Err(Code::Invalid));
        check(&[("ingot-build", "nonsense")], Err(Code::Invalid));
    }

    #[test]
    fn bodies_come_plain_and_whole() {
        let check = |name: HeaderName, value: &'static str, fine: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(refuse_encoded(&headers).is_ok(), fine, "{value}");
        };
        check(header::CONTENT_ENCODING, "identity", true);
        check(header::CONTENT_ENCODING, "gzip", false);
        check(header::CONTENT_RANGE, "bytes 0-1/2", false);
        check(header::CONTENT_TYPE, "application/zip", true);
    }
}
