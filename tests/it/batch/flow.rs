//! From an upload to a job's outputs.

use serde_json::json;
use wicket_tests::{failure, until};

use super::{SOON, World, deploy, ended, log};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_becomes_a_job_and_its_files_are_outputs() {
    let world = World::start().await;
    let env = vec![("WICKET_LOG".to_owned(), "trace".to_owned())];
    let setup = wicket_tests::Setup { config: world.config(""), env, ..Default::default() };
    let host = wicket_tests::TestHost::with(setup);
    let script = "\
set -e
[ \"$(cat)\" = \"$(cat \"$EVENT_FILE\")\" ]
echo about $STORAGE_OBJECT_KEY, as $(id -u)
echo \"in $GREETING with $KEY\" >&2
mkdir -p \"$TMP_OUTPUT_DIR/sub\"
tr a-z A-Z < \"$INPUT_FILE_PATH\" > \"$TMP_OUTPUT_DIR/sub/loud.txt\"
ln -s /etc/passwd \"$TMP_OUTPUT_DIR/link\"
touch /etc/mine || echo no rights
env | grep -c WICKET_JOB || echo no link
";
    let fields = json!({
        "environment": {"variables": {"GREETING": "hello"}, "secrets": {"KEY": "s3cret-of-the-service"}},
    });
    deploy(&host, "loud", script, fields).await;
    host.put("box", "in/a b.txt", "quiet words").await;
    let receipt = ended(&host, "loud").await;
    let said = log(&host, &receipt);
    assert_eq!(receipt["state"], "succeeded", "{receipt}\n{said}");
    assert_eq!(host.object("box", "out/sub/loud.txt").await.expect("an output"), "QUIET WORDS");
    assert_eq!(host.object("box", "out/link").await, None);
    let attempt = &receipt["attempts"][0];
    assert_eq!(
        (attempt["executor"].as_str(), attempt["status"].as_i64()),
        (Some("batch"), Some(0)),
        "{receipt}"
    );
    for used in ["startup_us", "cpu_us", "wall_us", "peak_memory", "bytes_in", "bytes_out"] {
        assert!(attempt[used].as_u64() > Some(0), "{used}: {receipt}");
    }
    for words in
        ["about in/a b.txt, as 65534", "in hello with [secret]", "no rights", "no link", "`link` is neither"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Nothing stays, and no secret was told.
    world.clean(&host).await;
    let submitted = world.between.seen("submitjob");
    assert_eq!(submitted.len(), 1, "{submitted:?}");
    for hidden in ["s3cret-of-the-service", "batch-secret-key", crate::outside::weed::SECRET] {
        assert!(!host.stderr().contains(hidden), "{hidden} is in the log");
        assert!(!format!("{submitted:?} {said} {receipt}").contains(hidden), "{hidden} is told");
    }
    assert!(!host.stderr().contains("X-Amz-Signature"), "a signed link is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_status_decides_and_what_begins_together_goes_together() {
    let world = World::start().await;
    let host = world.host("");
    let fields = json!({
        "retry": {"attempts": 2, "backoff": "50ms"}, "input": [{"path": "box/bad"}],
        "environment": {"secrets": {"KEY": "s3cret-of-the-service"}},
    });
    let script = "echo half > $TMP_OUTPUT_DIR/half.txt; echo \"no luck with $KEY\" >&2; exit 3";
    deploy(&host, "fails", script, fields).await;
    deploy(&host, "twins", "cp \"$INPUT_FILE_PATH\" \"$TMP_OUTPUT_DIR/\"; echo $INPUT_FILE_PATH", json!({}))
        .await;
    tokio::join!(host.put("box", "bad/a", "x"), host.put("box", "in/a", "a"), host.put("box", "in/b", "b"));
    let receipt = ended(&host, "fails").await;
    assert_eq!((receipt["state"].as_str(), failure(&receipt)), (Some("failed"), "function"), "{receipt}");
    let attempts = receipt["attempts"].as_array().expect("a list");
    let message = attempts[0]["failure"]["message"].as_str().unwrap_or_default();
    assert_eq!((attempts.len(), message), (2, "exit status 3: no luck with [secret]"), "{receipt}");
    assert_eq!(host.object("box", "out/half.txt").await, None, "nothing of a failed attempt is visible");
    for key in ["a", "b"] {
        let made = async || host.object("box", &format!("out/{key}")).await;
        assert_eq!(until("its output is there", SOON, made).await, key);
    }
    // One array job of two, one look at all.
    let sizes = world.between.seen("submitjob");
    let sizes: Vec<_> = sizes.iter().filter_map(|job| job["arrayProperties"]["size"].as_u64()).collect();
    assert_eq!(sizes, [2]);
    let looks = world.between.seen("describejobs");
    assert!(
        looks.iter().any(|look| look["jobs"].as_array().is_some_and(|jobs| jobs.len() >= 2)),
        "{looks:?}"
    );
    world.clean(&host).await;
}
