//! Well-formed bytes, made malformed.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Runs a check on so many cases, the same in every run.
#[track_caller]
pub(super) fn each<S: Strategy>(cases: u32, strategy: S, check: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let ran = TestRunner::new_with_rng(config, rng).run(&strategy, |case| {
        check(case);
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
}

/// One thing that happens to bytes on their way.
#[derive(Clone, Debug)]
enum Edit {
    Flip(Index, u8),
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, usize),
    Double(Index, usize),
    Truncate(Index),
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index| index.index(bytes.len() + 1);
        match self {
            Self::Flip(index, bit) => {
                let at = at(index);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Set(index, value) => {
                let at = at(index);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *value;
                }
            }
            Self::Insert(index, more) => {
                let at = at(index);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Cut(index, size) => {
                let at = at(index);
                let end = (at + size).min(bytes.len());
                bytes.drain(at..end);
            }
            Self::Double(index, size) => {
                let at = at(index);
                let end = (at + size).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            Self::Truncate(index) => {
                let at = at(index);
                bytes.truncate(at);
            }
        }
    }
}

/// One of the seeds after some mishaps; `words` are put in here and there.
pub(super) fn garbled(seeds: Vec<Vec<u8>>, words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let at = any::<Index>;
    let edit = prop_oneof![
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        2 => (at(), any::<u8>()).prop_map(|(at, value)| Edit::Set(at, value)),
        3 => (at(), select(words)).prop_map(|(at, word)| Edit::Insert(at, word.into())),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, more)| Edit::Insert(at, more)),
        3 => (at(), 1..40_usize).prop_map(|(at, size)| Edit::Cut(at, size)),
        2 => (at(), 1..200_usize).prop_map(|(at, size)| Edit::Double(at, size)),
        1 => at().prop_map(Edit::Truncate),
    ];
    (select(seeds), prop::collection::vec(edit, 1..5)).prop_map(|(mut bytes, edits)| {
        for edit in edits {
            edit.apply(&mut bytes);
        }
        bytes
    })
}
