//! OSCAR's own supervisor runs the same scripts on the same events, and what comes of it is the same, or stands here with
//! the reason why ours is right.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use wicket_tests::{Engine, TestHost, tools, until};

use super::{SOON, clean, deploy};
use crate::api::bearer;

/// Its storages besides S3 are left out: what they import is not there.
const DRIVER: &str = "
import sys, types
class Any(types.ModuleType):
    __path__ = []
    def __getattr__(self, name):
        return Exception
for name in ('requests', 'requests.exceptions', 'webdav3', 'webdav3.client'):
    sys.modules[name] = Any(name)
try:
    import distutils.util
except ImportError:
    sys.modules['distutils'] = sys.modules['distutils.util'] = Any('distutils')
from faassupervisor.supervisor import main
said = main(sys.stdin.read())
if said is not None:
    print(said)
";

/// What starts the script.
#[derive(Clone, Copy)]
enum Event {
    /// An object, by its name below the input's path.
    Upload(&'static str),
    /// A body that is posted by a caller who waits.
    Posted(&'static str),
}

struct Case {
    name: &'static str,
    script: &'static str,
    event: Event,
    /// Outputs, without the folder that tells the two apart.
    output: &'static str,
    /// In what the two differ, and why ours is right.
    differs: &'static [(&'static str, &'static str)],
}

const ALL: &str = r#"[{"path": "all"}]"#;

const CASES: &[Case] = &[
    Case {
        name: "copy",
        script: "cp \"$INPUT_FILE_PATH\" \"$TMP_OUTPUT_DIR/\"",
        event: Event::Upload("a b+c.txt"),
        output: ALL,
        differs: &[],
    },
    Case {
        name: "nested",
        script: "mkdir -p $TMP_OUTPUT_DIR/a/b; echo 1 > $TMP_OUTPUT_DIR/a/one; echo 2 > $TMP_OUTPUT_DIR/a/b/two",
        event: Event::Upload("x"),
        output: ALL,
        differs: &[],
    },
    Case {
        name: "filters",
        script: "cd $TMP_OUTPUT_DIR; mkdir sub; for f in keep.txt keep.log drop.txt sub/keep.txt sub/keep.log; do echo $f > $f; done",
        event: Event::Upload("x"),
        output: r#"[{"path": "texts", "prefix": ["keep", "other"], "suffix": [".txt"]}, {"path": "logs", "suffix": [".log"]}]"#,
        differs: &[],
    },
    Case {
        name: "providers",
        script: "cp \"$INPUT_FILE_PATH\" $TMP_OUTPUT_DIR/same",
        event: Event::Upload("x"),
        output: r#"[{"path": "first"}, {"path": "second", "storage_provider": "minio.second"}]"#,
        differs: &[],
    },
    Case {
        name: "variables",
        script: "{ echo $STORAGE_OBJECT_KEY; basename \"$INPUT_FILE_PATH\"; [ \"$(dirname \"$INPUT_FILE_PATH\")\" = $TMP_INPUT_DIR ] && echo there; \
                 [ -d $TMP_OUTPUT_DIR ] && echo folder; [ -n \"$EVENT_TIME\" ] && echo time; printf %s \"$EVENT\" | grep -c '\"Records\"'; } > $TMP_OUTPUT_DIR/seen",
        event: Event::Upload("dir/é x.txt"),
        output: ALL,
        differs: &[],
    },
    Case {
        name: "bytes",
        script: ": > $TMP_OUTPUT_DIR/empty; printf '\\000\\377\\n' > $TMP_OUTPUT_DIR/binary",
        event: Event::Upload("x"),
        output: ALL,
        differs: &[],
    },
    Case {
        name: "fails",
        script: "echo half > $TMP_OUTPUT_DIR/half; exit 3",
        event: Event::Upload("x"),
        output: ALL,
        differs: &[
            ("outcome", "a script that failed is no success, and is tried again"),
            ("outputs", "what a failed script left half done is nobody's"),
        ],
    },
    Case {
        name: "stdin",
        script: "cat | grep -c Records > $TMP_OUTPUT_DIR/read; true",
        event: Event::Upload("x"),
        output: ALL,
        differs: &[("outputs", "the event is on standard input: a variable holds no large one")],
    },
    Case {
        // Theirs writes JSON anew: what is told apart by blanks is not the same there.
        name: "json",
        script: "cat \"$INPUT_FILE_PATH\"",
        event: Event::Posted("{\"a\": [1, \"two\"]}"),
        output: ALL,
        differs: &[],
    },
    Case {
        name: "binary",
        script: "cp \"$INPUT_FILE_PATH\" $TMP_OUTPUT_DIR/same",
        // Bytes 0, 255 and some that are text.
        event: Event::Posted("AP9iaW5hcnkK"),
        output: ALL,
        differs: &[],
    },
    Case {
        name: "several",
        script: "echo said; echo 1 > $TMP_OUTPUT_DIR/one; echo 2 > $TMP_OUTPUT_DIR/two",
        // Base64, as their client sends files.
        event: Event::Posted("e30K"),
        output: ALL,
        differs: &[],
    },
    Case {
        name: "aside",
        script: "echo said; echo aside >&2",
        event: Event::Posted("{}"),
        output: ALL,
        differs: &[("answer", "standard error is for the log, not for who called")],
    },
    Case {
        name: "gateway",
        script: "echo size $CONT_VAR_size",
        event: Event::Posted(
            r#"{"httpMethod": "POST", "headers": {"Content-Type": "application/json"}, "queryStringParameters": {"size": "64"}, "body": "{}"}"#,
        ),
        output: ALL,
        differs: &[
            (
                "outcome",
                "OSCAR's own fails outside of Lambda: it looks for the storage of an event that has none",
            ),
            ("answer", "the same"),
        ],
    },
    Case {
        name: "shebang",
        script: "#!/bin/awk -f\nBEGIN { print 6 * 7 }\n",
        event: Event::Posted("{}"),
        output: ALL,
        differs: &[("answer", "the first line of a script says who runs it")],
    },
];

#[derive(Debug, PartialEq, Eq)]
struct Came {
    outcome: bool,
    outputs: BTreeMap<String, Bytes>,
    answer: Option<String>,
}

impl Case {
    /// The outputs below a bucket of one of the two.
    fn outputs(&self, bucket: &str) -> Value {
        let mut outputs: Value = serde_json::from_str(self.output).expect("JSON");
        for output in outputs.as_array_mut().expect("a list") {
            let path = format!("{bucket}/{}/{}", self.name, output["path"].as_str().expect("a path"));
            output["path"] = path.into();
            if output["storage_provider"].is_null() {
                output["storage_provider"] = "minio.default".into();
            }
        }
        outputs
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    async fn ours(&self, hosts: [&TestHost; 2], second: &Value) -> Came {
        let host = hosts[0];
        let mut fields = json!({
            "output": self.outputs("ours"), "retry": {"attempts": 1},
            "storage_providers": {"minio": {"second": second}},
        });
        let (outcome, answer) = match self.event {
            Event::Upload(name) => {
                fields["input"] = json!([{"path": format!("box/{}", self.name)}]);
                deploy(host, self.name, self.script, fields).await;
                host.put("box", &self.key(name), format!("of {name}")).await;
                let receipt = until("it has its end", SOON, async || {
                    let one = host.receipts(self.name).await.into_iter().next()?;
                    one["finished"].is_string().then_some(one)
                });
                (receipt.await["state"] == "succeeded", None)
            }
            Event::Posted(body) => {
                let token = deploy(host, self.name, self.script, fields).await;
                let headers = [("content-type", "application/json")];
                let path = format!("/run/{}", self.name);
                let answer = bearer(host, Method::POST, &path, &token, &headers, body).await;
                host.receipt(answer.invocation()).await;
                (answer.status.is_success(), Some(answer.text().trim_end().to_owned()))
            }
        };
        Came { outcome, outputs: listed(hosts, "ours", self.name).await, answer }
    }

    async fn theirs(&self, hosts: [&TestHost; 2], provider: &Value, second: &Value) -> Came {
        let config = json!({
            "name": self.name, "log_level": "CRITICAL", "output": self.outputs("theirs"),
            "input": [{"storage_provider": "minio.default", "path": format!("box/{}", self.name)}],
            "storage_providers": {"minio": {"default": provider, "second": second}},
        });
        let event = match self.event {
            Event::Upload(name) => notification(&self.key(name)),
            Event::Posted(body) => body.to_owned(),
        };
        let mut command = tools::supervisor();
        command.args(["-c", DRIVER]);
        command
            .env("FUNCTION_CONFIG", STANDARD.encode(config.to_string()))
            .env("SCRIPT", STANDARD.encode(self.script));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let ran = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().expect("python3 is there");
            child.stdin.take().expect("piped").write_all(event.as_bytes()).expect("it reads");
            child.wait_with_output().expect("it ends")
        });
        let ran = ran.await.expect("no panic in there");
        let said = String::from_utf8_lossy(&ran.stdout).trim_end().to_owned();
        let outcome = ran.status.success();
        assert!(
            outcome || !self.differs.is_empty(),
            "{}: {}",
            self.name,
            String::from_utf8_lossy(&ran.stderr)
        );
        let answer = matches!(self.event, Event::Posted(_)).then_some(said);
        Came { outcome, outputs: listed(hosts, "theirs", self.name).await, answer }
    }
}

/// A host as a storage.
fn provider(host: &TestHost) -> Value {
    let keys = std::fs::read_to_string(host.data().join("s3-keys.json")).expect("the host wrote its keys");
    let keys: Value = serde_json::from_str(&keys).expect("JSON");
    json!({
        "endpoint": host.s3, "access_key": keys["access_key"], "secret_key": keys["secret_key"],
        "region": "us-east-1", "verify": false,
    })
}

/// What MinIO sends of an object.
fn notification(key: &str) -> String {
    let encoded: String = key
        .bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    let record = json!({
        "eventVersion": "2.0", "eventSource": "minio:s3", "eventName": "s3:ObjectCreated:Put", "awsRegion": "",
        "eventTime": "2026-11-27T08:00:00.000Z",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": "box", "arn": "arn:aws:s3:::box"}, "object": {"key": encoded}},
    });
    json!({"EventName": "s3:ObjectCreated:Put", "Key": format!("box/{key}"), "Records": [record]}).to_string()
}

/// All outputs of a case; `second` is the other storage.
async fn listed(hosts: [&TestHost; 2], bucket: &str, case: &str) -> BTreeMap<String, Bytes> {
    let mut outputs = below(hosts[0], bucket, case).await;
    let second = below(hosts[1], bucket, case).await;
    outputs.extend(second.into_iter().map(|(key, body)| (format!("second: {key}"), body)));
    outputs
}

async fn below(host: &TestHost, bucket: &str, case: &str) -> BTreeMap<String, Bytes> {
    let prefix = format!("{case}/");
    let found = host.buckets().list_objects_v2().bucket(bucket).prefix(&prefix).send().await.expect("a list");
    let mut outputs = BTreeMap::new();
    for object in found.contents() {
        let key = object.key().expect("a key");
        let body = host.object(bucket, key).await.expect("it was listed");
        outputs.insert(key.to_owned(), body);
    }
    outputs
}

/// An answer, or what is in it where it is an archive: that has times in it.
fn unpacked(answer: &str) -> String {
    let bytes = STANDARD.decode(answer).unwrap_or_default();
    let Ok(archive) = rawzip::ZipArchive::from_slice(&bytes) else { return answer.to_owned() };
    let (mut files, mut entries) = (BTreeMap::new(), archive.entries());
    while let Some(entry) = entries.next_entry().expect("a whole archive") {
        let name = entry.file_path().try_normalize().expect("a name").as_ref().to_owned();
        let entry = archive.get_entry(entry.wayfinder()).expect("it is in it");
        let mut text = String::new();
        entry.verifying_reader(entry.data()).read_to_string(&mut text).expect("a text, as it was");
        files.insert(name, text);
    }
    format!("{files:?}")
}

#[tokio::test]
async fn scripts_do_the_same_as_under_oscars_supervisor() {
    let engine = Engine::find().await;
    let host = engine.host();
    let second = TestHost::start();
    let hosts = [&host, &second];
    for host in hosts {
        for bucket in ["ours", "theirs"] {
            host.buckets().create_bucket().bucket(bucket).send().await.expect("a bucket");
        }
    }
    let [here, there] = hosts.map(provider);
    let mut wrong = Vec::new();
    for case in CASES {
        let (ours, theirs) = (case.ours(hosts, &there).await, case.theirs(hosts, &here, &there).await);
        let same = [
            ("outcome", ours.outcome == theirs.outcome),
            ("outputs", ours.outputs == theirs.outputs),
            ("answer", ours.answer.as_deref().map(unpacked) == theirs.answer.as_deref().map(unpacked)),
        ];
        for (what, same) in same {
            let known = case.differs.iter().any(|(known, _)| *known == what);
            if same == known {
                let word = if same { "is the same now" } else { "differs" };
                wrong.push(format!("{}: {what} {word}:\n  ours {ours:?}\n  theirs {theirs:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    clean(&engine, &host).await;
}
