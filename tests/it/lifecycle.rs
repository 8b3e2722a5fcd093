//! How a host starts, what it makes and keeps to itself, and how it ends.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use rustix::process::Signal;
use wicket_tests::{Setup, TestHost, binary, until};

const SOON: Duration = Duration::from_secs(30);

/// Runs `wicket serve`, which must not come up.
fn refused(args: &[&str]) -> (i32, String) {
    refused_with(args, &[])
}

/// The same with variables.
fn refused_with(args: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(binary());
    command.arg("serve").args(args);
    for listen in ["--listen", "--s3-listen"] {
        if !args.contains(&listen) {
            command.args([listen, "127.0.0.1:0"]);
        }
    }
    let output = command.envs(env.iter().copied()).stdin(Stdio::null()).output().expect("the binary starts");
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn a_host_makes_its_secrets_once_keeps_them_to_its_owner_and_tells_none() {
    let host = TestHost::start();
    host.apply("- node:\n    name: hello\n    wasm: {guest:hello}\n    http: { path: /hello }");
    let password = host.password();
    let keys = std::fs::read_to_string(host.data().join("s3-keys.json")).expect("keys");
    assert!(password.len() >= 24);
    for name in ["admin-password", "s3-keys.json", "cache-key", "host.json"] {
        let mode = std::fs::metadata(host.data().join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(host.data()).expect("a folder").permissions().mode() & 0o077, 0);
    host.get("/hello").await;
    host.send(Method::GET, "/system/services", &[("authorization", "Basic b3NjYXI6b3NjYXI=")], Bytes::new())
        .await;
    assert!(!host.stderr().contains(&password), "the password is in the log");

    let host = host.restart();
    assert_eq!(host.password(), password);
    assert_eq!(std::fs::read_to_string(host.data().join("s3-keys.json")).expect("keys"), keys);
    assert_eq!(host.admin(Method::GET, "/system/services", Bytes::new()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_environment_overrides_what_the_folder_keeps() {
    let env = [
        ("WICKET_ADMIN_PASSWORD", "chosen by the operator"),
        ("WICKET_S3_ACCESS_KEY", "chosenaccess"),
        ("WICKET_S3_SECRET_KEY", "chosen secret"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let host = TestHost::with(Setup { env, ..Setup::default() });
    assert!(!host.data().join("admin-password").exists(), "what was given is not stored");
    let header = [("authorization", "Basic b3NjYXI6Y2hvc2VuIGJ5IHRoZSBvcGVyYXRvcg==")];
    let listed = host.send(Method::GET, "/system/config", &header, Bytes::new()).await;
    assert_eq!(listed.status, StatusCode::OK);
    assert_eq!(listed.json()["minio_provider"]["access_key"], "chosenaccess");
}

/// What `wicket serve` prints for people once it listens.
fn greeting(data: &std::path::Path, env: &[(&str, &str)]) -> Vec<String> {
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--data"]).arg(data);
    command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary starts");
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        said.push(line.expect("text"));
        if said.last().is_some_and(|line| line.starts_with("S3 keys")) {
            break;
        }
    }
    child.kill().and_then(|()| child.wait()).expect("it ran until now");
    said
}

#[test]
fn where_the_secrets_are_is_said_and_what_they_are_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let last = |line: &String| std::path::PathBuf::from(line.rsplit(' ').next().unwrap_or_default());
    let said = greeting(&folder.path().join("own"), &[]);
    for line in said.iter().filter(|line| line.starts_with("admin") || line.starts_with("S3 keys")) {
        assert!(last(line).is_file(), "{line}");
    }
    let env = [
        ("WICKET_ADMIN_PASSWORD", "chosen-by-the-operator"),
        ("WICKET_S3_ACCESS_KEY", "chosen-access"),
        ("WICKET_S3_SECRET_KEY", "chosen-secret"),
    ];
    let data = folder.path().join("given");
    let said = greeting(&data, &env).join("\n");
    assert!(
        said.contains("from WICKET_ADMIN_PASSWORD") && said.contains("from WICKET_S3_SECRET_KEY"),
        "{said}"
    );
    assert!(
        !said.contains("chosen") && !said.contains("admin-password") && !said.contains("s3-keys"),
        "{said}"
    );
}

#[test]
fn what_is_wrong_is_told_before_anything_listens() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("text");
    let config = folder.path().join("wicket.toml");
    std::fs::write(&config, "lisen = 1\n[queue]\nlease = \"soon\"\n").expect("writable");
    let (code, said) = refused(&["--data", data, "--config", config.to_str().expect("text")]);
    assert_ne!(code, 0);
    assert!(
        said.contains(":1:1: lisen") && said.contains("`listen`") && said.contains(":3:9: queue.lease"),
        "{said}"
    );
    let (_, said) = refused(&["--data", data, "--listen", "0.0.0.0:0"]);
    assert!(said.contains("reachable from outside"), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let (_, said) = refused(&["--data", data, "--s3-listen", &taken]);
    assert!(said.contains(&taken) && said.contains("--s3-listen"), "{said}");
    assert!(!std::path::Path::new(data).join("wicket.db").exists(), "nothing was opened");
}

#[test]
fn half_a_key_pair_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    for half in ["WICKET_S3_ACCESS_KEY", "WICKET_S3_SECRET_KEY"] {
        let (_, said) = refused_with(&["--data", data.to_str().expect("text")], &[(half, "given-for-s3")]);
        assert!(said.contains("only one is set") && !said.contains("given-for-s3"), "{said}");
        assert!(!data.exists(), "{half}: a folder was made");
    }
}

#[test]
fn two_hosts_never_share_a_folder() {
    let host = TestHost::start();
    let (_, said) = refused(&["--data", host.data().to_str().expect("text")]);
    assert!(said.contains("in use by another host"), "{said}");
    host.wicket(&["services"]);
}

#[tokio::test]
async fn a_folder_that_lost_its_database_keeps_its_objects() {
    let mut host = TestHost::start();
    host.buckets().create_bucket().bucket("photos").send().await.expect("a bucket");
    host.put("photos", "large", vec![7; 200_000]).await;
    host.terminate();
    let data = host.data();
    let db = data.join("wicket.db");
    let kept = host.scratch().join("kept.db");
    std::fs::rename(&db, &kept).expect("the host is gone");
    for empty in [false, true] {
        if empty {
            std::fs::write(&db, "").expect("writable");
        }
        let (_, said) = refused(&["--data", data.to_str().expect("text")]);
        assert!(said.contains("wicket.db") && said.contains("restore"), "{said}");
    }
    std::fs::rename(&kept, &db).expect("it is there");
    let host = host.restart();
    assert_eq!(host.object("photos", "large").await.map(|bytes| bytes.len()), Some(200_000));
}

#[tokio::test]
async fn sigterm_lets_what_runs_end_and_gives_back_what_does_not() {
    let service = |ms: u32| {
        format!(
            "- node:\n    name: slow\n    wasm: {{guest:sleeper}}\n    args: ['{ms}']\n    input: [{{ path: work/in }}]\n    output: [{{ path: work/out }}]"
        )
    };
    let setup = Setup { config: "[drain]\ndeadline = \"3s\"".to_owned(), ..Setup::default() };
    let mut host = TestHost::with(setup);
    let runs = async |host: &TestHost| {
        until("it runs", SOON, async || {
            let listed = host.wicket(&["invocations", "slow", "--json"]).json();
            listed.as_array().expect("a list").iter().any(|one| one["state"] == "running").then_some(())
        })
        .await;
    };
    host.apply(&service(1_000));
    host.put("work", "in/short", "x").await;
    runs(&host).await;
    assert!(host.terminate().success());
    assert!(!host.data().join("host.json").exists());
    let mut host = host.restart();
    let ended = host.wicket(&["invocations", "slow", "--json"]).json();
    assert_eq!(
        (ended[0]["state"].as_str(), ended[0]["attempts"].as_array().map(Vec::len)),
        (Some("succeeded"), Some(1))
    );

    host.apply(&service(3_600_000));
    host.put("work", "in/long", "x").await;
    runs(&host).await;
    assert!(host.terminate().success());
    let mut host = host.restart();
    // It runs again, and the attempt that was cut off does not count.
    runs(&host).await;
    let listed = host.wicket(&["invocations", "slow", "--json"]).json();
    assert_eq!(listed[0]["attempts"].as_array().map(Vec::len), Some(0), "{listed}");
    // Who cannot wait says it twice.
    host.signal(Signal::TERM);
    until("it drains", SOON, async || host.stderr().contains("draining").then_some(())).await;
    let begun = std::time::Instant::now();
    host.signal(Signal::TERM);
    host.wait(SOON);
    assert!(begun.elapsed() < Duration::from_millis(2_900), "{:?}", begun.elapsed());
}
