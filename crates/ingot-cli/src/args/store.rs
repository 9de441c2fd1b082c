//! Arguments of the verbs on the server and on the store itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Which store, or which server's.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// The data directory; default ./ingot-data
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The configuration file; what is set as INGOT_SECTION__KEY or as a flag goes before it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// `serve`, and what `config` looks at.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Address and port to listen on; default 127.0.0.1:8470, port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
}

/// `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Say whether the server would start with it
    Check(Serve),
    /// Print every option, its value and where that came from
    Show(Serve),
}

/// `index`.
#[derive(Debug, Subcommand)]
pub(crate) enum IndexVerb {
    /// Drop the index and fold the ledgers anew; the server must be stopped
    Rebuild(StoreArgs),
}
