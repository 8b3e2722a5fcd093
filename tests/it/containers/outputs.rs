//! Whatever a container leaves, and whatever comes in: each ends with a name, and nothing is left behind.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use wicket_tests::{Engine, failure, until};

use super::{SOON, clean, deploy, run};

#[tokio::test]
async fn names_and_folders_of_any_kind_have_a_named_end() {
    let engine = Engine::find().await;
    let host = engine.host();
    let cases = [
        (
            "deep",
            "i=0; while [ $i -lt 3000 ]; do mkdir d && cd d || exit 9; i=$((i+1)); done; sleep 5",
            "output",
            "put out",
        ),
        (
            "nested",
            "mkdir -p $(yes d | head -70 | tr '\\n' '/'); find . -type d | tail -1 | xargs -I% touch %/f",
            "any",
            "",
        ),
        ("bytes", "touch \"$(printf 'a\\377b')\"", "function", "no UTF-8"),
        (
            "many",
            "i=0; while [ $i -lt 100000 ]; do : > $i; i=$((i+1)); done",
            "function",
            "more than 10000 files",
        ),
        ("closed", "mkdir -p a/b; : > a/b/f; chmod 0 a/b a", "none", ""),
    ];
    for (name, script, wanted, words) in cases {
        let fields = json!({"retry": {"attempts": 1}, "container": {"timeout": "180s"}});
        let token = deploy(&host, name, &format!("cd $TMP_OUTPUT_DIR; {script}"), fields).await;
        let (_, _, receipt) = run(&host, name, &token, "").await;
        let said = receipt["attempts"][0]["failure"]["message"].as_str().unwrap_or_default();
        if wanted == "any" {
            assert_ne!(failure(&receipt), "none", "{name}: {receipt}");
            continue;
        }
        assert_eq!(failure(&receipt), wanted, "{name}: {receipt}");
        assert!(said.contains(words), "{name}: {receipt}");
    }
    clean(&engine, &host).await;
}

#[tokio::test]
async fn names_that_look_like_paths_are_names() {
    let engine = Engine::find().await;
    let host = engine.host();
    let script = "cd $TMP_OUTPUT_DIR; mkdir ..d; for f in ... ..a '..d/b ' 'new\nline' '%2e%2e' \"$(yes a | head -255 | tr -d '\\n')\"; do echo x > \"$f\"; done";
    let fields =
        json!({"input": [{"path": "box/in"}], "output": [{"path": "box/out"}], "retry": {"attempts": 1}});
    deploy(&host, "names", script, fields).await;
    host.put("box", "in/a", "x").await;
    let long = format!("out/{}", "a".repeat(255));
    until("its outputs are there", SOON, async || host.object("box", &long).await).await;
    for key in ["out/...", "out/..a", "out/..d/b ", "out/new\nline", "out/%2e%2e"] {
        assert!(host.object("box", key).await.is_some(), "{key:?}");
    }
    clean(&engine, &host).await;
}

#[tokio::test]
async fn what_ends_at_once_has_its_whole_answer() {
    let engine = Engine::find().await;
    let host = engine.host();
    let token = deploy(&host, "brief", "echo all of it", json!({})).await;
    for _ in 0..20 {
        let (status, answer, receipt) = run(&host, "brief", &token, "").await;
        assert_eq!((status, answer.as_slice()), (StatusCode::OK, &b"all of it\n"[..]), "{receipt}");
    }
    clean(&engine, &host).await;
}

/// As much as a disk of a test takes; what is seen of memory holds for any size.
#[tokio::test]
async fn an_input_of_nothing_and_one_that_is_large_come_whole_and_take_no_memory() {
    const LARGE: u64 = 1 << 30;
    let engine = Engine::find().await;
    let host = engine.host();
    let script = "wc -c < \"$INPUT_FILE_PATH\" | tr -d ' ' > \"$TMP_OUTPUT_DIR/$(basename \"$INPUT_FILE_PATH\").size\"; \
                  tail -c 4 \"$INPUT_FILE_PATH\" >> \"$TMP_OUTPUT_DIR/$(basename \"$INPUT_FILE_PATH\").size\"";
    let fields = json!({"input": [{"path": "box/in"}], "output": [{"path": "box/out"}]});
    deploy(&host, "sizes", script, fields).await;
    host.put("box", "in/nothing", "").await;
    let said = until("it ran", SOON, async || host.object("box", "out/nothing.size").await).await;
    assert_eq!(said, "0\n");
    let file = host.scratch().join("large");
    let large = std::fs::File::create(&file).expect("a file");
    large.set_len(LARGE - 4).expect("holes take no room");
    std::os::unix::fs::FileExt::write_all_at(&large, b"end\n", LARGE - 4).expect("room");
    let before = host.rss();
    let body = aws_sdk_s3::primitives::ByteStream::from_path(&file).await.expect("the file is there");
    let put = async {
        let put = host.buckets().put_object().bucket("box").key("in/large").body(body).send().await;
        put.unwrap_or_else(|error| panic!("{error:?}"));
        until("it ran", 3 * SOON, async || host.object("box", "out/large.size").await).await
    };
    let mut most = before;
    tokio::pin!(put);
    let said = loop {
        tokio::select! {
            said = &mut put => break said,
            () = tokio::time::sleep(Duration::from_millis(50)) => most = most.max(host.rss()),
        }
    };
    assert_eq!(said, format!("{LARGE}\nend\n"));
    assert!(
        most - before < 128 << 20,
        "{} MiB more while {} MiB went through",
        (most - before) >> 20,
        LARGE >> 20
    );
    clean(&engine, &host).await;
}
