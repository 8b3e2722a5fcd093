//! The models of a service: here, fetched or refused before the service stands.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use wicket_config::{BucketName, ModelDigest, ObjectKey, Service, ServiceModel};
use wicket_core::{ByteStream, chain};
use wicket_inference::InferenceError;
use wicket_wasm::FileError;

use super::{ApplyError, Catalog, Table};

/// How often a fetch may be sent elsewhere.
const REDIRECTS: usize = 5;
/// How long a server may take until its answer begins.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a service has not the models that it names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoModel {
    /// Nobody brought it.
    #[error("there is no model {0} on this host: upload it first")]
    Missing(ModelDigest),
    /// It cannot be fetched.
    #[error("cannot fetch it from {from}: {why}")]
    Fetch {
        /// From where.
        from: String,
        /// Why not.
        why: String,
    },
    /// Its file is not taken.
    #[error(transparent)]
    File(#[from] FileError),
    /// It cannot run.
    #[error(transparent)]
    Inference(#[from] InferenceError),
}

impl Catalog {
    /// Sees to it that each model of a service is here and runs: what is missing is fetched, and each is loaded, so that the
    /// first call finds it warm.
    pub(super) async fn ready(&self, service: &Service) -> Result<(), ApplyError> {
        for model in &service.models {
            let ready = async {
                self.bring(model).await?;
                let models = &self.executors.models;
                models.inference().prepare(&models.model(model)).await?;
                Ok(())
            };
            let failed = |why| ApplyError::Model(service.name.clone(), model.name.clone(), why);
            ready.await.map_err(failed)?;
        }
        Ok(())
    }

    /// Lets go of the models that no service names any more, or none as pinned: they would stay loaded for ever.
    pub(super) async fn let_go(&self, before: &Table) {
        let now = self.table();
        let models = |table: &Table| -> Vec<ServiceModel> {
            table.deployments.values().flat_map(|deployment| deployment.service.models.clone()).collect()
        };
        let now = models(&now);
        for model in models(before) {
            let stays = now.iter().any(|one| {
                let same = one.sha256 == model.sha256
                    && (one.target, one.fallback, one.backend)
                        == (model.target, model.fallback, model.backend);
                same && one.pinned >= model.pinned
            });
            if !stays {
                let models = &self.executors.models;
                models.inference().release(&models.model(&model)).await;
            }
        }
    }

    async fn bring(&self, model: &ServiceModel) -> Result<(), NoModel> {
        let (files, digest) = (self.executors.models.files(), model.sha256.as_str());
        if files.has(digest).await {
            return Ok(());
        }
        let Some(from) = &model.source else { return Err(NoModel::Missing(model.sha256.clone())) };
        let failed = |why: String| NoModel::Fetch { from: from.clone(), why };
        tracing::info!(model = digest, from, "fetching a model");
        let body = match from.contains("://") {
            true => fetch(from).await.map_err(failed)?,
            false => self.object(from).await.map_err(failed)?,
        };
        let fetching = self.executors.fetches.begin(format!("model {from}"));
        let counted = body.inspect_ok(move |piece| fetching.add(piece.len() as u64)).boxed();
        files.store(digest, counted, self.executors.max_model).await?;
        Ok(())
    }

    /// The bytes of an object of this host.
    async fn object(&self, from: &str) -> Result<ByteStream, String> {
        let (bucket, key) = from.split_once('/').ok_or("it is no bucket/key")?;
        let bucket: BucketName = bucket.parse().map_err(|error| format!("{error}"))?;
        let key: ObjectKey = key.parse().map_err(|error| format!("{error}"))?;
        let (_, body) = self.buckets.get(&bucket, &key, None).await.map_err(|error| chain(&error))?;
        Ok(body)
    }
}

/// The bytes behind an address.
async fn fetch(from: &str) -> Result<ByteStream, String> {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| format!("the machine's certificates cannot be read: {error}"))?
        .https_or_http()
        .enable_http1()
        .build();
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let mut address = url::Url::parse(from).map_err(|error| error.to_string())?;
    for _ in 0..=REDIRECTS {
        let uri = address.as_str().parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let answer = tokio::time::timeout(PATIENCE, client.get(uri)).await;
        let answer = answer.map_err(|_| format!("no answer for {} s", PATIENCE.as_secs()))?;
        let answer = answer.map_err(|error| chain(&error))?;
        if answer.status().is_redirection() {
            let to = answer.headers().get(http::header::LOCATION).and_then(|to| to.to_str().ok());
            let to = to.ok_or("it is sent elsewhere without an address")?;
            address = address.join(to).map_err(|error| error.to_string())?;
            continue;
        }
        if !answer.status().is_success() {
            return Err(format!("the answer is {}", answer.status()));
        }
        let body = answer.into_body().into_data_stream().map_err(std::io::Error::other);
        return Ok(body.boxed());
    }
    Err(format!("it was sent elsewhere more than {REDIRECTS} times"))
}
