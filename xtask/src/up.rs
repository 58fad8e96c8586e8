//! `cargo xtask up`: from a fresh checkout to a cluster over three zones that serves etcd clients.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use kvorum_testbed::tools::{self, ToolSet};
use kvorum_testbed::{StateDir, Steps, Testbed, UpOptions as TestbedOptions, debian, preflight};
use serde_json::Value;

use crate::cli::UpOptions;
use crate::environment::{kubeconfig_of_user, link_helm, testbed_in_use};
use crate::etcdctl::put_and_get;
use crate::kubernetes::Kubernetes;
use crate::picture::draw;
use crate::workspace::{Programs, root};
use crate::{images, workspace};

const NAMESPACE: &str = "kvorum-system";
const CHART: &str = "charts/kvorum-operator";
const EXAMPLE: &str = "examples/three-zones.yaml";
const READY_LIMIT: &str = "--timeout=180s";

/// Brings everything up and ends with a picture and what to try next.
pub(crate) fn run(name: &str, options: &UpOptions) -> Result<()> {
    let foreign = kubeconfig_of_user();
    let in_use = testbed_in_use().filter(|in_use| Testbed::attach(in_use).is_ok());
    let name = in_use.as_deref().unwrap_or(name);
    if foreign.is_none() {
        preflight::check()?;
    }
    preflight::check_go()?;
    if !options.bare {
        for needed in [CHART, EXAMPLE] {
            if !root().join(needed).exists() {
                bail!(
                    "{needed} is missing from the work tree; `cargo xtask up --bare` brings up Kubernetes alone"
                );
            }
        }
    }
    let programs = build(options, foreign.is_some())?;
    let kubernetes = match foreign {
        Some(kubeconfig) => {
            eprintln!(
                "using the Kubernetes of KUBECONFIG={}",
                kubeconfig.display()
            );
            Kubernetes::Foreign(kubeconfig)
        }
        None => Kubernetes::Testbed(testbed(name, options, &programs)?),
    };
    if options.bare {
        say_env(&kubernetes, name);
        return Ok(());
    }
    let steps = Steps::new();
    install(&kubernetes, &programs, &steps)?;
    if options.no_cluster {
        say_env(&kubernetes, name);
        return Ok(());
    }
    create_cluster(&kubernetes, &steps)?;
    say_next(&kubernetes, name);
    Ok(())
}

/// Builds all that the command needs, in the order in which it is needed.
fn build(options: &UpOptions, foreign: bool) -> Result<Programs> {
    let mut packages = Vec::new();
    let mut sets = vec![ToolSet::Etcd37];
    if !foreign {
        debian::install_missing()?;
        packages.push("kvorum-testbed");
        sets.extend([ToolSet::Kubernetes, ToolSet::CoreDns, ToolSet::Pause]);
    }
    if !options.bare {
        packages.extend(images::PROGRAMS);
        sets.push(ToolSet::Helm);
    }
    let programs = Programs::build(&packages)?;
    tools::ensure_all(&sets)?;
    Ok(programs)
}

/// The running testbed of this name, or a new one.
fn testbed(name: &str, options: &UpOptions, programs: &Programs) -> Result<Testbed> {
    if StateDir::of(name)?.exists()
        && let Ok(running) = Testbed::attach(name)
    {
        eprintln!("the testbed {name:?} is up already");
        return Ok(running);
    }
    Testbed::up(&TestbedOptions {
        nodes_per_zone: options.nodes_per_zone,
        grace_seconds: options.grace,
        keep_on_failure: options.keep_going,
        ..TestbedOptions::new(name, &programs.path("kvorum-testbed"))
    })
}

fn install(kubernetes: &Kubernetes, programs: &Programs, steps: &Steps) -> Result<()> {
    let archives: Vec<PathBuf> = images::write(programs, None)?;
    kubernetes.load_images(&archives)?;
    steps.done(match kubernetes {
        Kubernetes::Testbed(_) => "images on all nodes",
        Kubernetes::Foreign(_) => "images packed",
    });
    let helm = match kubernetes {
        Kubernetes::Testbed(testbed) => link_helm(testbed)?,
        Kubernetes::Foreign(_) => tools::ensure(ToolSet::Helm)?.join("helm"),
    };
    let created = kubernetes
        .read(&["get", "deployment", "-n", NAMESPACE, "-o", "name"])?
        .trim()
        .is_empty();
    let output = Command::new(helm)
        .args(["upgrade", "--install", "kvorum-operator"])
        .arg(root().join(CHART))
        .args([
            "--namespace",
            NAMESPACE,
            "--create-namespace",
            "--wait",
            "--timeout",
            "120s",
        ])
        .env("KUBECONFIG", kubernetes.kubeconfig())
        .output()
        .context("cannot run helm")?;
    if !output.status.success() {
        bail!(
            "helm could not install {CHART}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    if !created {
        // The tag is the same for every build of a version, so the running operator may be an older build.
        kubernetes.read(&["rollout", "restart", "deployment", "-n", NAMESPACE])?;
        kubernetes.read(&[
            "rollout",
            "status",
            "deployment",
            "-n",
            NAMESPACE,
            "--timeout=120s",
        ])?;
    }
    steps.done(&format!(
        "operator {} installed with helm",
        workspace::VERSION
    ));
    Ok(())
}

fn create_cluster(kubernetes: &Kubernetes, steps: &Steps) -> Result<()> {
    let start = Instant::now();
    let file = root().join(EXAMPLE);
    let applied = kubernetes.read(&["apply", "-o", "json", "-f", &file.to_string_lossy()])?;
    let cluster = find_cluster(&serde_json::from_str(&applied).context("kubectl gave no JSON")?)
        .with_context(|| format!("{EXAMPLE} holds no KvCluster"))?;
    let name = cluster["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let namespace = cluster["metadata"]["namespace"]
        .as_str()
        .unwrap_or("default")
        .to_owned();
    let object = format!("kvcluster/{name}");
    kubernetes
        .read(&["wait", "-n", &namespace, "--for=condition=Ready", READY_LIMIT, &object])
        .with_context(|| format!("{object} did not become Ready; look at `kubectl describe {object}` and `cargo xtask dump`"))?;
    steps.done(&format!(
        "{object} Ready, {:.1} s after it was applied",
        start.elapsed().as_secs_f64()
    ));
    let now = kubernetes.read(&["get", "-n", &namespace, &object, "-o", "json"])?;
    let now = serde_json::from_str(&now).context("kubectl gave no JSON")?;
    steps.done(&put_and_get(kubernetes, &now)?);
    println!("\n{}", draw(&now));
    Ok(())
}

/// The KvCluster in what `kubectl apply -o json` printed: an object or a list.
fn find_cluster(applied: &Value) -> Option<Value> {
    let is_cluster = |object: &&Value| object["kind"] == "KvCluster";
    match applied["items"].as_array() {
        Some(items) => items.iter().find(is_cluster).cloned(),
        None => Some(applied).filter(is_cluster).cloned(),
    }
}

fn say_env(kubernetes: &Kubernetes, name: &str) {
    match kubernetes {
        Kubernetes::Testbed(_) => {
            println!("ready; in your shell: eval \"$(cargo xtask --name {name} env)\"");
        }
        Kubernetes::Foreign(_) => println!("ready"),
    }
}

fn say_next(kubernetes: &Kubernetes, name: &str) {
    let Kubernetes::Testbed(_) = kubernetes else {
        println!("try next: kubectl get kvc -w");
        return;
    };
    println!(
        "try next:\n  \
         eval \"$(cargo xtask --name {name} env)\"   kubectl, etcdctl and helm against it\n  \
         kubectl get kvc -w                    watch it\n  \
         etcdctl put a 1; etcdctl watch a      use it\n  \
         cargo xtask net isolate zone-a        lose a zone and watch; `net heal` ends it\n  \
         cargo xtask node kill a1              cut a node's power; `node start a1` gives it back\n  \
         cargo xtask status                    the picture above, as things are then\n  \
         cargo xtask down                      remove everything"
    );
}
