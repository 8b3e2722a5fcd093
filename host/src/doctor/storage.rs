//! The disk under the data folder.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Finding, Verdict};

/// With less, a host soon refuses uploads.
const WANTED_SPACE: u64 = 1 << 30;
/// Writes that are timed.
const TRIES: usize = 16;
/// A disk of a slow kind; much above, it is no disk for this.
const SLOW: Duration = Duration::from_millis(10);

/// Room, and how long a durable write takes.
pub(super) fn data(folder: Option<&Path>) -> Vec<Finding> {
    let check = "data folder";
    let Some(folder) = folder else {
        return vec![Finding::new(check, Verdict::Missing, "no home", "name one with --data")];
    };
    // It need not exist yet: what counts is where it will be.
    let Some(there) = folder.ancestors().map(or_here).find(|folder| folder.exists()) else {
        return vec![Finding::new(check, Verdict::Impossible, folder.display().to_string(), "it is nowhere")];
    };
    if !there.is_dir() {
        let found = format!("{} is a file", there.display());
        return vec![Finding::new(check, Verdict::Impossible, found, "choose a folder with --data")];
    }
    let timed = fsync(there);
    let written = match &timed {
        Ok(_) => Finding::good(check, folder.display().to_string()),
        Err(error) => {
            let means = "choose a folder that can be written with --data";
            Finding::new(check, Verdict::Impossible, format!("{}: {error}", there.display()), means)
        }
    };
    let mut findings = vec![written];
    findings.extend(
        rustix::fs::statvfs(there).ok().map(|disk| space(disk.f_bavail.saturating_mul(disk.f_frsize))),
    );
    findings.extend(timed.ok().map(latency));
    findings
}

/// A relative path's last ancestor is empty, and means here.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

fn space(free: u64) -> Finding {
    let found = format!("{} free", indicatif::DecimalBytes(free));
    if free >= WANTED_SPACE {
        return Finding::good("disk", found);
    }
    Finding::new("disk", Verdict::Slower, found, "uploads and events are refused when it is full")
}

/// The median time of a small durable write.
fn fsync(folder: &Path) -> std::io::Result<Duration> {
    let mut file = tempfile::Builder::new().prefix(".wicket-doctor-").tempfile_in(folder)?;
    let mut times = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        let begun = Instant::now();
        file.write_all(&[0; 4096])?;
        file.as_file().sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times[TRIES / 2])
}

fn latency(median: Duration) -> Finding {
    let micros = u64::try_from(median.as_micros()).unwrap_or(u64::MAX).max(1);
    let found = format!("{micros} µs per fsync, {} commits a second", 1_000_000 / micros);
    if median <= SLOW {
        return Finding::good("fsync", found);
    }
    let means = "each acknowledged upload or event waits so long; many at once share a wait";
    Finding::new("fsync", Verdict::Slower, found, means)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_is_looked_at_where_it_will_be() {
        let folder = tempfile::tempdir().unwrap();
        let findings = data(Some(&folder.path().join("a/b/c")));
        assert_eq!(findings[0].verdict, Verdict::Good);
        assert!(findings.iter().any(|finding| finding.check == "fsync"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
        assert_eq!(data(Some(Path::new("no-such-folder")))[0].verdict, Verdict::Good);
        assert_eq!(data(None)[0].verdict, Verdict::Missing);
        assert_eq!(data(Some(Path::new("/proc/wicket")))[0].verdict, Verdict::Impossible);
    }
}
