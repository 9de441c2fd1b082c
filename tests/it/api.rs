//! The HTTP contract, route by route and shape by shape (design section 3). Each expectation
//! quotes or names the sentence it stands on; what the contract leaves open is left open here.

mod blocks;
mod channels;
mod documents;
mod drafts;
mod files;
mod history;
mod lists;
mod projects;
mod promotions;
mod references;
mod requests;
mod rollbacks;
mod tokens;
mod views;

use ingot_tests::archive::tiny;
use ingot_tests::client::Client;
use ingot_tests::server::Server;
use serde_json::Value;

/// A full commit SHA, told apart by its first digit.
fn commit(digit: char) -> String {
    digit.to_string().repeat(40)
}

/// A server with its defaults, and its administrator.
async fn fresh() -> (Server, Client) {
    let server = Server::start().await;
    let client = server.admin();
    (server, client)
}

/// Publishes `package@version` with one file, `app.zip`, and answers its bytes.
async fn published(client: &Client, package: &str, version: &str) -> Vec<u8> {
    let seed = ingot_tests::digest(format!("{package}@{version}").as_bytes());
    let zip = tiny(u64::from_str_radix(&seed[7..22], 16).expect("hex"), 300);
    client.publish(package, version, "app.zip", &zip, None).await.expect(201);
    zip
}

/// Publishes a release and promotes it along the channels, up to and including `last`.
async fn promoted(client: &Client, package: &str, version: &str, last: &str) -> Vec<u8> {
    let zip = published(client, package, version).await;
    for channel in ["dev", "staging", "prod"] {
        let name = format!("raw:{package}");
        client.promote(channel, &[(&name, version)]).await.expect(201);
        if channel == last {
            break;
        }
    }
    zip
}

/// All releases of a package, through every page of `GET …/packages/{package}`: "releases
/// (newest first, paged)". The page may stand in the package or be the list itself.
pub(crate) async fn releases_of(client: &Client, path: &str, limit: usize) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut after = String::new();
    loop {
        let page = client.get(&format!("{path}?limit={limit}{after}")).await.expect(200);
        let body = page.json();
        let list = if body["releases"].is_object() { &body["releases"] } else { &body };
        let items = [&list["items"], &list["releases"]].into_iter().find_map(Value::as_array);
        let items = items.unwrap_or_else(|| panic!("no releases: {}", page.shown()));
        assert!(items.len() <= limit, "{}", page.shown());
        rows.extend(items.iter().cloned());
        match list["next"].as_str() {
            Some(next) => after = format!("&after={}", ingot_tests::client::encode(next)),
            None => return rows,
        }
        assert!(rows.len() < 10_000, "the cursor does not end");
    }
}
