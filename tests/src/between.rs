//! What is between a host and an engine: a socket that passes everything on, until a story wants something else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They go on.
    Pass,
    /// They are held until they may go on.
    Hold,
    /// They are held, but for what has these words in it.
    HoldBut(&'static str),
    /// Connections that there are end; new ones are passed on.
    Cut,
}

/// A socket before another.
#[derive(Debug)]
pub struct Between {
    folder: tempfile::TempDir,
    mode: Arc<watch::Sender<Mode>>,
    _connections: JoinSet<()>,
}

impl Between {
    /// Before the socket of an engine, or before none: it then takes connections and says nothing.
    ///
    /// # Panics
    ///
    /// When there is no folder to be had.
    pub fn before(engine: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("s")).expect("a socket");
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let (engine, modes) = (engine.map(Path::to_owned), mode.clone());
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                all.spawn(connection(client, engine.clone(), modes.subscribe()));
            }
        });
        Self { folder, mode, _connections: connections }
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// What becomes of the bytes from now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn connection(client: UnixStream, engine: Option<PathBuf>, mode: watch::Receiver<Mode>) {
    let Some(engine) = engine else {
        let _held = client;
        return std::future::pending().await;
    };
    let Ok(engine) = UnixStream::connect(engine).await else { return };
    let ((from, to), (back, answer)) = (client.into_split(), engine.into_split());
    let mut cut = mode.clone();
    // One that comes after a cut is not cut.
    cut.mark_unchanged();
    tokio::select! {
        _ = async { tokio::join!(pass(from, answer, mode.clone()), pass(back, to, mode)) } => {}
        _ = async {
            while cut.changed().await.is_ok() && *cut.borrow() != Mode::Cut {}
        } => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut piece = vec![0; 64 << 10];
    let mut held = false;
    while let Ok(n @ 1..) = from.read(&mut piece).await {
        let may_go = |mode: &Mode| match mode {
            Mode::Pass | Mode::Cut => true,
            Mode::Hold => false,
            Mode::HoldBut(words) => String::from_utf8_lossy(&piece[..n]).contains(words),
        };
        held = held || !may_go(&mode.borrow());
        if mode.wait_for(may_go).await.is_err() || to.write_all(&piece[..n]).await.is_err() {
            return;
        }
    }
    if held {
        // Who asked may be gone by now, and an engine that sees that may not do what it was asked for.
        return std::future::pending().await;
    }
    let _closed = to.shutdown().await;
}
