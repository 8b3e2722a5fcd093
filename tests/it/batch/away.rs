//! A Batch that is not there, and keys that are not right.

use http::Method;
use serde_json::json;
use wicket_tests::{Setup, TestHost, failure, until};

use super::{SOON, World, deploy, ended};
use crate::outside::weed::SECRET;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_away_is_waited_for_and_wrong_keys_are_told() {
    let world = World::start().await;
    let away = world.config("").replace(&world.between.endpoint(), "http://127.0.0.1:9");
    let host = TestHost::with(Setup { config: away, ..Setup::default() });
    deploy(&host, "away", "echo here > $TMP_OUTPUT_DIR/done", json!({})).await;
    host.put("box", "in/a", "x").await;
    let waits = until("it waits", SOON, async || {
        let receipt = host.receipts("away").await.into_iter().next()?;
        receipt["waiting"]["reason"].is_string().then_some(receipt)
    });
    let reason = waits.await["waiting"]["reason"].to_string();
    assert!(reason.contains("http://127.0.0.1:9 cannot be reached"), "{reason}");
    assert_eq!(world.weed.keys(super::WORK).await, ["other"], "nothing is sent for a job that cannot be");
    // Batch comes back, and the store of the jobs' files is away.
    let config = world.config("").replace(&world.weed.endpoint(), "http://127.0.0.1:9");
    let host = host.restart_with(Setup { config, ..Setup::default() });
    until("it waits for the store", SOON, async || {
        let receipt = host.receipts("away").await.into_iter().next()?;
        assert!(receipt["finished"].is_null(), "{receipt}");
        let reason = receipt["waiting"]["reason"].as_str()?;
        reason.contains("the work bucket of batch jobs: cannot reach").then_some(())
    })
    .await;
    // Both are there.
    let host = host.restart_with(Setup { config: world.config(""), ..Setup::default() });
    assert_eq!(ended(&host, "away").await["state"], "succeeded");
    host.wicket(&["rm", "away"]);
    // A store that does not know the key.
    let wrong = world.config("").replace(SECRET, "wrong-secret-key");
    let host = host.restart_with(Setup { config: wrong, ..Setup::default() });
    deploy(&host, "wrong", "true", json!({"retry": {"attempts": 1}})).await;
    host.put("box", "in/b", "x").await;
    let receipt = ended(&host, "wrong").await;
    let message = receipt["attempts"][0]["failure"]["message"].as_str().unwrap_or_default();
    assert!(failure(&receipt) == "host" && message.contains("SignatureDoesNotMatch"), "{receipt}");
    assert!(!format!("{receipt}{}", host.stderr()).contains("wrong-secret-key"));
    // What could never run is refused when it is deployed.
    let service = json!({"name": "no", "image": "a:1", "execution": "batch", "batch": {}}).to_string();
    let refused = host.admin(Method::POST, "/system/services", service).await;
    assert!(refused.text().contains("neither a script nor `args`"), "{}", refused.text());
    world.clean(&host).await;
}
