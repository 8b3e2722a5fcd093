//! Which host a command talks to, and as whom: flags, environment, or the data folder of a local host.

use std::path::PathBuf;

use wicket_core::Secret;

use crate::client::{Client, Target, Wanted, find};
use crate::env;

/// The flags that all commands have that talk to a host.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "The host")]
pub(super) struct Remote {
    /// Base URL of the host's API; without it the host on the data folder is meant
    #[arg(long, value_name = "URL", env = env::ENDPOINT)]
    endpoint: Option<String>,
    /// Data folder of a local host
    #[arg(long, value_name = "DIR", env = env::DATA)]
    data: Option<PathBuf>,
    /// The admin's name
    #[arg(long, value_name = "NAME", env = env::USER)]
    user: Option<String>,
    /// The admin's password; others on this machine can see flags: a file or the variable is better
    #[arg(long, value_name = "PASSWORD", env = env::ADMIN_PASSWORD, hide_env_values = true)]
    password: Option<Hidden>,
    /// A file with the admin's password
    #[arg(long, value_name = "FILE", env = env::PASSWORD_FILE)]
    password_file: Option<PathBuf>,
}

/// The flag of the commands that a service's token is enough for.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "The host")]
pub(super) struct Token {
    /// The service's token, instead of the admin's password
    #[arg(long, value_name = "TOKEN", env = env::TOKEN, hide_env_values = true)]
    token: Option<Hidden>,
}

/// A secret on the command line.
#[derive(Clone, Debug)]
struct Hidden(Secret);

impl std::str::FromStr for Hidden {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Secret::new(text)))
    }
}

/// A host that was found; nothing has been sent to it.
#[derive(Debug)]
pub(super) struct Connected {
    /// Asks it.
    pub(super) client: Client,
    /// Where it is.
    pub(super) target: Target,
}

impl Remote {
    /// The host, and the admin.
    pub(super) fn connect(self) -> anyhow::Result<Connected> {
        self.connect_as(None)
    }

    /// The host, and a caller of one of its services.
    pub(super) fn connect_with(self, token: Token) -> anyhow::Result<Connected> {
        self.connect_as(token.token.map(|token| token.0))
    }

    fn connect_as(self, token: Option<Secret>) -> anyhow::Result<Connected> {
        let target = find(Wanted {
            endpoint: self.endpoint,
            user: self.user,
            password: self.password.map(|password| password.0),
            password_file: self.password_file,
            token,
            data: self.data,
        })?;
        Ok(Connected { client: Client::new(&target)?, target })
    }
}
