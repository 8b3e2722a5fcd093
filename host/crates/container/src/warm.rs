//! Containers that are kept between the attempts of one version of a service, for images whose start is dear.
//!
//! The engine makes one and is not asked again: what it shall run, what that says and how it ends go through named pipes
//! in the folder that is mounted anyway. A call through the engine (`exec`) takes as long as half a start.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bytes::Bytes;
use tokio::net::unix::pipe;
use wicket_config::ServiceName;
use wicket_core::{Attempt, Failure, Reply};
use wicket_workspace::{Account as _, Workspace, empty_tree, remove_tree};

use crate::held::Held;
use crate::limits::{not_begun, timed_out};
use crate::output::Said;
use crate::run::Run;
use crate::spec;

/// What the shell of such a container does. It is the container's first process: without a trap it would not hear
/// SIGTERM, and it hands that on to the attempt that takes too long.
const KEEPER: &str = "\
trap 'last=1; kill -TERM $child' TERM
while read -r go < /wicket/next; do
  /bin/sh /wicket/attempt > /wicket/stdout 2> /wicket/stderr < /wicket/event/event &
  child=$!
  wait $child
  code=$?
  if [ \"$last\" ]; then wait $child; exit; fi
  echo $code > /wicket/status
done";
/// The file that it runs: the attempt's variables, and then the script.
const ATTEMPT: &str = "attempt";
/// The names of the pipes, and who may do what with them beside this process.
const PIPES: [(&str, u32); 4] = [("next", 0o644), ("status", 0o622), ("stdout", 0o622), ("stderr", 0o622)];
/// So long one may rest.
const REST: Duration = Duration::from_secs(5 * 60);
/// Taken from a pipe at once: as much as it holds.
const PIECE: usize = 64 << 10;

/// What two attempts in one container have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    service: ServiceName,
    version: u32,
    /// Secrets change without a new version.
    environment: Vec<String>,
}

impl Key {
    fn of(attempt: &Attempt) -> Self {
        Self {
            service: attempt.deployment.service.name.clone(),
            version: attempt.deployment.version,
            environment: spec::constants(attempt),
        }
    }
}

/// A container that waits for what it shall run.
#[derive(Debug)]
pub(crate) struct Warm {
    held: Held,
    key: Key,
    next: pipe::Sender,
    status: pipe::Receiver,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
    since: Instant,
}

/// Those that rest. Dropping one removes it.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Warm>>);

impl Pool {
    /// One that has run attempts like this. Those of other versions of its service go.
    fn take(&self, attempt: &Attempt) -> Option<Warm> {
        let key = Key::of(attempt);
        let mut all = self.lock();
        all.retain(|one| one.key.service != key.service || one.key == key);
        let last = all.iter().rposition(|one| one.key == key)?;
        Some(all.remove(last))
    }

    /// Keeps one, if no more than `most` of its kind are there.
    fn give(&self, one: Warm, most: u32) {
        let mut all = self.lock();
        let same = all.iter().filter(|other| other.key == one.key).count();
        if u32::try_from(same).is_ok_and(|same| same < most) {
            all.push(one);
        }
    }

    /// Lets those go that have rested long.
    pub(crate) fn sweep(&self) {
        self.lock().retain(|one| one.since.elapsed() < REST);
    }

    /// Lets all go.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Warm>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run<'_> {
    /// Runs the attempt in a container of the pool, or in one that is made by `hold` and goes there afterwards.
    pub(crate) async fn warm(&self, pool: &Pool, hold: impl FnOnce() -> Held) -> Result<Reply, Failure> {
        let deadline = self.tally.began() + self.container.timeout.0;
        let prepare = async {
            let mut rested = pool.take(self.attempt);
            if let Some(one) = &rested
                && !self.is_alive(&one.held).await
            {
                rested = None;
            }
            let folder = rested.as_ref().map(|one| one.held.folder.clone());
            let (one, workspace) = match (rested, folder) {
                (Some(one), Some(folder)) => (one, self.folders(&folder).await?),
                _ => self.keep(hold()).await?,
            };
            self.write_attempt(&one.held.folder, &workspace).await?;
            Ok((one, workspace))
        };
        let (mut one, workspace) = match tokio::time::timeout_at(deadline.into(), prepare).await {
            Ok(prepared) => prepared?,
            Err(_) => return Err(not_begun(self.container)),
        };
        let reply = self.in_kept(&one, &workspace, deadline).await?;
        // What goes on in it could write into the next attempt's outputs.
        if self.is_quiet(&one.held).await && self.clear(&one.held.folder).await.is_ok() {
            one.since = Instant::now();
            pool.give(one, self.container.warm);
        }
        Ok(reply)
    }

    /// Makes a container that can be kept.
    async fn keep(&self, held: Held) -> Result<(Warm, Workspace), Failure> {
        let workspace = self.folders(&held.folder).await?;
        let failed = host("make the pipes of a container");
        let [next, status, stdout, stderr] = PIPES.map(|(name, mode)| {
            let file = held.folder.join(name);
            rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o600.into(), 0)?;
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode))?;
            std::io::Result::Ok(file)
        });
        // Open for both: neither is told of an end while nobody is on the other side.
        let mut options = pipe::OpenOptions::new();
        let options = options.read_write(true);
        let open = || {
            let receivers = [status?, stdout?, stderr?].map(|file| options.open_receiver(file));
            let [status, stdout, stderr] = receivers;
            std::io::Result::Ok((options.open_sender(next?)?, status?, stdout?, stderr?))
        };
        let (next, status, stdout, stderr) = open().map_err(failed)?;
        let body = spec::kept(self.attempt, self.container, KEEPER, self.around(&held));
        self.create(&held, body).await?;
        self.start(&held).await?;
        let key = Key::of(self.attempt);
        Ok((Warm { held, key, next, status, stdout, stderr, since: Instant::now() }, workspace))
    }

    /// Writes what the container's shell runs.
    async fn write_attempt(&self, folder: &Path, workspace: &Workspace) -> Result<(), Failure> {
        let mut text = String::new();
        spec::variables(self.attempt, workspace, |name, value| {
            text.push_str(&format!("export {name}={}\n", quoted(value)));
        });
        text.push_str("exec");
        let args = self.attempt.deployment.service.args.iter();
        for word in spec::command(self.container).iter().chain(args) {
            text.push_str(&format!(" {}", quoted(word)));
        }
        text.push('\n');
        let file = folder.join(ATTEMPT);
        let written = async {
            tokio::fs::write(&file, text).await?;
            tokio::fs::set_permissions(&file, PermissionsExt::from_mode(0o444)).await
        };
        written.await.map_err(host("write the attempt's file"))
    }

    /// Says go, and listens until the end.
    async fn in_kept(&self, one: &Warm, workspace: &Workspace, deadline: Instant) -> Result<Reply, Failure> {
        let pipes = host("use the pipes of a container");
        let mut said = Said::new(&self.attempt.log, &self.attempt.deployment);
        let before = one.held.cgroup.as_ref().and_then(|cgroup| cgroup.cpu_us()).unwrap_or(0);
        if let Some(cgroup) = &one.held.cgroup {
            cgroup.forget_peak();
        }
        one.next.try_write(b"go\n").map_err(&pipes)?;
        self.tally.started();
        let ended = {
            let end = self.end(&one.held);
            let flooded = workspace.flooded(self.attempt.deployment.service.limits.output.0);
            let deadline = tokio::time::sleep_until(deadline.into());
            tokio::pin!(end, flooded, deadline);
            loop {
                tokio::select! {
                    biased;
                    ready = one.stdout.readable() => {
                        ready.map_err(&pipes)?;
                        if let Err(failure) = self.hear(&one.stdout, stdout, &mut said) {
                            break Err(failure);
                        }
                    }
                    ready = one.stderr.readable() => {
                        ready.map_err(&pipes)?;
                        if let Err(failure) = self.hear(&one.stderr, stderr, &mut said) {
                            break Err(failure);
                        }
                    }
                    ready = one.status.readable() => {
                        ready.map_err(&pipes)?;
                        let mut line = [0; 16];
                        if let Ok(n) = one.status.try_read(&mut line) {
                            let code = std::str::from_utf8(&line[..n]).ok().and_then(|line| line.trim().parse().ok());
                            break Ok(code.unwrap_or(1_i64));
                        }
                    }
                    end = &mut end => break match end? {
                        0 => Err(Failure::Host { message: "the container ended before its script did".to_owned() }),
                        code => Err(self.bad_end(&one.held, code).await),
                    },
                    used = &mut flooded => break Err(self.tally.flooded(used)),
                    () = &mut deadline => break Err(timed_out(self.container)),
                }
            }
        };
        if let Err(failure) = &ended {
            self.stop(&one.held, failure).await;
        }
        // Both are pipes of this machine: what was said before the end is in them.
        let heard = self.hear(&one.stdout, stdout, &mut said);
        let heard = heard.and_then(|()| self.hear(&one.stderr, stderr, &mut said));
        let body = said.finish();
        if let Some(cgroup) = &one.held.cgroup {
            let cpu = cgroup.cpu_us().unwrap_or(0).saturating_sub(before);
            self.tally.used(cpu, cgroup.peak_memory().unwrap_or(0));
        }
        let code = ended?;
        heard?;
        if code != 0 {
            // It is not used again, and a dead one tells whether its memory was too small.
            self.stop(&one.held, &Failure::Host { message: String::new() }).await;
            return Err(self.bad_end(&one.held, code).await);
        }
        workspace.stage(self.attempt, self.tally).await?;
        Ok(Reply { body, content_type: None, status: Some(0) })
    }

    /// Takes what is in a pipe now.
    fn hear(
        &self,
        pipe: &pipe::Receiver,
        piece: fn(Bytes) -> LogOutput,
        said: &mut Said,
    ) -> Result<(), Failure> {
        let mut buffer = vec![0; PIECE];
        while let Ok(n @ 1..) = pipe.try_read(&mut buffer) {
            said.take(&piece(Bytes::copy_from_slice(&buffer[..n])), self.tally)?;
        }
        Ok(())
    }

    async fn is_alive(&self, held: &Held) -> bool {
        let found = held.docker.inspect_container(&held.name, None).await;
        found.ok().and_then(|found| found.state?.running) == Some(true)
    }

    /// Whether nothing but its shell is left in it.
    async fn is_quiet(&self, held: &Held) -> bool {
        if let Some(processes) = held.cgroup.as_ref().and_then(|cgroup| cgroup.processes()) {
            return processes == 1;
        }
        let top = held.docker.top_processes(&held.name, None).await;
        top.is_ok_and(|top| top.processes.is_some_and(|all| all.len() == 1))
    }

    /// Takes away what the attempt had.
    async fn clear(&self, folder: &Path) -> std::io::Result<()> {
        let folder = folder.to_owned();
        let cleared = tokio::task::spawn_blocking(move || {
            remove_tree(&folder.join("input"))?;
            remove_tree(&folder.join("event"))?;
            // They are written anew: who is not root cannot write over what nobody may write to.
            std::fs::remove_file(folder.join(ATTEMPT))?;
            std::fs::remove_file(folder.join(spec::SCRIPT))?;
            // The engine has mounted it.
            empty_tree(&folder.join("output"))
        });
        cleared.await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }
}

fn stdout(message: Bytes) -> LogOutput {
    LogOutput::StdOut { message }
}

fn stderr(message: Bytes) -> LogOutput {
    LogOutput::StdErr { message }
}

/// A word as a shell reads it, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn host(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::Host { message: format!("cannot {what}: {error}") }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_reads_a_word_as_it_was() {
        for text in ["", "a b", "it's", "$(id) `id` \\ \" \n *", "''"] {
            let say = format!("printf %s {}", quoted(text));
            let said = std::process::Command::new("/bin/sh").args(["-c", &say]).output().unwrap();
            assert_eq!(said.stdout, text.as_bytes());
        }
    }
}
