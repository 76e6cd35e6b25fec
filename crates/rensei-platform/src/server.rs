//! The server as a whole.

use crate::clock::{Clock, SystemClock, millis};
use crate::connections;
use crate::data_dir::{DataDir, DataDirError, DirLock};
use crate::http::{self, App};
use crate::jwt::TokenSigner;
use crate::reaper;
use crate::storage::sqlite::SqliteStorage;
use crate::storage::{MISSED_BEATS, Queue, StorageError, Store, Timing};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Which tokens the report endpoints (status, activity, completion, progress) take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LegacyAuth {
    /// Runtime tokens and worker API keys.
    #[default]
    Both,
    /// Worker API keys only.
    KeyOnly,
}

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Directory of the control plane; created if it is not there.
    pub data_dir: PathBuf,
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Which tokens the report endpoints take.
    pub legacy_session_auth: LegacyAuth,
    /// Time between heartbeats that hosts are told; a host is offline after three of them without a beat.
    pub heartbeat_interval: Duration,
    /// Time between polls that hosts without long polls are told.
    pub poll_interval: Duration,
    /// Life of a claim without renewal.
    pub lease: Duration,
    /// Time from claim to `running`.
    pub accept_deadline: Duration,
    /// Life of a runtime token.
    pub token_ttl: Duration,
}

impl ServeOptions {
    /// The defaults: beats every 30 s, polls every 5 s, leases of 90 s, 60 s to accept, tokens for an hour.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, listen: SocketAddr) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen,
            legacy_session_auth: LegacyAuth::default(),
            heartbeat_interval: Duration::from_secs(30),
            poll_interval: Duration::from_secs(5),
            lease: Duration::from_secs(90),
            accept_deadline: Duration::from_secs(60),
            token_ttl: Duration::from_secs(3600),
        }
    }

    fn timing(&self) -> Timing {
        Timing {
            lease: millis(self.lease),
            accept: millis(self.accept_deadline),
            offline: millis(self.heartbeat_interval.saturating_mul(MISSED_BEATS)),
        }
    }
}

/// The server cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The directory cannot be used.
    #[error("cannot use the data directory")]
    DataDir(#[from] DataDirError),
    /// The database failed.
    #[error("cannot use the database in {}", data_dir.display())]
    Storage {
        /// Directory of the control plane.
        data_dir: PathBuf,
        /// Why.
        source: StorageError,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

impl ServeError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::DataDir(error) => error.hint(),
            Self::Listen { source, address } if source.kind() == io::ErrorKind::AddrInUse => Some(format!(
                "port {} is in use: choose another with `--listen {}:<port>`; port 0 picks a free one",
                address.port(),
                address.ip()
            )),
            Self::Listen { .. } => Some("choose an address of this machine: `--listen 127.0.0.1:<port>`".to_owned()),
            Self::Storage { .. } => None,
        }
    }
}

/// A control plane that holds its directory and its port.
#[derive(Debug)]
pub struct Platform {
    listener: TcpListener,
    address: SocketAddr,
    storage: Arc<SqliteStorage>,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    _lock: DirLock,
}

impl Platform {
    /// Claims directory and port, and brings the database up to date. Every live claim gets a full new lease: the time
    /// in which nobody was there to renew it with does not count.
    ///
    /// # Errors
    /// [`ServeError`], before anything is served.
    pub async fn bind(options: ServeOptions) -> Result<Self, ServeError> {
        Self::bind_with_clock(options, Arc::new(SystemClock::default())).await
    }

    /// As [`Platform::bind`], on another clock.
    ///
    /// # Errors
    /// As [`Platform::bind`].
    pub async fn bind_with_clock(options: ServeOptions, clock: Arc<dyn Clock>) -> Result<Self, ServeError> {
        let data_dir = DataDir::open(&options.data_dir)?;
        let lock = data_dir.lock()?;
        let secret = data_dir.signing_secret()?;
        let listen = |source| ServeError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let failed = |source| ServeError::Storage { data_dir: options.data_dir.clone(), source };
        let storage = SqliteStorage::open(&data_dir.database()?, Arc::clone(&clock), options.timing()).await;
        let storage = Arc::new(storage.map_err(failed)?);
        let renewed = storage.grant_grace().await.map_err(failed)?;
        if !storage.has_org().await.map_err(failed)? {
            tracing::warn!(
                event = "no_organisation",
                hint = "rensei platform init --data-dir <dir> --org <slug> --project <slug>",
                "there is no organisation yet: no host can register",
            );
        }
        tracing::info!(event = "listening", %address, data_dir = %options.data_dir.display(), renewed_leases = renewed);
        let stop = watch::Sender::new(false);
        let app = App::new(
            Arc::clone(&storage) as _,
            Arc::clone(&storage) as _,
            http::Setup { signer: TokenSigner::new(&secret), clock, options, stop: stop.subscribe() },
        );
        Ok(Self { listener, address, storage, app: Arc::new(app), stop, _lock: lock })
    }

    /// Address that is listened on.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` resolves. Waiting requests are answered then at once, others are given a few seconds.
    ///
    /// # Errors
    /// None at present: once it listens, nothing but `shutdown` ends it.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let Self { listener, address: _, storage, app, stop, _lock: lock } = self;
        let queue: Arc<dyn Queue> = Arc::clone(&storage) as _;
        let reaper = tokio::spawn(reaper::run(queue, app.clock(), stop.subscribe()));
        let stopping = stop.subscribe();
        let announce = async move {
            shutdown.await;
            stop.send_replace(true);
        };
        tokio::join!(connections::serve(listener, http::router(app), stopping), announce);
        reaper.abort();
        storage.close().await;
        drop(lock);
        tracing::info!(event = "stopped");
        Ok(())
    }
}
