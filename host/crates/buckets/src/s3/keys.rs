//! The keys of the S3 endpoint.

/// What clients of the endpoint sign with. One pair opens all buckets of this host.
#[derive(Clone)]
pub struct Keys {
    access: String,
    secret: String,
}

impl Keys {
    /// A pair of keys.
    pub fn new(access: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { access: access.into(), secret: secret.into() }
    }

    /// The access key: it names, and is no secret.
    pub fn access(&self) -> &str {
        &self.access
    }

    /// The secret key, for a client of this host's own. Never for a log.
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("access", &self.access).finish_non_exhaustive()
    }
}
