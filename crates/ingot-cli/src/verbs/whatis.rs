//! `whatis`: which release a file lying somewhere is.

use std::path::Path;

use ingot_core::digest::AnyDigest;
use serde_json::Value;

use crate::args::Whatis;
use crate::failure::{Failure, Outcome};
use crate::local_file;
use crate::session::Session;
use crate::table::{Table, short};
use crate::verbs::{cell, find_text, list, texts};

pub(crate) async fn whatis(session: &Session, args: &Whatis) -> Result<Outcome, Failure> {
    let digest = digest(session, &args.what).await?;
    let url = session.client.api(session.project(), &["lookup"], &[("digest", &digest)]);
    let answer = session.client.get(url).await?;
    let matches = list(&answer.body, "matches")?;
    session.output.answer(&answer.body, || matches_text(&digest, session.project(), matches));
    Ok(if matches.is_empty() { Outcome::Refused } else { Outcome::Done })
}

/// The digest asked about: of the file of that name if there is one, else the text itself.
async fn digest(session: &Session, what: &str) -> Result<String, Failure> {
    let path = Path::new(what);
    if path.exists() {
        let hint = local_file::size_hint(path).await;
        let bar = session.output.progress(&format!("hashing {what}"), hint);
        return Ok(local_file::measure(path, &bar).await?.digest.to_string());
    }
    match AnyDigest::parse(what) {
        Ok(_) => Ok(what.trim().to_owned()),
        Err(refusal) => {
            Err(Failure::Usage(format!("{what} is no file here, and {}", refusal.detail())))
        }
    }
}

fn matches_text(digest: &str, project: &str, matches: &[Value]) -> String {
    if matches.is_empty() {
        return format!("{digest}\nno published file or release of {project} has this digest");
    }
    let mut table = Table::new(&["RELEASE", "FILE", "COMMIT", "CURRENT IN", "ADMITTED IN"]);
    let names = |found: &Value, member: &str| match texts(found, member) {
        names if names.is_empty() => "-".to_owned(),
        names => names.join(", "),
    };
    for found in matches {
        table.row([
            format!("{}@{}", cell(found, "package"), cell(found, "version")),
            cell(found, "path"),
            short(find_text(found, "commit")),
            names(found, "current_in"),
            names(found, "admitted_in"),
        ]);
    }
    format!("{digest}\n{}", table.render())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn matches_name_release_commit_and_channels() {
        let found = json!({"package": "raw:a", "version": "1", "path": "a.zip", "digest": "sha256:0",
            "commit": "abcdef0", "current_in": ["prod"], "admitted_in": ["staging", "prod"]});
        let text = matches_text("sha256:0", "main", &[found]);
        assert_eq!(
            text,
            "sha256:0\n\
             RELEASE  FILE   COMMIT   CURRENT IN  ADMITTED IN\n\
             raw:a@1  a.zip  abcdef0  prod        staging, prod"
        );
        assert!(matches_text("sha256:0", "main", &[]).contains("no published file"));
    }
}
