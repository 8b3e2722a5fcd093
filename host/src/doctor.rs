//! What this machine offers to a host, and what will be slower or missing for it.
//!
//! Nothing is changed: what is written to try the disk or the engine is removed again.

mod cgroup;
mod machine;
mod outside;
mod storage;
mod wasm;

pub(crate) use cgroup::machine_memory;

use std::path::Path;

use serde::Serialize;
use wicket_config::HostConfig;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) check: &'static str,
    /// How it is.
    pub(crate) verdict: Verdict,
    /// What was found.
    pub(crate) found: String,
    /// What that means for a host; empty where there is nothing to say.
    pub(crate) means: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// As it should be.
    Good,
    /// The host works, with less speed or less room.
    Slower,
    /// Something that some functions want is not here.
    Missing,
    /// No host can run.
    Impossible,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Slower => "slower",
            Self::Missing => "missing",
            Self::Impossible => "impossible",
        })
    }
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Verdict::Good, found, "")
    }

    fn new(
        check: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        means: impl Into<String>,
    ) -> Self {
        Self { check, verdict, found: found.into(), means: means.into() }
    }
}

/// Looks at everything that a host would use, by the operator's file, on the folder `data`.
pub(crate) fn examine(config: &HostConfig, data: Option<&Path>) -> Vec<Finding> {
    let mut findings = vec![machine::kernel()];
    findings.extend(wasm::pool());
    findings.extend([machine::address_space(), machine::overcommit(), machine::open_files()]);
    findings.extend([cgroup::memory(), cgroup::cpus()]);
    findings.extend(storage::data(data));
    findings.extend([outside::docker(&config.docker), outside::gpu()]);
    findings.extend([outside::onnxruntime(&config.inference, data), outside::guest_target()]);
    findings
}
