//! A container without a host around it: by the engine's API, and by its command line.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, ResourcesUlimits,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use futures::StreamExt as _;
use wicket_tests::{Engine, IMAGE};

use crate::scratch;

/// The limits of every container of the benches: the defaults of a service.
const MEMORY: i64 = 256 << 20;
const PIDS: i64 = 512;
/// Who a host of root's lets containers run as.
const NOBODY: &str = "65534:65534";

/// How long the parts of one run took, ms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    /// The engine made it.
    pub create: f64,
    /// Listening to it; 0 where nobody did.
    pub attach: f64,
    /// The engine started it.
    pub start: f64,
    /// From then to its end.
    pub wait: f64,
    /// Removing it, which is not part of what one waits for.
    pub remove: f64,
}

impl Steps {
    /// From the request to make it until its end is known, ms.
    pub fn total(&self) -> f64 {
        self.create + self.attach + self.start + self.wait
    }
}

/// A script in a container that is like those of a host: the same image, command, user, limits, mounts and log, and no
/// network. Left out are the host's labels and variables, and its own control group.
#[derive(Debug)]
pub struct Bare<'a> {
    engine: &'a Engine,
    folder: tempfile::TempDir,
}

impl<'a> Bare<'a> {
    /// One folder serves all of its containers.
    ///
    /// # Panics
    ///
    /// When the folder cannot be made.
    pub fn new(engine: &'a Engine, script: &str) -> Self {
        let folder = scratch();
        let path = folder.path();
        for one in ["input", "output", "event"] {
            std::fs::create_dir(path.join(one)).expect("a folder in target/");
        }
        std::fs::write(path.join("event/event"), "").expect("a file in target/");
        std::fs::write(path.join("script"), script).expect("a file in target/");
        let open = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777));
        open(path).and_then(|()| open(&path.join("output"))).expect("the folder is ours");
        Self { engine, folder }
    }

    /// Creates one, starts it, waits for its end and removes it; with `listen`, attaches before the start as a host does.
    ///
    /// # Panics
    ///
    /// When the engine refuses, or the script fails.
    pub async fn run(&self, listen: bool) -> Steps {
        let docker = &self.engine.docker;
        let name = format!("wicket-bench-{}", wicket_core::InvocationId::random());
        let mut steps = Steps::default();
        let mut begin = Instant::now();
        let mut lap = || {
            let took = begin.elapsed().as_secs_f64() * 1e3;
            begin = Instant::now();
            took
        };
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        docker.create_container(Some(options), self.body()).await.expect("the engine makes a container");
        steps.create = lap();
        let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let mut heard = None;
        if listen {
            heard =
                Some(docker.attach_container(&name, Some(options)).await.expect("the engine lets us listen"));
            steps.attach = lap();
        }
        docker.start_container(&name, None).await.expect("the container starts");
        steps.start = lap();
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let end = docker.wait_container(&name, Some(options)).next().await.expect("the engine waits");
        assert_eq!(end.expect("the script succeeds").status_code, 0, "the script succeeds");
        if let Some(heard) = &mut heard {
            while heard.output.next().await.is_some() {}
        }
        steps.wait = lap();
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        docker.remove_container(&name, Some(options)).await.expect("the engine removes it");
        steps.remove = lap();
        steps
    }

    fn body(&self) -> ContainerCreateBody {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let with_event = "exec \"$@\" < /wicket/event/event";
        ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            entrypoint: Some(words(&["/bin/sh", "-c", with_event, "sh", "/bin/sh", "/wicket/script"])),
            user: Some(NOBODY.to_owned()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            network_disabled: Some(true),
            host_config: Some(self.host_config()),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config(&self) -> HostConfig {
        let bind = |source: PathBuf, target: &str, read_only| Mount {
            target: Some(target.to_owned()),
            source: Some(source.canonicalize().expect("it was made").display().to_string()),
            typ: Some(MountType::BIND),
            read_only: Some(read_only),
            ..Mount::default()
        };
        let folder = self.folder.path();
        HostConfig {
            memory: Some(MEMORY),
            memory_swap: Some(MEMORY),
            nano_cpus: Some(1_000_000_000),
            pids_limit: Some(PIDS),
            network_mode: Some("none".to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            readonly_rootfs: Some(true),
            tmpfs: Some(HashMap::from([(
                "/tmp".to_owned(),
                "rw,nosuid,nodev,exec,mode=1777,size=67108864".to_owned(),
            )])),
            mounts: Some(vec![
                bind(folder.to_owned(), "/wicket", true),
                bind(folder.join("output"), "/wicket/output", false),
            ]),
            log_config: Some(HostConfigLogConfig {
                typ: Some("local".to_owned()),
                config: Some(HashMap::from([
                    ("max-size".to_owned(), "2097152".to_owned()),
                    ("max-file".to_owned(), "1".to_owned()),
                    ("compress".to_owned(), "false".to_owned()),
                ])),
            }),
            ulimits: Some(vec![ResourcesUlimits {
                name: Some("core".to_owned()),
                soft: Some(0),
                hard: Some(0),
            }]),
            ..HostConfig::default()
        }
    }
}

/// The engine's command line: `docker` of this machine, else the one beside the engine that `cargo xtask engine` unpacks.
///
/// # Panics
///
/// When there is neither.
pub fn docker_program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::split_paths(&path).map(|folder| folder.join("docker"));
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home).unwrap_or_default();
    let found = own.chain([cache.join("wicketgate/engine/usr/bin/docker")]).find(|file| file.is_file());
    found.expect("there is no `docker` command: install one (Debian: `apt-get install docker-cli`)")
}

/// `docker run --rm --network none` of a script in the image of the stories, with the limits of [`Bare`]'s memory and CPU.
pub fn docker_run(engine: &Engine, script: &str) -> Command {
    let mut command = Command::new(docker_program());
    command
        .arg("--host")
        .arg(format!("unix://{}", engine.socket.display()))
        .args(["run", "--rm", "--network", "none", "--cpus", "1", "--memory", "256m", IMAGE])
        .args(["/bin/sh", "-c", script])
        .stdin(Stdio::null());
    command
}

/// So many of [`docker_run`], `parallel` at a time: a loop in a shell, by `xargs`.
pub fn docker_loop(engine: &Engine, script: &str, count: usize, parallel: usize) -> Command {
    let run = docker_run(engine, script);
    let mut command = Command::new("sh");
    command
        .args(["-c", "n=$1; p=$2; shift 2; seq \"$n\" | xargs -P \"$p\" -I{} \"$@\"", "sh"])
        .args([count.to_string(), parallel.to_string()])
        .arg(run.get_program())
        .args(run.get_args())
        .stdin(Stdio::null());
    command
}
