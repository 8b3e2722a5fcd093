//! What a script finds, and what becomes of what it leaves.

use http::{Method, StatusCode};
use serde_json::json;
use wicket_tests::{Engine, IMAGE, Setup, failure, until};

use super::{clean, deploy, log, run};

#[tokio::test]
async fn an_upload_runs_a_script_and_its_files_are_outputs() {
    let engine = Engine::find().await;
    let host = engine.host();
    let script = "\
set -e
[ \"$(cat)\" = \"$(cat \"$EVENT_FILE\")\" ]
[ \"$EVENT\" = \"$(cat \"$EVENT_FILE\")\" ]
[ -d \"$TMP_INPUT_DIR\" ]
echo about $STORAGE_OBJECT_KEY at $EVENT_TIME
echo in $GREETING >&2
mkdir -p \"$TMP_OUTPUT_DIR/sub\"
tr a-z A-Z < \"$INPUT_FILE_PATH\" > \"$TMP_OUTPUT_DIR/sub/loud.txt\"
echo no > \"$TMP_OUTPUT_DIR/left.out\"
ln -s /etc/passwd \"$TMP_OUTPUT_DIR/link.txt\"
mkfifo \"$TMP_OUTPUT_DIR/pipe.txt\"
";
    let fields = json!({
        "environment": {"variables": {"GREETING": "hello"}},
        "input": [{"path": "words/in"}],
        "output": [{"path": "words/out", "suffix": [".txt"]}],
    });
    deploy(&host, "loud", script, fields).await;
    host.put("words", "in/a b.txt", "quiet words").await;
    let loud =
        until("its output is there", super::SOON, async || host.object("words", "out/sub/loud.txt").await);
    assert_eq!(loud.await, "QUIET WORDS");
    for absent in ["out/left.out", "out/link.txt", "out/pipe.txt"] {
        assert_eq!(host.object("words", absent).await, None, "{absent}");
    }
    let receipt = host.receipts("loud").await.remove(0);
    let attempt = &receipt["attempts"][0];
    assert_eq!(
        (attempt["executor"].as_str(), attempt["status"].as_i64()),
        (Some("docker"), Some(0)),
        "{receipt}"
    );
    for used in ["startup_us", "cpu_us", "wall_us", "peak_memory", "bytes_in", "bytes_out"] {
        assert!(attempt[used].as_u64() > Some(0), "{used}: {receipt}");
    }
    let said = log(&host, &receipt).await;
    assert!(said.contains("about in/a b.txt at 2") && said.contains("in hello"), "{said}");
    clean(&engine, &host).await;
}

#[tokio::test]
async fn a_call_gets_what_the_script_says_or_the_one_file_that_it_makes() {
    let engine = Engine::find().await;
    let host = engine.host();
    // Larger than a variable may be, with every byte.
    let body: Vec<u8> = (0..300_000u32).map(|n| (n % 256) as u8).collect();
    let token = deploy(&host, "echo", "cat; echo talk >&2", json!({})).await;
    let (status, answer, receipt) = run(&host, "echo", &token, body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{receipt}");
    assert!(answer == body, "{} bytes", answer.len());
    let token =
        deploy(&host, "file", "echo said; cp \"$INPUT_FILE_PATH\" \"$TMP_OUTPUT_DIR/copy\"", json!({})).await;
    let (_, answer, _) = run(&host, "file", &token, body.clone()).await;
    assert!(answer == body, "{} bytes", answer.len());
    // Without a script the image's own command runs, with the event on its standard input.
    let service =
        json!({"name": "own", "image": IMAGE, "args": ["/bin/wc", "-c"], "container": {"pull": "never"}});
    let created = host.admin(Method::POST, "/system/services", service.to_string()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text());
    let own = host.admin(Method::POST, "/run/own", body).await;
    assert_eq!(own.text().trim(), "300000");
    clean(&engine, &host).await;
}

#[tokio::test]
async fn the_first_line_of_a_script_says_who_runs_it_and_its_line_ends_are_the_shells() {
    let engine = Engine::find().await;
    let host = engine.host();
    let token = deploy(&host, "awk", "#!/bin/awk -f\r\nBEGIN { print 6 * 7 }\r\n", json!({})).await;
    assert_eq!(run(&host, "awk", &token, "").await.1, b"42\n");
    let token = deploy(&host, "sh", "if true\r\nthen echo yes\r\nfi\r\n", json!({})).await;
    assert_eq!(run(&host, "sh", &token, "").await.1, b"yes\n");
    let nul = json!({"name": "nul", "image": IMAGE, "script": "echo a\u{0}b"}).to_string();
    let refused = host.admin(Method::POST, "/system/services", nul).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text().contains("NUL"), "{}", refused.text());
}

#[tokio::test]
async fn the_exit_status_decides_and_its_last_words_are_in_the_dead_letter() {
    let engine = Engine::find().await;
    let host = engine.host();
    let fields = json!({
        "input": [{"path": "box/in"}], "output": [{"path": "box/out"}],
        "retry": {"attempts": 2, "backoff": "50ms"},
        "environment": {"secrets": {"KEY": "s3cret-of-the-service"}},
    });
    let script = "echo half > $TMP_OUTPUT_DIR/half.txt; echo \"no luck with $KEY\" >&2; exit 3";
    deploy(&host, "fails", script, fields).await;
    host.put("box", "in/a", "x").await;
    let letters = until("it is a dead letter", super::SOON, async || {
        let letters = host.wicket(&["dead-letters", "--json"]);
        (letters.json().as_array().is_some_and(|all| !all.is_empty())).then_some(letters)
    })
    .await;
    let reason = letters.json()[0]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("exit status 3: no luck with [secret]"), "{reason}");
    let receipt = host.receipts("fails").await.remove(0);
    assert_eq!(receipt["attempts"].as_array().map(Vec::len), Some(2), "{receipt}");
    assert_eq!(host.object("box", "out/half.txt").await, None, "nothing of a failed attempt is visible");
    assert!(!log(&host, &receipt).await.contains("s3cret"));
    clean(&engine, &host).await;
}

#[tokio::test]
async fn a_container_has_no_rights_on_the_machine() {
    let engine = Engine::find().await;
    let host = engine.host();
    let script = "\
id -u
grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status
ls /sys/class/net
touch /etc/mine || echo read-only
touch /tmp/mine && echo tmp
ls /var/run/docker.sock 2>/dev/null || echo no socket
ls / | tr '\\n' ' '
";
    let token = deploy(&host, "who", script, json!({})).await;
    let said = String::from_utf8(run(&host, "who", &token, "").await.1).expect("text");
    let squeezed = said.replace('\t', " ");
    for wanted in [
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "read-only",
        "tmp\n",
        "no socket",
    ] {
        assert!(squeezed.contains(wanted), "{wanted}: {said}");
    }
    assert!(!said.starts_with("0\n"), "it is root: {said}");
    let networks: Vec<&str> = said.lines().filter(|line| matches!(*line, "lo" | "eth0")).collect();
    assert_eq!(networks, ["lo"], "{said}");
    let token = deploy(
        &host,
        "root",
        "id -u; touch /etc/mine && echo wrote",
        json!({
            "container": {"user": "root", "writable_root": true},
        }),
    )
    .await;
    assert_eq!(run(&host, "root", &token, "").await.1, b"0\nwrote\n");
    clean(&engine, &host).await;
}

/// As root in the container, with every right that it may have there.
#[tokio::test]
async fn nothing_but_its_own_folder_is_collected_from_a_container() {
    let engine = Engine::find().await;
    let setup = Setup { env: vec![("WICKET_LOG".to_owned(), "trace".to_owned())], ..Setup::default() };
    let host = engine.host_with("", setup);
    let data = host.data().display().to_string();
    let script = format!(
        "mv /wicket/output /wicket/aside; ln -s {data} /wicket/output; rm -rf $TMP_OUTPUT_DIR; \
         ln -s {data} $TMP_OUTPUT_DIR/more; ln {data}/admin-password $TMP_OUTPUT_DIR/p; echo mine > $TMP_OUTPUT_DIR/mine; exit 0"
    );
    let fields = json!({
        "container": {"user": "root", "writable_root": true},
        "input": [{"path": "box/in"}], "output": [{"path": "box/out"}],
        "environment": {"secrets": {"KEY": "s3cret-of-the-service"}},
    });
    deploy(&host, "thief", &script, fields).await;
    host.put("box", "in/a", "x").await;
    assert_eq!(until("it ran", super::SOON, async || host.object("box", "out/mine").await).await, "mine\n");
    let listed = host.wicket(&["bucket", "ls", "box/out/", "--json"]);
    assert_eq!(listed.json().as_array().map(Vec::len), Some(1), "{listed:?}");
    assert!(!host.stderr().contains("s3cret"), "a secret is in the log");
    clean(&engine, &host).await;
}

#[tokio::test]
async fn what_cannot_run_here_is_refused_when_it_is_deployed() {
    let engine = Engine::find().await;
    let setup = Setup::default();
    let host = engine
        .host_with(&format!("networks = []\nimages = [\"{}\"]", IMAGE.split(':').next().unwrap()), setup);
    let refused = async |fields: serde_json::Value| {
        let mut service = json!({"name": "no", "image": IMAGE, "script": "true"});
        for (field, value) in fields.as_object().expect("fields") {
            service[field] = value.clone();
        }
        let answer = host.admin(Method::POST, "/system/services", service.to_string()).await;
        assert!(
            answer.status.is_client_error() || answer.status.is_server_error(),
            "{fields}: {}",
            answer.text()
        );
        answer.text()
    };
    for (fields, words) in [
        (json!({"image": "evil.example/wicketgate-stories"}), "not one that this host allows"),
        (
            json!({"image": "wicketgate-stories:none", "container": {"pull": "never"}}),
            "is not on this machine",
        ),
        (json!({"container": {"network": "host"}}), "the network `host`"),
        (json!({"container": {"gpus": 2}}), "2 GPU(s)"),
        (json!({"http": {"path": "/no"}}), "HTTP routes need a module"),
    ] {
        let said = refused(fields).await;
        assert!(said.contains(words), "{words}: {said}");
    }
    // Without an engine the reason and the next step are told, and everything else works.
    let setup =
        Setup { config: "[docker]\nsocket = \"/nowhere/docker.sock\"".to_owned(), ..Setup::default() };
    let away = wicket_tests::TestHost::with(setup);
    let service = json!({"name": "no", "image": IMAGE, "script": "true"}).to_string();
    let answer = away.admin(Method::POST, "/system/services", service).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
    assert!(
        answer.text().contains("/nowhere/docker.sock") && answer.text().contains("wicket doctor"),
        "{}",
        answer.text()
    );
    away.apply("- node:\n    name: hello\n    wasm: {guest:hello}\n    http: { path: /hello }");
    assert_eq!(away.get("/hello").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_image_that_is_gone_is_told() {
    let engine = Engine::find().await;
    let host = engine.host();
    // An image of its own, that the other stories do not need.
    let name = format!("wicketgate-gone-{}", std::process::id());
    let made = engine
        .docker
        .create_container(
            None,
            bollard::models::ContainerCreateBody {
                image: Some(IMAGE.to_owned()),
                cmd: Some(vec!["/bin/true".to_owned()]),
                ..Default::default()
            },
        )
        .await
        .expect("a container");
    let commit = bollard::query_parameters::CommitContainerOptionsBuilder::default()
        .container(&made.id)
        .repo(&name)
        .tag("1")
        .changes("LABEL own=1")
        .build();
    engine
        .docker
        .commit_container(commit, bollard::models::ContainerConfig::default())
        .await
        .expect("an image");
    engine.docker.remove_container(&made.id, None).await.expect("it goes");
    let token = deploy(&host, "gone", "echo here", json!({"image": format!("{name}:1")})).await;
    assert_eq!(run(&host, "gone", &token, "").await.1, b"here\n");
    clean(&engine, &host).await;
    engine
        .docker
        .remove_image(&format!("{name}:1"), None::<bollard::query_parameters::RemoveImageOptions>, None)
        .await
        .expect("it goes");
    let (status, _, receipt) = run(&host, "gone", &token, "").await;
    assert_eq!((status, failure(&receipt)), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"), "{receipt}");
    let message = receipt["attempts"][0]["failure"]["message"].as_str().unwrap_or_default();
    assert!(message.contains(&name) && message.contains("not on this machine"), "{message}");
    clean(&engine, &host).await;
}
