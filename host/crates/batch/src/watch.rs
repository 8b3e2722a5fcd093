//! One look at all jobs at once, as often as something happens and more seldom when nothing does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_batch::types::{JobDetail, JobStatus};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use wicket_core::chain;

use crate::aws::{Aws, PAGE};

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(500);
/// A job that Batch does not know at this many looks is not there: just after it was submitted it may be unknown.
const UNKNOWN: u32 = 20;

/// Where a job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing is known yet.
    #[default]
    New,
    /// It waits for a machine.
    Queued,
    /// Its container is made, or runs.
    Running,
    /// It ended with 0.
    Succeeded,
    /// It ended otherwise.
    Failed,
    /// Batch does not know it.
    Unknown,
}

/// What Batch says of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) state: State,
    /// Why it stands there, in Batch's words.
    pub(crate) reason: String,
    /// Its log's stream.
    pub(crate) log: Option<String>,
    /// When it was submitted and when it began, ms since 1970.
    pub(crate) created: Option<i64>,
    pub(crate) started: Option<i64>,
}

impl Seen {
    fn of(job: &JobDetail) -> Self {
        let container = job.container.as_ref();
        let log = container.and_then(|container| container.log_stream_name.clone());
        let attempt = job.attempts().last().and_then(|attempt| attempt.container.as_ref());
        let words = [job.status_reason.as_deref(), container.and_then(|one| one.reason.as_deref())];
        Self {
            state: match &job.status {
                Some(JobStatus::Succeeded) => State::Succeeded,
                Some(JobStatus::Failed) => State::Failed,
                Some(JobStatus::Running) => State::Running,
                Some(_) | None => State::Queued,
            },
            reason: words.into_iter().flatten().collect::<Vec<_>>().join("; "),
            log: log.or_else(|| attempt.and_then(|attempt| attempt.log_stream_name.clone())),
            created: job.created_at,
            started: job.started_at,
        }
    }
}

#[derive(Debug)]
struct Watched {
    seen: watch::Sender<Seen>,
    followers: usize,
    unknown: u32,
}

/// The jobs that somebody waits for.
#[derive(Debug)]
pub(crate) struct Watch {
    aws: Arc<Aws>,
    jobs: Mutex<HashMap<String, Watched>>,
    more: Notify,
    longest: Duration,
}

/// Follows one job until it is dropped.
#[derive(Debug)]
pub(crate) struct Following {
    watch: Arc<Watch>,
    id: String,
    seen: watch::Receiver<Seen>,
    first: bool,
}

impl Following {
    /// What is known of it; after the first time, waits until that is something else.
    pub(crate) async fn seen(&mut self) -> Seen {
        let news = if self.first {
            self.seen.wait_for(|seen| seen.state != State::New).await.is_ok()
        } else {
            self.seen.changed().await.is_ok()
        };
        if !news {
            // Its sender lives as long as somebody follows it.
            std::future::pending::<()>().await;
        }
        self.first = false;
        self.seen.borrow_and_update().clone()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut jobs = self.watch.jobs();
        if let Some(watched) = jobs.get_mut(&self.id) {
            watched.followers -= 1;
            if watched.followers == 0 {
                jobs.remove(&self.id);
            }
        }
    }
}

impl Watch {
    pub(crate) fn new(aws: Arc<Aws>, longest: Duration) -> Arc<Self> {
        Arc::new(Self { aws, jobs: Mutex::default(), more: Notify::new(), longest: longest.max(SHORTEST) })
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<String, Watched>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.jobs().len()
    }

    /// Follows a job.
    pub(crate) fn follow(self: &Arc<Self>, id: &str) -> Following {
        let mut jobs = self.jobs();
        let watched = jobs.entry(id.to_owned()).or_insert_with(|| Watched {
            seen: watch::Sender::new(Seen::default()),
            followers: 0,
            unknown: 0,
        });
        watched.followers += 1;
        let seen = watched.seen.subscribe();
        drop(jobs);
        self.more.notify_one();
        Following { watch: self.clone(), id: id.to_owned(), seen, first: true }
    }

    /// Looks until it is told to stop.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut pause = SHORTEST;
        let mut away = false;
        loop {
            let idle = self.jobs().is_empty();
            tokio::select! {
                () = stop.cancelled() => return,
                // Those that come together are looked at together.
                () = self.more.notified() => {
                    pause = SHORTEST;
                    tokio::time::sleep(SHORTEST).await;
                }
                () = tokio::time::sleep(pause), if !idle => {}
            }
            let ids: Vec<String> = self.jobs().keys().cloned().collect();
            let mut news = false;
            for page in ids.chunks(PAGE) {
                match self.aws.describe(page).await {
                    Ok(found) => {
                        away = false;
                        news |= self.tell(page, &found);
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut away, true) {
                            tracing::warn!(
                                error = chain(&error),
                                "batch jobs cannot be looked at; tried again"
                            );
                        }
                        break;
                    }
                }
            }
            pause = if news { SHORTEST } else { pause.mul_f64(1.5).min(self.longest) };
        }
    }

    /// Tells those who follow; whether there was anything new.
    fn tell(&self, asked: &[String], found: &[JobDetail]) -> bool {
        let mut jobs = self.jobs();
        let mut news = false;
        for id in asked {
            let Some(watched) = jobs.get_mut(id) else { continue };
            let job = found.iter().find(|job| job.job_id.as_deref() == Some(id));
            let seen = match job {
                Some(job) => {
                    watched.unknown = 0;
                    Seen::of(job)
                }
                None => {
                    watched.unknown += 1;
                    if watched.unknown < UNKNOWN {
                        continue;
                    }
                    Seen { state: State::Unknown, ..Seen::default() }
                }
            };
            news |= watched.seen.send_if_modified(|old| {
                let is_new = *old != seen;
                *old = seen;
                is_new
            });
        }
        news
    }
}
