//! Where the token comes from. It is never an argument: those show in the process list.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::failure::Failure;

/// Longest file that is read for a token or for saved tokens, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Longest token, in bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 1024;

/// A secret. It is shown nowhere, not even when debugging.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// Takes a token as it was pasted or stored, without the white space around it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("there is no token in it".to_owned());
        }
        if text.len() > TOKEN_BYTES_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("what is in it is no token: one word that begins with ingot_".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The secret itself, for the request that carries it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Where a token was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `INGOT_TOKEN`.
    Variable,
    /// The file that `INGOT_TOKEN_FILE` names.
    File,
    /// Saved by `ingot login`.
    Saved,
    /// Nowhere.
    Nowhere,
}

/// The token for a server: `INGOT_TOKEN`, else `INGOT_TOKEN_FILE`, else what `login` saved.
pub(crate) fn find(
    environment: &Environment,
    server: &str,
) -> Result<(Option<Token>, Source), Failure> {
    if let Some(text) = environment.var("INGOT_TOKEN") {
        let token =
            Token::parse(text).map_err(|why| Failure::Usage(format!("INGOT_TOKEN: {why}")))?;
        return Ok((Some(token), Source::Variable));
    }
    if let Some(path) = environment.var("INGOT_TOKEN_FILE") {
        let text = read_private(Path::new(path))?.ok_or_else(|| {
            Failure::Usage(format!("INGOT_TOKEN_FILE names {path}, which does not exist"))
        })?;
        let token = Token::parse(&text).map_err(|why| Failure::Usage(format!("{path}: {why}")))?;
        return Ok((Some(token), Source::File));
    }
    let Some(store) = Store::of(environment) else { return Ok((None, Source::Nowhere)) };
    match store.find(server)? {
        Some(token) => Ok((Some(token), Source::Saved)),
        None => Ok((None, Source::Nowhere)),
    }
}

/// The file of this user that holds a token for each server.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    path: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
struct Saved {
    /// Server URL → token.
    tokens: BTreeMap<String, String>,
}

impl Store {
    /// The file's place; none when the user has no directory for configuration.
    pub(crate) fn of(environment: &Environment) -> Option<Self> {
        Some(Self { path: environment.config_dir()?.join("credentials.json") })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The token saved for a server.
    pub(crate) fn find(&self, server: &str) -> Result<Option<Token>, Failure> {
        let saved = self.read()?;
        let Some(text) = saved.tokens.get(server) else { return Ok(None) };
        let token = Token::parse(text)
            .map_err(|why| Failure::local(format!("{}: {why}", self.path.display())))?;
        Ok(Some(token))
    }

    /// Saves a token for a server, in place of the one before.
    pub(crate) fn save(&self, server: &str, token: &Token) -> Result<(), Failure> {
        let mut saved = self.read()?;
        saved.tokens.insert(server.to_owned(), token.expose().to_owned());
        self.write(&saved)
    }

    /// Forgets the token of a server; says whether there was one.
    pub(crate) fn forget(&self, server: &str) -> Result<bool, Failure> {
        let mut saved = self.read()?;
        if saved.tokens.remove(server).is_none() {
            return Ok(false);
        }
        self.write(&saved)?;
        Ok(true)
    }

    fn read(&self) -> Result<Saved, Failure> {
        let Some(text) = read_private(&self.path)? else { return Ok(Saved::default()) };
        serde_json::from_str(&text).map_err(|_| {
            Failure::local(format!(
                "{} is damaged; delete it and log in again",
                self.path.display()
            ))
        })
    }

    /// Replaces the file as a whole, so that no reader sees half of it; private from the start.
    fn write(&self, saved: &Saved) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            Failure::local(format!("{} cannot be written: {error}", self.path.display()))
        };
        let dir = self.path.parent().unwrap_or(Path::new("."));
        create_private_dir(dir).map_err(failed)?;
        let text = serde_json::to_vec_pretty(saved).expect("text in text has no other keys");
        // Temporary files are made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

#[cfg(unix)]
fn create_private_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn create_private_dir(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)
}

/// Reads a file that holds a secret; none when there is no such file. One that others could read
/// is refused, since they may have done so.
pub(crate) fn read_private(path: &Path) -> Result<Option<String>, Failure> {
    let shown = path.display();
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::local(format!("{shown} cannot be read: {error}"))),
    };
    // Of the open file, so that what is checked is what is read.
    let metadata = file
        .metadata()
        .map_err(|error| Failure::local(format!("{shown} cannot be read: {error}")))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & !0o600 != 0 {
            return Err(Failure::Failed {
                code: "token_file_mode",
                detail: format!("{shown} has mode {mode:04o}, so others may have read the token"),
                hint: Some(format!(
                    "make it private, and replace the token if others use this machine:\n  \
                     chmod 600 {shown}"
                )),
            });
        }
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(Failure::local(format!("{shown} is longer than any file with a token")));
    }
    let mut text = String::new();
    (&mut file)
        .take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Failure::local(format!("{shown} cannot be read: {error}")))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "http://127.0.0.1:8470";

    fn environment(dir: &Path, more: &[(&str, &str)]) -> Environment {
        let home = dir.to_str().unwrap();
        let mut pairs = vec![("XDG_CONFIG_HOME", home)];
        pairs.extend_from_slice(more);
        Environment::of(&pairs)
    }

    #[cfg(unix)]
    fn put(path: &Path, text: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_token_is_one_word_and_never_shown() {
        assert_eq!(Token::parse(" ingot_u_x\n").unwrap().expose(), "ingot_u_x");
        assert_eq!(format!("{:?}", Token::parse("ingot_u_x").unwrap()), "Token(…)");
        assert!(Token::parse(&"a".repeat(TOKEN_BYTES_MAX)).is_ok());
        assert!(Token::parse(&"a".repeat(TOKEN_BYTES_MAX + 1)).is_err());
        for bad in ["", " \n", "two words", "line\nline", "ingot_\u{e9}"] {
            assert!(Token::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_token_file_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let var = [("INGOT_TOKEN_FILE", path.to_str().unwrap())];
        let environment = environment(dir.path(), &var);
        for (mode, fine) in
            [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o700, false)]
        {
            put(&path, "ingot_u_file\n", mode);
            let found = find(&environment, SERVER);
            assert_eq!(found.is_ok(), fine, "{mode:o}");
            if let Err(failure) = found {
                assert_eq!(failure.code(), "token_file_mode");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_variable_wins_over_the_file_and_the_file_over_what_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        put(&path, "ingot_u_file", 0o600);
        let file = ("INGOT_TOKEN_FILE", path.to_str().unwrap());
        let saved = environment(dir.path(), &[]);
        Store::of(&saved).unwrap().save(SERVER, &Token::parse("ingot_u_saved").unwrap()).unwrap();
        let check = |more: &[(&str, &str)], server: &str, expected: Option<&str>, source| {
            let (token, found) = find(&environment(dir.path(), more), server).unwrap();
            assert_eq!(token.as_ref().map(Token::expose), expected);
            assert_eq!(found, source);
        };
        check(
            &[("INGOT_TOKEN", "ingot_u_var"), file],
            SERVER,
            Some("ingot_u_var"),
            Source::Variable,
        );
        check(&[file], SERVER, Some("ingot_u_file"), Source::File);
        check(&[], SERVER, Some("ingot_u_saved"), Source::Saved);
        check(&[], "http://other", None, Source::Nowhere);
    }

    #[cfg(unix)]
    #[test]
    fn a_token_file_has_a_longest_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for (size, fine) in [(FILE_BYTES_MAX, true), (FILE_BYTES_MAX + 1, false)] {
            put(&path, &"\n".repeat(usize::try_from(size).unwrap()), 0o600);
            assert_eq!(read_private(&path).is_ok(), fine, "{size}");
        }
    }

    #[test]
    fn a_token_file_that_is_not_there_is_said_so() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let var = [("INGOT_TOKEN_FILE", missing.to_str().unwrap())];
        let failure = find(&environment(dir.path(), &var), SERVER).unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)), "{failure:?}");
    }

    #[cfg(unix)]
    #[test]
    fn saved_tokens_are_private_and_each_server_has_its_own() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::of(&environment(dir.path(), &[])).unwrap();
        store.save(SERVER, &Token::parse("ingot_u_one").unwrap()).unwrap();
        store.save("https://other", &Token::parse("ingot_u_two").unwrap()).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(store.path()), 0o600);
        assert_eq!(mode(store.path().parent().unwrap()), 0o700);
        assert!(store.forget(SERVER).unwrap());
        assert!(!store.forget(SERVER).unwrap());
        assert_eq!(store.find(SERVER).unwrap(), None);
        assert_eq!(store.find("https://other").unwrap().unwrap().expose(), "ingot_u_two");
    }
}
