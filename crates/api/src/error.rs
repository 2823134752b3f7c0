use std::path::PathBuf;

/// Why the control socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// Others may enter the home directory.
    #[error("{path} can be entered by other users (mode {mode:o}); run `chmod 700 {path}` and start again", path = .path.display())]
    OpenHome {
        /// The home directory.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// A Unix socket's path has a short limit in the kernel.
    #[error("the path {path} is too long for a Unix socket (at most {limit} bytes); choose a shorter --home", path = .path.display())]
    LongPath {
        /// The socket's path.
        path: PathBuf,
        /// The kernel's limit.
        limit: usize,
    },
    /// A port of the loopback cannot be bound.
    #[error("port {port} on 127.0.0.1 is taken; end the program that has it, or choose another with --site-port")]
    Port {
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// Any error of the file system.
    #[error("cannot open the control socket {path}; check that the directory is writable", path = .path.display())]
    Socket {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
