//! [`Break`]: one change, and whom it breaks.

use std::fmt;

/// A change that breaks somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// Whom it breaks, at the least.
    pub whom: Whom,
    /// What was changed, by its full name: `demo.v1.Greeting.text (field 1)`.
    pub place: String,
    /// How it was changed.
    pub change: String,
    /// What comes of it.
    pub effect: String,
    /// The methods whose calls carry what was changed, if it is in a message: `demo.v1.Greeter.Greet`.
    pub methods: Vec<String>,
    /// What to do instead, if that can be said.
    pub instead: Option<String>,
}

/// Whom a change breaks. Who is broken by one is broken by those before it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whom {
    /// Clients, servers and stored messages as they are: their bytes are not understood any more, or mean something else.
    Running,
    /// Those who name fields and values in text: JSON gateways, `grpcurl`, `buf curl`, configuration files.
    Text,
    /// Nobody who runs: code that was written against what is generated from the old file, once it is generated anew.
    Rebuilt,
}

impl Whom {
    /// All of them, the worst first.
    pub const ALL: [Self; 3] = [Self::Running, Self::Text, Self::Rebuilt];
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "clients and servers that run now",
            Self::Text => "whoever uses JSON or another text form",
            Self::Rebuilt => "code of others, when it is generated anew",
        })
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    {}", self.place, self.change, self.effect)?;
        if !self.methods.is_empty() {
            write!(f, "\n    In calls of {}", self.methods.join(", "))?;
        }
        match &self.instead {
            Some(instead) => write!(f, "\n    Instead: {instead}"),
            None => Ok(()),
        }
    }
}
