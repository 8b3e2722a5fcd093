//! How a service is called by clients of DEEPaaS: what they are told of it, and the arguments that it takes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::container::NotAWord;
use crate::{ArgumentName, ServiceName};

/// What clients of DEEPaaS are told of a service, and may ask of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deepaas {
    /// What it does, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Who made it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// Under which licence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub license: String,
    /// Where there is more about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// What a prediction takes.
    pub arguments: Vec<Argument>,
    /// Media types that a prediction may be asked for in, the usual one first; at least one.
    pub accept: Vec<MediaType>,
    /// Whether anybody may see it and ask for a prediction, without a token.
    pub open: bool,
    /// How it is trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<Train>,
}

/// How a service is trained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Train {
    /// The service that does it.
    pub service: ServiceName,
    /// What it takes.
    #[serde(default)]
    pub arguments: Vec<Argument>,
}

/// Something that a call says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argument {
    /// What it is called.
    pub name: ArgumentName,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ArgumentKind,
    /// Whether a call without it is refused.
    #[serde(default)]
    pub required: bool,
    /// Its value when a call does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The values that it may have; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
    /// The least number that it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Number>,
    /// The greatest number that it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Number>,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What an argument is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArgumentKind {
    /// A file that the caller sends: what the service runs on.
    File,
    /// An address that the host fetches such a file from.
    Url,
    /// Text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// What is taken for granted of a service that declares a model and says nothing else: a file, or its address.
impl Default for Deepaas {
    fn default() -> Self {
        let input = |name: &str, kind, description: &str| Argument {
            name: name.parse().expect("a word"),
            kind,
            required: false,
            default: None,
            choices: Vec::new(),
            minimum: None,
            maximum: None,
            description: description.to_owned(),
        };
        Self {
            description: String::new(),
            author: String::new(),
            license: String::new(),
            url: String::new(),
            arguments: vec![
                input("data", ArgumentKind::File, "What the model looks at"),
                input("url", ArgumentKind::Url, "Where that is fetched from"),
            ],
            accept: vec![MediaType::JSON.parse().expect("a media type")],
            open: false,
            train: None,
        }
    }
}

impl Argument {
    /// Whether it brings what the service runs on.
    pub fn is_input(&self) -> bool {
        matches!(self.kind, ArgumentKind::File | ArgumentKind::Url)
    }

    /// Its value from the text of a call, or what is wrong with that.
    pub fn value(&self, text: &str) -> Result<Value, NotAValue> {
        let wrong = |what: String| NotAValue { name: self.name.clone(), what };
        let value = match self.kind {
            ArgumentKind::File | ArgumentKind::Url | ArgumentKind::String => Some(Value::from(text)),
            ArgumentKind::Integer => text.parse::<i64>().ok().map(Value::from),
            ArgumentKind::Number => {
                text.parse::<f64>().ok().and_then(Number::from_f64).map(|number| match text.parse::<i64>() {
                    Ok(whole) => Value::from(whole),
                    Err(_) => Value::Number(number),
                })
            }
            ArgumentKind::Boolean => match text {
                "true" | "True" | "1" => Some(Value::Bool(true)),
                "false" | "False" | "0" => Some(Value::Bool(false)),
                _ => None,
            },
        };
        let value = value.ok_or_else(|| wrong(format!("is no {}", self.kind)))?;
        let bounds = [(&self.minimum, "less", -1.0), (&self.maximum, "more", 1.0)];
        for (bound, word, sign) in bounds {
            if let Some(bound) = bound
                && let (Some(limit), Some(number)) = (bound.as_f64(), value.as_f64())
                && (number - limit) * sign > 0.0
            {
                return Err(wrong(format!("is {word} than {bound}")));
            }
        }
        if !self.choices.is_empty() && !self.choices.contains(&value) {
            let choices: Vec<String> = self.choices.iter().map(shown).collect();
            return Err(wrong(format!("is none of {}", choices.join(", "))));
        }
        Ok(value)
    }
}

/// A value as a command sees it: text without quotes.
pub fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A text that is no value of an argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` {what}")]
pub struct NotAValue {
    name: ArgumentName,
    what: String,
}

impl FromStr for ArgumentKind {
    type Err = NotAWord;
    fn from_str(text: &str) -> Result<Self, NotAWord> {
        match text {
            "file" => Ok(Self::File),
            "url" => Ok(Self::Url),
            "string" => Ok(Self::String),
            "integer" => Ok(Self::Integer),
            "number" => Ok(Self::Number),
            "boolean" => Ok(Self::Boolean),
            _ => Err(NotAWord("file, url, string, integer, number or boolean")),
        }
    }
}

impl fmt::Display for ArgumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Url => "url",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        })
    }
}

/// A media type without parameters: `image/jpeg`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MediaType(String);

impl MediaType {
    /// JSON's.
    pub const JSON: &'static str = "application/json";

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MediaType {
    type Err = NotAWord;
    fn from_str(text: &str) -> Result<Self, NotAWord> {
        let word = |text: &str| {
            let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
            !text.is_empty() && text.len() <= 127 && text.bytes().all(legal)
        };
        match text.split_once('/') {
            Some((kind, of)) if word(kind) && word(of) => Ok(Self(text.to_ascii_lowercase())),
            _ => Err(NotAWord("a media type, as in image/jpeg")),
        }
    }
}

impl TryFrom<String> for MediaType {
    type Error = NotAWord;
    fn try_from(text: String) -> Result<Self, NotAWord> {
        text.parse()
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> Self {
        media_type.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn argument(more: Value) -> Argument {
        let mut all = json!({"name": "least", "type": "number"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_text_is_read_as_what_the_argument_is() {
        for (kind, text, value) in [
            ("string", "0.5", json!("0.5")),
            ("integer", "-3", json!(-3)),
            ("number", "3", json!(3)),
            ("number", "0.5", json!(0.5)),
            ("boolean", "True", json!(true)),
            ("boolean", "0", json!(false)),
        ] {
            assert_eq!(argument(json!({"type": kind})).value(text), Ok(value), "{kind} {text}");
        }
        for (kind, text) in [
            ("integer", "0.5"),
            ("integer", ""),
            ("integer", "99999999999999999999"),
            ("number", "NaN"),
            ("number", "inf"),
            ("number", "1e999"),
            ("boolean", "yes"),
        ] {
            let error = argument(json!({"type": kind})).value(text).unwrap_err();
            assert_eq!(error.to_string(), format!("`least` is no {kind}"));
        }
    }

    #[test]
    fn a_value_keeps_to_its_bounds_and_choices() {
        let bounded = argument(json!({"minimum": 0, "maximum": 1.5}));
        for fine in ["0", "1.5", "0.7"] {
            bounded.value(fine).unwrap();
        }
        assert_eq!(bounded.value("-0.1").unwrap_err().to_string(), "`least` is less than 0");
        assert_eq!(bounded.value("2").unwrap_err().to_string(), "`least` is more than 1.5");
        let chosen = argument(json!({"type": "string", "choices": ["fast", "good"]}));
        chosen.value("good").unwrap();
        assert_eq!(chosen.value("best").unwrap_err().to_string(), "`least` is none of fast, good");
    }

    #[test]
    fn a_media_type_has_two_words() {
        assert_eq!("Image/JPEG".parse::<MediaType>().unwrap().as_str(), "image/jpeg");
        for bad in ["", "image", "image/", "/jpeg", "*/*", "image/*", "text/plain; charset=utf-8", "a/b/c"] {
            bad.parse::<MediaType>().unwrap_err();
        }
    }
}
