//! Arguments of the verbs on tokens and projects.

use clap::{Args, Subcommand};
use ingot_core::{ChannelName, ProjectName};

/// `token`.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token; it is printed once and kept nowhere
    Create(TokenCreate),
    /// List the tokens of the project
    List,
    /// End a token before its time
    Revoke {
        /// The token's id, as `token list` shows it
        id: String,
    },
}

/// `token create`.
#[derive(Debug, Args)]
pub(crate) struct TokenCreate {
    /// Who or what it is for; shown wherever it acts
    pub(crate) name: String,
    /// Its rights: read, publish, promote, admin
    #[arg(long, required = true, value_delimiter = ',', value_name = "RIGHT")]
    pub(crate) allow: Vec<Right>,
    /// The packages: *, one package, or a prefix like raw:app*
    #[arg(long, default_value = "*", value_name = "PATTERN")]
    pub(crate) packages: String,
    /// Only in this view: full, or a channel; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "VIEW")]
    pub(crate) view: Vec<String>,
    /// How long it lives, like 90d or 12h; never longer than the token that makes it
    #[arg(long, default_value = "30d", value_name = "SPAN")]
    pub(crate) expires_in: String,
}

/// A right, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Right {
    /// See and fetch what is published
    Read,
    /// Upload, publish, seal, name
    Publish,
    /// Promote, roll back, hold, lift
    Promote,
    /// Block, define channels, make tokens; includes the three above
    Admin,
}

/// `project`.
#[derive(Debug, Subcommand)]
pub(crate) enum Project {
    /// Make a project, or extend its channels
    Create(ProjectCreate),
    /// Show a project's channels
    Show {
        /// The project; else the one of --project
        name: Option<ProjectName>,
    },
    /// List the projects
    List,
}

/// `project create`.
#[derive(Debug, Args)]
pub(crate) struct ProjectCreate {
    /// The project
    pub(crate) name: ProjectName,
    /// Its channels in order, each fed from the one before
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "CHANNELS",
        default_value = "dev,staging,prod"
    )]
    pub(crate) channels: Vec<ChannelName>,
    /// A channel that only tokens which name it may promote to; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "CHANNEL")]
    pub(crate) protect: Vec<ChannelName>,
}
