//! What a caller of a model says: in the query, in a form, in JSON, or as a file.

use std::fmt;
use std::path::Path;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use wicket_config::deepaas::shown;
use wicket_config::{Argument, ArgumentKind, ByteSize, ObjectKey, Service};
use wicket_core::ByteStream;

use super::super::error::ApiError;
use super::super::{body, oscar, params};
use super::form::{Content, Form, Part};

/// Bytes of all arguments but the file.
const MAX_TEXT: usize = 60 << 10;
/// Counted for each argument besides its bytes, so that all of them fit into variables.
const EACH: usize = 64;
/// Arguments in all; more are refused before they are looked at.
const MAX_GIVEN: usize = 256;

/// How a caller who sets no headers says in which media type he wants his answer, and one who says everything twice.
const ACCEPT: &str = "accept";

/// The media type that the query asks for.
pub(super) fn accept_of(query: Option<&str>) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(name, _)| name == ACCEPT).map(|(_, value)| value.into_owned())
}

/// What a caller asks for.
#[derive(Debug)]
pub(super) struct Asked {
    /// All arguments but the input, with their defaults.
    pub(super) arguments: Map<String, Value>,
    /// What the service is to look at.
    pub(super) input: Input,
}

/// What a service is to look at.
pub(super) struct Input {
    /// What it is called.
    pub(super) name: Option<String>,
    /// Its media type.
    pub(super) content_type: Option<String>,
    /// Its bytes, not one of which may be there.
    pub(super) body: ByteStream,
}

impl Default for Input {
    fn default() -> Self {
        Self { name: None, content_type: None, body: Box::pin(futures::stream::empty()) }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Input {
    /// All of it, when it has at most so many bytes.
    pub(super) async fn bytes(self, most: ByteSize) -> Result<Bytes, ApiError> {
        body::whole(Body::from_stream(self.body), usize::try_from(most.0).unwrap_or(usize::MAX)).await
    }
}

/// What was said, not yet held beside what may be said.
#[derive(Debug, Default)]
struct Said {
    texts: Vec<(String, String)>,
    /// None: a body without a name, for whatever argument is a file.
    files: Vec<(Option<String>, Input)>,
}

impl Asked {
    /// Reads a call, with a file of at most so many bytes (whoever takes a body's stream counts its bytes); what is large is written below `work`. An address is fetched, as
    /// the service might do it itself.
    pub(super) async fn read(
        service: &Service,
        most: ByteSize,
        arguments: &[Argument],
        query: Option<&str>,
        headers: &HeaderMap,
        body: Body,
        work: &Path,
    ) -> Result<Self, ApiError> {
        let mut said = Said::default();
        said.pairs(query.unwrap_or_default().as_bytes());
        // The header's other form (`accept_of`), which is an argument where the service has one of that name.
        if !arguments.iter().any(|argument| argument.name.as_str() == ACCEPT) {
            said.texts.retain(|(name, _)| name != ACCEPT);
        }
        let limit = usize::try_from(most.0).unwrap_or(usize::MAX);
        match params::media_type(headers).as_deref() {
            Some("multipart/form-data") => said.form(headers, body, limit, work).await?,
            Some("application/x-www-form-urlencoded") => {
                said.pairs(&body::whole(body, MAX_TEXT).await?);
            }
            Some("application/json") => said.json(&body::whole(body, MAX_TEXT).await?)?,
            media_type => {
                let some = body::some(body).await.map_err(|error| ApiError::from_body(&error))?;
                if let Some(body) = some {
                    let content_type = media_type.map(str::to_owned);
                    said.files.push((None, Input { name: None, content_type, body }));
                }
            }
        }
        let (arguments, brought) =
            checked(arguments, said).map_err(|problems| refused(&problems.join("; ")))?;
        let input = match brought {
            Brought::Nothing => Input::default(),
            Brought::File(input) => input,
            Brought::Address(address) => fetch(service, &address, limit).await?,
        };
        Ok(Self { arguments, input })
    }
}

fn refused(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_arguments", message)
        .help("GET /swagger.json describes the arguments of each model")
}

impl Said {
    /// `a=1&b=2`.
    fn pairs(&mut self, text: &[u8]) {
        let pairs = form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned()));
        self.texts.extend(pairs.take(MAX_GIVEN + 1));
    }

    fn json(&mut self, text: &[u8]) -> Result<(), ApiError> {
        if text.is_empty() {
            return Ok(());
        }
        let all: Map<String, Value> = body::parse(text)?;
        let said = all.into_iter().filter(|(_, value)| !value.is_null());
        self.texts.extend(said.map(|(name, value)| (name, shown(&value))).take(MAX_GIVEN + 1));
        Ok(())
    }

    async fn form(
        &mut self,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
        work: &Path,
    ) -> Result<(), ApiError> {
        let mut form = Form::new(headers, body, limit, work)?;
        while let Some(Part { name: argument, file, content_type, content }) = form.next().await? {
            if self.texts.len() + self.files.len() >= MAX_GIVEN {
                return Err(refused(&format!("a call says at most {MAX_GIVEN} things")));
            }
            let content = match (&file, content) {
                // A browser sends a file that nobody has chosen without a name and without bytes.
                (Some(name), Content::Small(bytes)) if name.is_empty() && bytes.is_empty() => continue,
                (None, Content::Small(bytes)) => match String::from_utf8(bytes.into()) {
                    Ok(text) if text.len() <= MAX_TEXT => {
                        self.texts.push((argument, text));
                        continue;
                    }
                    Ok(text) => Content::Small(text.into()),
                    Err(error) => Content::Small(error.into_bytes().into()),
                },
                (_, content) => content,
            };
            let name = file.filter(|name| name.parse::<ObjectKey>().is_ok());
            self.files.push((Some(argument), Input { name, content_type, body: content.stream() }));
        }
        Ok(())
    }
}

/// What the service is to look at, as the caller brings it.
#[derive(Debug)]
enum Brought {
    Nothing,
    File(Input),
    Address(String),
}

/// Holds what was said beside what may be said; answers with everything that is wrong.
fn checked(arguments: &[Argument], said: Said) -> Result<(Map<String, Value>, Brought), Vec<String>> {
    let (mut values, mut brought, mut problems) = (Map::new(), Vec::new(), Vec::new());
    let Said { texts, files } = said;
    if texts.iter().map(|(name, text)| name.len() + text.len() + EACH).sum::<usize>() > MAX_TEXT {
        return Err(vec![format!("all arguments but the file have at most {MAX_TEXT} bytes")]);
    }
    let named = |name: &str| arguments.iter().find(|argument| argument.name.as_str() == name);
    let unknown = |name: &str| {
        let known: Vec<&str> = arguments.iter().map(|argument| argument.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!("there is no argument `{}`, there is {known}", params::shown(name))
    };
    for (name, text) in texts {
        let Some(argument) = named(&name) else {
            problems.push(unknown(&name));
            continue;
        };
        if values.contains_key(&name) {
            problems.push(format!("`{name}` is said twice"));
            continue;
        }
        if text.contains('\0') {
            problems.push(format!("`{name}` has a NUL in it"));
            continue;
        }
        match (argument.kind, argument.value(&text)) {
            (ArgumentKind::File, _) => problems.push(format!("`{name}` is a file: send it in a form")),
            (ArgumentKind::Url, _) if text.is_empty() => {}
            (ArgumentKind::Url, _) => brought.push((name, Brought::Address(text))),
            (_, Ok(value)) => {
                values.insert(name, value);
            }
            (_, Err(error)) => problems.push(error.to_string()),
        }
    }
    for (name, input) in files {
        let first = || arguments.iter().find(|argument| argument.kind == ArgumentKind::File);
        let argument = match &name {
            Some(name) => named(name),
            None => first(),
        };
        match argument {
            Some(argument) if argument.kind == ArgumentKind::File => {
                brought.push((argument.name.to_string(), Brought::File(input)));
            }
            Some(argument) => problems.push(format!("`{}` is no file", argument.name)),
            None => problems.push(match name {
                Some(name) => unknown(&name),
                None => "no argument is a file, which the body would be".to_owned(),
            }),
        }
    }
    for argument in arguments {
        let name = argument.name.as_str();
        if values.contains_key(name) || brought.iter().any(|(of, _)| of == name) {
            continue;
        }
        match &argument.default {
            Some(default) => {
                values.insert(name.to_owned(), default.clone());
            }
            None if argument.required => problems.push(format!("`{name}` is missing")),
            None => {}
        }
    }
    let inputs: Vec<String> =
        arguments.iter().filter(|one| one.is_input()).map(|one| format!("`{}`", one.name)).collect();
    if brought.len() > 1 {
        problems.push(format!("only one of {} is sent in one call", inputs.join(", ")));
    }
    // Of several one is meant; a single one says itself whether it may be left out.
    if brought.is_empty() && inputs.len() > 1 && problems.is_empty() {
        problems.push(format!("there is nothing to look at: send {}", inputs.join(" or ")));
    }
    if problems.is_empty() {
        return Ok((values, brought.pop().map_or(Brought::Nothing, |(_, brought)| brought)));
    }
    problems.truncate(10);
    Err(problems)
}

/// What is at an address, for a service that may reach it.
async fn fetch(service: &Service, address: &str, limit: usize) -> Result<Input, ApiError> {
    let got = wicket_wasm::get(&service.grants, address, limit, service.limits.timeout.0).await;
    let got = got.map_err(|error| {
        let help = "the host fetches what the service may reach: `grants.http`, and in a private network `grants.networks`";
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "not_fetched", error.to_string()).help(help)
    })?;
    let path = url::Url::parse(address).ok();
    let last = path.as_ref().and_then(|url| url.path_segments()?.next_back());
    let name = last.map(|last| percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned());
    let name = name.filter(|name| !name.is_empty() && name.parse::<ObjectKey>().is_ok());
    Ok(Input { name, content_type: got.content_type, body: Box::pin(oscar::once(got.body)) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments() -> Vec<Argument> {
        let text = json!([
            {"name": "data", "type": "file"},
            {"name": "link", "type": "url"},
            {"name": "least", "type": "number", "default": 0.5, "minimum": 0, "maximum": 1},
            {"name": "mode", "type": "string", "required": true, "choices": ["fast", "good"]},
            {"name": "boxes", "type": "boolean"},
        ]);
        serde_json::from_value(text).unwrap()
    }

    fn said(texts: &[(&str, &str)], files: &[&str]) -> Said {
        let texts = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let file = |name: &&str| (Some((*name).to_owned()).filter(|name| !name.is_empty()), Input::default());
        Said { texts, files: files.iter().map(file).collect() }
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        for files in [&["data"][..], &[""]] {
            let (values, brought) = checked(&arguments(), said(&[("mode", "fast")], files)).unwrap();
            assert_eq!(Value::from(values), json!({"least": 0.5, "mode": "fast"}));
            assert!(matches!(brought, Brought::File(_)));
        }
        let texts = [("mode", "good"), ("least", "1"), ("boxes", "true"), ("link", "http://a/b")];
        let (values, brought) = checked(&arguments(), said(&texts, &[])).unwrap();
        assert_eq!(Value::from(values), json!({"least": 1, "mode": "good", "boxes": true}));
        assert!(matches!(brought, Brought::Address(address) if address == "http://a/b"));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let texts = [("least", "2"), ("boxes", "maybe"), ("no", "1"), ("data", "x"), ("boxes", "true")];
        let problems = checked(&arguments(), said(&texts, &["mode"])).unwrap_err();
        assert_eq!(
            problems,
            [
                "`least` is more than 1",
                "`boxes` is no boolean",
                "there is no argument `no`, there is data, link, least, mode, boxes",
                "`data` is a file: send it in a form",
                "`mode` is no file",
                "`mode` is missing",
            ]
        );
        let twice = said(&[("mode", "fast"), ("mode", "good"), ("link", "http://a")], &["data"]);
        assert_eq!(
            checked(&arguments(), twice).unwrap_err(),
            ["`mode` is said twice", "only one of `data`, `link` is sent in one call",]
        );
        let nothing = checked(&arguments(), said(&[("mode", "fast")], &[])).unwrap_err();
        assert_eq!(nothing, ["there is nothing to look at: send `data` or `link`"]);
        let nul = said(&[("mode", "fast\0")], &["data"]);
        assert_eq!(checked(&arguments(), nul).unwrap_err(), ["`mode` has a NUL in it", "`mode` is missing"]);
        let large = said(&[("mode", &"x".repeat(MAX_TEXT + 1))], &[]);
        assert!(checked(&arguments(), large).unwrap_err()[0].contains("at most"));
    }
}
