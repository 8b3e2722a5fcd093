//! From the tree to a [`Definition`], noting everything that is wrong on the way.

mod container;
mod deepaas;
mod fields;
mod models;
mod table;

use std::collections::BTreeMap;

use super::Definition;
use super::node::{Node, Value};
use crate::{Problem, ProviderId, Service, StorageProvider};
use table::Reader;

/// Services in one file.
const MAX_SERVICES: usize = 10_000;

/// Reads a whole file: what could be made out, and everything that is wrong.
pub(super) fn file(node: &Node) -> (Vec<Definition>, Vec<Problem>) {
    let mut reader = Reader::strict();
    let found = read_file(&mut reader, node);
    (found, reader.finish(()).err().unwrap_or_default())
}

fn read_file(reader: &mut Reader, node: &Node) -> Vec<Definition> {
    let mut found = Vec::new();
    if let Some(mut top) = reader.table(node, "") {
        let providers =
            top.child("storage_providers").map(|node| fields::providers(reader, node, "storage_providers"));
        // Credentials of other clusters: OSCAR's client needs them, this host does not.
        top.child("clusters");
        match top.child("functions") {
            Some(node) => {
                if let Some(mut functions) = reader.table(node, "functions") {
                    if let Some(node) = functions.child("aws") {
                        let message = "functions for AWS Lambda are not run by this host".to_owned();
                        reader.say(
                            node,
                            "functions.aws",
                            message,
                            Some("keep them for SCAR, in a file of their own"),
                        );
                    }
                    if let Some(node) = functions.child("oscar") {
                        found = services(reader, node, &providers.unwrap_or_default());
                    }
                    functions.end(reader);
                }
            }
            None => reader.say(node, "functions", "there are no functions".to_owned(), None),
        }
        top.end(reader);
    }
    let mut names: Vec<&str> = found.iter().map(|definition| definition.draft.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
        reader.say(node, "functions.oscar", format!("two services are called `{}`", pair[0]), None);
    }
    found
}

fn services(
    reader: &mut Reader,
    node: &Node,
    providers: &BTreeMap<ProviderId, StorageProvider>,
) -> Vec<Definition> {
    let Value::List(list) = &node.value else {
        let help = Some("write `oscar:` and below it `- local:` with the service's fields");
        reader.say(node, "functions.oscar", "this is a list of services".to_owned(), help);
        return Vec::new();
    };
    if list.len() > MAX_SERVICES {
        reader.say(node, "functions.oscar", format!("a file has at most {MAX_SERVICES} services"), None);
        return Vec::new();
    }
    let mut found = Vec::new();
    for (idx, node) in list.iter().enumerate() {
        let path = format!("functions.oscar[{idx}]");
        let Value::Map(clusters) = &node.value else {
            reader.say(
                node,
                &path,
                "this is a cluster's name and below it the service's fields".to_owned(),
                None,
            );
            continue;
        };
        for (cluster, node) in clusters {
            let path = format!("{path}.{}", cluster.name);
            found.extend(definition(reader, node, &path, providers));
        }
    }
    found
}

/// Reads one service from the wire.
pub(super) fn service(node: &Node) -> Result<Definition, Vec<Problem>> {
    let mut reader = Reader::lenient();
    let read = definition(&mut reader, node, "", &BTreeMap::new());
    match read {
        Some(read) => reader.finish(read),
        None => Err(reader.finish(()).err().unwrap_or_default()),
    }
}

/// OSCAR's fields that mean something only to a cluster. Read past, so that its files deploy.
const CLUSTER_FIELDS: [&str; 30] = [
    "cluster_id",
    "total_memory",
    "total_cpu",
    "ephemeral_storage_request",
    "enable_sgx",
    "synchronous",
    "log_level",
    "alpine",
    "token",
    "file_stage_in",
    "image_pull_secrets",
    "expose",
    "annotations",
    "vo",
    "clusters",
    "owner",
    "namespace",
    "interlink_node_name",
    "visibility",
    "allowed_users",
    "isolation_level",
    "bucket_list",
    "mount",
    "volume",
    "volume_status",
    "deployment",
    "kserve",
    "federation",
    "replicas",
    "rescheduler_threshold",
];

fn definition(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    providers: &BTreeMap<ProviderId, StorageProvider>,
) -> Option<Definition> {
    let mut table = reader.table(node, path)?;
    let name = match table.child("name") {
        Some(node) => reader.parse(node, &table.path("name")),
        None => {
            reader.say(node, &table.path("name"), "a service has a name".to_owned(), None);
            None
        }
    };
    let place = table.child("wasm").map_or((node.line, node.column), |wasm| (wasm.line, wasm.column));
    let wasm = reader.optional(&mut table, "wasm").filter(|text: &String| !text.is_empty());
    for field in CLUSTER_FIELDS.iter().chain(&["delegation"]) {
        table.child(field);
    }
    let limits = fields::limits(reader, &mut table);
    let (container, batch, script) = container::read(reader, &mut table, &limits);
    let (models, model_files) = models::read(reader, &mut table, wasm.is_some());
    let deepaas = deepaas::read(reader, &mut table);
    let has = container::Has { wasm: wasm.is_some(), container: container.is_some(), batch: batch.is_some() };
    let execution = container::execution(reader, &mut table, has);
    let unavailable = container::unavailable(reader, &mut table);
    let retry = fields::retry(reader, &mut table);
    let mut storage_providers = providers.clone();
    if let Some(node) = table.child("storage_providers") {
        storage_providers.extend(fields::providers(reader, node, &table.path("storage_providers")));
    }
    let input = fields::inputs(reader, &mut table, &storage_providers);
    let output = fields::outputs(reader, &mut table, &storage_providers);
    // Only what the service names goes with it: credentials travel no further than they must.
    storage_providers.retain(|id, _| {
        input.iter().any(|i| i.storage_provider == *id) || output.iter().any(|o| o.storage_provider == *id)
    });
    let (environment, secrets) = fields::environment(reader, &mut table);
    let (events, http) = (fields::events(reader, &mut table), fields::http(reader, &mut table));
    if let (Some(node), true, None) = (table.child("http"), !http.is_empty(), &wasm) {
        let help = "a container answers `POST /run/NAME`";
        let message = "HTTP routes need a module".to_owned();
        reader.say(node, &table.path("http"), message, Some(help));
    }
    let (join, grants) = (fields::join(reader, &mut table), fields::grants(reader, &mut table));
    let args = reader.list(&mut table, "args");
    let instance_reuse = reader.number(&mut table, "instance_reuse", 1, 1_000_000);
    let labels = fields::labels(reader, &mut table);
    table.end(reader);
    let draft = Service {
        name: name?,
        wasm: None,
        container,
        batch,
        models,
        deepaas,
        execution,
        unavailable,
        limits,
        retry,
        input,
        output,
        events,
        http,
        join,
        grants,
        environment,
        secrets: secrets.keys().cloned().collect(),
        args,
        instance_reuse,
        storage_providers,
        labels,
    };
    Some(Definition { wasm, script, model_files, place, secrets, draft })
}

#[cfg(test)]
mod documented;
