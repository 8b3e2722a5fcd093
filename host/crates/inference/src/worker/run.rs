//! One run: inputs put together, the model run, outputs laid out for the host.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Instant;

use rustix::net::SendFlags;

use super::Worker;
use super::backend::{Input, Session, Slot};
use super::lanes::{Given, Run};
use super::outputs::Filling;
use crate::Dtype;
use crate::wire::{Fault, Place, ToHost, send};

/// Tensors of one answer begin at multiples of this: a line of the cache.
const ALIGN: usize = 64;

/// Outputs in a piece, and where each lies.
type LaidOut = (Filling, Vec<Place>);

impl Worker {
    pub(super) fn run(&self, run: Run) -> io::Result<()> {
        let begun = Instant::now();
        let outcome = match &run.session {
            Some(session) => self.outputs_of(&**session, &run),
            None => Err(Fault::Runtime("the model is not loaded".into())),
        };
        self.state().runs.remove(&run.id);
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

    fn outputs_of(&self, session: &dyn Session, run: &Run) -> Result<LaidOut, Fault> {
        if let [call] = &run.calls[..] {
            let inputs: Vec<Input<'_>> = call
                .iter()
                .map(|given| Input { dtype: given.dtype, shape: given.shape.clone(), bytes: given.bytes() })
                .collect();
            return self.ran(session, &inputs, None, run);
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
        self.ran(session, &inputs, Some(rows), run)
    }

    /// Runs a model. With `rows` each output has so many, one for each that was put in.
    fn ran(
        &self,
        session: &dyn Session,
        inputs: &[Input<'_>],
        rows: Option<Option<u64>>,
        run: &Run,
    ) -> Result<LaidOut, Fault> {
        let fits = |shape: &[u64]| rows.is_none_or(|rows| shape.first().copied() == rows);
        if let Some(plan) = session.planned(inputs).filter(|plan| plan.iter().all(|(_, shape)| fits(shape))) {
            let (mut filling, places) = self.room(plan, run)?;
            let slots = slots(filling.map.bytes_mut(), &places);
            match session.run_into(inputs, slots, &run.stop) {
                Ok(true) => return Ok((filling, places)),
                Ok(false) => self.outputs.unfilled(filling),
                Err(fault) => {
                    self.outputs.unfilled(filling);
                    return Err(fault);
                }
            }
        }
        let outputs = session.run(inputs, &run.stop)?;
        if !outputs.iter().all(|output| fits(&output.shape())) {
            return Err(Fault::Rows);
        }
        let shapes = outputs.iter().map(|output| (output.dtype(), output.shape())).collect();
        let (mut filling, places) = self.room(shapes, run)?;
        for (output, slot) in outputs.iter().zip(slots(filling.map.bytes_mut(), &places)) {
            output.write(slot.bytes);
        }
        Ok((filling, places))
    }

    /// A piece for outputs of these types and shapes.
    fn room(&self, shapes: Vec<(Dtype, Vec<u64>)>, run: &Run) -> Result<LaidOut, Fault> {
        let mut end = 0_usize;
        let mut places = Vec::with_capacity(shapes.len());
        for (dtype, shape) in shapes {
            let len =
                crate::tensor::byte_len(dtype, &shape).map_err(|error| Fault::Runtime(error.to_string()))?;
            places.push(Place { piece: 0, start: end as u64, dtype, shape });
            end = end.saturating_add(len).next_multiple_of(ALIGN);
        }
        let limit = self.hello.max_output.saturating_mul(run.calls.len() as u64);
        if end as u64 > limit {
            return Err(Fault::TooLarge { size: end as u64, limit });
        }
        let filling = self.outputs.take(end, run.model)?;
        for place in &mut places {
            place.piece = filling.id;
        }
        Ok((filling, places))
    }
}

/// The parts of a piece in which the outputs lie.
fn slots<'a>(piece: &'a mut [u8], places: &[Place]) -> Vec<Slot<'a>> {
    let (mut rest, mut at) = (piece, 0);
    let slot = |place: &Place| {
        let len = crate::tensor::byte_len(place.dtype, &place.shape).unwrap_or(0);
        let (_, after) = std::mem::take(&mut rest).split_at_mut(place.start as usize - at);
        let (bytes, after) = after.split_at_mut(len);
        (rest, at) = (after, place.start as usize + len);
        Slot { dtype: place.dtype, shape: place.shape.clone(), bytes }
    };
    places.iter().map(slot).collect()
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
