//! A running testbed: what tests and commands do with it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::limits::PROBE;
use crate::network::{CONTROL_PLANE, inside};
use crate::nft::Cut;
use crate::state::{NodeRecord, Record, StateDir};
use crate::up::{DAEMON_GROUP, UP_MARK, UpOptions};
use crate::{cgroups, control_plane, faults, forward, images, nodes};

/// A testbed that is up.
#[derive(Clone, Debug)]
pub struct Testbed {
    state: StateDir,
    record: Record,
}

impl Testbed {
    /// Starts a testbed from nothing. What a dead one of the same name left is removed first.
    ///
    /// # Errors
    /// If the machine cannot run one, a tool cannot be built, or Kubernetes does not become ready in time.
    pub fn up(options: &UpOptions) -> Result<Self> {
        let (state, record) = crate::up::up(options)?;
        Ok(Self { state, record })
    }

    /// The running testbed of this name.
    ///
    /// # Errors
    /// If there is none, or only the remains of one.
    pub fn attach(name: &str) -> Result<Self> {
        let found = Self::remains(name)?;
        if !found.is_alive() {
            bail!(
                "the testbed {name:?} is dead; clean up with `cargo xtask down --name {name}` or start it afresh with `cargo xtask up`"
            );
        }
        Ok(found)
    }

    /// The testbed of this name, whether it is up, half up or dead: to look into what went wrong.
    ///
    /// # Errors
    /// If there is no record of it.
    pub fn remains(name: &str) -> Result<Self> {
        let state = StateDir::of(name)?;
        let record = state.load()?;
        Ok(Self { state, record })
    }

    /// Removes every trace of the testbed of this name, alive or dead. Says whether there was anything.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn down(name: &str) -> Result<bool> {
        crate::down::down(&StateDir::of(name)?)
    }

    /// Whether it came up and its daemon runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.state.join(UP_MARK).exists()
            && cgroups::freezer(&self.record.cgroups)
                .is_ok_and(|base| !cgroups::processes(&base.join(DAEMON_GROUP)).is_empty())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.state.name()
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.state.path()
    }

    /// A kubeconfig for processes of the machine.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.kubeconfig()
    }

    /// Programs that work against it: kubectl, and etcdctl wrapped so that it reaches pods and services by name.
    #[must_use]
    pub fn bin_directory(&self) -> PathBuf {
        self.state.join("bin")
    }

    /// Its nodes.
    #[must_use]
    pub fn nodes(&self) -> &[NodeRecord] {
        &self.record.nodes
    }

    /// kubectl, pointed at this testbed.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(self.record.programs.k8s.join("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command
    }

    /// A program inside the control plane's namespace, where pod and service addresses and names work.
    #[must_use]
    pub fn command_in_cluster(&self, program: &str) -> Command {
        let mut command = Command::new(self.state.join("bin/in-cluster"));
        command.arg(program);
        command
    }

    /// A program inside the network namespace of a node.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn command_on_node(&self, node: &str, program: &str) -> Result<Command> {
        nodes::find(&self.record, node)?;
        let mut command = inside(&self.state.netns(node));
        command.arg(program);
        Ok(command)
    }

    /// An address of the machine that leads to a pod's, node's or service's; it lives as long as this process.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn forward(&self, target: SocketAddr) -> Result<SocketAddr> {
        forward::forward(
            forward::any_port(),
            &self.state.netns(CONTROL_PLANE),
            target,
        )
    }

    /// Whether `from` can open a connection to a port of `to`'s.
    ///
    /// # Errors
    /// If one of the nodes does not exist.
    pub fn connects(&self, from: &str, to: &str, port: u16) -> Result<bool> {
        nodes::find(&self.record, from)?;
        let address = self.address_of(to)?;
        Ok(forward::dial(
            &self.state.netns(from),
            SocketAddr::from((address, port)),
            PROBE,
        )
        .is_ok())
    }

    /// The address of a node.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn address_of(&self, node: &str) -> Result<Ipv4Addr> {
        Ok(self
            .record
            .addresses()?
            .host(nodes::find(&self.record, node)?.index))
    }

    /// The cuts in force.
    ///
    /// # Errors
    /// If their record is damaged.
    pub fn cuts(&self) -> Result<Vec<Cut>> {
        faults::cuts(&self.state)
    }

    /// Cuts something off.
    ///
    /// # Errors
    /// If a named node does not exist or the rules cannot be changed.
    pub fn cut(&self, cut: Cut) -> Result<()> {
        if let Cut::Node(node) = &cut {
            nodes::find(&self.record, node)?;
        }
        faults::cut(&self.state, cut)
    }

    /// Ends one cut.
    ///
    /// # Errors
    /// If the rules cannot be changed.
    pub fn heal(&self, cut: Cut) -> Result<()> {
        faults::heal(&self.state, cut)
    }

    /// Ends all cuts.
    ///
    /// # Errors
    /// If the rules cannot be changed.
    pub fn heal_all(&self) -> Result<()> {
        faults::set(&self.state, &[])
    }

    /// Cuts a node's power; its disk stays.
    ///
    /// # Errors
    /// If there is no such node or it does not die.
    pub fn node_kill(&self, node: &str) -> Result<()> {
        nodes::find(&self.record, node)?;
        nodes::kill(&self.record, node)
    }

    /// Powers a node on again.
    ///
    /// # Errors
    /// If there is no such node or it runs.
    pub fn node_start(&self, node: &str) -> Result<()> {
        nodes::start(&self.state, &self.record, nodes::find(&self.record, node)?)
    }

    /// Stops everything on a node where it stands.
    ///
    /// # Errors
    /// If there is no such node or it does not freeze.
    pub fn node_freeze(&self, node: &str) -> Result<()> {
        faults::set_paused(&self.node_group(node)?, true)
    }

    /// Lets a frozen node go on.
    ///
    /// # Errors
    /// If there is no such node or it does not thaw.
    pub fn node_thaw(&self, node: &str) -> Result<()> {
        faults::set_paused(&self.node_group(node)?, false)
    }

    /// Whether a node is running, frozen or off.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn node_power(&self, node: &str) -> Result<&'static str> {
        let group = self.node_group(node)?;
        Ok(match () {
            () if cgroups::processes(&group).is_empty() => "off",
            () if cgroups::is_frozen(&group) => "frozen",
            () => "on",
        })
    }

    /// Its nodes with their power, for people: `a1=on b1=off`.
    #[must_use]
    pub fn nodes_in_words(&self) -> String {
        let one = |node: &NodeRecord| {
            let power = self.node_power(&node.name).unwrap_or("unknown");
            format!("{}={power}", node.name)
        };
        let words: Vec<String> = self.nodes().iter().map(one).collect();
        words.join(" ")
    }

    /// Stops all processes of one pod where they stand: a stale leader.
    ///
    /// # Errors
    /// If the pod does not run on that node.
    pub fn pod_freeze(&self, node: &str, pod_uid: &str) -> Result<()> {
        faults::set_paused(&faults::pod_group(&self.node_group(node)?, pod_uid)?, true)
    }

    /// Lets a frozen pod go on.
    ///
    /// # Errors
    /// If the pod does not run on that node.
    pub fn pod_thaw(&self, node: &str, pod_uid: &str) -> Result<()> {
        faults::set_paused(&faults::pod_group(&self.node_group(node)?, pod_uid)?, false)
    }

    fn node_group(&self, node: &str) -> Result<PathBuf> {
        nodes::find(&self.record, node)?;
        nodes::freezer_group(&self.record, node)
    }

    /// Kills etcd, API server, controller manager and scheduler.
    ///
    /// # Errors
    /// If they do not die.
    pub fn control_plane_kill(&self) -> Result<()> {
        cgroups::power_off(&cgroups::freezer(&self.record.cgroups)?.join(control_plane::GROUP))
    }

    /// Starts them again on the same data and waits until the API server is ready.
    ///
    /// # Errors
    /// If they run already or do not become ready.
    pub fn control_plane_start(&self) -> Result<()> {
        let group = cgroups::freezer(&self.record.cgroups)?.join(control_plane::GROUP);
        if !cgroups::processes(&group).is_empty() {
            bail!("the control plane is running already");
        }
        control_plane::start_api(&self.state, &self.record)?;
        control_plane::wait_api(&self.state, &self.record)?;
        control_plane::start_controllers(&self.state, &self.record)
    }

    /// Loads image archives into all nodes.
    ///
    /// # Errors
    /// If a node is off or an archive cannot be read.
    pub fn load_images(&self, archives: &[&Path]) -> Result<()> {
        images::load(&self.state, &self.record, archives)
    }

    /// Events, pod logs and component logs as text, for a person who looks into a failure.
    #[must_use]
    pub fn dump(&self) -> String {
        crate::dump::dump(&self.state, &self.record)
    }

    /// Writes [`Self::dump`] to a file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn dump_to(&self, file: &Path) -> Result<()> {
        std::fs::write(file, self.dump())
            .with_context(|| format!("cannot write {}", file.display()))
    }
}
