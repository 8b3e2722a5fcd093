//! Real models say what Python's onnxruntime says of the same numbers (`functions/models/golden.py`).

use std::path::{Path, PathBuf};

use serde_json::Value;
use wicket_inference::{InputKey, Model, Tensor};

use crate::kit::{BACKENDS, Kit, on, to_floats};

/// Those that every machine has after `cargo xtask models`; the others are tried where they are.
const MODELS: [&str; 6] =
    ["centerface", "mask", "efficientnet-lite0", "silero-vad", "silero-vad-sequence", "fire"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn shape(port: &Value) -> Vec<u64> {
    port["shape"].as_array().unwrap().iter().map(|dim| dim.as_u64().unwrap()).collect()
}

/// As the recipe says it, in 32 bits.
fn input(kit: &Kit, port: &Value) -> (InputKey, Tensor) {
    let name = InputKey::Name(port["name"].as_str().unwrap().to_owned());
    let shape = shape(port);
    if port["dtype"] == "i64" {
        let values: Vec<i64> =
            port["values"].as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).collect();
        return (name, kit.longs(&shape, &values));
    }
    let part = |part: &str| port["pattern"][part].as_f64().unwrap() as f32;
    let (scale, offset) = (part("scale"), part("offset"));
    let n: u64 = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|i| (i * 7919 % 256) as f32 / 255.0 * scale + offset).collect();
    (name, kit.floats(&shape, &values))
}

#[tokio::test(flavor = "multi_thread")]
async fn real_models_say_what_onnxruntime_says_in_python() {
    let kit = Kit::start();
    let mut names: Vec<String> = MODELS.map(str::to_owned).into();
    for entry in std::fs::read_dir(root().join("target/models")).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        names.extend(name.strip_suffix(".onnx").map(str::to_owned).filter(|name| !names.contains(name)));
    }
    for name in names {
        let path = root().join(format!("target/models/{name}.onnx"));
        assert!(path.exists(), "{} is missing: run `cargo xtask models`", path.display());
        let golden = std::fs::read(root().join(format!("functions/models/golden/{name}.json"))).unwrap();
        let golden: Value = serde_json::from_slice(&golden).unwrap();
        let (absolute, relative) = (
            golden["tolerance"]["absolute"].as_f64().unwrap(),
            golden["tolerance"]["relative"].as_f64().unwrap(),
        );
        for backend in BACKENDS {
            let model = on(backend, &Model::new(name.as_str(), &path));
            let inputs = golden["inputs"].as_array().unwrap().iter().map(|port| input(&kit, port)).collect();
            let answer = kit.infer_all(&model, inputs, "golden").await;
            let answer = answer.unwrap_or_else(|error| panic!("{name} on {backend}: {error}"));
            for wanted in golden["outputs"].as_array().unwrap() {
                let output = wanted["name"].as_str().unwrap();
                let (_, tensor) = answer.outputs.iter().find(|(name, _)| name == output).unwrap();
                assert_eq!(tensor.shape(), shape(wanted), "{name} {output} on {backend}");
                if wanted["dtype"] != "f32" {
                    continue;
                }
                let found = to_floats(tensor);
                for (n, (wanted, found)) in numbers(&wanted["first"]).into_iter().zip(&found).enumerate() {
                    let apart = (wanted - f64::from(*found)).abs();
                    let allowed = absolute + relative * wanted.abs();
                    assert!(apart <= allowed, "{name} {output}[{n}] on {backend}: {found}, not {wanted}");
                }
                let sum: f64 = found.iter().map(|number| f64::from(*number)).sum();
                let wanted = wanted["sum"].as_f64().unwrap();
                let allowed = relative * wanted.abs() + absolute * (found.len() as f64).sqrt() * 10.0;
                assert!((sum - wanted).abs() <= allowed, "{name} {output} on {backend}: {sum}, not {wanted}");
            }
        }
    }
    kit.inference.close().await;
}
