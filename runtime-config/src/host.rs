//! The operator's file, `wicket.toml`: where the host listens and how much it takes. Every key has a default.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{nearest, place};
use crate::{BucketName, ByteSize, Problem, Problems, Span};

/// Largest file that is read.
const MAX_FILE: usize = 1 << 20;

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl Section for $name {
            fn keys() -> &'static [&'static str] {
                &[$(stringify!($field)),*]
            }
            fn set(&mut self, key: &str, value: &DeValue<'_>) -> Option<Result<(), String>> {
                match key {
                    $(stringify!($field) => Some(Field::read(value).map(|value| self.$field = value)),)*
                    _ => None,
                }
            }
        }
    };
}

section! {
    /// Keys at the top of the file.
    TopSection {
        /// Folder in which the host keeps everything; none: the user's data folder.
        data: Option<PathBuf> = None,
        /// HTTP triggers and the API.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        /// Buckets.
        s3_listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9000)),
        /// Listen elsewhere than on loopback.
        allow_remote: bool = false,
    }
}

section! {
    /// `[http]`: connections and requests.
    HttpSection {
        /// From the first byte of a request to the end of its headers; also how long an idle connection is kept.
        header_timeout: Span = Span::secs(30),
        /// How long a client may send (almost) nothing of a body that the API reads; a service has its `timeout`.
        body_timeout: Span = Span::secs(30),
        /// How long a client may read nothing of an answer.
        write_timeout: Span = Span::secs(30),
        /// Connections at once; more wait in the kernel.
        max_connections: usize = 4096,
        /// How long a call waits for one of its service's permits before 429.
        permit_timeout: Span = Span::secs(5),
    }
}

section! {
    /// `[queue]`: leases, and how long receipts are kept.
    QueueSection {
        /// A lease that is not extended for so long comes back.
        lease: Span = Span::secs(30),
        /// Receipts of ended invocations; also how long a duplicate event is recognised.
        keep_receipts: Span = Span::secs(7 * 86_400),
        /// Dead letters.
        keep_dead_letters: Span = Span::secs(30 * 86_400),
        /// Bytes of all receipts of ended invocations, about; the oldest go first, dead letters excepted.
        receipt_bytes: ByteSize = ByteSize::mib(1024),
        /// Bytes of all logs; the oldest go first.
        log_bytes: ByteSize = ByteSize::mib(512),
    }
}

section! {
    /// `[wasm]`: instances and compiles.
    WasmSection {
        /// Instances at once, over all services.
        max_instances: u32 = 1000,
        /// Most memory that a service may ask for.
        max_memory: ByteSize = ByteSize::mib(4096),
        /// How long a call waits for a free instance.
        queue_wait: Span = Span::secs(5),
        /// Compiled modules kept loaded while idle.
        loaded_modules: u32 = 256,
        /// Bytes of compiled modules kept loaded while idle.
        loaded_bytes: ByteSize = ByteSize::mib(512),
        /// Address space of a compile.
        compile_memory: ByteSize = ByteSize::mib(6144),
        /// CPU time of a compile.
        compile_time: Span = Span::secs(120),
        /// Largest module.
        max_module: ByteSize = ByteSize::mib(256),
    }
}

mod batch;
mod docker;
mod inference;

pub use batch::{BatchSection, Folder, Hidden};
pub use docker::{DockerSection, Registry};
pub use inference::InferenceSection;

section! {
    /// `[drain]`: how the host stops.
    DrainSection {
        /// How long running attempts may go on after SIGTERM.
        deadline: Span = Span::secs(30),
    }
}

/// The operator's file, read and checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostConfig {
    /// Keys at the top.
    pub top: TopSection,
    /// `[http]`.
    pub http: HttpSection,
    /// `[queue]`.
    pub queue: QueueSection,
    /// `[wasm]`.
    pub wasm: WasmSection,
    /// `[docker]`.
    pub docker: DockerSection,
    /// `[batch]`.
    pub batch: BatchSection,
    /// `[inference]`.
    pub inference: InferenceSection,
    /// `[drain]`.
    pub drain: DrainSection,
}

/// What the command line says; it goes before the file.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--s3-listen`.
    pub s3_listen: Option<SocketAddr>,
    /// `--allow-remote`.
    pub allow_remote: bool,
}

/// A section's keys, and how each is set.
trait Section {
    /// Its keys.
    fn keys() -> &'static [&'static str];
    /// Sets one; none where the key is not known.
    fn set(&mut self, key: &str, value: &DeValue<'_>) -> Option<Result<(), String>>;
}

/// A value that a key can have.
trait Field: Sized {
    /// Reads it, or says what it should be.
    fn read(value: &DeValue<'_>) -> Result<Self, String>;
}

fn text<'v>(value: &'v DeValue<'_>, what: &str) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("this is {what}, in quotes"))
}

impl Field for ByteSize {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        text(value, "a size like \"64MiB\"")?.parse().map_err(|error: crate::UnitError| error.to_string())
    }
}

impl Field for Span {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let span: Self = text(value, "a duration like \"30s\"")?
            .parse()
            .map_err(|error: crate::UnitError| error.to_string())?;
        if span.0.is_zero() { Err("this is longer than 0s".to_owned()) } else { Ok(span) }
    }
}

impl Field for SocketAddr {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let what = "an address and a port like \"127.0.0.1:8080\"";
        text(value, what)?.parse().map_err(|_| format!("this is {what}"))
    }
}

impl Field for PathBuf {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        text(value, "a path").map(Into::into)
    }
}

impl Field for String {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match text(value, "a text")? {
            "" => Err("this is not empty".to_owned()),
            text => Ok(text.to_owned()),
        }
    }
}

impl Field for BucketName {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        text(value, "a bucket")?.parse().map_err(|error: crate::NameError| error.to_string())
    }
}

impl<T: Field> Field for Option<T> {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        T::read(value).map(Some)
    }
}

impl<T: FromStr<Err: Display>> Field for Vec<T> {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let list = value.as_array().ok_or("this is a list, as in [\"a\", \"b\"]")?;
        let item = |value: &Spanned<DeValue<'_>>| {
            text(value.get_ref(), "a list of words")?.parse().map_err(|error: T::Err| error.to_string())
        };
        list.iter().map(item).collect()
    }
}

impl Field for bool {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| "this is true or false".to_owned())
    }
}

impl Field for u32 {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let number = value.as_integer().and_then(|number| number.to_string().parse().ok());
        number.filter(|number| *number > 0).ok_or_else(|| "this is a whole number from 1".to_owned())
    }
}

impl Field for usize {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        u32::read(value).map(|number| number as Self)
    }
}

/// What is being read, and what was found wrong with it.
struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, offset: usize, path: &str, message: String, help: Option<String>) {
        let (line, column) = place(self.text, offset);
        self.problems.push(Problem { line, column, path: path.to_owned(), message, help });
    }

    /// Reads the keys of one section; tables and unknown keys are left to `rest`.
    fn section<S: Section>(&mut self, path: &str, table: &DeTable<'_>, section: &mut S, tables: &[&str]) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            if tables.contains(&name) {
                continue;
            }
            match section.set(name, value.get_ref()) {
                Some(Ok(())) => {}
                Some(Err(message)) => self.problem(value.span().start, &path, message, None),
                None => {
                    let known = S::keys().iter().chain(tables).copied();
                    let help = nearest(name, known).map(|word| format!("did you mean `{word}`?"));
                    self.problem(key.span().start, &path, "unknown key".to_owned(), help);
                }
            }
        }
    }

    /// Settles where to listen: outside of loopback only when that was asked for.
    fn listener(
        &mut self,
        key: &str,
        top: &DeTable<'_>,
        address: &mut SocketAddr,
        given: Option<SocketAddr>,
        allow_remote: bool,
    ) {
        *address = given.unwrap_or(*address);
        if allow_remote || address.ip().is_loopback() {
            return;
        }
        let message = format!("{address} is reachable from outside this machine");
        let help = Some("set `allow_remote = true`, or give --allow-remote, if that is meant".to_owned());
        let value = top.iter().find(|(name, _)| name.get_ref().as_ref() == key).map(|(_, value)| value);
        match (given, value) {
            (None, Some(value)) => self.problem(value.span().start, key, message, help),
            (Some(_), _) | (None, None) => {
                let path = format!("--{}", key.replace('_', "-"));
                self.problems.push(Problem { line: 0, column: 0, path, message, help });
            }
        }
    }

    fn table<S: Section>(&mut self, name: &str, top: &DeTable<'_>, section: &mut S) {
        let Some((_, value)) = top.iter().find(|(key, _)| key.get_ref().as_ref() == name) else { return };
        match value.get_ref().as_table() {
            Some(table) => self.section(name, table, section, &[]),
            None => self.problem(value.span().start, name, format!("this is a section: [{name}]"), None),
        }
    }
}

impl HostConfig {
    /// Reads a file's text; `file` is its name for the messages. All problems are told at once, those with what goes
    /// before the file too.
    pub fn read(text: &str, file: &str, given: &Given) -> Result<Self, Problems> {
        let mut reader = Reader { text, problems: Vec::new() };
        let mut config = Self::default();
        if text.len() > MAX_FILE {
            reader.problem(0, "", format!("the file is larger than {MAX_FILE} bytes"), None);
        } else {
            let (top, errors) = DeTable::parse_recoverable(text);
            for error in errors {
                let offset = error.span().map_or(0, |span| span.start);
                reader.problem(offset, "", error.message().to_owned(), None);
            }
            let top = top.get_ref();
            reader.section(
                "",
                top,
                &mut config.top,
                &["http", "queue", "wasm", "docker", "batch", "inference", "drain"],
            );
            reader.table("http", top, &mut config.http);
            reader.table("queue", top, &mut config.queue);
            reader.table("wasm", top, &mut config.wasm);
            reader.table("docker", top, &mut config.docker);
            reader.table("batch", top, &mut config.batch);
            reader.table("inference", top, &mut config.inference);
            reader.table("drain", top, &mut config.drain);
            config.top.allow_remote |= given.allow_remote;
            reader.listener("listen", top, &mut config.top.listen, given.listen, config.top.allow_remote);
            reader.listener(
                "s3_listen",
                top,
                &mut config.top.s3_listen,
                given.s3_listen,
                config.top.allow_remote,
            );
        }
        if reader.problems.is_empty() {
            return Ok(config);
        }
        reader.problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(Problems { file: file.to_owned(), items: reader.problems })
    }

    /// Reads a file, or takes the defaults where there is none.
    pub fn load(path: Option<&std::path::Path>, given: &Given) -> Result<Self, Problems> {
        let Some(path) = path else { return Self::read("", "the command line", given) };
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| Problems::unreadable(&file, &error))?;
        Self::read(&text, &file, given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HostConfig, Problems> {
        HostConfig::read(text, "wicket.toml", &Given::default())
    }

    #[track_caller]
    fn refusal(text: &str) -> String {
        read(text).expect_err("a refusal").to_string()
    }

    #[test]
    fn an_empty_file_is_the_default_and_keys_change_it() {
        assert_eq!(read("").unwrap(), HostConfig::default());
        let text = "listen = \"127.0.0.1:0\"\n[queue]\nlease = \"5s\"\n[wasm]\nmax_instances = 7\n";
        let config = read(text).unwrap();
        assert_eq!(
            (config.top.listen.port(), config.queue.lease, config.wasm.max_instances),
            (0, Span::secs(5), 7)
        );
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_place() {
        let text =
            "lisen = \"x\"\n[http]\nwrite_timeout = 5\nheader_timeout = \"0s\"\n[wasm]\nmax_instances = -1\n";
        assert_eq!(
            refusal(text),
            "wicket.toml:1:1: lisen: unknown key (did you mean `listen`?)\n\
             wicket.toml:3:17: http.write_timeout: this is a duration like \"30s\", in quotes\n\
             wicket.toml:4:18: http.header_timeout: this is longer than 0s\n\
             wicket.toml:6:17: wasm.max_instances: this is a whole number from 1"
        );
        assert!(refusal("a = [").starts_with("wicket.toml:1:"));
    }

    #[test]
    fn the_host_stays_on_loopback_until_told_otherwise() {
        let outside = "listen = \"0.0.0.0:80\"\n[http]\nheader_timeout = 1\n";
        assert_eq!(
            refusal(outside),
            "wicket.toml:1:10: listen: 0.0.0.0:80 is reachable from outside this machine (set `allow_remote = true`, \
             or give --allow-remote, if that is meant)\n\
             wicket.toml:3:18: http.header_timeout: this is a duration like \"30s\", in quotes"
        );
        let outside = "listen = \"0.0.0.0:80\"";
        read(&format!("{outside}\nallow_remote = true")).unwrap();
        let given = |given| HostConfig::read(outside, "wicket.toml", &given);
        given(Given { allow_remote: true, ..Given::default() }).unwrap();
        given(Given { listen: "[::1]:0".parse().ok(), ..Given::default() }).unwrap();
        let refused = given(Given { s3_listen: "10.0.0.1:0".parse().ok(), ..Given::default() }).unwrap_err();
        let paths: Vec<_> = refused.items.iter().map(|item| item.path.as_str()).collect();
        assert_eq!(paths, ["--s3-listen", "listen"]);
    }
}

#[cfg(test)]
mod documented;
