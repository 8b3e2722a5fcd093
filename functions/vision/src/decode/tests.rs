//! Real outputs of the real models (onnxruntime 1.32.0 in Python) with what Python makes of them: `golden/*.json`. Only
//! cells that say something are kept; elsewhere there is nothing.

use serde_json::Value;

use super::*;
use crate::rect::{Found, Rect};

fn golden(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn number(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

fn index(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// Boxes and scores agree with what Python made of the same outputs.
fn agree(found: &[Found], golden: &Value, scale: f32, side: f32) {
    let expected = golden["expected"].as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (one, numbers) in found.iter().zip(expected) {
        let Rect { left, top, right, bottom } = one.rect;
        for (is, is_not) in [left, top, right, bottom].into_iter().zip(numbers.as_array().unwrap()) {
            assert!(
                (is - (number(is_not) * scale).clamp(0.0, side)).abs() < 0.05,
                "{one:?} is not {numbers}"
            );
        }
        assert!((one.score - number(&numbers[4])).abs() < 1e-4, "{one:?} is not {numbers}");
        if let Some(class) = numbers.get(5) {
            assert_eq!(one.class as f32, number(class));
        }
    }
}

#[test]
fn centerface_finds_the_astronaut_where_python_does() {
    let golden = golden(include_str!("../../golden/centerface.json"));
    let (rows, columns) = (index(&golden["rows"]), index(&golden["columns"]));
    let cells = rows * columns;
    let (mut heat, mut scale, mut offset) = (vec![0.0; cells], vec![0.0; 2 * cells], vec![0.0; 2 * cells]);
    for cell in golden["cells"].as_array().unwrap() {
        let at = index(&cell[0]) * columns + index(&cell[1]);
        heat[at] = number(&cell[2]);
        (scale[at], scale[cells + at]) = (number(&cell[3]), number(&cell[4]));
        (offset[at], offset[cells + at]) = (number(&cell[5]), number(&cell[6]));
    }
    let outputs = centerface::Outputs { heat: &heat, scale: &scale, offset: &offset };
    let found = centerface::faces(outputs, (512, 512), number(&golden["threshold"])).unwrap();
    agree(&found, &golden, 1.0, 512.0);
    // With a higher bar there is nobody.
    assert_eq!(centerface::faces(outputs, (512, 512), 0.95).unwrap(), []);
}

#[test]
fn blazeface_finds_the_astronaut_where_python_does() {
    for text in
        [include_str!("../../golden/blazeface-128.json"), include_str!("../../golden/blazeface-256.json")]
    {
        let golden = golden(text);
        let side = index(&golden["size"]) as u32;
        let (mut scores, mut boxes) = (vec![-100.0; 896], vec![0.0; 896 * 16]);
        for cell in golden["cells"].as_array().unwrap() {
            let at = index(&cell[0]);
            scores[at] = number(&cell[1]);
            for number_of in 0..4 {
                boxes[at * 16 + number_of] = number(&cell[2 + number_of]);
            }
        }
        let found = blazeface::faces(&scores, &boxes, side, number(&golden["threshold"])).unwrap();
        agree(&found, &golden, side as f32, side as f32);
    }
}

#[test]
fn centernet_finds_the_person_and_the_cup_where_python_does() {
    let person = golden(include_str!("../../golden/centernet-astronaut.json"));
    let cup = golden(include_str!("../../golden/centernet-coffee.json"));
    for (golden, classes) in [(person, &[0][..]), (cup, &[41, 60])] {
        let rows = golden["detections"].as_array().unwrap().iter();
        let detections: Vec<f32> = rows.flat_map(|row| row.as_array().unwrap()).map(number).collect();
        let found = centernet::objects(&detections, number(&golden["threshold"])).unwrap();
        agree(&found, &golden, 1.0, 512.0);
        assert_eq!(found.iter().map(|one| one.class).collect::<Vec<_>>(), classes);
    }
}

#[test]
fn another_model_is_named_and_one_gone_wrong_is_no_panic() {
    let outputs = centerface::Outputs { heat: &[0.9; 64], scale: &[0.0; 128], offset: &[0.0; 127] };
    let error = centerface::faces(outputs, (32, 32), 0.5).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model's output `offset` has 127 numbers, not 128: is it another model?"
    );
    assert!(centernet::objects(&[], 0.5).is_err());
    assert!(blazeface::faces(&[], &[], 128, 0.5).is_err());
    let wild = [f32::NAN, f32::INFINITY, 1e30, -1e30];
    for number in wild {
        let (scale, offset) = (&[number; 128], &[number; 128]);
        let outputs = centerface::Outputs { heat: &[1.0; 64], scale, offset };
        let found = centerface::faces(outputs, (32, 32), 0.5).unwrap();
        assert!(found.iter().all(|one| one.rect.right <= 32.0 && one.rect.left >= 0.0));
        assert!(centernet::objects(&[number; 600], 0.5).unwrap().is_empty());
    }
}
