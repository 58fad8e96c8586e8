//! Goal: the testbed does what tests of the product rely on. Method: one real testbed of its own name, taken through
//! cuts, a power-off, a pause, a control-plane outage and a volume, and then looked for on the machine after `down`.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kvorum_testbed::{Cut, Testbed, UpOptions};

const NAME: &str = "selftest";
/// kubelet's own port: open on every node that is on.
const KUBELET: u16 = 10250;

/// Takes the testbed down also when the test panics.
struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        Testbed::down(NAME).ok();
    }
}

#[test]
fn a_testbed_lives_suffers_and_leaves_nothing() {
    let helper = Path::new(env!("CARGO_BIN_EXE_kvorum-testbed"));
    Testbed::down(NAME).unwrap();
    let _cleanup = Cleanup;
    let testbed = Testbed::up(&UpOptions {
        grace_seconds: 10,
        ..UpOptions::new(NAME, helper)
    })
    .unwrap();
    assert!(
        Testbed::up(&UpOptions::new(NAME, helper))
            .unwrap_err()
            .to_string()
            .contains("is up already")
    );
    zones_are_labelled(&testbed);
    cuts_are_seen_by_nodes(&testbed);
    a_volume_is_made_kept_and_removed(&testbed);
    a_frozen_node_does_not_answer(&testbed);
    a_killed_node_is_missed_and_comes_back(&testbed);
    nodes_go_on_without_the_control_plane(&testbed);
    assert!(Testbed::down(NAME).unwrap());
    assert_eq!(traces(), Vec::<String>::new());
    assert!(
        !Testbed::down(NAME).unwrap(),
        "a second down found something"
    );
}

fn kubectl(testbed: &Testbed, arguments: &[&str]) -> String {
    let output = testbed.kubectl().args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "kubectl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "{what} did not happen within 60 s");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn zones_are_labelled(testbed: &Testbed) {
    let zones = kubectl(
        testbed,
        &[
            "get",
            "nodes",
            "-o",
            r"jsonpath={.items[*].metadata.labels.topology\.kubernetes\.io/zone}",
        ],
    );
    assert_eq!(zones, "zone-a zone-b zone-c");
}

fn cuts_are_seen_by_nodes(testbed: &Testbed) {
    let reaches = |from, to| testbed.connects(from, to, KUBELET).unwrap();
    assert!(reaches("a1", "c1") && reaches("c1", "a1"));
    testbed.cut(Cut::Zones('c', 'a')).unwrap();
    assert!(!reaches("a1", "c1") && !reaches("c1", "a1"));
    assert!(
        reaches("a1", "b1") && reaches("b1", "c1"),
        "the third zone must see both"
    );
    testbed.heal(Cut::Zones('a', 'c')).unwrap();
    assert!(reaches("a1", "c1"));
    testbed.cut(Cut::Node("b1".to_owned())).unwrap();
    assert!(!reaches("a1", "b1") && !reaches("b1", "a1"));
    testbed.heal_all().unwrap();
    assert!(reaches("a1", "b1"));
    assert!(testbed.cut(Cut::Node("z9".to_owned())).is_err());
}

fn a_volume_is_made_kept_and_removed(testbed: &Testbed) {
    let manifest = testbed.directory().join("volume-test.yaml");
    std::fs::write(&manifest, VOLUME).unwrap();
    kubectl(testbed, &["apply", "-f", &manifest.to_string_lossy()]);
    kubectl(
        testbed,
        &["wait", "--for=condition=Ready", "pod/user", "--timeout=60s"],
    );
    assert_eq!(
        kubectl(
            testbed,
            &["get", "pvc", "data", "-o", "jsonpath={.status.phase}"]
        ),
        "Bound"
    );
    kubectl(
        testbed,
        &[
            "patch",
            "pvc",
            "data",
            "-p",
            r#"{"spec":{"resources":{"requests":{"storage":"20Mi"}}}}"#,
        ],
    );
    eventually("the claim growing", || {
        kubectl(
            testbed,
            &[
                "get",
                "pvc",
                "data",
                "-o",
                "jsonpath={.status.capacity.storage}",
            ],
        ) == "20Mi"
    });
    kubectl(
        testbed,
        &[
            "delete",
            "pod/user",
            "pvc/data",
            "--wait",
            "--grace-period=1",
        ],
    );
    eventually("the volume's deletion", || {
        kubectl(testbed, &["get", "pv", "-o", "name"]).is_empty()
    });
}

fn a_frozen_node_does_not_answer(testbed: &Testbed) {
    testbed.node_freeze("c1").unwrap();
    assert_eq!(testbed.node_power("c1").unwrap(), "frozen");
    testbed.node_thaw("c1").unwrap();
    assert_eq!(testbed.node_power("c1").unwrap(), "on");
}

fn a_killed_node_is_missed_and_comes_back(testbed: &Testbed) {
    let ready = || {
        kubectl(
            testbed,
            &[
                "get",
                "node",
                "b1",
                "-o",
                r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#,
            ],
        )
    };
    // A node that was cut off a moment ago may have been missed, and reports again only after a while.
    eventually("b1 being Ready", || ready() == "True");
    testbed.node_kill("b1").unwrap();
    assert_eq!(testbed.node_power("b1").unwrap(), "off");
    assert!(!testbed.connects("a1", "b1", KUBELET).unwrap());
    eventually("b1 being missed", || ready() == "Unknown");
    testbed.node_start("b1").unwrap();
    eventually("b1 being Ready again", || ready() == "True");
    assert!(
        testbed
            .node_start("b1")
            .unwrap_err()
            .to_string()
            .contains("running already")
    );
}

fn nodes_go_on_without_the_control_plane(testbed: &Testbed) {
    testbed.control_plane_kill().unwrap();
    assert!(
        !testbed
            .kubectl()
            .args(["get", "nodes", "--request-timeout=2s"])
            .output()
            .unwrap()
            .status
            .success()
    );
    assert_eq!(testbed.node_power("a1").unwrap(), "on");
    testbed.control_plane_start().unwrap();
    assert_eq!(
        kubectl(testbed, &["get", "nodes", "-o", "name"])
            .lines()
            .count(),
        3
    );
}

/// Namespaces, mounts, control groups, processes and files that still bear the testbed's name.
fn traces() -> Vec<String> {
    let mut found = Vec::new();
    let namespaces = Command::new("ip").args(["netns", "list"]).output().unwrap();
    found.extend(
        String::from_utf8_lossy(&namespaces.stdout)
            .lines()
            .map(str::to_owned),
    );
    found.extend(
        std::fs::read_to_string("/proc/self/mounts")
            .unwrap()
            .lines()
            .map(str::to_owned),
    );
    for controller in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let groups = Command::new("find")
            .arg(controller.path())
            .args(["-maxdepth", "5", "-type", "d", "-name", NAME])
            .output()
            .unwrap();
        found.extend(
            String::from_utf8_lossy(&groups.stdout)
                .lines()
                .map(str::to_owned),
        );
    }
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(&format!("/{NAME}/")) {
            found.push(command);
        }
    }
    found.retain(|line| {
        line.contains(&format!("kvtb-{NAME}."))
            || line.contains(&format!("/{NAME}/"))
            || line.ends_with(&format!("/{NAME}"))
    });
    found
}

const VOLUME: &str = r"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: user}
spec:
  securityContext: {runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000}
  containers:
  - name: user
    image: kvorum.dev/testbed-pause:1
    volumeMounts: [{name: data, mountPath: /data}]
  volumes:
  - {name: data, persistentVolumeClaim: {claimName: data}}
";
