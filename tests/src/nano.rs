//! The tiny guest of `services/guest`, as a machine.

use blixard_services::vm::{KernelBoot, VmSpec};

/// A machine with the tiny guest, which lies among the images as `nano.elf`.
#[must_use]
pub fn nano() -> VmSpec {
    VmSpec {
        cpus: 1,
        memory_bytes: 32 << 20,
        kernel: Some(KernelBoot {
            kernel: "nano.elf".into(),
            ..KernelBoot::default()
        }),
        ..VmSpec::default()
    }
}
