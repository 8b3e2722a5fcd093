//! Compiling, outside of this process: a module that blows up the compiler blows up a child.

pub(crate) mod child;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::engine::Tuning;
use crate::{Compiler, ModuleError};

/// What the child says when it fails is cut here.
const LONGEST_COMPLAINT: u64 = 16 << 10;

/// What the child reads from its standard input, in JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) tuning: Tuning,
    pub(crate) wasm: std::path::PathBuf,
    pub(crate) artefact: std::path::PathBuf,
    pub(crate) memory: u64,
    pub(crate) cpu_seconds: u64,
    pub(crate) component: bool,
}

/// The child's exit status when the module is at fault; anything else is a crash.
pub(crate) const REFUSED: u8 = 3;

/// Compiles in a child process, which writes `job.artefact`.
pub(crate) async fn compile(compiler: &Compiler, job: &Job) -> Result<(), ModuleError> {
    let failed = |what: &str| ModuleError::io(format!("{what} the compiler {}", compiler.program.display()));
    let mut child = tokio::process::Command::new(&compiler.program)
        .args(&compiler.args)
        .env_clear()
        .current_dir(Path::new("/"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed("start"))?;
    let text = serde_json::to_vec(job).map_err(|error| failed("ask")(error.into()))?;
    let mut stdin = child.stdin.take().expect("it was asked for above");
    let stderr = child.stderr.take().expect("it was asked for above");
    let work = async {
        match stdin.write_all(&text).await {
            // It ended before it had read its job: how it ended says why.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        drop(stdin);
        let mut said = Vec::new();
        let mut stderr = stderr.take(LONGEST_COMPLAINT);
        stderr.read_to_end(&mut said).await?;
        // What is over the limit is read and dropped, or the child would wait for us.
        tokio::io::copy(&mut stderr.into_inner(), &mut tokio::io::sink()).await?;
        Ok((child.wait().await?, said))
    };
    let wall = Duration::from_secs(job.cpu_seconds.saturating_mul(2).max(1));
    let (status, said) = match tokio::time::timeout(wall, work).await {
        Ok(done) => done.map_err(failed("run"))?,
        Err(_) => return Err(ModuleError::Compile(format!("it took longer than {} s", wall.as_secs()))),
    };
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    if status.code() == Some(i32::from(REFUSED)) {
        return Err(ModuleError::Malformed(said));
    }
    use std::os::unix::process::ExitStatusExt as _;
    Err(ModuleError::Compile(match status.signal() {
        // SIGXCPU.
        Some(24) => format!("it took longer than {} s of CPU time", job.cpu_seconds),
        // SIGKILL, which the kernel sends when the other is not heeded or memory is short.
        Some(9) => format!(
            "the compiler was killed: the machine is short of memory, or it took longer than {} s of CPU time",
            job.cpu_seconds
        ),
        Some(6 | 11) => format!("the compiler ran out of memory or crashed ({status}): {}", last_line(&said)),
        Some(_) | None => format!("the compiler ended with {status}: {}", last_line(&said)),
    }))
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or("it said nothing")
}
