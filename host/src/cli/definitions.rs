//! A file of services with the modules it names: read, looked at, and everything wrong told at once.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wicket_config::fdl::{self, Definition};
use wicket_config::{ByteSize, ModelDigest, ModuleDigest, Problem, Problems};
use wicket_core::{Secret, find_cycle};
use wicket_wasm::{ModuleInfo, Shape};

use crate::catalog::HttpTable;

/// Largest module that is read; a host takes less.
const MAX_MODULE: ByteSize = ByteSize::mib(1024);

/// Largest script: it is a part of its service.
const MAX_SCRIPT: ByteSize = ByteSize::kib(512);

/// A service and its module.
#[derive(Debug)]
pub(super) struct Defined {
    /// The service; its module is named by digest.
    pub(super) definition: Definition,
    /// The module; none: it runs in a container only.
    pub(super) module: Option<Module>,
    /// The models that are files.
    pub(super) models: Vec<ModelFile>,
}

/// A model's file.
#[derive(Clone, Debug)]
pub(super) struct ModelFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its name on the wire.
    pub(super) digest: ModelDigest,
    /// Bytes.
    pub(super) size: u64,
}

/// A module, as far as it is known here.
#[derive(Clone, Debug)]
pub(super) struct Module {
    /// Its name on the wire.
    pub(super) digest: ModuleDigest,
    /// The file; none when the service names a digest.
    pub(super) file: Option<ModuleFile>,
}

/// A module's file.
#[derive(Clone, Debug)]
pub(super) struct ModuleFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it is.
    pub(super) info: ModuleInfo,
}

/// Reads a file of services and the modules beside it.
pub(super) fn load(file: &Path) -> Result<Vec<Defined>, Problems> {
    let (definitions, mut items) = fdl::load(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut modules: HashMap<PathBuf, Result<Module, String>> = HashMap::new();
    items.extend(cycle(&definitions));
    items.extend(clash(&definitions));
    items.extend(definitions.iter().flat_map(bare_secrets));
    let mut found = Vec::new();
    for mut definition in definitions {
        match module(&definition, folder, &mut modules) {
            Ok(module) => {
                if let Some(module) = &module {
                    items.extend(no_handler(&definition, module));
                    definition.set_module(&module.digest);
                }
                let models = model_files(&mut definition, folder);
                items.extend(models.as_ref().err().cloned());
                match script(&mut definition, folder) {
                    Ok(()) => {
                        found.push(Defined { definition, module, models: models.unwrap_or_default() });
                    }
                    Err(message) => {
                        items.push(problem(&definition, message, Some("the path is relative to this file")));
                    }
                }
            }
            Err((message, help)) => items.push(problem(&definition, message, help)),
        }
    }
    items.sort_by_key(|problem| (problem.line, problem.column));
    if items.is_empty() { Ok(found) } else { Err(Problems { file: file.display().to_string(), items }) }
}

fn problem(definition: &Definition, message: String, help: Option<&str>) -> Problem {
    let (line, column) = definition.place;
    Problem { line, column, path: definition.name().to_string(), message, help: help.map(str::to_owned) }
}

fn module(
    definition: &Definition,
    folder: &Path,
    seen: &mut HashMap<PathBuf, Result<Module, String>>,
) -> Result<Option<Module>, (String, Option<&'static str>)> {
    let Some(wasm) = &definition.wasm else {
        if definition.draft().container.is_some() {
            return Ok(None);
        }
        let help = "name a module with `wasm: FILE.wasm`, or an image with `image: NAME`";
        return Err(("there is nothing to run".to_owned(), Some(help)));
    };
    match wasm.parse() {
        Ok(digest) => return Ok(Some(Module { digest, file: None })),
        Err(error) if wasm.starts_with("sha256:") => return Err((error.to_string(), None)),
        Err(_) => {}
    }
    let path = folder.join(wasm);
    let module = seen.entry(path.clone()).or_insert_with(|| look(&path)).clone();
    let help = (!path.exists()).then_some("the path is relative to this file");
    module.map(Some).map_err(|message| (message, help))
}

/// Reads the models that are files, for their digests.
fn model_files(definition: &mut Definition, folder: &Path) -> Result<Vec<ModelFile>, Problem> {
    let files = definition.model_files.iter().map(|source| {
        let path = folder.join(&source.file);
        let (digest, size) = digest_of(&path).map_err(|error| Problem {
            line: source.place.0,
            column: source.place.1,
            path: format!("{}.models", definition.name()),
            message: format!("the model {} cannot be read: {error}", path.display()),
            help: Some("the path is relative to this file".to_owned()),
        })?;
        Ok(ModelFile { path, digest, size })
    });
    let files = files.collect::<Result<Vec<_>, Problem>>()?;
    let digests: Vec<_> = files.iter().map(|file| file.digest.clone()).collect();
    definition.set_models(&digests);
    Ok(files)
}

fn digest_of(path: &Path) -> std::io::Result<(ModelDigest, u64)> {
    let mut hash = Sha256::new();
    let size = std::io::copy(&mut std::fs::File::open(path)?, &mut hash)?;
    let digest = hex::encode(hash.finalize()).parse().map_err(std::io::Error::other)?;
    Ok((digest, size))
}

/// Reads the script of a container.
fn script(definition: &mut Definition, folder: &Path) -> Result<(), String> {
    let Some(path) = definition.script.take() else { return Ok(()) };
    let path = folder.join(path);
    let shown = path.display().to_string();
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(&path)?.take(MAX_SCRIPT.0 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| format!("the script {shown} cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_SCRIPT.0 {
        return Err(format!("the script {shown} is larger than {MAX_SCRIPT}"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("the script {shown} is no text in UTF-8"))?;
    definition.set_script(&text).map_err(|error| format!("the script {shown}: {error}"))
}

fn look(path: &Path) -> Result<Module, String> {
    let (digest, info) = read_module(path).map_err(|error| format!("{error:#}"))?;
    Ok(Module { digest, file: Some(ModuleFile { path: path.to_owned(), info }) })
}

/// Reads a module, and tells its digest and what it is.
pub(super) fn read_module(path: &Path) -> anyhow::Result<(ModuleDigest, ModuleInfo)> {
    use anyhow::Context as _;
    let shown = path.display();
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_MODULE.0 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().with_context(|| format!("the module {shown} cannot be read"))?;
    anyhow::ensure!(bytes.len() as u64 <= MAX_MODULE.0, "the module {shown} is larger than {MAX_MODULE}");
    let info = wicket_wasm::inspect(&bytes).with_context(|| shown.to_string())?;
    let digest = hex::encode(Sha256::digest(&bytes)).parse().context("a digest is a digest")?;
    Ok((digest, info))
}

/// The circle that these services make among themselves.
fn cycle(found: &[Definition]) -> Option<Problem> {
    let services: Vec<_> = found.iter().map(|one| Arc::new(one.draft().clone())).collect();
    let cycle = find_cycle(&services)?;
    let first = found.iter().find(|one| Some(one.name()) == cycle.0.first())?;
    let help = "change the folder, prefix or suffix of one of the outputs";
    Some(problem(first, cycle.to_string(), Some(help)))
}

/// The first of these services that wants an HTTP route which another of them has.
fn clash(found: &[Definition]) -> Option<Problem> {
    let clash = HttpTable::check(found.iter().map(Definition::draft)).err()?;
    let late = found.iter().find(|one| *one.name() == clash.service)?;
    let help = "give one of the two another path, host or method";
    Some(problem(late, clash.to_string(), Some(help)))
}

/// Secrets that a host could not keep out of a log.
fn bare_secrets(definition: &Definition) -> Vec<Problem> {
    let bare = definition.secrets.iter().filter(|(_, value)| !Secret::new((*value).clone()).can_be_hidden());
    bare.map(|(name, _)| {
        let least = Secret::SHORTEST;
        let message = format!(
            "secret `{name}` is too short to be kept out of a log: it has at least {least} bytes in one line"
        );
        problem(definition, message, None)
    })
    .collect()
}

/// HTTP routes of a module that answers none.
fn no_handler(definition: &Definition, module: &Module) -> Option<Problem> {
    let shape = module.file.as_ref()?.info.shape;
    let is_wrong = !definition.draft().http.is_empty() && shape != Shape::Http;
    is_wrong.then(|| {
        let message = format!("it has HTTP routes, and its module is no HTTP handler but {shape}");
        problem(definition, message, Some("take `http` away, or give it a module that exports wasi:http"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_that_are_missing_or_wrong_are_told_all_at_once_with_their_places() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("text.wasm"), "hello").unwrap();
        let file = folder.path().join("f.yaml");
        let text = "functions:\n  oscar:\n  \
                    - local: { name: a, wasm: missing.wasm }\n  \
                    - local:\n      name: b\n      wasm: text.wasm\n  \
                    - local: { name: c }\n  \
                    - local: { name: d, wasm: 'sha256:1' }\n";
        std::fs::write(&file, text).unwrap();
        let told = load(&file).unwrap_err().to_string().replace(&folder.path().display().to_string(), "DIR");
        insta::assert_snapshot!(told);
    }

    #[test]
    fn what_is_wrong_with_words_and_with_what_they_mean_is_told_in_one_pass() {
        let folder = tempfile::tempdir().unwrap();
        let command =
            wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#).unwrap();
        std::fs::write(folder.path().join("command.wasm"), command).unwrap();
        let file = folder.path().join("f.yaml");
        let text = "functions:\n  oscar:\n  \
                    - local: { name: a, wasm: missing.wasm, colour: red }\n  \
                    - local: { name: b, wasm: command.wasm, http: { path: /b } }\n  \
                    - local: { name: c, wasm: command.wasm, environment: { secrets: { KEY: abc } } }\n  \
                    - local: { name: d, wasm: command.wasm, input: [{ path: box }], output: [{ path: box }] }\n  \
                    - local: { name: e, wasm: command.wasm, http: { path: /b } }\n";
        std::fs::write(&file, text).unwrap();
        let told = load(&file).unwrap_err().to_string();
        let wanted = [
            (3, "colour: unknown key"),
            (3, "missing.wasm cannot be read"),
            (4, "its module is no HTTP handler but preview-1 command"),
            (5, "secret `KEY` is too short"),
            (6, "d → d"),
            (7, "service `b` has it for the same method"),
            (7, "its module is no HTTP handler"),
        ];
        for (line, words) in wanted {
            assert!(
                told.lines().any(|one| one.contains(&format!(":{line}:")) && one.contains(words)),
                "{words}: {told}"
            );
        }
        assert_eq!(told.lines().count(), wanted.len(), "{told}");
        assert!(!told.contains("abc"), "{told}");
    }

    #[test]
    fn routes_that_clash_are_found_before_a_host_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.yaml");
        let digest = "a".repeat(64);
        let service = |name: &str, path: &str| {
            format!("  - local: {{ name: {name}, wasm: {digest}, http: {{ path: '{path}' }} }}\n")
        };
        let write = |services: [String; 2]| {
            std::fs::write(&file, format!("functions:\n  oscar:\n{}", services.concat())).unwrap();
        };
        write([service("a", "/photos/{id}"), service("b", "/photos/{name}")]);
        let told = load(&file).unwrap_err().to_string();
        assert!(
            told.contains("/photos/{name}")
                && told.contains("`/photos/{id}` of service `a`")
                && told.contains(":4:"),
            "{told}"
        );
        write([service("a", "/photos/{id}"), service("b", "/photo/{name}")]);
        assert_eq!(load(&file).unwrap().len(), 2);
    }

    #[test]
    fn a_circle_is_found_before_a_host_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.yaml");
        let digest = "a".repeat(64);
        let service = |name: &str, from: &str, to: &str| {
            format!(
                "  - local: {{ name: {name}, wasm: {digest}, input: [{{ path: {from} }}], output: [{{ path: {to} }}] }}\n"
            )
        };
        let write = |services: [String; 2]| {
            std::fs::write(&file, format!("functions:\n  oscar:\n{}", services.concat())).unwrap();
        };
        write([service("a", "box/1", "box/2"), service("b", "box/2", "box/1")]);
        assert!(load(&file).unwrap_err().to_string().contains("a → b → a"));
        write([service("a", "box/1", "box/2"), service("b", "box/2", "box/3")]);
        assert_eq!(load(&file).unwrap().len(), 2);
    }
}
