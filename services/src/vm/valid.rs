//! What may be asked for at all, whatever the backend: names, sizes and limits. What is refused is named by its kind, and not repeated: it
//! may be a megabyte long.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use blixard_rpc::{Result, Status};

use super::messages::{HealthCheck, Probe, RecoveryPolicy, ResetPolicy, VmSpec};

/// The longest name of a machine or a health check.
pub const MAX_NAME_BYTES: usize = 63;
/// The most disks of a machine.
pub const MAX_DISKS: usize = 8;
/// The most forwarded ports of a machine.
pub const MAX_PORTS: usize = 32;
/// The longest command line of a kernel.
pub const MAX_COMMAND_LINE_BYTES: usize = 2048;
/// The most health checks of a machine.
pub const MAX_HEALTH_CHECKS: usize = 16;
/// The longest text in a health check.
pub const MAX_PROBE_BYTES: usize = 512;

/// A name of a machine, or of something that is named alike.
pub(super) fn name(what: &str, name: &str) -> Result<()> {
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    if bytes.len() <= MAX_NAME_BYTES
        && bytes.iter().all(inner)
        && ends.iter().all(|end| end.is_some_and(|byte| *byte != b'-'))
    {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "the name of a {what} is 1 to {MAX_NAME_BYTES} of a-z, 0-9 and -, and begins and ends with a letter or digit"
    )))
}

pub(super) fn spec(spec: &VmSpec) -> Result<()> {
    if spec.disks.len() > MAX_DISKS {
        return Err(Status::invalid_argument(format!(
            "a machine has at most {MAX_DISKS} disks, and not {}",
            spec.disks.len()
        )));
    }
    let ports: BTreeSet<u16> = spec.ports.iter().map(|port| port.node_port).collect();
    let zero = spec
        .ports
        .iter()
        .any(|port| port.node_port == 0 || port.guest_port == 0);
    if spec.ports.len() > MAX_PORTS || ports.len() < spec.ports.len() || zero {
        return Err(Status::invalid_argument(format!(
            "a machine has at most {MAX_PORTS} ports, none of them 0, and none of the node's twice"
        )));
    }
    if let Some(kernel) = &spec.kernel {
        let line = &kernel.command_line;
        if line.len() > MAX_COMMAND_LINE_BYTES || line.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Status::invalid_argument(format!(
                "a command line has at most {MAX_COMMAND_LINE_BYTES} bytes, and no control characters"
            )));
        }
    }
    match spec.on_reset {
        ResetPolicy::Other(number) => Err(Status::invalid_argument(format!(
            "this node knows no reset policy {number}: it may be older than you"
        ))),
        _ => Ok(()),
    }
}

pub(super) fn health_check(check: &HealthCheck) -> Result<()> {
    name("health check", &check.name)?;
    for time in [check.interval, check.timeout] {
        if !time.is_zero() && time < LEAST_TIME || time > MAX_TIME {
            return Err(Status::invalid_argument(format!(
                "an interval or time-out is {LEAST_TIME:?} to {MAX_TIME:?}, or zero for the usual"
            )));
        }
    }
    let texts = match &check.probe {
        Probe::Http { address, path } => {
            self::address(address)?;
            if !path.is_empty() && !path.starts_with('/')
                || !path.bytes().all(|byte| byte.is_ascii_graphic())
            {
                return Err(Status::invalid_argument(
                    "the path of a health check begins with /, and has no spaces",
                ));
            }
            [address, path]
        }
        Probe::Tcp { address } => {
            self::address(address)?;
            [address, address]
        }
        Probe::Console { send, pattern } => {
            if pattern.is_empty() {
                return Err(Status::invalid_argument(
                    "a health check of the console needs a pattern",
                ));
            }
            [send, pattern]
        }
        Probe::Process => return Ok(()),
        Probe::Guest { program, arguments } => {
            let words = || arguments.iter().chain([program]);
            if !program.starts_with('/')
                || arguments.len() > MAX_ARGUMENTS
                || words().any(|word| word.contains('\0'))
                || words().map(String::len).sum::<usize>() > MAX_PROBE_BYTES
            {
                return Err(Status::invalid_argument(format!(
                    "a command in a guest is the path of a program, from / on, and at most {MAX_ARGUMENTS} arguments, of {MAX_PROBE_BYTES} bytes together and without NUL"
                )));
            }
            return Ok(());
        }
        Probe::Unknown => {
            return Err(Status::invalid_argument(
                "a health check asks something that this node does not know: it may be older than you",
            ));
        }
    };
    if texts.iter().any(|text| text.len() > MAX_PROBE_BYTES) {
        return Err(Status::invalid_argument(format!(
            "a text in a health check has at most {MAX_PROBE_BYTES} bytes"
        )));
    }
    Ok(())
}

/// Names are refused: to look one up may take long, and what waits for that takes threads from all other work.
fn address(address: &str) -> Result<()> {
    match address.parse::<SocketAddr>() {
        Ok(address) if address.port() > 0 => Ok(()),
        _ => Err(Status::invalid_argument(
            "the address of a health check is an IP address and a port, such as 127.0.0.1:8080",
        )),
    }
}

pub(super) fn recovery(policy: &RecoveryPolicy) -> Result<()> {
    if policy.attempts == 0 {
        return Err(Status::invalid_argument(
            "a recovery of no attempts is none: leave the policy out",
        ));
    }
    for time in [policy.delay, policy.max_delay, policy.well_after] {
        if time > MAX_TIME {
            return Err(Status::invalid_argument(format!(
                "a time of a recovery is at most {MAX_TIME:?}"
            )));
        }
    }
    Ok(())
}

const MAX_ARGUMENTS: usize = 16;
const LEAST_TIME: Duration = Duration::from_millis(10);
const MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);
