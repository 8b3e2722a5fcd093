//! What an attempt holds at Batch and in the work bucket, and gives back however it ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wicket_core::chain;
use wicket_supervisor::{Claim, LARGEST};

use crate::aws::BatchError;
use crate::executor::Parts;
use crate::spec::Folder;
use crate::watch::State;

/// How long a job may take to end that was told to.
const END: Duration = Duration::from_secs(120);
/// How long a job that nobody knows may still be about to claim its attempt, after it has read what it is.
const ABOUT_TO_CLAIM: Duration = Duration::from_secs(180);
/// How often giving back is tried, and how long is waited in between.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// The list of an array job's children: removed when the last of them is done with.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) parts: Arc<Parts>,
    pub(crate) key: String,
}

impl Drop for Array {
    fn drop(&mut self) {
        let (parts, key) = (self.parts.clone(), std::mem::take(&mut self.key));
        self.parts.tasks.spawn(async move { remove(&parts, vec![key]).await });
    }
}

/// What is known of an attempt's job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// None was submitted.
    None,
    /// It was sent to this queue under this name, and what became of that is not known.
    Maybe { queue: String, name: String },
    /// It is this one.
    Known(String),
    /// It has ended.
    Ended,
}

/// An attempt's objects and its job. Dropping it ends the job and removes the objects, in a task.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) parts: Arc<Parts>,
    pub(crate) folder: Folder,
    pub(crate) job: Job,
    pub(crate) array: Option<Arc<Array>>,
}

impl Held {
    pub(crate) fn new(parts: &Arc<Parts>, folder: Folder) -> Self {
        Self { parts: parts.clone(), folder, job: Job::None, array: None }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (parts, folder) = (self.parts.clone(), self.folder.clone());
        let job = std::mem::replace(&mut self.job, Job::Ended);
        let array = self.array.take();
        self.parts.tasks.spawn(async move {
            give_back(&parts, &folder, job).await;
            drop(array);
        });
    }
}

async fn give_back(parts: &Parts, folder: &Folder, job: Job) {
    let known = match job {
        Job::None | Job::Ended => None,
        Job::Known(id) => Some(id),
        Job::Maybe { queue, name } => {
            let found = prevented(parts, folder, &queue, &name).await;
            if found.is_none() {
                // What it reads first goes; what keeps it from running stays for a while.
                clear(parts, folder, Some(&folder.claim())).await;
                tokio::time::sleep(ABOUT_TO_CLAIM).await;
            }
            found
        }
    };
    if let Some(id) = known {
        end(parts, &id).await;
    }
    clear(parts, folder, None).await;
}

/// Sees to it that a job which may be there runs nothing, and answers its id where it runs already.
async fn prevented(parts: &Parts, folder: &Folder, queue: &str, name: &str) -> Option<String> {
    match claim_for_host(parts, folder).await {
        Ok(None) => parts.aws.find(queue, name).await.ok().flatten(),
        Ok(Some(claim)) => claim.job,
        Err(error) => {
            tracing::warn!(name, error = chain(&error), "a batch job may run that nobody waits for");
            None
        }
    }
}

/// Claims an attempt for the host, so that no job ever runs it; the claim that was there before, if one.
pub(crate) async fn claim_for_host(parts: &Parts, folder: &Folder) -> Result<Option<Claim>, BatchError> {
    let own = Claim { job: None, nonce: String::new() };
    let text = serde_json::to_vec(&own).unwrap_or_default();
    if parts.work.put_once(&folder.claim(), Bytes::from(text)).await? {
        return Ok(None);
    }
    claim(parts, folder).await
}

/// Who has claimed an attempt.
pub(crate) async fn claim(parts: &Parts, folder: &Folder) -> Result<Option<Claim>, BatchError> {
    let Some(text) = parts.work.read(&folder.claim(), LARGEST).await? else { return Ok(None) };
    let claim = serde_json::from_slice(&text);
    claim.map(Some).map_err(|error| BatchError::Storage(format!("a claim cannot be read: {error}")))
}

/// Ends a job, and waits until it has.
async fn end(parts: &Parts, id: &str) {
    for _ in 0..TRIES {
        match parts.aws.terminate(id, "the host does not wait for it any more").await {
            Ok(()) => break,
            Err(error) => {
                tracing::debug!(id, error = chain(&error), "a batch job could not be ended yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    let mut following = parts.watch.follow(id);
    let ended = async {
        while !matches!(following.seen().await.state, State::Succeeded | State::Failed | State::Unknown) {}
    };
    if tokio::time::timeout(END, ended).await.is_err() {
        tracing::warn!(id, "a batch job that was told to end has not; Batch ends it at its time-out");
    }
}

async fn clear(parts: &Parts, folder: &Folder, but: Option<&str>) {
    // With the slash: another folder may begin with the same letters.
    match parts.work.keys(&format!("{}/", folder.0)).await {
        Ok(mut keys) => {
            keys.retain(|key| Some(key.as_str()) != but);
            // What makes a later process look for a job goes first.
            keys.sort_by_key(|key| *key != folder.manifest());
            remove(parts, keys).await;
        }
        Err(error) => {
            tracing::warn!(
                folder = folder.0,
                error = chain(&error),
                "objects of a batch job stay until the next start"
            );
        }
    }
}

/// Removes objects; what cannot be removed is told, and goes at the next start of the host.
pub(crate) async fn remove(parts: &Parts, keys: Vec<String>) {
    for tried in 1..=TRIES {
        match parts.work.remove(keys.clone()).await {
            Ok(()) => return,
            Err(error) if tried == TRIES => {
                tracing::warn!(error = chain(&error), "objects of a batch job stay until the next start");
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
