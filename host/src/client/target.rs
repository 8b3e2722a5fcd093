//! Where the host is, and who asks: from flags and the environment, else from the data folder of a local host.

use std::path::{Path, PathBuf};

use wicket_core::Secret;

use crate::app::{HOST_FILE, PASSWORD_FILE};
use crate::auth::ADMIN_USER;
use crate::node::Addresses;

/// Longest file of the data folder that is read here.
const MAX_FILE: u64 = 64 << 10;

/// What flags and environment say.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Base URL of the API.
    pub(crate) endpoint: Option<String>,
    /// The admin's name.
    pub(crate) user: Option<String>,
    /// The admin's password.
    pub(crate) password: Option<Secret>,
    /// A file with it.
    pub(crate) password_file: Option<PathBuf>,
    /// The token of a service.
    pub(crate) token: Option<Secret>,
    /// A local host's data folder.
    pub(crate) data: Option<PathBuf>,
}

/// A host, and what to tell it about who asks.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Base URL of the API, without a slash at its end.
    pub(crate) endpoint: String,
    /// Its S3 endpoint, where a local host's file told.
    pub(crate) s3: Option<String>,
    /// The admin's name.
    pub(crate) user: String,
    /// The admin's password.
    pub(crate) password: Option<Secret>,
    /// The token of a service: used for `run` and `job` when there is one.
    pub(crate) token: Option<Secret>,
}

/// No host is known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// Neither an endpoint nor a folder, and no home to look in.
    #[error("no host is named, and there is no home folder to look for one in")]
    NoFolder,
    /// The folder says of no host.
    #[error("no host runs on the data folder {0}")]
    NoHost(PathBuf),
    /// The host that the folder speaks of is gone.
    #[error("no host runs on the data folder {0}: its last one, process {1}, is gone")]
    Gone(PathBuf, u32),
    /// A file cannot be read.
    #[error("cannot read {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// A file is not what a host writes.
    #[error("{0} is not what a host writes there: {1}")]
    Garbled(PathBuf, String),
    /// The endpoint is no URL.
    #[error("`{0}` is no URL of a host: write it as in http://127.0.0.1:8080")]
    Endpoint(String),
}

/// Finds the host that is meant.
///
/// The password of the data folder is told only to the host of that folder: a folder's secret does not go to another
/// endpoint.
pub(crate) fn find(wanted: Wanted) -> Result<Target, TargetError> {
    let data = wanted.data.or_else(crate::env::default_data);
    let local = || -> Result<Addresses, TargetError> { alive(data.as_deref().ok_or(TargetError::NoFolder)?) };
    let (endpoint, addresses) = match wanted.endpoint {
        Some(endpoint) => (checked(&endpoint)?, local().ok()),
        None => {
            let addresses = local()?;
            (format!("http://{}", addresses.http), Some(addresses))
        }
    };
    let own = addresses.filter(|addresses| endpoint == format!("http://{}", addresses.http));
    let password = match (wanted.password_file, wanted.password, own, &data) {
        (Some(file), ..) => Some(Secret::new(read(&file)?.trim())),
        (None, Some(password), ..) => Some(password),
        // Without the right to read it the host will say what is missing.
        (None, None, Some(_), Some(data)) => {
            read(&data.join(PASSWORD_FILE)).ok().map(|text| Secret::new(text.trim()))
        }
        (None, None, ..) => None,
    };
    Ok(Target {
        endpoint,
        s3: own.map(|addresses| format!("http://{}", addresses.s3)),
        user: wanted.user.unwrap_or_else(|| ADMIN_USER.to_owned()),
        password,
        token: wanted.token,
    })
}

/// The addresses of the host that runs on a folder.
fn alive(data: &Path) -> Result<Addresses, TargetError> {
    let file = data.join(HOST_FILE);
    let text = match read(&file) {
        Ok(text) => text,
        Err(TargetError::File(_, error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(TargetError::NoHost(data.to_owned()));
        }
        Err(error) => return Err(error),
    };
    let addresses: Addresses =
        serde_json::from_str(&text).map_err(|error| TargetError::Garbled(file, error.to_string()))?;
    if runs(addresses.pid) { Ok(addresses) } else { Err(TargetError::Gone(data.to_owned(), addresses.pid)) }
}

/// Whether a process of this id lives, whoever's it is.
fn runs(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

fn read(file: &Path) -> Result<String, TargetError> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
    read.map(|_| text).map_err(|error| TargetError::File(file.to_owned(), error))
}

/// The endpoint without a slash at its end, when it is one.
fn checked(endpoint: &str) -> Result<String, TargetError> {
    let refused = || TargetError::Endpoint(endpoint.to_owned());
    let url = url::Url::parse(endpoint).map_err(|_| refused())?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !plain {
        return Err(refused());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(pid: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let addresses = format!(r#"{{"pid":{pid},"http":"127.0.0.1:4711","s3":"127.0.0.1:4712"}}"#);
        std::fs::write(folder.path().join(HOST_FILE), addresses).unwrap();
        std::fs::write(folder.path().join(PASSWORD_FILE), "pass word\n").unwrap();
        folder
    }

    fn wanted(data: &Path) -> Wanted {
        Wanted { data: Some(data.to_owned()), ..Wanted::default() }
    }

    #[test]
    fn a_folder_tells_everything_of_its_host() {
        let folder = folder(std::process::id());
        let target = find(wanted(folder.path())).unwrap();
        assert_eq!(target.endpoint, "http://127.0.0.1:4711");
        assert_eq!(target.s3.as_deref(), Some("http://127.0.0.1:4712"));
        assert_eq!((target.user.as_str(), target.password.unwrap().reveal()), (ADMIN_USER, "pass word"));
    }

    #[test]
    fn a_folder_without_a_living_host_says_so() {
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(find(wanted(empty.path())), Err(TargetError::NoHost(_))));
        // The largest process id that Linux hands out is 2^22.
        let stale = folder(i32::MAX as u32);
        assert!(matches!(find(wanted(stale.path())), Err(TargetError::Gone(..))));
        std::fs::write(stale.path().join(HOST_FILE), "{").unwrap();
        assert!(matches!(find(wanted(stale.path())), Err(TargetError::Garbled(..))));
    }

    #[test]
    fn a_folders_password_goes_to_no_other_host() {
        let folder = folder(std::process::id());
        let with = |endpoint: &str| Wanted { endpoint: Some(endpoint.to_owned()), ..wanted(folder.path()) };
        let other = find(with("https://example.org/base/")).unwrap();
        assert_eq!(
            (other.endpoint.as_str(), other.password, other.s3),
            ("https://example.org/base", None, None)
        );
        assert!(find(with("http://127.0.0.1:4711/")).unwrap().password.is_some());
        for bad in ["", "example.org", "ftp://x", "http://", "http://a:b@x", "http://x/?q"] {
            assert!(matches!(find(with(bad)), Err(TargetError::Endpoint(_))), "{bad}");
        }
    }

    #[test]
    fn a_password_file_comes_first() {
        let folder = folder(std::process::id());
        let file = folder.path().join("other");
        std::fs::write(&file, "from the file\n").unwrap();
        let wanted = Wanted {
            password: Some(Secret::new("from the flag")),
            password_file: Some(file),
            ..wanted(folder.path())
        };
        assert_eq!(find(wanted).unwrap().password.unwrap().reveal(), "from the file");
    }
}
