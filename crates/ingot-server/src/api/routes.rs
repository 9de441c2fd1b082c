//! The table of routes: what the router follows, the OpenAPI document tells, and tests walk.

/// What a token must allow. The doors of the registry ask again, per package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nobody,
    /// Any valid token.
    Token,
    /// Reading, in the view the route is about; perhaps granted to everybody.
    Read,
    /// Publishing.
    Publish,
    /// Changing the channel.
    Promote,
    /// Administering the project.
    Admin,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is told by the summary of its route")]
pub enum Op {
    OpenApi,
    WhoAmI,
    Projects,
    Project,
    PutProject,
    Packages,
    Package,
    Release,
    Publish,
    Seal,
    Block,
    Unblock,
    Alias,
    Build,
    Channels,
    Channel,
    Transitions,
    Promote,
    RollBack,
    Hold,
    Lift,
    Revoke,
    Lookup,
    Ledger,
    Fold,
    Tokens,
    Mint,
    RevokeToken,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// The method; GET takes HEAD too.
    pub method: &'static str,
    /// The path after `/api/v1`, with places in braces.
    pub pattern: &'static str,
    /// What it does.
    pub op: Op,
    /// What a token must allow.
    pub needs: Needs,
    /// What it does, in words.
    pub summary: &'static str,
    /// The query parameters it looks at.
    pub query: &'static [&'static str],
    /// The schema of its body.
    pub body: Option<&'static str>,
    /// The schema of its answer.
    pub answer: &'static str,
    /// The status of an answer that made something new.
    pub fresh: u16,
}

const fn get(
    pattern: &'static str,
    op: Op,
    needs: Needs,
    query: &'static [&'static str],
    answer: &'static str,
    summary: &'static str,
) -> Route {
    Route { method: "GET", pattern, op, needs, summary, query, body: None, answer, fresh: 200 }
}

const fn post(
    pattern: &'static str,
    op: Op,
    needs: Needs,
    fresh: u16,
    body: &'static str,
    answer: &'static str,
    summary: &'static str,
) -> Route {
    Route {
        method: "POST",
        pattern,
        op,
        needs,
        summary,
        query: &[],
        body: Some(body),
        answer,
        fresh,
    }
}

const RELEASE: &str = "/projects/{project}/packages/{package}/releases/{ref}";

/// All routes.
pub const ROUTES: &[Route] = &[
    get("/openapi.json", Op::OpenApi, Needs::Nobody, &[], "object", "This description"),
    get(
        "/whoami",
        Op::WhoAmI,
        Needs::Token,
        &[],
        "whoami",
        "Whose token this is, and what it may do",
    ),
    get("/projects", Op::Projects, Needs::Token, &[], "list", "The projects this token sees"),
    get(
        "/projects/{project}",
        Op::Project,
        Needs::Read,
        &[],
        "project",
        "A project and its channels",
    ),
    Route {
        method: "PUT",
        pattern: "/projects/{project}",
        op: Op::PutProject,
        needs: Needs::Admin,
        summary: "Create a project, or change its channels; a channel in use cannot be removed",
        query: &[],
        body: Some("project_wish"),
        answer: "project",
        fresh: 201,
    },
    get(
        "/projects/{project}/packages",
        Op::Packages,
        Needs::Read,
        &["format", "prefix", "after", "limit"],
        "list",
        "The packages of a project, in order of name",
    ),
    get(
        "/projects/{project}/packages/{package}",
        Op::Package,
        Needs::Read,
        &["after", "limit"],
        "package",
        "A package: its releases, newest first, and where it stands in each channel",
    ),
    get(
        RELEASE,
        Op::Release,
        Needs::Read,
        &[],
        "release",
        "A release, by version, alias, digest or commit",
    ),
    post(
        "/projects/{project}/packages/{package}/releases/{ref}/publish",
        Op::Publish,
        Needs::Publish,
        200,
        "reason",
        "release",
        "Make a draft visible, whole",
    ),
    post(
        "/projects/{project}/packages/{package}/releases/{ref}/seal",
        Op::Seal,
        Needs::Publish,
        200,
        "reason",
        "release",
        "Freeze a release's file set and fix its digest",
    ),
    post(
        "/projects/{project}/packages/{package}/releases/{ref}/block",
        Op::Block,
        Needs::Admin,
        200,
        "reason",
        "release",
        "Stop serving a release, everywhere and at once",
    ),
    post(
        "/projects/{project}/packages/{package}/releases/{ref}/unblock",
        Op::Unblock,
        Needs::Admin,
        200,
        "reason",
        "release",
        "Serve a blocked release again",
    ),
    post(
        "/projects/{project}/packages/{package}/releases/{ref}/aliases",
        Op::Alias,
        Needs::Publish,
        201,
        "alias",
        "release",
        "Give a release a further name, for ever",
    ),
    get(
        "/projects/{project}/builds/{commit}",
        Op::Build,
        Needs::Read,
        &[],
        "build",
        "Every release built from a commit, in all formats",
    ),
    get(
        "/projects/{project}/channels",
        Op::Channels,
        Needs::Read,
        &[],
        "list",
        "The channels of a project",
    ),
    get(
        "/projects/{project}/channels/{channel}",
        Op::Channel,
        Needs::Read,
        &["at"],
        "channel",
        "What is current in a channel, now or at some time",
    ),
    get(
        "/projects/{project}/channels/{channel}/transitions",
        Op::Transitions,
        Needs::Read,
        &["package", "after", "limit"],
        "list",
        "How a channel came to hold what it holds, oldest first",
    ),
    Route {
        method: "POST",
        pattern: "/projects/{project}/channels/{channel}/promotions",
        op: Op::Promote,
        needs: Needs::Promote,
        summary: "Promote releases, or all that was built from a commit: all of it or nothing",
        query: &["dry_run"],
        body: Some("promotion_wish"),
        answer: "promotion",
        fresh: 201,
    },
    post(
        "/projects/{project}/channels/{channel}/rollbacks",
        Op::RollBack,
        Needs::Promote,
        201,
        "rollback_wish",
        "promotion",
        "Make an earlier release current again, and hold the package",
    ),
    post(
        "/projects/{project}/channels/{channel}/holds",
        Op::Hold,
        Needs::Promote,
        201,
        "packages_wish",
        "promotion",
        "Refuse promotions of packages until lifted",
    ),
    post(
        "/projects/{project}/channels/{channel}/lifts",
        Op::Lift,
        Needs::Promote,
        201,
        "packages_wish",
        "promotion",
        "End holds",
    ),
    post(
        "/projects/{project}/channels/{channel}/revocations",
        Op::Revoke,
        Needs::Promote,
        201,
        "revocation_wish",
        "promotion",
        "Take releases out of what a channel admits",
    ),
    get(
        "/projects/{project}/lookup",
        Op::Lookup,
        Needs::Read,
        &["digest"],
        "lookup",
        "Which releases hold some content, and where they are current",
    ),
    get(
        "/projects/{project}/ledger",
        Op::Ledger,
        Needs::Admin,
        &["after", "limit"],
        "list",
        "The ledger itself: every commit, with its hash and the one before",
    ),
    get(
        "/projects/{project}/fold",
        Op::Fold,
        Needs::Admin,
        &[],
        "fold",
        "A digest of what the ledger folds into, for verifying beside a running server",
    ),
    get(
        "/projects/{project}/tokens",
        Op::Tokens,
        Needs::Admin,
        &["after", "limit"],
        "list",
        "The live tokens of a project, without their secrets",
    ),
    post(
        "/projects/{project}/tokens",
        Op::Mint,
        Needs::Admin,
        201,
        "token_wish",
        "token",
        "Mint a token; its secret is shown this once",
    ),
    Route {
        method: "DELETE",
        pattern: "/projects/{project}/tokens/{id}",
        op: Op::RevokeToken,
        needs: Needs::Admin,
        summary: "End a token",
        query: &[],
        body: None,
        answer: "none",
        fresh: 204,
    },
];
