//! The connection to an engine, and what it is asked before anything runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt as _;
use tokio::sync::OnceCell;
use wicket_config::{Container, ImageName, Pull, User};
use wicket_core::chain;

/// Seconds until an answer of the engine begins.
const PATIENCE: u64 = 120;
/// How long an engine may take to say who it is.
const HELLO: Duration = Duration::from_secs(10);

/// An engine by its socket. It need not be there: whoever calls is told.
#[derive(Debug)]
pub(crate) struct Engine {
    socket: PathBuf,
    docker: OnceCell<Docker>,
}

/// What an engine says of itself.
#[derive(Clone, Debug)]
pub(crate) struct EngineInfo {
    /// `cgroupfs` or `systemd`.
    pub(crate) cgroup_driver: String,
    /// Whether it can give a container a GPU.
    pub(crate) gpus: bool,
}

/// Why a service cannot run in containers here.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody answers.
    #[error("no container engine answers at {socket}: {why}")]
    Away {
        /// Where it was looked for.
        socket: String,
        /// Why not.
        why: String,
    },
    /// The image is not here.
    #[error("the image {0} is not on this machine")]
    NoImage(ImageName),
    /// The image could not be fetched.
    #[error("the image {0} cannot be fetched: {1}")]
    Pull(ImageName, String),
    /// The machine lacks what the container must have.
    #[error("{0}")]
    Lacks(String),
    /// The engine refused.
    #[error("the engine cannot {what}: {why}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// Its words.
        why: String,
    },
}

impl Engine {
    pub(crate) fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), docker: OnceCell::new() }
    }

    /// Whether there is a socket at all.
    pub(crate) fn is_there(&self) -> bool {
        self.socket.exists()
    }

    /// A client that speaks the engine's version of the protocol.
    pub(crate) async fn docker(&self) -> Result<Docker, EngineError> {
        let connect = async || {
            let socket = self.socket.to_string_lossy();
            let docker = Docker::connect_with_unix(&socket, PATIENCE, bollard::API_DEFAULT_VERSION)
                .map_err(|error| self.away(&error))?;
            let hello = tokio::time::timeout(HELLO, docker.negotiate_version()).await;
            hello
                .map_err(|_| self.away_because(format!("it says nothing for {} s", HELLO.as_secs())))?
                .map_err(|error| self.away(&error))
        };
        self.docker.get_or_try_init(connect).await.cloned()
    }

    /// What a failed call means: a refusal of the engine, or that it is not there.
    pub(crate) fn failed(&self, what: &'static str, error: &Error) -> EngineError {
        match error {
            Error::DockerResponseServerError { message, .. } => {
                EngineError::Refused { what, why: message.trim().to_owned() }
            }
            error => self.away(error),
        }
    }

    fn away(&self, error: &Error) -> EngineError {
        self.away_because(match error {
            Error::SocketNotFoundError(_) => "there is no such socket".to_owned(),
            error => chain(error),
        })
    }

    fn away_because(&self, why: String) -> EngineError {
        EngineError::Away { socket: self.socket.display().to_string(), why }
    }

    /// Asks who it is.
    pub(crate) async fn info(&self) -> Result<EngineInfo, EngineError> {
        let docker = self.docker().await?;
        let failed = |error: Error| self.failed("say what it is", &error);
        let version = docker.version().await.map_err(failed)?;
        let info = docker.info().await.map_err(failed)?;
        let components = version.components.unwrap_or_default();
        let podman = components.iter().any(|part| part.name.to_ascii_lowercase().contains("podman"));
        let nvidia = info.runtimes.unwrap_or_default().contains_key("nvidia")
            || info
                .discovered_devices
                .unwrap_or_default()
                .iter()
                .any(|device| device.id.as_deref().is_some_and(|id| id.contains("nvidia")));
        Ok(EngineInfo {
            cgroup_driver: info.cgroup_driver.map(|driver| driver.to_string()).unwrap_or_default(),
            // Podman passes over requests for GPUs without a word.
            gpus: nvidia && !podman,
        })
    }

    /// Checks that a container can run here, fetches its image as its policy says, and answers the id of its content.
    pub(crate) async fn prepare(&self, container: &Container) -> Result<String, EngineError> {
        let docker = self.docker().await?;
        if container.gpus > 0 && !self.info().await?.gpus {
            let text = format!("it must have {} GPU(s), and this machine's engine has none", container.gpus);
            return Err(EngineError::Lacks(text));
        }
        let own = rustix::process::geteuid();
        let foreign = match container.user {
            User::Unprivileged => false,
            User::Image => true,
            User::Ids(user, _) => user != own.as_raw(),
        };
        if foreign && !own.is_root() {
            let text = format!(
                "its user is `{}`, and this host, which does not run as root, could not remove that user's files",
                container.user
            );
            return Err(EngineError::Lacks(text));
        }
        let here = self.image(&docker, &container.image).await?;
        match (here, container.pull) {
            (Some(id), Pull::Missing | Pull::Never) => Ok(id),
            (None, Pull::Never) => Err(EngineError::NoImage(container.image.clone())),
            (_, Pull::Always | Pull::Missing) => {
                self.pull(&docker, &container.image).await?;
                let here = self.image(&docker, &container.image).await?;
                here.ok_or_else(|| EngineError::NoImage(container.image.clone()))
            }
        }
    }

    /// The id of an image's content, where the image is here.
    async fn image(&self, docker: &Docker, image: &ImageName) -> Result<Option<String>, EngineError> {
        match docker.inspect_image(&image.whole()).await {
            Ok(found) => Ok(found.id),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.failed("look for an image", &error)),
        }
    }

    async fn pull(&self, docker: &Docker, image: &ImageName) -> Result<(), EngineError> {
        tracing::info!(%image, "fetching an image");
        let options = CreateImageOptionsBuilder::default().from_image(&image.whole()).build();
        let mut steps = docker.create_image(Some(options), None, None);
        while let Some(step) = steps.next().await {
            step.map_err(|error| match (&error, self.failed("fetch an image", &error)) {
                (Error::DockerStreamError { error: why }, _) => EngineError::Pull(image.clone(), why.clone()),
                (_, EngineError::Refused { why, .. }) => EngineError::Pull(image.clone(), why),
                (_, error) => error,
            })?;
        }
        Ok(())
    }
}
