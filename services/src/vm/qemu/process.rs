//! [`Process`]: a process of the system, held by a pidfd, so that no other that has got its number is ever taken for it.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use tokio::io::{Interest, unix::AsyncFd};

use super::super::messages::VmProcess;

/// A process that is watched. Dropping it leaves the process as it is.
#[derive(Debug)]
pub(super) struct Process {
    identity: VmProcess,
    pidfd: AsyncFd<OwnedFd>,
}

impl Process {
    /// Takes hold of the process that has this number now.
    pub(super) fn hold(pid: u32) -> io::Result<Self> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = number.ok_or(io::ErrorKind::InvalidInput)?;
        // The same process before and after the pidfd was opened is the one that it holds.
        let start = start_ticks(pid)?;
        let pidfd = rustix::process::pidfd_open(number, PidfdFlags::empty())?;
        if start_ticks(pid)? != start {
            return Err(io::ErrorKind::NotFound.into());
        }
        let identity = VmProcess {
            pid,
            start_ticks: start,
            boot_id: boot_id()?,
        };
        #[allow(
            deprecated,
            reason = "it is unsound for types that change or close their descriptor; an OwnedFd keeps it, and the other way is unsafe"
        )]
        let pidfd = AsyncFd::with_interest(pidfd, Interest::READABLE)?;
        Ok(Self { identity, pidfd })
    }

    /// Takes hold of this process and no other; else says what was found.
    pub(super) fn hold_recorded(recorded: &VmProcess) -> Result<Self, String> {
        let pid = recorded.pid;
        match boot_id() {
            Ok(boot_id) if boot_id == recorded.boot_id => {}
            _ => return Err("the node was booted since".to_owned()),
        }
        let process = match Self::hold(pid) {
            Ok(process) => process,
            Err(error) if is_gone(&error) => return Err(format!("process {pid} is gone")),
            Err(error) => return Err(format!("process {pid} cannot be held: {error}")),
        };
        if process.identity.start_ticks != recorded.start_ticks {
            return Err(format!(
                "process {pid} is another one now, started {} ticks after the boot, and not {}",
                process.identity.start_ticks, recorded.start_ticks
            ));
        }
        Ok(process)
    }

    pub(super) const fn identity(&self) -> &VmProcess {
        &self.identity
    }

    /// Waits for its end; says how it ended where that can be known, which is so for children only. Cancel safe.
    pub(super) async fn ended(&self) -> Option<String> {
        // An error is no end, but there is nothing else to wait for.
        let _ = self.pidfd.readable().await;
        let found = rustix::process::waitid(
            WaitId::PidFd(self.pidfd.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
        let status = found.ok().flatten()?;
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Some(format!("ended with code {code}")),
            (_, Some(signal)) => Some(format!("was killed by signal {signal}")),
            _ => None,
        }
    }

    /// Kills what it has started as well: only for a process that was made the first of its group, and that nobody has waited for.
    pub(super) fn kill_group(&self) {
        if let Some(pid) = i32::try_from(self.identity.pid)
            .ok()
            .and_then(Pid::from_raw)
        {
            // It fails if they have all ended, which is what is wanted.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
    }

    pub(super) fn kill(&self) {
        // It fails if the process has ended, which is what is wanted.
        let _ = rustix::process::pidfd_send_signal(self.pidfd.as_fd(), Signal::KILL);
    }
}

/// The processes whose arguments are, one after the other, these two; the calling process aside.
pub(super) fn with_arguments(first: &str, second: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let Ok(arguments) = fs::read(format!("/proc/{pid}/cmdline")) else {
            return false;
        };
        let arguments: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
        arguments
            .windows(2)
            .any(|pair| pair == [first.as_bytes(), second.as_bytes()])
    })
    .collect()
}

/// Whether this file is the standard input of a process.
pub(super) fn stdin_is(pid: u32, path: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/fd/0")).is_ok_and(|stdin| stdin == path)
}

/// Which boot of the node this is.
pub(super) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// When a process was started: field 22 of its `stat`, which is counted after the name, for that may have anything in it.
fn start_ticks(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(") ").map(|(_, rest)| rest);
    after_name
        .and_then(|rest| rest.split(' ').nth(19)?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not as it should be")))
}

fn is_gone(error: &io::Error) -> bool {
    // ESRCH is what the system says of a process, ENOENT of its folder.
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3)
}
