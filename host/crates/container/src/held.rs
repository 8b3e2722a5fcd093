//! What an attempt holds, and gives back however it ends.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::cgroup::Cgroup;

/// How often the removal of a container is tried, and how long is waited in between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Containers that this process has to do with now: they run, or are being removed. What has this host's label and is
/// not among them is nobody's.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// By how many; two may be removing the same.
    names: Mutex<HashMap<String, u32>>,
    /// Something was left behind.
    left: Notify,
}

impl Names {
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }

    /// Notes that something was left behind.
    pub(crate) fn leave(&self) {
        self.left.notify_one();
    }

    /// Waits until something that should have gone was left behind.
    pub(crate) async fn left(&self) {
        self.left.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the names; not any more when it is dropped.
#[derive(Debug)]
struct Name {
    name: String,
    names: Arc<Names>,
}

impl Name {
    fn new(name: String, names: Arc<Names>) -> Self {
        *names.lock().entry(name.clone()).or_default() += 1;
        Self { name, names }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut names = self.names.lock();
        if let Some(count) = names.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                names.remove(&self.name);
            }
        }
    }
}

/// A container, its folder and its control group. Dropping it kills and removes all three, in a task.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) docker: Docker,
    /// The container's name, which is also the folder's.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) cgroup: Option<Cgroup>,
    pub(crate) tasks: TaskTracker,
    /// The engine was asked to make it, and has not answered yet.
    making: AtomicBool,
    known: Option<Name>,
}

impl Held {
    pub(crate) fn new(
        docker: Docker,
        name: String,
        folder: PathBuf,
        cgroup: Option<Cgroup>,
        tasks: TaskTracker,
        names: Arc<Names>,
    ) -> Self {
        let known = Some(Name::new(name.clone(), names));
        Self { docker, name, folder, cgroup, tasks, making: AtomicBool::new(false), known }
    }

    /// Notes whether the engine may be making it just now: it may then be there later, although it is not there yet.
    pub(crate) fn making(&self, making: bool) {
        self.making.store(making, Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (docker, name, folder) = (self.docker.clone(), self.name.clone(), self.folder.clone());
        let (cgroup, making) = (self.cgroup.take(), self.making.load(Relaxed));
        let Some(known) = self.known.take() else { return };
        self.tasks.spawn(async move {
            let removed = remove(&docker, &name).await;
            if !removed || making {
                known.names.leave();
            }
            if !removed {
                // Its folder stays too: it is mounted, and may be written to.
                tracing::warn!(name, "a container could not be removed; it is tried again");
                return;
            }
            let gone = tokio::task::spawn_blocking(move || {
                if let Some(cgroup) = cgroup {
                    cgroup.remove();
                }
                wicket_workspace::remove_tree(&folder)
            });
            if let Ok(Err(error)) = gone.await {
                tracing::warn!(name, %error, "the folder of a container could not be removed");
            }
            drop(known);
        });
    }
}

/// Kills and removes a container, with the volumes that were made for it; whether it is gone.
async fn remove(docker: &Docker, name: &str) -> bool {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    for _ in 0..TRIES {
        match docker.remove_container(name, Some(options.clone())).await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => return true,
            Err(error) => {
                tracing::debug!(name, %error, "a container could not be removed yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    false
}
