//! The compiled JavaScript engine, shared by all instances.

use std::path::Path;

use crate::error::HostFault;

/// The JavaScript engine, compiled for this machine. Cheap to clone; one for the whole program is enough.
#[derive(Clone, Debug)]
pub struct Engine {}

impl Engine {
    /// Compiles the embedded engine, or takes the compiled one from `cache_dir`.
    ///
    /// # Errors
    /// The directory cannot be used, or the engine does not fit this build.
    pub fn new(cache_dir: Option<&Path>) -> Result<Self, HostFault> {
        let _ = cache_dir;
        Err(HostFault::Engine("not built yet".to_owned()))
    }
}
