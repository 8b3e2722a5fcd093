//! Finds speech in a sound, and turns it into subtitles: `NAME.wav` in (16 kHz, as `split` makes it); `NAME.json` with who
//! speaks when, and `NAME.srt` out. What is said is told where the service names the models for it; else only that
//! somebody speaks. Settings are environment variables:
//!
//! | variable | default | |
//! |---|---|---|
//! | `VAD_MODEL` | `vad` | the service's silero-vad-sequence |
//! | `WHISPER_ENCODER`, `WHISPER_DECODER` | none | the service's Whisper tiny.en: both or neither |
//! | `TOKENIZER` | none | with them: `BUCKET/KEY` of its `tokenizer.json`, in a bucket that is granted |

pub mod mel;
pub mod srt;
pub mod tokens;
pub mod vad;
pub mod wav;
pub mod whisper;

use std::io::{BufReader, Write as _};

use serde::Serialize;
use vision::{faces, settings};
use wicket_sdk::nn::Model;
use wicket_sdk::{Event, Failure, Output, buckets, info};

use crate::srt::Cue;
use crate::tokens::Tokens;
use crate::whisper::Whisper;

/// Bytes of a `tokenizer.json`.
const LARGEST_TOKENIZER: usize = 16 << 20;

/// What one may ask for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the model that finds speech.
    pub vad_model: String,
    /// What turns speech into text.
    pub whisper: Option<Names>,
}

/// Where Whisper is.
#[derive(Clone, Debug)]
pub struct Names {
    /// Name of a model.
    pub encoder: String,
    /// Name of a model.
    pub decoder: String,
    /// `BUCKET/KEY`.
    pub tokenizer: String,
}

impl Settings {
    /// From the environment.
    pub fn read() -> Result<Self, String> {
        let names = ["WHISPER_ENCODER", "WHISPER_DECODER", "TOKENIZER"].map(settings::text);
        let whisper = match names {
            [None, None, _] => None,
            [Some(encoder), Some(decoder), Some(tokenizer)] => Some(Names { encoder, decoder, tokenizer }),
            _ => return Err("WHISPER_ENCODER, WHISPER_DECODER and TOKENIZER go together".to_owned()),
        };
        Ok(Self { vad_model: settings::text("VAD_MODEL").unwrap_or_else(|| "vad".to_owned()), whisper })
    }
}

#[derive(Debug, Serialize)]
struct Speech<'a> {
    audio: &'a str,
    /// Seconds.
    duration: f64,
    /// Seconds in which somebody speaks.
    speech: f64,
    /// In the order of time.
    segments: &'a [Cue],
}

wicket_sdk::function!(|event| speech(event, &Settings::read().map_err(Failure::never)?));

/// The function.
pub fn speech(mut event: Event, settings: &Settings) -> Result<String, Failure> {
    let object = event.object()?;
    let name = object.name().to_owned();
    // It is read as it comes: samples are smaller than what they come in.
    let samples =
        wav::read(BufReader::new(object)).map_err(|error| Failure::never(format!("{name}: {error}")))?;
    let vad = Model::load(&settings.vad_model)?;
    let whisper = settings.whisper.as_ref().map(whisper).transpose()?;
    let probabilities = vad::probabilities(&vad, &samples)?;
    let seconds = |samples: usize| samples as f64 / f64::from(wav::RATE);
    let mut cues = Vec::new();
    for segment in vad::segments(&probabilities, samples.len()) {
        let said = samples.get(segment.start..segment.end).unwrap_or_default();
        let text = whisper.as_ref().map(|whisper| whisper.text(said)).transpose()?;
        // Where it hears nothing that is said, there is nothing to show.
        if text.as_deref() != Some("") {
            cues.push(Cue { start: seconds(segment.start), end: seconds(segment.end), text });
        }
    }
    let speech = cues.iter().map(|cue| cue.end - cue.start).sum();
    let duration = seconds(samples.len());
    let about = Speech { audio: &name, duration, speech, segments: &cues };
    let json = serde_json::to_vec_pretty(&about).map_err(Failure::never)?;
    write(&faces::beside(&name, "json"), "application/json", &json)?;
    write(&faces::beside(&name, "srt"), "application/x-subrip", srt::srt(&cues).as_bytes())?;
    let said = format!("{name}: {duration:.1} s, {} segments, {speech:.1} s of speech", cues.len());
    info!("{said}");
    Ok(said)
}

fn whisper(names: &Names) -> Result<Whisper, Failure> {
    let Names { encoder, decoder, tokenizer } = names;
    let Some((bucket, key)) = tokenizer.split_once('/') else {
        return Err(Failure::never(format!("TOKENIZER `{tokenizer}`: write BUCKET/KEY")));
    };
    let json = buckets::open(bucket, key)?.read_all(LARGEST_TOKENIZER)?;
    let tokens =
        Tokens::read(&json).map_err(|error| Failure::never(format!("TOKENIZER `{tokenizer}`: {error}")))?;
    Whisper::load(encoder, decoder, tokens)
}

fn write(name: &str, content_type: &str, bytes: &[u8]) -> Result<(), Failure> {
    let mut output = Output::create(name, Some(content_type));
    output.write_all(bytes)?;
    Ok(output.finish()?)
}

#[cfg(test)]
mod tests;
