//! The fields of a service that are about its container and its job, and about which of its variants runs.

use super::fields::{size, span};
use super::table::{Reader, Table};
use crate::{Batch, ByteSize, Container, Cpus, Execution, Limits, Network, Pull, Span, Unavailable, User};

/// Longest a container may run when nobody says how long.
const TIMEOUT: Span = Span::secs(3600);
/// Processes and threads of a container when nobody says how many.
const PIDS: u32 = 512;
/// Most containers that a service may keep.
const MOST_WARM: u32 = 64;
/// Size of its `/tmp` when nobody says how large.
const TMP: ByteSize = ByteSize::mib(64);
/// How long a job may stand in a queue when nobody says how long.
const WAIT: Span = Span::secs(24 * 3600);

/// The container, the job, and in a file of services the path of their script. OSCAR's fields stand beside the service's name, what
/// it does not have in `container`, which goes before them.
pub(super) fn read(
    reader: &mut Reader,
    table: &mut Table<'_>,
    limits: &Limits,
) -> (Option<Container>, Option<Batch>, Option<String>) {
    let image = reader.optional(table, "image");
    let script = reader.optional::<String>(table, "script").filter(|script| !script.is_empty());
    // OSCAR gives a fifth of a CPU to what does not ask: on one machine that makes a job of a second take five.
    let cpu = reader.or(table, "cpu", Cpus(1000));
    let gpu = reader.or(table, "enable_gpu", false);
    let prefetch = reader.or(table, "image_prefetch", false);
    let mut container = image.map(|image| Container {
        image,
        content: None,
        script: None,
        memory: limits.memory,
        cpu,
        timeout: TIMEOUT,
        pids: PIDS,
        tmp: TMP,
        gpus: u32::from(gpu),
        network: Network::None,
        user: User::Unprivileged,
        writable_root: false,
        pull: if prefetch { Pull::Always } else { Pull::Missing },
        warm: 0,
    });
    if let Some(node) = table.child("container") {
        let path = table.path("container");
        match (&mut container, reader.table(node, &path)) {
            (Some(container), Some(inner)) => more(reader, inner, container, script.is_some()),
            (None, Some(_)) => reader.say(node, &path, "this needs an `image`".to_owned(), None),
            (Some(_) | None, None) => {}
        }
    }
    let mut batch = batch(reader, table, container.as_ref(), limits, cpu);
    // A script for an image that is not there: OSCAR's file with the image taken away.
    let script = script.filter(|_| container.is_some() || batch.is_some());
    if !reader.is_wire() {
        return (container, batch, script);
    }
    if let Some(container) = &mut container {
        container.script.clone_from(&script);
    }
    if let Some(batch) = &mut batch {
        batch.script = script;
    }
    (container, batch, None)
}

/// The job: what it does not say is as in the container.
fn batch(
    reader: &mut Reader,
    table: &mut Table<'_>,
    container: Option<&Container>,
    limits: &Limits,
    cpu: Cpus,
) -> Option<Batch> {
    let node = table.child("batch")?;
    let path = table.path("batch");
    let mut inner = reader.table(node, &path)?;
    let image = reader.optional(&mut inner, "image").or_else(|| Some(container?.image.clone()));
    let default = container.map_or_else(Default::default, |container| container.user.clone());
    let batch = image.map(|image| Batch {
        image,
        script: None,
        memory: size(reader, &mut inner, "memory", container.map_or(limits.memory, |one| one.memory)),
        cpu: reader.or(&mut inner, "cpu", container.map_or(cpu, |one| one.cpu)),
        gpus: match inner.child("gpus").is_some() {
            true => reader.number(&mut inner, "gpus", 1, 64),
            false => container.map_or(0, |container| container.gpus),
        },
        timeout: span(reader, &mut inner, "timeout", container.map_or(TIMEOUT, |one| one.timeout)),
        wait: span(reader, &mut inner, "wait", WAIT),
        queue: reader.optional(&mut inner, "queue").filter(|name: &String| !name.is_empty()),
        user: reader.or(&mut inner, "user", default),
    });
    if batch.is_none() {
        reader.say(node, &path, "this needs an `image`, here or beside the service's name".to_owned(), None);
        return None;
    }
    inner.end(reader);
    batch
}

/// What happens while what a variant runs on is away.
pub(super) fn unavailable(reader: &mut Reader, table: &mut Table<'_>) -> Unavailable {
    let default = Unavailable::default();
    let Some(node) = table.child("unavailable") else { return default };
    let Some(mut inner) = reader.table(node, &table.path("unavailable")) else { return default };
    let then = reader.or(&mut inner, "then", default.then);
    let timeout = span(reader, &mut inner, "timeout", default.timeout);
    inner.end(reader);
    Unavailable { then, timeout }
}

/// Which variants a service has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Has {
    pub(super) wasm: bool,
    pub(super) container: bool,
    pub(super) batch: bool,
}

fn more(reader: &mut Reader, mut table: Table<'_>, container: &mut Container, has_script: bool) {
    let inner = &mut table;
    container.memory = size(reader, inner, "memory", container.memory);
    container.cpu = reader.or(inner, "cpu", container.cpu);
    container.timeout = span(reader, inner, "timeout", container.timeout);
    container.pids = reader.number(inner, "pids", container.pids, 1_000_000);
    container.tmp = size(reader, inner, "tmp", container.tmp);
    container.gpus = match inner.child("gpus").is_some() {
        true => reader.number(inner, "gpus", container.gpus, 64),
        false => container.gpus,
    };
    container.network = reader.or(inner, "network", container.network);
    container.user = reader.or(inner, "user", container.user.clone());
    container.writable_root = reader.or(inner, "writable_root", container.writable_root);
    container.pull = reader.or(inner, "pull", container.pull);
    if let Some(node) = inner.child("warm") {
        container.warm = reader.number(inner, "warm", container.warm, MOST_WARM);
        if !has_script {
            let path = inner.path("warm");
            reader.say(
                node,
                &path,
                "this needs a `script`: an image's own command runs once".to_owned(),
                None,
            );
        }
    }
    table.end(reader);
}

pub(super) fn execution(reader: &mut Reader, table: &mut Table<'_>, has: Has) -> Execution {
    let Some(node) = table.child("execution") else { return Execution::Auto };
    let path = table.path("execution");
    let text: Option<String> = reader.parse(node, &path);
    let (execution, missing) = match text.as_deref() {
        None | Some("" | "auto") => (Execution::Auto, None),
        Some("wasm") => (Execution::Wasm, (!has.wasm).then_some("wasm")),
        Some("container") => (Execution::Container, (!has.container).then_some("image")),
        Some("batch") => (Execution::Batch, (!has.batch).then_some("batch")),
        Some(_) => {
            reader.say(node, &path, "this is wasm, container, batch or auto".to_owned(), None);
            return Execution::Auto;
        }
    };
    if let Some(missing) = missing {
        reader.say(node, &path, format!("this needs `{missing}`"), None);
    }
    execution
}
