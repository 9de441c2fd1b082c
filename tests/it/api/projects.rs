//! Projects: "create or extend, idempotent; a channel in use can't be removed".

use ingot_tests::archive::tiny;
use ingot_tests::client::{Answer, Client};
use serde_json::{Value, json};

use super::{fresh, promoted};

async fn define(client: &Client, project: &str, channels: Value) -> Answer {
    let body = json!({"channels": channels}).to_string();
    let headers = [("content-type", "application/json")];
    client.send("PUT", &format!("/api/v1/projects/{project}"), &headers, body).await
}

fn names(project: &Value) -> Vec<&str> {
    let rows = project["channels"].as_array().unwrap_or_else(|| panic!("no channels: {project}"));
    rows.iter().filter_map(|row| row["name"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_made_once_and_extended() {
    let (_server, client) = fresh().await;
    let two = json!([{"name": "test"}, {"name": "live", "from": "test", "protected": true}]);
    let first = define(&client, "shop", two.clone()).await.expect(201);
    assert!(first.seq() >= 1);
    define(&client, "shop", two).await.expect(200);
    let shop = client.get("/api/v1/projects/shop").await.expect(200).json();
    assert_eq!(names(&shop), ["test", "live"]);
    assert_eq!(shop["channels"][1]["from"], "test");
    assert_eq!(shop["channels"][1]["protected"], true);
    let three = json!([
        {"name": "test"},
        {"name": "qa", "from": "test"},
        {"name": "live", "from": "qa", "protected": true}
    ]);
    define(&client, "shop", three).await.expect_any(&[200, 201]);
    let shop = client.get("/api/v1/projects/shop").await.expect(200).json();
    assert_eq!(names(&shop), ["test", "qa", "live"]);
    let all = client.list("/api/v1/projects", 10).await;
    let text = json!(all).to_string();
    assert!(text.contains("\"main\"") && text.contains("\"shop\""), "{text}");
    // It works like the first one, and apart from it.
    client.put("/raw/shop/app/1/app.zip", &tiny(1, 50)).await.expect(201);
    client.get("/raw/main/app/1/app.zip").await.expect(404);
    let body = json!({"releases": [{"package": "raw:app", "ref": "1"}], "reason": "first"});
    client.post("/api/v1/projects/shop/channels/test/promotions", body).await.expect(201);
    client.get("/raw/shop@test/app/1/app.zip").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_in_use_cannot_be_removed() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "1", "dev").await;
    let without = json!([{"name": "staging"}, {"name": "prod", "from": "staging"}]);
    let problem = define(&client, "main", without).await.refused(409, "channel_in_use");
    assert!(problem.to_string().contains("dev"), "{problem}");
    let main = client.get("/api/v1/projects/main").await.expect(200).json();
    assert_eq!(names(&main), ["dev", "staging", "prod"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_and_channels_that_make_no_sense_are_refused() {
    let (_server, client) = fresh().await;
    for channels in [
        json!([{"name": "a", "from": "nowhere"}]),
        json!([{"name": "a", "from": "a"}]),
        json!([{"name": "a", "from": "b"}, {"name": "b", "from": "a"}]),
        json!([{"name": "a"}, {"name": "a"}]),
        json!([{"name": "A"}]),
        json!([{"name": "a/b"}]),
        json!([{"name": ""}]),
        json!([{"name": "latest"}]),
        json!("dev"),
        json!([{"nam": "dev"}]),
    ] {
        let answer = define(&client, "shop", channels.clone()).await;
        assert!([400, 422].contains(&answer.status), "{channels}: {}", answer.shown());
        answer.problem();
    }
    client.get("/api/v1/projects/shop").await.expect(404);
    for bad in ["system", "A", "a.b", "con", "-a", &"a".repeat(65)] {
        define(&client, bad, json!([{"name": "dev"}])).await.expect_any(&[400, 404, 422]).problem();
    }
}
