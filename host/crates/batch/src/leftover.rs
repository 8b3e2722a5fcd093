//! Attempts that an earlier process of this host left in the work bucket.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use wicket_core::InvocationId;
use wicket_supervisor::{LARGEST, Manifest, Told};

use crate::aws::BatchError;
use crate::executor::Parts;
use crate::held::{Array, Held, Job, remove};
use crate::spec::{Folder, MANIFEST};

/// Manifests that are read at once.
const AT_ONCE: usize = 8;

/// One of them. Dropping it ends its job and removes its objects.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) held: Held,
    pub(crate) manifest: Manifest,
}

/// All of them; what is of no use to anybody is removed in a task.
pub(crate) async fn find(parts: &Arc<Parts>) -> Result<HashMap<InvocationId, Leftover>, BatchError> {
    let home = parts.home();
    let mut folders: HashMap<String, Vec<String>> = HashMap::new();
    let mut arrays = Vec::new();
    for key in parts.work.keys(&format!("{home}/")).await? {
        let mut words = key[home.len() + 1..].splitn(3, '/');
        match (words.next(), words.next(), words.next()) {
            (Some("array"), Some(_), None) => arrays.push(key),
            (Some(invocation), Some(attempt), Some(_)) => {
                folders.entry(format!("{home}/{invocation}/{attempt}")).or_default().push(key);
            }
            // Not one of ours.
            _ => {}
        }
    }
    let (begun, unbegun): (Vec<_>, Vec<_>) =
        folders.into_iter().partition(|(folder, keys)| keys.contains(&format!("{folder}/{MANIFEST}")));
    let found: Vec<(Folder, Option<Manifest>)> =
        stream::iter(begun.into_iter().map(|(folder, _)| Folder(folder)))
            .map(|folder| async move {
                let manifest = read(parts, &folder).await?;
                Ok::<_, BatchError>((folder, manifest))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
    let mut lists: HashMap<String, Weak<Array>> = HashMap::new();
    let mut known: HashMap<InvocationId, Leftover> = HashMap::new();
    for (folder, manifest) in found {
        let mut held = Held::new(parts, folder);
        // One that cannot be read is as one that is nobody's: dropped.
        let Some(manifest) = manifest else { continue };
        held.job = Job::Maybe { queue: manifest.queue.clone(), name: manifest.job_name.clone() };
        held.array = manifest.array.as_ref().map(|(_, key)| list(parts, &mut lists, key));
        let id = held.folder.0.rsplit('/').nth(1).and_then(|id| id.parse::<InvocationId>().ok());
        let leftover = Leftover { held, manifest };
        // Of several of one invocation, only the last attempt's is of use.
        match id {
            Some(id) if known.get(&id).is_none_or(|one| one.manifest.attempt < leftover.manifest.attempt) => {
                drop(known.insert(id, leftover));
            }
            Some(_) | None => drop(leftover),
        }
    }
    arrays.retain(|key| !lists.contains_key(key));
    let useless: Vec<String> = unbegun.into_iter().flat_map(|(_, keys)| keys).chain(arrays).collect();
    let removing = parts.clone();
    parts.tasks.spawn(async move { remove(&removing, useless).await });
    if !known.is_empty() {
        tracing::info!(jobs = known.len(), "found batch jobs of an earlier process of this host");
    }
    Ok(known)
}

async fn read(parts: &Parts, folder: &Folder) -> Result<Option<Manifest>, BatchError> {
    let text = parts.work.read(&folder.manifest(), LARGEST).await?;
    let told = text.and_then(|text| serde_json::from_slice(&text).ok());
    Ok(match told {
        Some(Told::One(manifest)) => Some(*manifest),
        Some(Told::Many(_)) | None => None,
    })
}

fn list(parts: &Arc<Parts>, lists: &mut HashMap<String, Weak<Array>>, key: &str) -> Arc<Array> {
    if let Some(array) = lists.get(key).and_then(Weak::upgrade) {
        return array;
    }
    let array = Arc::new(Array { parts: parts.clone(), key: key.to_owned() });
    lists.insert(key.to_owned(), Arc::downgrade(&array));
    array
}
