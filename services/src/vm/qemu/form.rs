//! [`Form`]: what of QEMU must be alike on two nodes for a guest to go from one to the other.

use blixard_rpc::{Result, Status};

use super::Accelerator;

/// The kind of machine, by its version, and what runs the instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Such as `pc-q35-7.2`: what `q35` means differs from one version of QEMU to the next.
    pub(super) machine: String,
    pub(super) kvm: bool,
}

impl Form {
    pub(super) fn write(&self) -> String {
        format!("{} {}", self.machine, if self.kvm { "kvm" } else { "tcg" })
    }

    /// Reads what another node says; it answers the kind of machine, if a guest in it can run here.
    pub(super) fn read(form: &str, here: Accelerator) -> Result<&str> {
        let (machine, accelerator) = form.split_once(' ').unwrap_or((form, ""));
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_+".contains(byte);
        if machine.is_empty()
            || machine.len() > MAX_MACHINE_BYTES
            || !machine.as_bytes().iter().all(known)
        {
            return Err(Status::invalid_argument(
                "the guest says that it runs in no machine that QEMU could have",
            ));
        }
        let ours = match here {
            Accelerator::Kvm => "kvm",
            Accelerator::Auto | Accelerator::Tcg => "tcg",
        };
        if accelerator != ours {
            return Err(Status::failed_precondition(format!(
                "its guest runs by {accelerator:?}, and guests there by {ours}: migrate it cold, or to a node like its own"
            )));
        }
        Ok(machine)
    }
}

const MAX_MACHINE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_a_machine_and_an_accelerator_and_nothing_else() {
        let form = Form {
            machine: "pc-q35-7.2".into(),
            kvm: false,
        };
        let written = form.write();
        assert_eq!(
            Form::read(&written, Accelerator::Tcg).unwrap(),
            "pc-q35-7.2"
        );
        assert!(Form::read(&written, Accelerator::Kvm).is_err());
        for bad in [
            "",
            " tcg",
            "q35,dump=on tcg",
            "q35=x tcg",
            "q35",
            "q35 tcg x",
        ] {
            assert!(Form::read(bad, Accelerator::Tcg).is_err(), "{bad}");
        }
        let long = "q".repeat(65);
        assert!(Form::read(&format!("{long} tcg"), Accelerator::Tcg).is_err());
    }
}
