//! Goal: the charts say what they mean, and refuse what they do not. Method: Helm alone renders the main sets of
//! values into reviewed snapshots, and the schemas are shown values that must not pass.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::Path;

use kvorum_zones::install::{chart, checkout, cluster_chart, run_helm_alone};
use serde_json::{Value, json};

/// The Kubernetes to render for, whatever Helm was built with.
const KUBERNETES: &str = "1.36.0";

/// Whether there is a Helm; says so if not.
fn helm_is_there() -> bool {
    let there = run_helm_alone(&["version"]).is_ok();
    if !there {
        eprintln!("SKIPPED: there is no helm; run `cargo xtask test --layer api`");
    }
    there
}

fn render(chart: &Path, values: &[&str]) -> anyhow::Result<String> {
    let chart = chart.to_string_lossy();
    let mut arguments = vec!["template", "kv", &chart, "--namespace", "home"];
    arguments.extend(["--kube-version", KUBERNETES]);
    arguments.extend(values);
    run_helm_alone(&arguments)
}

/// What was rendered, document by document.
fn documents(rendered: &str) -> Vec<Value> {
    rendered
        .split("\n---\n")
        .map(|text| serde_saphyr::from_str(text.trim_start_matches("---\n")).unwrap())
        .filter(|document: &Value| !document.is_null())
        .collect()
}

/// Without the definition, which is a reviewed file of its own.
fn without_definition(rendered: &str) -> String {
    let other = |text: &&str| !text.contains("\nkind: CustomResourceDefinition\n");
    let kept: Vec<&str> = rendered.split("\n---\n").filter(other).collect();
    kept.join("\n---\n")
}

/// Everything that can be switched on.
const OPERATOR_FULL: [&str; 18] = [
    "--set-json",
    r#"protection.exemptUsers=["system:serviceaccount:velero:velero"]"#,
    "--set",
    "replicas=2,class=canary,priorityClassName=important,podDisruptionBudget.enabled=true,crds.keep=false",
    "--set",
    "image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "--set",
    "nodeImage.registry=registry.example:5000,nodeImage.tag=2.0",
    "--set",
    "metrics.podMonitor.enabled=true,metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true",
    "--set-json",
    r#"networkPolicy.from=[{"namespaceSelector":{"matchLabels":{"team":"monitoring"}}}]"#,
    "--set-json",
    r#"networkPolicy.egress=[{"ports":[{"port":6443}]}]"#,
    "--set-json",
    r#"topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"ScheduleAnyway"}]"#,
    "--set-json",
    r#"extraObjects=[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{ .Release.Name }}-more"}}]"#,
];

const CLUSTER_FULL: [&str; 12] = [
    "--set",
    "name=orders,spec.members=5,spec.deletionProtection=false,labels.team=shop,annotations.note=hello",
    "--set-json",
    r#"spec.placement={"zoneSpread":"Required","zones":["a","b","c"]}"#,
    "--set",
    "networkPolicy.enabled=true,podMonitor.enabled=true,prometheusRule.enabled=true",
    "--set-json",
    r#"networkPolicy.clients=[{"podSelector":{"matchLabels":{"app":"shop"}}}]"#,
    "--set-json",
    r#"networkPolicy.monitoring=[{"namespaceSelector":{"matchLabels":{"team":"monitoring"}}}]"#,
    "--set-json",
    r#"extraObjects=["{apiVersion: v1, kind: ConfigMap, metadata: {name: more}}"]"#,
];

#[test]
fn the_charts_are_clean_to_helm() {
    if !helm_is_there() {
        return;
    }
    for chart in [chart(), cluster_chart()] {
        let chart = chart.to_string_lossy();
        run_helm_alone(&["lint", "--strict", &chart]).unwrap();
    }
}

#[test]
fn what_the_charts_render() {
    if !helm_is_there() {
        return;
    }
    let operator = |values: &[&str]| without_definition(&render(&chart(), values).unwrap());
    insta::assert_snapshot!("operator_default", operator(&[]));
    insta::assert_snapshot!("operator_full", operator(&OPERATOR_FULL));
    let namespaced = ["--set", "namespaces={shop,billing},crds.enabled=false"];
    insta::assert_snapshot!("operator_namespaced", operator(&namespaced));
    let cluster = |values: &[&str]| render(&cluster_chart(), values).unwrap();
    insta::assert_snapshot!("cluster_default", cluster(&[]));
    insta::assert_snapshot!("cluster_full", cluster(&CLUSTER_FULL));
}

#[test]
fn values_that_make_no_sense_are_refused_with_what_is_wrong() {
    if !helm_is_there() {
        return;
    }
    let (operator, cluster) = (chart(), cluster_chart());
    let table: [(&Path, &str, &str); 15] = [
        (&operator, "replica=2", "additional properties 'replica'"),
        (&operator, "replicas=0", "minimum"),
        (&operator, "crds.kept=true", "additional properties 'kept'"),
        (
            &operator,
            "image.digest=sha256:12",
            "does not match pattern",
        ),
        (
            &operator,
            "image.pullPolicy=Sometimes",
            "value must be one of",
        ),
        (&operator, "namespaces={Shop}", "does not match pattern"),
        (&operator, "class=a b", "does not match pattern"),
        (
            &operator,
            "metrics.podMonitor.interval=soon",
            "does not match pattern",
        ),
        (
            &operator,
            "protection.exemptUsers={it's}",
            "does not match pattern",
        ),
        (
            &cluster,
            "spec.members=4",
            "value must be one of 1, 3, 5, 7, 9",
        ),
        (&cluster, "spec.member=3", "additional properties 'member'"),
        (
            &cluster,
            "spec.storage.size=banana",
            "does not match pattern",
        ),
        (
            &cluster,
            "spec.placement.zoneSpread=Always",
            "value must be one of",
        ),
        (
            &cluster,
            "spec.placement.zone=a",
            "additional properties 'zone'",
        ),
        (&cluster, "name=Orders", "does not match pattern"),
    ];
    for (chart, value, words) in table {
        let refused = render(chart, &["--set", value]);
        let refused = refused.expect_err(value).to_string();
        assert!(refused.contains(words), "{value}: {refused}");
    }
}

#[test]
fn an_old_kubernetes_is_refused() {
    if !helm_is_there() {
        return;
    }
    for chart in [chart(), cluster_chart()] {
        let refused = render(&chart, &["--kube-version", "1.32.9"]).unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains("requires kubeVersion: >=1.33.0-0"),
            "{refused}"
        );
    }
}

#[test]
fn the_definition_can_be_left_out_or_let_go() {
    if !helm_is_there() {
        return;
    }
    let definition = |values: &[&str]| {
        let documents = documents(&render(&chart(), values).unwrap());
        let mut found = documents
            .into_iter()
            .filter(|document| document["kind"] == "CustomResourceDefinition");
        found
            .next()
            .map(|document| document["metadata"]["annotations"].clone())
    };
    let kept = definition(&[]).unwrap();
    assert_eq!(kept["helm.sh/resource-policy"], "keep");
    assert_eq!(kept["kvorum.dev/protection"], Value::Null);
    assert_eq!(definition(&["--set", "crds.enabled=false"]), None);
    let loose = definition(&["--set", "crds.keep=false"]).unwrap();
    assert_eq!(loose["helm.sh/resource-policy"], Value::Null);
    assert_eq!(
        loose["kvorum.dev/protection"], "off",
        "or the policy would keep it"
    );
}

#[test]
fn the_operator_may_list_no_secret_and_do_nothing_with_everything() {
    if !helm_is_there() {
        return;
    }
    let by_name =
        json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "patch"] });
    for (values, expected) in [
        (&[][..], 1),
        (&["--set", "namespaces={shop}"], 1),
        (&["--set", "rbac.secrets=false"], 0),
    ] {
        let mut seen = 0;
        for document in documents(&render(&chart(), values).unwrap()) {
            for rule in document["rules"].as_array().into_iter().flatten() {
                let text = rule.to_string();
                assert!(!text.contains('*'), "{text}");
                if text.contains("secrets") {
                    assert_eq!(*rule, by_name);
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, expected, "{values:?}");
    }
}

#[test]
fn an_operator_of_namespaces_gets_nothing_that_is_cluster_wide() {
    if !helm_is_there() {
        return;
    }
    let values = ["--set", "namespaces={shop,billing},crds.enabled=false"];
    let documents = documents(&render(&chart(), &values).unwrap());
    let wide: Vec<&Value> = documents
        .iter()
        .filter(|document| document["metadata"]["namespace"].is_null())
        .map(|document| &document["kind"])
        .collect();
    assert!(wide.is_empty(), "{wide:?}");
    let roles: BTreeSet<&str> = documents
        .iter()
        .filter(|document| document["kind"] == "Role")
        .filter_map(|document| document["metadata"]["namespace"].as_str())
        .collect();
    assert_eq!(roles, ["billing", "home", "shop"].into());
}

/// Every alert of both charts: its name, its expression and its runbook.
fn alerts() -> Vec<(String, String, String)> {
    let on = ["--set", "metrics.prometheusRule.enabled=true"];
    let mut all = documents(&render(&chart(), &on).unwrap());
    let on = ["--set", "prometheusRule.enabled=true"];
    all.extend(documents(&render(&cluster_chart(), &on).unwrap()));
    let rules = all
        .iter()
        .filter(|document| document["kind"] == "PrometheusRule")
        .flat_map(|document| document["spec"]["groups"].as_array().unwrap())
        .flat_map(|group| group["rules"].as_array().unwrap());
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    rules
        .map(|rule| {
            let runbook = &rule["annotations"]["runbook_url"];
            (word(&rule["alert"]), word(&rule["expr"]), word(runbook))
        })
        .collect()
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    if !helm_is_there() {
        return;
    }
    let alerts = alerts();
    assert!(alerts.len() >= 12);
    for (alert, _, runbook) in &alerts {
        assert_eq!(
            *runbook,
            format!("https://kvorum.dev/docs/runbooks/{alert}")
        );
        let file = checkout(&format!("docs/runbooks/{alert}.md"));
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            text.starts_with(&format!("# {alert}\n")) && text.contains("**Do.**"),
            "{} says what to do",
            file.display()
        );
    }
    let files = std::fs::read_dir(checkout("docs/runbooks")).unwrap();
    for file in files.flatten().map(|entry| entry.path()) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(alerts.iter().any(|(alert, ..)| *alert == name), "{name}");
    }
}

/// Words of an expression that are names of metrics of ours.
fn metrics_of(expression: &str) -> BTreeSet<String> {
    expression
        .split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
        .filter(|word| {
            [
                "kvorum_",
                "etcd_",
                "controller_runtime_",
                "leader_election_",
            ]
            .iter()
            .any(|prefix| word.starts_with(prefix))
        })
        .map(|word| {
            word.trim_end_matches("_total")
                .trim_end_matches("_bucket")
                .to_owned()
        })
        .collect()
}

#[test]
fn alerts_and_dashboard_ask_only_for_metrics_that_there_are() {
    if !helm_is_there() {
        return;
    }
    let mut sources = String::new();
    for file in [
        "operator/src/snapshots/kvorum_operator__metrics__tests__every_name_and_help_text_is_reviewed.snap",
        "node/src/metrics.rs",
        "node/src/metrics/collector.rs",
    ] {
        sources.push_str(&std::fs::read_to_string(checkout(file)).unwrap());
    }
    let on = ["--set", "metrics.dashboard.enabled=true"];
    let dashboards = documents(&render(&chart(), &on).unwrap());
    let dashboards = dashboards
        .iter()
        .filter(|document| document["metadata"]["labels"]["grafana_dashboard"] == "1")
        .flat_map(|document| document["data"].as_object().unwrap().values());
    let mut expressions: Vec<String> = alerts().into_iter().map(|(_, it, _)| it).collect();
    for dashboard in dashboards {
        let dashboard: Value = serde_json::from_str(dashboard.as_str().unwrap()).unwrap();
        let targets = dashboard["panels"].as_array().unwrap().iter();
        let targets = targets.flat_map(|panel| panel["targets"].as_array().unwrap());
        expressions.extend(targets.map(|target| target["expr"].as_str().unwrap().to_owned()));
    }
    assert!(expressions.len() > 18, "{}", expressions.len());
    for expression in expressions {
        let metrics = metrics_of(&expression);
        assert!(!metrics.is_empty(), "{expression}");
        for metric in metrics {
            assert!(sources.contains(&metric), "{metric} in {expression}");
        }
    }
}
