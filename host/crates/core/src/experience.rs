//! What ended attempts say about the sizes of input that a variant takes.
//!
//! One assumption: what is larger needs more. An input that fitted says that smaller ones fit, one that ended at a limit
//! says that larger ones do too; the later word counts.

use std::collections::{BTreeMap, BTreeSet};

use wicket_config::Variant;

use crate::{AttemptRecord, Failure, executor_of, is_limit_of_variant, place::Why};

/// Sizes kept of each kind.
const KEPT: usize = 64;
/// So many inputs are sent past a variant before one is tried on it again; twice as many after each that was in vain.
const FIRST_PROBE: u32 = 32;
const LAST_PROBE: u32 = 512;

/// The experience with one version of a service.
#[derive(Clone, Debug, Default)]
pub struct Experience(BTreeMap<Variant, Sizes>);

/// What it says about an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Nothing speaks against it.
    Try,
    /// It would end at a limit, as inputs of more than so many bytes do.
    PassOver(u64),
    /// The same, but it is time to see whether that still holds.
    Probe(u64),
}

#[derive(Clone, Debug)]
struct Sizes {
    fitted: BTreeSet<u64>,
    ended: BTreeSet<u64>,
    /// Inputs sent past the variant since one was tried against the advice.
    passed: u32,
    /// How many of them make a probe due.
    pause: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { fitted: BTreeSet::new(), ended: BTreeSet::new(), passed: 0, pause: FIRST_PROBE }
    }
}

impl Experience {
    /// That of these attempts, the oldest first. Those of another version are not looked at.
    pub fn of<'a>(version: u32, attempts: impl IntoIterator<Item = &'a AttemptRecord>) -> Self {
        let mut experience = Self::default();
        for attempt in attempts.into_iter().filter(|attempt| attempt.version == version) {
            let passed = attempt.placement.iter().flat_map(|placement| &placement.passed);
            for passed in passed.filter(|passed| matches!(passed.why, Why::Record { .. })) {
                experience.of_variant(passed.variant).passed += 1;
            }
            if attempt.placement.as_ref().is_some_and(|placement| placement.probe)
                && let Some(variant) = variant_of(attempt)
            {
                experience.of_variant(variant).passed = 0;
            }
            experience.learn(attempt);
        }
        experience
    }

    /// Takes in how an attempt ended. One without a size, or that failed for another reason, says nothing.
    pub fn learn(&mut self, attempt: &AttemptRecord) {
        let Some(size) = attempt.placement.as_ref().and_then(|placement| placement.size) else { return };
        let Some(variant) = variant_of(attempt) else { return };
        match &attempt.failure {
            None => self.of_variant(variant).fitted(size),
            Some(Failure::Limit { limit, .. }) if is_limit_of_variant(*limit) => {
                self.of_variant(variant).ended(size);
            }
            Some(_) => {}
        }
    }

    /// What it says about an input on a variant; a probe that was advised counts as made.
    pub(crate) fn advise(&mut self, variant: Variant, size: Option<u64>) -> Advice {
        let (Some(size), Some(sizes)) = (size, self.0.get_mut(&variant)) else { return Advice::Try };
        match sizes.bound() {
            Some(bound) if size > bound && sizes.passed >= sizes.pause => {
                sizes.passed = 0;
                Advice::Probe(bound)
            }
            Some(bound) if size > bound => {
                sizes.passed += 1;
                Advice::PassOver(bound)
            }
            Some(_) | None => Advice::Try,
        }
    }

    fn of_variant(&mut self, variant: Variant) -> &mut Sizes {
        self.0.entry(variant).or_default()
    }
}

/// The variant that an attempt ran; none where its executor is none of a service's variants.
fn variant_of(attempt: &AttemptRecord) -> Option<Variant> {
    const ALL: [Variant; 3] = [Variant::Wasm, Variant::Docker, Variant::Batch];
    ALL.into_iter().find(|variant| executor_of(*variant) == attempt.executor)
}

impl Sizes {
    /// The most bytes that are worth a try; none: there is no bound.
    ///
    /// Where nothing between is known, half of the least that ended; else the middle, by ratio, between that and the most
    /// that fitted: each try halves what is not known, whatever order sizes come in.
    fn bound(&self) -> Option<u64> {
        let ended = *self.ended.first()?;
        let fitted = self.fitted.range(..ended).next_back().copied().unwrap_or(0);
        if fitted < ended / 2 {
            return Some(ended / 2);
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rough middle of two sizes"
        )]
        let middle = (fitted as f64 * ended as f64).sqrt() as u64;
        Some(middle.clamp(fitted, ended))
    }

    fn fitted(&mut self, size: u64) {
        let before = self.bound();
        self.ended = self.ended.split_off(&size.saturating_add(1));
        self.fitted.insert(size);
        if self.fitted.len() > KEPT {
            self.fitted.pop_first();
        }
        if before.is_some_and(|bound| size > bound) {
            self.pause = FIRST_PROBE;
        }
    }

    fn ended(&mut self, size: u64) {
        let in_vain = self.bound().is_some_and(|bound| size > bound);
        self.fitted.split_off(&size);
        self.ended.insert(size);
        if self.ended.len() > KEPT {
            self.ended.pop_last();
        }
        if in_vain {
            self.pause = (self.pause * 2).min(LAST_PROBE);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs sizes through a variant that takes up to `limit` bytes, and answers which tries were wasted and which inputs
    /// were sent past it in vain.
    fn run(experience: &mut Experience, sizes: &[u64], limit: u64) -> (Vec<usize>, Vec<usize>) {
        let (mut wasted, mut spared) = (Vec::new(), Vec::new());
        for (idx, size) in sizes.iter().enumerate() {
            match experience.advise(Variant::Wasm, Some(*size)) {
                Advice::PassOver(_) if *size <= limit => spared.push(idx),
                Advice::PassOver(_) => {}
                Advice::Try | Advice::Probe(_) if *size <= limit => {
                    experience.of_variant(Variant::Wasm).fitted(*size);
                }
                Advice::Try | Advice::Probe(_) => {
                    experience.of_variant(Variant::Wasm).ended(*size);
                    wasted.push(idx);
                }
            }
        }
        (wasted, spared)
    }

    /// Not random, but in no order.
    fn scattered(n: u64, most: u64) -> Vec<u64> {
        (1..=n).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % most).collect()
    }

    #[test]
    fn a_sweep_across_the_limit_wastes_few_attempts_after_twenty() {
        let up: Vec<u64> = (1..=400).map(|n| n * 1000).collect();
        let down: Vec<u64> = up.iter().rev().copied().collect();
        for (name, sizes) in [("up", up), ("down", down), ("scattered", scattered(400, 400_000))] {
            let (wasted, spared) = run(&mut Experience::default(), &sizes, 100_000);
            let late = wasted.iter().filter(|idx| **idx >= 20).count();
            assert!(late * 20 < sizes.len() - 20, "{name}: {late} wasted: {wasted:?}");
            assert!(spared.len() * 4 < sizes.len(), "{name}: {} sent past it in vain", spared.len());
        }
    }

    #[test]
    fn a_change_is_noticed_in_both_directions() {
        let mut experience = Experience::default();
        let sizes = scattered(300, 400_000);
        run(&mut experience, &sizes, 100_000);
        // It takes more now: a probe finds out.
        let (wasted, spared) = run(&mut experience, &sizes, 1_000_000);
        assert!(wasted.is_empty() && spared.iter().all(|idx| *idx < 250), "{spared:?}");
        // It takes less: the first inputs find out.
        let (wasted, _) = run(&mut experience, &sizes, 50_000);
        assert!(wasted.len() < 20, "{wasted:?}");
    }

    #[test]
    fn probes_become_rare_where_they_are_in_vain() {
        let (wasted, _) = run(&mut Experience::default(), &[1 << 20; 10_000], 1000);
        assert!((5..30).contains(&wasted.len()), "{wasted:?}");
    }

    proptest! {
        #[test]
        fn whatever_comes_the_bound_lies_below_what_ended(steps in prop::collection::vec((any::<u64>(), any::<bool>()), 1..200)) {
            let mut sizes = Sizes::default();
            for (size, fits) in steps {
                if fits { sizes.fitted(size) } else { sizes.ended(size) }
                if let Some(bound) = sizes.bound() {
                    prop_assert!(sizes.ended.first().is_some_and(|ended| bound <= *ended));
                    prop_assert!(sizes.fitted.len() <= KEPT && sizes.ended.len() <= KEPT);
                }
            }
        }
    }
}
