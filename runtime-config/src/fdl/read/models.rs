//! `models` of a service.

use super::fields::tables;
use super::table::{Reader, Table};
use crate::fdl::ModelSource;
use crate::fdl::node::Node;
use crate::{Batching, BucketName, ModelDigest, ObjectKey, ServiceModel, Span};

/// Models of one service.
const MAX_MODELS: usize = 32;
/// Most rows of one run.
const MOST_ROWS: u32 = 1024;

/// The models, and where those are whose content is not known yet.
pub(super) fn read(
    reader: &mut Reader,
    table: &mut Table<'_>,
    has_wasm: bool,
) -> (Vec<ServiceModel>, Vec<ModelSource>) {
    let (mut models, mut files): (Vec<ServiceModel>, Vec<ModelSource>) = Default::default();
    let path = table.path("models");
    for (mut inner, node) in tables(reader, table, "models") {
        let name = match inner.child("name") {
            Some(node) => reader.parse(node, &inner.path("name")),
            None => {
                reader.say(node, &inner.path("name"), "a model has a name".to_owned(), None);
                None
            }
        };
        let (digest, source, file) = source(reader, &mut inner, node);
        let target = reader.or(&mut inner, "target", Default::default());
        let fallback = reader.optional(&mut inner, "fallback");
        let backend = reader.or(&mut inner, "backend", Default::default());
        let batch = batch(reader, &mut inner);
        let pinned = reader.or(&mut inner, "pinned", false);
        inner.end(reader);
        let (Some(name), Some(sha256)) = (name, digest) else { continue };
        if models.iter().any(|one| one.name == name) {
            reader.say(node, &path, format!("two models are called `{}`", name.as_str()), None);
            continue;
        }
        files.extend(file.map(|file| ModelSource {
            file,
            place: (node.line, node.column),
            model: models.len(),
        }));
        models.push(ServiceModel { name, sha256, source, target, fallback, backend, batch, pinned });
    }
    if let Some(node) = table.child("models") {
        if models.len() > MAX_MODELS {
            reader.say(node, &path, format!("a service has at most {MAX_MODELS} models"), None);
        }
        if !models.is_empty() && !has_wasm {
            let help = "a container brings its own";
            reader.say(node, &path, "models are for modules: this needs `wasm`".to_owned(), Some(help));
        }
    }
    (models, files)
}

/// Its content, where the host fetches it from, and the file that has it.
fn source(
    reader: &mut Reader,
    table: &mut Table<'_>,
    node: &Node,
) -> (Option<ModelDigest>, Option<String>, Option<String>) {
    let sha256: Option<ModelDigest> = reader.optional(table, "sha256");
    let child = table.child("source");
    let path = table.path("source");
    let text: Option<String> = child.and_then(|child| reader.parse(child, &path));
    match (text, sha256) {
        (None, Some(digest)) => (Some(digest), None, None),
        (None, None) => {
            let message = "this needs a `source`: a file beside this one, https://… or bucket/key".to_owned();
            reader.say(node, &path, message, None);
            (None, None, None)
        }
        (Some(text), _) if text.starts_with("sha256:") => {
            (child.and_then(|child| reader.parse(child, &path)), None, None)
        }
        (Some(text), Some(digest)) if is_fetched(&text) => (Some(digest), Some(text), None),
        (Some(text), None) if text.contains("://") => {
            let help = Some("what is fetched is checked against it");
            reader.say(child.unwrap_or(node), &path, "this needs `sha256` beside it".to_owned(), help);
            (None, None, None)
        }
        (Some(text), Some(_)) => {
            let message = format!("`{text}` is no address that a host fetches from");
            let help = Some("https://… or bucket/key; a file beside this one needs no `sha256`");
            reader.say(child.unwrap_or(node), &path, message, help);
            (None, None, None)
        }
        (Some(file), None) => (Some(ModelDigest::unknown()), None, Some(file)),
    }
}

/// Whether a host fetches from there itself.
fn is_fetched(source: &str) -> bool {
    let object = |(bucket, key): (&str, &str)| {
        bucket.parse::<BucketName>().is_ok() && key.parse::<ObjectKey>().is_ok()
    };
    source.starts_with("https://")
        || source.starts_with("http://")
        || source.split_once('/').is_some_and(object)
}

fn batch(reader: &mut Reader, table: &mut Table<'_>) -> Batching {
    let default = Batching::default();
    let Some(node) = table.child("batch") else { return default };
    let Some(mut inner) = reader.table(node, &table.path("batch")) else { return default };
    let batch = Batching {
        size: reader.number(&mut inner, "size", default.size, MOST_ROWS),
        window: reader.or(&mut inner, "window", default.window),
        independent: reader.or(&mut inner, "independent", default.independent),
    };
    if batch.window > Span::secs(1) {
        let path = inner.path("window");
        reader.say(node, &path, "a call waits at most 1s for others".to_owned(), None);
    }
    inner.end(reader);
    batch
}
