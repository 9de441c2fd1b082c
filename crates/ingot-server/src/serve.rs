//! Coming up and going down: the store, the first admin token and project, the listener, and a
//! stop that lets requests under way end.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_server::{Server, ServerHandle};
use actix_service::fn_service;
use ingot_core::{ProjectName, Refusal};
use ingot_registry::{Registry, Request, TokenText};
use jiff::SignedDuration;
use tokio::task::JoinHandle;

use crate::api;
use crate::config::{Config, ConfigError};
use crate::connection;
use crate::credentials::{Secret, TokenKind, mint};
use crate::edge::Edge;
use crate::limits;
use crate::store::{self, OpenError, StoreLock};
use crate::tls;

/// Where the first admin token is written, in the data directory.
pub const ADMIN_TOKEN_FILE: &str = "admin-token";
/// How long the first admin token lives, in days.
pub const ADMIN_TOKEN_DAYS: i64 = 365;
/// Bytes of an answer buffered per connection before they are sent.
const WRITE_BUFFER_BYTES: usize = 256 * 1024;
/// How long a connection whose client was refused half-way through its body may linger.
const LINGER: Duration = Duration::from_secs(2);

/// Why a server does not come up, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// What the store holds.
    #[error("the store cannot be served: {0:?}")]
    Registry(Refusal),
    /// The address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file for the first token.
    #[error("cannot write the admin token to {path}: {source}")]
    Token {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server ended by itself.
    #[error("the server ended: {0}")]
    Ended(std::io::Error),
}

/// A server that is up.
pub struct Started {
    address: SocketAddr,
    url: String,
    welcome: Option<String>,
    registry: Registry,
    /// What this process kept beside the store, of no use after it.
    own: Option<PathBuf>,
    handle: ServerHandle,
    running: JoinHandle<std::io::Result<()>>,
    // Held until the registry is closed.
    _lock: StoreLock,
}

/// Opens the store and starts to listen. Must be called inside a multi-thread tokio runtime, on
/// which the committers live; the listener brings its own threads.
///
/// Errors: in words for the operator; nothing is left running.
pub async fn start(config: Config) -> Result<Started, ServeError> {
    let tls = if config.server.tls_cert.is_empty() {
        None
    } else {
        let mut tls =
            tls::load(Path::new(&config.server.tls_cert), Path::new(&config.server.tls_key))?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Some(tls)
    };
    let data = config.storage.data.clone();
    let lock = StoreLock::take(&data)?;
    // The address before the store: a mistyped one costs nothing.
    let listen = |source| ServeError::Listen { address: config.server.listen.clone(), source };
    let listener = TcpListener::bind(&config.server.listen).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    store::sweep(&data);
    let (registry, first, own) = open(&config).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listening = format!("{scheme}://{address}");
    let ids_prefix = store::random_hex().ok_or(OpenError::Random)?;
    let edge = Edge::new(registry.clone(), config.clone(), listening.clone(), ids_prefix)?;
    let url = crate::config::base_url(&config.server.public_url)?.unwrap_or(listening);
    let welcome = first.map(|token_file| welcome(&url, &config.project.first, &token_file));
    let server = listen_on(listener, Arc::new(edge), &config, tls).map_err(listen)?;
    let handle = server.handle();
    let running = tokio::spawn(server);
    tracing::info!(%address, data = %data.display(), "listening");
    Ok(Started { address, url, welcome, registry, own, handle, running, _lock: lock })
}

impl Started {
    /// The address listened on; its port is the real one where the configuration said 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// What to give to clients.
    pub fn url(&self) -> &str {
        &self.url
    }
    /// At the first start of a store: what to do next, ready to copy.
    pub fn welcome(&self) -> Option<&str> {
        self.welcome.as_deref()
    }
    /// The registry behind it.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Serves until the process is told to stop (SIGTERM, SIGINT), then stops gracefully.
    ///
    /// Errors: signals cannot be listened for, or the server ended by itself.
    pub async fn run(mut self) -> Result<(), ServeError> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Ended)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Ended)?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            ended = &mut self.running => {
                let ended = ended.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                self.registry.close().await;
                return ended.map_err(ServeError::Ended);
            }
        }
        tracing::info!("stopping");
        self.stop().await;
        Ok(())
    }

    /// Takes no more requests, lets those under way end, closes the store.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        if let Err(error) = self.running.await {
            tracing::warn!(%error, "the listener did not end cleanly");
        }
        self.registry.close().await;
        if let Some(own) = &self.own
            && let Err(error) = fs::remove_dir_all(own)
        {
            tracing::debug!(%error, "the directory of this process is left to the next start");
        }
        tracing::info!("stopped");
    }
}

/// Opens the registry, and sees to it that there is an admin and a project. The path of the
/// token's file when this is the first start, and the directory of this process.
async fn open(config: &Config) -> Result<(Registry, Option<PathBuf>, Option<PathBuf>), ServeError> {
    let index = Arc::new(store::open_index(config)?);
    let setup = store::setup(config, index)?;
    let own = setup.scratch.parent().map(Path::to_owned);
    let registry = Registry::open(setup).await.map_err(ServeError::Registry)?;
    let request =
        Request { id: "start".to_owned(), reason: Some("start".to_owned()), idempotency: None };
    if registry.has_live_admin().map_err(ServeError::Registry)? {
        return Ok((registry, None, own));
    }
    let path = config.storage.data.join(ADMIN_TOKEN_FILE);
    let secret = keep_admin_token(&path)
        .map_err(|source| ServeError::Token { path: path.clone(), source })?;
    let kept = TokenText { text: secret.expose().to_owned(), hash: secret.hash() };
    let span = SignedDuration::from_hours(24 * ADMIN_TOKEN_DAYS);
    registry.ensure_admin(&kept, span, &request).await.map_err(ServeError::Registry)?;
    let admin = registry.authenticate(&kept.hash, store::now()).map_err(ServeError::Registry)?;
    if registry.projects(&admin).map_err(ServeError::Registry)?.is_empty() {
        let first = ProjectName::new(&config.project.first).map_err(ServeError::Registry)?;
        let channels =
            api::default_channels(&config.project.channels).map_err(ServeError::Registry)?;
        registry
            .put_project(&admin, &first, None, &channels, &request)
            .await
            .map_err(ServeError::Registry)?;
    }
    Ok((registry, Some(path), own))
}

/// The admin token in its file: one that a start before this wrote but did not get to use, else a
/// new one, durable and readable by this user alone before it is worth anything.
fn keep_admin_token(path: &Path) -> std::io::Result<Secret> {
    if let Ok(text) = fs::read_to_string(path) {
        let secret = Secret::new(text.trim());
        let fresh = fs::metadata(path)?.modified()?.elapsed().unwrap_or_default()
            < Duration::from_secs(3_600);
        if secret.is_sound() && fresh {
            return Ok(secret);
        }
    }
    let secret = mint(TokenKind::User).map_err(std::io::Error::other)?;
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    writeln!(file, "{}", secret.expose())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(secret)
}

fn welcome(url: &str, project: &str, token_file: &Path) -> String {
    let token_file = fs::canonicalize(token_file).unwrap_or_else(|_| token_file.to_owned());
    let token_file = token_file.display().to_string();
    format!(
        "Ingot is up at {url}, with the project '{project}'.\n\
         The first admin token is in {token_file} (readable by you alone). What to do next:\n\n{}\n\
         Other tokens: POST {url}/api/v1/projects/{project}/tokens. \
         The API: {url}/api/v1/openapi.json\n",
        crate::formats::examples(url, project, &token_file)
    )
}

fn listen_on(
    listener: TcpListener,
    edge: Arc<Edge>,
    config: &Config,
    tls: Option<rustls::ServerConfig>,
) -> std::io::Result<Server> {
    let settings = config.server.clone();
    let workers = match settings.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    };
    let address = listener.local_addr()?;
    let files = limits::raise_open_files();
    let connections = limits::connections_per_worker(settings.connections_max, workers, files);
    if connections < settings.connections_max {
        tracing::warn!(
            connections,
            ?files,
            "fewer connections than configured: raise the limit of open files"
        );
    }
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(connections)
        .shutdown_timeout(settings.shutdown_timeout_ms.div_ceil(1_000))
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    // The same service over either kind of connection, whose type it carries.
    macro_rules! service {
        () => {{
            let stopping = stopping.clone();
            let (asked, answered) = (Arc::clone(&edge), Arc::clone(&edge));
            HttpService::build()
                .keep_alive(Duration::from_millis(settings.keep_alive_ms))
                .client_request_timeout(Duration::from_millis(settings.head_timeout_ms))
                .client_disconnect_timeout(LINGER)
                .h1_write_buffer_size(WRITE_BUFFER_BYTES)
                .tcp_nodelay(true)
                .local_addr(address)
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .expect(fn_service(move |request| connection::expect(Arc::clone(&asked), request)))
                .finish(fn_service(move |request| {
                    connection::serve(Arc::clone(&answered), request)
                }))
        }};
    }
    let builder = match tls {
        None => builder.listen("ingot", listener, move || service!().tcp())?,
        Some(tls) => {
            builder.listen("ingot", listener, move || service!().rustls_0_23(tls.clone()))?
        }
    };
    Ok(builder.run())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_admin_token_is_written_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join(ADMIN_TOKEN_FILE);
        let first = keep_admin_token(&path).expect("written");
        assert!(first.is_sound());
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(keep_admin_token(&path).expect("read"), first, "a crash later, the same one");
        fs::write(&path, "nonsense").expect("writes");
        assert_ne!(keep_admin_token(&path).expect("written"), first);
    }
}
