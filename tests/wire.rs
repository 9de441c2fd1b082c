//! Bytes on a socket: what no HTTP library would send, and what comes back.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// How long an answer may take unless the test says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Everything that was read.
    pub bytes: Vec<u8>,
    /// True when the server closed the connection before the deadline.
    pub closed: bool,
}

impl Reply {
    /// The status of the first answer; none when the server said nothing.
    pub fn status(&self) -> Option<u16> {
        let line = self.bytes.strip_prefix(b"HTTP/1.")?;
        std::str::from_utf8(line.get(2..5)?).ok()?.parse().ok()
    }

    fn split(&self) -> (&[u8], &[u8]) {
        match find(&self.bytes, b"\r\n\r\n") {
            Some(at) => (&self.bytes[..at], &self.bytes[at + 4..]),
            None => (&self.bytes, &[]),
        }
    }

    /// The value of a header of the first answer.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = String::from_utf8_lossy(self.split().0).into_owned();
        head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    /// What follows the head of the first answer.
    pub fn body(&self) -> &[u8] {
        self.split().1
    }

    /// How many answers came: more than were asked for means a request was smuggled in.
    pub fn answers(&self) -> usize {
        let mut rest = Self { bytes: self.bytes.clone(), closed: self.closed };
        let mut count = 0;
        while rest.status().is_some() {
            count += 1;
            let length = rest.header("content-length").and_then(|n| n.parse::<usize>().ok());
            let body = rest.body();
            rest.bytes = body.get(length.unwrap_or(body.len())..).unwrap_or_default().to_vec();
        }
        count
    }

    /// For messages.
    pub fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes[..self.bytes.len().min(2048)]);
        format!("closed: {}, {} bytes:\n{text}", self.closed, self.bytes.len())
    }

    /// True once the first answer is complete, as far as its framing tells.
    fn is_complete(&self, to_head: bool) -> bool {
        let Some(at) = find(&self.bytes, b"\r\n\r\n") else { return false };
        let status = self.status().unwrap_or(0);
        if to_head || status == 304 || status == 204 {
            return true;
        }
        if let Some(length) = self.header("content-length").and_then(|n| n.parse::<usize>().ok()) {
            return self.bytes.len() >= at + 4 + length;
        }
        self.header("transfer-encoding").is_some() && self.bytes.ends_with(b"0\r\n\r\n")
    }
}

/// Where one string of bytes starts in another.
pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A connection on which a test writes what it likes.
pub struct Wire {
    socket: TcpStream,
}

impl Wire {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("the server takes connections");
        socket.set_nodelay(true).expect("TCP_NODELAY");
        Self { socket }
    }

    /// Writes; false when the server has closed already, which is its right.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).await.is_ok()
    }

    /// Says that nothing more will be written (FIN).
    pub async fn finish(&mut self) {
        let _ = self.socket.shutdown().await;
    }

    /// Reads until one answer is complete, the server closes, or the deadline passes.
    pub async fn answer(&mut self, patience: Duration) -> Reply {
        self.read(patience, Some(false)).await
    }

    /// Like [`Self::answer`], for an answer to HEAD, which announces a body that never comes.
    pub async fn answer_to_head(&mut self, patience: Duration) -> Reply {
        self.read(patience, Some(true)).await
    }

    /// Reads until the server closes or the deadline passes, however many answers that brings.
    pub async fn rest(&mut self, patience: Duration) -> Reply {
        self.read(patience, None).await
    }

    async fn read(&mut self, patience: Duration, stop_when_complete: Option<bool>) -> Reply {
        let deadline = Instant::now() + patience;
        let mut reply = Reply { bytes: Vec::new(), closed: false };
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match timeout_at(deadline, self.socket.read(&mut buffer)).await {
                Err(_) => return reply,
                Ok(Ok(0) | Err(_)) => {
                    reply.closed = true;
                    return reply;
                }
                Ok(Ok(read)) => reply.bytes.extend_from_slice(&buffer[..read]),
            }
            if stop_when_complete.is_some_and(|to_head| reply.is_complete(to_head)) {
                return reply;
            }
        }
    }
}

/// A request as bytes: exactly this target, `Host`, and these headers, in this order.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n").into_bytes();
    for (name, value) in headers {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() || method == "PUT" || method == "POST" {
        out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

/// Sends bytes on a fresh connection and reads one answer.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Reply {
    let mut wire = Wire::connect(address).await;
    wire.write(bytes).await;
    wire.answer(PATIENCE).await
}

/// Sends bytes and FIN on a fresh connection and reads everything the server says to them.
pub async fn exchange_all(address: SocketAddr, bytes: &[u8]) -> Reply {
    let mut wire = Wire::connect(address).await;
    wire.write(bytes).await;
    wire.finish().await;
    wire.rest(PATIENCE).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply { bytes: text.as_bytes().to_vec(), closed: true }
    }

    #[test]
    fn answers_are_read_and_counted_by_their_framing() {
        let one = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A:  b \r\n\r\nabc";
        let parsed = reply(one);
        assert_eq!(parsed.status(), Some(200));
        assert_eq!(parsed.header("x-a").as_deref(), Some("b"));
        assert_eq!(parsed.body(), b"abc");
        assert_eq!(parsed.answers(), 1);
        assert_eq!(reply(&format!("{one}HTTP/1.1 404 No\r\n\r\n")).answers(), 2);
        // What a body says of HTTP is not an answer.
        let quoting = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nHTTP/1.1 200 OK";
        assert_eq!(reply(quoting).answers(), 1);
        assert_eq!(reply("").answers(), 0);
        assert_eq!(reply("garbage").status(), None);
    }

    #[test]
    fn an_answer_is_complete_when_its_framing_says_so() {
        let check = |text: &str, to_head: bool, expected: bool| {
            assert_eq!(reply(text).is_complete(to_head), expected, "{text:?}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", false, false);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", false, false);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", false, true);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", true, true);
        check("HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\n", false, true);
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", false, false);
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            false,
            true,
        );
    }
}
