//! `deepaas` of a service.

use super::fields::tables;
use super::table::{Reader, Table};
use crate::fdl::node::Node;
use crate::{Argument, ArgumentKind, Deepaas, ServiceName, Train};

/// Arguments of a call.
const MAX_ARGUMENTS: usize = 64;
/// Media types that an answer may have.
const MAX_TYPES: usize = 32;

pub(super) fn read(reader: &mut Reader, table: &mut Table<'_>) -> Option<Deepaas> {
    let node = table.child("deepaas")?;
    let path = table.path("deepaas");
    let mut inner = reader.table(node, &path)?;
    let typical = Deepaas::default();
    let mut deepaas = Deepaas {
        description: reader.or(&mut inner, "description", String::new()),
        author: reader.or(&mut inner, "author", String::new()),
        license: reader.or(&mut inner, "license", String::new()),
        url: reader.or(&mut inner, "url", String::new()),
        accept: reader.list(&mut inner, "accept"),
        arguments: arguments(reader, &mut inner).unwrap_or(typical.arguments),
        open: reader.or(&mut inner, "open", false),
        train: train(reader, &mut inner),
    };
    if deepaas.accept.len() > MAX_TYPES {
        reader.say(node, &path, format!("a service answers in at most {MAX_TYPES} media types"), None);
    }
    if deepaas.accept.is_empty() {
        deepaas.accept = typical.accept;
    }
    inner.end(reader);
    Some(deepaas)
}

fn train(reader: &mut Reader, table: &mut Table<'_>) -> Option<Train> {
    let node = table.child("train")?;
    let mut inner = reader.table(node, &table.path("train"))?;
    let service: Option<ServiceName> = reader.optional(&mut inner, "service");
    if inner.child("service").is_none() {
        let help = Some("one with an image, say: a training runs longer than a prediction");
        let message = "this needs the `service` that trains".to_owned();
        reader.say(node, &inner.path("service"), message, help);
    }
    let arguments = arguments(reader, &mut inner).unwrap_or_default();
    inner.end(reader);
    service.map(|service| Train { service, arguments })
}

/// None: nothing is said of them.
fn arguments(reader: &mut Reader, table: &mut Table<'_>) -> Option<Vec<Argument>> {
    let node = table.child("arguments")?;
    let path = table.path("arguments");
    let mut found: Vec<Argument> = Vec::new();
    for (inner, node) in tables(reader, table, "arguments") {
        let Some(argument) = argument(reader, inner, node) else { continue };
        if found.iter().any(|one| one.name == argument.name) {
            reader.say(node, &path, format!("two arguments are called `{}`", argument.name), None);
        }
        found.push(argument);
    }
    if found.len() > MAX_ARGUMENTS {
        reader.say(node, &path, format!("a call has at most {MAX_ARGUMENTS} arguments"), None);
    }
    Some(found)
}

fn argument(reader: &mut Reader, mut table: Table<'_>, node: &Node) -> Option<Argument> {
    let name = match table.child("name") {
        Some(node) => reader.parse(node, &table.path("name")),
        None => {
            reader.say(node, &table.path("name"), "an argument has a name".to_owned(), None);
            None
        }
    };
    let kind = reader.or(&mut table, "type", ArgumentKind::default());
    let required = reader.or(&mut table, "required", false);
    let description = reader.or(&mut table, "description", String::new());
    let minimum = reader.optional(&mut table, "minimum");
    let maximum = reader.optional(&mut table, "maximum");
    let texts: Vec<String> = reader.list(&mut table, "choices");
    let default: Option<(&Node, String)> = table.child("default").and_then(|node| {
        let text = reader.parse(node, &table.path("default"))?;
        Some((node, text))
    });
    let (choices_path, default_path, bounds_path, name_path) =
        (table.path("choices"), table.path("default"), table.path("minimum"), table.path("name"));
    table.end(reader);
    let mut argument = Argument {
        name: name?,
        kind,
        required,
        default: None,
        choices: Vec::new(),
        minimum,
        maximum,
        description,
    };
    if argument.name.as_str() == "accept" {
        let help = Some("it is the media type of the answer, which `accept` beside `arguments` lists");
        reader.say(node, &name_path, "no argument is called `accept`".to_owned(), help);
    }
    let bound = |number: &Option<serde_json::Number>| number.as_ref().and_then(serde_json::Number::as_f64);
    if let (Some(least), Some(most)) = (bound(&argument.minimum), bound(&argument.maximum))
        && least > most
    {
        reader.say(node, &bounds_path, "the `minimum` is more than the `maximum`".to_owned(), None);
    }
    let is_number = matches!(kind, ArgumentKind::Integer | ArgumentKind::Number);
    if !is_number && (argument.minimum.is_some() || argument.maximum.is_some()) {
        reader.say(node, &bounds_path, format!("a {kind} has no `minimum` and no `maximum`"), None);
    }
    if argument.is_input() && !(texts.is_empty() && default.is_none()) {
        reader.say(node, &default_path, format!("a {kind} has no `default` and no `choices`"), None);
        return Some(argument);
    }
    let choices: Vec<_> = texts.iter().map(|text| argument.value(text)).collect();
    for choice in choices {
        match choice {
            Ok(value) => argument.choices.push(value),
            Err(error) => reader.say(node, &choices_path, error.to_string(), None),
        }
    }
    if let Some((node, text)) = default {
        match argument.value(&text) {
            Ok(value) => argument.default = Some(value),
            Err(error) => reader.say(node, &default_path, error.to_string(), None),
        }
    }
    Some(argument)
}
