//! Logs: text for people, JSON for machines, and no token in either.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{ConfigError, Log, LogFormat};
use crate::credentials::find_token;

/// What stands in a log in place of a token.
const REDACTED: &[u8] = b"ingot_[redacted]";

/// Starts logging to standard error for the whole process; call once.
///
/// Errors: directives that do not parse, or logging was started before.
pub fn start(log: &Log) -> Result<(), ConfigError> {
    let filter: EnvFilter = log
        .level
        .parse()
        .map_err(|error| ConfigError(format!("log.level '{}': {error}", log.level)))?;
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !io::stderr().is_terminal(),
    };
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(Redacting(io::stderr));
    let done = if json {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        builder.with_ansi(io::stderr().is_terminal()).with_target(false).try_init()
    };
    done.map_err(|error| ConfigError(format!("logging cannot start: {error}")))
}

/// Copies a line with everything that looks like a token taken out.
pub fn redact(line: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(line);
    let Some(mut range) = find_token(&text) else { return std::borrow::Cow::Borrowed(line) };
    let mut out = Vec::with_capacity(line.len());
    let mut rest: &str = &text;
    loop {
        out.extend_from_slice(&rest.as_bytes()[..range.start]);
        out.extend_from_slice(REDACTED);
        rest = &rest[range.end..];
        match find_token(rest) {
            Some(next) => range = next,
            None => break,
        }
    }
    out.extend_from_slice(rest.as_bytes());
    std::borrow::Cow::Owned(out)
}

/// Wraps a writer of log lines, so that dependencies' lines are cleaned too.
#[derive(Clone, Debug)]
pub struct Redacting<W>(pub W);

impl<'a, W, O> MakeWriter<'a> for Redacting<W>
where
    W: Fn() -> O + 'a,
    O: Write,
{
    type Writer = Line<O>;
    fn make_writer(&'a self) -> Line<O> {
        Line { out: (self.0)(), held: Vec::new() }
    }
}

/// One line on its way out; written as a whole when dropped or flushed, since a token may come
/// in pieces.
#[derive(Debug)]
pub struct Line<O: Write> {
    out: O,
    held: Vec<u8>,
}

impl<O: Write> Write for Line<O> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.out.write_all(&redact(&held))?;
        self.out.flush()
    }
}

impl<O: Write> Drop for Line<O> {
    fn drop(&mut self) {
        // A log that cannot be written has nowhere to say so.
        let _ = self.flush();
    }
}

/// What the one line about a request says. Text from the client must be printable by now.
#[derive(Clone, Debug)]
pub struct RequestLine<'a> {
    /// The request's id, as the client was told it.
    pub request_id: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path, escaped.
    pub path: &'a str,
    /// The status answered.
    pub status: u16,
    /// Bytes of body sent.
    pub bytes: u64,
    /// Milliseconds from the head to the answer's last byte.
    pub ms: u64,
    /// Who asked.
    pub by: &'a str,
    /// From which address.
    pub from: &'a str,
}

impl RequestLine<'_> {
    /// Writes the line.
    pub fn log(&self) {
        tracing::info!(
            target: "ingot::request",
            request_id = self.request_id,
            method = self.method,
            path = self.path,
            status = self.status,
            bytes = self.bytes,
            ms = self.ms,
            by = self.by,
            from = self.from,
            "request"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);
    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_token_and_no_forged_line_gets_through_either_form() {
        let token = crate::credentials::mint(crate::credentials::TokenKind::User).expect("random");
        for json in [true, false] {
            let buffer = Buffer::default();
            let out = buffer.clone();
            let builder = tracing_subscriber::fmt().with_writer(Redacting(move || out.clone()));
            let nasty = format!("a\n{{\"forged\":1}} {} b {}", token.expose(), token.expose());
            let log = || {
                tracing::info!(field = nasty.as_str(), "message {nasty}");
                tracing::error!(error = ?io::Error::other(nasty.clone()), "failed");
            };
            if json {
                tracing::subscriber::with_default(builder.json().finish(), log);
            } else {
                tracing::subscriber::with_default(builder.with_ansi(false).finish(), log);
            }
            let text = String::from_utf8(buffer.0.lock().expect("lock").clone()).expect("text");
            assert!(!text.contains(token.expose()), "{text}");
            assert!(text.contains("ingot_[redacted]"), "{text}");
            if json {
                assert_eq!(text.lines().count(), 2, "{text}");
            }
        }
    }

    #[test]
    fn lines_without_a_token_are_left_alone() {
        assert_eq!(&*redact(b"plain \xff line\n"), b"plain \xff line\n");
        assert_eq!(&*redact(b"ingot_u_short"), b"ingot_u_short");
    }
}
