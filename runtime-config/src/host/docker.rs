//! `[docker]` of the operator's file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::{Field, Section};
use crate::{ByteSize, Network, Span};

section! {
    /// `[docker]`: containers on this machine's engine.
    DockerSection {
        /// The engine's socket; none: that of `DOCKER_HOST`, or `/var/run/docker.sock`.
        socket: Option<PathBuf> = None,
        /// Containers at once, over all services.
        max_containers: u32 = 4,
        /// Memory that all containers have together, by what their services ask for; none: that of the machine.
        max_memory: Option<ByteSize> = None,
        /// How long a container that took too long may take to end, from SIGTERM to SIGKILL; at most 100s.
        stop_grace: Span = Span::secs(10),
        /// Networks that a service may have, besides none.
        networks: Vec<Network> = vec![Network::Bridge],
        /// Repositories whose images may run, in full, or all below one (`ghcr.io/org/*`); empty: any.
        images: Vec<String> = Vec::new(),
        /// Only images that are named by their digest.
        pinned_only: bool = false,
        /// Who this host is to registries that ask, by their names.
        registries: BTreeMap<String, Registry> = BTreeMap::new(),
    }
}

/// Who a host is to a registry of images.
#[derive(Clone, PartialEq, Eq)]
pub struct Registry {
    /// The user.
    pub username: String,
    /// His password or token; never shown.
    pub password: String,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Field for BTreeMap<String, Registry> {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let what =
            "a table of registries, as in [docker.registries.\"ghcr.io\"] with `username` and `password`";
        let table = value.as_table().ok_or_else(|| format!("this is {what}"))?;
        let registry = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let fields = value.get_ref().as_table()?;
            let field = |name: &str| Some(fields.get(name)?.get_ref().as_str()?.to_owned());
            let known = fields.keys().all(|key| ["username", "password"].contains(&key.get_ref().as_ref()));
            let (username, password) = (field("username")?, field("password")?);
            let name: &std::borrow::Cow<'_, str> = name.get_ref();
            known.then(|| (name.to_string(), Registry { username, password }))
        };
        table
            .iter()
            .map(registry)
            .collect::<Option<_>>()
            .ok_or_else(|| format!("this is {what}, and no more"))
    }
}

#[cfg(test)]
mod tests {
    use crate::host::{Given, HostConfig};

    fn read(text: &str) -> Result<HostConfig, crate::Problems> {
        HostConfig::read(text, "wicket.toml", &Given::default())
    }

    #[test]
    fn a_registry_has_a_user_and_a_password_that_is_not_shown() {
        let config =
            read("[docker.registries.\"ghcr.io\"]\nusername = \"ada\"\npassword = \"s3cret\"\n").unwrap();
        assert_eq!(config.docker.registries["ghcr.io"].password, "s3cret");
        assert!(!format!("{config:?}").contains("s3cret"));
        for wrong in [
            "registries = 1",
            "registries.a = 1",
            "registries.a.username = \"u\"",
            "registries.a = { username = \"u\", password = \"p\", x = 1 }",
        ] {
            let said = read(&format!("[docker]\n{wrong}\n")).expect_err("a refusal").to_string();
            assert!(said.contains("docker.registries: this is a table of registries"), "{said}");
        }
    }
}
