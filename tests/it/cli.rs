//! The command line on a real host: what it prints, where, and with which exit code.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use http::Method;
use wicket_tests::{Output, Setup, TestHost, binary, until};

const SOON: std::time::Duration = std::time::Duration::from_secs(60);

const ECHO: &str = "- node:\n    name: echo\n    wasm: {guest:echo}\n    limits: { timeout: 20s }\n";
const BROKEN: &str = "- node:\n    name: broken\n    wasm: {guest:panicker}\n    retry: { attempts: 1 }\n";

/// Runs `wicket` with something on its standard input.
fn fed(host: &TestHost, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(binary())
        .args(args)
        .env("WICKET_DATA", host.data())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // Whoever refuses the input may have ended before it was written.
    let _refused = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("it ends");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A file of the test's own.
fn file(host: &TestHost, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = host.scratch().join(name);
    std::fs::write(&path, bytes).expect("the temporary folder is writable");
    path.display().to_string()
}

/// The first words of the lines on standard output.
fn first_words(output: &Output) -> Vec<&str> {
    output.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

#[tokio::test]
async fn applying_a_file_twice_changes_nothing_and_a_change_is_a_version() {
    let host = TestHost::start();
    let done = host.apply(&format!("{ECHO}{BROKEN}"));
    assert_eq!(done.stdout, "echo    created    version 1\nbroken  created    version 1\n");
    let uploaded =
        std::fs::metadata(host.data().join("modules")).expect("a folder").modified().expect("a time");
    let again = host.apply(&format!("{ECHO}{BROKEN}"));
    assert_eq!(again.stdout, "echo    unchanged  version 1\nbroken  unchanged  version 1\n");
    let modules =
        std::fs::metadata(host.data().join("modules")).expect("a folder").modified().expect("a time");
    assert_eq!(modules, uploaded, "nothing was uploaded again");
    let changed = host.apply(&ECHO.replace("20s", "19s"));
    assert_eq!(changed.stdout, "echo  updated    version 2\n");

    assert_eq!(host.wicket(&["services", "--json"]).json()[1]["version"], 2);
    assert_eq!(host.wicket(&["versions", "echo", "--json"]).json().as_array().map(Vec::len), Some(2));
    assert_eq!(host.wicket(&["rollback", "echo", "--json"]).json()["version"], 1);
    assert_eq!(host.cli(&["rollback", "echo", "7"]).code, 5);
    host.wicket(&["rm", "broken"]);
    assert_eq!(first_words(&host.wicket(&["services"])), ["NAME", "echo"]);
}

#[tokio::test]
async fn everything_wrong_with_a_file_is_told_at_once_and_nothing_is_applied() {
    let host = TestHost::start();
    let text =
        "functions:\n  oscar:\n  - n: { name: a, wasm: nowhere.wasm }\n  - n: { name: b, wasm: text.wasm }\n";
    file(&host, "text.wasm", "this is text");
    let path = file(&host, "f.yaml", text);
    for command in ["check", "apply"] {
        let refused = host.cli(&[command, &path]);
        assert_eq!((refused.code, refused.stdout.as_str()), (3, ""), "{refused:?}");
        assert_eq!(
            refused.stderr.lines().filter(|line| line.starts_with("error: ")).count(),
            2,
            "{refused:?}"
        );
        assert!(refused.stderr.contains("f.yaml:3:") && refused.stderr.contains("f.yaml:4:"), "{refused:?}");
    }
    let path = file(
        &host,
        "digest.yaml",
        format!("functions:\n  oscar:\n  - n: {{ name: a, wasm: {} }}\n", "a".repeat(64)),
    );
    let refused = host.cli(&["apply", &path]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains("digest.yaml:3:") && refused.stderr.contains("no module"), "{refused:?}");
    assert_eq!(host.wicket(&["services", "--json"]).stdout, "[]\n");
}

#[tokio::test]
async fn a_file_is_checked_and_a_module_inspected_without_a_host() {
    let host = TestHost::start();
    let path = host.fdl(ECHO);
    let path = path.to_str().expect("text");
    let away = |args: &[&str]| {
        let output = Command::new(binary()).args(args).env_clear().output().expect("the binary starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(away(&["check", path]).ends_with("1 service, nothing wrong\n"));
    let found: serde_json::Value = serde_json::from_str(&away(&["check", path, "--json"])).expect("JSON");
    assert_eq!(found[0]["module"]["shape"], "command");
    let module = found[0]["file"].as_str().expect("a path");
    let found: serde_json::Value = serde_json::from_str(&away(&["inspect", module, "--json"])).expect("JSON");
    assert_eq!(found["shape"], "command");
    let toml = file(&host, "w.toml", "[queue]\nlease = \"5s\"\n");
    away(&["check", &toml]);
    let toml = file(&host, "w.toml", "lisen = 1\n");
    assert!(
        host.cli(&["check", &toml])
            .stderr
            .contains("w.toml:1:1: lisen: unknown key (did you mean `listen`?)")
    );
}

#[tokio::test]
async fn every_kind_of_failure_has_its_exit_code_and_a_next_step() {
    let mut host = TestHost::start();
    host.apply(BROKEN);
    let ends = |host: &TestHost, args: &[&str], code: i32, said: &str| {
        let output = host.cli(args);
        assert_eq!(output.code, code, "{args:?}: {output:?}");
        assert!(output.stderr.contains(said) && output.stdout.is_empty(), "{args:?}: {output:?}");
    };
    ends(&host, &["servces"], 2, "'services'");
    ends(&host, &["show", "12"], 2, "32 hex digits");
    ends(&host, &["apply", "nowhere.yaml"], 3, "nowhere.yaml");
    ends(&host, &["run", "broken", "--input", "nowhere"], 3, "cannot read nowhere");
    ends(&host, &["rm", "nobody"], 5, "`wicket services` lists them");
    ends(&host, &["show", &"0".repeat(32)], 5, "`wicket invocations`");
    ends(&host, &["bucket", "get", "nothing/here"], 5, "`wicket bucket ls`");
    ends(&host, &["services", "--password", "wrong"], 6, "--password-file");
    ends(&host, &["bucket", "ls", "--password", "wrong"], 6, "--password-file");
    ends(&host, &["services", "--endpoint", &host.http, "--data", "/nowhere"], 6, "--password-file");
    ends(&host, &["run", "broken"], 7, "`wicket show ");
    ends(&host, &["services", "--endpoint", "http://127.0.0.1:1"], 4, "wicket serve");
    ends(&host, &["services", "--data", "/nowhere"], 4, "wicket serve");
    host.kill();
    ends(&host, &["services"], 4, "wicket serve");
}

#[tokio::test]
async fn a_call_streams_both_ways_and_leaves_no_file_when_it_fails() {
    let host = TestHost::start();
    host.apply(&format!("{ECHO}{BROKEN}"));
    let said = fed(&host, &["run", "echo", "--input", "-"], b"through a pipe");
    assert_eq!((said.code, said.stdout.as_str()), (0, "through a pipe"));
    let input = file(&host, "in", "through files");
    let output = host.scratch().join("out");
    let to = output.to_str().expect("text");
    host.wicket(&["run", "echo", "--input", &input, "--output", to]);
    assert_eq!(std::fs::read_to_string(&output).expect("the answer"), "through files");
    std::fs::remove_file(&output).expect("a file");
    let failed = host.cli(&["run", "broken", "--output", to]);
    assert_eq!(failed.code, 7);
    assert!(failed.stderr.contains("trapped") && !output.exists(), "{failed:?}");
    let limit = file(&host, "large", vec![0; 65 << 20]);
    assert_eq!(host.cli(&["run", "echo", "--input", &limit]).code, 3, "the body is over the service's limit");
}

#[tokio::test]
async fn a_services_token_is_enough_to_call_it() {
    let host = TestHost::start();
    host.apply(ECHO);
    let told = host.cli(&["token", "echo"]).stdout;
    let token = told.trim_end();
    let with = |args: &[&str]| {
        let place = ["--endpoint", &host.http, "--token", token, "--data", "/nowhere"];
        host.cli(&[args, &place].concat())
    };
    assert_eq!(host.cli(&["token", "nobody"]).code, 5);
    assert_eq!(with(&["run", "echo"]).code, 0);
    assert_eq!(with(&["job", "echo"]).code, 0);
    assert_eq!(
        host.cli(&["run", "echo", "--endpoint", &host.http, "--token", "none", "--data", "/nowhere"]).code,
        6
    );
    let listed = host.wicket(&["services", "--json"]).stdout;
    assert!(!listed.contains(token) && !listed.contains(&host.password()));
}

#[tokio::test]
async fn a_job_is_waited_for_shown_listed_and_redriven() {
    let host = TestHost::start();
    host.apply(&format!("{ECHO}{BROKEN}"));
    let done = host.wicket(&["job", "echo", "--wait", "--json"]).json();
    assert_eq!((&done["state"], &done["service"]), (&"succeeded".into(), &"echo".into()));
    let failed = host.cli(&["job", "broken", "--wait"]);
    assert_eq!(failed.code, 7);
    assert!(failed.stdout.contains("state       failed") && failed.stdout.contains("trapped"), "{failed:?}");
    let twice = ["job", "echo", "--idempotency-key", "once"];
    assert_eq!(host.wicket(&twice).stdout, host.wicket(&twice).stdout);

    let letters = host.wicket(&["dead-letters", "--json"]).json();
    let id = letters[0]["id"].as_str().expect("an id").to_owned();
    assert!(letters[0]["reason"].as_str().is_some_and(|reason| reason.contains("trapped")));
    assert_eq!(first_words(&host.wicket(&["dead-letters"])), ["ID", id.as_str()]);
    assert!(host.wicket(&["show", &id]).stdout.contains(&format!("invocation  {id}")));
    assert_eq!(host.wicket(&["show", &id, "--json"]).json()["id"], id.as_str());
    assert!(host.wicket(&["logs", &id]).stdout.contains("panicked"));
    assert!(host.wicket(&["explain", &id]).stdout.contains("its way, oldest first:"));
    let failed = host.wicket(&["invocations", "broken", "--state", "failed", "--json"]).json();
    assert_eq!(failed[0]["id"], id.as_str());
    assert_eq!(host.wicket(&["invocations", "--limit", "1"]).stdout.lines().count(), 2);
    host.wicket(&["dead-letters", "redrive", &id]);
    let alive = host.wicket(&["job", "echo"]).stdout;
    assert_eq!(host.cli(&["dead-letters", "redrive", alive.trim()]).code, 1, "what is alive is not redriven");
}

#[tokio::test]
async fn what_runs_is_cancelled_and_can_be_redriven() {
    // Its lease alone would end it later than this story waits.
    let config = "[queue]\nlease = \"10m\"\n".to_owned();
    let host = TestHost::with(Setup { config, ..Setup::default() });
    host.apply("- node:\n    name: slow\n    wasm: {guest:sleeper}\n    args: ['600000']\n    limits: { timeout: 20m }\n");
    let id = host.wicket(&["job", "slow"]).stdout.trim().to_owned();
    let runs = async || {
        let receipt = host.admin(Method::GET, &format!("/system/invocations/{id}"), "").await.json();
        (receipt["state"] == "running").then_some(())
    };
    until("it runs", SOON, runs).await;
    host.wicket(&["cancel", &id]);
    let shown = host.wicket(&["show", &id]).stdout;
    assert!(shown.contains("state       failed") && shown.contains("cancelled: by the admin"), "{shown}");
    until("its instance is gone", SOON, async || {
        let stats = host.admin(Method::GET, "/system/stats", "").await.json();
        (stats["instances"] == 0).then_some(())
    })
    .await;
    let twice = host.cli(&["cancel", &id]);
    assert!(twice.code == 1 && twice.stderr.contains("has ended"), "{twice:?}");
    assert!(host.cli(&["cancel", &"0".repeat(32)]).stderr.contains("there is no invocation"));
    host.wicket(&["dead-letters", "redrive", &id]);
    until("it runs again", SOON, runs).await;
    host.wicket(&["cancel", &id]);
}

#[tokio::test]
async fn a_log_is_followed_to_the_end_of_its_invocation() {
    let host = TestHost::start();
    host.apply("- node:\n    name: slow\n    wasm: {guest:sleeper}\n    args: ['1500']\n");
    let id = host.wicket(&["job", "slow"]).stdout;
    let followed = host.wicket(&["logs", "--follow", id.trim()]);
    assert!(followed.stdout.contains("out  slept 1500 ms"), "{followed:?}");
    let lines = host.wicket(&["logs", "--json", id.trim()]);
    let first: serde_json::Value =
        serde_json::from_str(lines.stdout.lines().next().unwrap_or_default()).expect("JSON");
    assert_eq!(first["text"], "slept 1500 ms", "a line of JSON for each of the log");
}

#[tokio::test]
async fn objects_go_up_and_come_down_in_parts_in_folders_and_through_pipes() {
    let host = TestHost::start();
    let wicket = |args: &[&str]| host.wicket(args);
    wicket(&["bucket", "mb", "photos"]);
    wicket(&["bucket", "mb", "photos"]);
    let large: Vec<u8> = (0..(20u32 << 20)).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let path = file(&host, "large", &large);
    wicket(&["bucket", "put", &path, "photos/in/"]);
    let stored = host.object("photos", "in/large").await.expect("it is there");
    assert!(stored == large, "what went up in parts is the same");
    let down = host.scratch().join("down");
    wicket(&["bucket", "get", "photos/in/large", down.to_str().expect("text")]);
    assert!(std::fs::read(&down).expect("a file") == large);
    assert_eq!(fed(&host, &["bucket", "put", "-", "photos/in/a b+c/ä"], b"piped").code, 0);
    assert_eq!(wicket(&["bucket", "get", "photos/in/a b+c/ä", "-"]).stdout, "piped");

    let listed = wicket(&["bucket", "ls", "photos/in/", "--json"]).json();
    assert_eq!(listed[0]["folder"], "in/a b+c/");
    assert_eq!((&listed[1]["key"], &listed[1]["size"]), (&"in/large".into(), &(20 << 20).into()));
    assert_eq!(wicket(&["bucket", "ls", "photos/none", "--json"]).json(), serde_json::json!([]));
    assert_eq!(first_words(&wicket(&["bucket", "ls"])), ["BUCKET", "photos"]);

    let folder = host.scratch().join("folder");
    wicket(&["bucket", "get", "--recursive", "photos/in", folder.to_str().expect("text")]);
    assert_eq!(std::fs::read(folder.join("a b+c/ä")).expect("a file"), b"piped");
    wicket(&["bucket", "put", "--recursive", folder.to_str().expect("text"), "photos/again"]);
    assert_eq!(host.object("photos", "again/a b+c/ä").await.as_deref(), Some(&b"piped"[..]));

    assert_eq!(host.cli(&["bucket", "rm", "photos"]).code, 1, "it is not empty");
    wicket(&["bucket", "rm", "photos/in/large"]);
    assert_eq!(host.cli(&["bucket", "rm", "photos/in/large"]).code, 5);
    wicket(&["bucket", "rm", "--recursive", "photos"]);
    assert_eq!(wicket(&["bucket", "ls", "--json"]).stdout, "[]\n");
}

#[tokio::test]
async fn a_key_that_would_leave_the_folder_is_left_out() {
    let host = TestHost::start();
    host.wicket(&["bucket", "mb", "photos"]);
    host.put("photos", "in/../../../escaped", "x").await;
    host.put("photos", "in/kept", "x").await;
    let folder = host.scratch().join("a/b");
    let done = host.cli(&["bucket", "get", "--recursive", "photos/in", folder.to_str().expect("text")]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("left out"), "{done:?}");
    assert!(folder.join("kept").exists() && !host.scratch().join("escaped").exists());
}

#[tokio::test]
async fn explain_answers_about_objects_and_events() {
    let host = TestHost::start();
    host.apply(&format!("{ECHO}    input: [{{ path: photos/in, suffix: [.jpg] }}]\n"));
    let object = host.wicket(&["explain", "photos/in/a.png"]).stdout;
    assert!(object.contains("echo is not started") && object.contains(".jpg"), "{object}");
    let object = host.wicket(&["explain", "photos/in/a.jpg", "--json"]).json();
    assert_eq!(object["routes"][0]["matches"], true);
    let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
    let path = file(&host, "event.json", event);
    assert!(host.wicket(&["explain", &path]).stdout.starts_with("t from /s\n"));
    assert!(fed(&host, &["explain", "-"], event.as_bytes()).stdout.starts_with("t from /s\n"));
    assert_eq!(fed(&host, &["explain", "-"], b"no event").code, 3);
    assert_eq!(host.cli(&["explain", "neither"]).code, 2);
}

#[tokio::test]
async fn a_reader_that_leaves_ends_a_command_quietly() {
    let host = TestHost::start();
    host.wicket(&["bucket", "mb", "photos"]);
    host.put("photos", "large", vec![0; 8 << 20]).await;
    let mut child = Command::new(binary())
        .args(["bucket", "get", "photos/large", "-"])
        .env("WICKET_DATA", host.data())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut [0; 10]).expect("some bytes");
    drop(stdout);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[tokio::test]
async fn the_doctor_looks_at_the_machine_and_leaves_nothing() {
    let host = TestHost::start();
    let before = std::fs::read_dir(host.data()).expect("a folder").count();
    let findings = host.wicket(&["doctor", "--json"]).json();
    let verdict = |check: &str| {
        let all = findings.as_array().expect("a list");
        all.iter().find(|one| one["check"] == check).map(|one| one["verdict"].clone())
    };
    assert!(verdict("wasm engine").is_some() && verdict("fsync").is_some(), "{findings}");
    assert_eq!(verdict("data folder"), Some("good".into()));
    let config = file(&host, "wicket.toml", "[docker]\nsocket = \"/nowhere/engine.sock\"\n");
    let told = host.wicket(&["doctor", "--config", &config]).stdout;
    assert!(told.contains("/nowhere/engine.sock: No such file"), "{told}");
    assert_eq!(std::fs::read_dir(host.data()).expect("a folder").count(), before);
    assert_eq!(host.cli(&["doctor", "--data", "/proc/nowhere"]).code, 1, "no host can run there");
    assert_eq!(host.cli(&["doctor", "--data", "/dev/null"]).code, 1, "it is a file");
}
