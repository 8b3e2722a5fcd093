//! `functions/multimedia.yaml` as it stands, with the models that turn speech into words: 71 MB to fetch, and the only
//! story that needs `cargo xtask test --all`. The runner leaves it out otherwise (`.config/nextest.toml`).

use serde_json::Value;
use wicket_tests::{Engine, Setup};

use super::media::{list, rests, truth, with_reader};
use super::{config, deploy, fetched, made, sample, workflow};

/// Words without what nobody hears: "1-2-345" is spoken as "one two three four five".
fn words(text: &str) -> String {
    let digits = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let mut text = text.to_lowercase().replace("ten", "10");
    for (n, word) in digits.iter().enumerate() {
        text = text.replace(word, &(n + 1).to_string());
    }
    text.retain(|letter| letter.is_ascii_alphanumeric());
    text
}

#[tokio::test]
async fn what_is_said_in_a_video_becomes_its_subtitles_and_part_of_its_report() {
    let engine = Engine::find().await;
    let host = engine.host_with("", Setup { config: config(), ..Setup::default() });
    let tokenizer = std::fs::read(fetched("models/whisper-tokenizer.json")).expect("it was fetched");
    host.buckets().create_bucket().bucket("models").send().await.expect("a bucket");
    host.put("models", "whisper-tokenizer.json", tokenizer).await;
    deploy(&host, &with_reader(&workflow("multimedia.yaml")));
    host.put("media", "in/talk.avi", sample("talk.avi")).await;
    let report = made(&host, "media", "out/talk.avi/report.json").await;
    let truth = truth();
    let spoken: Vec<String> =
        list(&truth["spoken"]).map(|one| words(one["text"].as_str().expect("a text"))).collect();
    let said: Vec<String> =
        list(&report["said"]).map(|one| words(one["text"].as_str().unwrap_or_default())).collect();
    assert_eq!(said, spoken, "{report}");
    // Number, times, text and an empty line of each.
    let srt = host.object("media", "out/talk.avi/audio.srt").await.expect("it is there before the report");
    let srt = String::from_utf8(srt.to_vec()).expect("text");
    let cues: Vec<Vec<&str>> = srt.trim().split("\n\n").map(|cue| cue.lines().collect()).collect();
    assert_eq!(cues.iter().map(|cue| words(cue[2])).collect::<Vec<_>>(), spoken, "{srt}");
    assert!(
        cues.iter().enumerate().all(|(n, cue)| cue[0] == (n + 1).to_string() && cue[1].contains(" --> "))
    );
    rests(&host).await;
    assert_eq!(host.receipts("reader").await.len(), 1, "one report");
    let speech = host.receipts("speech").await.remove(0);
    let models: Vec<&Value> = list(&speech["attempts"][0]["inference"]).map(|used| &used["model"]).collect();
    assert_eq!(models.len(), 3, "{speech}");
}
