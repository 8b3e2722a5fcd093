//! What an attempt holds, and gives back however it ends.

use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use tokio_util::task::TaskTracker;

use crate::cgroup::Cgroup;

/// How often the removal of a container is tried, and how long is waited in between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// A container, its folder and its control group. Dropping it kills and removes all three, in a task.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) docker: Docker,
    /// The container's name, which is also the folder's.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) cgroup: Option<Cgroup>,
    pub(crate) tasks: TaskTracker,
}

impl Drop for Held {
    fn drop(&mut self) {
        let (docker, name, folder) = (self.docker.clone(), self.name.clone(), self.folder.clone());
        let cgroup = self.cgroup.take();
        self.tasks.spawn(async move {
            remove(&docker, &name).await;
            let gone = tokio::task::spawn_blocking(move || {
                if let Some(cgroup) = cgroup {
                    cgroup.remove();
                }
                std::fs::remove_dir_all(&folder)
            });
            if let Ok(Err(error)) = gone.await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(name, %error, "the folder of a container could not be removed");
            }
        });
    }
}

/// Kills and removes a container, with the volumes that were made for it.
async fn remove(docker: &Docker, name: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    for _ in 0..TRIES {
        match docker.remove_container(name, Some(options.clone())).await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => return,
            Err(error) => {
                tracing::debug!(name, %error, "a container could not be removed yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    tracing::warn!(name, "a container could not be removed; the next start of this host tries again");
}
