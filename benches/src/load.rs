//! HTTP load: closed-loop by `wrk`, and at a pace.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;

use crate::tools;

/// What a load saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Requests that were answered.
    pub requests: u64,
    /// Answers that were no 2xx or 3xx, and connections that broke.
    pub errors: u64,
    /// Requests a second.
    pub per_second: f64,
    /// Median latency, µs.
    pub p50: f64,
    /// 99th percentile of latency, µs.
    pub p99: f64,
}

/// Sends requests over `connections` for `seconds`.
///
/// # Panics
///
/// When `wrk` is missing and cannot be fetched, or fails.
pub fn wrk(url: &str, connections: u32, seconds: u32) -> Load {
    let threads = connections.min(2).to_string();
    let output = tools::wrk()
        .args([
            "--latency",
            "-t",
            &threads,
            "-c",
            &connections.to_string(),
            "-d",
            &format!("{seconds}s"),
            url,
        ])
        .output()
        .expect("it ran a moment ago");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "wrk {url}: {text}{}", String::from_utf8_lossy(&output.stderr));
    let field = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default();
        line.split_whitespace().last().unwrap_or("0").to_owned()
    };
    let requests_line = text.lines().find(|line| line.contains(" requests in ")).unwrap_or_default();
    let number = |line: &str| line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let errors = text
        .lines()
        .filter(|line| line.contains("Non-2xx") || line.contains("Socket errors"))
        .flat_map(|line| line.split([' ', ',']).filter_map(|n| n.parse::<u64>().ok()))
        .sum();
    Load {
        requests: number(requests_line),
        errors,
        per_second: field("Requests/sec:").parse().unwrap_or(0.0),
        p50: micros(&field("50%")),
        p99: micros(&field("99%")),
    }
}

/// A GET each `pace` for so long, whether those before were answered or not. How long each took, ms, from when it was
/// due: one that could not be sent in time was waited for too.
///
/// # Panics
///
/// When one is not answered with 2xx.
pub async fn paced(url: &str, pace: Duration, span: Duration) -> Vec<f64> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let url: http::Uri = url.parse().expect("a URL");
    let (begin, mut calls) = (Instant::now(), JoinSet::new());
    let mut due = begin;
    while due < begin + span {
        tokio::time::sleep_until(due.into()).await;
        let (client, url) = (client.clone(), url.clone());
        calls.spawn(async move {
            let answer = client.get(url).await.expect("the host answers");
            assert!(answer.status().is_success(), "{}", answer.status());
            answer.into_body().collect().await.expect("the answer arrives");
            due.elapsed().as_secs_f64() * 1e3
        });
        due += pace;
    }
    calls.join_all().await
}

/// `1.23ms` in µs.
fn micros(text: &str) -> f64 {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.parse().unwrap_or(0.0);
    match &text[digits.len()..] {
        "us" => number,
        "ms" => number * 1e3,
        "s" => number * 1e6,
        _ => 0.0,
    }
}
