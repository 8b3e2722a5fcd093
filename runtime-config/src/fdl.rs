//! OSCAR's function definition language, with our additions: files in YAML or JSON, and one service as JSON on the wire.
//!
//! Keys are read without regard to case, as OSCAR's own server does. In a file an unknown key is a mistake; on the
//! wire it is somebody else's version, and ignored. `docs/fdl.md` lists every field.

mod node;
mod read;
mod wire;

use std::collections::BTreeMap;
use std::path::Path;

use crate::{ModelDigest, ModuleDigest, Problem, Problems, Service};

pub use wire::{HIDDEN, wire};

/// Largest file or body that is read.
pub const MAX_TEXT: usize = 1 << 20;

/// One service as somebody wrote it: checked, its module perhaps still a file.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The module: a path beside the file, or a digest.
    pub wasm: Option<String>,
    /// The file with the script of its container, a path beside the file of services; on the wire its text has come.
    pub script: Option<String>,
    /// The models whose content is in a file.
    pub model_files: Vec<ModelSource>,
    /// Line and column, from 1, of what names the module (of the service, where nothing does); 0 on the wire.
    pub place: (usize, usize),
    /// Values of the secrets.
    pub secrets: BTreeMap<String, String>,
    /// Everything else; its `wasm` counts only after [`Definition::resolve`].
    draft: Service,
}

/// A model whose content is in a file.
#[derive(Clone, Debug)]
pub struct ModelSource {
    /// A path beside the file of services.
    pub file: String,
    /// Line and column of the model, from 1.
    pub place: (usize, usize),
    /// Which of the service's models.
    pub(crate) model: usize,
}

/// Reads a file of services: those that could be made out, and everything that is wrong. `Err` where it cannot be read.
pub fn load(path: &Path) -> Result<(Vec<Definition>, Vec<Problem>), Problems> {
    let file = path.display().to_string();
    let size = std::fs::metadata(path).map_err(|error| Problems::unreadable(&file, &error))?.len();
    if size > MAX_TEXT as u64 {
        return Err(Problems::one(&file, "", format!("the file is larger than {MAX_TEXT} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| Problems::unreadable(&file, &error))?;
    let node = node::from_yaml(&text).map_err(|item| Problems { file, items: vec![item] })?;
    Ok(read::file(&node))
}

/// Reads services from the text of a file; all problems are told at once.
pub fn read(text: &str, file: &str) -> Result<Vec<Definition>, Problems> {
    let node = node::from_yaml(text).map_err(|item| Problems { file: file.to_owned(), items: vec![item] })?;
    match read::file(&node) {
        (found, items) if items.is_empty() => Ok(found),
        (_, items) => Err(Problems { file: file.to_owned(), items }),
    }
}

/// Reads one service as it comes over the wire, in OSCAR's shape.
pub fn read_service(json: &[u8]) -> Result<Definition, Problems> {
    let problems = |items| Problems { file: "service".to_owned(), items };
    let node = node::from_json(json).map_err(|item| problems(vec![item]))?;
    read::service(&node).map_err(problems)
}

impl Definition {
    /// The service's name.
    pub fn name(&self) -> &crate::ServiceName {
        &self.draft.name
    }

    /// What was read, but for its module.
    pub fn draft(&self) -> &Service {
        &self.draft
    }

    /// Says that the module is the one with this digest.
    pub fn set_module(&mut self, digest: &ModuleDigest) {
        self.wasm = Some(digest.to_string());
    }

    /// Says which contents the files of its models have, in their order.
    pub fn set_models(&mut self, digests: &[ModelDigest]) {
        for (file, digest) in std::mem::take(&mut self.model_files).into_iter().zip(digests) {
            self.draft.models[file.model].sha256 = digest.clone();
        }
    }

    /// Says what the script of its container and its job is. Line ends are made those of the shell.
    pub fn set_script(&mut self, text: &str) -> Result<(), NotAScript> {
        let text = script(text)?;
        for place in self.draft.scripts() {
            *place = Some(text.clone());
        }
        self.script = None;
        Ok(())
    }

    /// The service, and the values of its secrets. Its module must be a digest by now, and its script be read.
    pub fn resolve(&self) -> Result<(Service, BTreeMap<String, String>), Problems> {
        let problem = |field: &str, message: String, help: &str| {
            let mut problems = Problems::one("service", &format!("{}.{field}", self.draft.name), message);
            problems.items[0].help = Some(help.to_owned());
            problems
        };
        let upload =
            "upload the module with PUT /system/modules/{sha256} and name its digest, or use `wicket apply`";
        let digest = self.wasm.as_ref().map(|wasm| wasm.parse::<ModuleDigest>());
        let wasm = digest.transpose().map_err(|error| problem("wasm", error.to_string(), upload))?;
        if let Some(model) = self.model_files.first() {
            let message = format!("the model {} is a file", model.file);
            let upload =
                "upload it with PUT /system/models/{sha256} and name its `sha256`, or use `wicket apply`";
            return Err(problem("models", message, upload));
        }
        let mut service = Service { wasm, ..self.draft.clone() };
        if service.variants().is_empty() {
            let message = "there is nothing to run".to_owned();
            return Err(problem("wasm", message, "name a module with `wasm`, or an image with `image`"));
        }
        for text in service.scripts().flatten() {
            *text = script(text).map_err(|error| problem("script", error.to_string(), "it is a text"))?;
        }
        Ok((service, self.secrets.clone()))
    }

    /// The service as it goes over the wire, the values of its secrets included.
    pub fn to_wire(&self) -> serde_json::Value {
        let mut json = wire(&self.draft);
        json["wasm"] = self.wasm.clone().into();
        json["storage_providers"] = wire::providers(&self.draft, |provider| &provider.secret_key);
        json["environment"]["secrets"] = serde_json::json!(self.secrets);
        json
    }
}

/// A script that no shell can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a script has no NUL in it")]
pub struct NotAScript;

fn script(text: &str) -> Result<String, NotAScript> {
    if text.contains('\0') { Err(NotAScript) } else { Ok(text.replace("\r\n", "\n")) }
}

#[cfg(test)]
mod tests;
