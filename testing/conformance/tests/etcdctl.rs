//! Goal: whoever uses etcdctl sees no difference.
//! Method: one session through its commands, on a fresh etcd and on a fresh kvorum-node;
//! the outputs are compared line by line, after what must differ (member and cluster
//! IDs, sizes, hashes, times) is replaced.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::{Cluster, Program};
use regex::Regex;
use std::io::Write;
use std::process::Stdio;

/// Commands in order; what stands behind `|` is given to their input.
const SESSION: &str = r#"
put greeting hello
get greeting
get greeting -w json
get greeting --print-value-only
get missing
put greeting again --prev-kv
put empty
put --ignore-value greeting
put --ignore-value missing
put k1 v1
put k2 v2
put k3 v3
get k --prefix
get k1 k3
get k2 --from-key
get k --prefix --limit 2
get k --prefix --order DESCEND --sort-by KEY
get k --prefix --keys-only
get k --prefix --count-only -w fields
get greeting --rev 2
get greeting --rev 999
get --consistency s k1
del k1
del k --prefix --prev-kv
del k --prefix
txn |mod("greeting") > "0"||put done yes|get done||put done no||
txn |version("missing") > "0"||put done yes||get done||
txn |bad||
lease grant 600
lease list
lease timetolive 0
lease revoke 0
put with-lease v --lease 1
lease grant 0
compact 3
compact 3
compact 999
get greeting --rev 2
member list
member list -w json
member add
member add m2
member remove 12345
member update 12345 --peer-urls http://127.0.0.1:1
member promote 12345
move-leader 12345
endpoint health
endpoint status -w json
endpoint hashkv
alarm list
alarm disarm
defrag
downgrade validate 3.6
downgrade validate 3.5
downgrade enable 3.6
downgrade cancel
role add reader
role add reader
role grant-permission reader read greeting
role grant-permission reader readwrite dir/ --prefix
role get reader
role list
role revoke-permission reader greeting
role revoke-permission reader greeting
role get nobody
user add alice:secret
user add alice:secret
user grant-role alice reader
user grant-role alice nobody
user get alice
user list
user passwd alice --interactive=false |other
user revoke-role alice reader
user revoke-role alice reader
auth status
auth enable
user add root:toor
role add root
user grant-role root root
auth enable
get greeting
--user root:wrong get greeting
--user root:toor get greeting
--user root:toor user grant-role alice reader
--user alice:other get greeting
--user alice:other put dir/a 1
--user alice:other get dir/ --prefix
--user alice:other user list
--user root:toor auth status
--user root:toor auth disable
auth status
user delete alice
role delete reader
user get alice
check perf --help
version
"#;

struct Step {
    arguments: Vec<String>,
    input: String,
}

fn steps() -> Vec<Step> {
    let lines = SESSION.lines().filter(|l| !l.trim().is_empty());
    lines
        .map(|line| {
            let (command, input) = line.split_once('|').unwrap_or((line, ""));
            Step {
                arguments: command.split_whitespace().map(str::to_owned).collect(),
                input: input.replace('|', "\n"),
            }
        })
        .collect()
}

/// What must differ between two servers.
fn same(text: &str) -> String {
    let rules = [
        (r"127\.\d+\.\d+\.\d+", "ADDRESS"),
        (r"\{.level.:.*", "LOG"),
        (r#""(cluster_id|member_id|ID|leader|id)":\d+"#, r#""$1":N"#),
        (
            r#""(dbSize|dbSizeInUse|raftIndex|raftAppliedIndex|raftTerm|raft_term|hash)":\d+"#,
            r#""$1":N"#,
        ),
        (r#""(ClusterID|MemberID|RaftTerm)" : \d+"#, r#""$1" : N"#),
        (r"\b[0-9a-f]{15,16}\b", "ID"),
        (r"ADDRESS:2379, \d+, ", "ADDRESS:2379, HASH, "),
        (r"took[ =:]+[0-9.µm]+s", "took TIME"),
    ];
    let mut text = text.to_owned();
    for (pattern, with) in rules {
        text = Regex::new(pattern)
            .unwrap()
            .replace_all(&text, with)
            .into_owned();
    }
    text
}

fn run(endpoint: &str, step: &Step) -> String {
    let mut child = Program::etcd_tool("etcdctl")
        .args(["--endpoints", endpoint, "--command-timeout", "5s"])
        .args(&step.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // A command that refuses its arguments reads nothing.
    let _ = input.write_all(step.input.as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| same(&String::from_utf8_lossy(bytes));
    format!(
        "exit {}\n{}{}",
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr)
    )
}

async fn session(program: Program) -> Vec<String> {
    let cluster = Cluster::start(&program, 1, &["--unsafe-no-fsync"]).await;
    cluster.wait_registered().await;
    let endpoint = cluster.members[0].endpoint();
    steps().iter().map(|step| run(&endpoint, step)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_looks_the_same() {
    let etcd = session(Program::etcd()).await;
    let ours = session(Program::kvorum()).await;
    let mut different = Vec::new();
    for ((step, theirs), ours) in steps().iter().zip(&etcd).zip(&ours) {
        if theirs != ours {
            let command = step.arguments.join(" ");
            different.push(format!(
                "$ etcdctl {command}\n--- etcd\n{theirs}\n--- kvorum\n{ours}"
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
