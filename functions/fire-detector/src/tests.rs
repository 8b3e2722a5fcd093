use image::{Rgb, RgbImage};
use serde_json::Value;
use wicket_sdk::{Object, testing};

use super::*;

fn settings(fire_model: Option<&str>) -> Settings {
    let fire_model = fire_model.map(str::to_owned);
    Settings {
        fire_model,
        min_colour: 0.02,
        min_flicker: 0.1,
        min_model: 0.5,
        alert_alone: false,
        alert_url: None,
    }
}

/// A dark yard, and in it a flame of so many pixels across, as light as that.
fn yard(flame: u32, light: u8) -> Vec<u8> {
    let image = RgbImage::from_fn(320, 240, |x, y| {
        match x.abs_diff(160) < flame / 2 && y.abs_diff(160) < flame / 2 {
            true => Rgb([light, (f32::from(light) * 0.6) as u8, 30]),
            false => Rgb([40, 50, 60]),
        }
    });
    picture::to_jpeg(&image, 95).unwrap()
}

fn run(pictures: &[Vec<u8>], settings: &Settings) -> testing::Ran {
    let object = |(n, bytes): (usize, &Vec<u8>)| {
        Object::from_bytes("cameras", &format!("in/yard/{n:04}.jpg"), bytes.clone())
    };
    let event = Event::about(pictures.iter().enumerate().map(object));
    testing::run(|event| fire_detector(event, settings), event)
}

fn says(probability: f32) {
    testing::model("fire", move |inputs| {
        let [("input", input)] = inputs else { panic!("{inputs:?}") };
        assert_eq!(input.shape(), [1, 3, 224, 224]);
        Ok(vec![(
            "probabilities".to_owned(),
            Tensor::from_f32(&[1, 2], vec![probability, 1.0 - probability])?,
        )])
    });
}

#[test]
fn a_flame_that_flickers_makes_an_alert() {
    says(0.9);
    let ran = run(&[yard(60, 250), yard(70, 200), yard(50, 245)], &settings(Some("fire")));
    assert_eq!(ran.answer(), Ok("in/yard: fire suspected in in/yard/0001.jpg".into()));
    let json: Value = serde_json::from_slice(&ran.output("0002.json").unwrap().bytes).unwrap();
    assert_eq!((&json["alert"], json["pictures"].as_array().unwrap().len()), (&true.into(), 3));
    assert!(json["pictures"][0]["flicker"].is_null() && json["pictures"][1]["flicker"].as_f64() > Some(0.5));
    let alert: Value = serde_json::from_slice(&ran.output("0002.alert.json").unwrap().bytes).unwrap();
    assert_eq!(alert["type"], "dev.wicketgate.fire.suspected");
    assert_eq!((&alert["id"], &alert["source"]), (&"1".into(), &"/fire-detector/cameras/in/yard".into()));
    assert_eq!(alert["data"]["key"], "in/yard/0001.jpg");
}

#[test]
fn each_vote_can_say_no() {
    let alert = |ran: &testing::Ran| ran.outputs.iter().any(|made| made.name.ends_with(".alert.json"));
    // It has the colour and flickers: without a model that is enough.
    let flame = [yard(60, 250), yard(70, 200)];
    assert!(alert(&run(&flame, &settings(None))));
    // The model sees none.
    says(0.2);
    assert!(!alert(&run(&flame, &settings(Some("fire")))));
    // A lamp does not flicker.
    says(0.9);
    let lamp = run(&[yard(60, 250), yard(60, 250)], &settings(Some("fire")));
    let json: Value = serde_json::from_slice(&lamp.output("0001.json").unwrap().bytes).unwrap();
    assert_eq!(
        (&json["pictures"][1]["suspected"], &json["pictures"][1]["flicker"]),
        (&false.into(), &0.0.into())
    );
    assert!(!alert(&lamp));
    // Nothing has the colour: then the model is not even asked.
    testing::model("fire", |_| panic!("asked"));
    let ran = run(&[yard(0, 0), yard(0, 0)], &settings(Some("fire")));
    assert_eq!(ran.answer(), Ok("in/yard: no alert, 0 of 2 pictures suspected".into()));
}

#[test]
fn a_picture_alone_is_held_beside_the_one_before_it_in_its_folder() {
    let alone = |settings: &Settings| {
        let event = Event::about([Object::from_bytes("cameras", "in/yard/0007.jpg", yard(60, 250))]);
        testing::run(|event| fire_detector(event, settings), event)
    };
    let ran = alone(&settings(None));
    assert_eq!(ran.answer(), Ok("in/yard: no alert, 1 of 1 pictures suspected".into()));
    assert!(alone(&Settings { alert_alone: true, ..settings(None) }).output("0007.alert.json").is_some());
    for (key, picture) in
        [("in/yard/0006.jpg", yard(60, 250)), ("in/yard/0008.jpg", yard(0, 0)), ("in/z.jpg", vec![])]
    {
        testing::put("cameras", key, picture);
    }
    // A lamp that burns all day …
    assert!(alone(&settings(None)).output("0007.alert.json").is_none());
    // … and a fire.
    testing::put("cameras", "in/yard/0006.jpg", yard(0, 0));
    assert!(alone(&settings(None)).output("0007.alert.json").is_some());
}

#[test]
fn half_a_picture_does_not_silence_the_others() {
    let ran = run(&[yard(60, 250), b"half".to_vec(), yard(70, 190)], &settings(None));
    let json: Value = serde_json::from_slice(&ran.output("0002.json").unwrap().bytes).unwrap();
    assert!(json["pictures"][1]["error"].is_string());
    assert!(json["pictures"][2]["flicker"].as_f64() > Some(0.5), "beside the last one that could be read");
    // Alone, it is a failure.
    assert_eq!(run(&[vec![]], &settings(None)).result, Err(Failure::Never("the picture is empty".into())));
    assert!(matches!(run(&[], &settings(None)).result, Err(Failure::Never(_))));
}

#[test]
fn an_alert_that_cannot_be_posted_is_tried_again() {
    let posts = Settings { alert_url: Some("http://alerts.example.org/".to_owned()), ..settings(None) };
    let ran = run(&[yard(60, 250), yard(70, 200)], &posts);
    assert!(matches!(ran.result, Err(Failure::Again(_))));
    assert!(ran.outputs.is_empty(), "nothing is told twice");
    assert!(run(&[yard(0, 0)], &posts).result.is_ok());
}
