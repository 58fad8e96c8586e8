//! `cargo xtask test`: builds everything, runs the layers, counts.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use kvorum_testbed::tools::{self, ToolSet, clients};
use kvorum_testbed::{Testbed, UpOptions, debian};

use crate::cli::TestOptions;
use crate::counts::Counts;
use crate::environment::kubeconfig_of_user;
use crate::images;
use crate::layers::Layer;
use crate::workspace::{Programs, build_with_faultpoints, cargo, run_shown, target_directory};

/// The testbed that tests use: never the one that a person plays with.
const TESTBED: &str = "test";
/// Two nodes a zone: a member can move within its zone when a node is lost.
const NODES_PER_ZONE: u8 = 2;

pub(crate) type Environment = Vec<(&'static str, OsString)>;

/// Runs the wanted layers and ends with the counts alone on a line; `more` is added to the
/// tests' environment.
pub(crate) fn run(options: &TestOptions, more: Environment) -> Result<ExitCode> {
    let wanted = if options.layers.is_empty() {
        Layer::ALL.to_vec()
    } else {
        options.layers.clone()
    };
    let foreign = kubeconfig_of_user();
    let mut skipped = Vec::new();
    let mut layers = Vec::new();
    for layer in Layer::ALL
        .into_iter()
        .filter(|layer| wanted.contains(layer))
    {
        match layer.obstacle(foreign.is_some()) {
            Some(reason) => skipped.push((layer, reason)),
            None => layers.push(layer),
        }
    }
    for (layer, reason) in &skipped {
        eprintln!("SKIPPING layer {}: {reason}", layer.name());
    }
    let mut total = Counts::default();
    if let Err(error) = build_and_run(&layers, options, foreign, more, &mut total) {
        println!("error: {error:#}");
        total.failed += 1;
    }
    for (layer, reason) in &skipped {
        println!("SKIPPED layer {}: {reason}", layer.name());
    }
    println!("{total}");
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Builds everything and runs the layers that can run, adding to the counts as it goes.
fn build_and_run(
    layers: &[Layer],
    options: &TestOptions,
    foreign: Option<PathBuf>,
    more: Environment,
    total: &mut Counts,
) -> Result<()> {
    let (mut environment, programs) = build(layers, foreign.is_some())?;
    environment.extend(more);
    for layer in layers.iter().filter(|layer| !layer.needs_kubernetes()) {
        total.add(run_layer(
            *layer,
            foreign.is_some(),
            &environment,
            &options.arguments,
        )?);
    }
    let on_kubernetes: Vec<Layer> = layers
        .iter()
        .copied()
        .filter(|layer| layer.needs_kubernetes())
        .collect();
    if !on_kubernetes.is_empty() {
        total.add(run_on_kubernetes(
            &on_kubernetes,
            options,
            foreign,
            environment,
            programs.as_ref(),
        )?);
    }
    Ok(())
}

/// Builds programs, tools and tests before any test runs: a compiler beside a test starves it.
fn build(layers: &[Layer], foreign: bool) -> Result<(Environment, Option<Programs>)> {
    let mut environment: Environment = Vec::new();
    let mut programs = None;
    let mut sets = Vec::new();
    if layers.iter().any(|layer| layer.needs_programs()) {
        sets.push(ToolSet::Etcd37);
        let mut packages = vec!["kvorum-node"];
        if layers.iter().any(|layer| layer.needs_kubernetes()) {
            packages.extend(["kvorum-operator", "kvorum-testbed"]);
        }
        let built = Programs::build(&packages)?;
        environment.push(("KVORUM_NODE_BIN", built.path("kvorum-node").into()));
        environment.push(("KVORUM_OPERATOR_BIN", built.path("kvorum-operator").into()));
        programs = Some(built);
    }
    if layers.contains(&Layer::Conformance) {
        let go = tools::ensure(ToolSet::GoClient)?.join("clients");
        environment.push(("KVORUM_GO_CLIENT_BIN", go.into()));
        environment.push(("KVORUM_PYTHON_BIN", clients::ensure_python()?.into()));
        environment.push(("KVORUM_PYTHON_SESSION", clients::python_session().into()));
        environment.push(("KVORUM_RUST_CLIENT_BIN", clients::ensure_rust()?.into()));
    }
    if layers.contains(&Layer::Faults) {
        debian::install_for_namespaces()?;
        let checker = tools::ensure(ToolSet::Linearizability)?.join("linearizability");
        environment.push(("KVORUM_LINEARIZABILITY_BIN", checker.into()));
        let built = build_with_faultpoints()?;
        environment.push(("KVORUM_FAULTPOINTS_BIN", built.into()));
    }
    if layers.iter().any(|layer| layer.needs_kubernetes()) {
        if !foreign {
            debian::install_missing()?;
            sets.extend([ToolSet::Kubernetes, ToolSet::CoreDns, ToolSet::Pause]);
        }
        sets.push(ToolSet::Helm);
    }
    if layers.contains(&Layer::Zones) && !foreign {
        sets.push(ToolSet::CertManager);
    }
    tools::ensure_all(&sets)?;
    if sets.contains(&ToolSet::Etcd37) {
        let etcd = tools::ensure(ToolSet::Etcd37)?;
        environment.push(("KVORUM_ETCD_BIN", etcd.join("etcd").into()));
        environment.push(("KVORUM_ETCDCTL_BIN", etcd.join("etcdctl").into()));
    }
    if sets.contains(&ToolSet::CertManager) {
        let made = tools::ensure(ToolSet::CertManager)?;
        environment.push(("KVORUM_CERT_MANAGER_DIR", made.into()));
    }
    if sets.contains(&ToolSet::Kubernetes) {
        let kubernetes = tools::ensure(ToolSet::Kubernetes)?;
        environment.push((
            "KVORUM_APISERVER_BIN",
            kubernetes.join("kube-apiserver").into(),
        ));
        environment.push(("KVORUM_KUBECTL_BIN", kubernetes.join("kubectl").into()));
    }
    for layer in layers {
        for command in layer.commands(foreign) {
            // A layer that does not build fails when its turn comes; the others run all the same.
            run_shown(
                cargo().arg("test").arg("--no-run").args(&command),
                &format!("build the tests of layer {}", layer.name()),
            )
            .unwrap_or_else(|error| eprintln!("error: {error:#}"));
        }
    }
    Ok((environment, programs))
}

/// Brings up a Kubernetes for the layers that need one, and takes it away again.
fn run_on_kubernetes(
    layers: &[Layer],
    options: &TestOptions,
    foreign: Option<PathBuf>,
    mut environment: Environment,
    programs: Option<&Programs>,
) -> Result<Counts> {
    let programs = programs.context("the programs were not built")?;
    let archives = images::write(programs, None)?;
    let helm = tools::ensure(ToolSet::Helm)?;
    environment.push(("KVORUM_HELM_BIN", helm.join("helm").into()));
    if let Some(kubeconfig) = foreign {
        eprintln!(
            "using the Kubernetes of KUBECONFIG={}: tests that need the machine's faults are left out",
            kubeconfig.display()
        );
        environment.push(("KUBECONFIG", kubeconfig.into()));
        return run_all(layers, true, &environment, &options.arguments);
    }
    let up = UpOptions {
        nodes_per_zone: NODES_PER_ZONE,
        ..UpOptions::new(TESTBED, &programs.path("kvorum-testbed"))
    };
    Testbed::down(TESTBED)?;
    let testbed = Testbed::up(&up)?;
    let paths: Vec<&Path> = archives.iter().map(PathBuf::as_path).collect();
    testbed.load_images(&paths)?;
    environment.push(("KUBECONFIG", testbed.kubeconfig().into()));
    environment.push(("KVORUM_TESTBED", TESTBED.into()));
    let counts = run_all(layers, false, &environment, &options.arguments);
    let failed = !counts.as_ref().is_ok_and(|counts| counts.failed == 0);
    if failed {
        let report = target_directory()?.join("testbed-failure.txt");
        testbed.dump_to(&report)?;
        println!(
            "events, pod logs and component logs are in {}",
            report.display()
        );
    }
    if failed && options.keep {
        println!(
            "the testbed is left up: eval \"$(cargo xtask --name {TESTBED} env)\"; cargo xtask --name {TESTBED} down"
        );
    } else {
        Testbed::down(TESTBED)?;
    }
    counts
}

fn run_all(
    layers: &[Layer],
    foreign: bool,
    environment: &Environment,
    arguments: &[String],
) -> Result<Counts> {
    let mut total = Counts::default();
    for layer in layers {
        total.add(run_layer(*layer, foreign, environment, arguments)?);
    }
    Ok(total)
}

/// Runs one layer's commands with their output shown as it comes.
fn run_layer(
    layer: Layer,
    foreign: bool,
    environment: &Environment,
    arguments: &[String],
) -> Result<Counts> {
    println!("== layer {}", layer.name());
    let mut counts = Counts::default();
    for words in layer.commands(foreign) {
        let mut command = cargo();
        command
            .args(["test", "--no-fail-fast"])
            .args(&words)
            .arg("--")
            .args(layer.test_arguments())
            .args(arguments);
        command.envs(environment.iter().map(|(name, value)| (*name, value)));
        counts.add(run_counted(&mut command)?);
    }
    println!("== layer {}: {counts}", layer.name());
    Ok(counts)
}

fn run_counted(command: &mut Command) -> Result<Counts> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo test")?;
    let stdout = child
        .stdout
        .take()
        .context("cargo test has no standard output")?;
    let mut counts = Counts::default();
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    // Bytes and not text: a test may print anything.
    while reader
        .read_until(b'\n', &mut line)
        .context("cannot read the tests' output")?
        > 0
    {
        std::io::stdout().write_all(&line).ok();
        counts.line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait().context("cannot wait for cargo test")?;
    if !status.success() && counts.failed == 0 {
        println!(
            "cargo test ended with {status} and without a failed test: a test program crashed or did not build"
        );
        counts.failed = 1;
    }
    Ok(counts)
}
