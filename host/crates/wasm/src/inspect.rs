//! What a module is, from its bytes alone: nothing is compiled, nothing runs.

use serde::Serialize;
use wasmparser::{Parser, Payload};

use crate::ModuleError;

/// Imports and exports kept of a module: more is no function anybody wrote.
const MOST_NAMES: usize = 1000;

/// How the host calls a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Exports `wasi:http/incoming-handler` (WASI 0.2) or `wasi:http/handler` (0.3): answers HTTP requests.
    Http,
    /// Exports `wasi:cli/run`: a program with streams, environment and folders.
    Command,
    /// A preview-1 core module that exports `_start`.
    Preview1,
    /// Exports `wicketgate:function/handler`: takes events.
    Event,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Http => "http handler",
            Self::Command => "command",
            Self::Preview1 => "preview-1 command",
            Self::Event => "event handler",
        })
    }
}

/// The newest WASI that a module speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Wasi {
    /// A core module.
    #[serde(rename = "preview 1")]
    Preview1,
    /// A component.
    #[serde(rename = "0.2")]
    V02,
    /// A component that uses the asynchronous interfaces.
    #[serde(rename = "0.3")]
    V03,
}

/// What there is to know of a module before it is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleInfo {
    /// How it is called.
    pub shape: Shape,
    /// What it is written for.
    pub wasi: Wasi,
    /// What it imports: interfaces of a component, `module.name` of a core module.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Sentences on what a service must grant for it to work, and on what it will not get.
    pub needs: Vec<String>,
    /// Its bytes.
    pub size: u64,
}

impl ModuleInfo {
    /// Whether it exports an interface of which this is the beginning.
    pub(crate) fn exports(&self, start: &str) -> bool {
        self.exports.iter().any(|name| name.starts_with(start))
    }
}

/// Tells a module's shape, imports, exports and needs.
pub fn inspect(wasm: &[u8]) -> Result<ModuleInfo, ModuleError> {
    let malformed = |error: wasmparser::BinaryReaderError| ModuleError::Malformed(error.message().to_owned());
    let component = match Parser::is_component(wasm) {
        true => true,
        false if Parser::is_core_wasm(wasm) => false,
        false => return Err(ModuleError::Malformed(start_of(wasm))),
    };
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    // Sections of modules and components inside of a component are not its own.
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(malformed)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ImportSection(section) if depth == 0 => {
                for import in section.into_imports() {
                    let import = import.map_err(malformed)?;
                    push(&mut imports, format!("{}.{}", import.module, import.name))?;
                }
            }
            Payload::ExportSection(section) if depth == 0 => {
                for export in section {
                    push(&mut exports, export.map_err(malformed)?.name.to_owned())?;
                }
            }
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    push(&mut imports, import.map_err(malformed)?.name.name.to_owned())?;
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    push(&mut exports, export.map_err(malformed)?.name.name.to_owned())?;
                }
            }
            _ => {}
        }
    }
    let shape = shape_of(component, &imports, &exports)?;
    let needs = needs(&imports);
    let wasi = match component {
        false => Wasi::Preview1,
        true if imports.iter().chain(&exports).any(|name| name.contains("@0.3.")) => Wasi::V03,
        true => Wasi::V02,
    };
    Ok(ModuleInfo { shape, wasi, imports, exports, needs, size: wasm.len() as u64 })
}

fn push(names: &mut Vec<String>, name: String) -> Result<(), ModuleError> {
    if names.len() >= MOST_NAMES {
        return Err(ModuleError::Malformed(format!("more than {MOST_NAMES} imports or exports")));
    }
    names.push(name);
    Ok(())
}

fn start_of(wasm: &[u8]) -> String {
    match wasm.get(..4) {
        Some(b"\0asm") => "a version of wasm that this host does not know".to_owned(),
        Some(magic) => format!("it begins with `{}`, not with `\\0asm`", magic.escape_ascii()),
        None => format!("it has {} bytes", wasm.len()),
    }
}

fn shape_of(component: bool, imports: &[String], exports: &[String]) -> Result<Shape, ModuleError> {
    let exported = |start: &str| exports.iter().any(|name| name.starts_with(start));
    if !component {
        if exports.iter().any(|name| name == "_start") {
            return Ok(Shape::Preview1);
        }
    } else if exported("wicketgate:function/handler@0.1.") {
        return Ok(Shape::Event);
    } else if let Some(name) = exports.iter().find(|name| name.contains("@0.3.0-")) {
        return Err(ModuleError::NoShape(format!(
            "it exports {name}, a snapshot from before WASI 0.3.0, which is what this host has; build it again"
        )));
    } else if exported("wasi:http/incoming-handler@0.2.") || exported("wasi:http/handler@0.3.") {
        return Ok(Shape::Http);
    } else if exported("wasi:cli/run@0.2.") || exported("wasi:cli/run@0.3.") {
        return Ok(Shape::Command);
    }
    let shown = |names: &[String]| match names {
        [] => "nothing".to_owned(),
        names => names.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", "),
    };
    Err(ModuleError::NoShape(format!("it exports {} and imports {}", shown(exports), shown(imports))))
}

fn needs(imports: &[String]) -> Vec<String> {
    let imported = |start: &str| imports.iter().any(|name| name.starts_with(start));
    let mut needs = Vec::new();
    if imported("wasi:http/outgoing-handler@") || imported("wasi:http/client@") {
        needs.push("outgoing HTTP: reaches only the hosts in `grants.http`".to_owned());
    }
    if imported("wicketgate:function/buckets@") {
        needs.push("buckets: reads only those in `grants.read_buckets`".to_owned());
    }
    if imported("wasi:sockets/") {
        needs.push("sockets: linked, and every use is refused on this host".to_owned());
    }
    if imported("wasi:filesystem/") || imported("wasi_snapshot_preview1.path_open") {
        needs.push("files: a command sees /input and /output, other shapes see none".to_owned());
    }
    needs
}
