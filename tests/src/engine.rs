//! The container engine of the stories: `cargo xtask test` starts one, or `cargo xtask engine` in another terminal.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::Docker;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder,
};
use futures::{Stream, StreamExt as _};

use crate::{Setup, TestHost};

/// The image of the stories: one static program with the names of all its tools.
pub const IMAGE: &str = "wicketgate-stories:1";

/// The root file system of [`IMAGE`], as a tar.
pub fn image() -> PathBuf {
    crate::host::root().join("target/engine/image.tar")
}

/// An engine.
#[derive(Debug)]
pub struct Engine {
    /// Its socket.
    pub socket: PathBuf,
    /// A client of it.
    pub docker: Docker,
}

impl Engine {
    /// The engine that was set up, with [`IMAGE`] in it.
    ///
    /// # Panics
    ///
    /// When there is none: the message says how to get one.
    pub async fn find() -> Self {
        let folder = crate::host::root().join("target/engine");
        let socket = std::fs::read_to_string(folder.join("socket")).unwrap_or_default();
        let socket = PathBuf::from(socket.trim());
        assert!(
            socket.exists(),
            "no container engine was set up for the stories: `cargo xtask test` does it, or run `cargo xtask engine`"
        );
        Self::at(socket).await
    }

    /// That of a socket, with [`IMAGE`] in it.
    pub(crate) async fn at(socket: PathBuf) -> Self {
        let docker = Docker::connect_with_unix(&socket.to_string_lossy(), 60, bollard::API_DEFAULT_VERSION);
        let docker = docker.expect("the socket is there").negotiate_version().await;
        let docker = docker.unwrap_or_else(|error| panic!("{} does not answer: {error}", socket.display()));
        if docker.inspect_image(IMAGE).await.is_err() {
            let root = std::fs::read(image()).expect("it was set up");
            let (name, tag) = IMAGE.split_once(':').expect("a tag");
            let options = CreateImageOptionsBuilder::default().from_src("-").repo(name).tag(tag).build();
            let body = bollard::body_full(root.into());
            let mut steps = docker.create_image(Some(options), Some(body), None);
            while let Some(step) = steps.next().await {
                step.expect("the image is taken");
            }
        }
        Self { socket, docker }
    }

    /// A host that runs containers on it.
    pub fn host(&self) -> TestHost {
        self.host_with("", Setup::default())
    }

    /// The same with more lines below `[docker]`, and another setup.
    pub fn host_with(&self, docker: &str, setup: Setup) -> TestHost {
        let config = format!("{}\n[docker]\nsocket = {:?}\n{docker}\n", setup.config, self.socket);
        TestHost::with(Setup { config, ..setup })
    }

    /// Names and states of the containers of a host.
    ///
    /// # Panics
    ///
    /// When the engine does not answer.
    pub async fn containers(&self, host: &TestHost) -> Vec<(String, String)> {
        let label = vec![format!("dev.wicketgate.node={}", node(host))];
        let filters = HashMap::from([("label".to_owned(), label)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await.expect("the engine answers");
        let about = |one: bollard::models::ContainerSummary| {
            let name = one.names.unwrap_or_default().into_iter().next().unwrap_or_default();
            (name, one.state.map(|state| state.to_string()).unwrap_or_default())
        };
        found.into_iter().map(about).collect()
    }

    /// Tells of each container that is made for a host from now on.
    pub fn made(&self, host: &TestHost) -> impl Stream<Item = String> + Unpin {
        let label = format!("dev.wicketgate.node={}", node(host));
        let filters = [("type", "container"), ("event", "create"), ("label", &label)];
        let filters = filters.map(|(name, value)| (name, vec![value])).into();
        let since = time::OffsetDateTime::now_utc().unix_timestamp();
        let options = EventsOptionsBuilder::default().since(&since.to_string()).filters(&filters).build();
        let events = self.docker.events(Some(options));
        Box::pin(events.filter_map(async |event| event.ok()?.actor?.id))
    }

    /// What a host has left: containers, and folders of attempts.
    pub async fn left(&self, host: &TestHost) -> usize {
        let folders = std::fs::read_dir(host.data().join("containers"));
        self.containers(host).await.len() + folders.map_or(0, Iterator::count)
    }
}

/// What a host's containers are known by.
fn node(host: &TestHost) -> String {
    std::fs::read_to_string(host.data().join("node-id")).unwrap_or_default().trim().to_owned()
}
