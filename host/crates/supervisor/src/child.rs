//! The function while it runs: its streams, its time, its end.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, getuid, kill_process_group};
use wicket_supervisor::{Ended, GOES_ON, JOB, Manifest, Run, STDERR};

use crate::outputs::Outputs;

/// Between two looks at a running function.
const LOOK: Duration = Duration::from_millis(50);
/// Between two looks at how much it has put out.
const LOOK_OUT: Duration = Duration::from_secs(1);
/// After the function's end, how long the rest of what it said may take: a process of its may hold the stream.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Longest piece of a line that stands in the log as one: engines cut at 16 KiB, with nothing to tell that they did.
const LONGEST: u64 = 12 << 10;

/// How it ended, and how long it ran.
pub(crate) struct Done {
    pub(crate) ended: Ended,
    pub(crate) wall: Duration,
    /// What it said on standard output, in a file.
    pub(crate) stdout: u64,
}

/// Counts what the function says.
#[derive(Debug, Default)]
struct Said {
    log: AtomicU64,
    stdout: AtomicU64,
}

/// Runs it to its end. `stdout` takes what it says there.
pub(crate) fn run(manifest: &Manifest, root: &Path, stdout: File, stop: &AtomicBool) -> io::Result<Done> {
    let began = Instant::now();
    let mut child = match command(manifest, root)?.spawn() {
        Ok(child) => child,
        Err(error) => {
            let what = match &manifest.run {
                Run::Script { shebang: true, .. } => "what the script's first line names".to_owned(),
                Run::Script { shebang: false, .. } => "/bin/sh".to_owned(),
                Run::Command(words) => format!("`{}`", words.first().map_or("", String::as_str)),
            };
            let why = format!("the container cannot start: {what}: {error}");
            return Ok(Done { ended: Ended::NotStarted(why), wall: Duration::ZERO, stdout: 0 });
        }
    };
    let said = Arc::new(Said::default());
    let (done, streams) = mpsc::channel();
    let out = relay(child.stdout.take(), None, Some((stdout, manifest.most_stdout)), &said, done.clone());
    let err = relay(child.stderr.take(), Some(STDERR), None, &said, done);
    let (status, limit) = watch(&mut child, manifest, root, &said, stop, began)?;
    let wall = began.elapsed();
    // What it left behind neither writes nor speaks any more.
    end_all(&child, Signal::KILL);
    for _ in 0..2 {
        if streams.recv_timeout(LAST_WORDS).is_err() {
            crate::say("the rest of what the function said did not come");
            break;
        }
    }
    drop((out, err));
    let over = |limit: u64, counted: &AtomicU64| counted.load(Relaxed) > limit;
    let ended = match (limit, status.code(), status.signal()) {
        (Some(limit), _, _) => limit,
        _ if over(manifest.most_log, &said.log) => Ended::Log,
        _ if over(manifest.most_stdout, &said.stdout) => Ended::Reply,
        (None, Some(code), _) => Ended::Exit(code),
        (None, None, signal) => Ended::Signal(signal.unwrap_or(0)),
    };
    Ok(Done { ended, wall, stdout: said.stdout.load(Relaxed) })
}

fn command(manifest: &Manifest, root: &Path) -> io::Result<Command> {
    let script = root.join("script");
    let mut command = match &manifest.run {
        Run::Script { shebang: true, args } => {
            let mut command = Command::new(script);
            command.args(args);
            command
        }
        Run::Script { shebang: false, args } => {
            let mut command = Command::new("/bin/sh");
            command.arg(script).args(args);
            command
        }
        Run::Command(words) => {
            let (program, args) = words.split_first().ok_or_else(|| io::Error::other("no command"))?;
            let mut command = Command::new(program);
            command.args(args);
            command
        }
    };
    command
        .envs(manifest.environment.iter().map(|(name, value)| (name, value)))
        .env_remove(JOB)
        .stdin(File::open(root.join("event/event"))?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some((user, group)) = manifest.user.filter(|_| getuid().is_root()) {
        // As root, this gives up all other groups too.
        command.uid(user).gid(group);
    }
    Ok(command)
}

/// Waits for its end, and sees to it that there is one; the limit that it met, if one.
fn watch(
    child: &mut Child,
    manifest: &Manifest,
    root: &Path,
    said: &Said,
    stop: &AtomicBool,
    began: Instant,
) -> io::Result<(ExitStatus, Option<Ended>)> {
    let timeout = Duration::from_millis(manifest.timeout_ms);
    let grace = Duration::from_millis(manifest.grace_ms);
    let (_kept, never) = mpsc::channel::<()>();
    let mut looked = began;
    let mut limit: Option<(Ended, Instant)> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, limit.map(|(limit, _)| limit)));
        }
        if let Some((_, since)) = &limit {
            if since.elapsed() >= grace {
                end_all(child, Signal::KILL);
            }
        } else {
            let met = if stop.load(Relaxed) {
                Some(Ended::Terminated)
            } else if began.elapsed() >= timeout {
                Some(Ended::TimedOut)
            } else if said.log.load(Relaxed) > manifest.most_log {
                Some(Ended::Log)
            } else if said.stdout.load(Relaxed) > manifest.most_stdout {
                Some(Ended::Reply)
            } else if looked.elapsed() >= LOOK_OUT {
                looked = Instant::now();
                // A folder that changes while it is looked through is looked through again.
                let bytes = Outputs::find(&root.join("output")).map_or(0, |outputs| outputs.bytes());
                (bytes > manifest.most_output).then_some(Ended::Output)
            } else {
                None
            };
            if let Some(met) = met {
                // One that took too long may finish what it must; one that does too much is cut off.
                let gently = matches!(met, Ended::TimedOut | Ended::Terminated);
                end_all(child, if gently { Signal::TERM } else { Signal::KILL });
                limit = Some((met, Instant::now()));
            }
        }
        let _times_out = never.recv_timeout(LOOK);
    }
}

/// Tells the function's processes to end: all of the container where this is its first process.
fn end_all(child: &Child, signal: Signal) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // Those that are gone need no telling.
    let _gone = group.map(|group| kill_process_group(group, signal));
    if getpid().is_init() && signal == Signal::KILL {
        let _gone = kill_process_group(Pid::INIT, signal);
    }
}

/// Passes a stream on, line by line, in a thread of its own.
fn relay(
    from: Option<impl Read + Send + 'static>,
    mark: Option<u8>,
    mut keep: Option<(File, u64)>,
    said: &Arc<Said>,
    done: mpsc::Sender<()>,
) -> JoinHandle<()> {
    let said = said.clone();
    thread::spawn(move || {
        let Some(from) = from else { return };
        let mut from = BufReader::with_capacity(64 << 10, from);
        let mut line = Vec::new();
        while let Ok(1..) = (&mut from).take(LONGEST).read_until(b'\n', &mut line) {
            said.log.fetch_add(line.len() as u64, Relaxed);
            if let Some((file, most)) = &mut keep {
                let before = said.stdout.fetch_add(line.len() as u64, Relaxed);
                if before + line.len() as u64 <= *most && file.write_all(&line).is_err() {
                    // No room to keep it: as if it were too long.
                    said.stdout.store(u64::MAX / 2, Relaxed);
                }
            }
            let mut out = Vec::with_capacity(line.len() + 2);
            out.extend(mark);
            out.extend_from_slice(&line);
            if !out.ends_with(b"\n") {
                out.extend([GOES_ON, b'\n']);
            }
            let _unheard = io::stdout().lock().write_all(&out);
            line.clear();
        }
        let _nobody_waits = done.send(());
    })
}
