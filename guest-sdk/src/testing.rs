//! Stands in for the host in native tests of a function. One host per thread, as each test has its thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use crate::buckets::Entry;
use crate::nn::{self, Tensor};
use crate::{Answer, Event, Failure, Level, Object};

/// What stands in for a model: its inputs by name in, its outputs by name out.
type Stand = dyn Fn(&[(&str, &Tensor<'_>)]) -> Result<Vec<(String, Tensor<'static>)>, nn::Error>;

#[derive(Default)]
struct Host {
    buckets: BTreeMap<(String, String), Vec<u8>>,
    models: BTreeMap<String, Rc<Stand>>,
    outputs: Vec<Made>,
    log: Vec<(Level, String)>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// An output that was finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: Option<String>,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// What a function left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// What it answered.
    pub result: Result<Vec<u8>, Failure>,
    /// What it made, in the order of finishing. A failed attempt leaves nothing.
    pub outputs: Vec<Made>,
    /// What it said.
    pub log: Vec<(Level, String)>,
}

impl Ran {
    /// The answer as text.
    pub fn answer(&self) -> Result<String, Failure> {
        self.result.clone().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The output of this name.
    pub fn output(&self, name: &str) -> Option<&Made> {
        self.outputs.iter().find(|made| made.name == name)
    }
}

/// Runs a function as the host would.
pub fn run<A: Answer>(handle: impl FnOnce(Event) -> Result<A, Failure>, event: Event) -> Ran {
    HOST.with_borrow_mut(|host| {
        host.outputs.clear();
        host.log.clear();
    });
    let result = handle(event).map(Answer::into_bytes);
    HOST.with_borrow_mut(|host| {
        let mut outputs = std::mem::take(&mut host.outputs);
        if result.is_err() {
            outputs.clear();
        }
        Ran { result, outputs, log: std::mem::take(&mut host.log) }
    })
}

/// Puts an object into a bucket, for [`buckets`](crate::buckets) to find.
pub fn put(bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) {
    let place = (bucket.to_owned(), key.to_owned());
    HOST.with_borrow_mut(|host| host.buckets.insert(place, bytes.into()));
}

/// Lets a closure stand in for the model of this name: its inputs by name in, its outputs by name out.
pub fn model(
    name: &str,
    stand: impl Fn(&[(&str, &Tensor<'_>)]) -> Result<Vec<(String, Tensor<'static>)>, nn::Error> + 'static,
) {
    HOST.with_borrow_mut(|host| host.models.insert(name.to_owned(), Rc::new(stand)));
}

pub(crate) fn has_model(name: &str) -> Result<(), nn::Error> {
    stand(name).map(|_| ())
}

pub(crate) fn run_model(
    name: &str,
    inputs: &[(&str, &Tensor<'_>)],
) -> Result<Vec<(String, Tensor<'static>)>, nn::Error> {
    // The host is free while it runs: it may log.
    stand(name)?(inputs)
}

fn stand(name: &str) -> Result<Rc<Stand>, nn::Error> {
    let found = HOST.with_borrow(|host| host.models.get(name).cloned());
    found.ok_or_else(|| nn::Error::new(nn::Code::NotFound, name, "the service has no model of this name"))
}

pub(crate) fn open(bucket: &str, key: &str) -> io::Result<Object> {
    let place = (bucket.to_owned(), key.to_owned());
    let bytes = HOST.with_borrow(|host| host.buckets.get(&place).cloned());
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("there is no `{key}` in `{bucket}`"));
    Ok(Object::from_bytes(bucket, key, bytes.ok_or_else(missing)?))
}

pub(crate) fn list(bucket: &str, prefix: &str, after: Option<&str>, limit: u32) -> Vec<Entry> {
    let wanted = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
    HOST.with_borrow(|host| {
        let here = host.buckets.iter().filter(|((of, key), _)| of == bucket && wanted(key));
        let entry = |((_, key), bytes): (&(String, String), &Vec<u8>)| Entry {
            key: key.clone(),
            size: bytes.len() as u64,
            modified: "2026-01-01T00:00:00Z".to_owned(),
        };
        here.map(entry).take(limit.clamp(1, 1000) as usize).collect()
    })
}

pub(crate) fn finished(made: Made) {
    HOST.with_borrow_mut(|host| {
        host.outputs.retain(|other| other.name != made.name);
        host.outputs.push(made);
    });
}

pub(crate) fn logged(level: Level, text: String) {
    HOST.with_borrow_mut(|host| host.log.push((level, text)));
}
