//! What became of a call.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;

use crate::{Answer, TestHost, until};

/// Longest wait for an invocation's end.
const SOON: Duration = Duration::from_secs(60);

impl TestHost {
    /// The receipt of an invocation that has ended. That of a synchronous call is there a moment after its answer.
    ///
    /// # Panics
    ///
    /// When there is none, or it does not end.
    pub async fn receipt(&self, id: &str) -> Value {
        let path = format!("/system/invocations/{id}");
        until(&format!("invocation {id} has ended"), SOON, async || {
            let answer = self.admin(Method::GET, &path, "").await;
            let receipt = (answer.status == StatusCode::OK).then(|| answer.json())?;
            receipt["finished"].is_string().then_some(receipt)
        })
        .await
    }

    /// All receipts of a service, newest first.
    ///
    /// # Panics
    ///
    /// When the host does not list them.
    pub async fn receipts(&self, service: &str) -> Vec<Value> {
        let listed =
            self.admin(Method::GET, &format!("/system/invocations?service={service}&limit=1000"), "").await;
        assert_eq!(listed.status, StatusCode::OK, "{}", listed.text());
        listed.json().as_array().expect("a list").clone()
    }
}

impl Answer {
    /// The invocation that answered.
    ///
    /// # Panics
    ///
    /// When the answer names none.
    #[track_caller]
    pub fn invocation(&self) -> &str {
        let named = self.headers.get("wicket-invocation").and_then(|id| id.to_str().ok());
        named.unwrap_or_else(|| panic!("no invocation in {self:?}"))
    }
}

/// Why the last attempt failed, in a word: the limit's name, or the kind of the failure; `none`.
pub fn failure(receipt: &Value) -> &str {
    let attempt = receipt["attempts"].as_array().and_then(|attempts| attempts.last());
    let failure = attempt.map(|attempt| &attempt["failure"]).unwrap_or(&Value::Null);
    failure["limit"].as_str().or(failure["kind"].as_str()).unwrap_or("none")
}
