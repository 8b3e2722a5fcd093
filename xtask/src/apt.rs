//! Packages of Debian, from the mirror that this machine's apt knows, through an apt with a folder of its own: its
//! indexes are signed and its packages checked by digest, and nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::run;

const KEYS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];

/// Where Debian has newer compilers, the most settled first.
pub(crate) const SUITES: [&str; 3] = ["trixie-backports", "forky", "sid"];

/// A suite of Debian's, its indexes fetched.
#[derive(Debug)]
pub(crate) struct Suite {
    dir: PathBuf,
}

fn keys() -> Option<&'static str> {
    KEYS.into_iter().find(|keys| Path::new(keys).is_file())
}

/// Whether this machine has apt, dpkg and Debian's keys.
pub(crate) fn is_here() -> bool {
    keys().is_some() && ["apt-get", "apt-cache", "dpkg", "tar"].into_iter().all(run::has)
}

/// Downloads a package of this machine's own distribution into a folder, checked by digest: by the indexes that apt
/// has, else by fresh ones in a folder of our own.
pub(crate) fn fetch(package: &str, into: &Path) -> anyhow::Result<PathBuf> {
    if !["apt-get", "dpkg", "tar"].into_iter().all(run::has) {
        bail!("this is no machine with apt");
    }
    fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    let work = tempfile::tempdir_in(into).context("cannot make a folder in the cache")?;
    let debs = work.path().join("debs");
    fs::create_dir_all(work.path().join("archives/partial"))?;
    fs::create_dir_all(&debs)?;
    let mut known = Command::new("apt-get");
    known
        .args(["-q", "-o", "APT::Sandbox::User=root", "-o"])
        .arg(format!("Dir::Cache={}", work.path().display()));
    known.args(["download", package]).current_dir(&debs).env("LC_ALL", "C");
    // Its indexes may be missing or older than the mirror; then we look for ourselves.
    if let Err(stale) = run::quietly(&mut known) {
        if !is_here() {
            return Err(stale);
        }
        let suite = Suite::open(&codename(), &work.path().join("apt"))?;
        suite.download(&[package.to_owned()], &debs)?;
    }
    let deb = fs::read_dir(&debs)?.next().with_context(|| format!("apt left no file of {package}"))??.path();
    let target = into.join(deb.file_name().unwrap_or_default());
    fs::rename(&deb, &target).with_context(|| format!("cannot move {}", deb.display()))?;
    Ok(target)
}

/// The suite of Debian that this machine is.
fn codename() -> String {
    let about = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = about.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.map(|name| name.trim_matches('"')).filter(|name| !name.is_empty()).unwrap_or("sid").to_owned()
}

/// The mirror that apt uses.
fn mirror() -> anyhow::Result<String> {
    let known = run::answer(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]))?;
    let mirror = known.lines().map(|uri| uri.trim_end_matches('/')).find(|uri| uri.ends_with("/debian"));
    mirror
        .map(str::to_owned)
        .context("apt knows no mirror of Debian (a line of its sources that ends with /debian)")
}

impl Suite {
    /// Fetches the indexes of a suite into a folder.
    pub(crate) fn open(name: &str, folder: &Path) -> anyhow::Result<Self> {
        let dir = folder.join(name);
        for part in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(part)).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let keys = keys().context("Debian's keys are not here (package debian-archive-keyring)")?;
        let arch = run::answer(Command::new("dpkg").arg("--print-architecture"))?;
        fs::write(dir.join("status"), "")?;
        let source = format!("deb [signed-by={keys} arch={arch}] {} {name} main\n", mirror()?);
        fs::write(dir.join("sources.list"), source)?;
        let suite = Self { dir };
        run::quietly(suite.apt("apt-get").arg("update"))?;
        Ok(suite)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let at = |part: &str| self.dir.join(part).display().to_string();
        let options = [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=-".to_owned(),
            "Dir::Etc::preferences=/dev/null".to_owned(),
            "Dir::Etc::preferencesparts=-".to_owned(),
            format!("Dir::State={}", at("state")),
            format!("Dir::State::status={}", at("status")),
            format!("Dir::Cache={}", at("cache")),
            "Acquire::Languages=none".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
        ];
        command.arg("-q").args(options.iter().flat_map(|option| ["-o", option]));
        command.env("LC_ALL", "C");
        command
    }

    /// The versions of a package, the newest first.
    pub(crate) fn versions(&self, package: &str) -> anyhow::Result<Vec<String>> {
        let listed = run::answer(self.apt("apt-cache").args(["madison", package]))?;
        Ok(listed.lines().filter_map(|line| line.split('|').nth(1)).map(|v| v.trim().to_owned()).collect())
    }

    /// All that a package needs, itself included, by name: what apt would install on an empty machine.
    pub(crate) fn with_dependencies(&self, packages: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut command = self.apt("apt-get");
        command.args(["install", "--no-install-recommends", "--simulate"]).args(packages);
        let plan = run::answer(&mut command)?;
        let names = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
        Ok(names.map(str::to_owned).collect())
    }

    /// Downloads packages (`name` or `name=version`) into a folder, checked by digest.
    pub(crate) fn download(&self, packages: &[String], into: &Path) -> anyhow::Result<Vec<PathBuf>> {
        fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
        run::quietly(self.apt("apt-get").arg("download").args(packages).current_dir(into))?;
        let mut files = Vec::new();
        for entry in into.read_dir()? {
            files.push(entry?.path());
        }
        Ok(files)
    }
}

/// Unpacks a package into a folder: all of it, or what fits a pattern of `tar`.
pub(crate) fn unpack(package: &Path, pattern: Option<&str>, into: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    let mut dpkg = Command::new("dpkg");
    let mut dpkg = dpkg
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start dpkg")?;
    let tarball = dpkg.stdout.take().context("dpkg has no output")?;
    let mut tar = Command::new("tar");
    tar.arg("-x").arg("-C").arg(into).args(["--no-same-owner", "--wildcards"]).args(pattern).stdin(tarball);
    let unpacked = run::run(&mut tar);
    let ended = dpkg.wait()?;
    unpacked?;
    match ended.success() {
        true => Ok(()),
        false => bail!("cannot unpack {}", package.display()),
    }
}
