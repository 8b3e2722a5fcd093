//! Batch and CloudWatch Logs: the calls that are made, and what their errors mean.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_batch::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_batch::types::{JobDetail, KeyValuesPair};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use wicket_core::{Failure, ObjectError, chain};

use crate::config::BatchConfig;

/// To connect, and until an answer begins.
const PATIENCE: Duration = Duration::from_secs(20);
/// Characters of a server's words that are repeated.
const LONGEST_WORDS: usize = 300;
/// Jobs that Batch tells of in one answer.
pub(crate) const PAGE: usize = 100;

/// Why a job could not be run, or set up.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BatchError {
    /// Nobody answers, or only that it cannot now.
    #[error("AWS Batch at {at} cannot be reached: {why}")]
    Away {
        /// Where.
        at: String,
        /// Why not.
        why: String,
    },
    /// It refused.
    #[error("AWS Batch at {at} does not {what}: {why}")]
    Refused {
        /// Where.
        at: String,
        /// What was asked.
        what: &'static str,
        /// Its words.
        why: String,
    },
    /// Nobody answers for the work bucket.
    #[error("the work bucket of batch jobs: {0}")]
    NoStorage(String),
    /// The work bucket failed.
    #[error("the work bucket of batch jobs: {0}")]
    Storage(String),
    /// The service, or the host's setup, lacks something.
    #[error("{0}")]
    Lacks(String),
}

impl BatchError {
    /// What it means for an attempt of which nothing has run: it is none, where Batch or its bucket is away.
    pub(crate) fn before(&self) -> Failure {
        match self {
            Self::Away { .. } | Self::NoStorage(_) => Failure::Unavailable { message: self.to_string() },
            Self::Refused { .. } | Self::Storage(_) | Self::Lacks(_) => self.failure(),
        }
    }

    /// What it means for an attempt whose job may have run.
    pub(crate) fn failure(&self) -> Failure {
        Failure::Host { message: self.to_string() }
    }
}

impl From<ObjectError> for BatchError {
    fn from(error: ObjectError) -> Self {
        let told = chain(&error);
        if matches!(error, ObjectError::Away { .. }) { Self::NoStorage(told) } else { Self::Storage(told) }
    }
}

/// The two clients.
#[derive(Debug)]
pub(crate) struct Aws {
    pub(crate) batch: aws_sdk_batch::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    /// Where they are, for people.
    at: String,
}

/// A configuration of either: the two have the same builder, of different types.
macro_rules! client {
    ($sdk:ident, $config:expr) => {{
        let config: &BatchConfig = $config;
        let token = config.keys.session_token.as_ref().map(|token| token.reveal().to_owned());
        let (access_key, secret_key) = (&config.keys.access_key, config.keys.secret_key.reveal());
        let http = aws_smithy_http_client::Builder::new();
        let http = match &config.endpoint {
            Some(endpoint) if endpoint.starts_with("http:") => http.build_http(),
            _ => http.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https(),
        };
        let timeouts = $sdk::config::timeout::TimeoutConfig::builder();
        let mut built = $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::latest())
            .region($sdk::config::Region::new(config.region.clone()))
            .credentials_provider(Credentials::new(access_key, secret_key, token, None, "given"))
            .timeout_config(timeouts.connect_timeout(PATIENCE).read_timeout(PATIENCE).build())
            .http_client(http);
        if let Some(endpoint) = &config.endpoint {
            built = built.endpoint_url(endpoint);
        }
        $sdk::Client::from_conf(built.build())
    }};
}

impl Aws {
    pub(crate) fn new(config: &BatchConfig) -> Self {
        let at = config.endpoint.clone().unwrap_or_else(|| config.region.clone());
        Self { batch: client!(aws_sdk_batch, config), logs: client!(aws_sdk_cloudwatchlogs, config), at }
    }

    /// What a failed call means: a refusal, or that nobody answers.
    pub(crate) fn failed<E>(&self, what: &'static str, error: &SdkError<E>) -> BatchError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let at = self.at.clone();
        let SdkError::ServiceError(refusal) = error else {
            return BatchError::Away { at, why: cut(&chain(error)) };
        };
        let status = refusal.raw().status().as_u16();
        let words = [error.code(), error.message()].into_iter().flatten().collect::<Vec<_>>().join(": ");
        let why = cut(&format!("it answered {status} {words}"));
        match status {
            429 | 500.. => BatchError::Away { at, why },
            _ => BatchError::Refused { at, what, why },
        }
    }

    /// What Batch says of up to [`PAGE`] jobs; those that it does not know are left out.
    pub(crate) async fn describe(&self, ids: &[String]) -> Result<Vec<JobDetail>, BatchError> {
        let described = self.batch.describe_jobs().set_jobs(Some(ids.to_vec())).send().await;
        Ok(described.map_err(|error| self.failed("tell of jobs", &error))?.jobs.unwrap_or_default())
    }

    /// The newest job of this name in a queue.
    pub(crate) async fn find(&self, queue: &str, name: &str) -> Result<Option<String>, BatchError> {
        let filter = KeyValuesPair::builder().name("JOB_NAME").values(name).build();
        let mut pages = self.batch.list_jobs().job_queue(queue).filters(filter).into_paginator().send();
        let mut newest: Option<(i64, String)> = None;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("list jobs", &error))?;
            for job in page.job_summary_list.unwrap_or_default() {
                let created = job.created_at.unwrap_or(0);
                // An array's children have its name too, where a server lists them.
                let is_it = job.job_name.as_deref() == Some(name)
                    && job.job_id.as_deref().is_some_and(|id| !id.contains(':'));
                if let (true, Some(id)) = (is_it, job.job_id)
                    && newest.as_ref().is_none_or(|(before, _)| created >= *before)
                {
                    newest = Some((created, id));
                }
            }
        }
        Ok(newest.map(|(_, id)| id))
    }

    /// Ends a job, wherever it stands.
    pub(crate) async fn terminate(&self, id: &str, reason: &str) -> Result<(), BatchError> {
        let ended = self.batch.terminate_job().job_id(id).reason(reason).send().await;
        ended.map(drop).map_err(|error| self.failed("end a job", &error))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_WORDS).collect()
}
