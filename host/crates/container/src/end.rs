//! How a container ends, and what it means.

use std::time::{Duration, Instant};

use bollard::errors::Error;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures::StreamExt as _;
use wicket_core::{Failure, LogSink, LogStream, chain};

use crate::held::Held;
use crate::limits::out_of_memory;
use crate::run::{LOOK, Run};

/// How long an engine may be away while a container runs: it restarts.
const ENGINE_AWAY: Duration = Duration::from_secs(60);
/// How long an engine may take to stop a container, beside the time that the container has.
const STOPPING: Duration = Duration::from_secs(20);
/// Characters of its last line of stderr that a failure repeats.
const LONGEST_WORDS: usize = 300;
/// What a shell answers when it was killed by a signal, less the signal.
const BY_SIGNAL: i64 = 128;

impl Run<'_> {
    /// Waits for its end. An engine that goes away and comes back may have let it run meanwhile.
    pub(crate) async fn end(&self, held: &Held) -> Result<i64, Failure> {
        loop {
            let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
            let mut wait = Box::pin(held.docker.wait_container(&held.name, Some(options)));
            match wait.next().await {
                Some(Ok(end)) => return Ok(end.status_code),
                // The client makes an error of an exit status.
                Some(Err(Error::DockerContainerWaitError { code, .. })) => return Ok(code),
                Some(Err(Error::DockerResponseServerError { status_code: 404, .. })) => return Err(removed()),
                Some(Err(error)) => {
                    tracing::debug!(name = held.name, %error, "the end of a container is not told");
                }
                None => {}
            }
            self.back(held).await?;
        }
    }

    /// Waits until an engine that went away is back and says that the container still runs.
    async fn back(&self, held: &Held) -> Result<(), Failure> {
        let since = Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            match held.docker.inspect_container(&held.name, None).await {
                Ok(found) if found.state.as_ref().and_then(|state| state.running) == Some(true) => {
                    return Ok(());
                }
                // What it said and how it ended may be lost: an engine that starts ends what it finds running.
                Ok(_) => return Err(gone_with_engine()),
                Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Err(removed()),
                Err(error) if since.elapsed() > ENGINE_AWAY => {
                    return Err(self.host("be reached while the container runs", &error));
                }
                Err(_) => {}
            }
        }
    }

    /// Ends a container that reached a limit: one that took too long may finish what it must.
    pub(crate) async fn stop(&self, held: &Held, failure: &Failure) {
        let timed_out = matches!(failure, Failure::Limit { limit: wicket_core::Limit::Timeout, .. });
        let stopped = async {
            if timed_out {
                let grace = i32::try_from(self.grace.as_secs()).unwrap_or(i32::MAX);
                let options = StopContainerOptionsBuilder::default().t(grace).build();
                held.docker.stop_container(&held.name, Some(options)).await
            } else {
                let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
                held.docker.kill_container(&held.name, Some(options)).await
            }
        };
        // An engine that hangs does not hold up the end of the attempt.
        let why = match tokio::time::timeout(self.grace + STOPPING, stopped).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => chain(&error),
            Err(_) => "the engine does not answer".to_owned(),
        };
        tracing::debug!(name = held.name, why, "a container could not be stopped; it is removed");
    }

    /// What an exit status other than 0 means.
    pub(crate) async fn bad_end(&self, held: &Held, code: i64) -> Failure {
        let inspected = held.docker.inspect_container(&held.name, None).await;
        if let Err(error) = &inspected
            && !matches!(error, Error::DockerResponseServerError { .. })
        {
            // An engine that ends takes its containers with it.
            return gone_with_engine();
        }
        let state = inspected.ok().and_then(|inspected| inspected.state);
        // Also told when only a child of it was killed, so a status alone is not enough; but then it did fail of that.
        if state.as_ref().is_some_and(|state| state.oom_killed == Some(true)) {
            return out_of_memory(self.container);
        }
        let mut message = match code - BY_SIGNAL {
            9 if self.info.podman => match &held.cgroup {
                Some(cgroup) if cgroup.was_full(self.container.memory.0) => {
                    return out_of_memory(self.container);
                }
                Some(_) => "it was killed by signal 9, and had memory left".to_owned(),
                None => "it was killed by signal 9; Podman does not say whether for its memory".to_owned(),
            },
            9 => "it was killed by signal 9, and not for its memory".to_owned(),
            signal @ 1..=64 => format!("exit status {code}: killed by signal {signal}"),
            _ => format!("exit status {code}"),
        };
        if let Some(error) = state.and_then(|state| state.error).filter(|error| !error.is_empty()) {
            message = format!("{message}: {error}");
        }
        if let Some(last) = last_words(&self.attempt.log) {
            message = format!("{message}: {last}");
        }
        Failure::exit(code, message)
    }
}

fn removed() -> Failure {
    Failure::Host { message: "somebody removed the container while it ran".to_owned() }
}

fn gone_with_engine() -> Failure {
    Failure::Host {
        message: "the engine went away while the container ran, and the container ended".to_owned(),
    }
}

/// The last line of its stderr that is not blank.
fn last_words(log: &LogSink) -> Option<String> {
    let last = log.last(LogStream::Stderr)?;
    Some(last.chars().take(LONGEST_WORDS).collect())
}
