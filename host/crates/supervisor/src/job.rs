//! One attempt, from its claim to its outcome.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::getuid;
use wicket_supervisor::{BROKEN, CLAIMED, Claim, Ended, JOB, Manifest, Outcome, Run, Told, index, is_plain};

use crate::child::{self, Done};
use crate::net::{Net, Once};
use crate::outputs::Outputs;
use crate::{say, usage};

/// Runs the attempt that the environment names, and answers the exit status of the job.
pub(crate) fn run() -> anyhow::Result<u8> {
    let began = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    // The first process of a container has no handler of its own: without one, the signal would be passed over.
    signal_hook::flag::register(signal_hook::consts::SIGTERM, stop.clone())?;
    // What runs from here on gets no rights that this process has not.
    rustix::thread::set_no_new_privs(true)?;
    let net = Net::new();
    let manifest = manifest(&net)?;
    if !claim(&net, &manifest)? {
        say("another job has claimed this attempt: nothing is run");
        return Ok(CLAIMED);
    }
    let outcome = attempt(&net, &manifest, began, &stop).unwrap_or_else(|error| {
        let why = format!("{error:#}");
        say(&why);
        outcome_of(Ended::Broken(why), began, Duration::ZERO, 0)
    });
    let text = serde_json::to_vec(&outcome)?;
    net.send(&manifest.outcome, text.len() as u64, "the outcome", || Ok(&text[..]))?;
    Ok(match outcome.ended {
        Ended::Exit(code) => u8::try_from(code).unwrap_or(1),
        Ended::Signal(signal) => u8::try_from(signal).unwrap_or(0).saturating_add(128),
        Ended::Broken(_) => BROKEN,
        _ => 1,
    })
}

fn manifest(net: &Net) -> anyhow::Result<Manifest> {
    let variable = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
    let url = variable(JOB).with_context(|| format!("{JOB} is not set"))?;
    let urls = match net.read(&url, "what this job is")? {
        Told::One(manifest) => return Ok(*manifest),
        Told::Many(urls) => urls,
    };
    let index =
        index(variable("AWS_BATCH_JOB_ARRAY_INDEX").as_deref(), variable("AWS_BATCH_JOB_ID").as_deref());
    let url =
        index.and_then(|index| urls.get(index)).context("this job does not know which of them it is")?;
    match net.read(url, "what this job of an array is")? {
        Told::One(manifest) => Ok(*manifest),
        Told::Many(_) => bail!("an array job has no arrays in it"),
    }
}

/// Whether this job, and no other, runs the attempt.
fn claim(net: &Net, manifest: &Manifest) -> anyhow::Result<bool> {
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let job = std::env::var_os("AWS_BATCH_JOB_ID").and_then(|id| id.into_string().ok());
    let nonce = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let own = Claim { job, nonce };
    match net.send_once(&manifest.claim.put, &serde_json::to_vec(&own)?)? {
        Once::Written => Ok(true),
        // It may be ours: the answer to an earlier try was lost.
        Once::Taken => Ok(net.read::<Claim>(&manifest.claim.get, "who has claimed the attempt")? == own),
    }
}

fn attempt(net: &Net, manifest: &Manifest, began: Instant, stop: &AtomicBool) -> anyhow::Result<Outcome> {
    let root = PathBuf::from(&manifest.root);
    folders(net, manifest, &root)?;
    let (kills, cpu) = (usage::oom_kills(), usage::cpu_us());
    let startup = began.elapsed();
    let kept = root.join("stdout");
    let Done { ended, wall, stdout } = child::run(manifest, &root, File::create(&kept)?, stop)?;
    let mut outcome = outcome_of(ended, began, wall, usage::oom_kills().saturating_sub(kills));
    outcome.startup_us = micros(startup);
    // The program's own start is not the function's.
    outcome.cpu_us = outcome.cpu_us.saturating_sub(cpu);
    if outcome.ended != Ended::Exit(0) {
        return Ok(outcome);
    }
    let length = fs::metadata(&kept)?.len();
    if length == stdout && length > 0 {
        let whole = || File::open(&kept);
        net.send(&manifest.stdout, length, "what it said", whole)?;
    }
    match Outputs::find(&root.join("output")) {
        Err(error) => outcome.ended = Ended::Refused(format!("its outputs: {error}")),
        Ok(outputs) if outputs.bytes() > manifest.most_output => outcome.ended = Ended::Output,
        Ok(outputs) => outcome.parts = send(net, manifest, &outputs)?,
    }
    Ok(outcome)
}

/// Sends the outputs, and answers in how many parts.
fn send(net: &Net, manifest: &Manifest, outputs: &Outputs) -> anyhow::Result<usize> {
    for other in &outputs.others {
        say(&format!("`{other}` is neither a file nor a folder, and is not put out"));
    }
    if outputs.files.is_empty() {
        return Ok(0);
    }
    let archive = outputs.archive().context("cannot make an archive of the outputs")?;
    let length = archive.length();
    let n_parts = usize::try_from(length.div_ceil(manifest.part_size)).unwrap_or(usize::MAX);
    let urls = manifest.parts.get(..n_parts).context("there are fewer places than the outputs have parts")?;
    for (idx, url) in urls.iter().enumerate() {
        let start = idx as u64 * manifest.part_size;
        let size = manifest.part_size.min(length - start);
        net.send(url, size, "the outputs", || Ok(archive.part(start, size)))?;
    }
    Ok(n_parts)
}

/// The folders of the attempt, as the function's user may use them.
fn folders(net: &Net, manifest: &Manifest, root: &Path) -> anyhow::Result<()> {
    let made = ["", "input", "output", "event"].iter().try_for_each(|name| {
        fs::create_dir_all(root.join(name))?;
        mode(&root.join(name), 0o755)
    });
    made.with_context(|| format!("cannot make {}", root.display()))?;
    for file in &manifest.files {
        if !is_plain(&file.path) {
            bail!("`{}` is no path below {}", file.path, root.display());
        }
        let path = root.join(&file.path);
        net.fetch(&file.url, &path)?;
        let is_script = file.path == "script";
        mode(&path, if is_script { 0o555 } else { 0o644 })?;
        if file.path.starts_with("input/") {
            give(&path, manifest.user)?;
        }
    }
    if let Run::Script { .. } = manifest.run
        && !root.join("script").is_file()
    {
        bail!("the script did not come");
    }
    give(&root.join("input"), manifest.user)?;
    give(&root.join("output"), manifest.user)?;
    Ok(())
}

fn mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn give(path: &Path, user: Option<(u32, u32)>) -> io::Result<()> {
    match user.filter(|_| getuid().is_root()) {
        Some((user, group)) => chown(path, Some(user), Some(group)),
        None => Ok(()),
    }
}

fn outcome_of(ended: Ended, began: Instant, wall: Duration, oom_kills: u64) -> Outcome {
    Outcome {
        ended,
        out_of_memory: oom_kills > 0,
        startup_us: micros(began.elapsed().saturating_sub(wall)),
        wall_us: micros(wall),
        cpu_us: usage::cpu_us(),
        peak_memory: usage::peak_memory(),
        parts: 0,
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
