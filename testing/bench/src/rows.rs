//! The kinds of load.

use clap::ValueEnum;
use std::fmt;

/// One row of the table: what is done, and by how many clients at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    #[value(name = "put-1")]
    Put1,
    #[value(name = "put-64")]
    Put64,
    #[value(name = "put-256")]
    Put256,
    #[value(name = "get-64")]
    Get64,
    #[value(name = "serializable-64")]
    Serializable64,
    #[value(name = "txn-64")]
    Txn64,
    #[value(name = "range-16")]
    Range16,
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Put,
    /// A linearizable get of one key.
    Get,
    /// The same, of what the member has, without asking the others.
    Serializable,
    /// As Kubernetes updates an object: put if the revision is the expected one, else get.
    Txn,
    /// A linearizable range of 100 keys.
    Range,
}

impl Row {
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    pub(crate) fn operation(self) -> Operation {
        match self {
            Self::Put1 | Self::Put64 | Self::Put256 => Operation::Put,
            Self::Get64 => Operation::Get,
            Self::Serializable64 => Operation::Serializable,
            Self::Txn64 => Operation::Txn,
            Self::Range16 => Operation::Range,
        }
    }

    pub(crate) fn clients(self) -> usize {
        match self {
            Self::Put1 => 1,
            Self::Range16 => 16,
            Self::Put64 | Self::Get64 | Self::Serializable64 | Self::Txn64 => 64,
            Self::Put256 => 256,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.operation() {
            Operation::Put => "put",
            Operation::Get => "get (linearizable)",
            Operation::Serializable => "get (serializable)",
            Operation::Txn => "txn (Kubernetes-style)",
            Operation::Range => "range of 100",
        };
        write!(
            f,
            "{what}, {} client{}",
            self.clients(),
            if self.clients() == 1 { "" } else { "s" }
        )
    }
}
