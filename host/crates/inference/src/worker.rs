//! The inside of a worker: one process that serves one device, until the host is gone.

mod backend;
mod builtin;
mod confine;
mod lanes;
mod load;
mod onnx;
mod onnxruntime;
mod outputs;
mod run;

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Target;
use crate::memory::View;
use crate::wire::{Hello, MAX_MESSAGE, ToHost, ToWorker, receive, send};
use backend::{Session, Stop};
use outputs::OutputPool;

/// When memory is short the kernel ends a worker rather than the host.
const OOM_SCORE: &str = "500";

/// What the hidden command `wicket inference-worker` does: serves one device until the host is gone. Its standard input is
/// the socket to the host.
pub fn worker_main() -> ExitCode {
    match serve() {
        Ok(never) => match never {},
        Err(error) => {
            // The host reads the last words of a worker that ended.
            let _ = writeln!(io::stderr(), "inference worker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What all threads of a worker share.
struct Worker {
    socket: OwnedFd,
    hello: Hello,
    onnxruntime: Result<onnxruntime::Runtime, String>,
    builtin: builtin::Runtime,
    outputs: OutputPool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Input pieces.
    pieces: HashMap<u64, Arc<View>>,
    models: HashMap<u32, Arc<dyn Session>>,
    /// Runs under way.
    runs: HashMap<u64, Arc<Stop>>,
}

fn serve() -> io::Result<std::convert::Infallible> {
    let socket = take_socket()?;
    let mut bytes = vec![0; MAX_MESSAGE];
    let Some((ToWorker::Hello(hello), _)) = receive(&socket, &mut bytes, RecvFlags::empty())? else {
        return Err(io::Error::other("the host did not say what to serve"));
    };
    bound(&hello)?;
    let found = hello.onnxruntime.as_deref().ok_or_else(|| "no library was named".to_owned());
    let found = found.and_then(onnxruntime::Library::find);
    // Before there are other threads, which would not be. A driver of a GPU needs files and sockets that nobody has listed.
    let confined = match hello.device {
        Target::Cpu => confine::confine(),
        Target::Gpu(_) => Err("workers of GPUs are not".to_owned()),
    };
    let onnxruntime = found.and_then(|library| library.start(&hello));
    let device = match (hello.device, &onnxruntime) {
        (Target::Cpu, _) => Ok(()),
        (Target::Gpu(_), Ok(runtime)) => runtime.try_device(),
        (Target::Gpu(_), Err(why)) => Err(format!("a GPU needs ONNX Runtime: {why}")),
    };
    let version = onnxruntime.as_ref().map(|runtime| runtime.version().to_owned()).map_err(Clone::clone);
    let worker = Worker {
        socket,
        onnxruntime,
        builtin: builtin::Runtime::new(hello.threads),
        outputs: OutputPool::new(hello.outputs),
        state: Mutex::default(),
        hello,
    };
    worker.tell(&ToHost::Ready { onnxruntime: version, device, confined })?;
    lanes::run(Arc::new(worker))
}

impl Worker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, message: &ToHost) -> io::Result<()> {
        send(self.socket.as_fd(), message, None, SendFlags::empty())
    }
}

/// The socket is descriptor 0. It is moved away, so that code which reads standard input finds nothing.
fn take_socket() -> io::Result<OwnedFd> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(socket)
}

/// Bounds this process before it touches anything that came from outside.
fn bound(hello: &Hello) -> io::Result<()> {
    // Private memory only: address space says little where a runtime reserves it by the terabyte.
    for (resource, bound) in [(Resource::Data, Some(hello.memory)), (Resource::Core, Some(0))] {
        // Whoever started the host may have set a lower one, and nobody may raise it again.
        let most = getrlimit(resource).maximum;
        let bound = [bound, most].into_iter().flatten().min();
        setrlimit(resource, Rlimit { current: bound, maximum: bound })?;
    }
    // A worker without it still works.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    Ok(())
}
