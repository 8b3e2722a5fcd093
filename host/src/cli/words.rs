//! Sizes, times and states as people read them.

use wicket_config::{ImageName, ModuleDigest};
use wicket_core::{Placement, State, Timestamp, executor_of};

/// `1.5 MB`, to the power of ten as disks are sold.
pub(super) fn bytes(n: u64) -> String {
    indicatif::DecimalBytes(n).to_string()
}

/// `730 µs`, `4.2 ms`, `1.3 s`, `2m05s`.
pub(super) fn micros(us: u64) -> String {
    let (ms, s) = (us as f64 / 1e3, us as f64 / 1e6);
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{ms:.1} ms"),
        10_000..1_000_000 => format!("{ms:.0} ms"),
        1_000_000..60_000_000 => format!("{s:.1} s"),
        _ => {
            let whole = us / 1_000_000;
            format!("{}m{:02}s", whole / 60, whole % 60)
        }
    }
}

/// How long ago: `12s`, `5m`, `3h`, `2d`.
pub(super) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.0.saturating_sub(then.0).max(0) / 1_000_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The beginning of a digest, enough to tell two apart.
pub(super) fn short(digest: &ModuleDigest) -> String {
    digest.to_string().chars().take(12).collect()
}

/// What a service runs: the beginning of its module's digest, its image, or both.
pub(super) fn runs(module: Option<&ModuleDigest>, image: Option<&ImageName>) -> String {
    let all = module.map(short).into_iter().chain(image.map(ToString::to_string));
    all.collect::<Vec<_>>().join(", ")
}

/// Why an attempt ran where it did, a line for each reason.
pub(super) fn placement(placement: &Placement) -> Vec<String> {
    let size = placement.size.map(|size| format!("for an input of {}", bytes(size)));
    let passed = placement
        .passed
        .iter()
        .map(|passed| format!("not on {}: {}", executor_of(passed.variant), passed.why));
    let probe =
        placement.probe.then(|| "to see whether such an input still ends at a limit there".to_owned());
    size.into_iter().chain(passed).chain(probe).collect()
}

/// A state in one word.
pub(super) fn state(state: State) -> &'static str {
    crate::client::state_name(state)
}

/// The first line of a text, cut to a length that a table bears.
pub(super) fn brief(text: &str) -> String {
    const WIDE: usize = 100;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= WIDE {
        line.to_owned()
    } else {
        line.chars().take(WIDE - 1).chain(['…']).collect()
    }
}

/// `1 service`, `2 services`.
pub(super) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_or_three_digits() {
        let shown = [0, 999, 4_210, 42_100, 999_400, 1_250_000, 125_000_000].map(micros);
        assert_eq!(shown, ["0 µs", "999 µs", "4.2 ms", "42 ms", "999 ms", "1.2 s", "2m05s"]);
    }

    #[test]
    fn ages_grow_coarse_and_are_never_negative() {
        let now = Timestamp(1_000_000_000_000);
        let shown = [-5, 5, 65, 7_300, 172_800].map(|s| ago(Timestamp(now.0 - s * 1_000_000), now));
        assert_eq!(shown, ["0s", "5s", "1m", "2h", "2d"]);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(brief("one\ntwo"), "one");
        assert_eq!(brief(&"ä".repeat(200)).chars().count(), 100);
    }
}
