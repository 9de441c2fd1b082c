//! What every client verb works with.

use ingot_core::ProjectName;

use crate::client::Client;
use crate::environment::Environment;
use crate::output::Output;

/// A server, a project on it, and where answers go.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) project: ProjectName,
    pub(crate) output: Output,
    pub(crate) environment: Environment,
}

impl Session {
    /// The project's name, as URLs need it.
    pub(crate) fn project(&self) -> &str {
        self.project.as_str()
    }
}
