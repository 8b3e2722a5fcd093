//! DEEPaaS, version 2: services as models. The classifier is a real one (`cargo xtask models`).

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use wicket_tests::{Answer, Engine, TestHost, until};

use super::{SOON, deploy, host, sample, workflow};
use crate::containers;

/// Applies the classifier, with other words in it.
fn applied(host: &TestHost, change: impl FnOnce(String) -> String) {
    deploy(host, &change(workflow("classify.yaml")));
}

/// A form with one file in it.
fn form(argument: &str, name: &str, file: &[u8]) -> (String, Vec<u8>) {
    let head = format!(
        "--frontier\r\ncontent-disposition: form-data; name=\"{argument}\"; filename=\"{name}\"\r\n\
         content-type: image/png\r\n\r\n"
    );
    let body = [head.as_bytes(), file, b"\r\n--frontier--\r\n"].concat();
    ("multipart/form-data; boundary=frontier".to_owned(), body)
}

/// Sends a form, with a token where there is one.
async fn ask(
    host: &TestHost,
    path: &str,
    token: Option<&str>,
    accept: &str,
    form: &(String, Vec<u8>),
) -> Answer {
    let token = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", form.0.as_str()), ("accept", accept)];
    headers.extend(token.as_deref().map(|token| ("authorization", token)));
    host.send(Method::POST, path, &headers, Bytes::from(form.1.clone())).await
}

async fn get(host: &TestHost, path: &str, token: &str) -> Answer {
    let token = format!("Bearer {token}");
    host.send(Method::GET, path, &[("authorization", &token)], Bytes::new()).await
}

async fn token(host: &TestHost, service: &str) -> String {
    let read = host.admin(Method::GET, &format!("/system/services/{service}"), "").await.json();
    read["token"].as_str().expect("the admin sees the token").to_owned()
}

#[tokio::test]
async fn a_service_with_a_model_is_listed_described_and_asked_for_a_prediction() {
    let host = host();
    applied(&host, |text| text);
    let token = token(&host, "classify").await;

    let listed = get(&host, "/v2/models/", &token).await.json();
    assert_eq!(listed["models"][0]["id"], "classify", "{listed}");
    assert_eq!(listed["models"][0]["models"], json!(["classify.imagenet"]), "{listed}");
    let one = get(&host, "/v2/models/classify/", &token).await.json();
    assert_eq!(one, listed["models"][0]);
    let short = get(&host, "/v2/models/classify", &token).await;
    assert_eq!(
        (short.status, &short.headers["location"]),
        (StatusCode::PERMANENT_REDIRECT, &"/v2/models/classify/".parse().expect("a header"))
    );

    // What its clients make their forms of.
    let described = get(&host, "/swagger.json", &token).await.json();
    assert_eq!(described["swagger"], "2.0");
    let predict = &described["paths"]["/v2/models/classify/predict/"]["post"];
    assert_eq!(predict["parameters"][0]["name"], "data", "{described}");
    assert_eq!(predict["parameters"][0]["type"], "file", "{described}");
    assert_eq!(predict["produces"], json!(["application/json"]), "{described}");

    let coffee = form("data", "a cup.png", &sample("coffee.png"));
    let path = "/v2/models/classify/predict/";
    let answer = ask(&host, path, Some(&token), "application/json", &coffee).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let said = answer.json();
    assert_eq!(
        (&said["status"], &said["predictions"]["photo"]),
        (&json!("OK"), &json!("a cup.png")),
        "{said}"
    );
    assert_eq!(said["predictions"]["classes"][0]["label"], "espresso", "{said}");
    let receipt = host.receipt(answer.invocation()).await;
    assert_eq!(receipt["attempts"][0]["inference"][0]["model"], "imagenet", "{receipt}");
    assert_eq!(
        (&receipt["source"], &receipt["subject"]),
        (&json!("/v2/models/classify"), &json!("a cup.png"))
    );

    // Clients of DEEPaaS say in the query what they say in the header.
    let twice = ask(&host, &format!("{path}?accept=application%2Fjson"), Some(&token), "*/*", &coffee).await;
    assert_eq!(twice.status, StatusCode::OK, "{}", twice.text());

    // A body is the file, too; and a zip has what was made.
    let headers = [("authorization", format!("Bearer {token}")), ("content-type", "image/png".to_owned())];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let whole = host.send(Method::POST, path, &headers, sample("chelsea.png").into()).await.json();
    assert_eq!(whole["predictions"]["classes"][0]["label"], "Egyptian cat", "{whole}");
    let zip = ask(&host, path, Some(&token), "application/zip", &coffee).await;
    assert_eq!((zip.status, &zip.body[..2]), (StatusCode::OK, &b"PK"[..]));

    // An empty file is a file.
    let empty = ask(&host, path, Some(&token), "*/*", &form("data", "empty.png", b"")).await;
    assert_eq!(empty.status, StatusCode::BAD_GATEWAY);
    assert!(empty.text().contains("classify: empty.png: the picture is empty"), "{}", empty.text());
}

#[tokio::test]
async fn what_is_asked_wrongly_is_told_all_at_once_and_runs_nothing() {
    let host = host();
    let more = "      deepaas:
        accept: [application/json, image/png]
        arguments:
        - { name: data, type: file }
        - { name: url, type: url }
        - { name: least, type: number, minimum: 0, maximum: 1, default: 0.1 }
        - { name: mode, choices: [fast, good], required: true }
";
    applied(&host, |text| text.replace("      limits:", &format!("{more}      limits:")));
    let token = token(&host, "classify").await;
    let path = "/v2/models/classify/predict/";
    let coffee = form("data", "coffee.png", &sample("coffee.png"));
    let refused =
        async |path: &str, accept: &str, form: &(String, Vec<u8>), status: StatusCode, told: &[&str]| {
            let answer = ask(&host, path, Some(&token), accept, form).await;
            assert_eq!(answer.status, status, "{}", answer.text());
            for word in told {
                assert!(answer.text().contains(word), "{word}: {}", answer.text());
            }
        };
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let all = ["`least` is more than 1", "there is no argument `most`", "`mode` is missing", "/swagger.json"];
    refused(&format!("{path}?least=2&most=1"), "*/*", &coffee, unprocessable, &all).await;
    let other = form("picture", "a.png", b"x");
    refused(&format!("{path}?mode=fast"), "*/*", &other, unprocessable, &["there is no argument `picture`"])
        .await;
    let none = (String::new(), Vec::new());
    let nothing = ["there is nothing to look at: send `data` or `url`"];
    refused(&format!("{path}?mode=fast"), "*/*", &none, unprocessable, &nothing).await;
    refused(&format!("{path}?mode=fast"), "text/html", &coffee, StatusCode::NOT_ACCEPTABLE, &["image/png"])
        .await;
    let broken = ("multipart/form-data; boundary=frontier".to_owned(), b"--frontier\r\nnonsense".to_vec());
    refused(path, "*/*", &broken, StatusCode::BAD_REQUEST, &["form"]).await;
    refused(path, "*/*", &("multipart/form-data".to_owned(), Vec::new()), StatusCode::BAD_REQUEST, &["form"])
        .await;
    let large = form("data", "large.png", &vec![0; 65 << 20]);
    refused(
        &format!("{path}?mode=fast"),
        "*/*",
        &large,
        StatusCode::PAYLOAD_TOO_LARGE,
        &["passes the limit of 64MiB"],
    )
    .await;
    refused("/v2/models/nobody/predict/", "*/*", &coffee, StatusCode::UNAUTHORIZED, &[]).await;
    let known = host.admin(Method::GET, "/v2/models/nobody/", "").await;
    assert_eq!(known.status, StatusCode::NOT_FOUND, "{}", known.text());
    let succeeded = |receipts: Vec<Value>| receipts.iter().filter(|one| one["state"] == "succeeded").count();
    assert_eq!(succeeded(host.receipts("classify").await), 0);

    // It answers in a type that the service names and did not make.
    let picture = ask(&host, &format!("{path}?mode=good"), Some(&token), "image/png", &coffee).await;
    assert_eq!(picture.status, StatusCode::NOT_ACCEPTABLE, "{}", picture.text());
    assert!(picture.text().contains("coffee.json (application/json)"), "{}", picture.text());
    let fine = ask(&host, &format!("{path}?mode=good&least=0"), Some(&token), "*/*", &coffee).await;
    assert_eq!(fine.status, StatusCode::OK, "{}", fine.text());
}

#[tokio::test]
async fn an_address_is_fetched_only_where_the_service_may_go() {
    let host = host();
    // Another host, whose bucket has the picture behind a signed address.
    let away = TestHost::start();
    away.buckets().create_bucket().bucket("pictures").send().await.expect("a bucket");
    away.put("pictures", "a/coffee.png", sample("coffee.png")).await;
    let presign = json!({"object_key": "a/coffee.png", "operation": "download"}).to_string();
    let signed = away.admin(Method::POST, "/system/buckets/pictures/presign", presign).await.json();
    let url = signed["url"].as_str().unwrap_or_else(|| panic!("{signed}")).to_owned();
    let query: String = url.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let ask = async |service: &str| {
        let token = token(&host, service).await;
        let path = format!("/v2/models/{service}/predict/?url={query}");
        let token = format!("Bearer {token}");
        host.send(Method::POST, &path, &[("authorization", &token)], Bytes::new()).await
    };
    applied(&host, |text| text);
    let refused = ask("classify").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
    assert!(refused.text().contains("is not in the service's grants.http"), "{}", refused.text());
    assert!(!refused.text().contains("Signature"), "the address is a secret: {}", refused.text());
    let named = "      grants: { http: ['127.0.0.1:*', '127.0.0.1'] }\n      limits:";
    let port = away.s3.rsplit(':').next().expect("a port");
    let named = named.replace("127.0.0.1:*", &format!("127.0.0.1:{port}"));
    applied(&host, |text| text.replace("      limits:", &named));
    let refused = ask("classify").await;
    assert!(refused.text().contains("grants.networks"), "loopback is not the world: {}", refused.text());
    let granted = named.replace("grants: {", "grants: { networks: [127.0.0.1/32],");
    applied(&host, |text| text.replace("      limits:", &granted));
    let fine = ask("classify").await;
    assert_eq!(fine.status, StatusCode::OK, "{}", fine.text());
    let said = fine.json();
    assert_eq!(said["predictions"]["photo"], "coffee.png", "{said}");
    assert_eq!(said["predictions"]["classes"][0]["label"], "espresso", "{said}");
}

#[tokio::test]
async fn an_open_model_needs_no_token_and_shows_no_other() {
    let host = host();
    applied(&host, |text| text);
    let nobody = host.get("/v2/models/").await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "nothing is open");
    let open = "      deepaas: { open: true, description: What is on a photograph }\n      limits:";
    applied(&host, |text| {
        text.replace("name: classify", "name: open")
            .replace("photographs/", "open/")
            .replace("      limits:", open)
    });
    let listed = host.get("/v2/models/").await.json();
    assert_eq!(listed["models"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["models"][0]["description"], "What is on a photograph", "{listed}");
    let described = host.get("/swagger.json").await.text();
    assert!(described.contains("/v2/models/open/") && !described.contains("classify"), "{described}");
    let coffee = form("data", "coffee.png", &sample("coffee.png"));
    let answer = ask(&host, "/v2/models/open/predict/", None, "*/*", &coffee).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let other = ask(&host, "/v2/models/classify/predict/", None, "*/*", &coffee).await;
    assert_eq!(other.status, StatusCode::UNAUTHORIZED);
    let headers = [("origin", "http://evil.example"), ("content-type", coffee.0.as_str())];
    let body = Bytes::from(coffee.1.clone());
    let cross = host.send(Method::POST, "/v2/models/open/predict/", &headers, body).await;
    assert_eq!(cross.status, StatusCode::FORBIDDEN, "no page of another site");
    // The page is for anybody, and has all that it needs.
    let page = host.get("/api").await;
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.headers["content-security-policy"].to_str().expect("text");
    assert!(policy.contains("script-src 'self';") && !page.text().contains("<script>"), "{policy}");
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "page.js", "favicon-32x32.png"] {
        assert!(page.text().contains(&format!("/api/{file}")), "{file}");
        let part = host.get(&format!("/api/{file}")).await;
        assert!(part.status == StatusCode::OK && part.body.len() > 500, "{file}");
    }
    assert_eq!(host.get("/api/nothing.js").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_command_says_is_taken_for_what_it_can_be() {
    let host = TestHost::start();
    host.apply(
        "- node:
    name: says
    wasm: {guest:environment}
    deepaas:
      accept: [application/json, image/png, text/plain]
      arguments: [{ name: mode, default: fast }, { name: size, type: integer }]
",
    );
    let token = token(&host, "says").await;
    let none = (String::new(), Vec::new());
    let ask =
        async |accept: &str| ask(&host, "/v2/models/says/predict/?size=7", Some(&token), accept, &none).await;
    let text = ask("text/plain").await;
    assert_eq!(
        (text.status, &text.headers["content-type"]),
        (StatusCode::OK, &"text/plain".parse().expect("one"))
    );
    for variable in ["CONT_VAR_mode=fast", "CONT_VAR_size=7", "CONT_VAR_accept=text/plain"] {
        assert!(text.text().contains(variable), "{variable}: {}", text.text());
    }
    let json = ask("application/json").await.json();
    assert!(json["predictions"].as_str().is_some_and(|said| said.contains("CONT_VAR_size=7")), "{json}");
    for other in ["image/png", "application/zip"] {
        let answer = ask(other).await;
        assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE, "{other}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_read_as_it_comes() {
    let host = TestHost::start();
    host.apply(
        "- node:
    name: copies
    wasm: {guest:echo}
    args: [quiet]
    deepaas:
      accept: [image/png]
      arguments: [{ name: data, type: file }, { name: mode }]
",
    );
    let token = token(&host, "copies").await;
    let path = "/v2/models/copies/predict/";
    let asked =
        async |accept: &str, form: &(String, Vec<u8>)| ask(&host, path, Some(&token), accept, form).await;

    // A large file comes whole, and is never held in memory whole.
    let large: Vec<u8> = (0..32_u32 << 20).map(|at| (at ^ at >> 9) as u8).collect();
    let before = host.rss();
    let sent = form("data", "large.png", &large);
    let peak = std::sync::atomic::AtomicU64::new(before);
    let all = futures::future::join_all((0..6).map(|_| asked("*/*", &sent)));
    let watched = async {
        loop {
            peak.fetch_max(host.rss(), std::sync::atomic::Ordering::Relaxed);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let answers = tokio::select! {
        answers = all => answers,
        () = watched => unreachable!("it never ends"),
    };
    for answer in answers {
        assert!(answer.status == StatusCode::OK && answer.body == large, "{}", answer.status);
    }
    let grown = peak.into_inner().saturating_sub(before);
    assert!(grown < 2 * large.len() as u64, "{grown} bytes for six of {}", large.len());

    // A file whose name is no text is a file all the same.
    let (content_type, named) = form("data", "NAME", b"small");
    let at = named.windows(4).position(|bytes| bytes == b"NAME").expect("its name");
    let odd = [&named[..at], b"caf\xe9.png", &named[at + 4..]].concat();
    let answer = asked("application/zip", &(content_type.clone(), odd)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert!(answer.body.windows(5).any(|bytes| bytes == b"small"), "an archive of it");

    // A head without an end is no form, long before it is as long as a file may be.
    let endless = [&b"--frontier\r\nx: "[..], &vec![b'y'; 8 << 20]].concat();
    let answer = asked("*/*", &(content_type, endless)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    assert!(answer.text().contains("the head of a part is too long"), "{}", answer.text());
}

#[tokio::test]
async fn a_training_is_begun_watched_ended_and_cancelled() {
    let engine = Engine::find().await;
    let host = engine.host();
    let script = "echo \"$CONT_VAR_epochs epochs\"; test \"$CONT_VAR_epochs\" != 0 || exit 7; \
                  while test \"$CONT_VAR_epochs\" = 9; do sleep 0.1; done; cp \"$INPUT_FILE_PATH\" \"$TMP_OUTPUT_DIR/\"";
    let fields = json!({"retry": {"attempts": 1}, "output": [{"path": "trained/out"}]});
    containers::deploy(&host, "teach", script, fields).await;
    let fields = json!({"deepaas": {
        "description": "Learns",
        "train": {"service": "teach", "arguments": [
            {"name": "pictures", "type": "file", "required": true},
            {"name": "epochs", "type": "integer", "default": 3, "minimum": 0},
        ]},
    }});
    let token = containers::deploy(&host, "pupil", "true", fields).await;
    let path = "/v2/models/pupil/train/";
    let pictures = form("pictures", "all.tar", b"pictures");
    let begin = async |query: &str| {
        let answer = ask(&host, &format!("{path}{query}"), Some(&token), "*/*", &pictures).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let begun = answer.json();
        assert_eq!(begun["status"], "running", "{begun}");
        begun["uuid"].as_str().expect("an id").to_owned()
    };
    let ended = async |id: &str| {
        until("it has ended", SOON, async || {
            let training = get(&host, &format!("{path}{id}"), &token).await.json();
            (training["status"] != "running").then_some(training)
        })
        .await
    };
    let fine = begin("").await;
    let training = ended(&fine).await;
    assert_eq!(
        (&training["status"], &training["args"]),
        (&json!("done"), &json!({"epochs": 3})),
        "{training}"
    );
    assert!(training["result"]["duration"].is_string(), "{training}");
    assert_eq!(host.object("trained", "out/all.tar").await.expect("it was put there"), "pictures");
    let bad = begin("?epochs=0").await;
    let training = ended(&bad).await;
    assert_eq!(training["status"], "error", "{training}");
    assert!(training["message"].as_str().is_some_and(|text| text.contains('7')), "{training}");

    let long = begin("?epochs=9").await;
    until("it runs", SOON, async || (!engine.containers(&host).await.is_empty()).then_some(())).await;
    let header = format!("Bearer {token}");
    let headers = [("authorization", header.as_str())];
    let stopped = host.send(Method::DELETE, &format!("{path}{long}"), &headers, Bytes::new()).await.json();
    assert_eq!(stopped["status"], "cancelled", "{stopped}");
    containers::clean(&engine, &host).await;
    let listed = get(&host, path, &token).await.json();
    let states: Vec<(&Value, &Value)> =
        listed.as_array().expect("a list").iter().map(|one| (&one["uuid"], &one["status"])).collect();
    let (long, bad, fine) = (json!(long), json!(bad), json!(fine));
    let (cancelled, error, done) = (json!("cancelled"), json!("error"), json!("done"));
    assert_eq!(states, [(&long, &cancelled), (&bad, &error), (&fine, &done)]);

    // Who sends an event says where it comes from, and that makes no training of it.
    let fields = json!({"events": [{"type": "org.example.x"}], "retry": {"attempts": 1}});
    containers::deploy(&host, "other", "true", fields).await;
    let forged =
        json!({"specversion": "1.0", "id": "1", "type": "org.example.x", "source": "/v2/models/pupil/train"});
    let admin = host.admin_header();
    let headers = [("authorization", admin.as_str()), ("content-type", "application/cloudevents+json")];
    let sent = host.send(Method::POST, "/events", &headers, forged.to_string().into()).await;
    assert!(sent.status.is_success(), "{}", sent.text());
    let receipt = until("it ran", SOON, async || host.receipts("other").await.pop()).await;
    let its = receipt["id"].as_str().expect("an id");
    let shown = get(&host, &format!("{path}{its}"), &token).await;
    assert_eq!(shown.status, StatusCode::NOT_FOUND, "{}", shown.text());
    assert_eq!(get(&host, path, &token).await.json().as_array().map(Vec::len), Some(3));

    let refused = ask(&host, &format!("{path}?epochs=-1"), Some(&token), "*/*", &pictures).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
    let nobody = ask(&host, path, None, "*/*", &pictures).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    let other = get(&host, &format!("{path}{}", "0".repeat(32)), &token).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND, "{}", other.text());
    let untrained = get(&host, "/v2/models/teach/train/", &token).await;
    assert_eq!(untrained.status, StatusCode::UNAUTHORIZED, "its token is another");
}
