//! Where values come from: defaults, a file, the environment, flags, each over the one before.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use toml::{Table, Value};

use super::{Config, ConfigError, check};

/// The prefix of environment variables; those without `__` are the client's and left alone.
const ENVIRONMENT_PREFIX: &str = "INGOT_";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(String),
    /// An environment variable.
    Environment(String),
    /// A flag on the command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(name) => write!(f, "file {name}"),
            Source::Environment(name) => write!(f, "environment {name}"),
            Source::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A checked configuration, and where each value came from (by `section.key`).
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Where each value came from.
    pub sources: BTreeMap<String, Source>,
}

impl Loaded {
    /// The configuration as a file, each value marked with where it came from. It holds no
    /// secret, since none can be configured.
    pub fn show(&self) -> String {
        let mut out = String::new();
        for (section, keys) in &as_table(&self.config) {
            out.push_str(&format!("[{section}]\n"));
            for (key, value) in keys.as_table().into_iter().flatten() {
                let source = self.sources.get(&format!("{section}.{key}"));
                let source = source.unwrap_or(&Source::Default);
                out.push_str(&format!("{key} = {value}  # {source}\n"));
            }
            out.push('\n');
        }
        out
    }
}

/// Puts the configuration together and checks it.
///
/// `environment` is the process's; `flags` are `section.key`, the text given, and the flag's name.
///
/// Errors: an unreadable file, an unknown key (with the nearest known one), a value of the wrong
/// kind or out of bounds: always with where it stands and what is expected.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[(&str, String, &str)],
) -> Result<Loaded, ConfigError> {
    let mut table = as_table(&Config::default());
    let mut sources = BTreeMap::new();
    for (section, keys) in &table {
        for key in keys.as_table().into_iter().flatten().map(|(key, _)| key) {
            sources.insert(format!("{section}.{key}"), Source::Default);
        }
    }
    if let Some(path) = file {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("cannot read {name}: {error}")))?;
        let parsed: Table =
            text.parse().map_err(|error| ConfigError(format!("{name} is not TOML: {error}")))?;
        for (section, keys) in parsed {
            let Value::Table(keys) = keys else {
                return Err(unknown(&section, &sources, &format!("in {name}")));
            };
            for (key, value) in keys {
                let full = format!("{section}.{key}");
                put(&mut table, &sources, &full, value, &format!("in {name}"))?;
                sources.insert(full, Source::File(name.clone()));
            }
        }
    }
    for (variable, text) in environment {
        let Some(rest) = variable.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        let Some((section, key)) = rest.split_once("__") else { continue };
        let full = format!("{}.{}", section.to_lowercase(), key.to_lowercase());
        let origin = format!("from {variable}");
        let value = typed(&table, &sources, &full, &text, &origin)?;
        put(&mut table, &sources, &full, value, &origin)?;
        sources.insert(full, Source::Environment(variable));
    }
    for (full, text, flag) in flags {
        let origin = format!("from {flag}");
        let value = typed(&table, &sources, full, text, &origin)?;
        put(&mut table, &sources, full, value, &origin)?;
        sources.insert((*full).to_owned(), Source::Flag((*flag).to_owned()));
    }
    // Key by key the kinds are right by now; what is left are names of a closed set.
    let config: Config = Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| ConfigError(error.message().trim().to_owned()))?;
    check::check(&config)?;
    Ok(Loaded { config, sources })
}

fn as_table(config: &Config) -> Table {
    Table::try_from(config).expect("a configuration is made of tables, texts and numbers")
}

fn find<'a>(table: &'a Table, full: &str) -> Option<&'a Value> {
    let (section, key) = full.split_once('.')?;
    table.get(section)?.as_table()?.get(key)
}

fn put(
    table: &mut Table,
    known: &BTreeMap<String, Source>,
    full: &str,
    value: Value,
    origin: &str,
) -> Result<(), ConfigError> {
    let slot = full
        .split_once('.')
        .and_then(|(section, key)| table.get_mut(section)?.as_table_mut()?.get_mut(key))
        .ok_or_else(|| unknown(full, known, origin))?;
    if slot.type_str() != value.type_str() {
        return Err(wrong_kind(full, slot, origin));
    }
    if value.as_integer().is_some_and(|number| number < 0) {
        return Err(ConfigError(format!("{full} {origin} must not be negative")));
    }
    *slot = value;
    Ok(())
}

fn wrong_kind(full: &str, expected: &Value, origin: &str) -> ConfigError {
    ConfigError(format!(
        "{full} {origin} must be of kind {}, for example {expected}",
        expected.type_str()
    ))
}

/// Reads text from the environment or a flag as the kind of value its key has.
fn typed(
    table: &Table,
    known: &BTreeMap<String, Source>,
    full: &str,
    text: &str,
    origin: &str,
) -> Result<Value, ConfigError> {
    let slot = find(table, full).ok_or_else(|| unknown(full, known, origin))?;
    let value = match slot {
        Value::Integer(_) => text.trim().replace('_', "").parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
        Value::Array(_) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Some(Value::Array(parts.map(|part| Value::String(part.to_owned())).collect()))
        }
        _ => Some(Value::String(text.to_owned())),
    };
    value.ok_or_else(|| wrong_kind(full, slot, origin))
}

fn unknown(full: &str, known: &BTreeMap<String, Source>, origin: &str) -> ConfigError {
    let nearest = known.keys().min_by_key(|key| distance(full, key)).map_or("", String::as_str);
    ConfigError(format!("there is no option {full} ({origin}); did you mean {nearest}?"))
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let changed = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        std::fs::write(file.path(), text).expect("writes");
        file
    }

    fn error(text: &str, variables: &[(&str, &str)]) -> String {
        let file = file(text);
        load(Some(file.path()), environment(variables), &[]).expect_err("refused").0
    }

    #[test]
    fn flag_over_environment_over_file_over_default() {
        let file = file("[server]\nworkers = 2\nconnections_max = 3\njson_bytes_max = 4000\n");
        let variables = environment(&[
            ("INGOT_SERVER__CONNECTIONS_MAX", "30"),
            ("INGOT_SERVER__JSON_BYTES_MAX", "10_000"),
            ("INGOT_PROJECT__CHANNELS", "a, b"),
            ("INGOT_URL", "http://x"),
            ("INGOT_TOKEN", "x"),
            ("PATH", "/"),
        ]);
        let flags = [("server.json_bytes_max", "40_000".to_owned(), "--json-max")];
        let loaded = load(Some(file.path()), variables, &flags).expect("loads");
        let server = &loaded.config.server;
        assert_eq!(
            (server.workers, server.connections_max, server.json_bytes_max),
            (2, 30, 40_000)
        );
        assert_eq!(loaded.config.project.channels, ["a", "b"]);
        let shown = loaded.show();
        assert!(shown.contains("# file "));
        for line in [
            "connections_max = 30  # environment INGOT_SERVER__CONNECTIONS_MAX",
            "json_bytes_max = 40000  # flag --json-max",
            "listen = \"127.0.0.1:8470\"  # default",
        ] {
            assert!(shown.contains(line), "{line} in\n{shown}");
        }
        // What is shown is itself a configuration.
        let again: Config = toml::from_str(&shown).expect("parses");
        assert_eq!(again, loaded.config);
    }

    #[test]
    fn unknown_keys_name_the_nearest_known_one() {
        let check = |text: &str, variables: &[(&str, &str)], expected: &str| {
            let error = error(text, variables);
            assert!(error.contains(expected), "{error}");
        };
        check("[server]\nlisten_adr = 'x'", &[], "did you mean server.listen?");
        check("[storge]\ndata = 'x'", &[], "did you mean storage.data?");
        check("data = 'x'", &[], "there is no option data");
        check("", &[("INGOT_INDEX__ENGIN", "sled")], "did you mean index.engine?");
    }

    #[test]
    fn values_of_the_wrong_kind_say_what_is_expected() {
        let check = |text: &str, variables: &[(&str, &str)], expected: &str| {
            let error = error(text, variables);
            assert!(error.contains(expected), "{error}");
        };
        check("[server]\nworkers = 'two'", &[], "server.workers");
        check("[server]\nworkers = -1", &[], "negative");
        check("", &[("INGOT_SERVER__WORKERS", "two")], "INGOT_SERVER__WORKERS");
        check("[index]\nengine = 'rocks'", &[], "fjall");
        check("[server", &[], "is not TOML");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Some(Path::new("/nonexistent/ingot.toml")), [], &[]).expect_err("refused");
        assert!(error.0.contains("/nonexistent/ingot.toml"));
    }
}
