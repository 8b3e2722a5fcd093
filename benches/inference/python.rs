//! The Python process beside ours: `peer.py`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// One that waits for tasks. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Python {
    child: Child,
    tasks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// With its packages in these folders, the first before the others, and libraries in those.
    ///
    /// # Panics
    ///
    /// When there is no `python3`.
    pub(crate) fn start(packages: &[PathBuf], libraries: &[PathBuf]) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("inference");
        let mut child = Command::new("python3")
            .arg(here.join("peer.py"))
            .env("PYTHONPATH", std::env::join_paths(packages).expect("folders without a colon"))
            .env("LD_LIBRARY_PATH", std::env::join_paths(libraries).expect("folders without a colon"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`python3` is there");
        let tasks = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, tasks, answers }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Does a task, and waits for its answer.
    ///
    /// # Panics
    ///
    /// When it fails: what Python said stands on stderr.
    pub(crate) fn ask(&mut self, task: &Value) -> Value {
        let mut answer = String::new();
        let asked = writeln!(self.tasks, "{task}").and_then(|()| self.tasks.flush());
        asked.and_then(|()| self.answers.read_line(&mut answer)).expect("Python answers");
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("Python failed at {task}"))
    }

    pub(crate) fn about(&mut self) -> Value {
        self.ask(&json!({"op": "about"}))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}
