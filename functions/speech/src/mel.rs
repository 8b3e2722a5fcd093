//! What Whisper hears: the logarithm of 80 mel bands, every 10 ms of 30 s.

use realfft::RealFftPlanner;

use crate::wav;

/// Bands.
pub const BANDS: usize = 80;
/// Frames of 30 s.
pub const FRAMES: usize = 3000;
/// Samples of one transform.
const WINDOW: usize = 400;
/// Samples from one frame to the next.
pub const HOP: usize = 160;
const BINS: usize = WINDOW / 2 + 1;

/// The bands of a sound of at most 30 s (the rest is not heard), band after band, each `frames` long. Behind the sound is
/// silence.
pub fn log_mel(samples: &[i16], frames: usize) -> Vec<f32> {
    let samples = &samples[..samples.len().min(frames * HOP)];
    let mut planner = RealFftPlanner::<f32>::new();
    let transform = planner.plan_fft_forward(WINDOW);
    let hann: Vec<f32> =
        (0..WINDOW).map(|n| 0.5 - 0.5 * (std::f32::consts::TAU * n as f32 / WINDOW as f32).cos()).collect();
    let filters = filters();
    let (mut windowed, mut spectrum) = (transform.make_input_vec(), transform.make_output_vec());
    let mut scratch = transform.make_scratch_vec();
    // Frames are centred on their time: half a window comes from before it.
    let heard = (samples.len() + WINDOW / 2).div_ceil(HOP).min(frames);
    let quiet = 1e-10_f32.log10();
    let mut bands = vec![quiet; BANDS * frames];
    for frame in 0..heard {
        for (n, (to, hann)) in windowed.iter_mut().zip(&hann).enumerate() {
            *to = sample(samples, frame * HOP + n, frames) * hann;
        }
        // Its buffers are as long as it wants them.
        if transform.process_with_scratch(&mut windowed, &mut spectrum, &mut scratch).is_err() {
            continue;
        }
        for (band, filter) in filters.iter().enumerate() {
            let power: f32 = filter.iter().map(|(bin, weight)| spectrum[*bin].norm_sqr() * weight).sum();
            bands[band * frames + frame] = power.max(1e-10).log10();
        }
    }
    let loudest = bands.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for band in &mut bands {
        *band = (band.max(loudest - 8.0) + 4.0) / 4.0;
    }
    bands
}

/// The sample at a place that counts from half a window before the sound; mirrored at its ends, silent behind it.
fn sample(samples: &[i16], place: usize, frames: usize) -> f32 {
    let half = WINDOW / 2;
    let total = frames * HOP;
    let place = match place.checked_sub(half) {
        None => half - place,
        Some(place) if place >= total => 2 * (total - 1) - place,
        Some(place) => place,
    };
    samples.get(place).copied().map_or(0.0, wav::unit)
}

/// Triangles on Slaney's mel scale, each of the same area: for each band its bins and their weights.
fn filters() -> Vec<Vec<(usize, f32)>> {
    let edge = |n: usize| hertz(mel(8000.0) * n as f64 / (BANDS + 1) as f64);
    let filter = |band: usize| {
        let (low, middle, high) = (edge(band), edge(band + 1), edge(band + 2));
        let weight = |bin: usize| {
            let at = bin as f64 * f64::from(wav::RATE) / WINDOW as f64;
            let inside = ((at - low) / (middle - low)).min((high - at) / (high - middle));
            (bin, (inside.max(0.0) * 2.0 / (high - low)) as f32)
        };
        (0..BINS).map(weight).filter(|(_, weight)| *weight > 0.0).collect()
    };
    (0..BANDS).map(filter).collect()
}

/// Linear up to 1 kHz, logarithmic above.
fn mel(hertz: f64) -> f64 {
    if hertz < 1000.0 { hertz * 3.0 / 200.0 } else { 15.0 + (hertz / 1000.0).ln() * 27.0 / 6.4_f64.ln() }
}

fn hertz(mel: f64) -> f64 {
    if mel < 15.0 { mel * 200.0 / 3.0 } else { 1000.0 * ((mel - 15.0) * 6.4_f64.ln() / 27.0).exp() }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Made by numpy in 64 bits: `golden/mel.json` tells the formula of the sound.
    #[test]
    fn bands_are_those_of_numpy() {
        let golden: Value = serde_json::from_str(include_str!("../golden/mel.json")).unwrap();
        let samples: Vec<i16> = (0..16_000_i32)
            .map(|i| {
                let noise = f64::from(i * 7919 % 1000) / 1000.0 - 0.5;
                ((noise * 0.2 + (f64::from(i) * 0.05).sin() * 0.3) * 32_768.0).round() as i16
            })
            .collect();
        let bands = log_mel(&samples, 200);
        assert_eq!(bands.len(), BANDS * 200);
        let index = |value: &Value| value.as_u64().unwrap() as usize;
        for (frame, values) in
            golden["frames"].as_array().unwrap().iter().zip(golden["values"].as_array().unwrap())
        {
            for (band, value) in golden["bands"].as_array().unwrap().iter().zip(values.as_array().unwrap()) {
                let is = f64::from(bands[index(band) * 200 + index(frame)]);
                let should = value.as_f64().unwrap();
                assert!((is - should).abs() < 2e-3, "band {band} of frame {frame}: {is}, not {should}");
            }
        }
    }

    #[test]
    fn silence_and_sounds_of_any_length_are_no_panic() {
        for length in [0, 1, 159, 200, 480_000, 500_000] {
            let bands = log_mel(&vec![0; length], FRAMES);
            assert!(bands.len() == BANDS * FRAMES && bands.iter().all(|band| (band + 1.5).abs() < 1e-6));
        }
    }
}
