//! `functions/fire.yaml`: from the pictures of cameras, at whatever rate they come, to alerts that reach somebody.

use http::Method;
use serde_json::{Value, json};
use wicket_tests::TestHost;

use super::endpoint::Endpoint;
use super::{changed, deploy, ended, host, made, sample, workflow};

/// The workflow, posting alerts to a URL: what its comments say to write.
fn posting_to(url: &str) -> String {
    let address = url.trim_start_matches("http://").trim_end_matches("/fire");
    changed(
        workflow("fire.yaml"),
        &[
            ("# ALERT_URL: http://alerts.example.org/fire", &format!("ALERT_URL: {url}")),
            (
                "read_buckets: [cameras]",
                &format!("read_buckets: [cameras], http: ['{address}'], networks: [127.0.0.0/8]"),
            ),
        ],
    )
}

/// A camera sends pictures, one after the other.
async fn sends(host: &TestHost, camera: &str, pictures: &[&str]) {
    for picture in pictures {
        host.put("cameras", &format!("in/{camera}/{picture}"), sample(picture)).await;
    }
}

/// Four pictures, the last one with a fire: so many that nobody waits for more.
async fn sends_a_fire(host: &TestHost, camera: &str) {
    sends(host, camera, &["camera-0.jpg", "camera-1.jpg", "camera-2.jpg", "camera-3.jpg"]).await;
}

/// Why each attempt failed, in its words.
fn failures(receipt: &Value) -> Vec<&str> {
    let attempts = receipt["attempts"].as_array().expect("attempts").iter();
    attempts.filter_map(|attempt| attempt["failure"]["message"].as_str()).collect()
}

#[tokio::test]
async fn pictures_at_any_rate_are_judged_and_a_fire_is_an_alert_that_is_posted() {
    let (host, endpoint) = (host(), Endpoint::start(&[]).await);
    deploy(&host, &posting_to(&endpoint.url));
    sends(&host, "roof", &["camera-2.jpg"]).await;
    sends(&host, "gate", &["camera-1.jpg"]).await;
    sends(&host, "kitchen", &["coffee.png"]).await;
    sends_a_fire(&host, "yard").await;
    sends(&host, "yard", &["camera-4.jpg", "camera-5.jpg", "camera-6.jpg", "camera-7.jpg"]).await;
    for (judged, alert, pictures) in [
        ("yard/camera-3", true, 4),
        ("yard/camera-7", true, 4),
        ("gate/camera-1", false, 1),
        ("kitchen/coffee", false, 1),
        ("roof/camera-2", false, 1),
    ] {
        let said = made(&host, "cameras", &format!("out/{judged}.json")).await;
        assert_eq!(said["alert"], alert, "{said}");
        assert_eq!(said["pictures"].as_array().map(Vec::len), Some(pictures), "{said}");
    }
    // The model takes coffee for a fire; a picture that nothing comes before is no alert for all that.
    let coffee = made(&host, "cameras", "out/kitchen/coffee.json").await;
    assert!(coffee["pictures"][0]["model"].as_f64() > Some(0.9), "{coffee}");
    assert_eq!(coffee["pictures"][0]["flicker"], Value::Null, "{coffee}");
    // A camera that sends one at a time: each is held beside the one before, which was judged long ago.
    sends(&host, "roof", &["camera-3.jpg"]).await;
    let said = made(&host, "cameras", "out/roof/camera-3.json").await;
    assert_eq!((&said["camera"], &said["alert"]), (&json!("in/roof"), &json!(true)), "{said}");
    assert!(said["pictures"][0]["flicker"].as_f64() > Some(0.5), "{said}");

    let receipts = ended(&host, "fire-detector", 6).await;
    assert!(receipts.iter().all(|receipt| receipt["state"] == "succeeded"), "{receipts:?}");
    let mut posts = endpoint.posts();
    posts.sort_by_key(|post| post.body["subject"].to_string());
    // An attempt that is made again posts again: by its id it is one alert.
    posts.dedup_by_key(|post| post.body["id"].clone());
    let subjects: Vec<&Value> = posts.iter().map(|post| &post.body["subject"]).collect();
    let fires = ["in/roof/camera-3.jpg", "in/yard/camera-3.jpg", "in/yard/camera-6.jpg"];
    assert_eq!(subjects, fires, "the largest of each join");
    for (post, kept) in posts.iter().zip(["roof/camera-3", "yard/camera-3", "yard/camera-7"]) {
        assert_eq!((post.status, post.content_type.as_str()), (200, "application/cloudevents+json"));
        let (alert, id) = (&post.body, &post.body["id"]);
        assert_eq!(alert["specversion"], "1.0", "{alert}");
        assert_eq!(alert["type"], "dev.wicketgate.fire.suspected", "{alert}");
        assert_eq!((&alert["data"]["key"], &alert["data"]["suspected"]), (&alert["subject"], &json!(true)));
        assert!(receipts.iter().any(|receipt| receipt["id"] == *id), "{alert}: whose is it?");
        assert_eq!(made(&host, "cameras", &format!("out/{kept}.alert.json")).await, *alert);
    }
}

#[tokio::test]
async fn an_alert_that_is_not_taken_at_once_is_posted_until_it_is() {
    let (host, endpoint) = (host(), Endpoint::start(&[500, 503]).await);
    let hasty = ("retry: { attempts: 5 }", "retry: { attempts: 5, backoff: 50ms }");
    deploy(&host, &changed(posting_to(&endpoint.url), &[hasty]));
    sends_a_fire(&host, "yard").await;
    let alert = made(&host, "cameras", "out/yard/camera-3.alert.json").await;
    let posts = endpoint.posts();
    assert_eq!(posts.iter().map(|post| post.status).collect::<Vec<_>>(), [500, 503, 200]);
    // Whoever took it before it broke knows it again.
    assert!(posts.iter().all(|post| post.body["id"] == alert["id"]), "{posts:?}");
    assert_eq!(posts[2].body, alert);
    let receipt = ended(&host, "fire-detector", 1).await.remove(0);
    let refusals = [500, 503].map(|status| format!("{} answers with {status}", endpoint.url));
    assert_eq!(failures(&receipt), refusals, "{receipt}");
    assert_eq!(receipt["state"], "succeeded", "{receipt}");
}

#[tokio::test]
async fn an_endpoint_that_is_away_for_good_leaves_a_dead_letter_that_is_redriven_to_another() {
    let host = host();
    // Nobody listens there any more.
    let away = Endpoint::start(&[]).await.url;
    let hasty = ("retry: { attempts: 5 }", "retry: { attempts: 3, backoff: 50ms }");
    deploy(&host, &changed(posting_to(&away), &[hasty]));
    sends_a_fire(&host, "yard").await;
    let receipt = ended(&host, "fire-detector", 1).await.remove(0);
    let told = failures(&receipt);
    let wanted = format!("cannot post to {away}: ErrorCode::ConnectionRefused");
    assert!(told.len() == 3 && told.iter().all(|told| *told == wanted), "{receipt}");
    assert_eq!(host.object("cameras", "out/yard/camera-3.json").await, None, "nothing is told by half");
    let dead = host.admin(Method::GET, "/system/dead-letters", "").await.json();
    assert!(dead[0]["reason"].as_str().is_some_and(|reason| reason.contains(&wanted)), "{dead}");

    let endpoint = Endpoint::start(&[]).await;
    deploy(&host, &changed(posting_to(&endpoint.url), &[hasty]));
    let id = receipt["id"].as_str().expect("an id");
    host.wicket(&["dead-letters", "redrive", id]);
    let alert = made(&host, "cameras", "out/yard/camera-3.alert.json").await;
    assert_eq!((&alert["id"], &alert["subject"]), (&json!(id), &json!("in/yard/camera-3.jpg")));
    assert_eq!(endpoint.posts().iter().map(|post| &post.body).collect::<Vec<_>>(), [&alert]);
    // What refuses for good is not asked again.
    let endpoint = Endpoint::start(&[404]).await;
    deploy(&host, &changed(posting_to(&endpoint.url), &[hasty]));
    sends_a_fire(&host, "gate").await;
    let receipt = ended(&host, "fire-detector", 2).await.remove(0);
    assert_eq!(failures(&receipt), [format!("{} answers with 404", endpoint.url)], "{receipt}");
    assert_eq!((receipt["state"].as_str(), endpoint.posts().len()), (Some("failed"), 1), "{receipt}");
}
