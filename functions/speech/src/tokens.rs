//! Tokens to text: the vocabulary of a `tokenizer.json`, whose words are bytes written as letters (GPT-2's way).

use std::collections::HashMap;

use serde::Deserialize;

/// Text that nobody speaks, as marks of music are: Whisper likes to make it up.
const UNSPOKEN: &str = "\"#()*+/:;<=>@[\\]^_`{|}~「」『』♩♪♫♬♭♮♯";

/// A vocabulary.
#[derive(Debug)]
pub struct Tokens {
    words: Vec<Vec<u8>>,
}

#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    vocab: HashMap<String, u32>,
}

/// Words of a vocabulary.
const MOST_WORDS: u32 = 1 << 17;

impl Tokens {
    /// Reads a `tokenizer.json`.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let File { model } = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let Some(most) = model.vocab.values().copied().max().filter(|most| *most < MOST_WORDS) else {
            return Err(format!("it has no words, or more than {MOST_WORDS}"));
        };
        let bytes = bytes();
        let mut words = vec![Vec::new(); most as usize + 1];
        for (word, id) in model.vocab {
            words[id as usize] = word.chars().filter_map(|letter| bytes.get(&letter).copied()).collect();
        }
        Ok(Self { words })
    }

    /// What tokens say; those that are no words say nothing.
    pub fn text(&self, tokens: &[i64]) -> String {
        let word = |token: &i64| usize::try_from(*token).ok().and_then(|id| self.words.get(id));
        let bytes: Vec<u8> = tokens.iter().filter_map(word).flatten().copied().collect();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    /// Which tokens nobody speaks.
    pub fn unspoken(&self) -> Vec<usize> {
        let is_unspoken = |word: &Vec<u8>| {
            let text = String::from_utf8_lossy(word);
            let mark = text.trim_start();
            let is_dash = mark != text && matches!(mark, "-" | "'") || matches!(mark, "--" | "---");
            !mark.is_empty() && (is_dash || mark.chars().all(|letter| UNSPOKEN.contains(letter)))
        };
        (0..self.words.len()).filter(|id| is_unspoken(&self.words[*id])).collect()
    }
}

/// The byte that each letter stands for: printable ones for themselves, the others, in order, from U+0100 on.
fn bytes() -> HashMap<char, u8> {
    let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let printable = (0..=u8::MAX).filter(is_printable).map(|byte| (char::from(byte), byte));
    let others = (0..=u8::MAX).filter(|byte| !is_printable(byte));
    printable.chain(('\u{100}'..).zip(others)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_letters() {
        let json = r#"{"model": {"vocab": {"Ġgr": 0, "Ã¼": 1, "Ã": 2, "Ł": 3, "Ċ": 4, "ĠâĻª": 5, "Ġ-": 6, "-": 7}}}"#;
        let tokens = Tokens::read(json.as_bytes()).unwrap();
        assert_eq!(tokens.text(&[0, 1, 2, 3, 99, -1]), "grüß".replace('ß', "\u{df}"));
        assert_eq!(tokens.text(&[4, 0, 4]), "gr");
        assert_eq!(tokens.unspoken(), [5, 6]);
    }

    #[test]
    fn what_is_no_vocabulary_is_named() {
        for (json, named) in [
            ("{}", "missing field `model`"),
            (r#"{"model": {"vocab": {}}}"#, "it has no words"),
            (r#"{"model": {"vocab": {"a": 4294967295}}}"#, "or more than"),
            (r#"{"model": {"vocab": {"a": -1}}}"#, "invalid value"),
        ] {
            let error = Tokens::read(json.as_bytes()).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
