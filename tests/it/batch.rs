//! Services as jobs of AWS Batch: moto runs them on a real engine, with their files in an S3 that checks signatures.
//!
//! Each story has threads of its own: what stands between host and Batch works while the story waits for a process.

mod away;
mod crash;
mod flow;
mod limits;
mod setup;

use std::time::Duration;

use bollard::query_parameters::ListContainersOptionsBuilder;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use wicket_tests::batch::{BatchServer, Between, supervisor};
use wicket_tests::{Engine, IMAGE, Setup, TestHost, until};

use crate::outside::weed::{ACCESS, SECRET, Weed};

const SOON: Duration = Duration::from_secs(120);
/// The bucket of the jobs' files.
const WORK: &str = "jobs";

/// All that jobs need.
pub(crate) struct World {
    pub(crate) engine: Engine,
    weed: Weed,
    _server: BatchServer,
    pub(crate) between: Between,
}

impl World {
    pub(crate) async fn start() -> Self {
        let engine = Engine::find().await;
        let mut weed = Weed::new();
        let (server, ()) = tokio::join!(BatchServer::start(&engine), weed.start());
        weed.make(WORK).await;
        // As soon as there is a volume for it.
        weed.put(WORK, "other", "somebody's").await;
        let between = Between::start(server.endpoint()).await;
        Self { engine, weed, _server: server, between }
    }

    /// `[batch]` of a host, with more lines.
    pub(crate) fn config(&self, more: &str) -> String {
        format!(
            "[batch]\nbucket = \"{WORK}\"\nqueue = \"heavy\"\nendpoint = \"{}\"\naccess_key = \"AKIABATCH\"\n\
             secret_key = \"batch-secret-key\"\ns3_endpoint = \"{}\"\ns3_access_key = \"{ACCESS}\"\n\
             s3_secret_key = \"{SECRET}\"\nsupervisor = {:?}\npoll = \"1s\"\nstop_grace = \"1s\"\n{more}\n",
            self.between.endpoint(),
            self.weed.endpoint(),
            supervisor(),
        )
    }

    fn host(&self, more: &str) -> TestHost {
        TestHost::with(Setup { config: self.config(more), ..Setup::default() })
    }

    /// Names and states of the containers of a host's jobs.
    async fn containers(&self, host: &TestHost) -> Vec<(String, String)> {
        let node = std::fs::read_to_string(host.data().join("node-id")).expect("the host has an id");
        let ours = format!("/wicket-{}", node.get(..8).expect("a long id"));
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let all = self.engine.docker.list_containers(Some(options)).await.expect("the engine answers");
        let named = all.into_iter().filter_map(|one| {
            let name = one.names.iter().flatten().find(|name| name.starts_with(&ours)).cloned()?;
            Some((name, one.state.map(|state| state.to_string()).unwrap_or_default()))
        });
        named.collect()
    }

    /// Waits until there is nothing of a host's jobs: no object, no container.
    pub(crate) async fn clean(&self, host: &TestHost) {
        let objects = async || (self.weed.keys(WORK).await == ["other"]).then_some(());
        until("the work bucket is as it was", SOON, objects).await;
        until("no container is left", SOON, async || self.containers(host).await.is_empty().then_some(()))
            .await;
    }
}

/// Creates a service that runs a script as a job, with more fields.
async fn deploy(host: &TestHost, name: &str, script: &str, more: Value) {
    let mut service = json!({
        "name": name, "image": IMAGE, "script": script, "execution": "batch", "batch": {"timeout": "60s"},
        "input": [{"path": "box/in"}], "output": [{"path": "box/out"}],
    });
    for (field, value) in more.as_object().expect("fields") {
        service[field] = value.clone();
    }
    let answer = host.admin(Method::POST, "/system/services", service.to_string()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
}

/// The receipt of a service's only invocation, once it has its end.
async fn ended(host: &TestHost, name: &str) -> Value {
    until(&format!("{name} has its end"), SOON, async || {
        let mut receipts = host.receipts(name).await;
        let receipt = (receipts.len() == 1).then(|| receipts.remove(0))?;
        receipt["finished"].is_string().then_some(receipt)
    })
    .await
}

/// The log of an invocation, a line each.
fn log(host: &TestHost, receipt: &Value) -> String {
    host.wicket(&["logs", receipt["id"].as_str().expect("an id")]).stdout
}
