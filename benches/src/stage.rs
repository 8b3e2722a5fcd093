//! The stage that is the same program in both worlds: `tests/guests/stage`.

use std::path::{Path, PathBuf};
use std::process::Command;

use bollard::query_parameters::CreateImageOptionsBuilder;
use bytes::Bytes;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use wicket_tests::Engine;

/// What a stage does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The digest of any bytes.
    Sha256,
    /// A JSON document, read and written with other keys.
    Json,
    /// A photograph, decoded, made small and encoded.
    Image,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Json, Self::Image];

    /// The program's argument.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Json => "json",
            Self::Image => "image",
        }
    }
}

/// The program for this machine, linked statically.
#[derive(Clone, Debug)]
pub struct Stage {
    program: PathBuf,
}

impl Stage {
    /// Builds it by cargo, with the profile that guests are built with.
    ///
    /// # Panics
    ///
    /// When it cannot be built: what cargo said stands on stderr.
    pub fn build() -> Self {
        let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests");
        let about = Command::new("rustc").arg("-vV").output().expect("there is a rustc");
        let about = String::from_utf8_lossy(&about.stdout).into_owned();
        let target =
            about.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc tells its host");
        let status = Command::new("cargo")
            .current_dir(&guests)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
            .args(["build", "--release", "--locked", "--package", "stage", "--target", target])
            .status();
        assert!(status.is_ok_and(|status| status.success()), "`tests/guests/stage` cannot be built natively");
        Self { program: guests.join("../../target/wasm").join(target).join("release/stage") }
    }

    /// An input of about so many bytes, the same each time.
    ///
    /// # Panics
    ///
    /// When the program makes none.
    pub fn input(&self, kind: Kind, bytes: usize) -> Bytes {
        let made = Command::new(&self.program).args(["make", kind.name(), &bytes.to_string()]).output();
        let made = made.expect("it was built");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        made.stdout.into()
    }

    /// Gives an engine an image with nothing but the program, and tells its name.
    ///
    /// # Panics
    ///
    /// When the engine does not take it.
    pub async fn image(&self, engine: &Engine) -> String {
        let digest = hex::encode(Sha256::digest(std::fs::read(&self.program).expect("it was built")));
        let (name, tag) = ("wicketgate-stage", &digest[..12]);
        let image = format!("{name}:{tag}");
        if engine.docker.inspect_image(&image).await.is_ok() {
            return image;
        }
        let folder = self.program.parent().expect("it is in a folder");
        let tar = Command::new("tar").arg("-C").arg(folder).args(["-cf", "-", "stage"]).output();
        let tar = tar.expect("there is a `tar`").stdout;
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(name)
            .tag(tag)
            .changes(vec!["ENTRYPOINT [\"/stage\"]".to_owned()])
            .build();
        let mut steps = engine.docker.create_image(Some(options), Some(bollard::body_full(tar.into())), None);
        while let Some(step) = steps.next().await {
            step.expect("the image is taken");
        }
        image
    }
}
