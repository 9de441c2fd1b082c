//! Tokens: how they look, how they are made, and the one place they are taken from a request.

use std::fmt;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingot_core::{Code, Refusal};
use sha2::{Digest as _, Sha256};

/// Characters of a token: `ingot_`, a kind, `_`, 32 of secret, 6 of checksum.
pub const TOKEN_CHARS: usize = PREFIX.len() + 2 + SECRET_CHARS + CHECK_CHARS;
/// What every token starts with.
pub const PREFIX: &str = "ingot_";
const SECRET_CHARS: usize = 32;
const CHECK_CHARS: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HASH_DOMAIN: &[u8] = b"ingot-token-v1\0";

/// What a token is for, as its text shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A person or a service.
    User,
    /// A deploy, read-only.
    Deploy,
    /// A CI job, short-lived.
    Ci,
    /// The first token of a store.
    Bootstrap,
}

impl TokenKind {
    const ALL: [TokenKind; 4] = [Self::User, Self::Deploy, Self::Ci, Self::Bootstrap];

    fn letter(self) -> char {
        match self {
            Self::User => 'u',
            Self::Deploy => 'd',
            Self::Ci => 'c',
            Self::Bootstrap => 'b',
        }
    }
}

/// A token's text. Never printed by accident: `Debug` says nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl Secret {
    /// Takes a token as it was presented, sound or not.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The text, for the one answer or file that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }
    /// Whether length, alphabet and checksum are those of a token: a filter that costs an
    /// attacker who guesses nothing of ours.
    pub fn is_sound(&self) -> bool {
        starts_with_token(&self.0) && self.0.len() == TOKEN_CHARS && {
            let (body, check) = self.0.split_at(TOKEN_CHARS - CHECK_CHARS);
            check == checksum(body)
        }
    }
    /// What the store looks a token up by: SHA-256 over a domain and the text, lower-case hex.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(HASH_DOMAIN);
        hasher.update(self.0.as_bytes());
        hex::encode(hasher.finalize())
    }
    /// The public id, which may stand in logs: the first 8 digits of the hash.
    pub fn id(&self) -> String {
        self.hash()[..8].to_owned()
    }
}

/// Makes a token from the operating system's random numbers (190 bits).
///
/// Errors: `internal` when the operating system gives none.
pub fn mint(kind: TokenKind) -> Result<Secret, Refusal> {
    let mut text = format!("{PREFIX}{}_", kind.letter());
    let mut drawn = 0;
    while drawn < SECRET_CHARS {
        let mut bytes = [0u8; 64];
        getrandom::fill(&mut bytes)
            .map_err(|_| Refusal::new(Code::Internal, "no random numbers are to be had"))?;
        // 248 is the largest multiple of 62 in a byte: beyond it the draw would be uneven.
        for byte in bytes.iter().filter(|&&byte| byte < 248).take(SECRET_CHARS - drawn) {
            text.push(ALPHABET[usize::from(byte % 62)] as char);
            drawn += 1;
        }
    }
    let check = checksum(&text);
    Ok(Secret(text + &check))
}

fn checksum(body: &str) -> String {
    let mut value = crc32fast::hash(body.as_bytes());
    let mut out = [b'0'; CHECK_CHARS];
    for digit in out.iter_mut().rev() {
        *digit = ALPHABET[(value % 62) as usize];
        value /= 62;
    }
    out.iter().map(|&b| b as char).collect()
}

fn starts_with_token(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else { return false };
    let bytes = rest.as_bytes();
    TokenKind::ALL.iter().any(|kind| rest.starts_with(kind.letter()))
        && bytes.get(1) == Some(&b'_')
        && bytes
            .get(2..2 + SECRET_CHARS + CHECK_CHARS)
            .is_some_and(|tail| tail.iter().all(u8::is_ascii_alphanumeric))
}

/// Where something that looks like a token stands in a text, as a byte range.
pub fn find_token(text: &str) -> Option<std::ops::Range<usize>> {
    text.match_indices(PREFIX)
        .map(|(at, _)| at)
        .find(|&at| starts_with_token(&text[at..]))
        .map(|at| at..at + TOKEN_CHARS)
}

/// The token that a request target carries, where it must never be: plainly or percent-encoded,
/// in path, query or user info. Such a token is to be revoked.
pub fn leaked(target: &str) -> Option<Secret> {
    let decoded = percent_encoding::percent_decode_str(target).decode_utf8_lossy();
    [target, &decoded]
        .into_iter()
        .find_map(|text| find_token(text).map(|range| Secret(text[range].to_owned())))
}

/// Takes the token from a request's headers: the password of Basic, or Bearer. None means
/// anonymous; whether a token is any good is for the caller to look up.
///
/// Errors: `bad_request` for two `Authorization` headers; `unauthenticated` for a header that
/// carries no token, or for one of the wrong shape.
pub fn extract(headers: &HeaderMap) -> Result<Option<Secret>, Refusal> {
    let mut all = headers.get_all(AUTHORIZATION);
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(Refusal::new(Code::BadRequest, "send one Authorization header, not several"));
    }
    let wrong = || {
        Refusal::new(
            Code::Unauthenticated,
            "the Authorization header holds no valid token: send it as Bearer, or as the \
             password of Basic with any user name",
        )
    };
    let text = value.to_str().map_err(|_| wrong())?;
    let (scheme, rest) = text.split_once(' ').ok_or_else(wrong)?;
    let rest = rest.trim();
    let secret = if scheme.eq_ignore_ascii_case("bearer") {
        rest.to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let bytes = STANDARD.decode(rest).map_err(|_| wrong())?;
        let pair = String::from_utf8(bytes).map_err(|_| wrong())?;
        pair.split_once(':').ok_or_else(wrong)?.1.to_owned()
    } else {
        return Err(wrong());
    };
    let secret = Secret(secret);
    if secret.is_sound() { Ok(Some(secret)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn headers(values: &[String]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(AUTHORIZATION, HeaderValue::from_str(value).expect("value"));
        }
        map
    }

    #[test]
    fn minted_tokens_are_sound_and_different() {
        for kind in TokenKind::ALL {
            let token = mint(kind).expect("random");
            assert_eq!(token.expose().len(), TOKEN_CHARS);
            assert!(token.is_sound());
            assert_ne!(token, mint(kind).expect("random"));
            assert_eq!(token.id().len(), 8);
            assert!(token.hash().starts_with(&token.id()));
        }
    }

    #[test]
    fn any_changed_character_makes_a_token_unsound() {
        let token = mint(TokenKind::User).expect("random").expose().to_owned();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let text = String::from_utf8(bytes).expect("ascii");
            assert!(!Secret::new(text).is_sound(), "character {at}");
        }
        assert!(!Secret::new(format!("{token}x")).is_sound());
        assert!(!Secret::new(&token[..token.len() - 1]).is_sound());
        assert!(!Secret::new("x".repeat(10_000)).is_sound());
    }

    #[test]
    fn the_hash_of_a_token_never_changes() {
        let token = Secret::new("ingot_u_00000000000000000000000000000000000000");
        assert_eq!(
            token.hash(),
            "20b8e3cfb9255e324650a42488faeaa38daae38eb57913f4c47523e91c677b34"
        );
    }

    #[test]
    fn basic_and_bearer_carry_the_same_token() {
        let token = mint(TokenKind::Deploy).expect("random");
        let basic = |pair: String| format!("Basic {}", STANDARD.encode(pair));
        let check = |values: &[String], expected: Result<Option<Secret>, Code>| {
            assert_eq!(extract(&headers(values)).map_err(|refusal| refusal.code()), expected);
        };
        let text = token.expose();
        check(&[], Ok(None));
        check(&[format!("Bearer {text}")], Ok(Some(token.clone())));
        check(&[format!("bearer   {text}")], Ok(Some(token.clone())));
        check(&[basic(format!("anybody:{text}"))], Ok(Some(token.clone())));
        check(&[basic(format!(":{text}"))], Ok(Some(token.clone())));
        let two = [format!("Bearer {text}"), basic(format!("x:{text}"))];
        check(&two, Err(Code::BadRequest));
        let bad_checksum = format!("{}0", &text[..text.len() - 1]);
        let bad_checksum = if bad_checksum == text {
            format!("{}1", &text[..text.len() - 1])
        } else {
            bad_checksum
        };
        for wrong in [
            basic(text.to_owned()),
            basic(format!("x:{text}x")),
            format!("Bearer {bad_checksum}"),
            "Bearer".into(),
            "Bearer ".into(),
            "Basic !!!".into(),
            format!("Digest {text}"),
            format!("Bearer {}", "a".repeat(10_000)),
        ] {
            check(&[wrong], Err(Code::Unauthenticated));
        }
    }

    #[test]
    fn a_token_anywhere_in_the_target_is_found() {
        let token = mint(TokenKind::Ci).expect("random");
        let text = token.expose();
        for target in [
            format!("/raw/main/{text}/x"),
            format!("/x?token={text}"),
            format!("http://user:{text}@host/x"),
            format!("/x?t={}", text.replace('_', "%5F")),
            format!("/ingot_ingot_x_{text}"),
        ] {
            assert_eq!(leaked(&target), Some(token.clone()), "{target}");
        }
        assert_eq!(leaked("/raw/main/ingot_u_short/x"), None);
    }

    #[test]
    fn debug_shows_nothing() {
        let token = mint(TokenKind::User).expect("random");
        assert!(!format!("{token:?}").contains(&token.expose()[10..]));
    }
}
