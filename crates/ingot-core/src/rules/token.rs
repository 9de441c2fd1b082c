//! Tokens: minted narrower and shorter-lived than the one that mints.

use jiff::SignedDuration;

use crate::Timestamp;
use crate::grant::{GRANTS_MAX, Grant, Principal, Right};
use crate::refusal::{Code, Refusal};

/// Longest life of a token that can change something, in days.
pub const WRITE_DAYS_MAX: i64 = 90;
/// Longest life of a token that can only read, in days.
pub const READ_DAYS_MAX: i64 = 365;
/// Longest token name, in bytes.
pub const TOKEN_NAME_BYTES_MAX: usize = 64;

/// A span such as `90d`, `12h`, `15m` or `60s`.
pub fn parse_span(text: &str) -> Result<SignedDuration, Refusal> {
    let wrong = || {
        Refusal::new(Code::Invalid, "write a span of time as a number and d, h, m or s, like 90d")
    };
    let unit = text.chars().last().ok_or_else(wrong)?;
    let digits = &text[..text.len() - unit.len_utf8()];
    let fine = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if !fine {
        return Err(wrong());
    }
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        'd' => number * 86_400,
        'h' => number * 3_600,
        'm' => number * 60,
        's' => number,
        _ => return Err(wrong()),
    };
    if seconds == 0 {
        return Err(wrong());
    }
    Ok(SignedDuration::from_secs(seconds))
}

/// Whether the grants only let their holder read.
pub fn is_read_only(grants: &[Grant]) -> bool {
    grants.iter().flat_map(|grant| &grant.actions).all(|&right| right == Right::Read)
}

/// Checks a wish for a token, and says when the token ends.
pub fn check_mint(
    minter: &Principal,
    name: &str,
    grants: &[Grant],
    span: SignedDuration,
    now: Timestamp,
) -> Result<Timestamp, Refusal> {
    let fine = !name.is_empty()
        && name.len() <= TOKEN_NAME_BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@/:+-".contains(&b));
    if !fine || ["anonymous", "system"].contains(&name) {
        return Err(Refusal::new(
            Code::Invalid,
            "a token's name has 1 to 64 letters, digits and . _ @ / : + -, \
             and is not 'anonymous' or 'system'",
        ));
    }
    if grants.is_empty() || grants.len() > GRANTS_MAX {
        return Err(Refusal::new(Code::Invalid, format!("a token has 1 to {GRANTS_MAX} grants")));
    }
    grants.iter().try_for_each(Grant::check)?;
    if !minter.includes(grants) {
        return Err(Refusal::new(
            Code::Forbidden,
            "a token can only mint tokens with rights it has itself",
        ));
    }
    let days = if is_read_only(grants) { READ_DAYS_MAX } else { WRITE_DAYS_MAX };
    if span > SignedDuration::from_hours(24 * days) {
        return Err(Refusal::new(
            Code::Invalid,
            format!("such a token lives {days} days at most; ask for less with expires_in"),
        ));
    }
    let ends = now
        .checked_add(span)
        .map_err(|_| Refusal::new(Code::Invalid, "the token would never end"))?;
    match minter.expires_at {
        Some(own) if own < ends => Err(Refusal::new(
            Code::Forbidden,
            format!("a token cannot outlive the one that mints it, which ends at {own}"),
        )),
        _ => Ok(ends),
    }
}
