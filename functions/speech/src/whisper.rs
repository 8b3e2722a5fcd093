//! Speech to text: Whisper tiny.en, greedily. Each step asks for one more token, until the model says that it is done.

use wicket_sdk::Failure;
use wicket_sdk::nn::{Model, Tensor};

use crate::mel::{self, BANDS, FRAMES};
use crate::tokens::Tokens;
use crate::wav::RATE;

/// The text is done.
const END: i64 = 50_256;
/// The first token, and "no times in the text".
const BEGIN: [i64; 2] = [50_257, 50_362];
/// Tokens of one text: half of what the model has places for.
const MOST_TOKENS: usize = 224;
/// What nobody speaks faster than: without it, a model in a loop goes on to the end.
const TOKENS_PER_SECOND: usize = 12;
/// A space alone, which a text does not begin with.
const SPACE: usize = 220;
const WIDTH: usize = 384;

/// Encoder, decoder and vocabulary.
#[derive(Debug)]
pub struct Whisper {
    encoder: Model,
    decoder: Model,
    tokens: Tokens,
    unspoken: Vec<usize>,
}

impl Whisper {
    /// The models of these names.
    pub fn load(encoder: &str, decoder: &str, tokens: Tokens) -> Result<Self, Failure> {
        let unspoken = tokens.unspoken();
        Ok(Self { encoder: Model::load(encoder)?, decoder: Model::load(decoder)?, tokens, unspoken })
    }

    /// The text of a sound of at most 30 s.
    pub fn text(&self, samples: &[i16]) -> Result<String, Failure> {
        let bands = mel::log_mel(samples, FRAMES);
        let heard = Tensor::from_f32(&[1, BANDS as u32, FRAMES as u32], bands)?;
        let audio = self.encoder.run(&[("mel", &heard)])?.get("audio")?;
        if audio.bytes().len() != FRAMES / 2 * WIDTH * 4 {
            return Err(Failure::never(format!("model `{}` is no encoder of tiny.en", self.encoder.name())));
        }
        let seconds = samples.len().div_ceil(RATE as usize);
        let most = MOST_TOKENS.min(16 + seconds * TOKENS_PER_SECOND);
        let mut tokens = BEGIN.to_vec();
        while tokens.len() < BEGIN.len() + most {
            match self.next(&tokens, &audio)? {
                END => break,
                token => tokens.push(token),
            }
        }
        Ok(self.tokens.text(&tokens[BEGIN.len()..]))
    }

    /// The likeliest of the tokens that may follow.
    fn next(&self, tokens: &[i64], audio: &Tensor<'_>) -> Result<i64, Failure> {
        let so_far = Tensor::from_i64(&[1, tokens.len() as u32], tokens)?;
        let output = self.decoder.run(&[("tokens", &so_far), ("audio", audio)])?.get("logits")?;
        let logits = output.f32s()?;
        // Words and the end; behind them are marks for languages, tasks and times.
        let Some(words) = logits.get(..=END as usize) else {
            let why =
                format!("model `{}` is no decoder of tiny.en: {} logits", self.decoder.name(), logits.len());
            return Err(Failure::never(why));
        };
        let is_first = tokens.len() == BEGIN.len();
        let may_follow = |token: &usize| {
            !(self.unspoken.binary_search(token).is_ok() || is_first && matches!(*token, SPACE | 50_256))
        };
        let likeliest = (0..words.len()).filter(may_follow).max_by(|a, b| words[*a].total_cmp(&words[*b]));
        Ok(likeliest.map_or(END, |token| token as i64))
    }
}
