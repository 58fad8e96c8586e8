//! One server process: starting, stopping and hurting it.

use crate::client::Client;
use crate::limits::{EXIT_TIMEOUT, POLL, READY_TIMEOUT};
use crate::place::Place;
use crate::program::Program;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// One member: its flags, its directory, and its process while it runs.
pub struct Member {
    /// Its name, m1, m2, …
    pub name: String,
    /// Where it runs.
    pub place: Place,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// What it printed.
    pub log: PathBuf,
    pub(crate) program: Program,
    pub(crate) flags: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) child: Option<Child>,
}

impl Member {
    /// `host:port` for clients.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}:2379", self.place.address)
    }

    /// `host:port` for peers and the admin API.
    #[must_use]
    pub fn peer_endpoint(&self) -> String {
        format!("{}:2380", self.place.address)
    }

    /// The URL that its peers know.
    #[must_use]
    pub fn peer_url(&self) -> String {
        format!("http://{}", self.peer_endpoint())
    }

    /// A client of this member.
    #[must_use]
    pub fn client(&self) -> Client {
        self.place.client(&self.endpoint())
    }

    /// Whether its process was started and not yet seen to end.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Starts its process.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn start(&mut self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = self
            .place
            .command(self.program.path())
            .args(&self.flags)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Replaces a flag, for the next start.
    pub fn set_flag(&mut self, name: &str, value: &str) {
        let prefix = format!("--{name}=");
        self.flags.retain(|f| !f.starts_with(&prefix));
        self.flags.push(format!("{prefix}{value}"));
    }

    /// Removes a flag, for the next start.
    pub fn drop_flag(&mut self, name: &str) {
        let (bare, prefix) = (format!("--{name}"), format!("--{name}="));
        self.flags.retain(|f| *f != bare && !f.starts_with(&prefix));
    }

    /// Sets an environment variable, for the next start.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.drop_variable(name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Removes an environment variable, for the next start.
    pub fn drop_variable(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let id = i32::try_from(child.id()).unwrap_or(0);
            if id > 0 {
                let _ = kill(Pid::from_raw(id), signal);
            }
        }
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM; how it ended and how long that took.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn terminate(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        self.signal(Signal::SIGTERM);
        let status = self.exited(EXIT_TIMEOUT).await;
        (status, started.elapsed())
    }

    /// Stops its threads where they are.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a paused one go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits until its process has ended by itself.
    ///
    /// # Panics
    /// If it has not within `limit`, or does not run.
    pub async fn exited(&mut self, limit: Duration) -> ExitStatus {
        let until = Instant::now() + limit;
        loop {
            let child = self.child.as_mut();
            let ended = child.and_then(|c| c.try_wait().ok().flatten());
            if let Some(status) = ended {
                self.child = None;
                return status;
            }
            assert!(
                Instant::now() < until,
                "{} still runs; it printed:\n{}",
                self.name,
                self.printed()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until it has printed these words.
    ///
    /// # Panics
    /// If it has not in time.
    pub async fn prints(&self, words: &str) {
        let until = Instant::now() + READY_TIMEOUT;
        while !self.printed().contains(words) {
            assert!(
                Instant::now() < until,
                "{} did not print {words:?}, but:\n{}",
                self.name,
                self.printed()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Everything it printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}
