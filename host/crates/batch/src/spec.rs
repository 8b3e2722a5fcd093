//! What a job is told of an attempt, and where its objects are.

use std::time::Duration;

use wicket_buckets::{LONGEST_SIGNED, WorkBucket};
use wicket_config::{Batch, User};
use wicket_core::{Attempt, Failure};
use wicket_supervisor::{File, MOST_FILES, Manifest, PER_FILE, Place, Run};
use wicket_workspace::{Places, Workspace};

use crate::aws::BatchError;
use crate::config::BatchConfig;

/// What a function may answer with; more belongs into an output file.
pub(crate) const LARGEST_REPLY: u64 = 8 << 20;
/// So many times its limit may be said to a log before the function is stopped.
const FLOOD: u64 = 16;
/// The smallest part of the outputs' archive, and about how many parts there are at most.
const SMALLEST_PART: u64 = 64 << 20;
const MOST_PARTS: u64 = 1000;
/// Who has no rights in any image.
const NOBODY: (u32, u32) = (65_534, 65_534);
/// Time for files to come and go, beside what the service says.
const BESIDE: Duration = Duration::from_secs(3600);

/// Where the function finds its folders. The supervisor makes the first one as root; as somebody else it cannot.
const PLACES: (&str, Places) =
    ("/wicket", Places { input: "/wicket/input", output: "/wicket/output", event: "/wicket/event/event" });
const PLACES_OF_IMAGE: (&str, Places) = (
    "/tmp/wicket",
    Places { input: "/tmp/wicket/input", output: "/tmp/wicket/output", event: "/tmp/wicket/event/event" },
);

/// Keys of an attempt's objects, below its folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder(pub(crate) String);

impl Folder {
    pub(crate) fn manifest(&self) -> String {
        format!("{}/{MANIFEST}", self.0)
    }
    pub(crate) fn claim(&self) -> String {
        format!("{}/claim", self.0)
    }
    pub(crate) fn outcome(&self) -> String {
        format!("{}/outcome", self.0)
    }
    pub(crate) fn stdout(&self) -> String {
        format!("{}/stdout", self.0)
    }
    pub(crate) fn part(&self, idx: usize) -> String {
        format!("{}/output/{idx}", self.0)
    }
    /// The files that go in are numbered: their names are in the manifest.
    pub(crate) fn file(&self, idx: usize) -> String {
        format!("{}/file/{idx}", self.0)
    }
}

/// The last part of a manifest's key.
pub(crate) const MANIFEST: &str = "manifest";

/// How long what an attempt is given must be good: it may wait, then run, then send.
pub(crate) fn good_for(config: &BatchConfig, batch: &Batch) -> Duration {
    batch.wait.0.saturating_add(batch.timeout.0).saturating_add(config.grace).saturating_add(BESIDE)
}

/// Whether a service can run as a job at all.
pub(crate) fn check(config: &BatchConfig, service: &wicket_config::Service) -> Result<(), BatchError> {
    let lacks = |text: String| Err(BatchError::Lacks(text));
    let Some(batch) = &service.batch else { return Ok(()) };
    if batch.script.is_none() && service.args.is_empty() {
        return lacks(
            "it has neither a script nor `args`: a job does not know its image's own command".to_owned(),
        );
    }
    if batch.queue.is_none() && config.queue.is_none() {
        return lacks(
            "it names no queue, and this host has none for such services (`queue` of [batch])".to_owned(),
        );
    }
    let (time, most) = (good_for(config, batch), LONGEST_SIGNED);
    if time > most {
        return lacks(format!(
            "it may wait {} and run {}, and a job's links to its files are good for 7 days in all",
            batch.wait, batch.timeout
        ));
    }
    Ok(())
}

/// Where the parts of an attempt that is begun are.
pub(crate) struct Told<'a> {
    pub(crate) config: &'a BatchConfig,
    pub(crate) work: &'a WorkBucket,
    pub(crate) attempt: &'a Attempt,
    pub(crate) batch: &'a Batch,
    pub(crate) folder: &'a Folder,
    pub(crate) workspace: &'a Workspace,
}

impl Told<'_> {
    /// Sends the files of the attempt, and says where they are.
    pub(crate) async fn files(&self) -> Result<Vec<File>, BatchError> {
        let mut paths = vec!["event/event".to_owned()];
        paths.extend(self.workspace.names.iter().map(|name| format!("input/{name}")));
        let root = &self.attempt.scratch;
        if let Some(script) = &self.batch.script {
            let written = tokio::fs::write(root.join("script"), script).await;
            written.map_err(|error| BatchError::Lacks(format!("the script cannot be written: {error}")))?;
            paths.push("script".to_owned());
        }
        let time = good_for(self.config, self.batch);
        let mut files = Vec::with_capacity(paths.len());
        for (idx, path) in paths.into_iter().enumerate() {
            let key = self.folder.file(idx);
            self.work.put_file(&key, &root.join(&path)).await?;
            files.push(File { url: self.work.signed_get(&key, time).await?, path });
        }
        Ok(files)
    }

    /// All of the manifest but what is known when the job is submitted.
    pub(crate) async fn manifest(&self, files: Vec<File>, definition: &str) -> Result<Manifest, BatchError> {
        let (service, time) = (&self.attempt.deployment.service, good_for(self.config, self.batch));
        let most_output = service.limits.output.0;
        let archive = most_output.saturating_add(MOST_FILES as u64 * PER_FILE).saturating_add(1024);
        let part_size = SMALLEST_PART.max(archive.div_ceil(MOST_PARTS));
        let n_parts = usize::try_from(archive.div_ceil(part_size)).unwrap_or(usize::MAX);
        let mut parts = Vec::with_capacity(n_parts);
        for idx in 0..n_parts {
            parts.push(self.work.signed_put(&self.folder.part(idx), time, false).await?);
        }
        let claim = Place {
            put: self.work.signed_put(&self.folder.claim(), time, true).await?,
            get: self.work.signed_get(&self.folder.claim(), time).await?,
        };
        let (root, places) = self.places();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Ok(Manifest {
            job_name: String::new(),
            array: None,
            attempt: self.attempt.number,
            version: self.attempt.deployment.version,
            definition: definition.to_owned(),
            queue: queue(self.config, self.batch)?,
            root: root.to_owned(),
            files,
            environment: self.environment(places),
            run: match &self.batch.script {
                Some(script) => Run::Script { shebang: script.starts_with("#!"), args: service.args.clone() },
                None => Run::Command(service.args.clone()),
            },
            user: match &self.batch.user {
                User::Unprivileged => Some(NOBODY),
                User::Image => None,
                User::Ids(user, group) => Some((*user, *group)),
            },
            timeout_ms: millis(self.batch.timeout.0),
            grace_ms: millis(self.config.grace),
            most_output,
            most_stdout: LARGEST_REPLY.min(most_output),
            most_log: service.limits.log.0.saturating_mul(FLOOD).max(LARGEST_REPLY),
            claim,
            stdout: self.work.signed_put(&self.folder.stdout(), time, false).await?,
            parts,
            part_size,
            outcome: self.work.signed_put(&self.folder.outcome(), time, false).await?,
        })
    }

    fn places(&self) -> (&'static str, Places) {
        if self.batch.user == User::Image { PLACES_OF_IMAGE } else { PLACES }
    }

    /// What the function finds in its environment; what the service says goes before what the contract says.
    fn environment(&self, places: Places) -> Vec<(String, String)> {
        let deployment = &self.attempt.deployment;
        let service = &deployment.service;
        let mut all = vec![("HOME".to_owned(), "/tmp".to_owned())];
        all.extend(self.workspace.environment(&self.attempt.invocation.event, places));
        all.extend(service.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
        let secrets = service.secrets.iter().filter_map(|name| deployment.secrets.get_key_value(name));
        all.extend(secrets.map(|(name, secret)| (name.clone(), secret.reveal().to_owned())));
        all
    }
}

/// The queue of a service.
pub(crate) fn queue(config: &BatchConfig, batch: &Batch) -> Result<String, BatchError> {
    let queue = batch.queue.clone().or_else(|| config.queue.clone());
    queue.ok_or_else(|| BatchError::Lacks("no queue is named for it (`queue` of [batch])".to_owned()))
}

/// Work that a service's own setup forbids.
pub(crate) fn not_here() -> Failure {
    Failure::Host { message: "the service has no variant for AWS Batch".to_owned() }
}
