//! The variables that tell a command where its files are and what it runs on.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use wicket_core::{Data, Event, kinds};

use crate::Workspace;

/// An event that is larger comes as a file only.
const LARGEST_VARIABLE: usize = 64 << 10;
/// Bytes of all variables that are made of the query, or the arguments, of one event: a program cannot be started with any number of them.
const LARGEST_QUERY: usize = 64 << 10;

/// Where the command sees the folders.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The input folder.
    pub input: &'static str,
    /// The output folder.
    pub output: &'static str,
    /// The event's file.
    pub event: &'static str,
}

impl Workspace {
    /// The variables of OSCAR's supervisor, and `EVENT_FILE` for what does not fit into one.
    pub fn environment(&self, event: &Event, places: Places) -> Vec<(String, String)> {
        let mut all = Vec::with_capacity(8);
        let mut set = |name: &str, value: String| all.push((name.to_owned(), value));
        set("TMP_INPUT_DIR", places.input.to_owned());
        set("TMP_OUTPUT_DIR", places.output.to_owned());
        match self.names.as_slice() {
            [] => {}
            // A join of one part is a folder, as any join.
            [one] if !matches!(event.data, Data::Parts(_)) => {
                set("INPUT_FILE_PATH", format!("{}/{one}", places.input));
            }
            _ => set("INPUT_FILE_PATH", places.input.to_owned()),
        }
        if let Some(object) = event.object().filter(|object| !object.is_posted()) {
            set("STORAGE_OBJECT_KEY", object.key.to_string());
        }
        set("EVENT_TIME", event.time.to_string());
        set("EVENT_FILE", places.event.to_owned());
        let bytes = self.bytes.as_deref().unwrap_or_default();
        if let (true, Ok(text)) = (bytes.len() <= LARGEST_VARIABLE, std::str::from_utf8(bytes))
            && self.bytes.is_some()
            && !text.contains('\0')
        {
            set("EVENT", text.to_owned());
        }
        for (name, value) in query(bytes).into_iter().chain(arguments(event)) {
            set(&format!("CONT_VAR_{name}"), value);
        }
        all
    }
}

/// The query of a request that came through AWS's API Gateway, as names that a variable can have.
fn query(event: &[u8]) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Request {
        #[serde(rename = "httpMethod")]
        _http_method: String,
        query_string_parameters: Option<BTreeMap<String, String>>,
    }
    let Ok(request) = serde_json::from_slice::<Request>(event) else { return BTreeMap::new() };
    variables(request.query_string_parameters.unwrap_or_default())
}

/// What a client of DEEPaaS said beside its file. Null is not said.
fn arguments(event: &Event) -> BTreeMap<String, String> {
    let text = match event.kind.as_str() {
        kinds::PREDICT | kinds::TRAIN => event.extensions.get(kinds::ARGUMENTS),
        _ => None,
    };
    let Some(Ok(all)) = text.map(|text| serde_json::from_str::<BTreeMap<String, Value>>(text)) else {
        return BTreeMap::new();
    };
    let said = all.into_iter().filter(|(_, value)| !value.is_null());
    variables(said.map(|(name, value)| (name, wicket_config::deepaas::shown(&value))))
}

/// Those that variables can be made of.
fn variables(all: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let word = |name: &str| {
        !name.is_empty()
            && name.len() <= 128
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let fits = |(name, value): &(String, String)| word(name) && !value.contains('\0');
    let mut room = LARGEST_QUERY;
    let has_room = |(name, value): &(String, String)| {
        let size = name.len() + value.len() + 16;
        room = room.saturating_sub(size);
        room > 0
    };
    all.into_iter().filter(fits).take_while(has_room).collect()
}

#[cfg(test)]
mod tests {
    use wicket_core::{Event, EventId, kinds};

    use super::{arguments, query};

    #[test]
    fn what_a_client_of_deepaas_says_becomes_variables() {
        let mut event = Event::new("/v2/models/a", kinds::PREDICT, EventId::random());
        let text = r#"{"least":0.5,"mode":"fast","boxes":true,"none":null,"nul":"a\u0000b"}"#;
        event.extensions.insert(kinds::ARGUMENTS.to_owned(), text.to_owned());
        let found: Vec<_> = arguments(&event).into_iter().collect();
        let told = [("boxes", "true"), ("least", "0.5"), ("mode", "fast")];
        assert_eq!(found, told.map(|(name, value)| (name.to_owned(), value.to_owned())));
        // Anybody may send an event with such an extension.
        event.kind = kinds::POSTED.to_owned();
        assert!(arguments(&event).is_empty());
    }

    #[test]
    fn the_query_of_a_gateway_request_becomes_variables() {
        let event =
            br#"{"httpMethod":"GET","queryStringParameters":{"size":"64","a=b":"x","":"y","n":"a\u0000b"}}"#;
        assert_eq!(query(event).into_iter().collect::<Vec<_>>(), [("size".to_owned(), "64".to_owned())]);
        let many = (0..100_000).map(|n| format!("\"n{n}\":\"v\"")).collect::<Vec<_>>().join(",");
        let many = format!("{{\"httpMethod\":\"GET\",\"queryStringParameters\":{{{many}}}}}");
        assert!(query(many.as_bytes()).len() < 5_000);
        for other in [&b"{}"[..], br#"{"httpMethod":"GET","queryStringParameters":null}"#, b"not json"] {
            assert!(query(other).is_empty());
        }
    }
}
