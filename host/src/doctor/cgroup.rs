//! What the control group of this process may use.

use std::path::{Path, PathBuf};

use wicket_config::ByteSize;

use super::{Finding, Verdict};

/// A host with some services and their instances.
const WANTED_MEMORY: u64 = 512 << 20;

/// Memory: the machine's, or what the control group leaves of it.
pub(super) fn memory() -> Finding {
    let machine = meminfo("MemTotal:").unwrap_or(0);
    let limits = groups().into_iter().filter_map(|group| number(&group.join("memory.max")));
    let limit = limits.min().filter(|limit| *limit < machine);
    let memory = limit.unwrap_or(machine);
    let found = match limit {
        Some(limit) => format!("{} MiB (cgroup), {} MiB in the machine", limit >> 20, machine >> 20),
        None => format!("{} MiB", machine >> 20),
    };
    if memory >= WANTED_MEMORY {
        return Finding::good("memory", found);
    }
    let means = "few functions fit at once, and compiling a large module may not: lower `wasm.max_instances`";
    Finding::new("memory", Verdict::Slower, found, means)
}

/// Memory of the machine; without end where it does not say.
pub(crate) fn machine_memory() -> ByteSize {
    ByteSize(meminfo("MemTotal:").unwrap_or(u64::MAX))
}

/// CPUs: the machine's, or the quota of the control group.
pub(super) fn cpus() -> Finding {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let quotas = groups().into_iter().filter_map(|group| {
        let text = std::fs::read_to_string(group.join("cpu.max")).ok()?;
        quota(&text)
    });
    match quotas.min().filter(|thousandths| *thousandths < cpus as u64 * 1000) {
        None => Finding::good("CPUs", cpus.to_string()),
        Some(quota) => {
            let found = format!("{}.{:03} (cgroup), {cpus} in the machine", quota / 1000, quota % 1000);
            Finding::new(
                "CPUs",
                Verdict::Slower,
                found,
                "above its quota the host stands still: pauses of up to 100 ms",
            )
        }
    }
}

/// Thousandths of a CPU from the text of `cpu.max`.
fn quota(text: &str) -> Option<u64> {
    let (quota, period) = text.trim().split_once(' ')?;
    quota.parse::<u64>().ok()?.checked_mul(1000)?.checked_div(period.parse().ok()?)
}

/// The folders of this process's control group and those around it (version 2).
fn groups() -> Vec<PathBuf> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let top = Path::new("/sys/fs/cgroup");
    Path::new(own).ancestors().map(|group| top.join(group)).collect()
}

fn number(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn meminfo(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().split(' ').next()?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_read_in_thousandths() {
        assert_eq!(quota("150000 100000\n"), Some(1500));
        assert_eq!(quota("max 100000"), None);
        assert_eq!(quota("1 0"), None);
        assert_eq!(quota(""), None);
    }
}
