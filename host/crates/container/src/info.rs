//! What an engine says of itself, and what it can therefore not run.

use bollard::models::{DeviceRequest, SystemInfo, SystemVersion};
use wicket_config::{ByteSize, Container, User};

use crate::engine::EngineError;

/// Less memory is given to no container by Docker's engine.
const LEAST_MEMORY: ByteSize = ByteSize::mib(6);

/// What names of NVIDIA's GPUs begin with.
const NVIDIA: &str = "nvidia.com/gpu=";

/// What is known of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineInfo {
    /// `cgroupfs` or `systemd`.
    pub(crate) cgroup_driver: String,
    /// In which form it keeps logs as files, and the settings of that besides their size.
    pub(crate) log: (&'static str, &'static [(&'static str, &'static str)]),
    /// Podman. It does not tell that a container ended for its memory; and where one limit of its processes is set, takes its
    /// own for the others in place of those that its operator has configured, which an engine in a container may not give.
    pub(crate) podman: bool,
    /// How it is asked for a GPU.
    gpus: Gpus,
    /// Why users in its containers are not those of this machine, where that is so.
    maps_users: Option<&'static str>,
    /// CPUs that it has; 0: not told.
    cpus: u32,
}

/// How an engine is asked for GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Gpus {
    /// Not at all: Podman passes over such requests without a word.
    Podman,
    /// By their number, which NVIDIA's own runtime or hook serves. An engine does not tell whether it has one.
    Count,
    /// By their names (CDI): those that the engine tells, or `nvidia.com/gpu=0` and so on where it tells none.
    Named(Vec<String>),
}

impl EngineInfo {
    /// Of what the engine answered.
    pub(crate) fn read(version: &SystemVersion, info: &SystemInfo) -> Self {
        let components = version.components.iter().flatten();
        let podman = components.clone().any(|part| part.name.to_ascii_lowercase().contains("podman"));
        let has_runtime = info.runtimes.as_ref().is_some_and(|all| all.contains_key("nvidia"));
        let option = |name: &str| {
            let name = format!("name={name}");
            info.security_options.iter().flatten().any(|one| one.split(',').any(|part| part == name))
        };
        Self {
            cgroup_driver: info.cgroup_driver.map(|driver| driver.to_string()).unwrap_or_default(),
            // Podman refuses the form that Docker recommends.
            log: match podman {
                true => ("k8s-file", &[]),
                false => ("local", &[("max-file", "1"), ("compress", "false")]),
            },
            podman,
            gpus: match (podman, has_runtime, named_gpus(info)) {
                (true, ..) => Gpus::Podman,
                (false, false, Some(names)) => Gpus::Named(names),
                (false, ..) => Gpus::Count,
            },
            maps_users: match (option("rootless"), option("userns")) {
                (true, _) => Some("it is rootless"),
                (false, true) => Some("userns-remap is on"),
                (false, false) => None,
            },
            cpus: info.ncpu.and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        }
    }

    /// Whether a container can have here what it must have.
    pub(crate) fn can_run(&self, container: &Container) -> Result<(), EngineError> {
        let lacks = |text: String| Err(EngineError::Lacks(text));
        if let Some(why) = self.maps_users {
            return lacks(format!(
                "this machine's engine maps the users of its containers to others ({why}), so that a container could \
                 not use the folders that this host makes for it"
            ));
        }
        match (container.gpus, &self.gpus) {
            (0, _) | (_, Gpus::Count) => {}
            (n, Gpus::Podman) => {
                return lacks(format!(
                    "it must have {n} GPU(s), and this machine's engine is Podman, which gives none by this interface"
                ));
            }
            (n, Gpus::Named(names)) => {
                let there = names.len();
                if there > 0 && there < n as usize {
                    return lacks(format!("it must have {n} GPU(s), and this machine's engine has {there}"));
                }
            }
        }
        if self.cpus > 0 && container.cpu.0 > self.cpus.saturating_mul(1000) {
            let (wanted, there) = (container.cpu, self.cpus);
            return lacks(format!("it must have {wanted} CPUs, and this machine's engine has {there}"));
        }
        if container.memory < LEAST_MEMORY {
            let wanted = container.memory;
            return lacks(format!(
                "its memory is {wanted}, and an engine gives no container less than {LEAST_MEMORY}"
            ));
        }
        let own = rustix::process::geteuid();
        let foreign = match container.user {
            User::Unprivileged => false,
            User::Image => true,
            User::Ids(user, _) => user != own.as_raw(),
        };
        if foreign && !own.is_root() {
            return lacks(format!(
                "its user is `{}`, and this host, which does not run as root, could not remove that user's files",
                container.user
            ));
        }
        Ok(())
    }

    /// How the engine is asked for so many GPUs.
    pub(crate) fn gpu_request(&self, n: u32) -> Option<Vec<DeviceRequest>> {
        let request = match &self.gpus {
            _ if n == 0 => return None,
            Gpus::Podman | Gpus::Count => DeviceRequest {
                count: Some(i64::from(n)),
                capabilities: Some(vec![vec!["gpu".to_owned()]]),
                ..DeviceRequest::default()
            },
            Gpus::Named(names) => {
                let number = |n| format!("{NVIDIA}{n}");
                let known = names.iter().take(n as usize).cloned();
                let ids = if names.is_empty() { (0..n).map(number).collect() } else { known.collect() };
                DeviceRequest {
                    driver: Some("cdi".to_owned()),
                    device_ids: Some(ids),
                    ..DeviceRequest::default()
                }
            }
        };
        Some(vec![request])
    }
}

/// Names of the GPUs by number, where the engine gives devices by their names and NVIDIA's are among them.
fn named_gpus(info: &SystemInfo) -> Option<Vec<String>> {
    let devices = info.discovered_devices.iter().flatten();
    let ids = devices.filter(|one| one.source.as_deref() == Some("cdi")).filter_map(|one| one.id.clone());
    // Each has several names: its number, its UUID, and that of all together.
    let by_number = |id: &String| id.strip_prefix(NVIDIA).is_some_and(|name| name.parse::<u32>().is_ok());
    let names: Vec<String> = ids.filter(by_number).collect();
    let described = || {
        let folders = info.cdi_spec_dirs.iter().flatten().filter_map(|folder| std::fs::read_dir(folder).ok());
        folders.flatten().flatten().any(|file| file.file_name().to_string_lossy().contains("nvidia"))
    };
    (!names.is_empty() || described()).then_some(names)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(version: Value, info: Value) -> EngineInfo {
        EngineInfo::read(&serde_json::from_value(version).unwrap(), &serde_json::from_value(info).unwrap())
    }

    /// As Docker 20.10 on a machine of two CPUs says it.
    fn docker() -> Value {
        json!({"Components": [{"Name": "Engine", "Version": "20.10.24"}, {"Name": "containerd", "Version": "1.6.20"}]})
    }

    fn container(more: &str) -> Container {
        let mut text = json!({
            "image": "a", "memory": "64MiB", "cpu": "1", "timeout": "1h", "pids": 512, "tmp": "64MiB",
        });
        let more: Value = serde_json::from_str(more).unwrap();
        text.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(text).unwrap()
    }

    #[track_caller]
    fn refusal(info: &EngineInfo, more: &str) -> String {
        info.can_run(&container(more)).unwrap_err().to_string()
    }

    #[test]
    fn what_an_engine_lacks_is_told() {
        let plain = json!({"NCPU": 2, "CgroupDriver": "cgroupfs", "SecurityOptions": ["name=seccomp,profile=default"],
            "Runtimes": {"runc": {"path": "runc"}}});
        let info = read(docker(), plain);
        info.can_run(&container("{}")).unwrap();
        info.can_run(&container(r#"{"cpu": "2"}"#)).unwrap();
        assert!(refusal(&info, r#"{"cpu": "2.5"}"#).contains("2.5 CPUs, and this machine's engine has 2"));
        assert!(
            refusal(&info, r#"{"memory": "5MiB"}"#)
                .contains("5MiB, and an engine gives no container less than 6MiB")
        );
        let options = |options: Value| read(docker(), json!({"NCPU": 2, "SecurityOptions": options}));
        let rootless = options(json!(["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]));
        assert!(refusal(&rootless, "{}").contains("it is rootless"));
        let remapped = options(json!(["name=apparmor", "name=userns"]));
        assert!(refusal(&remapped, "{}").contains("userns-remap is on"));
    }

    #[test]
    fn gpus_are_asked_for_as_the_engine_has_them() {
        let two = r#"{"gpus": 2}"#;
        let podman = json!({"Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon", "Version": "2.1.6"}]});
        let podman = read(podman, json!({"NCPU": 2}));
        assert!(refusal(&podman, two).contains("is Podman") && podman.podman);
        assert_eq!((podman.log.0, read(docker(), json!({"NCPU": 2})).log.0), ("k8s-file", "local"));
        let hook =
            read(docker(), json!({"NCPU": 2, "Runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}));
        hook.can_run(&container(two)).unwrap();
        let request = &hook.gpu_request(2).unwrap()[0];
        assert_eq!((request.count, request.driver.as_deref()), (Some(2), None));
        let devices = [
            "nvidia.com/gpu=all",
            "nvidia.com/gpu=0",
            "nvidia.com/gpu=1",
            "nvidia.com/gpu=GPU-6f",
            "amd.com/gpu=0",
        ];
        let devices: Vec<Value> = devices.iter().map(|id| json!({"Source": "cdi", "ID": id})).collect();
        let cdi =
            read(docker(), json!({"NCPU": 2, "CDISpecDirs": ["/etc/cdi"], "DiscoveredDevices": devices}));
        cdi.can_run(&container(two)).unwrap();
        let request = &cdi.gpu_request(1).unwrap()[0];
        assert_eq!(request.driver.as_deref(), Some("cdi"));
        assert_eq!(request.device_ids.as_deref(), Some(&["nvidia.com/gpu=0".to_owned()][..]));
        assert!(refusal(&cdi, r#"{"gpus": 3}"#).contains("3 GPU(s), and this machine's engine has 2"));
        assert_eq!(cdi.gpu_request(0), None);
        // An older engine does not tell names, and has the files.
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("nvidia.yaml"), "").unwrap();
        let older = read(docker(), json!({"NCPU": 2, "CDISpecDirs": [folder.path()]}));
        let ids = older.gpu_request(2).unwrap().remove(0).device_ids.unwrap();
        assert_eq!(ids, ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]);
    }
}
