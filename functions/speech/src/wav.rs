//! Sound to samples. Whoever uploads a sound chooses its bytes: how long it may be is fixed.

use std::fmt;
use std::io::Read;

use hound::{SampleFormat, WavReader};

/// Samples a second.
pub const RATE: u32 = 16_000;
/// Seconds of a sound: two bytes for each sample, 115 MB in memory.
pub const MOST_SECONDS: u32 = 3600;
const MOST_CHANNELS: u16 = 8;
/// What a sample of 1 is.
const FULL: f32 = 32_768.0;

/// Why there is no sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no WAV of numbers, or a damaged one: what the decoder says.
    Unknown(String),
    /// Another rate than [`RATE`].
    Rate(u32),
    /// More channels than are mixed here.
    Channels(u16),
    /// Longer than [`MOST_SECONDS`].
    TooLong,
    /// Not one sample.
    Empty,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(why) => write!(f, "it is no WAV of PCM that can be read: {why}"),
            Self::Rate(rate) => write!(f, "{rate} samples a second: {RATE} are wanted (`ffmpeg -ar {RATE}`)"),
            Self::Channels(channels) => write!(f, "{channels} channels are more than {MOST_CHANNELS}"),
            Self::TooLong => write!(f, "it is longer than {MOST_SECONDS} s"),
            Self::Empty => f.write_str("there is no sound in it: 0 s"),
        }
    }
}

impl std::error::Error for Refused {}

/// The samples of a WAV of 16 kHz, its channels mixed.
pub fn read(from: impl Read) -> Result<Vec<i16>, Refused> {
    within(from, (MOST_SECONDS * RATE) as usize)
}

fn within(from: impl Read, most: usize) -> Result<Vec<i16>, Refused> {
    let reader = WavReader::new(from).map_err(unknown)?;
    let spec = reader.spec();
    if spec.sample_rate != RATE {
        return Err(Refused::Rate(spec.sample_rate));
    }
    if !(1..=MOST_CHANNELS).contains(&spec.channels) {
        return Err(Refused::Channels(spec.channels));
    }
    // What the header says of its length is only a hint: memory grows with what is there.
    let channels = usize::from(spec.channels);
    match spec.sample_format {
        SampleFormat::Float => mixed(reader.into_samples::<f32>(), channels, FULL, most),
        SampleFormat::Int => {
            let full = 2_f32.powi(i32::from(spec.bits_per_sample.clamp(1, 32)) - 1);
            mixed(reader.into_samples::<i32>(), channels, FULL / full, most)
        }
    }
}

fn mixed<S: Sample>(
    samples: impl Iterator<Item = hound::Result<S>>,
    channels: usize,
    scale: f32,
    most: usize,
) -> Result<Vec<i16>, Refused> {
    let mut mixed = Vec::new();
    let (mut sum, mut channel) = (0.0_f32, 0);
    for sample in samples {
        sum += sample.map_err(unknown)?.number();
        channel += 1;
        if channel == channels {
            if mixed.len() == most {
                return Err(Refused::TooLong);
            }
            // Out of range it is cut off, and a NaN is silence: `as` does both.
            mixed.push((sum / channels as f32 * scale) as i16);
            (sum, channel) = (0.0, 0);
        }
    }
    if mixed.is_empty() { Err(Refused::Empty) } else { Ok(mixed) }
}

trait Sample {
    fn number(self) -> f32;
}

impl Sample for f32 {
    fn number(self) -> f32 {
        self
    }
}

impl Sample for i32 {
    fn number(self) -> f32 {
        self as f32
    }
}

fn unknown(error: hound::Error) -> Refused {
    Refused::Unknown(error.to_string())
}

/// A sample from -1 to 1.
pub fn unit(sample: i16) -> f32 {
    f32::from(sample) / FULL
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use hound::{WavSpec, WavWriter};

    use super::*;

    fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16, sample_format: SampleFormat) -> WavSpec {
        WavSpec { channels, sample_rate, bits_per_sample, sample_format }
    }

    fn wav<S: hound::Sample + Copy>(spec: WavSpec, samples: &[S]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
        samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn samples_of_every_kind_are_mixed_into_one() {
        let stereo = wav(spec(2, RATE, 16, SampleFormat::Int), &[1000_i16, 3000, -1000, -3000]);
        assert_eq!(read(&stereo[..]).unwrap(), [2000, -2000]);
        let deep = wav(spec(1, RATE, 24, SampleFormat::Int), &[1 << 22, -(1 << 22)]);
        assert_eq!(read(&deep[..]).unwrap(), [16384, -16384]);
        let floats = wav(spec(1, RATE, 32, SampleFormat::Float), &[0.5_f32, 7.0, f32::NAN]);
        assert_eq!(read(&floats[..]).unwrap(), [16384, i16::MAX, 0]);
    }

    #[test]
    fn what_is_no_sound_of_ours_is_named() {
        let whole = wav(spec(1, RATE, 16, SampleFormat::Int), &[5_i16; 100]);
        assert!(matches!(read(&whole[..whole.len() - 31]), Err(Refused::Unknown(_))), "it was cut off");
        for (bytes, refused) in [
            (wav::<i16>(spec(1, RATE, 16, SampleFormat::Int), &[]), Refused::Empty),
            (wav(spec(1, 44_100, 16, SampleFormat::Int), &[1_i16]), Refused::Rate(44_100)),
            (wav(spec(9, RATE, 16, SampleFormat::Int), &[1_i16; 9]), Refused::Channels(9)),
        ] {
            assert_eq!(read(&bytes[..]).unwrap_err(), refused);
        }
        for bytes in [&b""[..], b"RIFF", b"ID3\x04 some music", &[0; 512]] {
            assert!(matches!(read(bytes), Err(Refused::Unknown(_))));
        }
        assert_eq!(within(&whole[..], 99), Err(Refused::TooLong));
        assert_eq!(within(&whole[..], 100).unwrap().len(), 100);
    }

    #[test]
    fn a_header_that_lies_is_no_panic() {
        let whole = wav(spec(2, RATE, 16, SampleFormat::Int), &[5_i16; 64]);
        for at in 0..44 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                let _an_answer = read(&changed[..]);
            }
        }
    }
}
