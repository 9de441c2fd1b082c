//! Who may do what: a token becomes a principal, a principal a typed proof.

use std::marker::PhantomData;

use ingot_core::grant::{Principal, Right};
use ingot_core::{Code, PackageName, ProjectName, Refusal, ViewName};

use crate::store::Registry;

/// A kind of right that a proof can be of.
pub trait Act: Send + Sync + 'static {
    /// The right as grants spell it.
    const RIGHT: Right;
}
/// See and fetch.
#[derive(Debug)]
pub struct Read;
/// Upload, publish, seal, name.
#[derive(Debug)]
pub struct Publish;
/// Change a channel.
#[derive(Debug)]
pub struct Promote;
/// Block, define, mint.
#[derive(Debug)]
pub struct Admin;
impl Act for Read {
    const RIGHT: Right = Right::Read;
}
impl Act for Publish {
    const RIGHT: Right = Right::Publish;
}
impl Act for Promote {
    const RIGHT: Right = Right::Promote;
}
impl Act for Admin {
    const RIGHT: Right = Right::Admin;
}

/// Proof that a principal has a right in a view. Only [`Registry::authorize`] makes one, and a
/// door that changes or shows something cannot be called without.
#[derive(Debug)]
pub struct Authorized<A: Act> {
    principal: Principal,
    view: ViewName,
    act: PhantomData<A>,
}

// By hand, since a derive would ask for `A: Clone`.
impl<A: Act> Clone for Authorized<A> {
    fn clone(&self) -> Self {
        Self { principal: self.principal.clone(), view: self.view.clone(), act: PhantomData }
    }
}

impl<A: Act> Authorized<A> {
    /// Who.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
    /// Where.
    pub fn view(&self) -> &ViewName {
        &self.view
    }
    /// The project.
    pub fn project(&self) -> &ProjectName {
        &self.view.project
    }
    /// Whether the right reaches to this package.
    pub fn covers(&self, package: &PackageName) -> bool {
        self.principal.may(A::RIGHT, &self.view, Some(package))
    }
    /// Refuses what the right does not reach: 404 where it is reading, else 403.
    pub fn check(&self, package: &PackageName) -> Result<(), Refusal> {
        if self.covers(package) {
            return Ok(());
        }
        Err(lacking::<A>(&self.principal, &self.view, Some(package)))
    }
}

fn lacking<A: Act>(
    principal: &Principal,
    view: &ViewName,
    package: Option<&PackageName>,
) -> Refusal {
    if principal.is_anonymous() {
        return Refusal::new(
            Code::Unauthenticated,
            "this needs a token: send it as `Authorization: Bearer …`, or as the password of \
             Basic authentication with any user name",
        );
    }
    if A::RIGHT == Right::Read {
        return nothing_here();
    }
    let what = package.map_or_else(|| view.to_string(), |package| format!("{package} in {view}"));
    Refusal::new(
        Code::Forbidden,
        format!(
            "the token '{}' does not have the right to {} {what}; ask an admin of the project",
            principal.name,
            A::RIGHT.as_str()
        ),
    )
}

/// The answer to what does not exist and to what may not be seen: one and the same.
pub(crate) fn nothing_here() -> Refusal {
    Refusal::new(Code::NotFound, "there is nothing here, or nothing this token may read")
}

impl Registry {
    /// Makes the proof, or says what is missing. Without a package it is enough that the right
    /// reaches to some: the doors ask again for each package they touch.
    pub fn authorize<A: Act>(
        &self,
        principal: &Principal,
        view: &ViewName,
        package: Option<&PackageName>,
    ) -> Result<Authorized<A>, Refusal> {
        if !principal.may(A::RIGHT, view, package) {
            return Err(lacking::<A>(principal, view, package));
        }
        Ok(Authorized { principal: principal.clone(), view: view.clone(), act: PhantomData })
    }

    /// The proof of administering all projects.
    pub fn authorize_operator(&self, principal: &Principal) -> Result<(), Refusal> {
        if principal.is_operator() {
            return Ok(());
        }
        if principal.is_anonymous() {
            return Err(Refusal::new(Code::Unauthenticated, "this needs an admin's token"));
        }
        Err(Refusal::new(
            Code::Forbidden,
            format!(
                "the token '{}' is not an admin of the whole server; use the one that the first \
                 start wrote to admin-token in the data directory",
                principal.name
            ),
        ))
    }
}
