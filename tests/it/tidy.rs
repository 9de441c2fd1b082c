//! The house rules that a compiler does not check: who may depend on whom, what each layer does
//! not know, and how large a file may grow.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Crates of ours that a crate may depend on.
const MAY_DEPEND: [(&str, &[&str]); 9] = [
    ("ingot-core", &[]),
    ("ingot-zip", &["ingot-core"]),
    ("ingot-storage", &["ingot-core"]),
    ("ingot-ledger", &["ingot-core"]),
    ("ingot-index", &["ingot-core"]),
    ("ingot-registry", &["ingot-core", "ingot-storage", "ingot-ledger", "ingot-index"]),
    ("ingot-format-raw", &["ingot-core", "ingot-zip"]),
    // The server opens the engines it hands to the registry (`store.rs`), and nothing else.
    (
        "ingot-server",
        &["ingot-core", "ingot-registry", "ingot-format-raw", "ingot-storage", "ingot-index"],
    ),
    ("ingot-cli", &["ingot-core", "ingot-server"]),
];

/// Crates of others that only some may know.
const ONLY: [(&str, &[&str]); 5] = [
    ("actix-web", &["ingot-server"]),
    ("fjall", &["ingot-index"]),
    ("sled", &["ingot-index"]),
    ("clap", &["ingot-cli"]),
    ("zip", &["ingot-zip", "ingot-cli"]),
];

/// What must not be read outside the server and the command line: clock, chance, environment.
const AMBIENT: [&str; 6] =
    ["SystemTime::now", "Timestamp::now", "Instant::now", "env::var", "rand::rng", "getrandom::"];

/// Longest source file, in lines.
const LINES_MAX: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the workspace").to_owned()
}

fn crates() -> BTreeMap<String, PathBuf> {
    let folders = std::fs::read_dir(root().join("crates")).expect("crates");
    folders
        .map(|folder| folder.expect("an entry").path())
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path))
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The code of a file without comments and without its unit tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a source file");
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
    let lines = text.lines().map(|line| match line.trim_start().starts_with("//") {
        true => "",
        false => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn dependencies(folder: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = text.parse().expect("a manifest");
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    table.into_iter().flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn crates_depend_on_what_the_table_allows() {
    let allowed: BTreeMap<_, _> = MAY_DEPEND.into_iter().collect();
    let found = crates();
    let names: BTreeSet<_> = found.keys().map(String::as_str).collect();
    assert_eq!(names, allowed.keys().copied().collect(), "a crate per row, a row per crate");
    for (name, folder) in &found {
        for dependency in dependencies(folder) {
            if dependency.starts_with("ingot-") {
                let fine = allowed[name.as_str()].contains(&dependency.as_str());
                assert!(fine, "{name} must not depend on {dependency}");
            }
            for (foreign, holders) in ONLY {
                let fine = dependency != foreign || holders.contains(&name.as_str());
                assert!(fine, "{name} must not know {foreign}");
            }
        }
    }
}

/// The name of a format stands in its own crate, in `formats.rs`, and in tests.
#[test]
fn no_format_is_named_outside_its_crate() {
    for (name, folder) in crates() {
        if name.starts_with("ingot-format-") || name == "ingot-cli" {
            continue;
        }
        for path in sources(&folder.join("src")) {
            if path.ends_with("formats.rs") {
                continue;
            }
            let code = code(&path);
            for format in ["\"raw\"", "\"maven\"", "\"npm\"", "ingot_format_"] {
                assert!(!code.contains(format), "{} names {format}", path.display());
            }
        }
    }
}

#[test]
fn clock_chance_and_environment_come_in_as_arguments() {
    for (name, folder) in crates() {
        if ["ingot-server", "ingot-cli"].contains(&name.as_str()) {
            continue;
        }
        for path in sources(&folder.join("src")) {
            if path.components().any(|part| part.as_os_str() == "testing") {
                continue;
            }
            let code = code(&path);
            for word in AMBIENT {
                assert!(!code.contains(word), "{} reads {word}", path.display());
            }
        }
    }
}

#[test]
fn files_stay_readable_and_say_what_they_are() {
    for (_, folder) in crates() {
        for path in sources(&folder.join("src")) {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let lines = text.lines().count();
            assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
            assert!(text.starts_with("//!"), "{} does not say what it is", path.display());
        }
    }
}

/// The lints of the workspace hold in every crate.
#[test]
fn no_crate_forgets_the_lints() {
    for (name, folder) in crates() {
        let text = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = text.parse().expect("a manifest");
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(lints, Some(&toml::Value::Boolean(true)), "{name} has no lints");
    }
}
