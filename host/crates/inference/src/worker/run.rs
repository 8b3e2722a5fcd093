//! One run: inputs put together, the model run, outputs laid out for the host.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Instant;

use rustix::net::SendFlags;

use super::Worker;
use super::backend::{Input, Output, Session};
use super::lanes::{Given, Run};
use crate::wire::{Fault, Place, ToHost, send};

/// Tensors of one answer begin at multiples of this: a line of the cache.
const ALIGN: usize = 64;

impl Worker {
    pub(super) fn run(&self, run: Run) -> io::Result<()> {
        let begun = Instant::now();
        let outcome = match &run.session {
            Some(session) => self.outputs_of(&**session, &run),
            None => Err(Fault::Runtime("the model is not loaded".into())),
        };
        self.state().runs.remove(&run.id);
        let outcome = outcome.and_then(|outputs| self.lay_out(outputs, run.calls.len()));
        let (filling, outputs) = match outcome {
            Ok(laid_out) => laid_out,
            Err(fault) => {
                let fault = if run.stop.asked() { Fault::Cancelled } else { fault };
                return self.tell(&ToHost::NotRan { run: run.id, fault });
            }
        };
        let new = filling.new.then(|| filling.map.bytes().len() as u64);
        let micros = begun.elapsed().as_micros() as u64;
        let message = ToHost::Ran { run: run.id, micros, piece: filling.id, new, outputs };
        self.outputs.filled(filling, |map| {
            let file = new.map(|_| map.fd());
            send(self.socket.as_fd(), &message, file, SendFlags::empty())
        })
    }

    fn outputs_of(&self, session: &dyn Session, run: &Run) -> Result<Vec<Box<dyn Output>>, Fault> {
        if let [call] = &run.calls[..] {
            let inputs: Vec<Input<'_>> = call
                .iter()
                .map(|given| Input { dtype: given.dtype, shape: given.shape.clone(), bytes: given.bytes() })
                .collect();
            return session.run(&inputs, &run.stop);
        }
        let columns = columns(&run.calls)?;
        let together: Vec<Aligned> = columns.iter().map(|column| Aligned::joined(column)).collect();
        let inputs: Vec<Input<'_>> = std::iter::zip(&columns, &together)
            .map(|(column, bytes)| Input {
                dtype: column[0].dtype,
                shape: joined_shape(column),
                bytes: bytes.bytes(),
            })
            .collect();
        let rows = inputs.first().and_then(|input| input.shape.first().copied());
        let outputs = session.run(&inputs, &run.stop)?;
        if outputs.iter().any(|output| output.shape().first().copied() != rows) {
            return Err(Fault::Rows);
        }
        Ok(outputs)
    }

    /// Copies outputs into one piece.
    fn lay_out(
        &self,
        outputs: Vec<Box<dyn Output>>,
        calls: usize,
    ) -> Result<(super::outputs::Filling, Vec<Place>), Fault> {
        let mut end = 0_usize;
        let mut places = Vec::with_capacity(outputs.len());
        for output in &outputs {
            let (dtype, shape) = (output.dtype(), output.shape());
            let len =
                crate::tensor::byte_len(dtype, &shape).map_err(|error| Fault::Runtime(error.to_string()))?;
            places.push((Place { piece: 0, start: end as u64, dtype, shape }, len));
            end = end.saturating_add(len).next_multiple_of(ALIGN);
        }
        let limit = self.hello.max_output.saturating_mul(calls as u64);
        if end as u64 > limit {
            return Err(Fault::TooLarge { size: end as u64, limit });
        }
        let mut filling = self.outputs.take(end)?;
        let bytes = filling.map.bytes_mut();
        for (output, (place, len)) in std::iter::zip(&outputs, &mut places) {
            let start = place.start as usize;
            output.write(&mut bytes[start..start + *len]);
            place.piece = filling.id;
        }
        Ok((filling, places.into_iter().map(|(place, _)| place).collect()))
    }
}

/// For each input what all calls gave. The host has checked that they agree; without that nothing is put together.
fn columns(calls: &[Vec<Given>]) -> Result<Vec<Vec<&Given>>, Fault> {
    let first = calls.first().ok_or(Fault::Rows)?;
    let column = |(at, first): (usize, &Given)| {
        let all: Option<Vec<&Given>> = calls.iter().map(|call| call.get(at)).collect();
        let fits = |one: &&Given| one.dtype == first.dtype && one.shape.get(1..) == first.shape.get(1..);
        all.filter(|all| !first.shape.is_empty() && all.iter().all(fits)).ok_or(Fault::Rows)
    };
    first.iter().enumerate().map(column).collect()
}

fn joined_shape(column: &[&Given]) -> Vec<u64> {
    let mut shape = column[0].shape.clone();
    shape[0] = column.iter().map(|given| given.shape[0]).sum();
    shape
}

/// Bytes aligned for every type of element.
pub(super) struct Aligned {
    words: Vec<u64>,
    len: usize,
}

impl Aligned {
    pub(super) fn zeroed(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(8)], len }
    }

    fn joined(column: &[&Given]) -> Self {
        let mut aligned = Self::zeroed(column.iter().map(|given| given.len).sum());
        let mut rest = aligned.bytes_mut();
        for given in column {
            let (here, after) = rest.split_at_mut(given.len);
            here.copy_from_slice(given.bytes());
            rest = after;
        }
        aligned
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }
}
