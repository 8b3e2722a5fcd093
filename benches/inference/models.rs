//! Models, and what they are fed.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::target;

/// In the order of what one run takes.
const MODELS: [&str; 10] = [
    "blazeface",
    "silero-vad",
    "silero-vad-sequence",
    "mask",
    "fire",
    "efficientnet-lite0",
    "whisper-encoder",
    "centerface",
    "centernet",
    "fire-smoke",
];

/// A model.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) file: PathBuf,
    /// Rows may be put together.
    pub(crate) batches: bool,
    inputs: Vec<Value>,
}

impl Case {
    /// What it is fed for so many rows.
    pub(crate) fn inputs(&self, rows: u64) -> Value {
        let mut inputs = self.inputs.clone();
        for input in inputs.iter_mut().filter(|_| self.batches) {
            input["shape"][0] = rows.into();
        }
        inputs.into()
    }

    /// Bytes of one row's inputs.
    pub(crate) fn bytes(&self) -> u64 {
        let size = |input: &Value| {
            let sides = input["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64);
            sides.product::<u64>() * if input["values"].is_null() { 4 } else { 8 }
        };
        self.inputs(1).as_array().into_iter().flatten().map(size).sum()
    }
}

/// Those that are here, and the names of those that are not. Inputs are those of the golden files.
pub(crate) fn cases() -> (Vec<Case>, Vec<&'static str>) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/models/golden");
    let (mut cases, mut missing) = (Vec::new(), Vec::new());
    for name in MODELS {
        let file = target().join("models").join(format!("{name}.onnx"));
        if !file.exists() {
            missing.push(name);
            continue;
        }
        let told = std::fs::read(golden.join(format!("{name}.json"))).expect("each model has a golden file");
        let told: Value = serde_json::from_slice(&told).expect("JSON");
        let mut inputs = told["inputs"].as_array().expect("a list").clone();
        if name == "centerface" {
            // A frame of the sample video, as `blur-faces` gives it.
            inputs[0]["shape"] = json!([1, 3, 480, 640]);
        }
        let batches = told["batch"] == true;
        cases.push(Case { name, file, batches, inputs });
    }
    (cases, missing)
}
