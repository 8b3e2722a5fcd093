//! A service in OSCAR's JSON shape.

use serde_json::{Value, json};

use crate::{Execution, Service, StorageProvider};

/// What stands where a secret key is: OSCAR's word for it.
pub const HIDDEN: &str = "hidden";

/// The service as OSCAR's API shows one, our additions beside its fields. Values of secrets are never in it: a list of
/// their names stands where OSCAR has them, and keys of storage providers read [`HIDDEN`].
pub fn wire(service: &Service) -> Value {
    let place = |bucket: &str, folder: &str| {
        if folder.is_empty() { format!("{bucket}/") } else { format!("{bucket}/{folder}") }
    };
    let inputs = service.input.iter().map(|input| {
        json!({
            "storage_provider": input.storage_provider,
            "path": place(input.bucket.as_str(), &input.folder),
            "prefix": input.prefix,
            "suffix": input.suffix,
        })
    });
    let outputs = service.output.iter().map(|output| {
        json!({
            "storage_provider": output.storage_provider,
            "path": place(output.bucket.as_str(), &output.folder),
            "prefix": output.prefix,
            "suffix": output.suffix,
            "keep_folders": output.keep_folders,
        })
    });
    let secrets: serde_json::Map<String, Value> =
        service.secrets.iter().map(|name| (name.clone(), Value::from(""))).collect();
    let container = service.container.as_ref();
    let batch = service.batch.as_ref();
    let script = container.map_or_else(
        || batch.and_then(|batch| batch.script.as_deref()),
        |container| container.script.as_deref(),
    );
    json!({
        "name": service.name,
        "wasm": service.wasm.as_ref().map(|digest| format!("sha256:{digest}")),
        "image": container.map(|container| &container.image),
        "script": script,
        "cpu": container.map(|container| container.cpu),
        "enable_gpu": container.is_some_and(|container| container.gpus > 0),
        "container": container.map(|container| json!({
            "memory": container.memory,
            "cpu": container.cpu,
            "timeout": container.timeout,
            "pids": container.pids,
            "tmp": container.tmp,
            "gpus": (container.gpus > 0).then_some(container.gpus),
            "network": container.network,
            "user": container.user.to_string(),
            "writable_root": container.writable_root,
            "pull": container.pull,
            "warm": (container.warm > 0).then_some(container.warm),
        })),
        "batch": batch.map(|batch| json!({
            "image": batch.image,
            "memory": batch.memory,
            "cpu": batch.cpu,
            "timeout": batch.timeout,
            "wait": batch.wait,
            "gpus": (batch.gpus > 0).then_some(batch.gpus),
            "queue": batch.queue,
            "user": batch.user.to_string(),
        })),
        "models": service.models,
        "deepaas": service.deepaas,
        "execution": match service.execution {
            Execution::Wasm => "wasm",
            Execution::Container => "container",
            Execution::Batch => "batch",
            Execution::Auto => "auto",
        },
        "unavailable": service.unavailable,
        "memory": service.limits.memory,
        "limits": service.limits,
        "retry": service.retry,
        "input": inputs.collect::<Vec<_>>(),
        "output": outputs.collect::<Vec<_>>(),
        "events": service.events,
        "http": service.http,
        "join": service.join,
        "grants": service.grants,
        "environment": { "variables": service.environment, "secrets": secrets },
        "args": service.args,
        "instance_reuse": service.instance_reuse,
        "labels": service.labels,
        "storage_providers": providers(service, |_| HIDDEN),
    })
}

/// OSCAR's grouping: type, then id.
pub(super) fn providers<'s>(service: &'s Service, secret: impl Fn(&'s StorageProvider) -> &'s str) -> Value {
    let mut groups = json!({});
    for (id, provider) in &service.storage_providers {
        let (kind, name) = id.0.split_once('.').unwrap_or((&id.0, "default"));
        groups[kind][name] = json!({
            "endpoint": provider.endpoint,
            "access_key": provider.access_key,
            "secret_key": secret(provider),
            "region": provider.region,
        });
    }
    groups
}
