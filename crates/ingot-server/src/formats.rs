//! The formats this server speaks: the one place outside a format's own crate that names it.

use std::sync::Arc;

use ingot_core::format::Format;
use ingot_format_raw::RawFormat;

/// All formats.
pub fn all() -> Vec<Arc<dyn Format>> {
    vec![Arc::new(RawFormat::default())]
}

/// Their names, for figures that need a closed set of labels.
pub fn names() -> Vec<&'static str> {
    all().iter().map(|format| format.name()).collect()
}

/// What a first start tells people to copy, with what stands for the address and the project.
pub fn examples(url: &str, project: &str, token_file: &str) -> String {
    format!(
        "  # publish a zip with its commit, promote it, fetch what the channel holds
  (umask 077; printf 'header = \"Authorization: Bearer %s\"' \"$(cat '{token_file}')\" > ingot.curl)
  curl -fsSK ingot.curl -T app.zip -H \"Ingot-Commit: $(git rev-parse HEAD)\" \\
    {url}/{name}/{project}/app/1.0.0/app.zip
  curl -fsSK ingot.curl -H 'Content-Type: application/json' \\
    -d '{{\"releases\":[{{\"package\":\"{name}:app\",\"ref\":\"1.0.0\"}}],\"reason\":\"first\"}}' \\
    {url}/api/v1/projects/{project}/channels/dev/promotions
  curl -fsSLK ingot.curl -O {url}/{name}/{project}@dev/app/app.zip
",
        name = ingot_format_raw::NAME,
    )
}
