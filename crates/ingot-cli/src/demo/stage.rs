//! Where the demo plays: a directory of its own, a server on a free port, and commands that are
//! run just as they are shown.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::{Form, Output};
use crate::table::clean_lines;

/// How long the server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a command came to.
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// The demo's directory, server and report. Dropping it ends the server and removes all.
pub(super) struct Stage {
    binary: PathBuf,
    path: Option<String>,
    output: Output,
    server: Option<Child>,
    url: String,
    steps: Vec<Value>,
    // Last, so that the server is gone before its directory.
    dir: TempDir,
}

impl Stage {
    pub(super) fn new(environment: &Environment, output: Output) -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::local(format!("cannot set the stage: {error}"));
        let dir = tempfile::Builder::new().prefix("ingot-demo-").tempdir().map_err(failed)?;
        Ok(Self {
            binary: std::env::current_exe().map_err(failed)?,
            path: environment.var("PATH").map(str::to_owned),
            output,
            server: None,
            url: String::new(),
            steps: Vec::new(),
            dir,
        })
    }

    /// Where commands run.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The server's address, once it runs.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Opens a chapter of the story.
    pub(super) fn step(&mut self, title: &str) {
        self.steps.push(json!({"step": title, "commands": []}));
        self.say(&format!("\n{}. {title}", self.steps.len()));
    }

    /// Says something to people.
    pub(super) fn say(&self, text: &str) {
        if self.output.form() == Form::Text {
            self.output.line(text);
        }
    }

    /// What happened, for machines.
    pub(super) fn report(&self) -> Value {
        json!({"steps": self.steps})
    }

    /// Writes a file for the story.
    pub(super) fn put(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        std::fs::write(self.dir().join(name), content)
            .map_err(|error| Failure::local(format!("cannot write {name}: {error}")))
    }

    /// Starts the server, and waits until it says where it listens.
    pub(super) async fn serve(&mut self) -> Result<(), Failure> {
        let args = ["serve", "--data", "store", "--listen", "127.0.0.1:0"];
        self.show_command(&args, None);
        let failed = |error: std::io::Error| wrong(format!("the server does not start: {error}"));
        let log = std::fs::File::create(self.dir().join("server.log")).map_err(failed)?;
        let mut command = self.command(&args);
        let mut server =
            command.arg("--json").stdout(Stdio::piped()).stderr(log).spawn().map_err(failed)?;
        let stdout = server.stdout.take().ok_or_else(|| wrong("the server says nothing".into()))?;
        self.server = Some(server);
        let mut line = String::new();
        let mut lines = BufReader::new(stdout);
        let read = tokio::time::timeout(PATIENCE, lines.read_line(&mut line)).await;
        let said = match read {
            Ok(Ok(count)) if count > 0 => serde_json::from_str::<Value>(&line).ok(),
            _ => None,
        };
        let url = said.as_ref().and_then(|said| said.get("url")?.as_str());
        let Some(url) = url else {
            let log = std::fs::read_to_string(self.dir().join("server.log")).unwrap_or_default();
            return Err(wrong(format!("the server did not start: {line}{log}")));
        };
        self.url = url.to_owned();
        self.say(&format!("   up at {url}; its admin token is in store/admin-token"));
        Ok(())
    }

    /// Stops the server as an operator would, and checks that it goes.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        let id = server.id().map(|id| id.to_string()).unwrap_or_default();
        let asked = Command::new("kill").args(["-TERM", &id]).status().await;
        if !asked.is_ok_and(|status| status.success()) {
            return server.kill().await.map_err(|error| wrong(error.to_string()));
        }
        match tokio::time::timeout(PATIENCE, server.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(wrong(format!("the server ended with {status}"))),
            Ok(Err(error)) => Err(wrong(error.to_string())),
            Err(_) => Err(wrong("the server does not stop".to_owned())),
        }
    }

    /// Shows a command, and what does the same without it; runs it; shows what it says. It must
    /// end with `code`.
    pub(super) async fn show(
        &mut self,
        args: &[&str],
        curl: Option<&str>,
        code: u8,
    ) -> Result<Ran, Failure> {
        self.show_command(args, curl);
        let ran = self.run(args).await?;
        for line in clean_lines(&format!("{}{}", ran.stdout, ran.stderr)).lines() {
            self.say(&format!("   {line}"));
        }
        if ran.code != Some(i32::from(code)) {
            return Err(wrong(format!(
                "`ingot {}` ended with {:?}, not {code}: {}{}",
                args.join(" "),
                ran.code,
                ran.stdout,
                ran.stderr
            )));
        }
        Ok(ran)
    }

    /// Runs a command unseen, and gives the document it prints.
    pub(super) async fn ask(&mut self, args: &[&str]) -> Result<Value, Failure> {
        let ran = self.run(&[args, &["--json"]].concat()).await?;
        serde_json::from_str(&ran.stdout).map_err(|_| {
            wrong(format!("`ingot {}` said {}{}", args.join(" "), ran.stdout, ran.stderr))
        })
    }

    async fn run(&self, args: &[&str]) -> Result<Ran, Failure> {
        let output =
            self.command(args).output().await.map_err(|error| {
                wrong(format!("`ingot {}` does not run: {error}", args.join(" ")))
            })?;
        Ok(Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// A command that knows this server, and nothing of the user's own settings.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).env_clear().current_dir(self.dir()).stdin(Stdio::null());
        command.kill_on_drop(true);
        command.envs(self.path.iter().map(|path| ("PATH", path)));
        if !self.url.is_empty() {
            command.env("INGOT_URL", &self.url).env("INGOT_TOKEN_FILE", "store/admin-token");
        }
        command
    }

    fn show_command(&mut self, args: &[&str], curl: Option<&str>) {
        let quoted: Vec<String> = args.iter().map(|arg| quote(arg)).collect();
        let line = format!("ingot {}", quoted.join(" "));
        self.say(&format!("   $ {line}"));
        if let Some(curl) = curl {
            self.say(&format!("   # or: {curl}"));
        }
        if let Some(commands) = self
            .steps
            .last_mut()
            .and_then(|step| step.get_mut("commands"))
            .and_then(Value::as_array_mut)
        {
            commands.push(json!(line));
        }
    }
}

/// The story did not go as it must.
pub(super) fn wrong(detail: String) -> Failure {
    Failure::Failed { code: "demo_failed", detail, hint: None }
}

/// An argument as a shell needs it.
fn quote(arg: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(&b);
    if !arg.is_empty() && arg.bytes().all(plain) {
        return arg.to_owned();
    }
    format!("'{}'", arg.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_typed() {
        for (arg, expected) in [
            ("raw:thumb@1.4.2", "raw:thumb@1.4.2"),
            ("thumbnails are too large", "'thumbnails are too large'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quote(arg), expected);
        }
    }
}
