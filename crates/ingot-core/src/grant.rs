//! What a token may do.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::names::{ChannelName, PackageName, ProjectName, ViewName};
use crate::refusal::{Code, Refusal};

/// Most grants one token may carry.
pub const GRANTS_MAX: usize = 32;

/// A kind of right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// See and fetch what is published.
    Read,
    /// Upload, publish, seal, name.
    Publish,
    /// Promote, roll back, hold, lift, revoke.
    Promote,
    /// Block, define channels, mint tokens; includes the three above.
    Admin,
}

impl Right {
    /// The right as grants spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Publish => "publish",
            Right::Promote => "promote",
            Right::Admin => "admin",
        }
    }
}

/// Some rights over some packages in some views. What no grant allows is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The rights.
    pub actions: Vec<Right>,
    /// `*`, a package such as `raw:app`, or a prefix ending in `*` such as `raw:app*`.
    #[serde(default = "everything")]
    pub packages: String,
    /// `full`, channel names; empty means every view. For `promote` the channels it may change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
}

fn everything() -> String {
    "*".to_owned()
}

impl Grant {
    /// Checks what the types do not: a known pattern, at least one right, sane view names.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.actions.is_empty() {
            return Err(Refusal::new(
                Code::Invalid,
                "a grant names at least one of read, publish, promote, admin",
            ));
        }
        let stem = self.packages.strip_suffix('*').unwrap_or(&self.packages);
        if stem.contains('*') || self.packages.is_empty() || self.packages.len() > 600 {
            return Err(Refusal::new(
                Code::Invalid,
                "a grant's packages is '*', a package such as raw:app, or a prefix such as raw:app*",
            ));
        }
        for view in &self.views {
            if view != "full" {
                view.parse::<ChannelName>()?;
            }
        }
        Ok(())
    }

    fn covers_right(&self, right: Right) -> bool {
        self.actions.contains(&right) || self.actions.contains(&Right::Admin)
    }

    fn covers_package(&self, package: Option<&PackageName>) -> bool {
        let Some(package) = package else { return true };
        match self.packages.strip_suffix('*') {
            Some(stem) => package.to_string().starts_with(stem),
            None => package.to_string() == self.packages,
        }
    }

    fn covers_view(&self, channel: Option<&ChannelName>) -> bool {
        let name = channel.map_or("full", ChannelName::as_str);
        self.views.is_empty() || self.views.iter().any(|view| view == name)
    }

    /// True when everything `other` allows is allowed by this grant too.
    fn includes(&self, other: &Grant) -> bool {
        let packages = match (self.packages.strip_suffix('*'), other.packages.strip_suffix('*')) {
            (Some(ours), Some(theirs)) => theirs.starts_with(ours),
            (Some(ours), None) => other.packages.starts_with(ours),
            (None, None) => self.packages == other.packages,
            (None, Some(_)) => false,
        };
        let views = self.views.is_empty()
            || (!other.views.is_empty()
                && other.views.iter().all(|view| self.views.contains(view)));
        packages && views && other.actions.iter().all(|&right| self.covers_right(right))
    }
}

/// Who is asking, after the token was looked up. Rights are only ever read through [`Self::may`].
#[derive(Clone, Debug)]
pub struct Principal {
    /// The token's name; `anonymous` without one.
    pub name: String,
    /// The token's public id; none for anonymous.
    pub token: Option<String>,
    /// The project the token is good in; none means all.
    pub project: Option<ProjectName>,
    /// What it may do there.
    pub grants: Vec<Grant>,
    /// When it ends; none for anonymous.
    pub expires_at: Option<Timestamp>,
}

impl Principal {
    /// Nobody in particular, with no rights.
    pub fn anonymous() -> Self {
        Self {
            name: "anonymous".to_owned(),
            token: None,
            project: None,
            grants: Vec::new(),
            expires_at: None,
        }
    }

    /// True without a token.
    pub fn is_anonymous(&self) -> bool {
        self.token.is_none()
    }

    fn is_in(&self, project: &ProjectName) -> bool {
        match &self.project {
            Some(own) => own == project,
            // What is granted to everybody is granted in one project, never in all of them.
            None => !self.is_anonymous(),
        }
    }

    /// Whether some grant gives the right over the package in the view. Without a package: over
    /// at least one, as lists need it; the list then shows only what the principal may see.
    pub fn may(&self, right: Right, view: &ViewName, package: Option<&PackageName>) -> bool {
        self.is_in(&view.project)
            && self.grants.iter().any(|grant| {
                grant.covers_right(right)
                    && grant.covers_package(package)
                    && grant.covers_view(view.channel.as_ref())
            })
    }

    /// Whether any grant lets the principal see something in the project, whatever the view.
    pub fn may_see(&self, project: &ProjectName) -> bool {
        self.is_in(project) && !self.grants.is_empty()
    }

    /// Whether the principal may administer every project, and create new ones.
    pub fn is_operator(&self) -> bool {
        !self.is_anonymous()
            && self.project.is_none()
            && self.grants.iter().any(|grant| {
                grant.actions.contains(&Right::Admin)
                    && grant.packages == "*"
                    && grant.views.is_empty()
            })
    }

    /// Whether a token with these grants would be no stronger than this principal.
    pub fn includes(&self, grants: &[Grant]) -> bool {
        grants.iter().all(|grant| self.grants.iter().any(|own| own.includes(grant)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(actions: &[Right], packages: &str, views: &[&str]) -> Principal {
        Principal {
            name: "t".into(),
            token: Some("id".into()),
            project: Some("main".parse().expect("project")),
            grants: vec![Grant {
                actions: actions.to_vec(),
                packages: packages.into(),
                views: views.iter().map(|&view| view.to_owned()).collect(),
            }],
            expires_at: None,
        }
    }

    #[test]
    fn a_channel_token_sees_its_channel_and_nothing_else() {
        let deploy = principal(&[Right::Read], "raw:app*", &["prod"]);
        let check = |right, view: &str, package: &str, expected| {
            let package = package.parse().expect("package");
            let view = view.parse().expect("view");
            assert_eq!(deploy.may(right, &view, Some(&package)), expected, "{view} {package}");
        };
        check(Right::Read, "main@prod", "raw:app", true);
        check(Right::Read, "main@prod", "raw:app-two", true);
        check(Right::Read, "main@prod", "raw:other", false);
        check(Right::Read, "main@staging", "raw:app", false);
        check(Right::Read, "main", "raw:app", false);
        check(Right::Read, "other@prod", "raw:app", false);
        check(Right::Promote, "main@prod", "raw:app", false);
    }

    #[test]
    fn a_token_mints_no_stronger_one() {
        let owner = principal(&[Right::Read, Right::Publish], "raw:app*", &["full"]);
        let check = |actions: &[Right], packages: &str, views: &[&str], expected| {
            let asked = principal(actions, packages, views).grants;
            assert_eq!(owner.includes(&asked), expected, "{asked:?}");
        };
        check(&[Right::Read], "raw:app-x", &["full"], true);
        check(&[Right::Read], "raw:app-*", &["full"], true);
        check(&[Right::Read], "raw:*", &["full"], false);
        check(&[Right::Read], "raw:app", &[], false);
        check(&[Right::Promote], "raw:app", &["full"], false);
    }

    #[test]
    fn anonymous_may_nothing() {
        let view = "main".parse().expect("view");
        assert!(!Principal::anonymous().may(Right::Read, &view, None));
    }

    #[test]
    fn anonymous_may_what_is_granted_to_everybody_in_a_project() {
        let mut nobody = principal(&[Right::Read], "raw:app", &["prod"]);
        nobody.token = None;
        let may = |nobody: &Principal, view: &str| {
            nobody.may(Right::Read, &view.parse().expect("view"), None)
        };
        assert!(may(&nobody, "main@prod"));
        assert!(!may(&nobody, "main"));
        assert!(!may(&nobody, "other@prod"));
        nobody.project = None;
        assert!(!may(&nobody, "main@prod"));
        assert!(!nobody.is_operator());
    }
}
