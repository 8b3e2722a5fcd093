//! `docs/wicket-toml.md` says what is read.

use std::collections::BTreeSet;

use super::{
    BatchSection, DockerSection, DrainSection, Given, HostConfig, HttpSection, InferenceSection,
    QueueSection, Section, TopSection, WasmSection,
};

const DOCS: &str = include_str!("../../../docs/wicket-toml.md");

/// All keys, with their sections.
fn keys() -> BTreeSet<String> {
    let sections = [
        ("", TopSection::keys()),
        ("http.", HttpSection::keys()),
        ("queue.", QueueSection::keys()),
        ("wasm.", WasmSection::keys()),
        ("docker.", DockerSection::keys()),
        ("batch.", BatchSection::keys()),
        ("inference.", InferenceSection::keys()),
        ("drain.", DrainSection::keys()),
    ];
    sections
        .iter()
        .flat_map(|(section, keys)| keys.iter().map(move |key| format!("{section}{key}")))
        .collect()
}

#[test]
fn every_key_is_documented_and_no_other() {
    let tables = DOCS.split("## Environment").next().unwrap();
    let first = tables.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(first.map(str::to_owned).collect::<BTreeSet<_>>(), keys());
}

#[test]
fn the_documented_file_has_every_key_with_its_default() {
    let (_, after) = DOCS.split_once("```toml\n").unwrap();
    let text = after.split("```").next().unwrap();
    assert_eq!(
        HostConfig::read(text, "docs/wicket-toml.md", &Given::default()).unwrap(),
        HostConfig::default()
    );
    for key in keys() {
        let key = key.rsplit('.').next().unwrap();
        let there = text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
        assert!(there, "the file in docs/wicket-toml.md has no `{key}`");
    }
}

#[test]
fn shown_mistakes_are_told_so() {
    let (_, after) = DOCS.split_once("```text\n").unwrap();
    let shown = after.split("```").next().unwrap().trim();
    let told = HostConfig::read("lisen = 1\n[http]\nwrite_timeout = 30\n", "wicket.toml", &Given::default())
        .unwrap_err();
    assert_eq!(told.to_string(), shown);
}
