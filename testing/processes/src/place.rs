//! Where a member runs and how it is reached: on a loopback address, or in a network
//! namespace of its own.

use crate::client::Client;
use std::path::Path;
use std::process::Command;
use tokio::runtime::Handle;

/// A member's place.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its address.
    pub address: String,
    /// Its namespace; `None`: the one that the tests run in.
    pub namespace: Option<String>,
    /// Whose threads see its network; `None`: the caller's do.
    pub observer: Option<Handle>,
}

impl Place {
    /// A loopback address of this machine.
    #[must_use]
    pub fn loopback(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            namespace: None,
            observer: None,
        }
    }

    /// A command that runs there. The process is the program itself, so that signals
    /// reach it.
    pub(crate) fn command(&self, program: &Path) -> Command {
        match &self.namespace {
            None => Command::new(program),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program);
                command
            }
        }
    }

    /// A client whose connections are made where the place is seen.
    pub(crate) fn client(&self, endpoint: &str) -> Client {
        let _inside = self.observer.as_ref().map(Handle::enter);
        Client::new(endpoint)
    }
}
