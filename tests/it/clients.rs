//! S3 clients of others against the buckets: boto3 and rclone, as they come.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use wicket_tests::{TestHost, tools, until};

const SOON: Duration = Duration::from_secs(60);

/// The access key and the secret key of a host.
fn keys(host: &TestHost) -> (String, String) {
    let text = std::fs::read_to_string(host.data().join("s3-keys.json")).expect("the host wrote its keys");
    let keys: Value = serde_json::from_str(&text).expect("keys are JSON");
    let key = |name: &str| keys[name].as_str().expect("a key is text").to_owned();
    (key("access_key"), key("secret_key"))
}

/// Runs it; what it prints, and what it says. It must succeed.
#[track_caller]
fn talked(command: &mut Command) -> (String, String) {
    let output = command.output().expect("the program starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    (stdout.into_owned(), stderr.into_owned())
}

/// Runs it; what it prints. It must succeed.
#[track_caller]
fn ran(command: &mut Command) -> String {
    talked(command).0
}

/// Runs a script of `clients/` against a fresh host.
#[track_caller]
fn boto3(script: &str) {
    let mut host = TestHost::start();
    let (access, secret) = keys(&host);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/clients").join(script);
    let mut python = tools::python();
    python.arg(script).env("S3_ENDPOINT", &host.s3).env("S3_ACCESS_KEY", access).env("S3_SECRET_KEY", secret);
    ran(&mut python);
    assert!(host.runs());
}

#[test]
fn boto3_puts_gets_copies_and_deletes_objects() {
    boto3("objects.py");
}

#[test]
fn boto3_finds_keys_of_every_legal_shape() {
    boto3("keys.py");
}

#[test]
fn boto3_uploads_in_parts() {
    boto3("parts.py");
}

#[test]
fn boto3_signs_urls_for_others() {
    boto3("presigned.py");
}

/// rclone with a remote `wicket:`.
fn rclone(host: &TestHost) -> Command {
    let (access, secret) = keys(host);
    let mut rclone = tools::rclone();
    let settings = [
        ("TYPE", "s3"),
        ("PROVIDER", "Other"),
        ("REGION", "us-east-1"),
        ("ENDPOINT", &host.s3),
        ("ACCESS_KEY_ID", &access),
        ("SECRET_ACCESS_KEY", &secret),
        ("CHUNK_SIZE", "5Mi"),
        ("UPLOAD_CUTOFF", "8Mi"),
        ("LIST_CHUNK", "3"),
    ];
    rclone.envs(settings.map(|(name, value)| (format!("RCLONE_CONFIG_WICKET_{name}"), value)));
    rclone.args(["--retries", "1", "--low-level-retries", "1"]);
    rclone
}

/// A folder with files of several sizes and names.
fn folder(host: &TestHost) -> (PathBuf, BTreeMap<&'static str, Vec<u8>>) {
    let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for (n, name) in
        ["a.txt", "trip/a b+c.jpg", "trip/Ü 100%.jpg", "trip/deep/er/x", "empty"].into_iter().enumerate()
    {
        files.insert(name, vec![b'0' + u8::try_from(n).expect("few files"); n * 1000]);
    }
    files.insert("empty", Vec::new());
    let pattern = (0..18_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]);
    files.insert("large.bin", pattern.collect());
    let dir = host.scratch().join("folder");
    for (name, bytes) in &files {
        let file = dir.join(name);
        std::fs::create_dir_all(file.parent().expect("a file is in a folder")).expect("a folder");
        std::fs::write(file, bytes).expect("a file");
    }
    (dir, files)
}

#[tokio::test]
async fn rclone_copies_checks_and_syncs_a_folder() {
    let host = TestHost::start();
    let (dir, files) = folder(&host);
    let dir = dir.to_str().expect("a temporary path is text");
    ran(rclone(&host).args(["copy", dir, "wicket:photos/in"]));
    for (name, bytes) in &files {
        let there = host.object("photos", &format!("in/{name}")).await;
        assert!(there.is_some_and(|there| there == bytes), "{name}");
    }
    let listed = ran(rclone(&host).args(["lsf", "--recursive", "--files-only", "wicket:photos/in"]));
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    assert_eq!(listed, files.keys().copied().collect::<Vec<_>>());
    // Both ways: what is there is what was sent, by its sums and by its bytes.
    ran(rclone(&host).args(["check", dir, "wicket:photos/in"]));
    ran(rclone(&host).args(["check", "--download", dir, "wicket:photos/in"]));
    assert_eq!(
        ran(rclone(&host).args(["cat", "--offset", "3", "--count", "4", "wicket:photos/in/trip/a b+c.jpg"])),
        "1111"
    );

    // A second copy sends nothing; a sync takes away what is gone, and moves are copies on the host.
    let copied = |talk: &str| talk.lines().filter(|line| line.contains("Copied")).count();
    let (_, first) = talked(rclone(&host).args(["copy", "-v", dir, "wicket:photos/twice"]));
    let (_, second) = talked(rclone(&host).args(["copy", "-v", dir, "wicket:photos/twice"]));
    assert_eq!((copied(&first), copied(&second)), (files.len(), 0), "{second}");
    ran(rclone(&host).args(["purge", "wicket:photos/twice"]));
    ran(rclone(&host).args(["moveto", "wicket:photos/in/large.bin", "wicket:photos/out/large.bin"]));
    assert!(host.object("photos", "in/large.bin").await.is_none());
    assert!(host.object("photos", "out/large.bin").await.is_some_and(|there| there == files["large.bin"]));
    std::fs::remove_file(Path::new(dir).join("large.bin")).expect("it was written");
    std::fs::remove_dir_all(Path::new(dir).join("trip")).expect("it was written");
    ran(rclone(&host).args(["sync", dir, "wicket:photos/in"]));
    let left = ran(rclone(&host).args(["lsf", "--recursive", "--files-only", "wicket:photos/in"]));
    assert_eq!(left.lines().count(), 2, "{left}");
    ran(rclone(&host).args(["purge", "wicket:photos"]));
    assert!(!ran(rclone(&host).args(["lsd", "wicket:"])).contains("photos"));
}

#[tokio::test]
async fn whatever_client_uploads_each_object_starts_its_function_once() {
    let host = TestHost::start();
    host.apply(
        "\
- node:
    name: copy
    wasm: {guest:echo}
    input: [{ path: photos/in }]
    output: [{ path: photos/out, keep_folders: true }]",
    );
    let (dir, mut files) = folder(&host);
    ran(rclone(&host).arg("copy").arg(&dir).arg("wicket:photos/in"));
    // In parts, by another client.
    let (access, secret) = keys(&host);
    let script = "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1')\
                  .upload_file(sys.argv[2], 'photos', 'in/by boto3/large.bin')";
    let mut python = tools::python();
    python.args(["-c", script, &host.s3]).arg(dir.join("large.bin"));
    ran(python.env("AWS_ACCESS_KEY_ID", access).env("AWS_SECRET_ACCESS_KEY", secret));
    files.insert("by boto3/large.bin", files["large.bin"].clone());

    let receipts = until("each has its end", SOON, async || {
        let all = host.wicket(&["invocations", "copy", "--json"]).json();
        let all = all.as_array().expect("a list").clone();
        let ended =
            all.iter().filter(|one| matches!(one["state"].as_str(), Some("succeeded" | "failed"))).count();
        (ended == files.len()).then_some(all)
    })
    .await;
    assert_eq!(receipts.len(), files.len(), "{receipts:?}");
    assert!(receipts.iter().all(|receipt| receipt["state"] == "succeeded"), "{receipts:?}");
    for (name, bytes) in &files {
        let there = host.object("photos", &format!("out/{name}")).await;
        assert!(there.is_some_and(|there| there == bytes), "{name}");
    }
}
