//! The command line.

mod admin;
mod store;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ingot_core::{Alias, ChannelName, CommitSha, FilePath, PackageName, ProjectName, Version};

use crate::coordinate::{self, ReleaseName, Target};

pub(crate) use admin::{Project, ProjectCreate, Right, Token, TokenCreate};
pub(crate) use store::{ConfigVerb, IndexVerb, Serve, StoreArgs};

const AFTER: &str = "\
Environment:
  INGOT_URL         the server; default http://127.0.0.1:8470
  INGOT_PROJECT     the project; default main
  INGOT_TOKEN       the token, or
  INGOT_TOKEN_FILE  a file that holds it, with mode 0600; or save it once with `ingot login`

Exit codes: 0 done, 1 refused or failed, 2 usage.";

/// Under which heading the options stand that every verb has.
const COMMON: &str = "Options of every verb";

/// A release store: cast once, promoted everywhere.
#[derive(Debug, Parser)]
#[command(name = "ingot", version, propagate_version = true, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The project; else INGOT_PROJECT, else main
    #[arg(long, global = true, value_name = "NAME", help_heading = COMMON)]
    pub(crate) project: Option<ProjectName>,
    /// Print the answer, or the problem, as one JSON document
    #[arg(long, global = true, help_heading = COMMON)]
    pub(crate) json: bool,
    /// Repeat an earlier command whose answer was lost, by the key that it showed
    #[arg(long, global = true, value_name = "KEY", value_parser = idempotency_key, help_heading = COMMON)]
    pub(crate) idempotency_key: Option<String>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the server
    Serve(Serve),
    /// Check or show the server's configuration
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Read all of a store: every commit, every blob, and whether the index equals them
    Verify(StoreArgs),
    /// Work on the index
    #[command(subcommand)]
    Index(IndexVerb),
    /// Play the whole story on real files, in a directory that goes away
    Demo,
    /// Upload files and make them visible as a release
    Publish(Publish),
    /// Freeze a release's files and fix its digest
    Seal(Releases),
    /// Move releases, or all of one commit, to a channel
    Promote(Promote),
    /// Go back to an earlier release of a channel, and hold it there
    Rollback(Rollback),
    /// Refuse promotions of packages in a channel until lifted
    Hold(Hold),
    /// End a hold
    Lift(Hold),
    /// Stop serving a release, everywhere and at once
    Block(Block),
    /// Serve a blocked release again
    Unblock(Block),
    /// Show what is current in a channel, or in all, now or at a time
    Status(Status),
    /// Show how a channel came to be what it is
    History(History),
    /// Show a package, or one release of it
    Show(Show),
    /// Download a file of a release, verified
    Fetch(Fetch),
    /// Say which release a file or a digest is
    Whatis(Whatis),
    /// Make, list and end tokens
    #[command(subcommand)]
    Token(Token),
    /// Make and show projects
    #[command(subcommand)]
    Project(Project),
    /// Save a token for the server, read from standard input
    Login,
    /// Forget the token saved for the server
    Logout,
}

/// `publish`.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// Package and version, like raw:thumb@1.4.2
    #[arg(value_name = "PACKAGE@VERSION", value_parser = new_release)]
    pub(crate) release: (PackageName, Version),
    /// The files; PATH=NAME gives one another name. None publishes what was staged with --draft
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The name of the only file
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: Option<FilePath>,
    /// The Git commit it was built from, in full: $(git rev-parse HEAD)
    #[arg(long, value_name = "SHA")]
    pub(crate) commit: Option<CommitSha>,
    /// The URL of the source repository
    #[arg(long, value_name = "URL")]
    pub(crate) source: Option<String>,
    /// The URL of the build that made it
    #[arg(long, value_name = "URL")]
    pub(crate) build: Option<String>,
    /// Only stage the files; nobody sees them before they are published
    #[arg(long, conflicts_with_all = ["seal", "alias"], requires = "files")]
    pub(crate) draft: bool,
    /// Seal the release as well: no more files
    #[arg(long)]
    pub(crate) seal: bool,
    /// A further name for the release, such as a build number; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) alias: Vec<Alias>,
}

/// Verbs that take releases alone.
#[derive(Debug, Args)]
pub(crate) struct Releases {
    /// The releases, like raw:thumb@1.4.2
    #[arg(required = true, value_name = "PACKAGE@REF", value_parser = coordinate::release)]
    pub(crate) releases: Vec<ReleaseName>,
    /// Why, for the ledger
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// `promote`.
#[derive(Debug, Args)]
pub(crate) struct Promote {
    /// The releases, like raw:thumb@1.4.2; all move, or none
    #[arg(required_unless_present = "commit", value_name = "PACKAGE@REF",
          value_parser = coordinate::release)]
    pub(crate) releases: Vec<ReleaseName>,
    /// Of every package, the release built from this commit
    #[arg(long, value_name = "SHA", conflicts_with = "releases")]
    pub(crate) commit: Option<CommitSha>,
    /// The channel to move them to
    #[arg(long, value_name = "CHANNEL")]
    pub(crate) to: ChannelName,
    /// Why, for the ledger
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Only say what would be refused, and why
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Refuse if the channel is no longer at this number (status shows it)
    #[arg(long, value_name = "SEQ")]
    pub(crate) if_seq: Option<u64>,
}

/// `rollback`.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The packages, like raw:thumb; all go back, or none
    #[arg(required = true, value_name = "PACKAGE", value_parser = coordinate::package)]
    pub(crate) packages: Vec<PackageName>,
    /// The channel
    #[arg(long = "in", value_name = "CHANNEL")]
    pub(crate) channel: ChannelName,
    /// The release to go back to; else the one that was current before
    #[arg(long, value_name = "REF")]
    pub(crate) to: Option<String>,
    /// Why, for the ledger
    #[arg(long)]
    pub(crate) reason: String,
    /// Refuse if the channel is no longer at this number (status shows it)
    #[arg(long, value_name = "SEQ")]
    pub(crate) if_seq: Option<u64>,
}

/// `hold`, `lift`.
#[derive(Debug, Args)]
pub(crate) struct Hold {
    /// The packages, like raw:thumb
    #[arg(required = true, value_name = "PACKAGE", value_parser = coordinate::package)]
    pub(crate) packages: Vec<PackageName>,
    /// The channel
    #[arg(long = "in", value_name = "CHANNEL")]
    pub(crate) channel: ChannelName,
    /// Why, for the ledger
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// `block`, `unblock`.
#[derive(Debug, Args)]
pub(crate) struct Block {
    /// The release, like raw:thumb@1.4.2
    #[arg(value_name = "PACKAGE@REF", value_parser = coordinate::release)]
    pub(crate) release: ReleaseName,
    /// Why, for the ledger and for everyone who asks for the release
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The channel; else all of them
    pub(crate) channel: Option<ChannelName>,
    /// What it was then: 2026-11-17T12:00:00Z, or 2026-11-17 12:00 for local time
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

/// `history`.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// The channel
    pub(crate) channel: ChannelName,
    /// Only this package
    #[arg(value_parser = coordinate::package)]
    pub(crate) package: Option<PackageName>,
    /// Only what came after this number
    #[arg(long, value_name = "SEQ")]
    pub(crate) after: Option<u64>,
    /// Stop after so many transitions
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

/// `show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The package, like raw:thumb, or one of its releases, like raw:thumb@1.4.2
    #[arg(value_name = "PACKAGE[@REF]", value_parser = coordinate::target)]
    pub(crate) target: Target,
}

/// `fetch`.
#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// The release, like raw:thumb@1.4.2, or with --in the package alone
    #[arg(value_name = "PACKAGE[@REF]", value_parser = coordinate::target)]
    pub(crate) target: Target,
    /// Which of the release's files; not needed when it has one
    pub(crate) file: Option<FilePath>,
    /// From this channel: what is current there, or the named release if it was admitted
    #[arg(long = "in", value_name = "CHANNEL")]
    pub(crate) channel: Option<ChannelName>,
    /// Where to: a file, or a directory; else the file's own name, here
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
}

/// `whatis`.
#[derive(Debug, Args)]
pub(crate) struct Whatis {
    /// A file on this machine, or a digest in any of the usual spellings
    #[arg(value_name = "FILE|DIGEST")]
    pub(crate) what: String,
}

fn new_release(text: &str) -> Result<(PackageName, Version), String> {
    let ReleaseName { package, reference } = coordinate::release(text)?;
    let version =
        reference.parse().map_err(|refusal: ingot_core::Refusal| refusal.detail().to_owned())?;
    Ok((package, version))
}

fn idempotency_key(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.len() > 64 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a key is one word of at most 64 characters");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_documented_forms_parse() {
        for line in [
            "ingot serve",
            "ingot serve --data DIR --listen 127.0.0.1:0 --config FILE",
            "ingot config check --config FILE",
            "ingot config show --json",
            "ingot demo",
            "ingot verify --data DIR",
            "ingot index rebuild --config FILE",
            "ingot publish raw:thumb@1.4.2 thumb.zip --commit 0123456789abcdef0123456789abcdef01234567",
            "ingot publish raw:thumb@1.4.2 a.zip b.zip --seal --alias build-7 --alias v1",
            "ingot publish raw:thumb@1.4.2 a.zip --draft",
            "ingot publish raw:thumb@1.4.2",
            "ingot seal raw:thumb@1.4.2",
            "ingot promote raw:thumb@1.4.2 --to staging",
            "ingot promote raw:thumb@1.4.2 npm:@acme/ui@2.0.0 --to staging --reason release",
            "ingot promote --commit abcdef0 --to staging --dry-run",
            "ingot rollback raw:thumb --in prod --reason broken",
            "ingot rollback raw:thumb --in prod --to 1.4.1 --reason broken --project other",
            "ingot hold raw:thumb --in prod",
            "ingot lift raw:thumb --in prod --reason fixed",
            "ingot block raw:thumb@1.4.2 --reason malware",
            "ingot status",
            "ingot status prod --at 2026-11-17T12:00:00Z --json",
            "ingot --json --project other status prod",
            "ingot history prod raw:thumb",
            "ingot show raw:thumb",
            "ingot fetch raw:thumb --in prod",
            "ingot fetch raw:thumb@1.4.2 thumb.zip -o /tmp",
            "ingot whatis thumb.zip",
            "ingot token create ci --allow read,publish --packages raw:app* --view full",
            "ingot token revoke 0011aabb",
            "ingot project create acme --channels test,prod --protect prod",
            "ingot login",
            "ingot logout",
        ] {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for line in [
            "ingot",
            "ingot publish raw:thumb thumb.zip",
            "ingot publish raw:thumb@sha256:00 thumb.zip",
            "ingot publish raw:thumb@1 --draft",
            "ingot publish raw:thumb@1 a.zip --draft --seal",
            "ingot publish raw:thumb@1 a.zip --commit HEAD",
            "ingot promote --to prod",
            "ingot promote raw:thumb --to prod",
            "ingot promote raw:thumb@1 --commit abcdef0 --to prod",
            "ingot promote raw:thumb@1",
            "ingot rollback raw:thumb --in prod",
            "ingot rollback --in prod --reason x",
            "ingot status Prod",
            "ingot token create ci",
            "ingot token create ci --allow everything",
            "ingot status --token ingot_u_x",
            "ingot history prod --limit 0",
        ] {
            let error = parse(line).err().unwrap_or_else(|| panic!("{line} parsed"));
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn no_verb_takes_a_token_as_an_argument() {
        fn walk(command: &clap::Command) {
            for arg in command.get_arguments() {
                let name = arg.get_id().as_str();
                assert!(!name.contains("token") && !name.contains("password"), "{name}");
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }

    #[test]
    fn a_key_has_a_longest_length() {
        assert!(idempotency_key(&"k".repeat(64)).is_ok());
        assert!(idempotency_key(&"k".repeat(65)).is_err());
        assert!(idempotency_key("two words").is_err());
    }
}
