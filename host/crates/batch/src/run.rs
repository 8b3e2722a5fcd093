//! One attempt in a job: from its files to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wicket_config::{Batch, ByteSize};
use wicket_core::{Attempt, Failure, Limit, LogStream, Reply, Timestamp};
use wicket_supervisor::{Claim, Ended, LARGEST, Outcome};
use wicket_workspace::{Account as _, Tally, Workspace};

use crate::aws::BatchError;
use crate::executor::Parts;
use crate::held::{self, Held, Job};
use crate::leftover::Leftover;
use crate::said::Said;
use crate::spec::{self, Folder, LARGEST_REPLY, Told};
use crate::watch::{Seen, State};
use crate::{outputs, submit};

/// A job that stands in the queue for so long is told of in the log, and why.
const LONG: Duration = Duration::from_secs(30);
/// How long a job may take beside its function's own time; Batch ends it before.
const BESIDE: Duration = Duration::from_secs(1200);
/// Characters of its last line of stderr that a failure repeats.
const LONGEST_WORDS: usize = 300;
/// What a shell answers when it was killed by a signal, less the signal.
const BY_SIGNAL: i32 = 128;

/// An attempt and what it runs with.
pub(crate) struct Run<'a> {
    pub(crate) parts: &'a Arc<Parts>,
    pub(crate) attempt: &'a Attempt,
    pub(crate) batch: &'a Batch,
    pub(crate) tally: &'a Tally,
}

impl Run<'_> {
    /// Submits a job, and follows it to its end.
    pub(crate) async fn anew(&self) -> Result<Reply, Failure> {
        let parts = self.parts;
        let away = |error: BatchError| error.before();
        let service = &self.attempt.deployment.service;
        // The operator's file may say something else than when it was deployed.
        spec::check(&parts.config, service).map_err(away)?;
        // First of all: where Batch is away, nothing is sent anywhere.
        let definition =
            parts.definitions.of(&parts.aws, &parts.config, &self.attempt.deployment, self.batch).await;
        let definition = definition.map_err(away)?;
        let workspace = Workspace::make(self.attempt, &self.attempt.scratch, self.tally).await?;
        let (id, number) = (self.attempt.invocation.id, self.attempt.number);
        // A tag: an attempt that is made again after a crash has other objects.
        let tag = hex::encode(rand::random::<[u8; 4]>());
        let folder = Folder(format!("{}/{id}/{number}-{tag}", parts.home()));
        let held = Held::new(parts, folder.clone());
        let told = Told {
            config: &parts.config,
            work: &parts.work,
            attempt: self.attempt,
            batch: self.batch,
            folder: &folder,
            workspace: &workspace,
        };
        let files = told.files().await.map_err(away)?;
        let manifest = told.manifest(files, &definition).await.map_err(away)?;
        let node: String = parts.config.node.chars().take(8).collect();
        // Cut at its end, a name keeps what tells it from others: so what may be long stands last.
        let names = (
            format!("wicket-{node}-{id}-{number}-{tag}-{}", service.name),
            format!("wicket-{node}-array-{tag}-{}", service.name),
        );
        let good_for = spec::good_for(&parts.config, self.batch);
        let held = submit::submit(parts, held, manifest, names, good_for).await.map_err(away)?;
        self.to_the_end(held, false).await
    }

    /// The job of an attempt that an earlier process began, if it runs or may still run.
    pub(crate) async fn find(&self, leftover: &Leftover) -> Result<Option<String>, BatchError> {
        let (parts, manifest, folder) = (self.parts, &leftover.manifest, &leftover.held.folder);
        if manifest.version != self.attempt.deployment.version {
            return Ok(None);
        }
        if let Some(Claim { job, .. }) = held::claim(parts, folder).await? {
            return Ok(job);
        }
        if let Some(id) = parts.aws.find(&manifest.queue, &manifest.job_name).await? {
            return Ok(Some(match &manifest.array {
                Some((index, _)) => format!("{id}:{index}"),
                None => id,
            }));
        }
        // None was submitted, or Batch does not list it yet: with this, it can never run.
        Ok(held::claim_for_host(parts, folder).await?.and_then(|claim| claim.job))
    }

    /// Goes on with the job of an attempt that an earlier process began.
    pub(crate) async fn adopted(&self, mut held: Held, id: String) -> Result<Reply, Failure> {
        let text = format!("a batch job of an earlier process of this host goes on: {id}");
        self.attempt.log.line(LogStream::Host, text.as_bytes());
        held.job = Job::Known(id);
        self.to_the_end(held, true).await
    }

    /// Dropping `held` on the way ends the job.
    async fn to_the_end(&self, mut held: Held, is_adopted: bool) -> Result<Reply, Failure> {
        let parts = self.parts;
        let mut said = Said::new(&self.attempt.log, &self.attempt.deployment);
        let (seen, outcome) = loop {
            let Job::Known(id) = held.job.clone() else {
                return Err(Failure::Host { message: "the batch job is not known".to_owned() });
            };
            let seen = self.end(&id, is_adopted, &mut said).await?;
            match self.outcome(&held.folder).await.map_err(|error| error.failure())? {
                Some(outcome) => break (seen, Some(outcome)),
                None => match held::claim(parts, &held.folder).await.map_err(|error| error.failure())? {
                    // It was submitted twice, and the other one runs it.
                    Some(Claim { job: Some(other), .. }) if other != id => held.job = Job::Known(other),
                    Some(_) | None => break (seen, None),
                },
            }
        };
        held.job = Job::Ended;
        said.rest(&parts.aws, &parts.config.log_group, seen.log.as_deref()).await;
        let Some(outcome) = outcome else { return Err(self.no_outcome(&seen)) };
        self.tally.used(outcome.cpu_us, outcome.peak_memory);
        self.tally.started_later(outcome.startup_us);
        if outcome.ended != Ended::Exit(0) {
            return Err(self.bad_end(&outcome, &seen));
        }
        outputs::stage(parts, &held.folder, outcome.parts, self.attempt, self.tally).await?;
        let body = parts.work.read(&held.folder.stdout(), LARGEST_REPLY).await;
        let body = body.map_err(|error| BatchError::from(error).failure())?.unwrap_or_default();
        self.tally.wrote(body.len() as u64)?;
        Ok(Reply { body, content_type: None, status: Some(0) })
    }

    /// Waits until a job has ended; its log is read meanwhile.
    async fn end(&self, id: &str, is_adopted: bool, said: &mut Said) -> Result<Seen, Failure> {
        let parts = self.parts;
        let mut following = parts.watch.follow(id);
        let mut seen = Seen::default();
        let (mut queued, mut told) = (Instant::now(), false);
        let mut look_at = Instant::now();
        loop {
            let since = |noted: Option<i64>| match noted.filter(|_| is_adopted) {
                Some(ms) => Timestamp::now().since(Timestamp(ms.saturating_mul(1000))),
                None => queued.elapsed(),
            };
            let left = match seen.state {
                State::Running => {
                    let most = self.batch.timeout.0 + parts.config.grace + BESIDE;
                    most.saturating_sub(since(seen.started))
                }
                _ => self.batch.wait.0.saturating_sub(since(seen.created)),
            };
            let runs = seen.state == State::Running;
            let stream = seen.log.clone().filter(|_| runs);
            tokio::select! {
                news = following.seen() => {
                    if news.state == State::Running && !runs {
                        self.tally.started();
                        queued = Instant::now();
                    }
                    seen = news;
                    if matches!(seen.state, State::Succeeded | State::Failed | State::Unknown) {
                        self.tally.started();
                        return Ok(seen);
                    }
                }
                () = tokio::time::sleep(left) => return Err(self.too_late(&seen)),
                () = tokio::time::sleep_until(look_at.into()), if stream.is_some() => {
                    if let Some(stream) = &stream {
                        said.look(&parts.aws, &parts.config.log_group, stream).await;
                    }
                    look_at = Instant::now() + Said::pause(parts.watch.count());
                }
                () = tokio::time::sleep(LONG.saturating_sub(queued.elapsed())), if !runs && !told => {
                    told = true;
                    let text = format!("{}, for {} s so far", self.waits(&seen), LONG.as_secs());
                    self.attempt.log.line(LogStream::Host, text.as_bytes());
                }
            }
        }
    }

    async fn outcome(&self, folder: &Folder) -> Result<Option<Outcome>, BatchError> {
        let Some(text) = self.parts.work.read(&folder.outcome(), LARGEST).await? else { return Ok(None) };
        let outcome = serde_json::from_slice(&text);
        outcome.map(Some).map_err(|error| BatchError::Storage(format!("an outcome cannot be read: {error}")))
    }

    fn waits(&self, seen: &Seen) -> String {
        let queue = spec::queue(&self.parts.config, self.batch).unwrap_or_default();
        let why = if seen.reason.is_empty() { String::new() } else { format!(" ({})", seen.reason) };
        format!("it waits in the queue `{queue}` of AWS Batch{why}")
    }

    /// A job that did not begin, or did not end, in time.
    fn too_late(&self, seen: &Seen) -> Failure {
        match seen.state {
            State::Running => Failure::Host {
                message: "the batch job neither ended nor was ended long after its time".to_owned(),
            },
            _ => {
                let message = format!("{}, and may wait {}", self.waits(seen), self.batch.wait);
                Failure::Limit { limit: Limit::Timeout, message }
            }
        }
    }

    /// What it means that a job has ended, and its supervisor has not said how.
    fn no_outcome(&self, seen: &Seen) -> Failure {
        let reason = seen.reason.as_str();
        if reason.contains("OutOfMemory") {
            return self.out_of_memory();
        }
        if reason.contains("attempt duration exceeded") {
            return self.timed_out();
        }
        // What the supervisor said last, if it came to run.
        let said = self.attempt.log.last(LogStream::Host).unwrap_or_default();
        let why = match (seen.state, reason) {
            (State::Unknown, _) => "AWS Batch does not know the job",
            (_, "") if said.is_empty() => "no reason is given",
            (_, "") => said.as_str(),
            (_, reason) => reason,
        };
        Failure::Host {
            message: format!(
                "the batch job ended and did not say how ({why}): are the supervisor's folder and the work bucket within \
                 its reach, and has its image no ENTRYPOINT that keeps the supervisor from running?"
            ),
        }
    }

    fn bad_end(&self, outcome: &Outcome, seen: &Seen) -> Failure {
        let limits = &self.attempt.deployment.service.limits;
        let limit = |limit: Limit, message: String| Failure::Limit { limit, message };
        let function = |message: String, permanent: bool| Failure::Function { message, permanent };
        match &outcome.ended {
            Ended::Exit(_) | Ended::Signal(_) if outcome.out_of_memory => self.out_of_memory(),
            Ended::Exit(code) => {
                let by = match code - BY_SIGNAL {
                    signal @ 1..=64 => format!(": killed by signal {signal}"),
                    _ => String::new(),
                };
                let message = self.with_last_words(format!("exit status {code}{by}"));
                Failure::exit(i64::from(*code), message)
            }
            Ended::Signal(signal) => {
                function(self.with_last_words(format!("it was killed by signal {signal}")), false)
            }
            Ended::TimedOut => self.timed_out(),
            Ended::Terminated => {
                Failure::Host { message: format!("AWS Batch ended the job: {}", seen.reason) }
            }
            Ended::Output => {
                limit(Limit::Output, format!("it may put out {}, and put out more", limits.output))
            }
            Ended::Reply => {
                let most = ByteSize(LARGEST_REPLY.min(limits.output.0));
                let text =
                    format!("an answer that is kept may have {most}: put what is larger into an output");
                limit(Limit::Output, text)
            }
            Ended::Log => {
                limit(Limit::Log, format!("it may log {}, and logged many times as much", limits.log))
            }
            Ended::Refused(why) | Ended::NotStarted(why) => function(why.clone(), true),
            Ended::Broken(why) => Failure::Host { message: format!("the batch job: {why}") },
        }
    }

    fn with_last_words(&self, message: String) -> String {
        match self.attempt.log.last(LogStream::Stderr) {
            Some(last) => {
                let last: String = last.chars().take(LONGEST_WORDS).collect();
                format!("{message}: {last}")
            }
            None => message,
        }
    }

    fn timed_out(&self) -> Failure {
        let message = format!("it may take {}", self.batch.timeout);
        Failure::Limit { limit: Limit::Timeout, message }
    }

    fn out_of_memory(&self) -> Failure {
        let message = format!("it may have {} and wanted more", self.batch.memory);
        Failure::Limit { limit: Limit::Memory, message }
    }
}

#[cfg(test)]
pub(crate) mod tests;
