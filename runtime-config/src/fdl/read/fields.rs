//! The fields of a service that are more than one value.

use std::collections::BTreeMap;

use super::table::{Reader, Table};
use crate::fdl::node::{Node, Value};
use crate::{
    BucketName, ByteSize, EventFilter, Grants, HttpRoute, Input, Join, JoinBy, Limits, Output, ProviderId,
    RESERVED_PATHS, Retry, Span, StorageProvider,
};

type Providers = BTreeMap<ProviderId, StorageProvider>;

pub(super) fn limits(reader: &mut Reader, table: &mut Table<'_>) -> Limits {
    let mut limits = Limits::default();
    // OSCAR's `memory` is the limit of the container; ours beside it wins.
    limits.memory = reader.or(table, "memory", limits.memory);
    let Some(node) = table.child("limits") else { return limits };
    let Some(mut inner) = reader.table(node, &table.path("limits")) else { return limits };
    let most = u32::MAX;
    let limits = Limits {
        memory: size(reader, &mut inner, "memory", limits.memory),
        cpu_time: span(reader, &mut inner, "cpu_time", limits.cpu_time),
        timeout: span(reader, &mut inner, "timeout", limits.timeout),
        concurrency: reader.number(&mut inner, "concurrency", limits.concurrency, 100_000),
        output: size(reader, &mut inner, "output", limits.output),
        log: size(reader, &mut inner, "log", limits.log),
        body: size(reader, &mut inner, "body", limits.body),
        table_elements: reader.number(&mut inner, "table_elements", limits.table_elements, most),
        handles: reader.number(&mut inner, "handles", limits.handles, 1_000_000),
        outgoing: reader.number(&mut inner, "outgoing", limits.outgoing, 10_000),
    };
    inner.end(reader);
    limits
}

pub(super) fn size(
    reader: &mut Reader,
    table: &mut Table<'_>,
    key: &'static str,
    default: ByteSize,
) -> ByteSize {
    let Some(node) = table.child(key) else { return default };
    match reader.parse(node, &table.path(key)) {
        Some(ByteSize(0)) => {
            reader.say(node, &table.path(key), "a limit is more than 0".to_owned(), None);
            default
        }
        Some(size) => size,
        None => default,
    }
}

pub(super) fn span(reader: &mut Reader, table: &mut Table<'_>, key: &'static str, default: Span) -> Span {
    let Some(node) = table.child(key) else { return default };
    match reader.parse::<Span>(node, &table.path(key)) {
        Some(span) if span.0.is_zero() => {
            reader.say(node, &table.path(key), "this is more than 0s".to_owned(), None);
            default
        }
        Some(span) => span,
        None => default,
    }
}

pub(super) fn retry(reader: &mut Reader, table: &mut Table<'_>) -> Retry {
    let default = Retry::default();
    let Some(node) = table.child("retry") else { return default };
    let Some(mut inner) = reader.table(node, &table.path("retry")) else { return default };
    let retry = Retry {
        attempts: reader.number(&mut inner, "attempts", default.attempts, 100),
        backoff: span(reader, &mut inner, "backoff", default.backoff),
        max_backoff: span(reader, &mut inner, "max_backoff", default.max_backoff),
    };
    inner.end(reader);
    retry
}

/// The maps of a key that is a list of maps, or one map.
pub(super) fn tables<'n>(
    reader: &mut Reader,
    table: &mut Table<'n>,
    key: &'static str,
) -> Vec<(Table<'n>, &'n Node)> {
    let Some(node) = table.child(key) else { return Vec::new() };
    let path = table.path(key);
    let nodes: Vec<(String, &Node)> = match &node.value {
        Value::List(list) => {
            list.iter().enumerate().map(|(idx, node)| (format!("{path}[{idx}]"), node)).collect()
        }
        Value::Map(_) => vec![(path, node)],
        Value::Text(_) | Value::Null => {
            reader.say(node, &path, "this is a list of maps".to_owned(), None);
            return Vec::new();
        }
    };
    nodes.into_iter().filter_map(|(path, node)| Some((reader.table(node, &path)?, node))).collect()
}

/// `type.id`, of a provider that is there.
fn provider(reader: &mut Reader, table: &mut Table<'_>, known: &Providers) -> ProviderId {
    let Some(node) = table.child("storage_provider") else { return ProviderId::default() };
    let path = table.path("storage_provider");
    let Some(text) = reader.parse::<String>(node, &path) else { return ProviderId::default() };
    let (kind, id) = text.split_once('.').unwrap_or((&text, "default"));
    let (kind, id) = (kind.to_ascii_lowercase(), if id.is_empty() { "default" } else { id });
    let found = ProviderId(format!("{kind}.{id}"));
    if !matches!(kind.as_str(), "minio" | "s3") {
        let help = "`minio.default` is this host; `s3.ID` and `minio.ID` are any S3";
        reader.say(
            node,
            &path,
            format!("storage providers of type `{kind}` are not in this release"),
            Some(help),
        );
    } else if !found.is_local() && !known.contains_key(&found) {
        let help = format!("define it under storage_providers: {kind}: {id}:");
        reader.say(node, &path, format!("there is no storage provider `{}`", found.0), Some(&help));
    }
    found
}

/// `bucket/folder`. A bare name is a whole bucket: OSCAR's older servers do so, and a folder of the service's name, as
/// its newer ones make, would take nobody's upload by surprise only here.
fn place(reader: &mut Reader, table: &mut Table<'_>, node: &Node) -> Option<(BucketName, String)> {
    let Some(child) = table.child("path") else {
        reader.say(node, &table.path("path"), "this needs a path: `bucket/folder`".to_owned(), None);
        return None;
    };
    let path = table.path("path");
    let text: String = reader.parse(child, &path)?;
    let text = text.trim_matches('/');
    let (bucket, folder) = text.split_once('/').unwrap_or((text, ""));
    let bucket = match bucket.parse() {
        Ok(bucket) => bucket,
        Err(error) => {
            reader.say(child, &path, format!("{error}"), Some("a path is `bucket/folder`"));
            return None;
        }
    };
    if folder.len() > 900 || folder.split('/').any(|part| matches!(part, "." | "..")) || folder.contains('\0')
    {
        reader.say(child, &path, "a folder has at most 900 bytes and no `.` or `..` in it".to_owned(), None);
        return None;
    }
    Some((bucket, folder.to_owned()))
}

pub(super) fn inputs(reader: &mut Reader, table: &mut Table<'_>, known: &Providers) -> Vec<Input> {
    let mut inputs = Vec::new();
    for (mut inner, node) in tables(reader, table, "input") {
        let storage_provider = provider(reader, &mut inner, known);
        let place = place(reader, &mut inner, node);
        let (prefix, suffix) = (reader.list(&mut inner, "prefix"), reader.list(&mut inner, "suffix"));
        inner.child("options");
        inner.end(reader);
        if let Some((bucket, folder)) = place {
            inputs.push(Input { storage_provider, bucket, folder, prefix, suffix });
        }
    }
    inputs
}

pub(super) fn outputs(reader: &mut Reader, table: &mut Table<'_>, known: &Providers) -> Vec<Output> {
    let mut outputs = Vec::new();
    for (mut inner, node) in tables(reader, table, "output") {
        let storage_provider = provider(reader, &mut inner, known);
        let place = place(reader, &mut inner, node);
        let (prefix, suffix) = (reader.list(&mut inner, "prefix"), reader.list(&mut inner, "suffix"));
        let keep_folders = reader.or(&mut inner, "keep_folders", false);
        inner.child("options");
        inner.end(reader);
        if let Some((bucket, folder)) = place {
            outputs.push(Output { storage_provider, bucket, folder, prefix, suffix, keep_folders });
        }
    }
    outputs
}

pub(super) fn events(reader: &mut Reader, table: &mut Table<'_>) -> Vec<EventFilter> {
    let mut filters = Vec::new();
    for (mut inner, node) in tables(reader, table, "events") {
        let filter = EventFilter {
            kind: reader.optional(&mut inner, "type"),
            source: reader.optional(&mut inner, "source"),
            subject: reader.optional(&mut inner, "subject"),
        };
        if filter == EventFilter::default() {
            let message = "a filter names a type, a source or a subject".to_owned();
            reader.say(node, &inner.path("type"), message, None);
        }
        inner.end(reader);
        filters.push(filter);
    }
    filters
}

pub(super) fn http(reader: &mut Reader, table: &mut Table<'_>) -> Vec<HttpRoute> {
    let mut routes = Vec::new();
    for (mut inner, node) in tables(reader, table, "http") {
        let host: Option<String> = reader.optional(&mut inner, "host");
        let path: String = reader.or(&mut inner, "path", String::new());
        let mut methods: Vec<String> = reader.list(&mut inner, "methods");
        methods.extend(reader.optional::<String>(&mut inner, "method"));
        for method in &mut methods {
            method.make_ascii_uppercase();
            if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
                reader.say(node, &inner.path("methods"), format!("`{method}` is no HTTP method"), None);
            }
        }
        if let Err(message) = route(&path) {
            reader.say(
                node,
                &inner.path("path"),
                message,
                Some("as in /hello, /items/{id} or /files/{*rest}"),
            );
        }
        inner.end(reader);
        routes.push(HttpRoute { host, path, methods });
    }
    routes
}

fn route(path: &str) -> Result<(), String> {
    let Some(rest) = path.strip_prefix('/') else { return Err("a path begins with `/`".to_owned()) };
    let first = rest.split('/').next().unwrap_or_default();
    if RESERVED_PATHS.contains(&first) {
        return Err(format!("`/{first}` belongs to the host"));
    }
    if path.len() > 1024 {
        return Err("a path has at most 1,024 bytes".to_owned());
    }
    matchit::Router::new().insert(path, ()).map_err(|error| format!("`{path}` is no path pattern: {error}"))
}

pub(super) fn join(reader: &mut Reader, table: &mut Table<'_>) -> Option<Join> {
    let node = table.child("join")?;
    let mut inner = reader.table(node, &table.path("join"))?;
    let by: String = reader.or(&mut inner, "by", "folder".to_owned());
    let by = match by.as_str() {
        "folder" => JoinBy::Folder,
        "bucket" => JoinBy::Bucket,
        "origin" => JoinBy::Origin,
        _ => {
            reader.say(node, &inner.path("by"), format!("`{by}` is not folder, bucket or origin"), None);
            return None;
        }
    };
    let count = match reader.number(&mut inner, "count", u32::MAX, 10_000) {
        u32::MAX => None,
        count => Some(count),
    };
    let window = match span(reader, &mut inner, "window", Span::secs(0)) {
        Span(zero) if zero.is_zero() => None,
        window => Some(window),
    };
    if count.is_none() && window.is_none() {
        let help = "`count: 24` waits for so many parts, `window: 3s` until no part has come for so long";
        reader.say(node, &table.path("join"), "a join needs a count or a window".to_owned(), Some(help));
    }
    inner.end(reader);
    Some(Join { by, count, window })
}

pub(super) fn grants(reader: &mut Reader, table: &mut Table<'_>) -> Grants {
    let Some(node) = table.child("grants") else { return Grants::default() };
    let Some(mut inner) = reader.table(node, &table.path("grants")) else { return Grants::default() };
    let grants = Grants {
        http: reader.list(&mut inner, "http"),
        networks: reader.list(&mut inner, "networks"),
        read_buckets: reader.list(&mut inner, "read_buckets"),
        load_models: reader.or(&mut inner, "load_models", false),
    };
    for network in &grants.networks {
        if network.parse::<ipnet::IpNet>().is_err() {
            let message = format!("`{network}` is no network in CIDR form");
            reader.say(node, &inner.path("networks"), message, Some("as in 10.0.0.0/8 or 127.0.0.1/32"));
        }
    }
    for host in &grants.http {
        let name = host.strip_prefix("*.").unwrap_or(host);
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        if name.is_empty() || !name.bytes().all(legal) {
            let message = format!("`{host}` is no host name");
            reader.say(
                node,
                &inner.path("http"),
                message,
                Some("as in api.example.org, *.example.org or example.org:8443"),
            );
        }
    }
    inner.end(reader);
    grants
}

type Variables = BTreeMap<String, String>;

/// `environment.variables` and `environment.secrets`.
pub(super) fn environment(reader: &mut Reader, table: &mut Table<'_>) -> (Variables, Variables) {
    let none = (Variables::new(), Variables::new());
    let Some(node) = table.child("environment") else { return none };
    let Some(mut inner) = reader.table(node, &table.path("environment")) else { return none };
    let read = (names(reader, &mut inner, "variables"), names(reader, &mut inner, "secrets"));
    inner.end(reader);
    read
}

/// A map of free names to values, with names that an environment can hold.
fn names(reader: &mut Reader, table: &mut Table<'_>, key: &'static str) -> Variables {
    let Some(node) = table.child(key) else { return Variables::new() };
    let Some(inner) = reader.table(node, &table.path(key)) else { return Variables::new() };
    let mut found = Variables::new();
    for (name, node) in inner.entries() {
        let path = inner.path(&name.name);
        if name.name.is_empty() || name.name.contains(['=', '\0']) {
            reader.say(node, &path, "an environment variable's name has no `=` in it".to_owned(), None);
            continue;
        }
        let value = match &node.value {
            Value::Null => Some(String::new()),
            Value::Text(_) | Value::List(_) | Value::Map(_) => reader.parse::<String>(node, &path),
        };
        if value.as_ref().is_some_and(|value| value.contains('\0')) {
            reader.say(node, &path, "an environment variable has no NUL in it".to_owned(), None);
        }
        found.extend(value.map(|value| (name.name.clone(), value)));
    }
    found
}

pub(super) fn labels(reader: &mut Reader, table: &mut Table<'_>) -> Variables {
    names(reader, table, "labels")
}

/// `storage_providers`: type, then id, then the fields.
pub(super) fn providers(reader: &mut Reader, node: &Node, path: &str) -> Providers {
    let mut found = Providers::new();
    let Some(kinds) = reader.table(node, path) else { return found };
    for (kind, node) in kinds.entries() {
        let path = kinds.path(&kind.name);
        let Some(ids) = reader.table(node, &path) else { continue };
        let kind = kind.name.to_ascii_lowercase();
        for (id, node) in ids.entries() {
            let path = ids.path(&id.name);
            let own = ProviderId(format!("{kind}.{}", id.name));
            // Of other types a service is told when it names one; `minio.default` is this host, whatever is said of it.
            if !matches!(kind.as_str(), "s3" | "minio") || own.is_local() {
                continue;
            }
            let Some(mut inner) = reader.table(node, &path) else { continue };
            let provider = StorageProvider {
                endpoint: reader.optional(&mut inner, "endpoint"),
                access_key: reader.or(&mut inner, "access_key", String::new()),
                secret_key: reader.or(&mut inner, "secret_key", String::new()),
                region: reader.or(&mut inner, "region", String::new()),
            };
            inner.child("verify");
            inner.end(reader);
            let endpoint = provider.endpoint.as_deref().unwrap_or("https://");
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                let message = "an endpoint begins with http:// or https://".to_owned();
                reader.say(node, &format!("{path}.endpoint"), message, None);
            }
            if kind == "minio" && provider.endpoint.is_none() {
                reader.say(
                    node,
                    &format!("{path}.endpoint"),
                    "a MinIO server has an endpoint".to_owned(),
                    None,
                );
            }
            found.insert(own, provider);
        }
    }
    found
}
