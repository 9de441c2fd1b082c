//! A request's body on its way in: limited to the byte, and never waited for without end.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use bytes::Bytes;
use futures_util::StreamExt;
use ingot_core::{Code, Refusal};
use tokio::time::{Instant, timeout};

use crate::limits::{BODY_WINDOW_BYTES_MIN, DRAIN_BYTES_MAX, DRAIN_TIME_MAX};

/// A body being received.
pub struct Body {
    payload: Payload,
    limit_bytes: u64,
    announced_bytes: Option<u64>,
    received_bytes: u64,
    idle: Duration,
    waited: Duration,
    window_bytes: u64,
    expects_continue: bool,
    ended: bool,
}

/// What became of a body that nobody wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// All of it was read: the connection can go on.
    Whole,
    /// Something is left: the connection has to end.
    Rest,
}

impl Body {
    /// Takes over a body. Nothing is read yet.
    pub fn new(payload: Payload, headers: &HeaderMap, limit_bytes: u64, idle: Duration) -> Self {
        let number = |text: &str| text.parse().ok();
        let announced = headers.get(header::CONTENT_LENGTH);
        let chunked = headers.contains_key(header::TRANSFER_ENCODING);
        Self {
            payload,
            limit_bytes,
            announced_bytes: announced.and_then(|value| value.to_str().ok()).and_then(number),
            received_bytes: 0,
            idle,
            waited: Duration::ZERO,
            window_bytes: 0,
            expects_continue: headers.contains_key(header::EXPECT),
            ended: announced.is_none() && !chunked,
        }
    }

    /// Sets another limit, before anything was read.
    pub fn set_limit(&mut self, limit_bytes: u64) {
        self.limit_bytes = limit_bytes;
    }

    /// The length that was announced; none for a chunked body.
    pub fn announced_bytes(&self) -> Option<u64> {
        self.announced_bytes
    }

    /// How much came so far.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Refuses at once what is announced to be too large.
    pub fn check_length(&self) -> Result<(), Refusal> {
        match self.announced_bytes {
            Some(bytes) if bytes > self.limit_bytes => Err(self.too_large()),
            _ => Ok(()),
        }
    }

    fn too_large(&self) -> Refusal {
        let limit = self.limit_bytes;
        Refusal::new(Code::TooLarge, format!("the body is larger than the {limit} bytes allowed"))
            .with("limit", limit)
    }

    /// The next piece; none at the end, which is only an end if the whole body came.
    ///
    /// Errors: `too_large` at the first byte too many, `timeout` when next to nothing comes
    /// within the idle time, `bad_request` when the connection ends or the framing is broken.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        self.check_length()?;
        if self.ended {
            return Ok(None);
        }
        loop {
            // Only time spent waiting counts: time spent writing what came is ours.
            let begun = Instant::now();
            let came = timeout(self.idle.saturating_sub(self.waited), self.payload.next()).await;
            self.waited += begun.elapsed();
            match came {
                Err(_) if self.window_bytes >= BODY_WINDOW_BYTES_MIN => {
                    self.waited = Duration::ZERO;
                    self.window_bytes = 0;
                }
                Err(_) => {
                    let received = self.received_bytes;
                    return Err(Refusal::new(
                        Code::Timeout,
                        format!("the body stalled after {received} bytes; nothing was stored"),
                    ));
                }
                Ok(None) => {
                    self.ended = true;
                    return Ok(None);
                }
                Ok(Some(Err(error))) => {
                    self.ended = true;
                    return Err(Refusal::new(
                        Code::BadRequest,
                        "the body ended early or is badly framed; nothing was stored",
                    )
                    .because(std::io::Error::other(error.to_string())));
                }
                Ok(Some(Ok(piece))) => {
                    let bytes = piece.len() as u64;
                    self.received_bytes += bytes;
                    self.window_bytes += bytes;
                    if self.received_bytes > self.limit_bytes {
                        return Err(self.too_large());
                    }
                    return Ok(Some(piece));
                }
            }
        }
    }

    /// Reads a small body whole.
    ///
    /// Errors: as [`Self::next`].
    pub async fn read_small(&mut self) -> Result<Vec<u8>, Refusal> {
        let mut out = Vec::new();
        while let Some(piece) = self.next().await? {
            out.extend_from_slice(&piece);
        }
        Ok(out)
    }

    /// Reads and throws away what is left of a refused body, within bounds, so that the client
    /// gets to read the refusal instead of a reset.
    pub async fn drain(&mut self) -> Drained {
        if self.ended {
            return Drained::Whole;
        }
        // A client that waits for 100 sends nothing until it has its answer.
        let left = self.announced_bytes.map(|bytes| bytes.saturating_sub(self.received_bytes));
        if (self.expects_continue && self.received_bytes == 0)
            || left.is_some_and(|left| left > DRAIN_BYTES_MAX)
        {
            return Drained::Rest;
        }
        let mut budget = DRAIN_BYTES_MAX;
        let all = timeout(DRAIN_TIME_MAX, async {
            loop {
                match self.payload.next().await {
                    None => return Drained::Whole,
                    Some(Err(_)) => return Drained::Rest,
                    Some(Ok(piece)) => match budget.checked_sub(piece.len() as u64) {
                        Some(rest) => budget = rest,
                        None => return Drained::Rest,
                    },
                }
            }
        });
        let done = all.await.unwrap_or(Drained::Rest);
        self.ended = done == Drained::Whole;
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::error::PayloadError;
    use actix_web::http::header::{HeaderValue, TRANSFER_ENCODING};
    use futures_util::{Stream, stream};

    const IDLE: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(200);

    fn payload(pieces: impl Stream<Item = Result<Bytes, PayloadError>> + 'static) -> Payload {
        Payload::Stream { payload: Box::pin(pieces) }
    }

    fn chunked() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        headers
    }

    fn body(pieces: Vec<Result<Bytes, PayloadError>>, limit: u64) -> Body {
        Body::new(payload(stream::iter(pieces)), &chunked(), limit, IDLE)
    }

    fn piece(size: usize) -> Result<Bytes, PayloadError> {
        Ok(Bytes::from(vec![0; size]))
    }

    #[tokio::test]
    async fn the_limit_holds_to_the_byte() {
        let read = async |sizes: &[usize]| {
            let pieces = sizes.iter().map(|&size| piece(size)).collect();
            body(pieces, 10).read_small().await.map_err(|refusal| refusal.code())
        };
        assert_eq!(read(&[4, 6]).await.map(|read| read.len()), Ok(10));
        assert_eq!(read(&[4, 7]).await, Err(Code::TooLarge));
        assert_eq!(read(&[]).await.map(|read| read.len()), Ok(0));
    }

    #[tokio::test]
    async fn an_announced_length_is_refused_before_anything_is_read() {
        for (announced, fine) in [("10", true), ("11", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static(announced));
            let body = Body::new(payload(stream::pending()), &headers, 10, IDLE);
            assert_eq!(body.check_length().is_ok(), fine, "{announced}");
        }
    }

    #[tokio::test]
    async fn a_cut_body_is_an_error_and_never_an_end() {
        let mut body = body(vec![piece(3), Err(PayloadError::Incomplete(None))], 10);
        assert!(body.next().await.expect("a piece").is_some());
        assert_eq!(body.next().await.expect_err("cut").code(), Code::BadRequest);
    }

    #[tokio::test]
    async fn a_stalled_body_times_out() {
        let stalled = payload(stream::iter([piece(1)]).chain(stream::pending()));
        let mut body = Body::new(stalled, &chunked(), 10, SHORT);
        assert!(body.next().await.expect("a piece").is_some());
        assert_eq!(body.next().await.expect_err("stalled").code(), Code::Timeout);
    }

    #[tokio::test]
    async fn a_trickle_without_end_times_out_too() {
        let trickle = stream::repeat(()).then(|()| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            piece(1)
        });
        let mut body = Body::new(payload(trickle), &chunked(), 10_000_000, SHORT);
        assert_eq!(body.read_small().await.expect_err("trickle").code(), Code::Timeout);
    }

    #[tokio::test]
    async fn a_body_that_gets_on_is_waited_for_longer_than_one_idle_time() {
        let enough = usize::try_from(BODY_WINDOW_BYTES_MIN).expect("fits");
        let steady = stream::iter(0..40).then(move |_| async move {
            tokio::time::sleep(SHORT / 10).await;
            piece(enough)
        });
        // A wait of its own is a tenth of the idle time; all of them together are four times it.
        let mut body = Body::new(payload(steady), &chunked(), 10_000_000, SHORT);
        assert_eq!(body.read_small().await.expect("steady").len(), 40 * enough);
    }

    #[tokio::test]
    async fn draining_is_bounded() {
        let max = usize::try_from(DRAIN_BYTES_MAX).expect("fits");
        assert_eq!(body(vec![piece(max)], 1).drain().await, Drained::Whole);
        assert_eq!(body(vec![piece(max), piece(1)], 1).drain().await, Drained::Rest);
        let mut stalled = Body::new(payload(stream::pending()), &chunked(), 1, IDLE);
        assert_eq!(stalled.drain().await, Drained::Rest);
    }
}
