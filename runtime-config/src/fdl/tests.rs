use super::*;
use crate::{ByteSize, Cpus, Variant};

const PHOTOS: &str = "
functions:
  oscar:
  - local:
      name: thumbnail
      wasm: thumbnail.wasm
      cpu: '1.0'
      memory: 128Mi
      limits: { cpu_time: 2s, concurrency: 8 }
      retry: { attempts: 5, backoff: 1s }
      environment: { Variables: { SIZE: 320, FLAG: true }, secrets: { KEY: hush } }
      input:
      - { storage_provider: minio.default, path: photos/in, suffix: [.jpg, .png] }
      output:
      - { storage_provider: s3.away, path: /results/thumbs/ }
  - local:
      name: sheet
      wasm: sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
      http: { path: '/sheets/{name}', method: get }
      join: { by: folder, window: 3s }
storage_providers:
  s3:
    away: { access_key: A, secret_key: S, region: eu-west-1 }
    unused: { access_key: B, secret_key: T }
";

#[test]
fn a_file_is_read_in_oscars_words_and_ours() {
    let found = read(PHOTOS, "f").unwrap();
    let (thumbnail, sheet) = (&found[0], &found[1]);
    let draft = thumbnail.draft();
    assert_eq!(thumbnail.wasm.as_deref(), Some("thumbnail.wasm"));
    assert_eq!((draft.limits.memory, draft.limits.concurrency), (ByteSize::mib(128), 8));
    assert_eq!(draft.environment["SIZE"], "320");
    assert_eq!(
        (draft.secrets.as_slice(), thumbnail.secrets["KEY"].as_str()),
        (&["KEY".to_owned()][..], "hush")
    );
    assert_eq!((draft.output[0].bucket.as_str(), draft.output[0].folder.as_str()), ("results", "thumbs"));
    assert_eq!(draft.storage_providers.len(), 1, "credentials go only where they are named");
    assert_eq!(sheet.draft().http[0].methods, ["GET"]);
    assert!(thumbnail.resolve().unwrap_err().to_string().contains("64 to 64"));
    sheet.resolve().unwrap();
}

#[test]
fn a_second_document_is_no_part_of_a_file() {
    let lines = PHOTOS.lines().count();
    for (rest, line) in [(format!("---{PHOTOS}"), lines + 1), ("...\nmore: text\n".to_owned(), lines + 2)] {
        let told = read(&format!("{PHOTOS}{rest}"), "f").unwrap_err().to_string();
        assert!(told.starts_with(&format!("f:{line}:")) && told.contains("second document"), "{told}");
    }
    read(&format!("\u{feff}---{PHOTOS}...\n"), "f").unwrap();
}

#[test]
fn what_goes_over_the_wire_comes_back_the_same() {
    for mut definition in read(PHOTOS, "f").unwrap() {
        definition.set_module(&"b".repeat(64).parse().unwrap());
        let json = serde_json::to_vec(&definition.to_wire()).unwrap();
        assert_eq!(read_service(&json).unwrap().resolve().unwrap(), definition.resolve().unwrap());
        let (service, _) = definition.resolve().unwrap();
        let shown = wire(&service).to_string();
        assert!(!shown.contains("hush") && !shown.contains("\"S\""), "{shown}");
    }
}

#[test]
fn everything_wrong_in_a_file_is_told_at_once_with_its_place() {
    let text = "functions:
  oscar:
  - local:
      name: Thumb
      wasm: t.wasm
      limits: { memmory: 1Mi, cpu_time: fast }
      inputs: []
      input:
      - { path: x/y, storage_provider: onedata.a }
      http: { path: /system/x }
      join: { by: folder }
";
    let refusal = read(text, "w.yaml").unwrap_err().to_string();
    insta::assert_snapshot!(refusal);
}

#[test]
fn an_oscar_service_is_a_container_with_a_script() {
    let text = r#"{"name":"cowsay","image":"ghcr.io/x/cowsay","script":"cat","memory":"1Gi","cpu":"1.0","unheard_of":1}"#;
    let definition = read_service(text.as_bytes()).unwrap();
    let (service, _) = definition.resolve().unwrap();
    let container = service.container.clone().unwrap();
    assert_eq!((container.image.as_str(), container.script.as_deref()), ("ghcr.io/x/cowsay", Some("cat")));
    assert_eq!((container.memory, container.cpu), (ByteSize::mib(1024), Cpus(1000)));
    assert_eq!(service.variants(), [Variant::Docker]);
    // What was read can be sent back.
    let again = read_service(wire(&service).to_string().as_bytes()).unwrap().resolve().unwrap().0;
    assert_eq!(again, service);
    let neither = read_service(br#"{"name":"cowsay","script":"cat"}"#).unwrap();
    assert!(neither.resolve().unwrap_err().to_string().contains("nothing to run"));
}

#[test]
fn both_variants_of_a_service_run_unless_one_is_named() {
    let variants = |execution: &str| {
        let text = format!(
            "functions:\n  oscar:\n  - n: {{ name: a, wasm: {}, image: x, execution: {execution} }}\n",
            "a".repeat(64)
        );
        read(&text, "f").unwrap()[0].resolve().unwrap().0.variants()
    };
    assert_eq!(variants("auto"), [Variant::Wasm, Variant::Docker]);
    assert_eq!(variants("wasm"), [Variant::Wasm]);
    assert_eq!(variants("container"), [Variant::Docker]);
}

#[test]
fn what_is_wrong_with_a_container_is_told_with_its_place() {
    let text = "functions:
  oscar:
  - n: { name: a, image: 'UPPER CASE' }
  - n: { name: b, image: x, container: { network: lan, user: ada, gpus: 0, cpu: fast } }
  - n: { name: c, wasm: c.wasm, container: { pids: 7 }, execution: container }
  - n: { name: d, image: x, http: { path: /d }, execution: wasm }
  - n: { name: e, image: x, execution: lambda, enable_gpu: perhaps }
";
    let refusal = read(text, "w.yaml").unwrap_err().to_string();
    insta::assert_snapshot!(refusal);
}

#[test]
fn bombs_are_refused() {
    for text in ["[".repeat(100_000), "- ".repeat(100_000), "a: {".repeat(1000), "x".repeat(2 << 20)] {
        read(&text, "f").unwrap_err();
    }
    read("a: &a [x]\nb: [*a, *a]", "f").unwrap_err();
    read("functions: 1\nfunctions: 2", "f").unwrap_err();
    read_service("[".repeat(10_000).as_bytes()).unwrap_err();
    read_service(b"\xff\xfe").unwrap_err();
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}", yaml in "[a-z:{}\\[\\]\\- \n&*!|>'\"]{0,80}") {
        let _refused = read(&text, "f");
        let _refused = read(&yaml, "f");
        let _refused = read_service(text.as_bytes());
    }
}
