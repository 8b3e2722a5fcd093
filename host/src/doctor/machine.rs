//! The kernel, and the limits of a process.

use rustix::process::{Resource, getrlimit};

use super::{Finding, Verdict};

/// Address space of the largest pool, and of all else: 1,250 slots of 4 GiB.
const WANTED_SPACE: u64 = 6 << 40;
/// Open files of a host with its default of connections, their guests and its objects.
const WANTED_FILES: u64 = 8192;

/// The kernel's version.
pub(super) fn kernel() -> Finding {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let found = format!("Linux {release}, {}", name.machine().to_string_lossy());
    match version(&release) {
        Some((6.., 7..) | (7.., _)) => Finding::good("kernel", found),
        Some((5, 4..) | (6.., _)) => {
            Finding::new("kernel", Verdict::Slower, found, "instances are wiped faster from Linux 6.7 on")
        }
        _ => Finding::new("kernel", Verdict::Slower, found, "nothing was tried on kernels before 5.4"),
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// `ulimit -v`.
pub(super) fn address_space() -> Finding {
    let check = "address space";
    match getrlimit(Resource::As).current {
        None => Finding::good(check, "no limit"),
        Some(limit) if limit >= WANTED_SPACE => Finding::good(check, format!("{} GiB", limit >> 30)),
        Some(limit) => Finding::new(
            check,
            Verdict::Slower,
            format!("{} GiB (ulimit -v)", limit >> 30),
            "the pool of instances is smaller or off: set no limit (LimitAS=infinity)",
        ),
    }
}

/// How the kernel promises memory.
pub(super) fn overcommit() -> Finding {
    let check = "overcommit";
    let mode = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    match mode.trim() {
        "2" => Finding::new(
            check,
            Verdict::Slower,
            "strict (vm.overcommit_memory=2)",
            "memory for guests is counted when it is promised: fewer run at once",
        ),
        "0" => Finding::good(check, "heuristic"),
        "1" => Finding::good(check, "always"),
        _ => Finding::good(check, "unknown"),
    }
}

/// `ulimit -n`.
pub(super) fn open_files() -> Finding {
    let limit = getrlimit(Resource::Nofile);
    let (now, most) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let shown = |n: u64| if n == u64::MAX { "no limit".to_owned() } else { n.to_string() };
    let found = format!("{} (at most {})", shown(now), shown(most));
    if now >= WANTED_FILES {
        return Finding::good("open files", found);
    }
    let means = format!("fewer connections at once: raise it to {WANTED_FILES} (ulimit -n, LimitNOFILE)");
    Finding::new("open files", Verdict::Slower, found, means)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_whatever_follows() {
        assert_eq!(version("6.7.0-1-amd64"), Some((6, 7)));
        assert_eq!(version("5.10-rc1"), Some((5, 10)));
        assert_eq!(version("unknown"), None);
    }
}
