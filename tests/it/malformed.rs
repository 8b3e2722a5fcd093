//! Input that is no input: garbled, cut off, doubled, or made up. Whatever it is, it gets an error that says so, and
//! the host stays what it was.
//!
//! The cases are the same in every run: what fails here fails again.

mod arguments;
mod bodies;
mod definitions;
mod garble;
mod modules;
mod objects;
mod signed;

use http::{Method, StatusCode};
use wicket_tests::TestHost;

/// A host, and what talks to it from a test that is not `async` itself (proptest's are not).
struct Target {
    host: TestHost,
    runtime: tokio::runtime::Runtime,
}

impl Target {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { host: TestHost::start(), runtime }
    }

    /// A request as admin. The host never says that it failed itself.
    #[track_caller]
    fn admin(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> wicket_tests::Answer {
        let authorization = self.host.admin_header();
        let mut all = vec![("authorization", authorization.as_str()), ("accept", "application/json")];
        all.extend(headers);
        let answer = self.runtime.block_on(self.host.send(method.clone(), path, &all, body.to_vec().into()));
        let shown = String::from_utf8_lossy(&body[..body.len().min(2000)]);
        assert!(
            answer.status != StatusCode::INTERNAL_SERVER_ERROR && answer.body.len() < 100_000,
            "{method} {path}: {answer:?} to {shown:?}"
        );
        if answer.status.is_client_error() && method != Method::HEAD {
            let error = &answer.json()["error"];
            assert!(error["code"].is_string() && error["message"].is_string(), "{method} {path}: {error}");
        }
        answer
    }

    /// It is the same process, it answers, and nothing in it panicked.
    fn unharmed(mut self) {
        assert!(self.host.runs());
        let health = self.runtime.block_on(self.host.get("/health"));
        assert_eq!(health.status, StatusCode::OK);
        let said = self.host.stderr();
        assert!(!said.contains("panicked"), "{said}");
    }
}
