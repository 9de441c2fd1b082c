//! The only place of this crate that reads the process environment, the time zone and randomness.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::tz::TimeZone;

/// What the process was started with, read once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    vars: BTreeMap<String, String>,
}

impl Environment {
    /// The process's own. Variables that are not UTF-8 are left out: none of ours is.
    pub(crate) fn of_process() -> Self {
        let vars = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { vars }
    }

    /// A variable; one that is set but empty counts as not set, as CI systems tend to leave them.
    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All variables, as the server's configuration looks through them.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.vars.iter().map(|(name, value)| (name.clone(), value.clone()))
    }

    /// The directory for files of this user's configuration.
    pub(crate) fn config_dir(&self) -> Option<PathBuf> {
        if let Some(dir) = self.var("XDG_CONFIG_HOME") {
            return Some(PathBuf::from(dir).join("ingot"));
        }
        if let Some(dir) = self.var("APPDATA").filter(|_| cfg!(windows)) {
            return Some(PathBuf::from(dir).join("ingot"));
        }
        self.var("HOME").map(|home| PathBuf::from(home).join(".config").join("ingot"))
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Self { vars: pairs.iter().map(own).collect() }
    }
}

/// The time zone in which a person means a date without an offset; none where it is not known.
pub(crate) fn local_time_zone() -> Option<TimeZone> {
    TimeZone::try_system().ok()
}

/// 128 random bits as hex, from the operating system.
pub(crate) fn random_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = Environment::of(&[("A", ""), ("B", "x")]);
        assert_eq!(environment.var("A"), None);
        assert_eq!(environment.var("B"), Some("x"));
    }

    #[test]
    fn configuration_follows_xdg_then_home() {
        let check = |pairs: &[(&str, &str)], expected: Option<&str>| {
            assert_eq!(Environment::of(pairs).config_dir(), expected.map(PathBuf::from));
        };
        check(&[("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")], Some("/x/ingot"));
        check(&[("HOME", "/h")], Some("/h/.config/ingot"));
        check(&[], None);
    }

    #[test]
    fn ids_differ() {
        assert_ne!(random_id().unwrap(), random_id().unwrap());
    }
}
