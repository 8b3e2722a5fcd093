//! How a command ends: its exit code, and what is said of an error.

use std::io::Write as _;
use std::process::ExitCode;

use http::StatusCode;
use wicket_config::Problems;

use super::table::shown;
use crate::api::view::ErrorDetail;
use crate::client::{ClientError, TargetError};

/// Exit codes. A code is a promise to scripts: `docs/cli.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// It worked.
    Ok = 0,
    /// The other side, or this machine, failed.
    Failed = 1,
    /// The command line was not understood (clap says so too).
    Usage = 2,
    /// A file or a definition is wrong.
    BadFile = 3,
    /// No host answers.
    Unreachable = 4,
    /// There is no such thing.
    NotFound = 5,
    /// Credentials are missing or wrong.
    Refused = 6,
    /// The invocation failed.
    InvocationFailed = 7,
}

/// For the end of `--help`.
pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 the host or this machine failed, 2 usage, 3 a file or definition is wrong,
4 no host answers, 5 no such thing, 6 credentials refused, 7 the invocation failed.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that knows its exit code and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Complaint {
    exit: Exit,
    what: String,
    help: Option<String>,
}

impl Complaint {
    /// Something of this kind is wrong.
    pub(super) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), help: None }
    }

    /// The same, with the next step.
    #[must_use]
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// A file of this name cannot be used.
pub(super) fn unreadable(path: &std::path::Path, error: &std::io::Error) -> Complaint {
    Complaint::new(Exit::BadFile, format!("cannot read {}: {error}", path.display()))
}

/// Says on standard error what went wrong, and gives the exit code.
pub(super) fn tell(done: anyhow::Result<Exit>) -> Exit {
    let error = match done {
        Ok(exit) => return exit,
        // Whoever read our output has seen enough.
        Err(error) if is_closed_pipe(&error) => return Exit::Ok,
        Err(error) => error,
    };
    let Told { exit, lines, help } = told(&error);
    let mut stderr = std::io::stderr().lock();
    // Nobody hears us without standard error; the exit code still tells.
    let mut say = |prefix: &str, text: &str| drop(writeln!(stderr, "{prefix}{}", shown(text)));
    for line in lines.iter().flat_map(|line| line.lines()) {
        say("error: ", line);
    }
    if let Some(help) = help {
        say("help: ", &help);
    }
    exit
}

/// What is said of an error.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    exit: Exit,
    lines: Vec<String>,
    help: Option<String>,
}

fn told(error: &anyhow::Error) -> Told {
    let whole = || vec![format!("{error:#}")];
    if let Some(Complaint { exit, help, .. }) = error.downcast_ref() {
        return Told { exit: *exit, lines: whole(), help: help.clone() };
    }
    if let Some(problems) = error.downcast_ref::<Problems>() {
        let lines = problems.to_string().lines().map(str::to_owned).collect();
        return Told { exit: Exit::BadFile, lines, help: None };
    }
    if let Some(error) = error.downcast_ref::<TargetError>() {
        let (exit, help) = of_target(error);
        return Told { exit, lines: whole(), help: help.map(str::to_owned) };
    }
    if let Some(error) = error.downcast_ref::<ClientError>() {
        let (exit, help) = of_client(error);
        return Told { exit, lines: whole(), help };
    }
    Told { exit: Exit::Failed, lines: whole(), help: None }
}

fn of_target(error: &TargetError) -> (Exit, Option<&'static str>) {
    let start = "start one with `wicket serve`, or name another with --endpoint or --data";
    match error {
        TargetError::NoFolder | TargetError::NoHost(_) | TargetError::Gone(..) => {
            (Exit::Unreachable, Some(start))
        }
        TargetError::File(_, error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            (Exit::Refused, Some("only the user that runs the host may read its data folder"))
        }
        TargetError::File(..) => (Exit::BadFile, None),
        TargetError::Garbled(..) => (Exit::BadFile, Some("name the host with --endpoint")),
        TargetError::Endpoint(_) => {
            (Exit::Usage, Some("--endpoint and WICKET_ENDPOINT take the base URL of the API"))
        }
    }
}

/// What a client's error means for a command, and what to do about it.
pub(super) fn of_client(error: &ClientError) -> (Exit, Option<String>) {
    let text = |text: &str| Some(text.to_owned());
    match error {
        ClientError::Unreachable { .. } => (
            Exit::Unreachable,
            text("is it running? start one with `wicket serve`, or name another with --endpoint"),
        ),
        ClientError::Slow { .. } => (Exit::Unreachable, text("look at the host's log, or try again")),
        ClientError::Sending(_) => (Exit::BadFile, None),
        ClientError::Garbled { .. } => {
            (Exit::Failed, text("is that the address of a wicket host, and of the same version?"))
        }
        ClientError::Refused { status, detail, .. } => match *status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
                Exit::Refused,
                text(
                    "give --password-file (it is DATA/admin-password on the host's machine), WICKET_ADMIN_PASSWORD, or a service's --token",
                ),
            ),
            // A host of ours says which word is unknown; a 404 without one is somebody else's.
            StatusCode::NOT_FOUND if detail.code.is_empty() => {
                (Exit::NotFound, text("is that the address of a wicket host?"))
            }
            StatusCode::NOT_FOUND => (Exit::NotFound, next_step(detail)),
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => (Exit::BadFile, next_step(detail)),
            // The same mistake inside of one file is a bad file too.
            StatusCode::CONFLICT if detail.code == "route_taken" => (Exit::BadFile, next_step(detail)),
            _ => (Exit::Failed, next_step(detail)),
        },
        ClientError::Bucket { status, .. } => match *status {
            Some(StatusCode::NOT_FOUND) => (
                Exit::NotFound,
                text("`wicket bucket ls` lists what there is, `wicket bucket mb NAME` makes a bucket"),
            ),
            Some(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => (Exit::Refused, None),
            Some(StatusCode::BAD_REQUEST) => (Exit::BadFile, None),
            Some(_) => (Exit::Failed, None),
            None => (Exit::Unreachable, text("is the S3 endpoint of the host reachable from here?")),
        },
    }
}

/// The host speaks of its routes; here there are commands for the same.
fn next_step(detail: &ErrorDetail) -> Option<String> {
    let command = match detail.code.as_str() {
        "unknown_service" => "`wicket services` lists them",
        "unknown_version" => "`wicket versions NAME` lists them",
        "unknown_invocation" => {
            "`wicket invocations` lists those that are kept; receipts are forgotten after `queue.keep_receipts`"
        }
        "ended" => {
            "`wicket show ID` says how; `wicket invocations --state running` lists what can be cancelled"
        }
        "not_dead" => "`wicket dead-letters` lists what can be redriven",
        _ => return detail.help.clone(),
    };
    Some(command.to_owned())
}

/// Whether our reader has gone, as `head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> anyhow::Error {
        let status = StatusCode::from_u16(status).unwrap();
        let help = Some("do this".to_owned());
        let detail = ErrorDetail { code: code.to_owned(), message: "no".to_owned(), help };
        ClientError::Refused { status, detail, invocation: None }.into()
    }

    #[test]
    fn the_hosts_status_is_the_exit_code() {
        let exit = |status| told(&refused(status, "a_code")).exit;
        assert_eq!(exit(400), Exit::BadFile);
        assert_eq!(exit(401), Exit::Refused);
        assert_eq!(exit(404), Exit::NotFound);
        assert_eq!(exit(409), Exit::Failed);
        assert_eq!(exit(507), Exit::Failed);
        assert_eq!(told(&refused(404, "a_code")).help.as_deref(), Some("do this"));
        assert_ne!(told(&refused(404, "")).help.as_deref(), Some("do this"));
    }

    #[test]
    fn a_complaint_keeps_its_code_under_more_context() {
        let error =
            anyhow::Error::from(Complaint::new(Exit::NotFound, "no such").help("look")).context("cannot go");
        let told = told(&error);
        assert_eq!((told.exit, told.help.as_deref()), (Exit::NotFound, Some("look")));
        assert_eq!(told.lines, ["cannot go: no such"]);
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        assert_eq!(tell(Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into())), Exit::Ok);
    }
}
