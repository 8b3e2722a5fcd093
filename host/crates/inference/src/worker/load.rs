//! Loading a model: read, look, load, warm up, measure.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use super::Worker;
use super::backend::{Input, Session, Signature, Stop, batchable};
use super::{onnx, run::Aligned};
use crate::wire::{Fault, Loaded, ToHost};
use crate::{Backend, Target};

/// How long the first run of a model may take before it is given up; the model is served all the same.
const WARM_UP: Duration = Duration::from_secs(10);

/// Bytes of the inputs of that run: larger ones would cost more than they gain.
const WARM_UP_BYTES: usize = 64 << 20;

impl Worker {
    pub(super) fn load(
        &self,
        model: u32,
        backend: Backend,
        name: &str,
        independent: bool,
        file: OwnedFd,
    ) -> io::Result<()> {
        match self.open(backend, independent, file) {
            Ok((session, loaded)) => {
                self.state().models.insert(model, session);
                self.tell(&ToHost::Loaded { model, loaded })
            }
            Err(fault) => {
                tracing::debug!(name, ?fault, "a model that is not loaded");
                self.tell(&ToHost::NotLoaded { model, fault })
            }
        }
    }

    fn open(
        &self,
        backend: Backend,
        independent: bool,
        file: OwnedFd,
    ) -> Result<(Arc<dyn Session>, Loaded), Fault> {
        let before = private_memory();
        let bytes = read(file, self.hello.max_model)?;
        let size = bytes.len() as u64;
        let declared = onnx::read(&bytes).map_err(Fault::Model)?;
        let (session, backend): (Arc<dyn Session>, _) = match (backend, &self.onnxruntime) {
            (Backend::Builtin, _) | (Backend::Auto, Err(_)) if self.hello.device == Target::Cpu => {
                (Arc::new(self.builtin.open(bytes, declared)?), Backend::Builtin)
            }
            (Backend::Builtin, _) => return Err(Fault::Library("it runs on the CPU only".into())),
            (_, Ok(runtime)) => {
                let session = runtime.open(&bytes)?;
                drop(bytes);
                (Arc::new(session), Backend::OnnxRuntime)
            }
            (_, Err(why)) => return Err(Fault::Library(why.clone())),
        };
        let batchable = self.warm_up(&*session, independent);
        trim();
        let grown = private_memory().saturating_sub(before);
        let ports = |signatures: &[Signature]| signatures.iter().map(|one| one.port.clone()).collect();
        let loaded = Loaded {
            inputs: ports(session.inputs()),
            outputs: ports(session.outputs()),
            backend,
            // What other runs freed meanwhile must not make it look smaller than its weights.
            memory: grown.max(size),
            batchable,
        };
        Ok((session, loaded))
    }

    /// Runs the model on zeroes, where it says enough of its inputs. Says whether rows may be put together: what the names
    /// promise must hold for two.
    fn warm_up(&self, session: &dyn Session, independent: bool) -> bool {
        let promised = batchable(session.inputs(), session.outputs(), independent);
        let rows = if promised { 2 } else { 1 };
        let Some(shapes) = shapes(session.inputs(), rows) else { return promised };
        let sizes = session.inputs().iter().zip(&shapes);
        let sizes: Option<Vec<usize>> =
            sizes.map(|(input, shape)| crate::tensor::byte_len(input.port.dtype, shape).ok()).collect();
        let Some(sizes) = sizes.filter(|sizes| sizes.iter().sum::<usize>() <= WARM_UP_BYTES) else {
            return promised;
        };
        let zeroes: Vec<Aligned> = sizes.into_iter().map(Aligned::zeroed).collect();
        let inputs: Vec<Input<'_>> = std::iter::zip(session.inputs(), shapes)
            .zip(&zeroes)
            .map(|((input, shape), bytes)| Input { dtype: input.port.dtype, shape, bytes: bytes.bytes() })
            .collect();
        let stop = Stop::default();
        let (done, ended) = mpsc::channel::<()>();
        let outputs = std::thread::scope(|scope| {
            let stop = &stop;
            scope.spawn(move || {
                if ended.recv_timeout(WARM_UP) == Err(mpsc::RecvTimeoutError::Timeout) {
                    stop.ask();
                }
            });
            let outputs = session.run(&inputs, stop);
            drop(done);
            outputs
        });
        match outputs {
            Ok(outputs) => {
                promised && outputs.iter().all(|output| output.shape().first() == Some(&(rows as u64)))
            }
            // Zeroes may be no sensible input; what the model makes of real ones is seen then.
            Err(_) => promised,
        }
    }
}

/// Shapes with one number for each dynamic first dimension; none when another dimension is dynamic.
fn shapes(inputs: &[Signature], rows: usize) -> Option<Vec<Vec<u64>>> {
    let shape = |input: &Signature| {
        let dims = input.port.dims.as_ref()?;
        let dim = |(at, dim): (usize, &Option<u64>)| if at == 0 { dim.or(Some(rows as u64)) } else { *dim };
        dims.iter().enumerate().map(dim).collect()
    };
    inputs.iter().map(shape).collect()
}

fn read(file: OwnedFd, limit: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let file = std::fs::File::from(file);
    // The size is only a hint; what is read is bounded.
    let hint = file.metadata().map_or(0, |about| about.len().min(limit));
    let read = bytes
        .try_reserve_exact(hint as usize + 1)
        .map_err(io::Error::other)
        .and_then(|()| file.take(limit + 1).read_to_end(&mut bytes));
    read.map_err(|error| Fault::Model(format!("reading its file: {error}")))?;
    if bytes.len() as u64 > limit {
        return Err(Fault::TooLarge { size: hint.max(limit + 1), limit });
    }
    Ok(bytes)
}

/// Gives back what was only needed to load: some copies of the weights, which the C library would keep for later.
pub(super) fn trim() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "a function of the C library")]
    // SAFETY: it may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes that this process has for itself.
fn private_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).map_or(0, |kib: u64| kib << 10)
}
