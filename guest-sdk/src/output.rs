//! Bytes to write.

use std::fmt;
use std::io::{self, Write};

/// An output being written. It becomes visible under its final key when the attempt succeeds; dropped before
/// [`finish`](Self::finish), it never existed.
pub struct Output {
    name: String,
    #[cfg(target_family = "wasm")]
    host: crate::wasm::bindings::wicketgate::function::outputs::Output,
    #[cfg(not(target_family = "wasm"))]
    made: crate::testing::Made,
}

impl Output {
    /// Begins an output. The name is relative, with `/`; the service's outputs say where it goes.
    pub fn create(name: &str, content_type: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            #[cfg(target_family = "wasm")]
            host: crate::wasm::bindings::wicketgate::function::outputs::Output::new(name, content_type),
            #[cfg(not(target_family = "wasm"))]
            made: crate::testing::Made {
                name: name.to_owned(),
                content_type: content_type.map(str::to_owned),
                bytes: Vec::new(),
            },
        }
    }

    /// Ends it: only then will it be.
    pub fn finish(self) -> io::Result<()> {
        #[cfg(target_family = "wasm")]
        return self.host.finish().map_err(io::Error::other);
        #[cfg(not(target_family = "wasm"))]
        {
            crate::testing::finished(self.made);
            Ok(())
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(target_family = "wasm")]
        self.host.write(bytes).map_err(io::Error::other)?;
        #[cfg(not(target_family = "wasm"))]
        self.made.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("name", &self.name).finish_non_exhaustive()
    }
}
