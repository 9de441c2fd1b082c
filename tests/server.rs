//! A running `ingot`: the real binary, in a directory of its own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Client;

/// How long a start may take. Generous: the machines that run this are slow and busy.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a graceful stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often something is looked at that gives no notice of its own.
const POLL: Duration = Duration::from_millis(20);
/// How much of a log is shown when a test failed, in bytes.
const LOG_SHOWN: usize = 16 * 1024;
/// Another program may take a port between its choice and its use.
const PORT_ATTEMPTS: usize = 5;

/// The binary under test: `INGOT_BIN`, else the one of this build, brought up to date first.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("INGOT_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// Builds the binary into the directory and profile this test was built in: `cargo test` does
/// not build the binaries of other packages, and an old one would be tested unnoticed.
fn build() -> PathBuf {
    let this = std::env::current_exe().expect("this test is a file");
    let profile = this.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let target = profile.parent().expect("target/<profile>");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "--locked"]);
    cargo.args(["-p", "ingot-cli", "--bin", "ingot", "--target-dir"]).arg(target);
    if profile.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the binary under test does not build");
    profile.join("ingot")
}

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where its store is; none means a fresh temporary directory.
    pub data: Option<PathBuf>,
    /// Further environment variables, such as `INGOT_INDEX__ENGINE`.
    pub env: Vec<(String, String)>,
}

impl Options {
    /// Sets one configuration key by its environment variable.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != key);
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Puts the store into a directory.
    #[must_use]
    pub fn data(mut self, path: impl Into<PathBuf>) -> Self {
        self.data = Some(path.into());
        self
    }
}

/// A running server. Killed when dropped; if the test failed, its log is shown.
pub struct Server {
    child: Child,
    address: SocketAddr,
    options: Options,
    /// Working directory, home, temporary files and log, each apart, so that a test can tell
    /// where the server wrote.
    surroundings: TempDir,
    stopped: bool,
}

impl Server {
    /// Starts a server with nothing set, and waits until it is ready.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts a server and waits until it is ready. Panics with its log if it does not get there.
    pub async fn start_with(options: Options) -> Self {
        let surroundings = TempDir::with_prefix("ingot-it-").expect("a temporary directory");
        Self::start_in(options, surroundings).await
    }

    async fn start_in(options: Options, mut surroundings: TempDir) -> Self {
        for dir in ["cwd", "home", "tmp"] {
            fs::create_dir_all(surroundings.path().join(dir)).expect("a directory");
        }
        let mut attempt = 1;
        loop {
            let address = free_address();
            let child = spawn(&options, surroundings.path(), address);
            let mut server =
                Self { child, address, options: options.clone(), surroundings, stopped: false };
            match server.wait_ready().await {
                Ok(()) => return server,
                Err(why) => {
                    let log = server.log();
                    let taken = log.contains("in use") || log.contains("os error 98");
                    assert!(taken && attempt < PORT_ATTEMPTS, "{why}; its log:\n{log}");
                    attempt += 1;
                    surroundings = server.give_up();
                }
            }
        }
    }

    /// Ends a start that failed, keeping the directory for the next attempt.
    fn give_up(mut self) -> TempDir {
        self.kill();
        let spare = TempDir::with_prefix("ingot-it-spare-").expect("a temporary directory");
        std::mem::replace(&mut self.surroundings, spare)
    }

    async fn wait_ready(&mut self) -> Result<(), String> {
        let client = self.anonymous();
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                self.stopped = true;
                return Err(format!("the server ended with {status} before it was ready"));
            }
            if client.try_get("/readyz").await.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("the server was not ready within {START_TIMEOUT:?}"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The scheme, host and port that URLs start with.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its store is.
    pub fn data(&self) -> PathBuf {
        data_in(&self.options, self.surroundings.path())
    }

    /// The directory around the server: `cwd`, `home`, `tmp`, `log`, and `data` unless it was
    /// put elsewhere.
    pub fn surroundings(&self) -> &Path {
        self.surroundings.path()
    }

    /// The first admin token, as the server wrote it down.
    pub fn admin_token(&self) -> String {
        let path = self.data().join("admin-token");
        let text = fs::read_to_string(&path).expect("the first start writes <data>/admin-token");
        text.trim().to_owned()
    }

    /// A client with the admin token.
    pub fn admin(&self) -> Client {
        Client::new(&self.base_url(), Some(&self.admin_token()))
    }

    /// A client with another token.
    pub fn client(&self, token: &str) -> Client {
        Client::new(&self.base_url(), Some(token))
    }

    /// A client without a token.
    pub fn anonymous(&self) -> Client {
        Client::new(&self.base_url(), None)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory in use (resident set), in KiB.
    pub fn rss_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most memory that ever was in use, in KiB.
    pub fn rss_peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("alive");
        let line = status.lines().find(|line| line.starts_with(what)).expect("the kernel says");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// True while the process runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Everything it said so far, on both outputs.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.surroundings.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asks it to stop (SIGTERM) and waits for that.
    pub fn stop(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -TERM $0", &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIGTERM could not be sent");
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                self.stopped = true;
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not stop within {STOP_TIMEOUT:?}");
            std::thread::sleep(POLL);
        }
    }

    /// Kills it (SIGKILL), as a crash would.
    pub fn kill(&mut self) {
        if !self.stopped {
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.stopped = true;
        }
    }

    /// Starts it again on the same store, with other options where given. It must be stopped.
    pub async fn start_again(mut self, change: impl FnOnce(Options) -> Options) -> Self {
        assert!(self.stopped, "stop or kill it first");
        let options = change(self.options.clone().data(self.data()));
        let spare = TempDir::with_prefix("ingot-it-spare-").expect("a temporary directory");
        let surroundings = std::mem::replace(&mut self.surroundings, spare);
        Self::start_in(options, surroundings).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(LOG_SHOWN);
            let from = (from..).find(|&at| log.is_char_boundary(at)).unwrap_or(log.len());
            crate::say(&format!("--- the server's log ends:\n{}---", &log[from..]));
        }
    }
}

fn data_in(options: &Options, surroundings: &Path) -> PathBuf {
    options.data.clone().unwrap_or_else(|| surroundings.join("data"))
}

/// A loopback address nobody uses just now.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it has an address")
}

fn spawn(options: &Options, surroundings: &Path, address: SocketAddr) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(surroundings.join("log"))
        .expect("a log file");
    Command::new(binary())
        .arg("serve")
        .arg("--data")
        .arg(data_in(options, surroundings))
        .args(["--listen", &address.to_string()])
        .current_dir(surroundings.join("cwd"))
        // Nothing of the developer's own settings reaches the server under test.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", surroundings.join("home"))
        .env("TMPDIR", surroundings.join("tmp"))
        .env("RUST_BACKTRACE", "1")
        .envs(options.env.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("the binary under test starts")
}

/// Runs `ingot` with arguments to its end.
pub async fn ingot(args: &[&str], env: &[(&str, &str)]) -> std::process::Output {
    let mut command = tokio::process::Command::new(binary());
    command.args(args).env_clear().stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", std::env::temp_dir());
    command.envs(env.iter().copied());
    command.output().await.expect("the binary under test starts")
}

/// Checks a store with `ingot verify` and panics with its words if it finds anything wrong.
pub async fn verify(data: &Path) {
    let output = ingot(&["verify", "--data", data.to_str().expect("UTF-8")], &[]).await;
    assert!(
        output.status.success(),
        "`ingot verify` is not content ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
