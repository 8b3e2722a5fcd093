//! What a job says, from its stream in CloudWatch Logs to the log of the attempt.

use std::time::Duration;

use wicket_core::{Deployment, LogLines, LogSink, LogStream, Redactor, chain};
use wicket_supervisor::{GOES_ON, LAST, OWN, STDERR};

use crate::aws::{Aws, BatchError};

/// Between two looks at the log of one job; more jobs are looked at more seldom.
const LOOK: Duration = Duration::from_secs(2);
const LOOK_PER_JOB: Duration = Duration::from_millis(100);
/// How long the last lines may take after the job's end, and how often they are looked for.
const LAST_LINES: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(500);
/// Answers that are read in one look.
const PAGES: usize = 100;

/// A job's log, as far as it was read.
#[derive(Debug)]
pub(crate) struct Said {
    stdout: LogLines,
    stderr: LogLines,
    log: LogSink,
    secrets: Redactor,
    next: Option<String>,
    is_whole: bool,
    was_told: bool,
}

impl Said {
    pub(crate) fn new(log: &LogSink, deployment: &Deployment) -> Self {
        let secrets = Redactor::of(deployment);
        Self {
            stdout: LogLines::new(log.clone(), LogStream::Stdout, secrets.clone()),
            stderr: LogLines::new(log.clone(), LogStream::Stderr, secrets.clone()),
            log: log.clone(),
            secrets,
            next: None,
            is_whole: false,
            was_told: false,
        }
    }

    /// How long to wait between two looks while so many jobs run.
    pub(crate) fn pause(jobs: usize) -> Duration {
        LOOK + LOOK_PER_JOB * u32::try_from(jobs).unwrap_or(u32::MAX)
    }

    /// Reads what is new. A log that cannot be read is told once, and is no failure.
    pub(crate) async fn look(&mut self, aws: &Aws, group: &str, stream: &str) {
        if let Err(error) = self.read(aws, group, stream).await
            && !std::mem::replace(&mut self.was_told, true)
        {
            let text = format!("the job's log cannot be read: {}", chain(&error));
            self.log.line(LogStream::Host, text.as_bytes());
        }
    }

    /// Reads the rest after the job's end: its last lines may come late.
    pub(crate) async fn rest(&mut self, aws: &Aws, group: &str, stream: Option<&str>) {
        if let Some(stream) = stream {
            let end = tokio::time::Instant::now() + LAST_LINES;
            loop {
                self.look(aws, group, stream).await;
                if self.is_whole || self.was_told {
                    break;
                }
                if tokio::time::Instant::now() >= end {
                    self.log.line(LogStream::Host, b"the rest of what the job said did not come");
                    break;
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
        self.stdout.finish();
        self.stderr.finish();
    }

    async fn read(&mut self, aws: &Aws, group: &str, stream: &str) -> Result<(), BatchError> {
        for _ in 0..PAGES {
            let asked = aws.logs.get_log_events().log_group_name(group).log_stream_name(stream);
            let asked = asked.start_from_head(true).set_next_token(self.next.clone()).send().await;
            let page = match asked {
                Ok(page) => page,
                // It is made with the first line.
                Err(error)
                    if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(aws.failed("tell a job's log", &error)),
            };
            for event in page.events() {
                self.line(event.message().unwrap_or_default().as_bytes());
            }
            let at_end = page.next_forward_token == self.next;
            self.next = page.next_forward_token;
            if at_end || self.next.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Takes a line, whoever said it.
    fn line(&mut self, line: &[u8]) {
        let (line, goes_on) = match line.strip_suffix(&[GOES_ON]) {
            Some(line) => (line, true),
            None => (line, false),
        };
        let (stream, line) = match line.split_first() {
            Some((&STDERR, line)) => (&mut self.stderr, line),
            Some((&OWN, line)) if line == LAST.as_bytes() => {
                self.is_whole = true;
                return;
            }
            Some((&OWN, line)) => {
                self.log.line(LogStream::Host, &self.secrets.bytes(line));
                return;
            }
            Some(_) | None => (&mut self.stdout, line),
        };
        stream.push(line);
        if !goes_on {
            stream.push(b"\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::deployment;

    #[test]
    fn streams_are_told_apart_and_long_lines_are_put_together() {
        let log = LogSink::new(1 << 20);
        let mut said = Said::new(&log, &deployment(1));
        for line in [
            &b"out"[..],
            b"\x01err",
            b"\x01half \x03",
            b"\x01whole",
            b"",
            b"\x02own",
            b"\x02end",
            b"last\x03",
        ] {
            said.line(line);
        }
        assert!(said.is_whole);
        said.stdout.finish();
        let lines: Vec<(LogStream, String)> =
            log.take().lines.into_iter().map(|line| (line.stream, line.text)).collect();
        let wanted = [
            (LogStream::Stdout, "out"),
            (LogStream::Stderr, "err"),
            (LogStream::Stderr, "half whole"),
            (LogStream::Stdout, ""),
            (LogStream::Host, "own"),
            (LogStream::Stdout, "last"),
        ];
        assert_eq!(lines, wanted.map(|(stream, text)| (stream, text.to_owned())));
    }
}
