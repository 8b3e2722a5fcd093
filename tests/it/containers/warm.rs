//! Containers that are kept between the attempts of a service.

use http::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use wicket_tests::{Engine, IMAGE, TestHost, failure, until};

use super::{SOON, clean, deploy, message, run, running};

/// Says which container it is, what is left of earlier attempts, and what it was given.
const TELL: &str = "\
said=$(cat /proc/sys/kernel/hostname; ls /tmp $TMP_OUTPUT_DIR | tr '\\n' ' '; echo; cat)
touch /tmp/seen
printf %s \"$said\" > $TMP_OUTPUT_DIR/out
echo aside >&2
echo beside";

fn warm(n: u32) -> Value {
    json!({"container": {"warm": n}, "retry": {"attempts": 1}})
}

/// The container, and the rest of what it said.
async fn tell(host: &TestHost, token: &str, body: &str) -> (String, String) {
    let (status, answer, receipt) = run(host, "tell", token, body.to_owned()).await;
    assert_eq!(status, StatusCode::OK, "{receipt}");
    let answer = String::from_utf8(answer).expect("text");
    let (container, rest) = answer.split_once('\n').expect("lines");
    (container.to_owned(), rest.to_owned())
}

#[tokio::test]
async fn attempts_of_one_version_share_a_container_and_no_files() {
    let engine = Engine::find().await;
    let mut host = engine.host();
    let token = deploy(&host, "tell", TELL, warm(1)).await;
    let (first, rest) = tell(&host, &token, "one").await;
    assert!(rest.ends_with("one") && !rest.contains("seen"), "{rest}");
    let (second, rest) = tell(&host, &token, "it's\n two").await;
    assert_eq!(first, second);
    assert!(rest.contains("seen") && !rest.contains("out ") && rest.ends_with("it's\n two"), "{rest}");
    // Its log is its own.
    let (_, _, receipt) = run(&host, "tell", &token, "three").await;
    let log = super::log(&host, &receipt).await;
    assert_eq!((log.matches("aside").count(), log.matches("beside").count()), (1, 1), "{log}");
    let usage = &receipt["attempts"][0]["cpu_us"];
    assert!(usage.as_u64().is_some_and(|us| us < 1_000_000), "{receipt}");
    // The next version has one of its own, and the old one goes.
    let newer = json!({"name": "tell", "image": IMAGE, "script": TELL, "retry": {"attempts": 1},
        "container": {"pull": "never", "warm": 1, "pids": 100}});
    let changed = host.admin(Method::PUT, "/system/services", newer.to_string()).await;
    assert!(changed.status.is_success(), "{}", changed.text());
    let (third, rest) = tell(&host, &token, "four").await;
    assert_ne!(first, third);
    assert!(!rest.contains("seen"), "{rest}");
    until("the old one is gone", SOON, async || (engine.containers(&host).await.len() == 1).then_some(()))
        .await;
    // Nothing of it outlives the host, however that ends.
    host.kill();
    let mut host = host.restart();
    clean(&engine, &host).await;
    tell(&host, &token, "five").await;
    host.signal(Signal::TERM);
    host.wait(SOON);
    clean(&engine, &host).await;
}

#[tokio::test]
async fn two_at_once_are_two_containers_and_one_of_them_is_kept() {
    let engine = Engine::find().await;
    let host = engine.host();
    let token = deploy(&host, "tell", &format!("sleep 1; {TELL}"), warm(1)).await;
    let ((one, _), (two, _)) = tokio::join!(tell(&host, &token, ""), tell(&host, &token, ""));
    assert_ne!(one, two);
    until("one is kept", SOON, async || (engine.containers(&host).await.len() == 1).then_some(())).await;
    let (again, _) = tell(&host, &token, "").await;
    assert!(again == one || again == two);
}

#[tokio::test]
async fn a_container_that_a_failure_or_a_process_was_left_in_is_not_used_again() {
    let engine = Engine::find().await;
    let host = engine.host();
    let script = format!(
        "{TELL}\ncase $(cat /wicket/event/event) in\n\
         fail) exit 3;; leave) sleep 600 & ;; kill) kill -9 $PPID;; memory) x=$(cat /dev/zero | tr '\\0' x);; \
         long) trap 'echo told; exit 4' TERM; sleep 600 & wait;; esac"
    );
    let more =
        json!({"container": {"warm": 2, "memory": "32MiB", "timeout": "8s"}, "retry": {"attempts": 1}});
    let token = deploy(&host, "tell", &script, more).await;
    let (first, _) = tell(&host, &token, "").await;
    assert_eq!(tell(&host, &token, "leave").await.0, first);
    let mut last = tell(&host, &token, "").await.0;
    assert_ne!(first, last);
    for (body, status, kind, words) in [
        ("fail", StatusCode::BAD_GATEWAY, "function", "exit status 3: aside"),
        ("memory", StatusCode::BAD_GATEWAY, "memory", "wanted more"),
        ("long", StatusCode::GATEWAY_TIMEOUT, "timeout", "it may take 8s"),
    ] {
        let (answered, _, receipt) = run(&host, "tell", &token, body).await;
        assert_eq!((answered, failure(&receipt)), (status, kind), "{receipt}");
        assert!(message(&receipt["attempts"][0]).contains(words), "{receipt}");
        if body == "long" {
            assert!(super::log(&host, &receipt).await.contains("told"), "SIGTERM reaches the script");
        }
        let now = tell(&host, &token, "").await.0;
        assert_ne!(last, now, "after {body}");
        last = now;
    }
}

#[tokio::test]
async fn a_kept_container_that_died_while_it_rested_is_replaced_without_a_word() {
    let engine = Engine::find().await;
    let host = engine.host();
    let token = deploy(&host, "tell", TELL, warm(1)).await;
    let (first, _) = tell(&host, &token, "").await;
    let name = running(&engine, &host).await;
    let options = bollard::query_parameters::KillContainerOptionsBuilder::default().signal("SIGKILL").build();
    engine.docker.kill_container(name.trim_start_matches('/'), Some(options)).await.expect("it is there");
    assert_ne!(tell(&host, &token, "").await.0, first);
}
