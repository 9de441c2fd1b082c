//! One request on a connection: id, admission, answer, refusal, log line, figures.
//!
//! The server is put together from actix's own layers rather than from `HttpServer`, for one
//! reason: `HttpServer` has no way to set the service that actix asks before it sends
//! `100 Continue`, and by default sends it before any code of ours has seen the head. Here that
//! service runs the same admission as the request itself, so that a client without the right, or
//! with too large a body, is refused before it sends a byte of it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_http::{HttpMessage, Request, Response};
use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::RequestHead;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use bytes::Bytes;
use ingot_core::format::Dialect;
use ingot_core::{Code, Refusal};

use crate::body::{Body, Drained};
use crate::edge::{Edge, Noted};
use crate::logs::RequestLine;
use crate::metrics::{Change, InFlight};
use crate::path::printable;
use crate::problem;

/// Characters of a path that a log line shows.
const LOGGED_PATH_CHARS: usize = 400;

fn unknown() -> Noted {
    Noted { door: "other", by: "-".to_owned(), dialect: Dialect::PROBLEM, leaked: None }
}

/// What a client that asked whether to go on is told: nothing (it may), or why not.
pub async fn expect(edge: Arc<Edge>, mut request: Request) -> Result<Request, Response<BoxBody>> {
    let mut noted = unknown();
    let begun = Instant::now();
    let checked = edge.admit(request.head(), &mut noted).and_then(|admitted| {
        let limit = edge.limit_bytes(&admitted);
        let headers = request.headers();
        Body::new(actix_web::dev::Payload::None, headers, limit, std::time::Duration::MAX)
            .check_length()
    });
    match checked {
        Ok(()) => Ok(request),
        Err(refusal) => {
            let request_id = edge.request_id();
            let mut answer = refuse(&edge, request.head(), &noted, &refusal, &request_id).await;
            // The body may be on its way or not: only the end of the connection is unambiguous.
            answer.head_mut().set_connection_type(actix_http::ConnectionType::Close);
            let payload = request.take_payload();
            let unread = Body::new(payload, request.headers(), 0, std::time::Duration::MAX);
            let unread = Some(unread);
            Err(finish(&edge, request.head(), noted, answer, &request_id, begun, unread).into())
        }
    }
}

/// Answers a request.
pub async fn serve(edge: Arc<Edge>, mut request: Request) -> Result<Response<BoxBody>, Infallible> {
    let begun = Instant::now();
    let request_id = edge.request_id();
    let payload = request.take_payload();
    let head = request.head();
    let mut body = Body::new(
        payload,
        head.headers(),
        edge.config.server.upload_bytes_max,
        std::time::Duration::from_millis(edge.config.server.body_idle_timeout_ms),
    );
    let mut noted = unknown();
    let admitted = edge.admit(head, &mut noted);
    let answered = match admitted {
        Ok(admitted) => {
            body.set_limit(edge.limit_bytes(&admitted));
            edge.answer(head, admitted, &mut body, &request_id).await
        }
        Err(refusal) => Err(refusal),
    };
    if !matches!(head.method.as_str(), "GET" | "HEAD") {
        edge.metrics.count_change(match &answered {
            Ok(_) => Change::Done,
            Err(refusal) if refusal.code() == Code::OutcomeUnknown => Change::Unknown,
            Err(_) => Change::Refused,
        });
    }
    let mut answer = match answered {
        Ok(answer) => answer,
        Err(refusal) => refuse(&edge, head, &noted, &refusal, &request_id).await,
    };
    // Whatever was not read of a body: a little is read away, so that the client reads the
    // answer instead of a reset; after more the connection ends.
    let unread = match body.drain().await {
        Drained::Whole => None,
        Drained::Rest => {
            answer.head_mut().set_connection_type(actix_http::ConnectionType::Close);
            Some(body)
        }
    };
    Ok(finish(&edge, head, noted, answer, &request_id, begun, unread).into())
}

async fn refuse(
    edge: &Edge,
    head: &RequestHead,
    noted: &Noted,
    refusal: &Refusal,
    request_id: &str,
) -> HttpResponse {
    if let Some(hash) = &noted.leaked {
        edge.revoke_leaked(hash, request_id).await;
    }
    let status = problem::status_for(refusal.code(), &noted.dialect);
    if status.is_server_error() {
        // `Debug` adds the cause, which only the operator may read.
        tracing::error!(request_id, ?refusal, "refused");
    } else {
        tracing::debug!(request_id, ?refusal, "refused");
    }
    let answer = problem::respond(refusal, &noted.dialect, request_id);
    if head.method == "HEAD" { without_body(answer) } else { answer }
}

/// The head of an answer with the length of its body, for HEAD.
fn without_body(answer: HttpResponse) -> HttpResponse {
    answer.map_body(|_, body| match body.size() {
        BodySize::Sized(size) => BoxBody::new(Announced(size)),
        BodySize::None | BodySize::Stream => body,
    })
}

struct Announced(u64);

impl MessageBody for Announced {
    type Error = Infallible;
    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }
    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// Adds what every answer has, and makes its end be noticed.
fn finish(
    edge: &Arc<Edge>,
    head: &RequestHead,
    noted: Noted,
    mut answer: HttpResponse,
    request_id: &str,
    begun: Instant,
    unread: Option<Body>,
) -> HttpResponse {
    if let Ok(value) = HeaderValue::try_from(request_id) {
        answer.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    if !answer.headers().contains_key(header::X_CONTENT_TYPE_OPTIONS) {
        let value = HeaderValue::from_static("nosniff");
        answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, value);
    }
    let target = head.uri.path_and_query().map_or("*", |target| target.as_str());
    let told = Told {
        edge: Arc::clone(edge),
        request_id: request_id.to_owned(),
        method: printable(head.method.as_str(), 20),
        // However a token was spelled there, it must not get into the log.
        path: match &noted.leaked {
            Some(_) => "[a URL with a token]".to_owned(),
            None => printable(target, LOGGED_PATH_CHARS),
        },
        from: edge.client_address(head),
        status: answer.status().as_u16(),
        noted,
        begun,
        sent: 0,
    };
    edge.metrics.requests_in_flight.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let answer = if head.method == "HEAD" { without_body(answer) } else { answer };
    answer.map_body(|_, body| BoxBody::new(Watched { body, told, _unread: unread }))
}

/// A body that is logged and counted when it ends, however it ends.
struct Watched {
    body: BoxBody,
    told: Told,
    /// The rest of a request's body. Kept until the answer is out, since actix would read on
    /// without end for a chunked body that was dropped, but ends the connection (after a while
    /// in which the client can read the answer) for one that is still there.
    _unread: Option<Body>,
}

impl MessageBody for Watched {
    type Error = <BoxBody as MessageBody>::Error;
    fn size(&self) -> BodySize {
        self.body.size()
    }
    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            self.told.sent += bytes.len() as u64;
        }
        polled
    }
}

struct Told {
    edge: Arc<Edge>,
    request_id: String,
    method: String,
    path: String,
    from: String,
    status: u16,
    noted: Noted,
    begun: Instant,
    sent: u64,
}

impl Drop for Told {
    fn drop(&mut self) {
        let _one_less = InFlight::leave(&self.edge.metrics.requests_in_flight);
        let took = self.begun.elapsed();
        self.edge.metrics.count_request(self.noted.door, self.status, took, self.sent);
        if self.noted.door == "system" && self.status < 400 {
            // Probes and scrapes would fill the log.
            return;
        }
        RequestLine {
            request_id: &self.request_id,
            method: &self.method,
            path: &self.path,
            status: self.status,
            bytes: self.sent,
            ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            by: &self.noted.by,
            from: &self.from,
        }
        .log();
    }
}
