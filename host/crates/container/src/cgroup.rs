//! What a container used, by the kernel's own books: a control group of ours around the one that the engine makes and
//! removes. Exact also for what runs for a millisecond, which the engine's own figures (one look a second) are not.

use std::path::{Path, PathBuf};
use std::sync::Once;

const ROOT: &str = "/sys/fs/cgroup";
/// Our group, below which each container has one.
const OURS: &str = "wicketgate";

/// Done by the first container of this process.
static STEPPED_BACK: Once = Once::new();

/// The group of one container.
#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    name: String,
}

impl Cgroup {
    /// For a container of this name, where this process may read and remove groups, and the engine makes them there.
    pub(crate) fn new(name: &str, driver: &str) -> Option<Self> {
        let can = driver == "cgroupfs" && rustix::process::geteuid().is_root() && Path::new(ROOT).is_dir();
        can.then(|| {
            STEPPED_BACK.call_once(step_back);
            Self { name: name.to_owned() }
        })
    }

    /// As the engine is told.
    pub(crate) fn parent(&self) -> String {
        format!("/{OURS}/{}", self.name)
    }

    /// CPU time in microseconds.
    pub(crate) fn cpu_us(&self) -> Option<u64> {
        if let Some(nanoseconds) = number(&self.at("cpuacct").join("cpuacct.usage")) {
            return Some(nanoseconds / 1000);
        }
        let stat = std::fs::read_to_string(self.at("").join("cpu.stat")).ok()?;
        stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse().ok())
    }

    /// Most memory at once, in bytes.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        number(&self.at("memory").join("memory.max_usage_in_bytes"))
            .or_else(|| number(&self.at("").join("memory.peak")))
    }

    /// Whether it had all of this memory once, or something in it was killed for it.
    pub(crate) fn was_full(&self, limit: u64) -> bool {
        let events = std::fs::read_to_string(self.at("").join("memory.events")).unwrap_or_default();
        let mut kills = events.lines().filter_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        kills.next().is_some_and(|kills: u64| kills > 0)
            || self.peak_memory().is_some_and(|peak| peak >= limit)
    }

    /// Lets the most memory be counted anew, where the kernel can (in a hierarchy of version 1).
    pub(crate) fn forget_peak(&self) {
        let _ = std::fs::write(self.at("memory").join("memory.max_usage_in_bytes"), "0");
    }

    /// Processes and threads in it.
    pub(crate) fn processes(&self) -> Option<u64> {
        number(&self.at("pids").join("pids.current")).or_else(|| number(&self.at("").join("pids.current")))
    }

    /// Takes the group away; the engine has removed its own below it.
    pub(crate) fn remove(&self) {
        let Ok(controllers) = std::fs::read_dir(ROOT) else { return };
        for controller in controllers.flatten() {
            // Removing a group that is not there, or not empty, changes nothing.
            let _ = std::fs::remove_dir(controller.path().join(OURS).join(&self.name));
        }
        let _ = std::fs::remove_dir(self.at(""));
    }

    /// Its folder in a hierarchy of version 1, or in that of version 2.
    fn at(&self, controller: &str) -> PathBuf {
        Path::new(ROOT).join(controller).join(OURS).join(&self.name)
    }
}

/// Lets all containers together have a quarter of what one thread of this process has, where both want more than there is:
/// a call that a module answers in a millisecond does not wait for what runs for minutes. Idle processors are theirs alone.
fn step_back() {
    // In a hierarchy of version 1, or in that of version 2. The engine makes these folders otherwise; without the right to
    // write there things are as they were.
    for (folder, file, share) in [("cpu", "cpu.shares", "256"), ("", "cpu.weight", "25")] {
        let group = Path::new(ROOT).join(folder).join(OURS);
        if Path::new(ROOT).join(folder).join("cgroup.procs").exists() {
            let _ = std::fs::create_dir(&group);
            let _ = std::fs::write(group.join(file), share);
        }
    }
}

fn number(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}
