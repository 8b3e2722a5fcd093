//! What the kernel says of this container.

use std::fs;

/// The books of the container's control group: version 1, then version 2.
const CPU: [&str; 2] = ["/sys/fs/cgroup/cpuacct/cpuacct.usage", "/sys/fs/cgroup/cpu.stat"];
const MEMORY: [&str; 2] = ["/sys/fs/cgroup/memory/memory.max_usage_in_bytes", "/sys/fs/cgroup/memory.peak"];
const KILLS: [&str; 2] = ["/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events"];

/// CPU time that everything in the container has used, µs; where there are no books, that of the function's processes.
pub(crate) fn cpu_us() -> u64 {
    let nanoseconds = fs::read_to_string(CPU[0]).ok().and_then(|text| text.trim().parse::<u64>().ok());
    nanoseconds
        .map(|nanoseconds| nanoseconds / 1000)
        .or_else(|| value(&fs::read_to_string(CPU[1]).ok()?, "usage_usec "))
        .or_else(|| children_us(&fs::read_to_string("/proc/self/stat").ok()?))
        .unwrap_or(0)
}

/// CPU time of the children that have ended, from this process's line of figures.
fn children_us(stat: &str) -> Option<u64> {
    // The program's name stands in brackets and may have anything in it.
    let (_, figures) = stat.rsplit_once(')')?;
    let mut figures = figures.split_whitespace().skip(13).map(|figure| figure.parse::<u64>().ok());
    let ticks = figures.next()?? + figures.next()??;
    ticks.checked_mul(1_000_000)?.checked_div(rustix::param::clock_ticks_per_second())
}

/// Most memory at once in the container, bytes; 0 where there are no books.
pub(crate) fn peak_memory() -> u64 {
    let read = |file: &&str| fs::read_to_string(file).ok()?.trim().parse().ok();
    MEMORY.iter().find_map(read).unwrap_or(0)
}

/// How often the kernel killed something in the container for its memory.
pub(crate) fn oom_kills() -> u64 {
    KILLS.iter().find_map(|file| value(&fs::read_to_string(file).ok()?, "oom_kill ")).unwrap_or(0)
}

fn value(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_books_are_read_in_both_versions() {
        let kills = |text: &str| value(text, "oom_kill ");
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), Some(2));
        assert_eq!(kills("low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\noom_group_kill 0\n"), Some(1));
        assert_eq!(kills(""), None);
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 100 50 20 0 1 0 9";
        assert_eq!(children_us(stat), Some(150 * 1_000_000 / rustix::param::clock_ticks_per_second()));
    }
}
