//! What the README shows is run as it stands there, and the demo plays to its end.

use std::path::Path;
use std::process::{Command, Output};

use ingot_tests::server::Server;

fn readme() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    std::fs::read_to_string(root.join("README.md")).expect("a README")
}

/// The first shell block after a line of the README.
fn block_after(text: &str, line: &str) -> String {
    let (_, after) = text.split_once(line).unwrap_or_else(|| panic!("the README has no {line}"));
    let (_, block) = after.split_once("```sh\n").expect("a shell block");
    block.split_once("```").expect("its end").0.to_owned()
}

fn shell(script: &str, dir: &Path, server: &Server) -> Output {
    let bin = ingot_tests::server::binary();
    let path = format!(
        "{}:{}",
        bin.parent().expect("a directory").display(),
        std::env::var("PATH").expect("a PATH")
    );
    let script = script
        .replace("http://127.0.0.1:8470", &server.base_url())
        .replace("--data ingot-data", &format!("--data {}", server.data().display()));
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(dir)
        .env("PATH", path)
        .env("INGOT_URL", server.base_url())
        .output()
        .expect("bash runs");
    assert!(
        output.status.success(),
        "{script}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_and_the_client_do_what_the_readme_says() {
    let text = readme();
    let server = Server::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("ingot-data");
    std::fs::create_dir(&data).expect("a directory");
    std::fs::copy(server.data().join("admin-token"), data.join("admin-token")).expect("a token");
    shell(&block_after(&text, "<!-- tour -->"), dir.path(), &server);
    let deployed = std::fs::read(dir.path().join("deployed.zip")).expect("deployed");
    let client = server.admin();
    let prod = client.get(&ingot_tests::client::api("/channels/prod")).await.expect(200).json();
    assert_eq!(prod["packages"][0]["version"], "1.4.2", "rolled back");
    assert_eq!(prod["packages"][0]["held"], true);
    let path = "/raw/main@prod/thumb/1.4.2/thumb.zip";
    assert_eq!(client.get(path).await.expect(200).body[..], deployed[..]);
    let output = shell(&block_after(&text, "## The same with the `ingot` client"), dir.path(), &server);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("1.4.2"), "{printed}");
}

#[test]
fn the_demo_plays_to_its_end() {
    let output = Command::new(ingot_tests::server::binary())
        .args(["demo", "--json"])
        .env_remove("INGOT_TOKEN")
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(told.is_object(), "{told}");
}
