//! The only place that reads the environment (the command line's flags read theirs through clap, by these names).

use std::ffi::OsString;
use std::path::PathBuf;

use wicket_core::Secret;

/// Names the data folder.
pub(crate) const DATA: &str = "WICKET_DATA";
/// Names the operator's file.
pub(crate) const CONFIG: &str = "WICKET_CONFIG";
/// Base URL of the API, for the command line.
pub(crate) const ENDPOINT: &str = "WICKET_ENDPOINT";
/// The admin's name, for the command line.
pub(crate) const USER: &str = "WICKET_USER";
/// The admin's password: for the host instead of the one in its data folder, for the command line to log in with.
pub(crate) const ADMIN_PASSWORD: &str = "WICKET_ADMIN_PASSWORD";
/// A file with the admin's password, for the command line.
pub(crate) const PASSWORD_FILE: &str = "WICKET_PASSWORD_FILE";
/// A service's token, for the command line.
pub(crate) const TOKEN: &str = "WICKET_TOKEN";
/// What the host logs.
pub(crate) const LOG: &str = "WICKET_LOG";
const S3_ACCESS_KEY: &str = "WICKET_S3_ACCESS_KEY";
/// The secret half of the S3 keys, for the host.
pub(crate) const S3_SECRET_KEY: &str = "WICKET_S3_SECRET_KEY";

/// Only one half of the S3 key pair is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("of WICKET_S3_ACCESS_KEY and WICKET_S3_SECRET_KEY only one is set: set both or none")]
pub(crate) struct HalfAKey;

/// The admin password that overrides the one in the data folder.
pub(crate) fn admin_password() -> Option<Secret> {
    text(ADMIN_PASSWORD).map(Secret::new)
}

/// The S3 key pair, access key first, that overrides the one in the data folder.
pub(crate) fn s3_keys() -> Result<Option<(String, Secret)>, HalfAKey> {
    match (text(S3_ACCESS_KEY), text(S3_SECRET_KEY)) {
        (Some(access), Some(secret)) => Ok(Some((access, Secret::new(secret)))),
        (None, None) => Ok(None),
        _ => Err(HalfAKey),
    }
}

/// What the host logs, as a filter of `tracing`.
pub(crate) fn log_filter() -> Option<String> {
    text(LOG)
}

/// Whether people asked for text without colours (<https://no-color.org>).
pub(crate) fn no_color() -> bool {
    value("NO_COLOR").is_some()
}

/// The data folder of a host when nobody names one; none without a home.
pub(crate) fn default_data() -> Option<PathBuf> {
    data_in(value("XDG_DATA_HOME").map(PathBuf::from), value("HOME").map(PathBuf::from))
}

/// Where Docker's client would look for its engine, where that is a socket file.
pub(crate) fn docker_socket() -> PathBuf {
    let socket = text("DOCKER_HOST").and_then(|host| Some(PathBuf::from(host.strip_prefix("unix://")?)));
    socket.unwrap_or_else(|| PathBuf::from("/var/run/docker.sock"))
}

/// The library of ONNX Runtime, by the name that its other users have.
pub(crate) fn onnxruntime() -> Option<PathBuf> {
    text("ORT_DYLIB_PATH").map(PathBuf::from)
}

/// The keys of AWS's own tools: the public half, the secret half, and the token that comes with lent ones.
pub(crate) fn aws_keys() -> Option<(String, Secret, Option<Secret>)> {
    let (access, secret) = (text("AWS_ACCESS_KEY_ID")?, text("AWS_SECRET_ACCESS_KEY")?);
    Some((access, Secret::new(secret), text("AWS_SESSION_TOKEN").map(Secret::new)))
}

/// The region of AWS's own tools.
pub(crate) fn aws_region() -> Option<String> {
    text("AWS_REGION").or_else(|| text("AWS_DEFAULT_REGION"))
}

/// Programs are looked for in these folders.
pub(crate) fn search_path() -> Vec<PathBuf> {
    value("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

/// A variable that is set and not empty.
fn value(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The same as text; what is no UTF-8 counts as not set.
fn text(name: &str) -> Option<String> {
    value(name)?.into_string().ok()
}

/// The XDG rule: a relative `XDG_DATA_HOME` is ignored.
fn data_in(xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    xdg.filter(|path| path.is_absolute())
        .or_else(|| Some(home.filter(|path| path.is_absolute())?.join(".local/share")))
        .map(|path| path.join("wicket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_folder_follows_xdg_and_then_the_home() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(data_in(path("/x"), path("/home/ada")), path("/x/wicket"));
        assert_eq!(data_in(path("x"), path("/home/ada")), path("/home/ada/.local/share/wicket"));
        assert_eq!(data_in(None, path("/home/ada")), path("/home/ada/.local/share/wicket"));
        assert_eq!(data_in(None, None), None);
    }
}
