//! A suite that `main.rs` does not declare would never run, and nobody would notice.

use std::fs;
use std::path::Path;

#[test]
fn every_file_here_is_part_of_the_binary() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("it");
    check(&here, &here.join("main.rs"));
}

/// Each file and folder beside `root` must be declared in it; folders have a root of their own,
/// named like them.
fn check(dir: &Path, root: &Path) {
    let declared = fs::read_to_string(root).expect("the root module is readable");
    for entry in fs::read_dir(dir).expect("the folder is readable") {
        let path = entry.expect("an entry").path();
        if path == root {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
        if name == "snapshots" {
            continue; // insta's
        }
        let line = format!("mod {name};");
        assert!(
            declared.lines().any(|declaration| declaration.trim() == line),
            "{} is missing from {}: add `{line}`",
            path.display(),
            root.display()
        );
        if path.is_dir() {
            check(&path, &dir.join(format!("{name}.rs")));
        }
    }
}
