//! `golden/clips.json`: what the real models say of real clips, in Python. Here they stand in for the models.

use std::cell::Cell;
use std::io::Cursor;

use hound::{SampleFormat, WavSpec, WavWriter};
use serde_json::{Value, json};
use wicket_sdk::nn::Tensor;
use wicket_sdk::{Object, testing};

use super::*;

fn clip(number: usize) -> Value {
    let golden: Value = serde_json::from_str(include_str!("../golden/clips.json")).unwrap();
    golden["clips"][number].clone()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn wav(samples: usize) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let spec = WavSpec {
        channels: 1,
        sample_rate: wav::RATE,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
    (0..samples).for_each(|n| writer.write_sample((n % 1000) as i16).unwrap());
    writer.finalize().unwrap();
    bytes.into_inner()
}

/// A model that says these probabilities, and counts its steps in its state.
fn vad(probabilities: Vec<f32>) {
    testing::model("vad", move |inputs| {
        let [("input", input), ("h", output), ("c", cell)] = inputs else { panic!("{inputs:?}") };
        let [steps, 576] = *input.shape() else { panic!("{:?}", input.shape()) };
        assert_eq!((output.shape(), cell.shape()), (&[1, 1, 128][..], &[1, 1, 128][..]));
        let mut cell = cell.f32s()?.into_owned();
        let first = cell[0] as usize;
        cell[0] += steps as f32;
        for (step, numbers) in (first..).zip(input.f32s()?.chunks_exact(576)) {
            // Before a step's own samples are 64 of the step before.
            let before = if step == 0 { 0 } else { (step * 512 - 64) % 1000 };
            let own = step * 512 % 1000;
            assert_eq!((numbers[0], numbers[64]), (wav::unit(before as i16), wav::unit(own as i16)));
        }
        let said = probabilities[first..first + steps as usize].to_vec();
        Ok(vec![
            ("speech_probs".to_owned(), Tensor::from_f32(&[steps], said)?),
            ("hn".to_owned(), Tensor::from_f32(&[1, 1, 128], output.f32s()?.into_owned())?),
            ("cn".to_owned(), Tensor::from_f32(&[1, 1, 128], cell)?),
        ])
    });
}

/// Encoder and decoder: the decoder says these tokens, and then that it is done. Some marks are always likelier.
fn whisper_says(tokens: Vec<i64>) {
    testing::model("encoder", |inputs| {
        let [("mel", mel)] = inputs else { panic!("{inputs:?}") };
        assert_eq!(mel.shape(), [1, 80, 3000]);
        Ok(vec![("audio".to_owned(), Tensor::from_f32(&[1, 1500, 384], vec![0.5; 1500 * 384])?)])
    });
    let asked = Cell::new(0);
    testing::model("decoder", move |inputs| {
        let [("tokens", so_far), ("audio", audio)] = inputs else { panic!("{inputs:?}") };
        assert_eq!(audio.shape(), [1, 1500, 384]);
        let so_far = so_far.i64s()?;
        assert_eq!(so_far[..2], [50_257, 50_362]);
        assert_eq!(so_far[2..], tokens[..asked.get()]);
        let mut logits = vec![0.0; 51_864];
        logits[tokens.get(asked.get()).map_or(50_256, |token| *token as usize)] = 5.0;
        // `"`, which nobody speaks, and a mark of time.
        (logits[1], logits[50_363]) = (9.0, 9.0);
        asked.set((asked.get() + 1) % (tokens.len() + 1));
        Ok(vec![("logits".to_owned(), Tensor::from_f32(&[1, 51_864], logits)?)])
    });
    let golden: Value = serde_json::from_str(include_str!("../golden/clips.json")).unwrap();
    testing::put(
        "models",
        "whisper/tokenizer.json",
        json!({"model": {"vocab": golden["vocab"]}}).to_string(),
    );
}

fn names() -> Names {
    let [encoder, decoder, tokenizer] =
        ["encoder", "decoder", "models/whisper/tokenizer.json"].map(str::to_owned);
    Names { encoder, decoder, tokenizer }
}

fn run(bytes: Vec<u8>, whisper: Option<Names>) -> testing::Ran {
    let event = Event::about([Object::from_bytes("video", "out/a.mp4/audio.wav", bytes)]);
    testing::run(|event| speech(event, &Settings { vad_model: "vad".to_owned(), whisper }), event)
}

#[test]
fn segments_are_those_of_the_models_own_package() {
    for number in 0..2 {
        let clip = clip(number);
        let samples = clip["samples"].as_u64().unwrap() as usize;
        let found = vad::segments(&numbers(&clip["probabilities"]), samples);
        let expected = numbers(&clip["segments"][0]);
        assert_eq!(found.len(), clip["segments"].as_array().unwrap().len());
        assert_eq!((found[0].start as f32, found[0].end as f32), (expected[0], expected[1]));
    }
}

#[test]
fn a_clip_becomes_its_subtitle() {
    let clip = clip(0);
    vad(numbers(&clip["probabilities"]));
    whisper_says(clip["tokens"].as_array().unwrap().iter().map(|token| token.as_i64().unwrap()).collect());
    let ran = run(wav(clip["samples"].as_u64().unwrap() as usize), Some(names()));
    assert_eq!(ran.answer(), Ok("audio.wav: 2.9 s, 1 segments, 2.6 s of speech".into()));
    let srt = String::from_utf8(ran.output("audio.srt").unwrap().bytes.clone()).unwrap();
    assert_eq!(srt, "1\n00:00:00,034 --> 00:00:02,654\nThe quick brown fox jumps over the lazy dog.\n\n");
    let json: Value = serde_json::from_slice(&ran.output("audio.json").unwrap().bytes).unwrap();
    assert_eq!(json["segments"][0]["text"], "The quick brown fox jumps over the lazy dog.");
}

#[test]
fn a_long_sound_is_heard_to_its_end() {
    // A minute and a half: three calls, the state handed on.
    vad([vec![0.0; 2000], vec![0.9; 100], vec![0.0; 800]].concat());
    let ran = run(wav(2900 * 512 - 7), None);
    assert_eq!(ran.answer(), Ok("audio.wav: 92.8 s, 1 segments, 3.3 s of speech".into()));
}

#[test]
fn without_whisper_it_is_told_that_somebody_speaks() {
    let clip = clip(1);
    vad(numbers(&clip["probabilities"]));
    let ran = run(wav(clip["samples"].as_u64().unwrap() as usize), None);
    let srt = String::from_utf8(ran.output("audio.srt").unwrap().bytes.clone()).unwrap();
    assert!(srt.contains("[speech]"), "{srt}");
    let json: Value = serde_json::from_slice(&ran.output("audio.json").unwrap().bytes).unwrap();
    assert!(json["segments"][0].get("text").is_none());
}

#[test]
fn a_model_in_a_loop_comes_to_an_end() {
    let clip = clip(1);
    vad(numbers(&clip["probabilities"]));
    whisper_says(vec![18_435; 1000]);
    let ran = run(wav(clip["samples"].as_u64().unwrap() as usize), Some(names()));
    let json: Value = serde_json::from_slice(&ran.output("audio.json").unwrap().bytes).unwrap();
    let text = json["segments"][0]["text"].as_str().unwrap();
    assert_eq!(text.matches("Hello").count(), 16 + 12, "of one second");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    vad(vec![0.0; 9]);
    let never = |ran: testing::Ran| match ran.result {
        Err(Failure::Never(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(never(run(wav(0), None)), "audio.wav: there is no sound in it: 0 s");
    assert!(never(run(b"no sound".to_vec(), None)).contains("it is no WAV"));
    let misplaced = Names { tokenizer: "tokenizer.json".to_owned(), ..names() };
    assert_eq!(never(run(wav(99), Some(misplaced))), "TOKENIZER `tokenizer.json`: write BUCKET/KEY");
    testing::put("models", "whisper/tokenizer.json", "{}");
    assert!(
        never(run(wav(99), Some(names()))).starts_with("TOKENIZER `models/whisper/tokenizer.json`: missing")
    );
    testing::model("vad", |_| {
        let two = Tensor::from_f32(&[2], vec![0.0; 2])?;
        Ok(["speech_probs", "hn", "cn"].map(|name| (name.to_owned(), two.clone())).to_vec())
    });
    assert_eq!(never(run(wav(99), None)), "model `vad` is no silero-vad-sequence: 2 answers to 1 steps");
}
