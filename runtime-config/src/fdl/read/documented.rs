//! `docs/fdl.md` says what is read: each key has its row, each row its key, and the examples are right.

use std::collections::BTreeSet;

use super::table::Reader;
use crate::fdl::{self, node};
use crate::{Limits, Retry};

const DOCS: &str = include_str!("../../../../docs/fdl.md");

/// The text between the fences of the first block of this language.
fn block<'d>(docs: &'d str, language: &str) -> &'d str {
    let (_, after) = docs.split_once(&format!("```{language}\n")).expect("there is such a block");
    after.split("```").next().expect("a block ends")
}

/// Keys of the tables' first column.
fn rows() -> BTreeSet<String> {
    let first = DOCS.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    first.map(str::to_owned).collect()
}

/// `functions.oscar[0].local.input[0].path` as the docs call it: `input.path`.
fn short(path: &str) -> String {
    let path = path.strip_prefix("functions.oscar[0].local.").unwrap_or(path);
    let path = path.replace("[0]", "").replace("[1]", "");
    match path.strip_prefix("storage_providers.").map(|rest| rest.splitn(3, '.').collect::<Vec<_>>()) {
        Some(parts) if parts.len() == 3 => format!("storage_providers.*.{}", parts[2]),
        _ => path,
    }
}

#[test]
fn every_key_that_is_read_is_documented_and_no_other() {
    let node = node::from_yaml(block(DOCS, "yaml")).unwrap();
    let mut reader = Reader::strict();
    let found = super::read_file(&mut reader, &node);
    assert_eq!(found.len(), 1);
    let asked: BTreeSet<String> = reader.asked.iter().map(|path| short(path)).collect();
    reader.finish(()).unwrap();
    for key in &asked {
        // A map is told of by what is in it.
        if asked.iter().any(|other| other.starts_with(&format!("{key}."))) || key == "functions.oscar" {
            continue;
        }
        let others = ["delegation", "functions.aws", "input.options", "output.options"];
        let read_past = super::CLUSTER_FIELDS.contains(&key.as_str()) || others.contains(&key.as_str());
        let told = if read_past { DOCS.contains(&format!("`{key}`")) } else { rows().contains(key) };
        assert!(told, "docs/fdl.md does not tell of `{key}`");
    }
    for row in rows() {
        assert!(asked.contains(&row), "docs/fdl.md tells of `{row}`, which nobody reads");
    }
}

#[test]
fn documented_defaults_are_the_defaults() {
    let limits = serde_json::to_value(Limits::default()).unwrap();
    let retry = serde_json::to_value(Retry::default()).unwrap();
    let sections = [("limits", limits), ("retry", retry)];
    for (section, values) in sections {
        for (key, value) in values.as_object().unwrap() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let row = format!("| `{section}.{key}` | ");
            let line =
                DOCS.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("no row {row}"));
            assert!(line.contains(&format!("| `{value}` |")), "the default is {value}: {line}");
        }
    }
}

#[test]
fn examples_are_read_and_shown_mistakes_are_told_so() {
    let found = fdl::read(block(DOCS, "yaml"), "docs/fdl.md").unwrap();
    assert_eq!(found[0].draft().limits, Limits::default());
    for (place, text) in [
        ("README.md", include_str!("../../../../README.md")),
        ("the demo", include_str!("../../../../xtask/src/demo/workflow.yaml")),
    ] {
        let yaml = if text.contains("```yaml") { block(text, "yaml") } else { text };
        fdl::read(yaml, place).unwrap();
    }
    let wrong = "functions:\n  oscar:\n  - local:\n      name: a\n      wasm: a.wasm\n      limits: { memmory: 1Mi, cpu_time: fast }\n";
    assert_eq!(fdl::read(wrong, "photos.yaml").unwrap_err().to_string().trim(), block(DOCS, "text").trim());
}
