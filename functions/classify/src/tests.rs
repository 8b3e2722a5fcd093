use image::Rgb;
use serde_json::Value;

use super::*;
use crate::model::CLASSES;

fn photo(folder: &Path, name: &str, colour: [u8; 3]) -> PathBuf {
    let file = folder.join(name);
    RgbImage::from_pixel(400, 300, Rgb(colour)).save(&file).unwrap();
    file
}

/// A model that says espresso to dark photographs and else Egyptian cat.
fn stand_in(numbers: &[f32]) -> Result<Vec<f32>, String> {
    assert_eq!(numbers.len(), 3 * 224 * 224);
    let mut shares = vec![0.000_1; CLASSES];
    shares[if numbers[0] < 0.0 { 967 } else { 285 }] = 0.9;
    Ok(shares)
}

#[test]
fn each_photograph_gets_its_five_likeliest_classes() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in"), dir.path().join("out"));
    fs::create_dir(&input).and_then(|()| fs::create_dir(&output)).unwrap();
    photo(&input, "b.png", [230; 3]);
    photo(&input, "a.jpg", [20; 3]);
    let said = classify(&photos(&input).unwrap(), &output, stand_in).unwrap();
    assert_eq!(said, "a.jpg: espresso\nb.png: Egyptian cat");
    let json: Value = serde_json::from_slice(&fs::read(output.join("a.json")).unwrap()).unwrap();
    assert_eq!((&json["classes"][0]["index"], json["classes"].as_array().unwrap().len()), (&967.into(), 5));
    assert_eq!((&json["photo"], &json["width"]), (&"a.jpg".into(), &400.into()));
}

#[test]
fn bytes_are_centred_as_the_model_was_trained() {
    let dir = tempfile::tempdir().unwrap();
    let file = photo(dir.path(), "a.png", [255, 127, 0]);
    let checked = classify(&[file], dir.path(), |numbers| {
        let plane = 224 * 224;
        let middle = [numbers[plane / 2], numbers[plane + plane / 2], numbers[2 * plane + plane / 2]];
        assert_eq!(middle, [1.0, 0.0, -127.0 / 128.0]);
        Ok(vec![0.0; CLASSES])
    });
    checked.unwrap();
}

#[test]
fn what_went_wrong_is_named_with_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.jpg");
    fs::write(&file, b"no picture").unwrap();
    let refusal = classify(&[file], dir.path(), stand_in).unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Broken(why) if why == "a.jpg: it is no JPEG, PNG or WebP"),
        "{refusal}"
    );
    let file = photo(dir.path(), "b.png", [0; 3]);
    let refusal =
        classify(&[file], dir.path(), |_| Err("model `imagenet`: not found".to_owned())).unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Model(why) if why == "b.png: model `imagenet`: not found"),
        "{refusal}"
    );
    let refusal = classify(&[dir.path().join("gone.jpg")], dir.path(), stand_in).unwrap_err();
    assert!(refusal.to_string().starts_with("gone.jpg: "), "{refusal}");
}
