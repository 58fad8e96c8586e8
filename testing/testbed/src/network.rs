//! Network namespaces and links: every node and the control plane hang on one router namespace.

use std::process::Command;

use anyhow::{Context, Result};

use crate::addresses::Addresses;
use crate::nft::{CONTROL_PLANE_LINK, base_table};
use crate::run::{output, with_input};
use crate::state::{NodeRecord, StateDir};

/// The router's part of a namespace name.
pub(crate) const ROUTER: &str = "core";
/// The control plane's part of a namespace name.
pub(crate) const CONTROL_PLANE: &str = "cp";

/// `ip netns exec NAMESPACE …`, to be continued with a program.
pub(crate) fn inside(namespace: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]);
    command
}

/// Creates all namespaces and links.
pub(crate) fn create(state: &StateDir, addresses: Addresses, nodes: &[NodeRecord]) -> Result<()> {
    let router = state.netns(ROUTER);
    let control_plane = state.netns(CONTROL_PLANE);
    let mut global = format!("netns add {router}\nnetns add {control_plane}\n");
    global.push_str(&link_lines(&router, &control_plane, CONTROL_PLANE_LINK));
    let mut in_router = "link set lo up\n".to_owned();
    in_router.push_str(&router_lines(addresses, CONTROL_PLANE_LINK, 0));
    for node in nodes {
        let namespace = state.netns(&node.name);
        global.push_str(&format!(
            "netns add {namespace}\n{}",
            link_lines(&router, &namespace, &node.name)
        ));
        in_router.push_str(&router_lines(addresses, &node.name, node.index));
        in_router.push_str(&format!(
            "route add {} via {}\n",
            addresses.pods_of(node.index),
            addresses.host(node.index)
        ));
    }
    batch(&[], &global)?;
    batch(&["-n", &router], &in_router)?;
    forward_packets(&router)?;
    batch(&["-n", &control_plane], &host_lines(addresses, 0))?;
    for node in nodes {
        let namespace = state.netns(&node.name);
        batch(&["-n", &namespace], &host_lines(addresses, node.index))?;
        forward_packets(&namespace)?;
    }
    apply_rules(state, &base_table())
}

fn link_lines(router: &str, namespace: &str, link: &str) -> String {
    format!(
        "link add name {link} netns {router} mtu 1500 type veth peer name eth0 netns {namespace}\n"
    )
}

fn router_lines(addresses: Addresses, link: &str, index: u8) -> String {
    format!(
        "addr add {}/30 dev {link}\nlink set {link} up\n",
        addresses.router(index)
    )
}

fn host_lines(addresses: Addresses, index: u8) -> String {
    format!(
        "link set lo up\naddr add {}/30 dev eth0\nlink set eth0 up\nroute add default via {}\n",
        addresses.host(index),
        addresses.router(index)
    )
}

fn batch(options: &[&str], lines: &str) -> Result<()> {
    with_input(
        Command::new("ip").args(options).args(["-batch", "-"]),
        lines,
    )
    .map(drop)
}

fn forward_packets(namespace: &str) -> Result<()> {
    output(inside(namespace).args(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])).map(drop)
}

/// Gives nftables text to the router namespace.
pub(crate) fn apply_rules(state: &StateDir, text: &str) -> Result<()> {
    with_input(inside(&state.netns(ROUTER)).args(["nft", "-f", "-"]), text)
        .map(drop)
        .context("cannot change the rules between the zones; is the testbed up?")
}

/// Removes the links to pods that a node had before its power was cut. The kernel takes them away only some
/// time after their pods' namespaces are gone, and then each takes along the route of a pod with the same
/// address that was started meanwhile.
pub(crate) fn remove_pod_links(state: &StateDir, node: &str) -> Result<()> {
    let namespace = state.netns(node);
    let listed = output(Command::new("ip").args(["-n", &namespace, "-brief", "link"]))?;
    for link in pod_links(&listed) {
        let mut remove = Command::new("ip");
        // It may have gone by itself meanwhile.
        let _ = output(remove.args(["-n", &namespace, "link", "del", link]));
    }
    Ok(())
}

/// The names in the output of `ip -brief link`, but for the loopback and the node's own link.
fn pod_links(listed: &str) -> impl Iterator<Item = &str> {
    let names = listed
        .lines()
        .filter_map(|line| line.split(['@', ' ']).next());
    names.filter(|name| !name.is_empty() && !["lo", "eth0"].contains(name))
}

/// The namespaces of a testbed that exist.
pub(crate) fn existing(state: &StateDir) -> Vec<String> {
    let listed = output(Command::new("ip").args(["netns", "list"])).unwrap_or_default();
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with(&state.netns_prefix()))
        .map(str::to_owned)
        .collect()
}

/// Removes all namespaces of a testbed, and with them their links.
pub(crate) fn remove(state: &StateDir) -> Result<()> {
    for namespace in existing(state) {
        output(Command::new("ip").args(["netns", "del", &namespace]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_to_pods_are_those_that_are_not_the_nodes_own() {
        let listed = "lo               UNKNOWN        00:00:00:00:00:00 <LOOPBACK,UP,LOWER_UP>\n\
                      eth0@if6         UP             06:c7:2f:44:9c:f6 <BROADCAST,MULTICAST,UP>\n\
                      veth6b770c20@if2 UP             2e:4c:d0:48:6c:87 <BROADCAST,MULTICAST,UP>\n";
        assert_eq!(pod_links(listed).collect::<Vec<_>>(), ["veth6b770c20"]);
    }
}
