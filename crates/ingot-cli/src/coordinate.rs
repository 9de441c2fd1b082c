//! What a person types to name a package or a release: `PACKAGE` or `PACKAGE@REF`.

use std::fmt;

use ingot_core::PackageName;

/// The format whose files are put one by one under a name and a version, with nothing to
/// translate; packages of other formats are published with their own clients.
pub(crate) const PLAIN_FORMAT: &str = "raw";

/// Longest reference, in bytes: `sha256:` and 64 digits are shorter, versions end at 128.
pub(crate) const REF_BYTES_MAX: usize = 128;

/// A package, and the version, alias, digest or commit after its `@`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) package: PackageName,
    pub(crate) reference: Option<String>,
}

/// A package with a reference: one release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReleaseName {
    pub(crate) package: PackageName,
    pub(crate) reference: String,
}

/// Reads `PACKAGE` or `PACKAGE@REF`. The `@` that opens an npm scope is part of the name.
pub(crate) fn target(text: &str) -> Result<Target, String> {
    let Some((format, rest)) = text.split_once(':') else {
        return Err("write it as format:name or format:name@version".to_owned());
    };
    let (name, reference) = match rest.rfind('@') {
        None | Some(0) => (rest, None),
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
    };
    let package: PackageName = format!("{format}:{name}")
        .parse()
        .map_err(|refusal: ingot_core::Refusal| refusal.detail().to_owned())?;
    if let Some(reference) = reference {
        check_reference(reference)?;
    }
    Ok(Target { package, reference: reference.map(str::to_owned) })
}

/// Reads `PACKAGE@REF`.
pub(crate) fn release(text: &str) -> Result<ReleaseName, String> {
    let Target { package, reference } = target(text)?;
    match reference {
        Some(reference) => Ok(ReleaseName { package, reference }),
        None => Err(format!("name the release too: {package}@VERSION")),
    }
}

/// Reads `PACKAGE`.
pub(crate) fn package(text: &str) -> Result<PackageName, String> {
    match target(text)? {
        Target { package, reference: None } => Ok(package),
        Target { package, .. } => Err(format!("name the package without a version: {package}")),
    }
}

fn check_reference(text: &str) -> Result<(), String> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"._+:-".contains(&b);
    if text.is_empty() || text.len() > REF_BYTES_MAX || !text.bytes().all(fine) {
        return Err(format!(
            "what follows the last @ is a version, an alias, sha256:<release digest> or a commit \
             of at most {REF_BYTES_MAX} characters"
        ));
    }
    Ok(())
}

impl fmt::Display for ReleaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.package, self.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, Option<&str>)>) {
        let found = target(text).ok();
        let found = found.as_ref().map(|t| (t.package.to_string(), t.reference.as_deref()));
        assert_eq!(found, expected.map(|(p, r)| (p.to_owned(), r)), "{text:?}");
    }

    #[test]
    fn the_last_at_ends_the_name_unless_it_opens_a_scope() {
        check("raw:thumb", Some(("raw:thumb", None)));
        check("raw:thumb@1.4.2", Some(("raw:thumb", Some("1.4.2"))));
        check("npm:@acme/ui", Some(("npm:@acme/ui", None)));
        check("npm:@acme/ui@1.0.0", Some(("npm:@acme/ui", Some("1.0.0"))));
        check("maven:org.acme:app@1.4.2", Some(("maven:org.acme:app", Some("1.4.2"))));
        check("raw:thumb@sha256:ab12", Some(("raw:thumb", Some("sha256:ab12"))));
        check("raw:thumb@1+7", Some(("raw:thumb", Some("1+7"))));
        for bad in
            ["", "thumb", "thumb@1", "raw:", "raw:thumb@", "Raw:thumb", "raw:a b", "raw:a@b/c"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn a_reference_has_a_longest_length() {
        assert!(target(&format!("raw:a@{}", "1".repeat(REF_BYTES_MAX))).is_ok());
        assert!(target(&format!("raw:a@{}", "1".repeat(REF_BYTES_MAX + 1))).is_err());
    }

    #[test]
    fn a_release_needs_a_reference_and_a_package_has_none() {
        assert!(release("raw:a").unwrap_err().contains("raw:a@VERSION"));
        assert!(package("raw:a@1").unwrap_err().contains("raw:a"));
        assert_eq!(release("raw:a@1").unwrap().to_string(), "raw:a@1");
    }
}
