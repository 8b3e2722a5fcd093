//! The folders that one attempt of a command works in, whatever runs it: the event and its objects go in as files, a
//! few variables say where they are, and every file left in the output folder is an output.
//!
//! This is the contract of OSCAR's supervisor. A command of WebAssembly gets it from preopened folders, a container
//! from a mount.
//!
//! Read in this order: [`Workspace`], `files` (objects into files, files into outputs), `environment` (the variables),
//! [`notification`] (an event as the bytes that a function reads), [`remove_tree`] (none of it stays).

mod environment;
mod files;
pub mod notification;
mod remove;
mod tally;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use wicket_core::{Attempt, Event, Failure, ObjectRef};

pub use environment::Places;
pub use files::{LOOK, disk_use, media_type};
pub use remove::{empty_tree, remove_tree};
pub use tally::Tally;

/// Counts what goes through a workspace, and says when it is too much.
pub trait Account: Send + Sync {
    /// Bytes came in.
    fn read(&self, bytes: u64);
    /// Bytes are put out; too many fail.
    fn wrote(&self, bytes: u64) -> Result<(), Failure>;
    /// The failure of an output that is over the service's limit.
    fn output_limit(&self) -> Failure;
    /// The same, when so many bytes were found before they were put out.
    fn flooded(&self, bytes: u64) -> Failure {
        let _over_the_limit = self.wrote(bytes);
        self.output_limit()
    }
}

/// The folders of one attempt.
#[derive(Debug)]
pub struct Workspace {
    /// Files of the event's objects, or the posted body.
    pub input: PathBuf,
    /// What is left in here is the output.
    pub output: PathBuf,
    /// Has one file, `event`: what a command reads from its standard input.
    pub event: PathBuf,
    /// The same, where it is not a large body that somebody posted.
    pub bytes: Option<Bytes>,
    /// Names of the files in `input`.
    pub names: Vec<String>,
}

impl Workspace {
    /// Makes the folders below `root`, which is empty but perhaps for an empty output folder, and fetches what the event is about.
    pub async fn make(attempt: &Attempt, root: &Path, account: &dyn Account) -> Result<Self, Failure> {
        let bytes = bytes_of(&attempt.invocation.event);
        let [input, output, event] = ["input", "output", "event"].map(|name| root.join(name));
        // In one step: a change of threads takes longer than any of it.
        let (all, body) = ([&input, &output, &event].map(Clone::clone), bytes.clone());
        let made = blocking(move || {
            all.iter().try_for_each(std::fs::create_dir_all)?;
            body.map_or(Ok(()), |body| std::fs::write(all[2].join("event"), body))
        });
        made.await.map_err(host("make the folders of the attempt"))?;
        let names = files::download(attempt, &input, account).await?;
        if let (None, [name]) = (&bytes, names.as_slice()) {
            let linked = tokio::fs::hard_link(input.join(name), event.join("event")).await;
            linked.map_err(host("make the event's file"))?;
        }
        Ok(Self { input, output, event, bytes, names })
    }

    /// The folders that an earlier process made below `root` for this event.
    pub async fn found(event: &Event, root: &Path) -> Result<Self, Failure> {
        let bytes = bytes_of(event);
        let [input, output, event] = ["input", "output", "event"].map(|name| root.join(name));
        let listed = input.clone();
        let names = blocking(move || {
            let names =
                std::fs::read_dir(listed)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            names.collect::<io::Result<Vec<_>>>()
        });
        let names = names.await.map_err(host("find the folders of the attempt"))?;
        Ok(Self { input, output, event, bytes, names })
    }

    /// Stages every regular file of the output folder under its relative name. Links are not followed, and not staged.
    pub async fn stage(&self, attempt: &Attempt, account: &dyn Account) -> Result<(), Failure> {
        files::stage(attempt, &self.output, account).await
    }

    /// Resolves, with how much that is, when the command has written more than the service may put out, into its output
    /// folder or beside its input. What it holds open of files that it has removed is seen only where this process has opened them.
    pub async fn flooded(&self, limit: u64) -> u64 {
        // A failed look is made again.
        let look = async |folder: &Path| {
            let folder = folder.to_owned();
            tokio::task::spawn_blocking(move || disk_use(&folder)).await.unwrap_or(0)
        };
        let given = look(&self.input).await;
        loop {
            tokio::time::sleep(LOOK).await;
            let beside = look(&self.input).await.saturating_sub(given);
            let used = look(&self.output).await.saturating_add(beside);
            // A file of one byte takes a block, so small limits are judged at the end, by the files' own sizes.
            if used > limit.saturating_add(1 << 20) {
                return used;
            }
        }
    }
}

/// The event as a command reads it; none where that is a file of its own.
fn bytes_of(event: &Event) -> Option<Bytes> {
    let posted = event.object().is_some_and(ObjectRef::is_posted);
    (!posted).then(|| notification::body(event))
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn host(what: &str) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::Host { message: format!("cannot {what}: {error}") }
}
