//! One attempt in a container: from its folders to its end.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, LogsOptionsBuilder, StatsOptionsBuilder,
};
use futures::{Stream, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use wicket_config::Container;
use wicket_core::{Attempt, Failure, LogStream, Reply, chain};
use wicket_workspace::{Account as _, Tally, Workspace};

use crate::engine::{Engine, EngineError};
use crate::held::Held;
use crate::info::EngineInfo;
use crate::leftover::Leftover;
use crate::limits::{not_begun, timed_out};
use crate::output::Said;
use crate::spec::{self, Owner, SCRIPT};

/// After its end, how long the rest of what it said may take: a stream can hang.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The same where everything that it said is read once more.
const ALL_WORDS: Duration = Duration::from_secs(30);
/// Between two looks at a container whose engine was away.
pub(crate) const LOOK: Duration = Duration::from_millis(500);

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// An attempt and what it runs with.
pub(crate) struct Run<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) info: &'a EngineInfo,
    pub(crate) owner: &'a Owner,
    pub(crate) grace: Duration,
    pub(crate) attempt: &'a Attempt,
    pub(crate) container: &'a Container,
    pub(crate) tally: &'a Tally,
}

impl Run<'_> {
    /// Makes a container and runs it to its end.
    pub(crate) async fn anew(&self, held: Held) -> Result<Reply, Failure> {
        let deadline = self.tally.began() + self.container.timeout.0;
        let prepare = async {
            let workspace = self.folders(&held.folder).await?;
            let body = spec::body(self.attempt, self.container, &workspace, self.around(&held));
            self.create(&held, body).await?;
            let output = self.attach(&held, &workspace).await?;
            self.start(&held).await?;
            self.tally.started();
            Ok((workspace, output))
        };
        let (workspace, output) = match tokio::time::timeout_at(deadline.into(), prepare).await {
            Ok(prepared) => prepared?,
            Err(_) => return Err(not_begun(self.container)),
        };
        self.to_the_end(&held, &workspace, output, deadline).await
    }

    pub(crate) fn around<'h>(&'h self, held: &'h Held) -> spec::Around<'h> {
        spec::Around {
            folder: &held.folder,
            cgroup: held.cgroup.as_ref(),
            owner: self.owner,
            info: self.info,
        }
    }

    pub(crate) async fn create(&self, held: &Held, body: ContainerCreateBody) -> Result<(), Failure> {
        let options = CreateContainerOptionsBuilder::default().name(&held.name).build();
        held.making(true);
        let created = held.docker.create_container(Some(options), body).await;
        // An answer is one, whichever; without one it may be made yet.
        held.making(
            matches!(&created, Err(error) if !matches!(error, Error::DockerResponseServerError { .. })),
        );
        created.map(drop).map_err(|error| self.not_created(&error))
    }

    pub(crate) async fn start(&self, held: &Held) -> Result<(), Failure> {
        let started = held.docker.start_container(&held.name, None).await;
        started.map_err(|error| self.not_started(&error))
    }

    /// Takes over a container that an earlier process of this host began.
    pub(crate) async fn adopted(&self, held: Held, leftover: &Leftover) -> Result<Reply, Failure> {
        let text = format!("a container of an earlier process of this host goes on: {}", held.name);
        self.attempt.log.line(LogStream::Host, text.as_bytes());
        let workspace = Workspace::found(&self.attempt.invocation.event, &held.folder).await?;
        let inspected = held.docker.inspect_container(&held.name, None).await;
        let inspected = inspected.map_err(|error| self.host("look at a container", &error))?;
        let runs = inspected.state.is_some_and(|state| state.running == Some(true));
        // What has ended took the time that it took.
        let spent = if runs { leftover.began.elapsed() } else { Duration::ZERO };
        let left = self.container.timeout.0.saturating_sub(spent);
        self.to_the_end(&held, &workspace, listen(&held), Instant::now() + left).await
    }

    /// The folders of the attempt, as the container's user may use them.
    pub(crate) async fn folders(&self, folder: &Path) -> Result<Workspace, Failure> {
        let host = |error: std::io::Error| Failure::Host {
            message: format!("cannot make the folders of the container: {error}"),
        };
        std::fs::create_dir_all(folder).map_err(host)?;
        let workspace = Workspace::make(self.attempt, folder, self.tally).await?;
        let (script, folder) = (self.container.script.clone(), folder.to_owned());
        let (input, output) = (workspace.input.clone(), workspace.output.clone());
        let user = spec::ids(&self.container.user);
        let ready = tokio::task::spawn_blocking(move || {
            let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode));
            // Only the engine comes here: the folder above is the host's alone.
            mode(&folder, 0o755)?;
            mode(&folder.join("event"), 0o755)?;
            mode(&folder.join("event/event"), 0o444)?;
            for own in [&input, &output] {
                match user {
                    Some((user, group)) => {
                        std::os::unix::fs::chown(own, Some(user), Some(group))?;
                        mode(own, 0o755)?;
                    }
                    None => mode(own, 0o777)?,
                }
            }
            for file in std::fs::read_dir(&input)? {
                let file = file?.path();
                if let Some((user, group)) = user {
                    std::os::unix::fs::chown(&file, Some(user), Some(group))?;
                }
                mode(&file, 0o644)?;
            }
            if let Some(script) = script {
                let file = folder.join(SCRIPT);
                std::fs::write(&file, script)?;
                mode(&file, 0o555)?;
            }
            std::io::Result::Ok(())
        });
        ready.await.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(host)?;
        Ok(workspace)
    }

    /// Listens before it runs, so that nothing is missed; sends the event to an image that has no script to read it.
    async fn attach(&self, held: &Held, workspace: &Workspace) -> Result<Output, Failure> {
        let stdin = !spec::is_script(self.container);
        let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true);
        let attached = held.docker.attach_container(&held.name, Some(options.stdin(stdin).build())).await;
        let AttachContainerResults { output, mut input } =
            attached.map_err(|error| self.host("listen to a container", &error))?;
        if stdin {
            let event = workspace.event.join("event");
            held.tasks.spawn(async move {
                // One that does not read it closes the stream: that is its affair.
                let sent = async {
                    let mut event = tokio::fs::File::open(event).await?;
                    tokio::io::copy(&mut event, &mut input).await?;
                    input.shutdown().await
                };
                if let Err(error) = sent.await {
                    tracing::debug!(%error, "a container did not take the whole event");
                }
            });
        }
        Ok(output)
    }

    async fn to_the_end(
        &self,
        held: &Held,
        workspace: &Workspace,
        mut output: Output,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let mut said = Said::new(&self.attempt.log, &self.attempt.deployment);
        let mut listening = true;
        // The stream broke, and the container goes on.
        let mut broken = false;
        let looking = look(held, self.tally);
        let ended = {
            let end = self.end(held);
            let flooded = workspace.flooded(self.attempt.deployment.service.limits.output.0);
            tokio::pin!(end, flooded, looking);
            let deadline = tokio::time::sleep_until(deadline.into());
            let again = tokio::time::sleep(LOOK);
            tokio::pin!(deadline, again);
            loop {
                tokio::select! {
                    // What it says comes first: a limit that it passed with its last words counts.
                    biased;
                    piece = output.next(), if listening => match piece {
                        Some(Ok(piece)) => if let Err(failure) = said.take(&piece, self.tally) {
                            break Err(failure);
                        },
                        // Most end with their container, which is told in a moment.
                        Some(Err(_)) | None => {
                            listening = false;
                            again.as_mut().reset(tokio::time::Instant::now() + LOOK);
                        }
                    },
                    end = &mut end => break end,
                    used = &mut flooded => break Err(self.tally.flooded(used)),
                    () = &mut deadline => break Err(timed_out(self.container)),
                    () = &mut again, if !listening => {
                        said.again();
                        output = listen(held);
                        (listening, broken) = (true, true);
                    }
                    () = &mut looking => {}
                }
            }
        };
        if broken && !listening && ended.is_ok() {
            said.again();
            output = listen(held);
            listening = true;
        }
        if let Err(failure) = &ended {
            // An engine whose words nobody takes does not come round to stopping it.
            let listen = async {
                let mut full = false;
                while listening {
                    match output.next().await {
                        Some(Ok(piece)) => full = full || said.take(&piece, self.tally).is_err(),
                        Some(Err(_)) | None => listening = false,
                    }
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = self.stop(held, failure) => {}
                () = listen => {}
            }
        }
        // The stream ends with the container; what is still on its way is waited for, not for ever.
        let rest = async {
            while listening {
                match output.next().await {
                    Some(Ok(piece)) => said.take(&piece, self.tally)?,
                    Some(Err(_)) | None => listening = false,
                }
            }
            Ok(())
        };
        let patience = if broken { ALL_WORDS } else { LAST_WORDS };
        let rest = tokio::time::timeout(patience, rest).await.unwrap_or_else(|_| {
            self.attempt.log.line(LogStream::Host, b"the rest of what the container said did not come");
            Ok(())
        });
        let rest = rest.and_then(|()| said.is_whole());
        let body = said.finish();
        self.count(held);
        let code = ended?;
        rest?;
        if code != 0 {
            return Err(self.bad_end(held, code).await);
        }
        workspace.stage(self.attempt, self.tally).await?;
        Ok(Reply { body, content_type: None, status: Some(0) })
    }

    fn not_created(&self, error: &Error) -> Failure {
        match error {
            Error::DockerResponseServerError { status_code: 404, .. } => Failure::Unavailable {
                message: format!("the image {} is not on this machine any more", self.container.image),
            },
            error => match self.engine.failed("make a container", error) {
                away @ EngineError::Away { .. } => Failure::Unavailable { message: chain(&away) },
                refused => Failure::Host { message: chain(&refused) },
            },
        }
    }

    fn not_started(&self, error: &Error) -> Failure {
        match error {
            // The image lacks what is to run in it: it will lack it the next time too.
            Error::DockerResponseServerError { status_code: 400 | 404, message } => {
                let why = message.lines().next().unwrap_or_default();
                let message = format!("the container cannot start: {why}");
                Failure::Function { message, permanent: true }
            }
            error => self.host("start a container", error),
        }
    }

    pub(crate) fn host(&self, what: &'static str, error: &Error) -> Failure {
        Failure::Host { message: chain(&self.engine.failed(what, error)) }
    }

    /// Notes what it used.
    fn count(&self, held: &Held) {
        let Some(cgroup) = &held.cgroup else { return };
        self.tally.used(cgroup.cpu_us().unwrap_or(0), cgroup.peak_memory().unwrap_or(0));
    }
}

/// Where the kernel's books cannot be read, the engine's own figures: one look a second.
async fn look(held: &Held, tally: &Tally) {
    if held.cgroup.is_none() {
        let options = StatsOptionsBuilder::default().stream(true).build();
        let mut looks = Box::pin(held.docker.stats(&held.name, Some(options)));
        while let Some(Ok(seen)) = looks.next().await {
            let cpu = seen.cpu_stats.and_then(|cpu| cpu.cpu_usage).and_then(|usage| usage.total_usage);
            let memory = seen.memory_stats.and_then(|memory| memory.max_usage.or(memory.usage));
            tally.used(cpu.unwrap_or(0) / 1000, memory.unwrap_or(0));
        }
    }
    std::future::pending::<()>().await;
}

/// What it said from its beginning, and goes on to say.
fn listen(held: &Held) -> Output {
    let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
    Box::pin(held.docker.logs(&held.name, Some(options)))
}
