//! Where the tests run.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use kvorum_testbed::Testbed;

use crate::limits::POLL;

/// A Kubernetes, and the machine's hand on it if it is a testbed of ours.
#[derive(Clone)]
pub struct World {
    /// To its API server.
    pub client: Client,
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// Ours.
    pub testbed: Option<Testbed>,
}

impl World {
    /// The world that the environment names; none, and a word about it, if it names none.
    ///
    /// # Panics
    /// When it names one that is not there: a test that was asked for must not pass by not running.
    pub async fn attach() -> Option<Self> {
        let Some(kubeconfig) = std::env::var_os("KUBECONFIG").map(PathBuf::from) else {
            eprintln!("SKIPPED: KUBECONFIG is not set; run `cargo xtask test --layer zones`");
            return None;
        };
        match Self::at(kubeconfig).await {
            Ok(world) => Some(world),
            #[expect(clippy::panic, reason = "this crate holds nothing but tests")]
            Err(error) => panic!("the Kubernetes of KUBECONFIG cannot be used: {error:#}"),
        }
    }

    /// The same, if it is a testbed.
    pub async fn attach_testbed() -> Option<(Self, Testbed)> {
        let world = Self::attach().await?;
        let testbed = world.testbed.clone();
        if testbed.is_none() {
            eprintln!("SKIPPED: KVORUM_TESTBED is not set; this test needs a testbed of ours");
        }
        testbed.map(|testbed| (world, testbed))
    }

    /// A client that acts as somebody else, whose rights are not what is tested: they may do everything.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read any more.
    pub async fn client_as(&self, user: &str) -> Result<Client> {
        let file = Kubeconfig::read_from(&self.kubeconfig)?;
        let mut config =
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(vec!["system:masters".to_owned()]);
        Ok(Client::try_from(config)?)
    }

    async fn at(kubeconfig: PathBuf) -> Result<Self> {
        let testbed = match std::env::var("KVORUM_TESTBED") {
            Ok(name) => Some(Testbed::attach(&name)?),
            Err(_) => None,
        };
        let file = Kubeconfig::read_from(&kubeconfig)?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        client
            .apiserver_version()
            .await
            .context("the API server does not answer")?;
        Ok(Self {
            client,
            kubeconfig,
            testbed,
        })
    }
}

/// Waits until `look` finds something.
///
/// # Errors
/// When it does not in time, with what it saw last.
pub async fn until<T, F>(what: &str, deadline: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<std::result::Result<T, String>>>,
{
    let started = Instant::now();
    loop {
        let seen = match look().await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(seen)) => seen,
            Err(error) => format!("{error:#}"),
        };
        if started.elapsed() > deadline {
            bail!("{what}: not within {deadline:?}; last seen: {seen}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Runs something of the testbed, which blocks, beside the runtime.
///
/// # Errors
/// What it fails with.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("a blocking call has panicked")?
}
