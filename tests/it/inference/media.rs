//! `functions/multimedia.yaml`: from a video to one report of what is seen and when somebody speaks. What is said needs
//! larger models: see `transcript`.

use serde_json::{Value, json};
use wicket_tests::{Engine, Setup, TestHost, guests, until};

use super::{LATER, changed, config, deploy, ended, host, made, sample, workflow};

/// Runs on each report that is made.
const READER: &str = "
  - local:
      name: reader
      wasm: {echo}
      input:
      - { storage_provider: minio.default, path: media/out, suffix: [report.json] }
";

/// The workflow, and who reads its reports.
pub(super) fn with_reader(text: &str) -> String {
    text.to_owned() + &READER.replace("{echo}", guests::path("echo").to_str().expect("text"))
}

/// The workflow without what turns speech into words: what its comments say may be left out.
fn without_words() -> String {
    let text = workflow("multimedia.yaml");
    let (before, rest) = text.split_once("      # Without these two").expect("a comment says so");
    let (_, after) = rest.split_once("      grants: { read_buckets: [models] }\n").expect("the vocabulary");
    with_reader(&format!("{before}{after}"))
}

/// Waits until nothing of the workflow waits or runs.
pub(super) async fn rests(host: &TestHost) {
    until("nothing waits or runs", LATER, async || {
        let services = host.wicket(&["services", "--json"]).json();
        let at_rest = |service: &Value| {
            ["queued", "running", "waiting_parts"].iter().all(|count| service["depth"][count] == 0)
        };
        services.as_array().expect("a list").iter().all(at_rest).then_some(())
    })
    .await;
}

/// What `talk.avi` shows and says, and when.
pub(super) fn truth() -> Value {
    serde_json::from_slice(&sample("talk.json")).expect("JSON")
}

/// A list of JSON.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}

fn seconds(value: &Value) -> f64 {
    value.as_f64().expect("seconds")
}

/// What `talk.avi` shows at a time.
fn shown(at: f64) -> Value {
    let truth = truth();
    let slide =
        list(&truth["seen"]).find(|slide| seconds(&slide["start"]) <= at && at < seconds(&slide["end"]));
    slide.expect("a slide at each time")["class"].clone()
}

#[tokio::test]
async fn a_video_becomes_one_report_of_what_is_seen_and_when_somebody_speaks() {
    let engine = Engine::find().await;
    let host = engine.host_with("", Setup { config: config(), ..Setup::default() });
    // So short a window that frames and sound do not meet in one join.
    deploy(&host, &changed(without_words(), &[("window: 2s", "window: 20ms")]));
    host.put("media", "in/talk.avi", sample("talk.avi")).await;
    let report = made(&host, "media", "out/talk.avi/report.json").await;
    assert_eq!((&report["video"], &report["errors"]), (&json!("talk.avi"), &json!({})), "{report}");
    let times: Vec<f64> = list(&report["timeline"]).map(|moment| seconds(&moment["time"])).collect();
    assert_eq!(times, [0.0, 2.0, 4.0, 6.0, 8.0], "{report}");
    for moment in list(&report["timeline"]) {
        let wanted = shown(seconds(&moment["time"]));
        let found = list(&moment["objects"]).any(|object| object["label"] == wanted);
        assert!(found, "{wanted} is shown: {moment}");
        // The frame with boxes in it lies beside.
        let frame = format!("found/talk.avi/{}", moment["frame"].as_str().expect("a name"));
        assert!(host.object("media", &frame).await.is_some_and(|jpeg| jpeg.starts_with(b"\xff\xd8\xff")));
    }
    assert!((seconds(&report["sound"]) - 9.0).abs() < 0.1, "{report}");
    let truth = truth();
    assert_eq!(list(&report["said"]).count(), list(&truth["spoken"]).count(), "{report}");
    for (said, spoken) in list(&report["said"]).zip(list(&truth["spoken"])) {
        let (start, end) = (seconds(&said["start"]), seconds(&said["end"]));
        // Clips begin and end with a pause.
        let near = |is: f64, told: &Value| (is - seconds(told)).abs() < 0.4;
        assert!(near(start, &spoken["start"]) && near(end, &spoken["end"]), "{said} is {spoken}");
        assert_eq!(said["text"], Value::Null, "{said}");
        assert!(list(&said["seen"]).any(|label| *label == shown((start / 2.0).floor() * 2.0)), "{said}");
    }
    let subtitles =
        host.object("media", "out/talk.avi/audio.srt").await.expect("it is there before the report");
    assert!(subtitles.starts_with(b"1\n00:00:00,"), "{subtitles:?}");

    rests(&host).await;
    let joins = ended(&host, "media-report", 2).await;
    assert!(joins.iter().all(|join| join["state"] == "succeeded"), "{joins:?}");
    assert_eq!(host.receipts("reader").await.len(), 1, "one report: {joins:?}");
    let split = host.receipts("media-split").await.remove(0);
    let ways: Vec<&Value> = list(&split["attempts"]).map(|attempt| &attempt["executor"]).collect();
    assert_eq!(ways, ["wasm", "docker"], "only ffmpeg reads its sound");
    let sound = &host.receipts("speech").await[0]["attempts"][0]["inference"][0];
    assert_eq!((&sound["model"], &sound["calls"]), (&json!("vad"), &json!(1)), "{sound}");
}

#[tokio::test]
async fn hundreds_of_frames_and_a_sound_that_takes_its_time_are_one_report() {
    let host = host();
    deploy(&host, &without_words());
    let folder = "found/long.mp4";
    let frame = |n: usize| {
        let (frame, label) =
            (format!("{:07.1}s", n as f64 * 2.0), if n.is_multiple_of(3) { "person" } else { "car" });
        let objects = json!([{"label": label, "score": 0.5}]);
        let about = json!({"frame": format!("{frame}.jpg"), "time": n as f64 * 2.0, "objects": objects});
        (format!("{folder}/{frame}.json"), about.to_string())
    };
    // The same name a day ago: another video, and longer.
    let (key, about) = frame(999);
    host.put("media", &key, about).await;
    host.put("media", &format!("{folder}/audio.json"), r#"{"duration": 1.0, "segments": []}"#).await;
    let about = json!({"frames": 300, "has_audio": true}).to_string();
    host.put("media", &format!("{folder}/video.json"), about).await;
    for n in 0..300 {
        let (key, about) = frame(n);
        host.put("media", &key, about).await;
    }
    let join = ended(&host, "media-report", 1).await.remove(0);
    assert_eq!(join["state"], "succeeded", "{join}");
    let log = host.wicket(&["logs", join["id"].as_str().expect("an id")]).stdout;
    assert!(log.contains("300 of 300 frames are there, and no sound yet"), "{log}");
    assert_eq!(host.object("media", "out/long.mp4/report.json").await, None);
    let heard = json!({"duration": 600.0, "segments": [{"start": 5.0, "end": 6.5, "text": "Hello."}]});
    host.put("media", &format!("{folder}/audio.json"), heard.to_string()).await;
    let report = made(&host, "media", "out/long.mp4/report.json").await;
    assert_eq!((&report["frames"], &report["sound"]), (&json!(300), &json!(600.0)));
    assert_eq!(report["objects"]["person"]["frames"], 100);
    assert_eq!(report["said"][0]["seen"], json!(["car", "person"]));
    rests(&host).await;
    assert_eq!((host.receipts("media-report").await.len(), host.receipts("reader").await.len()), (2, 1));
}
