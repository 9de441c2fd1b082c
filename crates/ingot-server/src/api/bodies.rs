//! The bodies of requests: typed, closed, and small.

use ingot_core::event::ChannelDefinition;
use ingot_core::grant::Grant;
use ingot_core::origin::CommitSha;
use ingot_core::{Alias, Code, PackageName, Refusal};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longest reason, in bytes.
pub(super) const REASON_BYTES_MAX: usize = 2_000;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasonBody {
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AliasBody {
    pub(super) name: Alias,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseAsked {
    pub(super) package: PackageName,
    #[serde(rename = "ref")]
    pub(super) reference: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PromotionBody {
    pub(super) releases: Option<Vec<ReleaseAsked>>,
    pub(super) commit: Option<CommitSha>,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackAsked {
    pub(super) package: PackageName,
    pub(super) to: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackBody {
    pub(super) packages: Vec<RollbackAsked>,
    pub(super) reason: Option<String>,
}

/// A package by its name alone, or as `{"package": name}` like the other wishes write it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum PackageAsked {
    Name(PackageName),
    Member { package: PackageName },
}

impl PackageAsked {
    pub(super) fn into_name(self) -> PackageName {
        match self {
            Self::Name(package) | Self::Member { package } => package,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackagesBody {
    pub(super) packages: Vec<PackageAsked>,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevocationBody {
    pub(super) releases: Vec<ReleaseAsked>,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectBody {
    pub(super) channels: Option<Vec<ChannelDefinition>>,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    pub(super) name: String,
    pub(super) grants: Vec<Grant>,
    pub(super) expires_in: Option<String>,
    pub(super) reason: Option<String>,
}

/// Reads a body.
///
/// Errors: `bad_request` for what is not JSON or names a member twice, `invalid` for JSON that is
/// not this body; both say where.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| {
        let twice = error.to_string().starts_with("duplicate field");
        let code = if error.is_data() && !twice { Code::Invalid } else { Code::BadRequest };
        Refusal::new(code, format!("the body: {error}"))
    })
}

/// Reads a body that may be left out.
pub(super) fn read_or_default<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, Refusal> {
    if bytes.iter().all(u8::is_ascii_whitespace) { Ok(T::default()) } else { read(bytes) }
}

/// A reason as it goes into the ledger: of bounded length, and none for an empty one.
pub(super) fn reason(reason: Option<String>) -> Result<Option<String>, Refusal> {
    let Some(reason) = reason.filter(|reason| !reason.trim().is_empty()) else { return Ok(None) };
    let unfit = |c: char| c.is_control() && c != '\n' && c != '\t';
    if reason.len() > REASON_BYTES_MAX || reason.contains(unfit) {
        return Err(Refusal::new(
            Code::Invalid,
            "a reason has at most 2,000 bytes, and no control characters but line ends",
        ));
    }
    Ok(Some(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Option<Code>) {
        let found = read::<PromotionBody>(body.as_bytes()).err().map(|refusal| refusal.code());
        assert_eq!(found, expected, "{}", &body[..body.len().min(80)]);
    }

    #[test]
    fn bodies_are_read_strictly() {
        check(r#"{"releases":[{"package":"raw:a","ref":"1"}],"reason":"x"}"#, None);
        check(r#"{"commit":"abcdef0"}"#, None);
        check("", Some(Code::BadRequest));
        check("{", Some(Code::BadRequest));
        check("[]", Some(Code::Invalid));
        check(r#"{"nonsense":1}"#, Some(Code::Invalid));
        check(r#"{"releases":[{"package":"raw","ref":"1"}]}"#, Some(Code::Invalid));
        check(r#"{"reason":"a","reason":"b"}"#, Some(Code::BadRequest));
        check(r#"{"reason":"\ud800"}"#, Some(Code::BadRequest));
        check(r#"{"reason":1e400}"#, Some(Code::BadRequest));
        check(r#"{"__proto__":{}}"#, Some(Code::Invalid));
        check(&format!("{{\"releases\":{}", "[".repeat(10_000)), Some(Code::Invalid));
        check(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), Some(Code::Invalid));
    }

    #[test]
    fn packages_are_named_either_way() {
        let body = r#"{"packages":["raw:a",{"package":"raw:b"}]}"#;
        let body: PackagesBody = read(body.as_bytes()).expect("parses");
        let names: Vec<_> =
            body.packages.into_iter().map(|asked| asked.into_name().to_string()).collect();
        assert_eq!(names, ["raw:a", "raw:b"]);
    }

    #[test]
    fn reasons_are_bounded() {
        let fine = |text: &str| reason(Some(text.to_owned())).is_ok();
        assert!(fine(&"a".repeat(REASON_BYTES_MAX)));
        assert!(!fine(&"a".repeat(REASON_BYTES_MAX + 1)));
        assert!(fine("two\nlines") && !fine("\u{1b}[31m"));
        assert_eq!(reason(Some("  ".into())).expect("fine"), None);
    }
}
