//! [`Role`]: what somebody may do.

use std::fmt;

/// What somebody may do on a node. Each of viewer, operator and admin may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Looks, and changes nothing.
    Viewer,
    /// Runs what is there: starts and stops machines, uses their consoles, sets their health checks.
    Operator,
    /// Decides what is there, and may call what nobody has said anything of.
    Admin,
    /// Another node: calls what nodes say to each other, and looks. No admin may speak for a node, and no node is an operator.
    Node,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Admin, Self::Node];

    /// Whether who has this role may call what needs that one.
    #[must_use]
    pub const fn covers(self, needed: Self) -> bool {
        match needed {
            Self::Viewer => true,
            Self::Operator => matches!(self, Self::Operator | Self::Admin),
            Self::Admin => matches!(self, Self::Admin),
            Self::Node => matches!(self, Self::Node),
        }
    }

    /// As it is written in a file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Node => "node",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
