//! What the host and a worker say to each other: small messages over a pair of sockets, each whole and bounded. Tensors
//! are never in them, only where they lie; files come beside them.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Backend, Dtype, Port, Target};

/// Bytes of a message. A run of the most inputs and rows that are ever put together is well below.
pub(crate) const MAX_MESSAGE: usize = 128 << 10;

/// The host to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// The first message: what the worker is.
    Hello(Hello),
    /// An input piece that later messages name; its file comes beside.
    Piece { piece: u64, len: u64 },
    /// The input piece is gone.
    Forget { piece: u64 },
    /// Nobody reads this output piece any more.
    Free { piece: u64, keep: bool },
    /// Load a model; its file comes beside.
    Load { model: u32, backend: Backend, name: String, independent: bool },
    /// Drop a model once its runs ended.
    Unload { model: u32 },
    /// Run a model. For each call its inputs, in the model's order. With more than one call, or `rows`, the first
    /// dimensions are put together. Before it, these output pieces are free, as by [`Self::Free`] with `keep`.
    Run { run: u64, model: u32, calls: Vec<Vec<Place>>, freed: Vec<u64> },
    /// End this run soon.
    Cancel { run: u64 },
}

/// What a worker is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) device: Target,
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Private bytes that the process may have.
    pub(crate) memory: u64,
    /// Bytes that a model's arena on a GPU may have.
    pub(crate) gpu_memory: u64,
    pub(crate) max_model: u64,
    /// Bytes of one call's outputs.
    pub(crate) max_output: u64,
    /// Bytes of all outputs that are being read.
    pub(crate) outputs: u64,
    pub(crate) threads: usize,
    pub(crate) runs: usize,
}

/// A tensor in a piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) piece: u64,
    pub(crate) start: u64,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<u64>,
}

/// A worker to the host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToHost {
    /// Up. The version of ONNX Runtime, or why there is none; whether the device can be used; and whether the worker can do
    /// nothing but compute.
    Ready { onnxruntime: Result<String, String>, device: Result<(), String>, confined: Result<(), String> },
    /// A model is loaded.
    Loaded { model: u32, loaded: Loaded },
    /// A model is not.
    NotLoaded { model: u32, fault: Fault },
    /// A run ended well: where the outputs of all calls together lie. A new piece's file comes beside.
    Ran { run: u64, micros: u64, piece: u64, new: Option<u64>, outputs: Vec<Place> },
    /// A run ended otherwise.
    NotRan { run: u64, fault: Fault },
}

/// What a worker knows of a model it loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    pub(crate) backend: Backend,
    pub(crate) memory: u64,
    pub(crate) batchable: bool,
}

/// What went wrong in a worker that goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// The model's file cannot be used.
    Model(String),
    /// The backend is not there.
    Library(String),
    /// The runtime refused.
    Runtime(String),
    /// It was told to end.
    Cancelled,
    /// The outputs did not have a row for each row that was put in: these calls cannot be put together.
    Rows,
    /// Outputs of more bytes than allowed.
    TooLarge { size: u64, limit: u64 },
    /// Too many outputs are still being read.
    Busy { limit: u64 },
}

/// Sends one message and at most one file.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    message: &impl Serialize,
    file: Option<BorrowedFd<'_>>,
    flags: SendFlags,
) -> io::Result<()> {
    let bytes = postcard::to_allocvec(message).map_err(io::Error::other)?;
    if bytes.len() > MAX_MESSAGE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a message of {} bytes", bytes.len()),
        ));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let files = file.as_slice();
    loop {
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(files));
        }
        match rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, flags | SendFlags::NOSIGNAL)
        {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            // Messages are sent whole.
            Ok(_) => return Ok(()),
        }
    }
}

/// Receives one message; none at the end.
///
/// # Errors
///
/// Those of the socket, and `InvalidData` for what is no message.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: impl AsFd,
    bytes: &mut [u8],
    flags: RecvFlags,
) -> io::Result<Option<(T, Option<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let (len, file) = loop {
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(bytes)];
        let got = match rustix::net::recvmsg(&socket, slices, &mut control, flags | RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => continue,
            got => got?,
        };
        let file = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is too long"));
        }
        break (got.bytes, file);
    };
    if len == 0 {
        return Ok(None);
    }
    let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let message = postcard::from_bytes(&bytes[..len]).map_err(wrong)?;
    Ok(Some((message, file)))
}
