//! The executor: jobs of one Batch, for all services.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wicket_buckets::WorkBucket;
use wicket_config::Service;
use wicket_core::{Attempt, Executor, Failure, InvocationId, Reply, Report};
use wicket_workspace::Tally;

use crate::aws::{Aws, BatchError};
use crate::config::BatchConfig;
use crate::definition::Definitions;
use crate::leftover::{self, Leftover};
use crate::run::Run;
use crate::spec;
use crate::submit::Submit;
use crate::watch::Watch;

/// What attempts work with, and what is still to be removed when they are gone.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: BatchConfig,
    pub(crate) aws: Arc<Aws>,
    pub(crate) work: Arc<WorkBucket>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) definitions: Definitions,
    pub(crate) submit: Submit,
    /// Submissions and removals that are under way.
    pub(crate) tasks: TaskTracker,
}

impl Parts {
    /// What the keys of this host's objects begin with.
    pub(crate) fn home(&self) -> String {
        format!("{}/{}", self.config.prefix, self.config.node)
    }
}

/// Runs functions as jobs of AWS Batch. Share it.
#[derive(Debug)]
pub struct BatchExecutor {
    parts: Arc<Parts>,
    /// What earlier processes left, until somebody takes it over or it is removed.
    leftovers: Mutex<HashMap<InvocationId, Leftover>>,
    recovered: OnceCell<()>,
    /// Ends the looks at the jobs.
    stop: CancellationToken,
    watching: TaskTracker,
}

impl BatchExecutor {
    /// An executor; nothing is asked of Batch yet, and it need not be there. Called where tasks can run.
    pub fn new(config: BatchConfig) -> Arc<Self> {
        let aws = Arc::new(Aws::new(&config));
        let watch = Watch::new(aws.clone(), config.poll);
        let (stop, watching) = (CancellationToken::new(), TaskTracker::new());
        watching.spawn(watch.clone().run(stop.clone()));
        let work = WorkBucket::new(&config.storage, config.storage_token.as_ref(), config.bucket.clone());
        let parts = Parts {
            work: Arc::new(work),
            aws,
            watch,
            definitions: Definitions::default(),
            submit: Submit::default(),
            tasks: TaskTracker::new(),
            config,
        };
        Arc::new(Self {
            parts: Arc::new(parts),
            leftovers: Mutex::default(),
            recovered: OnceCell::new(),
            stop,
            watching,
        })
    }

    /// Checks that a service can run as a job here. Nothing is asked of Batch: an image that is not there shows when a
    /// job begins.
    pub fn check(&self, service: &Service) -> Result<(), BatchError> {
        spec::check(&self.parts.config, service)
    }

    /// Looks for what earlier processes left in the work bucket: attempts whose invocation is tried again are taken
    /// over, the others are ended and removed. Done once; an attempt does it when nobody has before.
    pub async fn recover(&self) -> Result<(), BatchError> {
        let look = async || {
            *self.leftovers() = leftover::find(&self.parts).await?;
            Ok(())
        };
        self.recovered.get_or_try_init(look).await.copied()
    }

    /// Invocations of which an earlier process left a job that nobody has taken over, and its attempt's number.
    pub fn waiting(&self) -> Vec<(InvocationId, u32)> {
        self.leftovers().iter().map(|(id, one)| (*id, one.manifest.attempt)).collect()
    }

    /// Whether there is one of this invocation.
    pub fn is_waiting(&self, id: InvocationId) -> bool {
        self.leftovers().contains_key(&id)
    }

    /// Ends and removes what an earlier process left of an invocation.
    pub fn discard(&self, id: InvocationId) {
        drop(self.leftovers().remove(&id));
    }

    /// Waits until all that ended is removed.
    pub async fn drain(&self) {
        self.parts.tasks.close();
        self.parts.tasks.wait().await;
        self.stop.cancel();
        self.watching.close();
        self.watching.wait().await;
    }

    /// One attempt: the job that an earlier process began for it, or a new one.
    async fn run(&self, run: &Run<'_>) -> Result<Reply, Failure> {
        let id = run.attempt.invocation.id;
        let leftover = self.leftovers().remove(&id);
        let Some(leftover) = leftover else { return run.anew().await };
        match run.find(&leftover).await {
            Ok(Some(job)) => run.adopted(leftover.held, job).await,
            Ok(None) => {
                drop(leftover);
                run.anew().await
            }
            Err(error) => {
                // The next attempt looks again.
                self.leftovers().insert(id, leftover);
                Err(error.before())
            }
        }
    }

    fn leftovers(&self) -> MutexGuard<'_, HashMap<InvocationId, Leftover>> {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Executor for BatchExecutor {
    async fn execute(&self, attempt: Attempt) -> Report {
        let tally = Tally::new(&attempt.deployment.service.limits);
        let Some(batch) = attempt.deployment.service.batch.clone() else {
            return Report { result: Err(spec::not_here()), usage: tally.usage() };
        };
        let result = match self.recover().await {
            Ok(()) => {
                let run = Run { parts: &self.parts, attempt: &attempt, batch: &batch, tally: &tally };
                self.run(&run).await
            }
            Err(error) => Err(error.before()),
        };
        Report { result, usage: tally.usage() }
    }
}
