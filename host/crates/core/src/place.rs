//! Which variant of a service an attempt runs, and why: a function of values.

use std::fmt;

use serde::{Deserialize, Serialize};
use wicket_config::{Then, Variant};

use crate::experience::{Advice, Experience};
use crate::{AttemptRecord, Failure, Limit};

/// The name of the executor that runs a variant, as receipts have it.
pub fn executor_of(variant: Variant) -> &'static str {
    match variant {
        Variant::Wasm => "wasm",
        Variant::Docker => "docker",
        Variant::Batch => "batch",
    }
}

/// What is known when an attempt is placed.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "one of its fields is a function")]
pub struct Asked<'a> {
    /// The service's variants in the order of their weight; at least one.
    pub variants: &'a [Variant],
    /// The service's version.
    pub version: u32,
    /// What happens while what a variant runs on is away.
    pub then: Then,
    /// Bytes of the input, where they are known.
    pub size: Option<u64>,
    /// The invocation's attempts so far.
    pub attempts: &'a [AttemptRecord],
    /// What this host lacks for a variant.
    pub lacks: &'a dyn Fn(Variant) -> Option<Lack>,
}

/// What a host lacks for a variant of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It will not have it.
    Needs(String),
    /// It is away, and may come back.
    Away(String),
}

/// Where an attempt runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The variant.
    pub variant: Variant,
    /// Why that one.
    pub placement: Placement,
    /// It cannot run now, and waits for this.
    pub away: Option<String>,
}

/// Why an attempt ran where it did: part of its receipt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Bytes of the input, where they were known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The lighter variants that were passed over, the lightest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<Passed>,
    /// The record speaks against it: it was tried to see whether that still holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
}

/// A variant that was passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Which.
    pub variant: Variant,
    /// Why.
    pub why: Why,
}

/// Why a variant was passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Why {
    /// The service needs what it has not.
    Needs {
        /// What.
        message: String,
    },
    /// What it runs on was away.
    Away {
        /// Its words.
        message: String,
    },
    /// An attempt of this invocation could not go on there.
    Ended {
        /// The attempt's number.
        attempt: u32,
    },
    /// Inputs of this size end at a limit there, says the record.
    Record {
        /// The most bytes that are worth a try.
        bound: u64,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needs { message } | Self::Away { message } => f.write_str(message),
            Self::Ended { attempt } => write!(f, "attempt {attempt} could not go on there"),
            Self::Record { bound } => {
                write!(f, "inputs of more than {} ended at a limit there", about(*bound))
            }
        }
    }
}

/// A size that nobody wrote, to two or three digits.
fn about(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) if bytes < unit * 10 => {
            format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
        }
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

/// Places an attempt: the lightest variant that this host can run, where no attempt of this invocation could not go on, and
/// whose limits inputs of this size keep; the heaviest that it can run when there is no such.
pub fn place(asked: &Asked<'_>, experience: &mut Experience) -> Option<Placed> {
    let lacks = |variant: Variant| (asked.lacks)(variant);
    let able = |variant: &&Variant| !matches!(lacks(**variant), Some(Lack::Needs(_)));
    let last = asked.variants.iter().rev().find(able).or(asked.variants.last())?;
    let mut placement = Placement { size: asked.size, ..Placement::default() };
    for variant in asked.variants.iter().copied().take_while(|variant| variant != last) {
        let why = match (lacks(variant), ended(asked, variant)) {
            (Some(Lack::Needs(message)), _) => Some(Why::Needs { message }),
            (_, Some(attempt)) => Some(Why::Ended { attempt }),
            (Some(Lack::Away(message)), None) if asked.then == Then::Next => Some(Why::Away { message }),
            (_, None) => match experience.advise(variant, asked.size) {
                Advice::PassOver(bound) => Some(Why::Record { bound }),
                Advice::Probe(_) => {
                    placement.probe = true;
                    None
                }
                Advice::Try => None,
            },
        };
        match why {
            Some(why) => placement.passed.push(Passed { variant, why }),
            None => return Some(at(variant, placement, lacks(variant))),
        }
    }
    Some(at(*last, placement, lacks(*last)))
}

fn at(variant: Variant, placement: Placement, lack: Option<Lack>) -> Placed {
    let away = match lack {
        Some(Lack::Away(message) | Lack::Needs(message)) => Some(message),
        None => None,
    };
    Placed { variant, placement, away }
}

/// The attempt of this version that could not go on there. One that met nobody says nothing: they may be back.
fn ended(asked: &Asked<'_>, variant: Variant) -> Option<u32> {
    let ended = asked.attempts.iter().find(|attempt| {
        attempt.version == asked.version
            && attempt.executor == executor_of(variant)
            && attempt
                .failure
                .as_ref()
                .is_some_and(|failure| moves_on(failure) && !matches!(failure, Failure::Unavailable { .. }))
    });
    ended.map(|attempt| attempt.number)
}

/// Whether an attempt that failed so may succeed in a heavier variant.
pub fn moves_on(failure: &Failure) -> bool {
    match failure {
        Failure::Limit { limit, .. } => is_limit_of_variant(*limit),
        Failure::Declined { .. } | Failure::Unavailable { .. } => true,
        Failure::Function { .. }
        | Failure::Trap { .. }
        | Failure::Input { .. }
        | Failure::Host { .. }
        | Failure::Cancelled { .. } => false,
    }
}

/// Whether another variant may not have this limit. What a service may put out, log or take in is the same in all of them.
pub(crate) fn is_limit_of_variant(limit: Limit) -> bool {
    match limit {
        Limit::Memory
        | Limit::CpuTime
        | Limit::Timeout
        | Limit::TableElements
        | Limit::Stack
        | Limit::Handles
        | Limit::Outgoing => true,
        Limit::Concurrency | Limit::Output | Limit::Log | Limit::Body => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Timestamp, Usage};

    const ALL: [Variant; 3] = [Variant::Wasm, Variant::Docker, Variant::Batch];

    fn attempt(executor: &str, version: u32, failure: Option<Failure>) -> AttemptRecord {
        AttemptRecord {
            number: 1,
            version,
            executor: executor.into(),
            started: Timestamp(0),
            queue_us: 0,
            usage: Usage::default(),
            status: None,
            failure,
            placement: Some(Placement { size: Some(1000), ..Placement::default() }),
        }
    }

    fn limit(limit: Limit) -> Option<Failure> {
        Some(Failure::Limit { limit, message: String::new() })
    }

    fn nothing(_: Variant) -> Option<Lack> {
        None
    }

    fn asked<'a>(
        variants: &'a [Variant],
        attempts: &'a [AttemptRecord],
        lacks: &'a dyn Fn(Variant) -> Option<Lack>,
    ) -> Asked<'a> {
        Asked { variants, version: 1, then: Then::Next, size: Some(1000), attempts, lacks }
    }

    fn on(asked: &Asked<'_>) -> Variant {
        place(asked, &mut Experience::default()).unwrap().variant
    }

    #[test]
    fn sizes_are_told_to_few_digits() {
        assert_eq!(
            [0, 999, 1000, 1_414_213, 12_345_678, 9_999_999_999].map(about).join(", "),
            "0 bytes, 999 bytes, 1.0 kB, 1.4 MB, 12 MB, 9.9 GB"
        );
    }

    #[test]
    fn an_invocation_moves_on_where_it_could_not_go_on() {
        let both = &ALL[..2];
        let on = |attempts: &[AttemptRecord]| on(&asked(both, attempts, &nothing));
        assert_eq!(on(&[]), Variant::Wasm);
        let host = Some(Failure::Host { message: String::new() });
        assert_eq!(on(&[attempt("wasm", 1, host)]), Variant::Wasm);
        let memory = attempt("wasm", 1, limit(Limit::Memory));
        assert_eq!(on(std::slice::from_ref(&memory)), Variant::Docker);
        // Another version may have another limit.
        assert_eq!(on(&[attempt("wasm", 2, limit(Limit::Memory))]), Variant::Wasm);
        assert_eq!(on(&[memory, attempt("docker", 1, limit(Limit::Timeout))]), Variant::Docker);
        assert_eq!(on(&[attempt("wasm", 1, limit(Limit::Output))]), Variant::Wasm);
        let declined = Some(Failure::Declined { message: String::new() });
        assert_eq!(on(&[attempt("wasm", 1, declined)]), Variant::Docker);
        assert_eq!(place(&asked(&[], &[], &nothing), &mut Experience::default()), None);
    }

    #[test]
    fn what_the_host_lacks_is_passed_over_or_waited_for() {
        let no_engine = |variant| (variant == Variant::Docker).then(|| Lack::Away("no engine".to_owned()));
        let ended = [attempt("wasm", 1, limit(Limit::Memory))];
        let next = asked(&ALL, &ended, &no_engine);
        assert_eq!(on(&next), Variant::Batch);
        let wait = place(&Asked { then: Then::Wait, ..next }, &mut Experience::default()).unwrap();
        assert_eq!((wait.variant, wait.away.as_deref()), (Variant::Docker, Some("no engine")));
        // Nobody comes after it: it waits, whatever the service says.
        let last = place(&Asked { variants: &ALL[..2], ..next }, &mut Experience::default()).unwrap();
        assert_eq!((last.variant, last.away.as_deref()), (Variant::Docker, Some("no engine")));
        // A variant that the host will never have is not waited for.
        let no_batch = |variant| match variant {
            Variant::Wasm => Some(Lack::Needs("a GPU".to_owned())),
            Variant::Docker => None,
            Variant::Batch => Some(Lack::Needs("no Batch here".to_owned())),
        };
        let placed = place(&asked(&ALL, &[], &no_batch), &mut Experience::default()).unwrap();
        assert_eq!((placed.variant, placed.away), (Variant::Docker, None));
        assert_eq!(placed.placement.passed[0].why.to_string(), "a GPU");
    }

    #[test]
    fn the_record_of_a_size_goes_before_the_lightest() {
        let ended = attempt("wasm", 1, limit(Limit::CpuTime));
        let mut experience = Experience::of(1, [&ended]);
        let question = asked(&ALL, &[], &nothing);
        let placed = place(&question, &mut experience).unwrap();
        assert_eq!(placed.variant, Variant::Docker);
        assert_eq!(
            placed.placement.passed[0].why.to_string(),
            "inputs of more than 500 bytes ended at a limit there"
        );
        let small = Asked { size: Some(100), ..question };
        assert_eq!(place(&small, &mut experience).unwrap().variant, Variant::Wasm);
        let unknown = Asked { size: None, ..question };
        assert_eq!(place(&unknown, &mut experience).unwrap().variant, Variant::Wasm);
    }

    #[test]
    fn a_host_that_starts_knows_from_receipts_when_a_probe_is_due() {
        let question = asked(&ALL, &[], &nothing);
        let mut attempts = vec![attempt("wasm", 1, limit(Limit::CpuTime))];
        let mut probes = Vec::new();
        // As if it were started anew before each.
        for n in 0..120 {
            let placed = place(&question, &mut Experience::of(1, &attempts)).unwrap();
            let failure = if placed.placement.probe { limit(Limit::CpuTime) } else { None };
            probes.extend(placed.placement.probe.then_some(n));
            let placement = Some(placed.placement);
            attempts.push(AttemptRecord { placement, ..attempt(executor_of(placed.variant), 1, failure) });
        }
        assert_eq!(probes, [32, 97]);
    }
}
