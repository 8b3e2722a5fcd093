//! What a container of an attempt is and may do: a function of values.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, ResourcesUlimits,
};
use wicket_config::{Container, User};
use wicket_core::Attempt;
use wicket_workspace::{Places, Workspace};

use crate::cgroup::Cgroup;
use crate::info::EngineInfo;

/// Where a container sees the folders of its attempt.
pub(crate) const PLACES: Places =
    Places { input: "/wicket/input", output: "/wicket/output", event: "/wicket/event/event" };
/// Where they are mounted.
const MOUNT: &str = "/wicket";
/// The name of the script's file.
pub(crate) const SCRIPT: &str = "script";
/// Runs what comes after it with the event on its standard input. A file, so that it does not depend on this process.
const WITH_EVENT: &str = "exec \"$@\" < /wicket/event/event";
/// Who has no rights on any machine.
const NOBODY: (u32, u32) = (65_534, 65_534);

/// Labels by which a later process of this host knows its containers.
pub(crate) mod labels {
    /// The host's data folder.
    pub(crate) const NODE: &str = "dev.wicketgate.node";
    /// The process that made it.
    pub(crate) const BOOT: &str = "dev.wicketgate.boot";
    /// What runs in it.
    pub(crate) const INVOCATION: &str = "dev.wicketgate.invocation";
    /// The attempt's number.
    pub(crate) const ATTEMPT: &str = "dev.wicketgate.attempt";
    /// The service.
    pub(crate) const SERVICE: &str = "dev.wicketgate.service";
    /// The service's version.
    pub(crate) const VERSION: &str = "dev.wicketgate.version";
    /// There where the event comes by file, so that nobody need feed it.
    pub(crate) const SCRIPT: &str = "dev.wicketgate.script";
    /// When the attempt began, in µs since 1970: its time goes on in a later process.
    pub(crate) const BEGAN: &str = "dev.wicketgate.began";
    /// How long it may take, in ms.
    pub(crate) const TIMEOUT: &str = "dev.wicketgate.timeout";
}

/// Whose containers.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) node: String,
    pub(crate) boot: String,
}

impl Owner {
    /// What every container of this process is known by.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (String, String)> {
        let own = [(labels::NODE, &self.node), (labels::BOOT, &self.boot)];
        own.into_iter().map(|(name, value)| (name.to_owned(), value.clone()))
    }
}

/// User and group that a container runs as; none: as the image says.
pub(crate) fn ids(user: &User) -> Option<(u32, u32)> {
    let own = (rustix::process::geteuid(), rustix::process::getegid());
    match user {
        User::Unprivileged if own.0.is_root() => Some(NOBODY),
        User::Unprivileged => Some((own.0.as_raw(), own.1.as_raw())),
        User::Image => None,
        User::Ids(user, group) => Some((*user, *group)),
    }
}

/// Whether what runs in it gets the event by file: the engine need not be fed, so that another process can take over.
pub(crate) fn is_script(container: &Container) -> bool {
    container.script.is_some()
}

/// Where a container of an attempt comes to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around<'a> {
    /// What is mounted.
    pub(crate) folder: &'a Path,
    /// Its control group.
    pub(crate) cgroup: Option<&'a Cgroup>,
    pub(crate) owner: &'a Owner,
    pub(crate) info: &'a EngineInfo,
}

/// The container that an attempt runs in.
pub(crate) fn body(
    attempt: &Attempt,
    container: &Container,
    workspace: &Workspace,
    around: Around<'_>,
) -> ContainerCreateBody {
    let service = &attempt.deployment.service;
    let script = is_script(container);
    let entrypoint = script.then(|| {
        let command = command(container);
        words(["/bin/sh", "-c", WITH_EVENT, "sh"].into_iter().chain(command.iter().map(String::as_str)))
    });
    let mut environment = constants(attempt);
    variables(attempt, workspace, |name, value| environment.push(format!("{name}={value}")));
    let own = [
        (labels::INVOCATION, attempt.invocation.id.to_string()),
        (labels::ATTEMPT, attempt.number.to_string()),
        (labels::BEGAN, wicket_core::Timestamp::now().0.to_string()),
        (labels::TIMEOUT, container.timeout.0.as_millis().to_string()),
    ];
    let own = own.into_iter().chain(script.then(|| (labels::SCRIPT, String::new())));
    let base = base(attempt, container, around);
    let labels = base.labels.into_iter().flatten().chain(own.map(|(name, value)| (name.to_owned(), value)));
    ContainerCreateBody {
        labels: Some(labels.collect()),
        entrypoint,
        cmd: (script || !service.args.is_empty()).then(|| service.args.clone()),
        env: Some(environment),
        attach_stdin: Some(!script),
        open_stdin: Some(!script),
        stdin_once: Some(!script),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..base
    }
}

/// A container that is told by `keeper`, a text for its shell, what to run.
pub(crate) fn kept(
    attempt: &Attempt,
    container: &Container,
    keeper: &str,
    around: Around<'_>,
) -> ContainerCreateBody {
    ContainerCreateBody {
        entrypoint: Some(words(["/bin/sh", "-c", keeper])),
        cmd: Some(Vec::new()),
        env: Some(constants(attempt)),
        ..base(attempt, container, around)
    }
}

/// What is the same in both.
fn base(attempt: &Attempt, container: &Container, around: Around<'_>) -> ContainerCreateBody {
    let service = &attempt.deployment.service;
    let label = |name: &str, value: String| (name.to_owned(), value);
    let own = [
        label(labels::SERVICE, service.name.to_string()),
        label(labels::VERSION, attempt.deployment.version.to_string()),
    ];
    ContainerCreateBody {
        image: Some(container.content.clone().unwrap_or_else(|| container.image.as_str().to_owned())),
        user: ids(&container.user).map(|(user, group)| format!("{user}:{group}")),
        labels: Some(own.into_iter().chain(around.owner.labels()).collect()),
        network_disabled: Some(container.network == wicket_config::Network::None),
        host_config: Some(host_config(container, service.limits.log.0, around)),
        ..ContainerCreateBody::default()
    }
}

/// How the script is run: by what its first line names, or by the shell.
pub(crate) fn command(container: &Container) -> Vec<String> {
    let shebang = container.script.as_deref().is_some_and(|script| script.starts_with("#!"));
    let file = format!("{MOUNT}/{SCRIPT}");
    if shebang { vec![file] } else { vec!["/bin/sh".to_owned(), file] }
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn host_config(container: &Container, log: u64, around: Around<'_>) -> HostConfig {
    let Around { folder, cgroup, info, .. } = around;
    let number = |n: u64| Some(i64::try_from(n).unwrap_or(i64::MAX));
    // The engine keeps a copy of the log for a process that takes over; its smallest is larger than nothing.
    let kept = log.saturating_mul(2).clamp(1 << 20, 1 << 30);
    let no_core = || vec![ResourcesUlimits { name: Some("core".to_owned()), soft: Some(0), hard: Some(0) }];
    let log = info.log.1.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let log = log.chain([("max-size".to_owned(), kept.to_string())]);
    HostConfig {
        memory: number(container.memory.0),
        // The same: no swap beside it.
        memory_swap: number(container.memory.0),
        nano_cpus: number(u64::from(container.cpu.0) * 1_000_000),
        pids_limit: Some(i64::from(container.pids)),
        cgroup_parent: cgroup.map(Cgroup::parent),
        network_mode: Some(container.network.as_str().to_owned()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        readonly_rootfs: Some(!container.writable_root),
        tmpfs: Some(HashMap::from([(
            "/tmp".to_owned(),
            format!("rw,nosuid,nodev,exec,mode=1777,size={}", container.tmp.0),
        )])),
        // A mount point cannot be renamed or replaced from inside, so what is collected is what was given.
        mounts: Some(vec![bind(folder, MOUNT, true), bind(&folder.join("output"), PLACES.output, false)]),
        device_requests: info.gpu_request(container.gpus),
        log_config: Some(HostConfigLogConfig {
            typ: Some(info.log.0.to_owned()),
            config: Some(log.collect()),
        }),
        ulimits: (!info.podman).then(no_core),
        ..HostConfig::default()
    }
}

fn bind(folder: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        target: Some(target.to_owned()),
        source: Some(folder.display().to_string()),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

/// What every attempt finds in its environment: what the service says goes before what the contract says.
pub(crate) fn constants(attempt: &Attempt) -> Vec<String> {
    let service = &attempt.deployment.service;
    let secrets = service.secrets.iter().filter_map(|name| attempt.deployment.secrets.get_key_value(name));
    let secrets = secrets.map(|(name, secret)| format!("{name}={}", secret.reveal()));
    let plain = service.environment.iter().map(|(name, value)| format!("{name}={value}"));
    std::iter::once("HOME=/tmp".to_owned()).chain(plain).chain(secrets).collect()
}

/// What this attempt finds beside that; each name is a word that a shell can have for a variable.
pub(crate) fn variables(attempt: &Attempt, workspace: &Workspace, mut set: impl FnMut(&str, &str)) {
    let service = &attempt.deployment.service;
    for (name, value) in workspace.environment(&attempt.invocation.event, PLACES) {
        if !service.environment.contains_key(&name) && !service.secrets.contains(&name) {
            set(&name, &value);
        }
    }
}
