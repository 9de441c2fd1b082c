//! The OpenAPI description of the API, made from the table of routes.

use ingot_core::Code;
use serde_json::{Map, Value, json};

use super::routes::{Needs, ROUTES, Route};

/// The document, OpenAPI 3.1.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.pattern).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Ingot",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A release store: what builds produce, never changed, moved from \
                            channel to channel by moving a pointer.",
        },
        "servers": [{"url": super::PREFIX}],
        "security": [{"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
            "schemas": schemas(),
        },
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn places(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = places(route.pattern)
        .map(|name| {
            json!({
                "name": name, "in": "path", "required": true,
                "schema": {"type": "string"}, "description": place(name),
            })
        })
        .collect();
    parameters.extend(route.query.iter().map(|name| {
        let schema = match *name {
            "limit" => json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
            "dry_run" => json!({"type": "boolean", "default": false}),
            "at" => json!({"type": "string", "format": "date-time"}),
            _ => json!({"type": "string"}),
        };
        json!({"name": name, "in": "query", "schema": schema})
    }));
    if route.method == "POST" {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255},
            "description": "The first answer to this key is given again for 24 hours.",
        }));
    }
    let mut responses: Map<String, Value> = Map::new();
    let answer = match route.answer {
        "none" => json!({"description": route.summary}),
        name => json!({
            "description": route.summary,
            "content": {"application/json": {"schema": reference(name)}},
        }),
    };
    responses.insert(route.fresh.to_string(), answer.clone());
    if route.fresh == 201 {
        responses.insert("200".to_owned(), answer);
    }
    responses.insert(
        "default".to_owned(),
        json!({
            "description": "A refusal",
            "content": {"application/problem+json": {"schema": reference("problem")}},
        }),
    );
    let needs = match route.needs {
        Needs::Nobody => "Needs no token.",
        Needs::Token => "Needs a valid token.",
        Needs::Read => "Needs the right to read.",
        Needs::Publish => "Needs the right to publish.",
        Needs::Promote => "Needs the right to promote in this channel.",
        Needs::Admin => "Needs the right to administer.",
    };
    let mut out = json!({
        "operationId": format!("{:?}", route.op),
        "summary": route.summary,
        "description": needs,
        "parameters": parameters,
        "responses": responses,
    });
    if route.needs == Needs::Nobody {
        out["security"] = json!([]);
    }
    if let Some(body) = route.body {
        out["requestBody"] = json!({
            "required": !matches!(body, "reason" | "project_wish"),
            "content": {"application/json": {"schema": reference(body)}},
        });
    }
    out
}

fn place(name: &str) -> &'static str {
    match name {
        "package" => "Format and name as one percent-encoded segment",
        "ref" => "A version, an alias, sha256:<release digest>, or a commit",
        "commit" => "7 to 64 hex digits",
        "channel" => "The name of a channel",
        "id" => "The public id of a token",
        _ => "The name of a project",
    }
}

#[allow(clippy::needless_pass_by_value, reason = "a literal each time")]
fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

fn schemas() -> Value {
    let text = || json!({"type": "string"});
    let maybe = || json!({"type": ["string", "null"]});
    let time = || json!({"type": ["string", "null"], "format": "date-time"});
    let whole = || json!({"type": "integer", "minimum": 0});
    let many = |items: Value| json!({"type": "array", "items": items});
    let digest = || json!({"type": ["string", "null"], "pattern": "^sha256:[0-9a-f]{64}$"});
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "object": {"type": "object"},
        "whoami": object(&["name", "grants"], json!({
            "name": text(), "id": maybe(), "project": maybe(),
            "grants": many(reference("grant")), "expires_at": time(),
        })),
        "grant": object(&["actions"], json!({
            "actions": many(json!({"enum": ["read", "publish", "promote", "admin"]})),
            "packages": {"type": "string", "default": "*"},
            "views": many(text()),
        })),
        "list": object(&["items", "next"], json!({"items": {"type": "array"}, "next": maybe()})),
        "channel_definition": object(&["name"], json!({
            "name": text(), "from": maybe(), "protected": {"type": "boolean", "default": false},
        })),
        "project_wish": object(&[], json!({
            "channels": many(reference("channel_definition")), "reason": maybe(),
        })),
        "project": object(&["project", "channels"], json!({
            "project": text(), "seq": whole(), "channels": many(reference("channel_definition")),
        })),
        "package": object(&["package", "releases", "next", "channels"], json!({
            "package": text(), "count": whole(), "releases": many(reference("release")),
            "next": maybe(), "channels": {"type": "object"},
        })),
        "file": object(&["path", "size", "digest", "hashes", "media_type"], json!({
            "path": text(), "size": whole(), "digest": digest(), "media_type": text(),
            "hashes": object(&[], json!({"md5": text(), "sha1": text(), "sha512": text()})),
        })),
        "origin": object(&[], json!({"commit": maybe(), "source": maybe(), "build": maybe()})),
        "release": object(
            &["package", "version", "purl", "state", "digest", "origin", "aliases", "files"],
            json!({
                "package": text(), "version": text(), "purl": text(),
                "state": {"enum": ["draft", "published", "sealed"]},
                "digest": digest(), "origin": reference("origin"), "aliases": many(text()),
                "files": many(reference("file")), "published_at": time(), "published_by": maybe(),
                "blocked": {"type": ["object", "null"]}, "channels": {"type": "object"},
            }),
        ),
        "build": object(&["commit", "releases"], json!({
            "commit": text(), "releases": many(reference("release")),
        })),
        "channel": object(&["project", "channel", "at", "seq", "packages"], json!({
            "project": text(), "channel": text(), "at": time(), "seq": whole(),
            "packages": many(object(&["package", "version", "held"], json!({
                "package": text(), "version": maybe(), "digest": digest(), "commit": maybe(),
                "since": time(), "by": maybe(), "held": {"type": "boolean"},
                "blocked": {"type": "boolean"},
            }))),
        })),
        "transition": object(&["seq", "kind", "package", "by", "at"], json!({
            "seq": whole(), "kind": {"enum": ["promote", "rollback", "hold", "lift", "revoke"]},
            "package": text(), "from": maybe(), "to": maybe(), "by": text(), "at": time(),
            "reason": maybe(),
        })),
        "promotion": {"anyOf": [
            object(&["seq", "channel", "transitions"], json!({
                "seq": whole(), "channel": text(), "transitions": many(reference("transition")),
            })),
            reference("verdict"),
        ]},
        "verdict": object(&["verdict", "gates"], json!({
            "verdict": {"enum": ["pass", "fail"]},
            "gates": many(object(&["gate", "verdict"], json!({
                "package": maybe(), "gate": text(),
                "verdict": {"enum": ["pass", "fail", "unknown"]}, "reason": maybe(),
            }))),
        })),
        "lookup": object(&["matches"], json!({
            "matches": many(object(&["package", "version", "current_in", "admitted_in"], json!({
                "package": text(), "version": text(), "path": maybe(), "digest": digest(),
                "commit": maybe(), "current_in": many(text()), "admitted_in": many(text()),
            }))),
        })),
        "fold": object(&["seq", "digest"], json!({"seq": whole(), "digest": text()})),
        "token": object(&["id", "token"], json!({"id": text(), "token": maybe()})),
        "token_wish": object(&["name", "grants"], json!({
            "name": text(), "grants": many(reference("grant")),
            "expires_in": {"type": "string", "pattern": "^[0-9]{1,9}[dhms]$", "default": "90d"},
            "reason": maybe(),
        })),
        "reason": object(&[], json!({"reason": maybe()})),
        "alias": object(&["name"], json!({"name": text(), "reason": maybe()})),
        "release_wish": object(&["package", "ref"], json!({"package": text(), "ref": text()})),
        "promotion_wish": object(&[], json!({
            "releases": many(reference("release_wish")), "commit": text(), "reason": maybe(),
        })),
        "rollback_wish": object(&["packages"], json!({
            "packages": many(object(&["package"], json!({"package": text(), "to": maybe()}))),
            "reason": maybe(),
        })),
        "packages_wish": object(&["packages"], json!({
            "packages": many(text()), "reason": maybe(),
        })),
        "revocation_wish": object(&["releases"], json!({
            "releases": many(reference("release_wish")), "reason": maybe(),
        })),
        "problem": object(
            &["type", "title", "status", "detail", "code", "error", "request_id"],
            json!({
                "type": text(), "title": text(), "status": whole(), "detail": text(),
                "code": {"enum": codes}, "error": text(), "request_id": text(),
            }),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn references(value: &Value, out: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(name) = members.get("$ref").and_then(Value::as_str) {
                    out.insert(name.to_owned());
                }
                members.values().for_each(|value| references(value, out));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, out)),
            _ => {}
        }
    }

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let document = document();
        let mut described = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                described.insert((method.to_uppercase(), path.clone()));
                let named: BTreeSet<&str> = operation["parameters"]
                    .as_array()
                    .expect("parameters")
                    .iter()
                    .filter(|parameter| parameter["in"] == "path")
                    .filter_map(|parameter| parameter["name"].as_str())
                    .collect();
                assert_eq!(named, places(path).collect(), "{method} {path}");
            }
        }
        let routes: BTreeSet<_> = ROUTES
            .iter()
            .map(|route| (route.method.to_owned(), route.pattern.to_owned()))
            .collect();
        assert_eq!(routes.len(), ROUTES.len(), "a route stands twice in the table");
        assert_eq!(described, routes);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = document();
        let mut used = BTreeSet::new();
        references(&document, &mut used);
        let known: BTreeSet<String> = document["components"]["schemas"]
            .as_object()
            .expect("schemas")
            .keys()
            .map(|name| format!("#/components/schemas/{name}"))
            .collect();
        assert_eq!(used, known);
    }

    #[test]
    fn operation_ids_are_unique() {
        let ids: BTreeSet<_> = ROUTES.iter().map(|route| format!("{:?}", route.op)).collect();
        assert_eq!(ids.len(), ROUTES.len());
    }
}
