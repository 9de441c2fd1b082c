//! The JSON API under `/api/v1`: routes as data, answers as one match over what they do.

pub mod openapi;

pub(crate) use answers::default_channels;

mod answers;
mod bodies;
mod routes;

use ingot_core::grant::Principal;
use ingot_core::{Code, ProjectName, Refusal};

pub use answers::answer;
pub use routes::{Needs, Op, ROUTES, Route};

use crate::limits::method_not_allowed;
use crate::path::Target;

/// What stands before every pattern of the table.
pub const PREFIX: &str = "/api/v1";

/// A route that fits, and what stood in its places.
#[derive(Clone, Debug)]
pub struct Match {
    /// The route.
    pub route: &'static Route,
    params: Vec<(&'static str, String)>,
    query: Vec<(String, String)>,
    /// The path as asked, decoded, for telling requests apart.
    path: String,
}

impl Match {
    /// What stands in a place of the pattern.
    fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value.as_str())
    }
    /// A query parameter.
    fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
    /// The project the route is about, if it is about one that can exist.
    pub fn project(&self) -> Option<ProjectName> {
        ProjectName::new(self.param("project")).ok()
    }
}

/// The route for a path.
///
/// Errors: `not_found`, `method_not_allowed` with what is; `unauthenticated` where even the
/// coarsest need of the route is not met.
pub fn find(
    method: &str,
    target: &Target,
    query: Vec<(String, String)>,
    principal: &Principal,
) -> Result<Match, Refusal> {
    let method = if method == "HEAD" { "GET" } else { method };
    let segments: Vec<&str> = target.segments.iter().map(String::as_str).collect();
    let rest = match segments.as_slice() {
        ["api", "v1", rest @ ..] if !target.directory => rest,
        _ => return Err(nothing()),
    };
    let mut allowed = Vec::new();
    for route in ROUTES {
        let Some(params) = fit(route.pattern, rest) else { continue };
        if route.method != method {
            allowed.push(route.method);
            continue;
        }
        match route.needs {
            Needs::Token | Needs::Publish | Needs::Promote | Needs::Admin
                if principal.is_anonymous() =>
            {
                return Err(Refusal::new(Code::Unauthenticated, "this needs a token"));
            }
            _ => {}
        }
        return Ok(Match { route, params, query, path: format!("/{}", segments.join("/")) });
    }
    if allowed.is_empty() {
        return Err(nothing());
    }
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    Err(method_not_allowed(&allowed))
}

fn nothing() -> Refusal {
    Refusal::new(Code::NotFound, "the API has no such route; see /api/v1/openapi.json")
}

fn fit(pattern: &'static str, segments: &[&str]) -> Option<Vec<(&'static str, String)>> {
    let mut params = Vec::new();
    let mut parts = pattern.split('/').skip(1);
    for segment in segments {
        let part = parts.next()?;
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => params.push((name, (*segment).to_owned())),
            None if part == *segment => {}
            None => return None,
        }
    }
    parts.next().is_none().then_some(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::{Policy, parse};

    fn check(method: &str, path: &str, expected: Result<Op, Code>) {
        let target = parse(path, Policy::Api).expect("a path");
        let principal = Principal { token: Some("t".into()), ..Principal::anonymous() };
        let found = find(method, &target, Vec::new(), &principal);
        let found = found.map(|found| found.route.op).map_err(|refusal| refusal.code());
        assert_eq!(found, expected, "{method} {path}");
    }

    #[test]
    fn routes_are_found_and_nothing_else_is() {
        check("GET", "/api/v1/whoami", Ok(Op::WhoAmI));
        check("HEAD", "/api/v1/whoami", Ok(Op::WhoAmI));
        check("GET", "/api/v1/projects/main/packages/npm:@acme%2Fui", Ok(Op::Package));
        check("GET", "/api/v1/projects/main/packages/raw:a/releases/sha256:00", Ok(Op::Release));
        check("POST", "/api/v1/projects/p/channels/prod/promotions", Ok(Op::Promote));
        check("DELETE", "/api/v1/projects/p/tokens/12345678", Ok(Op::RevokeToken));
        check("POST", "/api/v1/whoami", Err(Code::MethodNotAllowed));
        for path in ["/api", "/api/v1", "/api/v2/whoami", "/api/v1/whoami/x", "/api/v1/whoami/"] {
            check("GET", path, Err(Code::NotFound));
        }
    }

    #[test]
    fn what_is_allowed_instead_is_named() {
        let target = parse("/api/v1/projects/p", Policy::Api).expect("a path");
        let refusal = find("POST", &target, Vec::new(), &Principal::anonymous()).expect_err("405");
        let allow = refusal.members()["allow"].to_string();
        assert_eq!(allow, r#"["GET","PUT","HEAD"]"#);
    }

    #[test]
    fn changes_need_a_token_before_anything_else() {
        for route in ROUTES.iter().filter(|route| route.method != "GET") {
            assert!(!matches!(route.needs, Needs::Nobody | Needs::Read), "{}", route.pattern);
            let path = format!("{PREFIX}{}", route.pattern)
                .replace("{project}", "main")
                .replace("{package}", "raw:app")
                .replace(['{', '}'], "");
            let target = parse(&path, Policy::Api).expect("a path");
            let refusal = find(route.method, &target, Vec::new(), &Principal::anonymous());
            assert_eq!(refusal.expect_err("401").code(), Code::Unauthenticated, "{path}");
        }
    }
}
