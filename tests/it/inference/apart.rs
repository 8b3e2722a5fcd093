//! Two services, each with a model of its own under one name, on one worker.

use serde_json::Value;
use wicket_tests::{Setup, TestHost};

use super::{config, deploy, ended, fetched, made, sample};

/// One says what is on a photograph, the other one whether it burns. Both ask for `model`.
fn services() -> String {
    let model = |name: &str| fetched(&format!("models/{name}.onnx")).display().to_string();
    let guest = |name: &str| wicket_tests::guests::path(name).display().to_string();
    format!(
        "\
functions:
  oscar:
  - local:
      name: sees
      wasm: {classify}
      models: [{{ name: model, source: '{imagenet}' }}]
      environment: {{ variables: {{ CLASS_MODEL: model }} }}
      limits: {{ memory: 256MiB, cpu_time: 20s, concurrency: 4 }}
      retry: {{ attempts: 1 }}
      input: [{{ storage_provider: minio.default, path: photos/in }}]
      output: [{{ storage_provider: minio.default, path: photos/seen }}]
  - local:
      name: burns
      wasm: {fire}
      models: [{{ name: model, source: '{burning}' }}]
      environment: {{ variables: {{ FIRE_MODEL: model, MIN_COLOUR: '0' }} }}
      limits: {{ memory: 256MiB, cpu_time: 20s, concurrency: 4 }}
      retry: {{ attempts: 1 }}
      input: [{{ storage_provider: minio.default, path: photos/in }}]
      output: [{{ storage_provider: minio.default, path: photos/burning }}]
",
        classify = guest("classify"),
        fire = guest("fire-detector"),
        imagenet = model("efficientnet-lite0"),
        burning = model("fire"),
    )
}

/// Photographs, what is seen on each, and how likely one model says that it burns: what Python hears from the same files.
const PHOTOS: [(&str, &str, f64); 3] =
    [("chelsea.png", "Egyptian cat", 0.47), ("coffee.png", "espresso", 1.0), ("rocket.jpg", "missile", 0.30)];

/// Both answers about a photograph are those of the service's own model.
async fn is_told(host: &TestHost, key: &str, (_, label, probability): (&str, &str, f64)) {
    let seen = made(host, "photos", &format!("seen/{key}.json")).await;
    assert_eq!(seen["classes"][0]["label"], label, "{seen}");
    let burning = made(host, "photos", &format!("burning/{key}.json")).await;
    let said = burning["pictures"][0]["model"].as_f64().expect("it was asked");
    // Python fits the photograph by another filter.
    assert!((said - probability).abs() < 0.1, "{burning}");
}

/// Has both services look at photographs, one after the other, and then at many at once.
async fn look(host: &TestHost) {
    deploy(host, &services());
    let ending = |name: &str| name.rsplit('.').next().expect("an ending").to_owned();
    for (n, photo) in PHOTOS.into_iter().enumerate() {
        host.put("photos", &format!("in/one-{n}.{}", ending(photo.0)), sample(photo.0)).await;
        all_succeed(host, n + 1).await;
        is_told(host, &format!("one-{n}"), photo).await;
    }
    let many: Vec<_> = (0..12).map(|n| (format!("many-{n}"), PHOTOS[n % 3])).collect();
    let puts = many.iter().map(async |(key, photo)| {
        host.put("photos", &format!("in/{key}.{}", ending(photo.0)), sample(photo.0)).await;
    });
    futures::future::join_all(puts).await;
    all_succeed(host, PHOTOS.len() + many.len()).await;
    for (key, photo) in &many {
        is_told(host, key, *photo).await;
    }
}

/// So many invocations of both have succeeded, each with one call of its model.
async fn all_succeed(host: &TestHost, n: usize) {
    for service in ["sees", "burns"] {
        for receipt in ended(host, service, n).await {
            assert_eq!(receipt["state"], "succeeded", "{receipt}");
            let used: &Value = &receipt["attempts"][0]["inference"][0];
            assert_eq!(
                (used["model"].as_str(), used["calls"].as_u64()),
                (Some("model"), Some(1)),
                "{receipt}"
            );
        }
    }
}

/// How often a model had to go for another one.
fn unloaded(host: &TestHost) -> usize {
    host.stderr().matches("a model is unloaded to make room").count()
}

#[tokio::test]
async fn services_that_call_their_models_alike_get_answers_of_their_own() {
    let host = TestHost::with(Setup { config: config(), ..Setup::default() });
    look(&host).await;
    assert_eq!(unloaded(&host), 0, "there is room for both");
}

#[tokio::test]
async fn with_room_for_one_model_both_answer_and_the_other_one_goes_each_time() {
    let config = format!("{}cpu_memory = \"70MiB\"\n", config());
    let host = TestHost::with(Setup { config, ..Setup::default() });
    look(&host).await;
    // Twice for each photograph that came alone, but for the first one.
    assert!(unloaded(&host) >= 2 * PHOTOS.len() - 1, "{}", host.stderr());
}
