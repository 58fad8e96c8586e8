//! Control groups of a testbed, in every cgroup v1 hierarchy: the place where its processes are found and ended.
//!
//! Every process of a testbed lives in a group below `kvorum-testbed/<name>/`, so no list of process ids is needed:
//! a leftover of a crashed run is found by its group. Power-off = freeze the group, SIGKILL all, thaw: everything dies
//! at one moment, as with a real machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::limits::{FREEZE, KILL, POLL};
use crate::run::wait_until;
use crate::state::make_dir;

const ROOT: &str = "kvorum-testbed";

/// The directories, one a hierarchy, in which a testbed of this name has its groups when this process starts it.
pub(crate) fn bases_for(name: &str) -> Result<Vec<PathBuf>> {
    let own = fs::read_to_string("/proc/self/cgroup").context("cannot read /proc/self/cgroup")?;
    let bases: Vec<PathBuf> = hierarchies(&own)
        .into_iter()
        .map(|(mount, path)| below(&mount, &path).join(ROOT).join(name))
        .collect();
    Ok(bases
        .into_iter()
        .filter(|base| base.ancestors().nth(2).is_some_and(Path::exists))
        .collect())
}

/// Groups of a testbed wherever an earlier process may have put them: below any group of any v1 hierarchy.
pub(crate) fn find_leftovers(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(mounts) = fs::read_dir("/sys/fs/cgroup") else {
        return found;
    };
    for mount in mounts
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && !path.is_symlink())
    {
        search(&mount, name, 4, &mut found);
    }
    found
}

fn search(directory: &Path, name: &str, depth: u8, found: &mut Vec<PathBuf>) {
    let candidate = directory.join(ROOT).join(name);
    if candidate.is_dir() {
        found.push(candidate);
    }
    if depth == 0 {
        return;
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name() != ROOT && entry.path().is_dir() {
            search(&entry.path(), name, depth - 1, found);
        }
    }
}

/// The v1 hierarchies of a process: mount directory and the process's path in it.
fn hierarchies(own: &str) -> Vec<(PathBuf, String)> {
    own.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let controllers = parts.next().filter(|names| !names.is_empty())?;
            let path = parts.next()?;
            let mount = Path::new("/sys/fs/cgroup").join(controllers.trim_start_matches("name="));
            Some((mount, path.to_owned()))
        })
        .collect()
}

fn below(mount: &Path, path: &str) -> PathBuf {
    mount.join(path.trim_start_matches('/'))
}

/// Creates the group `group` in all hierarchies and gives its directories.
pub(crate) fn create(bases: &[PathBuf], group: &str) -> Result<Vec<PathBuf>> {
    let mut groups = Vec::new();
    for base in bases {
        let directory = base.join(group);
        make_dir(&directory)?;
        // A new cpuset group has no CPUs, and a process cannot enter it, until the parent's are copied.
        let parents = [
            base.parent(),
            Some(base.as_path()),
            Some(directory.as_path()),
        ];
        for level in parents.into_iter().flatten() {
            inherit_cpuset(level)?;
        }
        groups.push(directory);
    }
    Ok(groups)
}

fn inherit_cpuset(directory: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let Ok(own) = fs::read_to_string(directory.join(file)) else {
            return Ok(());
        };
        let Some(parent) = directory.parent().filter(|_| own.trim().is_empty()) else {
            continue;
        };
        let inherited = fs::read_to_string(parent.join(file))
            .with_context(|| format!("cannot read {}", parent.display()))?;
        crate::state::write(&directory.join(file), inherited.trim())?;
    }
    Ok(())
}

/// Moves this process into the groups.
pub(crate) fn enter(groups: &[PathBuf]) -> Result<()> {
    for group in groups {
        crate::state::write(&group.join("cgroup.procs"), &std::process::id().to_string())?;
    }
    Ok(())
}

/// All processes in a group and below it.
pub(crate) fn processes(group: &Path) -> Vec<i32> {
    let mut ids: Vec<i32> = fs::read_to_string(group.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    for child in children(group) {
        ids.extend(processes(&child));
    }
    ids
}

/// When a process started, in ticks since the machine did: tells it from a later one with the same id.
fn birth(id: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(19).map(str::to_owned)
}

fn children(group: &Path) -> Vec<PathBuf> {
    fs::read_dir(group)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// The freezer hierarchy's directory among those of a testbed.
pub(crate) fn freezer(bases: &[PathBuf]) -> Result<&PathBuf> {
    bases
        .iter()
        .find(|base| base.starts_with("/sys/fs/cgroup/freezer"))
        .context("the testbed has no group in the freezer hierarchy; take it down and up again")
}

/// Stops every process of a freezer group where it stands.
pub(crate) fn freeze(group: &Path) -> Result<()> {
    set_frozen(group, "FROZEN")
}

/// Lets them go on.
pub(crate) fn thaw(group: &Path) -> Result<()> {
    set_frozen(group, "THAWED")
}

/// Whether the group is frozen or on its way to be.
pub(crate) fn is_frozen(group: &Path) -> bool {
    fs::read_to_string(group.join("freezer.state")).is_ok_and(|state| state.trim() != "THAWED")
}

fn set_frozen(group: &Path, wanted: &str) -> Result<()> {
    let file = group.join("freezer.state");
    wait_until(
        &format!("{} being {wanted}", group.display()),
        FREEZE,
        || {
            // Written again each time: a group that forks while it freezes stays in FREEZING until asked once more.
            fs::write(&file, wanted).is_ok()
                && fs::read_to_string(&file).is_ok_and(|state| state.trim() == wanted)
        },
    )
}

/// Ends all processes of a freezer group at one moment.
pub(crate) fn power_off(group: &Path) -> Result<()> {
    if !group.exists() {
        return Ok(());
    }
    let mut killed = BTreeMap::new();
    freeze(group).ok();
    signal_all(group, &mut killed);
    thaw_tree(group);
    wait_until(
        &format!("the end of the processes in {}", group.display()),
        KILL,
        || {
            // Also those that were born between the look and the freeze.
            signal_all(group, &mut killed);
            // A process leaves its group before it closes its files: only when its entry is gone do its ports no longer answer.
            killed.retain(|id, born| birth(*id).as_ref() == Some(born));
            killed.is_empty() && processes(group).is_empty()
        },
    )
}

fn signal_all(group: &Path, killed: &mut BTreeMap<i32, String>) {
    for id in processes(group) {
        if let Some(born) = birth(id) {
            kill(Pid::from_raw(id), Signal::SIGKILL).ok();
            killed.insert(id, born);
        }
    }
}

/// A group frozen on its own below (a paused pod) would never see its SIGKILL.
fn thaw_tree(group: &Path) {
    thaw(group).ok();
    for child in children(group) {
        thaw_tree(&child);
    }
}

/// Removes the groups below a directory; a power-off loses those too, and leftovers cost kubelet seconds each.
pub(crate) fn remove_below(group: &Path) -> Result<()> {
    let end = Instant::now() + KILL;
    for child in children(group) {
        remove_below(&child)?;
        // The kernel lets a group go only a moment after its last process.
        while let Err(error) = fs::remove_dir(&child) {
            if !child.exists() {
                break;
            }
            if Instant::now() >= end {
                bail!(
                    "cannot remove the control group {}: {error}",
                    child.display()
                );
            }
            std::thread::sleep(POLL);
        }
    }
    Ok(())
}

/// Removes a testbed's groups altogether, and the common parent when it was the last.
pub(crate) fn remove(base: &Path) -> Result<()> {
    remove_below(base)?;
    if base.exists() {
        fs::remove_dir(base)
            .with_context(|| format!("cannot remove the control group {}", base.display()))?;
    }
    if let Some(parent) = base.parent() {
        fs::remove_dir(parent).ok();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_read_and_v2_is_left_out() {
        let own = "9:name=systemd:/\n4:memory:/a/b\n2:cpu,cpuacct:/\n0::/x\n";
        let expected = [("systemd", "/"), ("memory", "/a/b"), ("cpu,cpuacct", "/")]
            .map(|(mount, path)| (Path::new("/sys/fs/cgroup").join(mount), path.to_owned()));
        assert_eq!(hierarchies(own), expected);
        assert_eq!(below(Path::new("/m"), "/a/b"), Path::new("/m/a/b"));
    }
}
