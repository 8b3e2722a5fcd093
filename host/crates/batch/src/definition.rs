//! A version of a service as Batch knows it: one job definition.

use std::collections::HashMap;

use aws_sdk_batch::types::{
    ContainerProperties, Host, JobDefinitionType, JobTimeout, LogConfiguration, LogDriver, MountPoint,
    PlatformCapability, ResourceRequirement, ResourceType, RetryStrategy, Volume,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use wicket_config::{Batch, User};
use wicket_core::Deployment;

use crate::aws::{Aws, BatchError};
use crate::config::BatchConfig;

/// Where a job sees the supervisor's folder.
const TOOLS: &str = "/opt/wicketgate";
/// The supervisor's file.
pub(crate) const PROGRAM: &str = "wicket-supervisor";
/// Seconds that Batch gives a job beside its own time: to fetch and to send files, and to be stopped. Only when the
/// supervisor itself hangs does Batch end the job.
const BESIDE: u64 = 900;
/// The tag with the host's own word, by which its definitions are found.
pub(crate) const TAG: &str = "wicketgate-node";

/// The definitions that were registered or found, by name.
#[derive(Debug, Default)]
pub(crate) struct Definitions(Mutex<HashMap<String, String>>);

impl Definitions {
    /// The definition of a deployment, registered where it is not.
    pub(crate) async fn of(
        &self,
        aws: &Aws,
        config: &BatchConfig,
        deployment: &Deployment,
        batch: &Batch,
    ) -> Result<String, BatchError> {
        let name = name(config, deployment, batch);
        // One at a time: two that began together would register it twice.
        let mut known = self.0.lock().await;
        if let Some(arn) = known.get(&name) {
            return Ok(arn.clone());
        }
        let arn = match registered(aws, &name).await? {
            Some(arn) => arn,
            None => register(aws, config, batch, &name).await?,
        };
        known.insert(name, arn.clone());
        Ok(arn)
    }

    /// Forgets what is known: somebody has taken a definition away.
    pub(crate) async fn forget(&self) {
        self.0.lock().await.clear();
    }
}

async fn registered(aws: &Aws, name: &str) -> Result<Option<String>, BatchError> {
    let asked = aws.batch.describe_job_definitions().job_definition_name(name).status("ACTIVE").send().await;
    let found = asked.map_err(|error| aws.failed("tell of job definitions", &error))?;
    Ok(found.job_definitions.unwrap_or_default().into_iter().find_map(|one| one.job_definition_arn))
}

async fn register(aws: &Aws, config: &BatchConfig, batch: &Batch, name: &str) -> Result<String, BatchError> {
    let seconds = batch.timeout.0.as_secs() + config.grace.as_secs() + BESIDE;
    let timeout = i32::try_from(seconds).unwrap_or(i32::MAX);
    let registered = aws
        .batch
        .register_job_definition()
        .job_definition_name(name)
        .r#type(JobDefinitionType::Container)
        .platform_capabilities(PlatformCapability::Ec2)
        .container_properties(container(config, batch))
        // What is tried again is the host's to say.
        .retry_strategy(RetryStrategy::builder().attempts(1).build())
        .timeout(JobTimeout::builder().attempt_duration_seconds(timeout).build())
        .tags(TAG, &config.node)
        .send()
        .await;
    let registered = registered.map_err(|error| aws.failed("register a job definition", &error))?;
    let lacks = || BatchError::Lacks("AWS Batch named no definition that it had registered".to_owned());
    registered.job_definition_arn.ok_or_else(lacks)
}

fn container(config: &BatchConfig, batch: &Batch) -> ContainerProperties {
    let needs = |kind: ResourceType, value: u64| {
        ResourceRequirement::builder().r#type(kind).value(value.to_string()).build()
    };
    let built = ContainerProperties::builder()
        .image(batch.image.as_str())
        .command(format!("{TOOLS}/{PROGRAM}"))
        .resource_requirements(needs(ResourceType::Memory, mebibytes(batch)))
        .resource_requirements(needs(ResourceType::Vcpu, cpus(batch)))
        .set_user(is_root(batch).then(|| "root".to_owned()))
        .volumes(
            Volume::builder()
                .name("tools")
                .host(Host::builder().source_path(&config.supervisor).build())
                .build(),
        )
        .mount_points(
            MountPoint::builder().source_volume("tools").container_path(TOOLS).read_only(true).build(),
        )
        .log_configuration(
            LogConfiguration::builder()
                .log_driver(LogDriver::Awslogs)
                .options("awslogs-group", &config.log_group)
                .build(),
        );
    match batch.gpus {
        0 => built.build(),
        gpus => built.resource_requirements(needs(ResourceType::Gpu, gpus.into())).build(),
    }
}

/// Whether the job begins as root: the supervisor makes the folders and then runs the function as another.
fn is_root(batch: &Batch) -> bool {
    batch.user != User::Image
}

/// Memory in the unit of Batch, which gives no less than 4.
fn mebibytes(batch: &Batch) -> u64 {
    batch.memory.0.div_ceil(1 << 20).max(4)
}

/// Whole CPUs: on machines of EC2, Batch gives no parts of one.
fn cpus(batch: &Batch) -> u64 {
    u64::from(batch.cpu.0).div_ceil(1000).max(1)
}

/// A name that says what it is, and is another where anything of the definition is.
fn name(config: &BatchConfig, deployment: &Deployment, batch: &Batch) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{:?}", container(config, batch)));
    hash.update(format!("{:?} {:?} {}", batch.timeout, config.grace, config.node));
    let digest = hex::encode(&hash.finalize()[..6]);
    let (service, version) = (plain(deployment.service.name.as_str()), deployment.version);
    format!("wicket-{}-v{version}-{digest}", &service[..service.len().min(80)])
}

/// Only what Batch takes in a name.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::{batch, config, deployment};

    #[test]
    fn a_definition_asks_for_what_the_service_says_and_its_name_tells_versions_apart() {
        let (config, mut batch) = (config(), batch());
        batch.memory = wicket_config::ByteSize::mib(100);
        batch.cpu = wicket_config::Cpus(1500);
        batch.gpus = 2;
        let made = container(&config, &batch);
        let needs: Vec<(String, String)> = made
            .resource_requirements()
            .iter()
            .map(|one| (one.r#type().unwrap().to_string(), one.value().unwrap().to_owned()))
            .collect();
        let wanted = [("MEMORY", "100"), ("VCPU", "2"), ("GPU", "2")];
        assert_eq!(needs, wanted.map(|(kind, value)| (kind.to_owned(), value.to_owned())));
        assert_eq!(made.user(), Some("root"));
        let first = name(&config, &deployment(1), &batch);
        assert_eq!(first, name(&config, &deployment(1), &batch));
        assert_ne!(first, name(&config, &deployment(2), &batch));
        batch.gpus = 0;
        assert_ne!(first, name(&config, &deployment(1), &batch));
        batch.user = User::Image;
        assert_eq!(container(&config, &batch).user(), None);
    }
}
