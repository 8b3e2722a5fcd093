//! From manifests to jobs. Attempts of one definition that begin together become one array job.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_batch::types::{ArrayProperties, ContainerOverrides, KeyValuePair};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::oneshot;
use wicket_supervisor::{JOB, Manifest, Told};

use crate::aws::BatchError;
use crate::definition::plain;
use crate::executor::Parts;
use crate::held::{Array, Held, Job};

/// How long attempts wait for others to go with.
const TOGETHER: Duration = Duration::from_millis(100);
/// Objects that are sent at once.
const AT_ONCE: usize = 8;
/// Longest name of a job.
const LONGEST_NAME: usize = 128;

/// An attempt that is ready to be submitted.
pub(crate) struct Ready {
    pub(crate) held: Held,
    pub(crate) manifest: Manifest,
    /// Of the service, the host, the invocation and the attempt: the job's name when it goes alone.
    pub(crate) name: String,
    /// The name of an array job that it may be in.
    pub(crate) array_name: String,
    /// How long its links are good.
    pub(crate) good_for: Duration,
    reply: oneshot::Sender<Result<Held, BatchError>>,
}

type Groups = HashMap<(String, String), Vec<Ready>>;

/// Attempts that wait a moment for others.
#[derive(Default)]
pub(crate) struct Submit(Mutex<Groups>);

impl std::fmt::Debug for Submit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Submit(…)")
    }
}

/// Submits an attempt, alone or with others; its hold knows the job then.
pub(crate) async fn submit(
    parts: &Arc<Parts>,
    held: Held,
    manifest: Manifest,
    (name, array_name): (String, String),
    good_for: Duration,
) -> Result<Held, BatchError> {
    let (reply, answer) = oneshot::channel();
    let key = (manifest.definition.clone(), manifest.queue.clone());
    let ready = Ready { held, manifest, name: named(&name), array_name: named(&array_name), good_for, reply };
    if parts.config.max_array <= 1 {
        // Tasks of their own: what was sent is known to somebody, also when the attempt is given up meanwhile.
        let parts = parts.clone();
        parts.tasks.clone().spawn(async move { all(&parts, vec![ready]).await });
    } else {
        let mut groups = parts.submit.0.lock().unwrap_or_else(PoisonError::into_inner);
        let group = groups.entry(key.clone()).or_default();
        group.push(ready);
        if group.len() == 1 {
            let parts = parts.clone();
            parts.tasks.clone().spawn(async move {
                tokio::time::sleep(TOGETHER).await;
                let mut group = parts.submit.take(&key);
                while !group.is_empty() {
                    let rest = group.split_off(group.len().min(parts.config.max_array));
                    all(&parts, std::mem::replace(&mut group, rest)).await;
                }
            });
        }
    }
    answer.await.unwrap_or_else(|_| Err(BatchError::Lacks("the job was not submitted".to_owned())))
}

impl Submit {
    fn take(&self, key: &(String, String)) -> Vec<Ready> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key).unwrap_or_default()
    }
}

/// Submits these as one job, and answers each.
async fn all(parts: &Arc<Parts>, mut group: Vec<Ready>) {
    let submitted = one_job(parts, &mut group).await;
    let is_array = group.len() > 1;
    for (idx, mut ready) in group.into_iter().enumerate() {
        let answer = match &submitted {
            Ok(id) => {
                ready.held.job = Job::Known(if is_array { format!("{id}:{idx}") } else { id.clone() });
                Ok(ready.held)
            }
            Err(error) => Err(error.clone()),
        };
        // Nobody waits for it any more: dropped, it is ended.
        drop(ready.reply.send(answer));
    }
}

async fn one_job(parts: &Arc<Parts>, group: &mut [Ready]) -> Result<String, BatchError> {
    let Some(first) = group.first() else { return Err(BatchError::Lacks("nothing to submit".to_owned())) };
    let (definition, queue) = (first.manifest.definition.clone(), first.manifest.queue.clone());
    let (name, good_for) = match group {
        [one] => (one.name.clone(), one.good_for),
        _ => (first.array_name.clone(), first.good_for),
    };
    let array = (group.len() > 1).then(|| {
        let key = format!("{}/array/{name}", parts.home());
        Arc::new(Array { parts: parts.clone(), key })
    });
    for (idx, ready) in group.iter_mut().enumerate() {
        ready.manifest.job_name = name.clone();
        let index = u32::try_from(idx).unwrap_or(u32::MAX);
        ready.manifest.array = array.as_ref().map(|array| (index, array.key.clone()));
        ready.held.array = array.clone();
    }
    let manifests = group.iter().map(|ready| {
        (ready.held.folder.manifest(), Told::One(Box::new(ready.manifest.clone())), ready.good_for)
    });
    let urls: Vec<String> = stream::iter(manifests.collect::<Vec<_>>())
        .map(|(key, told, good_for)| put(parts, key, told, good_for))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let url = match &array {
        Some(array) => put(parts, array.key.clone(), Told::Many(urls), good_for).await?,
        None => urls.into_iter().next().unwrap_or_default(),
    };
    // From here on a job may be there, whatever the answer is.
    for ready in group.iter_mut() {
        ready.held.job = Job::Maybe { queue: queue.clone(), name: name.clone() };
    }
    let size = i32::try_from(group.len()).unwrap_or(i32::MAX);
    let variable = KeyValuePair::builder().name(JOB).value(url).build();
    let submitted = parts
        .aws
        .batch
        .submit_job()
        .job_name(&name)
        .job_definition(&definition)
        .job_queue(&queue)
        .container_overrides(ContainerOverrides::builder().environment(variable).build())
        .set_array_properties((size > 1).then(|| ArrayProperties::builder().size(size).build()))
        .send()
        .await;
    match submitted {
        Ok(answer) => answer.job_id.ok_or_else(|| BatchError::Lacks("AWS Batch named no job".to_owned())),
        Err(error) => {
            let error = parts.aws.failed("take a job", &error);
            if matches!(error, BatchError::Refused { .. }) {
                // It may be the definition that is gone. And there is no job.
                parts.definitions.forget().await;
                for ready in group.iter_mut() {
                    ready.held.job = Job::None;
                }
            }
            Err(error)
        }
    }
}

/// Stores what a job reads, and signs where.
async fn put(parts: &Parts, key: String, told: Told, good_for: Duration) -> Result<String, BatchError> {
    let text = serde_json::to_vec(&told).map_err(|error| BatchError::Lacks(error.to_string()))?;
    parts.work.put(&key, Bytes::from(text)).await?;
    Ok(parts.work.signed_get(&key, good_for).await?)
}

fn named(name: &str) -> String {
    let mut name = plain(name);
    name.truncate(LONGEST_NAME);
    name
}
