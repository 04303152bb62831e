//! Sockets in the folders of machines, however long the names of these are: the system allows only short ones.

use std::{fs, io, os::fd::AsRawFd as _, path::Path};

use tokio::net::{UnixListener, UnixStream};

/// The socket of the guest's agent, in the folder of the machine.
pub(super) const AGENT: &str = "agent";

/// Connects to a socket in a folder, however long the folder's name is: the names of sockets are short.
pub(super) async fn connect_to(folder: &Path, name: &str) -> io::Result<UnixStream> {
    let path = folder.join(name);
    if path.as_os_str().len() < MAX_SOCKET_NAME {
        return UnixStream::connect(path).await;
    }
    let open = fs::File::open(folder)?;
    let number = open.as_raw_fd();
    UnixStream::connect(format!("/proc/self/fd/{number}/{name}")).await
}

/// Listens at a socket in a folder; one that was there before is gone.
pub(super) fn listen_at(folder: &Path, name: &str) -> io::Result<UnixListener> {
    let path = folder.join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if path.as_os_str().len() < MAX_SOCKET_NAME {
        return UnixListener::bind(path);
    }
    let open = fs::File::open(folder)?;
    let number = open.as_raw_fd();
    UnixListener::bind(format!("/proc/self/fd/{number}/{name}"))
}

/// How long the name of a socket may be, with its closing zero.
const MAX_SOCKET_NAME: usize = 108;
