//! The connection to an engine, and what it is asked before anything runs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, CreateImageInfo, DeviceRequest, HostConfig};
use bollard::query_parameters::{CreateContainerOptionsBuilder, CreateImageOptionsBuilder};
use futures::StreamExt as _;
use tokio::sync::OnceCell;
use wicket_config::{ByteSize, Container, ImageName, Pull, Registry};
use wicket_core::{Fetches, chain};

use crate::held::Held;
use crate::info::EngineInfo;
use crate::spec::Owner;

/// Seconds until an answer of the engine begins.
const PATIENCE: u64 = 120;
/// How long an engine may take to say who it is.
pub(crate) const HELLO: Duration = Duration::from_secs(10);

/// How often it is told how far a fetch has come.
const TELL: Duration = Duration::from_secs(2);
/// A program that no image has.
const NO_PROGRAM: &str = "/no-such-program-of-wicket";

/// An engine by its socket. It need not be there: whoever calls is told.
#[derive(Debug)]
pub(crate) struct Engine {
    socket: PathBuf,
    docker: OnceCell<Docker>,
    fetches: Fetches,
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
    pub(crate) fn at(socket: &Path, fetches: Fetches) -> Self {
        Self { socket: socket.to_owned(), docker: OnceCell::new(), fetches }
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
            docker.negotiate_version().await.map_err(|error| self.away(&error))
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

    /// The error of an engine that takes a connection and says nothing.
    pub(crate) fn silent(&self) -> EngineError {
        self.away_because(format!("it says nothing for {} s", HELLO.as_secs()))
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
        Ok(EngineInfo::read(&version, &info))
    }

    /// Fetches the image of a container as its policy says, and answers the id of its content.
    pub(crate) async fn prepare(
        &self,
        docker: &Docker,
        container: &Container,
        registries: &BTreeMap<String, Registry>,
    ) -> Result<String, EngineError> {
        let here = self.image(docker, &container.image).await?;
        match (here, container.pull) {
            (Some(id), Pull::Missing | Pull::Never) => Ok(id),
            (None, Pull::Never) => Err(EngineError::NoImage(container.image.clone())),
            (_, Pull::Always | Pull::Missing) => {
                self.pull(docker, &container.image, registries.get(&container.image.registry())).await?;
                let here = self.image(docker, &container.image).await?;
                here.ok_or_else(|| EngineError::NoImage(container.image.clone()))
            }
        }
    }

    /// Whether the engine can give a container these devices: only a container tells. It runs nothing.
    pub(crate) async fn can_give(
        &self,
        held: &Held,
        image: &str,
        owner: &Owner,
        devices: Vec<DeviceRequest>,
        n_gpus: u32,
    ) -> Result<(), EngineError> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec![NO_PROGRAM.to_owned()]),
            network_disabled: Some(true),
            labels: Some(owner.labels().collect()),
            host_config: Some(HostConfig { device_requests: Some(devices), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&held.name).build();
        let created = held.docker.create_container(Some(options), body).await;
        created.map_err(|error| self.failed("make a container", &error))?;
        match held.docker.start_container(&held.name, None).await {
            Ok(()) => Ok(()),
            // The devices come first, then the program is looked for.
            Err(Error::DockerResponseServerError { message, .. }) if message.contains(NO_PROGRAM) => Ok(()),
            Err(Error::DockerResponseServerError { message, .. }) => {
                let why = message.lines().next().unwrap_or_default().trim();
                Err(EngineError::Lacks(format!(
                    "it must have {n_gpus} GPU(s), and this machine's engine cannot give them: {why}"
                )))
            }
            Err(error) => Err(self.failed("start a container", &error)),
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

    async fn pull(
        &self,
        docker: &Docker,
        image: &ImageName,
        registry: Option<&Registry>,
    ) -> Result<(), EngineError> {
        tracing::info!(%image, "fetching an image");
        let options = CreateImageOptionsBuilder::default().from_image(&image.whole()).build();
        let credentials = registry.map(|registry| DockerCredentials {
            username: Some(registry.username.clone()),
            password: Some(registry.password.clone()),
            serveraddress: Some(image.registry()),
            ..DockerCredentials::default()
        });
        let mut steps = docker.create_image(Some(options), None, credentials);
        let fetching = self.fetches.begin(format!("image {image}"));
        let mut progress = Progress::default();
        while let Some(step) = steps.next().await {
            let step = step.map_err(|error| match (&error, self.failed("fetch an image", &error)) {
                (Error::DockerStreamError { error: why }, _) => EngineError::Pull(image.clone(), why.clone()),
                (_, EngineError::Refused { why, .. }) => EngineError::Pull(image.clone(), why),
                (_, error) => error,
            })?;
            progress.take(step);
            let (here, whole) = progress.sum();
            fetching.is_at(here, (whole > 0).then_some(whole));
            if progress.is_due() {
                let (here, whole) = (ByteSize(here), ByteSize(whole));
                tracing::info!(%image, "fetching an image: {here} of {whole} so far");
            }
        }
        Ok(())
    }
}

/// How far the layers of an image have come.
#[derive(Debug)]
struct Progress {
    layers: HashMap<String, (u64, u64)>,
    told: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Self { layers: HashMap::new(), told: Instant::now() }
    }
}

impl Progress {
    fn take(&mut self, step: CreateImageInfo) {
        let detail = step.progress_detail.and_then(|detail| Some((detail.current?, detail.total?)));
        let bytes = |n: i64| u64::try_from(n).unwrap_or(0);
        if let (Some(layer), Some("Downloading"), Some((here, whole))) =
            (step.id, step.status.as_deref(), detail)
        {
            self.layers.insert(layer, (bytes(here), bytes(whole)));
        }
    }

    /// Bytes that are here, and that are known to come.
    fn sum(&self) -> (u64, u64) {
        self.layers.values().fold((0, 0), |(here, whole), layer| (here + layer.0, whole + layer.1))
    }

    /// Whether it is time to tell.
    fn is_due(&mut self) -> bool {
        if self.layers.is_empty() || self.told.elapsed() < TELL {
            return false;
        }
        self.told = Instant::now();
        true
    }
}
