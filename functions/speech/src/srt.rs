//! Subtitles.

use std::fmt::Write as _;

/// What is said, and from when to when.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Cue {
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
    /// None where nothing turns speech into text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// SubRip. Where there is no text, it says that somebody speaks.
pub fn srt(cues: &[Cue]) -> String {
    let mut srt = String::new();
    for (number, cue) in cues.iter().enumerate() {
        let text = cue.text.as_deref().unwrap_or("[speech]");
        // A line that is empty would end it.
        let text: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let (start, end, text) = (time(cue.start), time(cue.end), text.join("\n"));
        let _never_fails = write!(srt, "{}\n{start} --> {end}\n{text}\n\n", number + 1);
    }
    srt
}

fn time(seconds: f64) -> String {
    let millis = (seconds * 1000.0).round() as u64;
    let (hours, minutes, seconds) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02},{:03}", millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cues_are_numbered_and_timed() {
        let cue = |start, end, text: Option<&str>| Cue { start, end, text: text.map(str::to_owned) };
        let srt = srt(&[cue(0.034, 2.654, Some("Hello\n\nworld.")), cue(3725.9996, 3726.5, None)]);
        assert_eq!(
            srt,
            "1\n00:00:00,034 --> 00:00:02,654\nHello\nworld.\n\n2\n01:02:06,000 --> 01:02:06,500\n[speech]\n\n"
        );
    }
}
