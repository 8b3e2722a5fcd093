//! The executor: containers of one engine, for all services.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;
use wicket_config::{Container, ImageName, Network, Service};
use wicket_core::{Attempt, Executor, Failure, InvocationId, Reply, Report, chain};

use crate::cgroup::Cgroup;
use crate::engine::{Engine, EngineError, EngineInfo};
use crate::held::Held;
use crate::leftover::{self, Leftover};
use crate::run::Run;
use crate::spec::Owner;
use crate::tally::Tally;

/// How the executor is set up.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// The engine's socket.
    pub socket: PathBuf,
    /// Folder of the attempts' folders. The engine mounts them, so it must see them under the same path.
    pub work: PathBuf,
    /// What tells this host's containers from those of another host on the same engine, also after a restart.
    pub node: String,
    /// From SIGTERM to SIGKILL, for a container that took too long.
    pub grace: Duration,
    /// Networks that a service may have, besides none.
    pub networks: Vec<Network>,
    /// Repositories whose images may run, in full (`docker.io/library/ffmpeg`), or all below one (`ghcr.io/org/*`);
    /// empty: any.
    pub images: Vec<String>,
    /// Whether an image must be named by its digest.
    pub pinned_only: bool,
}

/// Runs functions in containers. Share it.
#[derive(Debug)]
pub struct DockerExecutor {
    engine: Engine,
    info: OnceCell<EngineInfo>,
    owner: Owner,
    config: DockerConfig,
    /// What earlier processes left, until somebody takes it over or it is removed.
    leftovers: Mutex<HashMap<InvocationId, Leftover>>,
    /// Removals that are under way.
    tasks: TaskTracker,
}

impl DockerExecutor {
    /// An executor; nothing is asked of the engine yet, and it need not be there.
    pub fn new(config: DockerConfig) -> Arc<Self> {
        Arc::new(Self {
            engine: Engine::at(&config.socket),
            info: OnceCell::new(),
            owner: Owner { node: config.node.clone(), boot: hex::encode(rand::random::<[u8; 8]>()) },
            config,
            leftovers: Mutex::default(),
            tasks: TaskTracker::new(),
        })
    }

    /// What the engine is.
    async fn info(&self) -> Result<&EngineInfo, EngineError> {
        self.info.get_or_try_init(|| self.engine.info()).await
    }

    /// Checks that a service can run in containers here and may, fetches its image as its policy says, and answers the
    /// id of the image's content.
    pub async fn prepare(&self, service: &Service) -> Result<Option<String>, EngineError> {
        let Some(container) = &service.container else { return Ok(None) };
        self.may_run(container)?;
        self.engine.prepare(container).await.map(Some)
    }

    /// Looks for what earlier processes left: containers whose invocation is tried again are taken over, the others and
    /// their folders go.
    pub async fn recover(&self) -> Result<(), EngineError> {
        if !self.engine.is_there() {
            return Ok(());
        }
        let docker = self.engine.docker().await?;
        // It says where control groups are.
        self.info().await?;
        let mut found = leftover::find(&self.engine, &self.owner).await?;
        self.remove_folders_but(&found);
        // Of several of one invocation only the last attempt's is of use.
        found.sort_by_key(|one| one.attempt);
        let mut known = HashMap::new();
        for one in found {
            let useless = match one.invocation.filter(|_| one.was_started && one.is_script) {
                Some(id) => known.insert(id, one),
                None => Some(one),
            };
            if let Some(one) = useless {
                drop(self.hold(&docker, one.name));
            }
        }
        if !known.is_empty() {
            tracing::info!(containers = known.len(), "found containers of an earlier process of this host");
        }
        *self.leftovers() = known;
        Ok(())
    }

    /// Invocations of which an earlier process left a container that nobody has taken over, and its attempt's number.
    pub fn waiting(&self) -> Vec<(InvocationId, u32)> {
        self.leftovers().iter().map(|(id, one)| (*id, one.attempt)).collect()
    }

    /// Whether there is one of this invocation.
    pub fn is_waiting(&self, id: InvocationId) -> bool {
        self.leftovers().contains_key(&id)
    }

    /// Removes what an earlier process left of an invocation.
    pub async fn discard(&self, id: InvocationId) -> Result<(), EngineError> {
        let docker = self.engine.docker().await?;
        if let Some(one) = self.leftovers().remove(&id) {
            drop(self.hold(&docker, one.name));
        }
        Ok(())
    }

    /// Waits until all that ended is removed.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn leftovers(&self) -> std::sync::MutexGuard<'_, HashMap<InvocationId, Leftover>> {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_run(&self, container: &Container) -> Result<(), EngineError> {
        let network = container.network;
        if network != Network::None && !self.config.networks.contains(&network) {
            let name = network.as_str();
            return Err(EngineError::Lacks(format!(
                "the network `{name}` is not one that this host allows (`networks` of [docker] in wicket.toml)"
            )));
        }
        let image = &container.image;
        if self.config.pinned_only && !image.is_pinned() {
            return Err(EngineError::Lacks(format!(
                "the image {image} is not named by its digest, as this host wants it (`pinned_only` of [docker])"
            )));
        }
        if !self.config.images.is_empty() && !self.config.images.iter().any(|rule| allows(rule, image)) {
            return Err(EngineError::Lacks(format!(
                "the image {image} ({}) is not one that this host allows (`images` of [docker])",
                image.repository()
            )));
        }
        Ok(())
    }

    /// A container by its name, with what belongs to it.
    fn hold(&self, docker: &Docker, name: String) -> Held {
        let driver = self.info.get().map_or("", |info| info.cgroup_driver.as_str());
        Held {
            docker: docker.clone(),
            folder: self.config.work.join(&name),
            cgroup: Cgroup::new(&name, driver),
            name,
            tasks: self.tasks.clone(),
        }
    }

    fn remove_folders_but(&self, found: &[Leftover]) {
        let Ok(folders) = std::fs::read_dir(&self.config.work) else { return };
        for folder in folders.flatten() {
            let name = folder.file_name();
            let is_needed = found.iter().any(|one| name.to_str() == Some(&one.name));
            // Those of this process are new: it looks before it begins.
            if !is_needed && let Err(error) = std::fs::remove_dir_all(folder.path()) {
                tracing::warn!(folder = %folder.path().display(), %error, "a leftover cannot be removed");
            }
        }
    }

    /// The container of this invocation that an earlier process left, if it can go on.
    fn take_leftover(&self, attempt: &Attempt) -> Option<(Leftover, bool)> {
        let one = self.leftovers().remove(&attempt.invocation.id)?;
        let same = one.version == Some(attempt.deployment.version);
        let whole = self.config.work.join(&one.name).join("output").is_dir();
        Some((one, same && whole))
    }

    async fn run(&self, attempt: &Attempt, container: &Container, tally: &Tally) -> Result<Reply, Failure> {
        let away = |error: EngineError| Failure::Unavailable { message: chain(&error) };
        // The operator's rules may be stricter than they were when it was deployed.
        self.may_run(container).map_err(away)?;
        let docker = self.engine.docker().await.map_err(away)?;
        self.info().await.map_err(away)?;
        let run = Run {
            engine: &self.engine,
            owner: &self.owner,
            grace: self.config.grace,
            attempt,
            container,
            tally,
        };
        match self.take_leftover(attempt) {
            Some((one, true)) => return run.adopted(self.hold(&docker, one.name.clone()), &one).await,
            Some((one, false)) => drop(self.hold(&docker, one.name)),
            None => {}
        }
        let tag = hex::encode(rand::random::<[u8; 6]>());
        let name = format!("wicket-{}-{tag}", attempt.deployment.service.name);
        run.anew(self.hold(&docker, name)).await
    }
}

/// Whether a rule of an allow-list is about an image: by its parsed name, so that no tag or host can look like it.
fn allows(rule: &str, image: &ImageName) -> bool {
    let repository = image.repository();
    match rule.strip_suffix("/*") {
        Some(above) => repository.strip_prefix(above).is_some_and(|rest| rest.starts_with('/')),
        None => rule.parse::<ImageName>().is_ok_and(|rule| rule.repository() == repository),
    }
}

#[async_trait]
impl Executor for DockerExecutor {
    async fn execute(&self, attempt: Attempt) -> Report {
        let tally = Tally::new(&attempt.deployment.service.limits);
        let result = match &attempt.deployment.service.container {
            Some(container) => self.run(&attempt, container, &tally).await,
            None => Err(Failure::Host { message: "the service has no container".to_owned() }),
        };
        Report { result, usage: tally.usage() }
    }
}

#[cfg(test)]
mod tests {
    use super::allows;

    #[test]
    fn an_allow_list_is_about_parsed_names() {
        let allowed = |rule: &str, image: &str| allows(rule, &image.parse().unwrap());
        assert!(allowed("ffmpeg", "docker.io/library/ffmpeg:6"));
        assert!(allowed("ghcr.io/org/*", "ghcr.io/org/a/b:1"));
        assert!(!allowed("ghcr.io/org/*", "ghcr.io/organ/a"));
        assert!(!allowed("ghcr.io/org/*", "evil.example/ghcr.io/org/a"));
        assert!(!allowed("ffmpeg", "evil.example/ffmpeg"));
    }
}
