//! Objects by their signed URLs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, SendBody};
use wicket_supervisor::LARGEST;

use crate::names::Names;

/// How often a transfer is tried; between two tries a second passes, then two, and so on.
const TRIES: u64 = 6;
/// Until a connection stands, and until an answer begins.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of the work bucket.
#[derive(Debug)]
pub(crate) struct Net(Agent);

/// What became of a write that is only made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Once {
    /// It is ours.
    Written,
    /// Somebody's is there already.
    Taken,
}

impl Net {
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder()
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .http_status_as_error(false)
            .build();
        Self(Agent::with_parts(config, DefaultConnector::default(), Names))
    }

    /// A small object as JSON.
    pub(crate) fn read<T: DeserializeOwned>(&self, url: &str, what: &str) -> anyhow::Result<T> {
        again(|| {
            let mut answer = self.get(url)?;
            let body = answer.body_mut().with_config().limit(LARGEST).read_to_vec()?;
            serde_json::from_slice(&body).context("it is not what it should be")
        })
        .with_context(|| format!("cannot read {what}"))
    }

    /// An object into a file.
    pub(crate) fn fetch(&self, url: &str, file: &Path) -> anyhow::Result<()> {
        again(|| {
            let mut answer = self.get(url)?;
            let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
            io::copy(&mut body, &mut File::create(file)?)?;
            Ok(())
        })
        .with_context(|| format!("cannot fetch {}", file.display()))
    }

    /// Sends bytes as an object; `body` makes them anew for each try.
    pub(crate) fn send<R: Read>(
        &self,
        url: &str,
        length: u64,
        what: &str,
        body: impl Fn() -> io::Result<R>,
    ) -> anyhow::Result<()> {
        again(|| {
            let mut body = body()?;
            let request = self.0.put(url).header("content-length", length.to_string());
            ok(request.send(SendBody::from_reader(&mut body))?).map(drop)
        })
        .with_context(|| format!("cannot send {what}"))
    }

    /// Sends bytes as an object that must not be there yet.
    pub(crate) fn send_once(&self, url: &str, bytes: &[u8]) -> anyhow::Result<Once> {
        again(|| {
            let answer = self.0.put(url).header("if-none-match", "*").send(bytes)?;
            match answer.status().as_u16() {
                412 => Ok(Once::Taken),
                _ => ok(answer).map(|_| Once::Written),
            }
        })
        .context("cannot claim the attempt")
    }

    fn get(&self, url: &str) -> anyhow::Result<Response<Body>> {
        ok(self.0.get(url).call()?)
    }
}

/// An answer that says yes. What else a server says may have a signature in it, so only its code is repeated.
fn ok(mut answer: Response<Body>) -> anyhow::Result<Response<Body>> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text = answer.body_mut().with_config().limit(4096).read_to_string().unwrap_or_default();
    let code =
        text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    bail!("the storage answered {} {}", status.as_u16(), code.unwrap_or_default())
}

/// Tries until it works, or all tries are used up.
fn again<T>(mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut tried = 0;
    loop {
        match work() {
            Err(_) if tried + 1 < TRIES => {
                tried += 1;
                let (_kept, never) = mpsc::channel::<()>();
                let _times_out = never.recv_timeout(Duration::from_secs(tried));
            }
            done => return done,
        }
    }
}
