//! Where there is speech: silero-vad (its form for whole recordings) says how likely, for every 32 ms, and this makes segments of it as the package's own
//! `get_speech_timestamps` does.

use wicket_sdk::Failure;
use wicket_sdk::nn::{Model, Tensor};

use crate::wav::{self, RATE};

/// Samples of one step.
pub const STEP: usize = 512;
/// Samples of the step before that the model sees as well.
const CONTEXT: usize = 64;
/// Numbers that the model hands to its next call, twice: its LSTM's output and its cell.
const STATE: usize = 128;
/// Steps of one call: half a minute, 2.4 MB.
const STEPS: usize = 1024;

/// From this probability on speech begins …
const BEGINS: f32 = 0.5;
/// … and below this one it may end, …
const ENDS: f32 = 0.35;
/// … when it stays so for this many samples (100 ms).
const SILENCE: usize = RATE as usize / 10;
/// A shorter one is none (250 ms).
const SHORTEST: usize = RATE as usize / 4;
/// A longer one is cut in two: the transcriber takes 30 s.
pub const LONGEST: usize = 29 * RATE as usize;
/// What is added before and after (30 ms).
const PAD: usize = RATE as usize * 30 / 1000;

/// Samples from `start` to before `end`, in which somebody speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "said above")]
pub struct Segment {
    pub start: usize,
    pub end: usize,
}

/// The probability of speech in each step of a sound.
pub fn probabilities(model: &Model, samples: &[i16]) -> Result<Vec<f32>, Failure> {
    let steps = samples.len().div_ceil(STEP);
    let (mut output, mut cell) = (vec![0.0_f32; STATE], vec![0.0_f32; STATE]);
    let mut input = Vec::new();
    let mut probabilities = Vec::with_capacity(steps);
    for first in (0..steps).step_by(STEPS) {
        let here = first..(first + STEPS).min(steps);
        input.clear();
        input.extend(here.clone().flat_map(|step| numbers(samples, step)));
        let state = [1, 1, STATE as u32];
        let outputs = model.run(&[
            ("input", &Tensor::from_f32(&[here.len() as u32, (CONTEXT + STEP) as u32], &input[..])?),
            ("h", &Tensor::from_f32(&state, &output[..])?),
            ("c", &Tensor::from_f32(&state, &cell[..])?),
        ])?;
        let [said, h, c] = [outputs.get("speech_probs")?, outputs.get("hn")?, outputs.get("cn")?];
        let (said, h, c) = (said.f32s()?, h.f32s()?, c.f32s()?);
        if said.len() != here.len() || h.len() != STATE || c.len() != STATE {
            let (name, said) = (model.name(), said.len());
            let why =
                format!("model `{name}` is no silero-vad-sequence: {said} answers to {} steps", here.len());
            return Err(Failure::never(why));
        }
        probabilities.extend_from_slice(&said);
        output.copy_from_slice(&h);
        cell.copy_from_slice(&c);
    }
    Ok(probabilities)
}

/// What the model sees in a step: the end of the step before, and its own samples. Around the sound is silence.
fn numbers(samples: &[i16], step: usize) -> impl Iterator<Item = f32> {
    let sample = move |place: usize| samples.get(place.checked_sub(CONTEXT)?).copied();
    (step * STEP..step * STEP + CONTEXT + STEP).map(move |place| sample(place).map_or(0.0, wav::unit))
}

/// The segments of a sound of so many samples.
pub fn segments(probabilities: &[f32], samples: usize) -> Vec<Segment> {
    let mut found: Vec<Segment> = Vec::new();
    let mut start: Option<usize> = None;
    let mut silent_since: Option<usize> = None;
    for (index, &probability) in probabilities.iter().enumerate() {
        let now = index * STEP;
        if probability >= BEGINS {
            silent_since = None;
            let begun = *start.get_or_insert(now);
            if now - begun > LONGEST {
                let cut = quietest(probabilities, begun, now);
                found.push(Segment { start: begun, end: cut });
                start = Some(cut);
            }
        } else if let (Some(begun), true) = (start, probability < ENDS) {
            let since = *silent_since.get_or_insert(now);
            if now - since >= SILENCE {
                if since - begun > SHORTEST {
                    found.push(Segment { start: begun, end: since });
                }
                (start, silent_since) = (None, None);
            }
        }
    }
    if let Some(begun) = start.filter(|begun| samples.saturating_sub(*begun) > SHORTEST) {
        found.push(Segment { start: begun, end: samples });
    }
    padded(found, samples)
}

/// Where to cut one that is too long: at its quietest step, in its second half.
fn quietest(probabilities: &[f32], start: usize, end: usize) -> usize {
    let steps = usize::midpoint(start, end) / STEP..end / STEP;
    let quietest = steps.clone().min_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    quietest.unwrap_or(steps.start) * STEP
}

/// A little more on both sides; neighbours share what is between them.
fn padded(mut segments: Vec<Segment>, samples: usize) -> Vec<Segment> {
    for index in 0..segments.len() {
        if index == 0 {
            segments[0].start = segments[0].start.saturating_sub(PAD);
        }
        let end = segments[index].end;
        let (more, next) = match segments.get_mut(index + 1) {
            None => (PAD, None),
            Some(next) => ((next.start.saturating_sub(end) / 2).min(PAD), Some(next)),
        };
        if let Some(next) = next {
            next.start -= more;
        }
        segments[index].end = (end + more).min(samples);
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[(usize, f32)]) -> Vec<Segment> {
        let steps: Vec<f32> =
            parts.iter().flat_map(|(steps, probability)| std::iter::repeat_n(*probability, *steps)).collect();
        segments(&steps, steps.len() * STEP)
    }

    #[test]
    fn short_silences_are_part_of_speech_and_short_speech_is_none() {
        // 64 ms of silence in the middle, 1 s before the next; then a click of 64 ms.
        let found = of(&[
            (10, 0.1),
            (20, 0.9),
            (2, 0.1),
            (20, 0.9),
            (30, 0.1),
            (20, 0.8),
            (20, 0.1),
            (2, 0.9),
            (9, 0.0),
        ]);
        let at = |step: usize, more: isize| (step * STEP).saturating_add_signed(more);
        let pad = PAD as isize;
        assert_eq!(
            found,
            [
                Segment { start: at(10, -pad), end: at(52, pad) },
                Segment { start: at(82, -pad), end: at(102, pad) },
            ]
        );
        assert_eq!(of(&[(100, 0.2)]), []);
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[(100, f32::NAN)]), []);
    }

    #[test]
    fn speech_without_end_is_cut_where_it_is_quietest() {
        let found = of(&[(700, 0.9), (1, 0.6), (1200, 0.9)]);
        assert!(
            found.iter().all(|segment| segment.end - segment.start <= LONGEST + 2 * PAD + STEP),
            "{found:?}"
        );
        assert_eq!(found[0].end, 700 * STEP);
        assert_eq!(found[1].start, 700 * STEP);
        assert_eq!(found.last().unwrap().end, 1901 * STEP);
    }
}
