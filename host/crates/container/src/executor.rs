//! The executor: containers of one engine, for all services.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;
use wicket_config::{Container, ImageName, Network, Registry, Service};
use wicket_core::{Attempt, Executor, Failure, Fetches, InvocationId, Reply, Report, chain};
use wicket_workspace::Tally;

use crate::cgroup::Cgroup;
use crate::engine::{Engine, EngineError, HELLO};
use crate::held::{Held, Names};
use crate::info::EngineInfo;
use crate::leftover::{self, Leftover};
use crate::run::Run;
use crate::spec::Owner;
use crate::warm::Pool;

/// After something was left behind, how long until it is looked for.
const BREATH: Duration = Duration::from_secs(5);

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
    /// Who this host is to registries, by their names.
    pub registries: BTreeMap<String, Registry>,
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
    /// Whether that was looked for.
    has_looked: AtomicBool,
    /// What runs or is being removed.
    names: Arc<Names>,
    /// Containers that rest until the next attempt.
    pool: Pool,
    /// Removals that are under way.
    tasks: TaskTracker,
}

impl DockerExecutor {
    /// An executor; nothing is asked of the engine yet, and it need not be there.
    pub fn new(config: DockerConfig, fetches: Fetches) -> Arc<Self> {
        Arc::new(Self {
            engine: Engine::at(&config.socket, fetches),
            info: OnceCell::new(),
            owner: Owner { node: config.node.clone(), boot: hex::encode(rand::random::<[u8; 8]>()) },
            config,
            leftovers: Mutex::default(),
            has_looked: AtomicBool::new(false),
            names: Arc::default(),
            pool: Pool::default(),
            tasks: TaskTracker::new(),
        })
    }

    /// A client of the engine, and what the engine is.
    async fn hello(&self) -> Result<(Docker, &EngineInfo), EngineError> {
        let hello = async {
            let docker = self.engine.docker().await?;
            Ok((docker, self.info.get_or_try_init(|| self.engine.info()).await?))
        };
        // Also for who waits behind another: a silent engine holds up each for so long, and not one after the other.
        tokio::time::timeout(HELLO, hello).await.unwrap_or_else(|_| Err(self.engine.silent()))
    }

    /// Checks that a service can run in containers here and may, fetches its image as its policy says, and answers the
    /// id of the image's content.
    pub async fn prepare(&self, service: &Service) -> Result<Option<String>, EngineError> {
        let Some(container) = &service.container else { return Ok(None) };
        self.may_run(container)?;
        let (docker, info) = self.hello().await?;
        info.can_run(container)?;
        let content = self.engine.prepare(&docker, container, &self.config.registries).await?;
        if let Some(request) = info.gpu_request(container.gpus) {
            let name = format!("wicket-gpu-{}", hex::encode(rand::random::<[u8; 6]>()));
            let held = self.hold(&docker, name);
            self.engine.can_give(&held, &content, &self.owner, request, container.gpus).await?;
        }
        Ok(Some(content))
    }

    /// Looks through this host's containers, and removes those that are nobody's, with their folders. The first time
    /// that the engine answers, what earlier processes left is kept where its invocation may go on with it.
    pub async fn tidy(&self) -> Result<(), EngineError> {
        self.pool.sweep();
        if !self.engine.is_there() {
            return Ok(());
        }
        let tidied = self.look_through().await;
        if tidied.is_err() && !self.has_looked.load(Relaxed) {
            // What waits to go on does so as soon as the engine answers.
            self.names.leave();
        }
        tidied
    }

    async fn look_through(&self) -> Result<(), EngineError> {
        let (docker, _) = self.hello().await?;
        let folders = self.folders();
        let mut found = leftover::find(&self.engine, &docker, &self.owner).await?;
        if !self.has_looked.swap(true, Relaxed) {
            // Of several of one invocation only the last attempt's is of use.
            found.sort_by_key(|one| one.attempt);
            let usable = found.iter().filter(|one| !one.is_own && one.is_of_use());
            let known: HashMap<_, _> =
                usable.filter_map(|one| Some((one.invocation?, one.clone()))).collect();
            if !known.is_empty() {
                tracing::info!(
                    containers = known.len(),
                    "found containers of an earlier process of this host"
                );
            }
            *self.leftovers() = known;
        }
        self.leftovers().retain(|_, one| found.iter().any(|now| now.name == one.name && !now.is_overdue()));
        // What is taken over is held before it is no leftover any more: looked for in this order, it is seen.
        let is_waiting = |name: &str| self.leftovers().values().any(|one| one.name == name);
        let is_nobodys = |name: &str| !is_waiting(name) && !self.names.contains(name);
        for one in found.into_iter().filter(|one| is_nobodys(&one.name)) {
            tracing::info!(name = one.name, "removing a container that is nobody's");
            drop(self.hold(&docker, one.name));
        }
        let folders = folders.into_iter().filter(|name| is_nobodys(name)).collect::<Vec<_>>();
        let work = self.config.work.clone();
        let removed = tokio::task::spawn_blocking(move || {
            for name in folders {
                if let Err(error) = wicket_workspace::remove_tree(&work.join(&name)) {
                    tracing::warn!(name, %error, "the folder of a container cannot be removed");
                }
            }
        });
        removed.await.map_err(|error| EngineError::Lacks(error.to_string()))
    }

    /// Waits until something was left behind that should have gone, and a moment more, or until what waits to be taken
    /// over has waited too long; at most so long.
    pub async fn untidy(&self, at_most: Duration) {
        let due = self.leftovers().values().filter_map(Leftover::due_in).min();
        let at_most = due.map_or(at_most, |due| at_most.min(due + BREATH));
        let left = async {
            self.names.left().await;
            tokio::time::sleep(BREATH).await;
        };
        // Late is as good.
        let _timed_out = tokio::time::timeout(at_most, left).await;
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
        let (docker, _) = self.hello().await?;
        if let Some(one) = self.leftovers().remove(&id) {
            drop(self.hold(&docker, one.name));
        }
        Ok(())
    }

    /// Waits until all that ended is removed.
    pub async fn drain(&self) {
        self.pool.clear();
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
        let (folder, cgroup) = (self.config.work.join(&name), Cgroup::new(&name, driver));
        Held::new(docker.clone(), name, folder, cgroup, self.tasks.clone(), self.names.clone())
    }

    /// Names of the folders of attempts.
    fn folders(&self) -> Vec<String> {
        let Ok(folders) = std::fs::read_dir(&self.config.work) else { return Vec::new() };
        folders.flatten().filter_map(|folder| folder.file_name().into_string().ok()).collect()
    }

    /// The container of this invocation that an earlier process left, if it can go on.
    fn take_leftover(&self, docker: &Docker, attempt: &Attempt) -> Option<(Leftover, Held, bool)> {
        let one = self.leftovers().get(&attempt.invocation.id)?.clone();
        let held = self.hold(docker, one.name.clone());
        self.leftovers().remove(&attempt.invocation.id)?;
        let same = one.version == Some(attempt.deployment.version);
        let whole = self.config.work.join(&one.name).join("output").is_dir();
        Some((one, held, same && whole))
    }

    async fn run(&self, attempt: &Attempt, container: &Container, tally: &Tally) -> Result<Reply, Failure> {
        let away = |error: EngineError| Failure::Unavailable { message: chain(&error) };
        // The operator's rules may be stricter than they were when it was deployed.
        self.may_run(container).map_err(away)?;
        let (docker, info) = self.hello().await.map_err(away)?;
        let run = Run {
            engine: &self.engine,
            info,
            owner: &self.owner,
            grace: self.config.grace,
            attempt,
            container,
            tally,
        };
        match self.take_leftover(&docker, attempt) {
            Some((one, held, true)) => return run.adopted(held, &one).await,
            Some((_, held, false)) => drop(held),
            None => {}
        }
        let tag = hex::encode(rand::random::<[u8; 6]>());
        let name = format!("wicket-{}-{tag}", attempt.deployment.service.name);
        let hold = || self.hold(&docker, name);
        if container.warm > 0 { run.warm(&self.pool, hold).await } else { run.anew(hold()).await }
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
