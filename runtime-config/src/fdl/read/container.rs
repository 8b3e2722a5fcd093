//! The fields of a service that are about its container.

use super::fields::{size, span};
use super::table::{Reader, Table};
use crate::{ByteSize, Container, Cpus, Execution, Limits, Network, Pull, Span, User};

/// Longest a container may run when nobody says how long.
const TIMEOUT: Span = Span::secs(3600);
/// Processes and threads of a container when nobody says how many.
const PIDS: u32 = 512;
/// Size of its `/tmp` when nobody says how large.
const TMP: ByteSize = ByteSize::mib(64);

/// The container, and in a file of services the path of its script. OSCAR's fields stand beside the service's name, what
/// it does not have in `container`, which goes before them.
pub(super) fn read(
    reader: &mut Reader,
    table: &mut Table<'_>,
    limits: &Limits,
) -> (Option<Container>, Option<String>) {
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
    });
    if let Some(node) = table.child("container") {
        let path = table.path("container");
        match (&mut container, reader.table(node, &path)) {
            (Some(container), Some(inner)) => more(reader, inner, container),
            (None, Some(_)) => reader.say(node, &path, "this needs an `image`".to_owned(), None),
            (Some(_) | None, None) => {}
        }
    }
    let (container, script) = match (container, script) {
        (Some(container), Some(text)) if reader.is_wire() => {
            (Some(Container { script: Some(text), ..container }), None)
        }
        // A script for an image that is not there: OSCAR's file with the image taken away.
        (None, _) => (None, None),
        both => both,
    };
    (container, script)
}

fn more(reader: &mut Reader, mut table: Table<'_>, container: &mut Container) {
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
    table.end(reader);
}

pub(super) fn execution(
    reader: &mut Reader,
    table: &mut Table<'_>,
    wasm: bool,
    container: bool,
) -> Execution {
    let Some(node) = table.child("execution") else { return Execution::Auto };
    let path = table.path("execution");
    let text: Option<String> = reader.parse(node, &path);
    let (execution, missing) = match text.as_deref() {
        None | Some("" | "auto") => (Execution::Auto, None),
        Some("wasm") => (Execution::Wasm, (!wasm).then_some("wasm")),
        Some("container") => (Execution::Container, (!container).then_some("image")),
        Some(_) => {
            reader.say(node, &path, "this is wasm, container or auto".to_owned(), None);
            return Execution::Auto;
        }
    };
    if let Some(missing) = missing {
        reader.say(node, &path, format!("this needs `{missing}`"), None);
    }
    execution
}
