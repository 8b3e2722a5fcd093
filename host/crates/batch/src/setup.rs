//! The machines that jobs run on, and the queue before them: planned, shown, then made or taken away.

use std::time::{Duration, Instant};

use aws_sdk_batch::types::{
    CeState, CeStatus, CeType, ComputeEnvironmentDetail, ComputeEnvironmentOrder, ComputeResource,
    CrAllocationStrategy, CrType, Ec2Configuration, JobQueueDetail, JqState, JqStatus,
    LaunchTemplateSpecification,
};
use serde::Serialize;

use crate::aws::{Aws, BatchError};
use crate::config::BatchConfig;
use crate::definition::TAG;

/// The tag of what `wicket batch setup` has made: nothing else is taken away.
const MADE: &str = "wicketgate";
/// How long Batch may take to make or take away one thing, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(600);
const AGAIN: Duration = Duration::from_secs(2);

/// The machines and the queue as they are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The compute environment's name.
    pub compute_environment: String,
    /// The queue's name.
    pub queue: String,
    /// Types or families of machines (`m5`, `g5.xlarge`).
    pub instance_types: Vec<String>,
    /// vCPUs that are there when nothing runs, that are there at once, and that there are at most.
    pub vcpus: (u32, u32, u32),
    /// Subnets of the machines.
    pub subnets: Vec<String>,
    /// Security groups of the machines.
    pub security_groups: Vec<String>,
    /// The instance profile of the machines; it must let them read the supervisor.
    pub instance_role: String,
    /// The role of Batch itself; none: the one that AWS links to the service.
    pub service_role: Option<String>,
    /// The launch template whose user data brings the supervisor.
    pub launch_template: Option<String>,
    /// Whether the machines' system has drivers for GPUs.
    pub gpu: bool,
    /// Whether they are spare machines that AWS may take back.
    pub spot: bool,
}

/// What is done with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is made.
    Create,
    /// It is there, and stays as it is.
    Keep,
    /// It is taken away.
    Remove,
}

/// One thing, and what is done with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// What kind of thing it is.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What it is, or why it stays.
    pub about: String,
}

const ENVIRONMENT: &str = "compute environment";
const QUEUE: &str = "queue";
const DEFINITION: &str = "job definition";

/// Makes and takes away.
#[derive(Debug)]
pub struct Setup {
    aws: Aws,
    node: Option<String>,
}

impl Setup {
    /// For the Batch of this configuration; `node` is the host whose job definitions go with the rest.
    pub fn new(config: &BatchConfig, node: Option<String>) -> Self {
        Self { aws: Aws::new(config), node }
    }

    /// What would be done to have it so.
    pub async fn plan(&self, wanted: &Wanted) -> Result<Vec<Step>, BatchError> {
        let here = "is there already and stays as it is".to_owned();
        let (environment, queue) =
            (self.environment(&wanted.compute_environment).await?, self.queue(&wanted.queue).await?);
        let (min, desired, max) = wanted.vcpus;
        let machines = format!(
            "{} of {}, {min} to {max} vCPUs, {desired} at once{}",
            if wanted.spot { "spot machines" } else { "machines" },
            wanted.instance_types.join(", "),
            if wanted.gpu { ", with GPUs" } else { "" },
        );
        let step = |is_here: bool, kind, name: &str, about| match is_here {
            true => Step { action: Action::Keep, kind, name: name.to_owned(), about: here.clone() },
            false => Step { action: Action::Create, kind, name: name.to_owned(), about },
        };
        Ok(vec![
            step(environment.is_some(), ENVIRONMENT, &wanted.compute_environment, machines),
            step(queue.is_some(), QUEUE, &wanted.queue, format!("of {}", wanted.compute_environment)),
        ])
    }

    /// Does what [`Setup::plan`] has planned, and waits until it is there.
    pub async fn carry_out(&self, wanted: &Wanted, plan: &[Step]) -> Result<(), BatchError> {
        let creates = |kind: &str| plan.iter().any(|step| step.action == Action::Create && step.kind == kind);
        if creates(ENVIRONMENT) {
            self.create_environment(wanted).await?;
        }
        let arn = self.valid_environment(&wanted.compute_environment).await?;
        if creates(QUEUE) {
            let order = ComputeEnvironmentOrder::builder().order(1).compute_environment(arn).build();
            let create = self.aws.batch.create_job_queue().job_queue_name(&wanted.queue).priority(1);
            let create = create.state(JqState::Enabled).compute_environment_order(order).tags(MADE, "setup");
            create.send().await.map_err(|error| self.aws.failed("make a queue", &error))?;
        }
        self.until(QUEUE, &wanted.queue, async || {
            let queue = self.queue(&wanted.queue).await?;
            Ok(queue.is_some_and(|queue| queue.status == Some(JqStatus::Valid)))
        })
        .await
    }

    /// What would be taken away of these two, and of this host's job definitions. What `setup` has not made stays.
    pub async fn plan_teardown(&self, environment: &str, queue: &str) -> Result<Vec<Step>, BatchError> {
        let mut steps = Vec::new();
        let mut add = |kind, name: &str, made: bool| {
            let (action, about) = match made {
                true => (Action::Remove, "made by `wicket batch setup`"),
                false => (Action::Keep, "not made by `wicket batch setup`"),
            };
            steps.push(Step { action, kind, name: name.to_owned(), about: about.to_owned() });
        };
        let made = |tags: Option<&std::collections::HashMap<String, String>>| {
            tags.is_some_and(|tags| tags.contains_key(MADE))
        };
        if let Some(found) = self.queue(queue).await? {
            add(QUEUE, queue, made(found.tags()));
        }
        if let Some(found) = self.environment(environment).await? {
            add(ENVIRONMENT, environment, made(found.tags()));
        }
        for definition in self.definitions().await? {
            add(DEFINITION, &definition, true);
        }
        Ok(steps)
    }

    /// Does what [`Setup::plan_teardown`] has planned, and waits until it is gone.
    pub async fn tear_down(&self, plan: &[Step]) -> Result<(), BatchError> {
        for step in plan.iter().filter(|step| step.action == Action::Remove) {
            match step.kind {
                QUEUE => self.remove_queue(&step.name).await?,
                ENVIRONMENT => self.remove_environment(&step.name).await?,
                _ => {
                    let gone = self.aws.batch.deregister_job_definition().job_definition(&step.name).send();
                    gone.await.map_err(|error| self.aws.failed("take away a job definition", &error))?;
                }
            }
        }
        Ok(())
    }

    async fn create_environment(&self, wanted: &Wanted) -> Result<(), BatchError> {
        let count = |vcpus: u32| i32::try_from(vcpus).unwrap_or(i32::MAX);
        let (min, desired, max) = wanted.vcpus;
        let (kind, strategy) = match wanted.spot {
            true => (CrType::Spot, CrAllocationStrategy::SpotPriceCapacityOptimized),
            false => (CrType::Ec2, CrAllocationStrategy::BestFitProgressive),
        };
        let mut resources = ComputeResource::builder()
            .r#type(kind)
            .allocation_strategy(strategy)
            .minv_cpus(count(min))
            .desiredv_cpus(count(desired))
            .maxv_cpus(count(max))
            .set_instance_types(Some(wanted.instance_types.clone()))
            .set_subnets(Some(wanted.subnets.clone()))
            .set_security_group_ids(Some(wanted.security_groups.clone()))
            .instance_role(&wanted.instance_role);
        if let Some(template) = &wanted.launch_template {
            let template = LaunchTemplateSpecification::builder().launch_template_name(template);
            resources = resources.launch_template(template.version("$Latest").build());
        }
        if wanted.gpu {
            resources = resources
                .ec2_configuration(Ec2Configuration::builder().image_type("ECS_AL2023_NVIDIA").build());
        }
        let create = self.aws.batch.create_compute_environment();
        let create = create.compute_environment_name(&wanted.compute_environment).r#type(CeType::Managed);
        let create = create.state(CeState::Enabled).compute_resources(resources.build());
        let create = create.set_service_role(wanted.service_role.clone()).tags(MADE, "setup").send().await;
        create.map(drop).map_err(|error| self.aws.failed("make a compute environment", &error))
    }

    async fn valid_environment(&self, name: &str) -> Result<String, BatchError> {
        let mut arn = String::new();
        self.until(ENVIRONMENT, name, async || {
            let Some(found) = self.environment(name).await? else { return Ok(false) };
            arn = found.compute_environment_arn.unwrap_or_default();
            match found.status {
                Some(CeStatus::Invalid) => {
                    let why = found.status_reason.unwrap_or_default();
                    Err(BatchError::Lacks(format!("the compute environment `{name}` is not valid: {why}")))
                }
                status => Ok(status == Some(CeStatus::Valid)),
            }
        })
        .await?;
        Ok(arn)
    }

    async fn remove_queue(&self, name: &str) -> Result<(), BatchError> {
        let off = self.aws.batch.update_job_queue().job_queue(name).state(JqState::Disabled).send().await;
        off.map_err(|error| self.aws.failed("switch off a queue", &error))?;
        self.until(QUEUE, name, async || {
            Ok(self.queue(name).await?.is_none_or(|queue| queue.status != Some(JqStatus::Updating)))
        })
        .await?;
        let gone = self.aws.batch.delete_job_queue().job_queue(name).send().await;
        gone.map_err(|error| self.aws.failed("take away a queue", &error))?;
        self.until(QUEUE, name, async || Ok(self.queue(name).await?.is_none())).await
    }

    async fn remove_environment(&self, name: &str) -> Result<(), BatchError> {
        let off = self.aws.batch.update_compute_environment().compute_environment(name);
        let off = off.state(CeState::Disabled).send().await;
        off.map_err(|error| self.aws.failed("switch off a compute environment", &error))?;
        self.until(ENVIRONMENT, name, async || {
            Ok(self.environment(name).await?.is_none_or(|one| one.status != Some(CeStatus::Updating)))
        })
        .await?;
        let gone = self.aws.batch.delete_compute_environment().compute_environment(name).send().await;
        gone.map_err(|error| self.aws.failed("take away a compute environment", &error))?;
        self.until(ENVIRONMENT, name, async || Ok(self.environment(name).await?.is_none())).await
    }

    async fn environment(&self, name: &str) -> Result<Option<ComputeEnvironmentDetail>, BatchError> {
        let asked = self.aws.batch.describe_compute_environments().compute_environments(name).send().await;
        let found = asked.map_err(|error| self.aws.failed("tell of compute environments", &error))?;
        let is_it = |one: &ComputeEnvironmentDetail| one.compute_environment_name.as_deref() == Some(name);
        let mut all = found.compute_environments.unwrap_or_default().into_iter();
        Ok(all.find(|one| is_it(one) && one.status != Some(CeStatus::Deleted)))
    }

    async fn queue(&self, name: &str) -> Result<Option<JobQueueDetail>, BatchError> {
        let asked = self.aws.batch.describe_job_queues().job_queues(name).send().await;
        let found = asked.map_err(|error| self.aws.failed("tell of queues", &error))?;
        let is_it = |one: &JobQueueDetail| one.job_queue_name.as_deref() == Some(name);
        let mut all = found.job_queues.unwrap_or_default().into_iter();
        Ok(all.find(|one| is_it(one) && one.status != Some(JqStatus::Deleted)))
    }

    /// The job definitions of this host.
    async fn definitions(&self) -> Result<Vec<String>, BatchError> {
        let Some(node) = &self.node else { return Ok(Vec::new()) };
        let mut pages = self.aws.batch.describe_job_definitions().status("ACTIVE").into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.aws.failed("tell of job definitions", &error))?;
            let all = page.job_definitions.unwrap_or_default().into_iter();
            let own = all.filter(|one| one.tags().and_then(|tags| tags.get(TAG)) == Some(node));
            found.extend(own.filter_map(|one| one.job_definition_arn));
        }
        Ok(found)
    }

    async fn until(
        &self,
        kind: &str,
        name: &str,
        mut is_so: impl AsyncFnMut() -> Result<bool, BatchError>,
    ) -> Result<(), BatchError> {
        let end = Instant::now() + PATIENCE;
        while !is_so().await? {
            if Instant::now() > end {
                let text =
                    format!("AWS Batch is not done with the {kind} `{name}` after {} s", PATIENCE.as_secs());
                return Err(BatchError::Lacks(text));
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }
}

/// The user data of a launch template whose machines bring the supervisor: it is fetched from the work bucket with the
/// machine's own role, and checked.
pub fn user_data(folder: &str, bucket: &str, key: &str, sha256: &str) -> String {
    let program = crate::definition::PROGRAM;
    format!(
        "MIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=\"==wicketgate==\"\n\n\
         --==wicketgate==\n\
         Content-Type: text/x-shellscript; charset=\"us-ascii\"\n\n\
         #!/bin/sh\n\
         set -eu\n\
         command -v aws >/dev/null || dnf install -y awscli-2 || yum install -y awscli\n\
         mkdir -p '{folder}'\n\
         cd '{folder}'\n\
         aws s3 cp 's3://{bucket}/{key}' {program}.new\n\
         echo '{sha256}  {program}.new' | sha256sum -c -\n\
         chmod 755 {program}.new\n\
         mv {program}.new {program}\n\n\
         --==wicketgate==--\n"
    )
}
