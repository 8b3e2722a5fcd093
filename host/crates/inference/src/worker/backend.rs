//! What both backends are to a worker.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::wire::Fault;
use crate::{Dtype, Port};

/// A loaded model.
pub(super) trait Session: Send + Sync {
    fn inputs(&self) -> &[Signature];
    fn outputs(&self) -> &[Signature];

    /// Runs on inputs in the model's order; gives all outputs in the model's order. May be called from several threads.
    fn run(&self, inputs: &[Input<'_>], stop: &Stop) -> Result<Vec<Box<dyn Output>>, Fault>;

    /// The types and shapes of the outputs for such inputs, where they are known before a run; then
    /// [`Session::run_into`] saves a copy of them.
    fn planned(&self, _inputs: &[Input<'_>]) -> Option<Vec<(Dtype, Vec<u64>)>> {
        None
    }

    /// The same as [`Session::run`], with the outputs written to where they are wanted. `Ok(false)`: they turned out to be
    /// other than planned, and nothing is there.
    fn run_into(&self, _inputs: &[Input<'_>], _outputs: Vec<Slot<'_>>, _stop: &Stop) -> Result<bool, Fault> {
        Ok(false)
    }
}

/// Where an output is wanted.
pub(super) struct Slot<'a> {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<u64>,
    /// As many as type and shape say, aligned for the type.
    pub(super) bytes: &'a mut [u8],
}

/// An input or output, with the names of its dynamic dimensions.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    pub(super) port: Port,
    /// As long as the port's dimensions; empty where there is no name.
    pub(super) symbols: Vec<String>,
}

/// A tensor that goes in.
pub(super) struct Input<'a> {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<u64>,
    /// As many as type and shape say, aligned for the type.
    pub(super) bytes: &'a [u8],
}

/// A tensor that came out.
pub(super) trait Output {
    fn dtype(&self) -> Dtype;
    fn shape(&self) -> Vec<u64>;
    /// Copies the elements. `to` has as many bytes as type and shape say.
    fn write(&self, to: &mut [u8]);
}

/// The way to end a run early.
#[derive(Default)]
pub(super) struct Stop {
    asked: AtomicBool,
    how: Mutex<Option<How>>,
}

type How = Box<dyn Fn() + Send + Sync>;

impl Stop {
    /// Says how what runs now is ended; a run may be made in several goes.
    pub(super) fn by(&self, how: impl Fn() + Send + Sync + 'static) {
        *self.how() = Some(Box::new(how));
        if self.asked() {
            self.ask();
        }
    }

    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        if let Some(how) = &*self.how() {
            how();
        }
    }

    fn how(&self) -> MutexGuard<'_, Option<How>> {
        self.how.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The types and shapes of outputs that the model's own words settle: every dimension a number, or one of an input's by
/// its name.
pub(super) fn planned(
    inputs: &[Signature],
    outputs: &[Signature],
    given: &[Input<'_>],
) -> Option<Vec<(Dtype, Vec<u64>)>> {
    let mut named = HashMap::new();
    for (signature, input) in inputs.iter().zip(given) {
        let names = signature.symbols.iter().map(String::as_str).zip(&input.shape);
        for (name, dim) in names.filter(|(name, _)| !name.is_empty()) {
            if *named.entry(name).or_insert(*dim) != *dim {
                return None;
            }
        }
    }
    let settled = |(at, dim): (usize, &Option<u64>), symbols: &[String]| {
        dim.or_else(|| named.get(symbols.get(at)?.as_str()).copied())
    };
    let shape = |output: &Signature| {
        let dims = output.port.dims.as_ref()?.iter().enumerate();
        let shape: Option<Vec<u64>> = dims.map(|dim| settled(dim, &output.symbols)).collect();
        Some((output.port.dtype, shape?))
    };
    outputs.iter().map(shape).collect()
}

/// Whether rows of several calls may be put together: each input and output has a dynamic first dimension, all of one
/// name. Where a name is missing, `independent` is taken for it.
pub(super) fn batchable(inputs: &[Signature], outputs: &[Signature], independent: bool) -> bool {
    let firsts: Option<Vec<&str>> = inputs.iter().chain(outputs).map(Signature::first_symbol).collect();
    firsts.is_some_and(|names| {
        let one_name = names.iter().all(|name| !name.is_empty() && *name == names[0]);
        !inputs.is_empty() && !outputs.is_empty() && (one_name || independent)
    })
}

impl Signature {
    /// The name of the first dimension; none unless that is dynamic.
    fn first_symbol(&self) -> Option<&str> {
        match self.port.dims.as_deref()? {
            [None, ..] => Some(self.symbols.first().map_or("", String::as_str)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(dims: &[(Option<u64>, &str)]) -> Signature {
        let symbols = dims.iter().map(|(_, name)| (*name).to_owned()).collect();
        let dims = Some(dims.iter().map(|(dim, _)| *dim).collect());
        Signature { port: Port { name: "x".into(), dtype: Dtype::F32, dims }, symbols }
    }

    #[test]
    fn what_runs_now_is_ended() {
        let stop = Stop::default();
        let ended = std::sync::Arc::new(Mutex::new(Vec::new()));
        for go in ["first", "second"] {
            let ended = ended.clone();
            stop.by(move || ended.lock().unwrap().push(go));
        }
        stop.ask();
        assert_eq!(*ended.lock().unwrap(), ["second"]);
    }

    #[test]
    fn outputs_are_planned_where_every_dimension_is_settled() {
        let image = port(&[(None, "batch"), (Some(3), "")]);
        let given = |shape: &[u64]| Input { dtype: Dtype::F32, shape: shape.to_vec(), bytes: &[] };
        let of = |output: &Signature, shape: &[u64]| {
            planned(std::slice::from_ref(&image), std::slice::from_ref(output), &[given(shape)])
        };
        let scores = port(&[(None, "batch"), (Some(10), "")]);
        assert_eq!(of(&scores, &[4, 3]), Some(vec![(Dtype::F32, vec![4, 10])]));
        assert_eq!(of(&port(&[]), &[4, 3]), Some(vec![(Dtype::F32, Vec::new())]));
        for open in [port(&[(None, "found"), (Some(7), "")]), port(&[(None, "")])] {
            assert_eq!(of(&open, &[4, 3]), None);
        }
        let twice = port(&[(None, "n"), (None, "n")]);
        let both = [twice.clone(), twice];
        assert_eq!(planned(&both[..1], &both[1..], &[given(&[2, 3])]), None, "one name, two numbers");
    }

    #[test]
    fn rows_are_put_together_where_every_first_dimension_is_the_same_dynamic_one() {
        let image = port(&[(None, "batch"), (Some(3), "")]);
        let scores = port(&[(None, "batch"), (Some(10), "")]);
        let found = port(&[(None, "found"), (Some(7), "")]);
        let unnamed = port(&[(None, ""), (Some(7), "")]);
        let fixed = port(&[(Some(1), ""), (Some(7), "")]);
        let number = port(&[]);
        let one = |output: &Signature, independent| {
            batchable(std::slice::from_ref(&image), std::slice::from_ref(output), independent)
        };
        assert!(one(&scores, false));
        assert!(!one(&found, false) && one(&found, true));
        assert!(!one(&unnamed, false) && one(&unnamed, true));
        assert!(!one(&fixed, true) && !one(&number, true));
    }
}
