//! The routes of the API, each a method.

use http::{Method, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wicket_config::ServiceName;
use wicket_core::{Fetch, InvocationId, State};

use super::body::{Body, empty, whole};
use super::transport::{As, Transport, method};
use super::{Answer, ClientError, Patience, Target};
use crate::api::devices::DeviceView;
use crate::api::view::{
    CHANGE_HEADER, ConfigView, DeadLetterView, ExplainObject, ExplainView, InvocationView, JobAccepted,
    NOTE_HEADER, RollbackRequest, RolledBack, ServiceSummary, VERSION_HEADER, VersionView,
};

/// Most receipts that the host gives at once.
const PAGE: u32 = 1000;

/// A host, seen from outside.
#[derive(Debug)]
pub(crate) struct Client {
    transport: Transport,
}

/// What became of a service that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// `created`, `updated` or `unchanged`.
    pub(crate) change: String,
    /// The version that runs now.
    pub(crate) version: Option<u32>,
    /// Why one of its variants cannot run now.
    pub(crate) note: Option<String>,
}

/// What is uploaded before the service that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A module.
    Module,
    /// A model.
    Model,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Module => "modules",
            Self::Model => "models",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Module => "application/wasm",
            Self::Model => "application/octet-stream",
        }
    }
}

/// Which receipts are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// Of this service.
    pub(crate) service: Option<ServiceName>,
    /// In this state.
    pub(crate) state: Option<State>,
    /// Of the workflow run that began with this event.
    pub(crate) origin: Option<String>,
    /// At most so many.
    pub(crate) limit: u32,
}

impl Client {
    /// A client of this host; nothing is sent yet.
    pub(crate) fn new(target: &Target) -> Result<Self, ClientError> {
        Ok(Self { transport: Transport::new(target)? })
    }

    /// What the host is, and how to reach its buckets.
    pub(crate) async fn config(&self) -> Result<ConfigView, ClientError> {
        self.get("/system/config").await
    }

    /// All services.
    pub(crate) async fn services(&self) -> Result<Vec<ServiceSummary>, ClientError> {
        self.get("/system/services").await
    }

    /// The token that calls a service.
    pub(crate) async fn token(&self, name: &ServiceName) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        struct Told {
            token: String,
        }
        let Told { token } = self.get(&format!("/system/services/{name}")).await?;
        Ok(token)
    }

    /// Creates a service, or changes it to what is said here.
    pub(crate) async fn apply(&self, service: &serde_json::Value) -> Result<Applied, ClientError> {
        let path = "/system/services";
        let answer = match self.post(Method::PUT, path, service, As::Admin, Patience::COMPILE).await {
            Err(error) if error.code() == Some("unknown_service") => {
                self.post(Method::POST, path, service, As::Admin, Patience::COMPILE).await?
            }
            answer => answer?,
        };
        let version = answer.header(VERSION_HEADER).and_then(|version| version.parse().ok());
        let change = answer.header(CHANGE_HEADER).unwrap_or("applied").to_owned();
        let note = answer.header(NOTE_HEADER).map(str::to_owned);
        Ok(Applied { change, version, note })
    }

    /// Removes a service.
    pub(crate) async fn remove(&self, name: &ServiceName) -> Result<(), ClientError> {
        self.empty(Method::DELETE, &format!("/system/services/{name}"), Patience::QUICK).await.map(drop)
    }

    /// What is on its way to the host.
    pub(crate) async fn fetches(&self) -> Result<Vec<Fetch>, ClientError> {
        self.get("/system/fetches").await
    }

    /// The devices that run models.
    pub(crate) async fn devices(&self) -> Result<Vec<DeviceView>, ClientError> {
        self.get("/system/devices").await
    }

    /// The versions of a service.
    pub(crate) async fn versions(&self, name: &ServiceName) -> Result<Vec<VersionView>, ClientError> {
        self.get(&format!("/system/services/{name}/versions")).await
    }

    /// Makes an older version the one that runs.
    pub(crate) async fn rollback(
        &self,
        name: &ServiceName,
        version: Option<u32>,
    ) -> Result<RolledBack, ClientError> {
        let path = format!("/system/services/{name}/rollback");
        let body = RollbackRequest { version };
        self.post(Method::POST, &path, &body, As::Admin, Patience::COMPILE).await?.json().await
    }

    /// Whether the host has this module or model.
    pub(crate) async fn has(&self, kind: Kind, digest: &str) -> Result<bool, ClientError> {
        let path = format!("/system/{}/{digest}", kind.path());
        match self.empty(Method::HEAD, &path, Patience::QUICK).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(http::StatusCode::NOT_FOUND) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Uploads a module or model of `size` bytes.
    pub(crate) async fn upload(
        &self,
        kind: Kind,
        digest: &str,
        body: Body,
        size: u64,
    ) -> Result<(), ClientError> {
        let request = method(Method::PUT)
            .header(header::CONTENT_TYPE, kind.media_type())
            .header(header::CONTENT_LENGTH, size);
        let path = format!("/system/{}/{digest}", kind.path());
        self.transport.send(request, &path, body, As::Admin, Patience::COMPILE).await.map(drop)
    }

    /// Runs a service on a body, and answers what it answers. `size` where it is known.
    pub(crate) async fn run(
        &self,
        name: &ServiceName,
        body: Body,
        size: Option<u64>,
        content_type: Option<&str>,
        patience: Patience,
    ) -> Result<Answer, ClientError> {
        let path = format!("/run/{name}");
        self.transport.send(called(size, content_type), &path, body, As::Caller, patience).await
    }

    /// Queues a service on a body.
    pub(crate) async fn job(
        &self,
        name: &ServiceName,
        body: Body,
        size: Option<u64>,
        content_type: Option<&str>,
        key: Option<&str>,
    ) -> Result<JobAccepted, ClientError> {
        let mut request = called(size, content_type);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.transport
            .send(request, &format!("/job/{name}"), body, As::Caller, Patience::QUICK)
            .await?
            .json()
            .await
    }

    /// Receipts, newest first: as many pages as it takes.
    pub(crate) async fn invocations(&self, page: &Page) -> Result<Vec<InvocationView>, ClientError> {
        self.pages("/system/invocations", page, |receipt: &InvocationView| receipt.id).await
    }

    /// Dead letters, newest first.
    pub(crate) async fn dead_letters(&self, page: &Page) -> Result<Vec<DeadLetterView>, ClientError> {
        self.pages("/system/dead-letters", page, |letter: &DeadLetterView| letter.receipt.id).await
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        page: &Page,
        id: impl Fn(&T) -> InvocationId,
    ) -> Result<Vec<T>, ClientError> {
        let mut all: Vec<T> = Vec::new();
        loop {
            let left = page.limit.saturating_sub(u32::try_from(all.len()).unwrap_or(u32::MAX));
            let wanted = left.min(PAGE);
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("limit", &wanted.to_string());
            if let Some(service) = &page.service {
                query.append_pair("service", service.as_str());
            }
            if let Some(state) = page.state {
                query.append_pair("state", state_name(state));
            }
            if let Some(origin) = &page.origin {
                query.append_pair("origin", origin);
            }
            if let Some(last) = all.last() {
                query.append_pair("before", &id(last).to_string());
            }
            let next: Vec<T> = self.get(&format!("{path}?{}", query.finish())).await?;
            let got = u32::try_from(next.len()).unwrap_or(u32::MAX);
            all.extend(next);
            if got < wanted || got == left {
                return Ok(all);
            }
        }
    }

    /// One receipt.
    pub(crate) async fn invocation(&self, id: InvocationId) -> Result<InvocationView, ClientError> {
        self.get(&format!("/system/invocations/{id}")).await
    }

    /// The log of an invocation as JSON lines; with `follow` until it has ended.
    pub(crate) async fn logs(&self, id: InvocationId, follow: bool) -> Result<Answer, ClientError> {
        let (query, patience) =
            if follow { ("?follow=true", Patience::FOLLOW) } else { ("", Patience::QUICK) };
        self.empty(Method::GET, &format!("/system/invocations/{id}/logs{query}"), patience).await
    }

    /// Queues a dead letter again.
    pub(crate) async fn redrive(&self, id: InvocationId) -> Result<(), ClientError> {
        self.empty(Method::POST, &format!("/system/dead-letters/{id}/redrive"), Patience::QUICK)
            .await
            .map(drop)
    }

    /// Cancels an invocation that waits or runs.
    pub(crate) async fn cancel(&self, id: InvocationId) -> Result<(), ClientError> {
        self.empty(Method::DELETE, &format!("/system/invocations/{id}"), Patience::QUICK).await.map(drop)
    }

    /// What an object starts.
    pub(crate) async fn explain_object(&self, object: &ExplainObject) -> Result<ExplainView, ClientError> {
        self.post(Method::POST, "/system/explain", object, As::Admin, Patience::QUICK).await?.json().await
    }

    /// What a CloudEvent starts.
    pub(crate) async fn explain_event(&self, event: Vec<u8>) -> Result<ExplainView, ClientError> {
        let request = method(Method::POST).header(header::CONTENT_TYPE, "application/cloudevents+json");
        let sent = self.transport.send(request, "/system/explain", whole(event), As::Admin, Patience::QUICK);
        sent.await?.json().await
    }

    /// What the event of an invocation started, and its way.
    pub(crate) async fn explain_invocation(&self, id: InvocationId) -> Result<ExplainView, ClientError> {
        self.get(&format!("/system/explain/{id}")).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.empty(Method::GET, path, Patience::QUICK).await?.json().await
    }

    async fn empty(&self, verb: Method, path: &str, patience: Patience) -> Result<Answer, ClientError> {
        self.transport.send(method(verb), path, empty(), As::Admin, patience).await
    }

    async fn post(
        &self,
        verb: Method,
        path: &str,
        body: &impl Serialize,
        who: As,
        patience: Patience,
    ) -> Result<Answer, ClientError> {
        let json = serde_json::to_vec(body).map_err(|error| ClientError::Sending(error.to_string()))?;
        let request = method(verb).header(header::CONTENT_TYPE, "application/json");
        self.transport.send(request, path, whole(json), who, patience).await
    }
}

/// A request with a body of the caller's.
fn called(size: Option<u64>, content_type: Option<&str>) -> http::request::Builder {
    let mut request = method(Method::POST);
    if let Some(size) = size {
        request = request.header(header::CONTENT_LENGTH, size);
    }
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    request
}

/// The state as the API writes it.
pub(crate) fn state_name(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Running => "running",
        State::Succeeded => "succeeded",
        State::Failed => "failed",
    }
}
