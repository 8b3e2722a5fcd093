//! What the host and the program beside a function in a batch job tell each other, as JSON in objects of the work bucket.
//!
//! Read in this order: [`Told`] (what `WICKET_JOB` leads to), [`Manifest`] (one attempt), [`Claim`] (who runs it),
//! [`Outcome`] (how it went). The program itself is in `main.rs`; it is there with the feature `program`.

use serde::{Deserialize, Serialize};

/// The variable with the URL of a [`Told`].
pub const JOB: &str = "WICKET_JOB";
/// The exit status of a job that found its attempt claimed by another: it ran nothing.
pub const CLAIMED: u8 = 75;
/// The exit status of a job that could not do its part; its [`Outcome`] or its log says why.
pub const BROKEN: u8 = 74;
/// Stands before a line of standard error: the log that comes out of a job has one stream.
pub const STDERR: u8 = 1;
/// Stands before a line that the program says itself.
pub const OWN: u8 = 2;
/// Stands at the end of a line that the function has not ended there: it was long, or its last one.
pub const GOES_ON: u8 = 3;
/// The last line of a job, after [`OWN`].
pub const LAST: &str = "end";
/// Largest object that is read as JSON, in bytes: a thousand URLs and a large environment fit.
pub const LARGEST: u64 = 16 << 20;
/// Files that a function may put out.
pub const MOST_FILES: usize = 10_000;
/// What a file takes in the archive of the outputs beside its bytes, at most: header, long name, padding.
pub const PER_FILE: u64 = 4096;

/// What a job reads first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// The attempt that it is.
    One(Box<Manifest>),
    /// An array job: where each of its children reads, by its index.
    Many(Vec<String>),
}

/// All that a job is told of one attempt. Each URL is signed for one method on one object, and for a time.
#[derive(Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// The job's name at Batch: by it, whoever comes later finds the job.
    pub job_name: String,
    /// The attempt's number.
    pub attempt: u32,
    /// The service's version.
    pub version: u32,
    /// The job definition that it is submitted with.
    pub definition: String,
    /// The queue that it is submitted to.
    pub queue: String,
    /// Where it stands in an array job, and the key of the object that says so to its children.
    pub array: Option<(u32, String)>,
    /// Where the folders are made.
    pub root: String,
    /// Files to fetch before anything runs.
    pub files: Vec<File>,
    /// Variables of the function, beside those of the image.
    pub environment: Vec<(String, String)>,
    /// What runs.
    pub run: Run,
    /// User and group that it runs as; none: as the job does.
    pub user: Option<(u32, u32)>,
    /// How long it may run, and how long it has from SIGTERM to SIGKILL; ms.
    pub timeout_ms: u64,
    /// See there.
    pub grace_ms: u64,
    /// Bytes that it may put out as files.
    pub most_output: u64,
    /// Bytes that it may say on standard output.
    pub most_stdout: u64,
    /// Bytes that it may say on both streams before it is stopped.
    pub most_log: u64,
    /// The claim: a PUT that is signed with `if-none-match: *`, and a GET.
    pub claim: Place,
    /// Takes what it said on standard output.
    pub stdout: String,
    /// Take the archive of its outputs, a part each.
    pub parts: Vec<String>,
    /// Bytes of a part; the last one is shorter.
    pub part_size: u64,
    /// Takes the [`Outcome`].
    pub outcome: String,
}

/// An object that is written and read.
#[derive(Clone, Serialize, Deserialize)]
pub struct Place {
    /// The URL of a PUT.
    pub put: String,
    /// The URL of a GET.
    pub get: String,
}

impl std::fmt::Debug for Manifest {
    /// Without URLs and variables: they are keys to the bucket, and secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manifest")
            .field("job_name", &self.job_name)
            .field("attempt", &self.attempt)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place(…)")
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A file that is fetched.
#[derive(Clone, Serialize, Deserialize)]
pub struct File {
    /// Below the root, of plain parts.
    pub path: String,
    /// The URL of a GET.
    pub url: String,
}

/// What runs, with the event as its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// The file `script`, by `/bin/sh` or by what its first line names, with these arguments.
    Script {
        /// Whether its first line names what runs it.
        shebang: bool,
        /// Arguments.
        args: Vec<String>,
    },
    /// A command of the image.
    Command(Vec<String>),
}

/// Who runs an attempt: written once, before anything runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The job at Batch; none: the host itself, so that no job ever runs it.
    pub job: Option<String>,
    /// Tells two writers of one job id apart.
    pub nonce: String,
}

/// How a job went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How the function ended.
    pub ended: Ended,
    /// Whether the kernel killed something in the container for its memory.
    pub out_of_memory: bool,
    /// From the beginning of the job until the function ran, µs.
    pub startup_us: u64,
    /// How long it ran, µs.
    pub wall_us: u64,
    /// CPU time of it and its children, µs.
    pub cpu_us: u64,
    /// Most memory at once, bytes.
    pub peak_memory: u64,
    /// Parts of the archive that were sent.
    pub parts: usize,
}

/// How the function ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// With an exit status.
    Exit(i32),
    /// By a signal that somebody sent.
    Signal(i32),
    /// It ran too long.
    TimedOut,
    /// Batch told the job to end.
    Terminated,
    /// It put out too many bytes.
    Output,
    /// It said too much on standard output to be kept as the answer.
    Reply,
    /// It logged too much.
    Log,
    /// What it left in its output folder cannot be put out.
    Refused(String),
    /// It could not be started: the image lacks what should run.
    NotStarted(String),
    /// The job could not do its part: fetch, write or send.
    Broken(String),
}

/// Which of an array's children this job is: by its variables.
pub fn index(array_index: Option<&str>, job_id: Option<&str>) -> Option<usize> {
    let of_id = || job_id.and_then(|id| id.rsplit_once(':')).map(|(_, index)| index);
    array_index.or_else(of_id)?.parse().ok()
}

/// Whether a path is relative and of plain parts.
pub fn is_plain(path: &str) -> bool {
    path.len() <= 1024 && path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_of_an_array_knows_itself_by_its_variables() {
        assert_eq!(index(Some("7"), Some("abc:3")), Some(7));
        assert_eq!(index(None, Some("abc:3")), Some(3));
        assert_eq!(index(None, Some("abc")), None);
        assert_eq!(index(Some("x"), Some("abc:3")), None);
    }

    #[test]
    fn paths_that_lead_elsewhere_are_not_plain() {
        for plain in ["a", "a/b", "..a", "a b/ä"] {
            assert!(is_plain(plain), "{plain}");
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\0"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
