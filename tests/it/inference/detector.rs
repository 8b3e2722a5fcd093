//! The detector of `functions/multimedia.yaml` as a job of AWS Batch, held beside the module.

use serde_json::{Value, json};
use wicket_tests::{Setup, TestHost};

use super::media::list;
use super::{changed, config, deploy, ended, fetched, host, made, python, sample, workflow};
use crate::batch::World;

const IMAGE: &str = "wicketgate/detector:1";
/// From which score on the module tells of an object.
const LEAST: f64 = 0.3;

/// The detector, alone of its workflow.
fn detector() -> String {
    let text = workflow("multimedia.yaml");
    let (head, services) = text.split_once("  - local:\n").expect("a list of services");
    let mut services = services.split("  - local:\n");
    let service = services.find(|service| service.contains("name: object-detector")).expect("the detector");
    format!("{head}  - local:\n{service}")
}

/// A portrait, and frames of a video of people: names and JPEGs.
fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let video = folder.path().join("people.avi");
    std::fs::write(&video, sample("people.avi")).expect("the temporary folder is writable");
    let program = "\
import cv2, sys
video = cv2.VideoCapture(sys.argv[1])
for n in (10, 40):
    video.set(cv2.CAP_PROP_POS_FRAMES, n)
    assert cv2.imwrite(f'{sys.argv[2]}/{n}.jpg', video.read()[1])
";
    let done = python(program).arg(&video).arg(folder.path()).output().expect("python starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let read = |n: &str| std::fs::read(folder.path().join(n)).expect("it was written");
    vec![("portrait", sample("hopper.jpg")), ("00001.2s", read("10.jpg")), ("00005.0s", read("40.jpg"))]
}

/// Puts frames into a folder, and tells what is found on each.
async fn found(host: &TestHost, folder: &str, frames: &[(&str, Vec<u8>)]) -> Vec<Value> {
    for (name, jpeg) in frames {
        host.put("media", &format!("frames/{folder}/{name}.jpg"), jpeg.clone()).await;
    }
    let mut all = Vec::new();
    for (name, _) in frames {
        all.push(made(host, "media", &format!("found/{folder}/{name}.json")).await);
        let picture = host.object("media", &format!("found/{folder}/{name}.jpg")).await;
        assert!(picture.is_some_and(|jpeg| jpeg.starts_with(b"\xff\xd8\xff")), "{name}: boxes are drawn");
    }
    all
}

/// Where the attempts of an invocation ran.
fn ways(receipt: &Value) -> Vec<&str> {
    list(&receipt["attempts"]).map(|attempt| attempt["executor"].as_str().expect("a word")).collect()
}

/// Whether an object of one is among those of another: by label, within some pixels.
fn has(others: &Value, object: &Value) -> bool {
    let near = |a: &Value, b: &Value, most: f64| {
        a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() <= most)
    };
    list(&others["objects"]).any(|other| {
        let edges = ["left", "top", "right", "bottom"];
        other["label"] == object["label"]
            && near(&other["score"], &object["score"], 0.02)
            && edges.iter().all(|edge| near(&other["rect"][edge], &object["rect"][edge], 2.0))
    })
}

/// Checks that both tell the same of a frame. What is hardly an object may be one for one of them only.
fn same(by_job: &Value, by_module: &Value) {
    let fields = |frame: &Value| frame.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(by_job), fields(by_module));
    for field in ["frame", "time", "width", "height"] {
        assert_eq!(by_job[field], by_module[field], "{field}");
    }
    for (one, other) in [(by_job, by_module), (by_module, by_job)] {
        let sure = list(&one["objects"]).filter(|object| object["score"].as_f64() > Some(LEAST + 0.02));
        for object in sure {
            assert!(has(other, object), "{object} is not in {other}");
            assert_eq!(fields(object), ["label", "rect", "score"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_finds_the_objects_that_the_module_finds() {
    let world = World::start().await;
    let image = world.engine.docker.inspect_image(IMAGE).await;
    assert!(image.is_ok(), "{IMAGE} is missing: `cargo xtask models`, then `cargo xtask engine` makes it");
    let frames = frames();

    // A host without Batch has the module alone.
    let host = host();
    deploy(&host, &detector());
    let by_module = found(&host, "module", &frames).await;
    let receipts = ended(&host, "object-detector", frames.len()).await;
    assert!(receipts.iter().all(|receipt| ways(receipt) == ["wasm"]), "{receipts:?}");
    let n_objects: Vec<usize> = by_module.iter().map(|frame| list(&frame["objects"]).count()).collect();
    assert!(n_objects.iter().all(|n| *n > 0), "{n_objects:?}");

    // With Batch, frames that are too much for the module go on as jobs with a GPU. Here there is none, and the job says so.
    let setup = Setup { config: config() + &world.config(""), ..Setup::default() };
    let host = host.restart_with(setup);
    deploy(&host, &changed(detector(), &[("cpu_time: 10s", "cpu_time: 1ms")]));
    for (by_job, by_module) in found(&host, "heavy", &frames).await.iter().zip(&by_module) {
        same(by_job, by_module);
    }
    let mut receipts = ended(&host, "object-detector", 2 * frames.len()).await;
    receipts.truncate(frames.len());
    // The last of them may have been placed by what the record says of the first.
    assert!(receipts.iter().any(|receipt| ways(receipt) == ["wasm", "batch"]), "{receipts:?}");
    for receipt in &receipts {
        assert_eq!(ways(receipt).last(), Some(&"batch"), "{receipt}");
        let log = host.wicket(&["logs", receipt["id"].as_str().expect("an id")]).stdout;
        assert!(log.contains("CPUExecutionProvider") && log.contains(" objects\n"), "{log}");
    }
    let definitions = world.between.seen("registerjobdefinition");
    let needs = &definitions.last().expect("a definition")["containerProperties"]["resourceRequirements"];
    assert!(list(needs).any(|need| *need == json!({"type": "GPU", "value": "1"})), "{needs}");
    world.clean(&host).await;
}

#[test]
fn the_script_says_what_it_does_not_take() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("empty.jpg"), "").expect("the temporary folder is writable");
    std::fs::write(at("words.jpg"), "no picture").expect("the temporary folder is writable");
    let jpeg = sample("hopper.jpg");
    std::fs::write(at("half.jpg"), &jpeg[..jpeg.len() / 2]).expect("the temporary folder is writable");
    let bomb = "import sys; from PIL import Image; Image.new('1', (5000, 5000)).save(sys.argv[1])";
    assert!(python(bomb).arg(at("bomb.png")).status().expect("python starts").success());
    let cases = [
        ("empty.jpg", "", 2, "the picture is empty"),
        ("words.jpg", "", 2, "no JPEG, PNG or WebP"),
        ("half.jpg", "", 2, "image file is truncated"),
        ("bomb.png", "", 2, "5000x5000 pixels are more than 12582912"),
        ("nothing.jpg", "", 1, "the input is no file"),
        ("words.jpg", "2", 1, "MIN_SCORE `2`: a number from 0.05 to 0.95"),
        ("words.jpg", "nan", 1, "MIN_SCORE `nan`"),
    ];
    // One Python for all: it takes seconds to begin.
    let program = "\
import contextlib, io, json, os, sys
script = compile(open(sys.argv[1]).read(), 'detect.py', 'exec')
for environment in json.loads(sys.argv[2]):
    os.environ.update(environment)
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            exec(script, {})
            status = 0
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, said.getvalue()]))
";
    let environments = cases.map(
        |(input, score, ..)| json!({"INPUT_FILE_PATH": at(input), "TMP_OUTPUT_DIR": at(""), "MIN_SCORE": score}),
    );
    let mut run = python(program);
    run.arg(fetched("../functions/object-detector/detect.py")).arg(json!(environments).to_string());
    let ran = run.output().expect("python starts");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(told.lines().count(), cases.len(), "{ran:?}");
    for (line, (input, score, status, why)) in told.lines().zip(cases) {
        let ended: Value = serde_json::from_str(line).expect("JSON");
        let said = ended[1].as_str().expect("text");
        assert_eq!(ended[0], status, "{input} {score}: {said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{input} {score}: {said}");
    }
}
