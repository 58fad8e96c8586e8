//! Images of our programs: the program, the shared objects it needs, CA certificates, one unprivileged user.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use kvorum_testbed::oci::{Entry, Image, write_archive};

use crate::workspace::{Programs, VERSION, target_directory};

/// The programs that have images.
pub(crate) const PROGRAMS: [&str; 2] = ["kvorum-node", "kvorum-operator"];

const USER: u64 = 65532;
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The name of a program's image.
pub(crate) fn image_name(program: &str) -> String {
    format!("kvorum.dev/{program}:{VERSION}")
}

/// `cargo xtask image`.
pub(crate) fn run(out: Option<&Path>) -> Result<()> {
    let programs = Programs::build(&PROGRAMS)?;
    for archive in write(&programs, out)? {
        println!("{}", archive.display());
    }
    eprintln!(
        "load them with `docker load -i FILE`, `podman load -i FILE`, `kind load image-archive FILE` or `ctr images import FILE`"
    );
    Ok(())
}

/// Packs the built programs and gives the archives' paths.
pub(crate) fn write(programs: &Programs, out: Option<&Path>) -> Result<Vec<PathBuf>> {
    let directory = match out {
        Some(given) => given.to_path_buf(),
        None => target_directory()?.join("images"),
    };
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    PROGRAMS
        .iter()
        .map(|program| {
            let archive = directory.join(format!("{program}.tar"));
            write_archive(&image(program, &programs.path(program))?, &archive)?;
            Ok(archive)
        })
        .collect()
}

fn image(program: &str, file: &Path) -> Result<Image> {
    let entry = format!("usr/bin/{program}");
    let mut files = vec![
        Entry::file(
            "etc/passwd",
            0o644,
            format!("root:x:0:0::/:/\nkvorum:x:{USER}:{USER}::/:/\n").into_bytes(),
        ),
        Entry::file(
            "etc/group",
            0o644,
            format!("root:x:0:\nkvorum:x:{USER}:\n").into_bytes(),
        ),
        Entry::file("etc/nsswitch.conf", 0o644, b"hosts: files dns\n".to_vec()),
        Entry::file(&entry, 0o755, without_debug_information(file)?),
    ];
    if Path::new(CERTIFICATES).exists() {
        files.push(Entry::file(
            CERTIFICATES.trim_start_matches('/'),
            0o644,
            read(Path::new(CERTIFICATES))?,
        ));
    }
    for object in shared_objects(file)? {
        files.push(Entry::file(
            object.trim_start_matches('/'),
            0o755,
            read(Path::new(&object))?,
        ));
    }
    let mut entries = directories(&files);
    entries.push(Entry::directory("tmp", 0o1777, 0));
    entries.push(Entry::directory("var", 0o755, 0));
    entries.push(Entry::directory("var/lib", 0o755, 0));
    entries.push(Entry::directory("var/lib/kvorum", 0o755, USER));
    entries.extend(files);
    Ok(Image {
        name: image_name(program),
        entries,
        entrypoint: vec![format!("/{entry}")],
        user: format!("{USER}:{USER}"),
    })
}

/// The program as it goes into an image: debug information is two thirds of it and of use only beside the sources.
fn without_debug_information(file: &Path) -> Result<Vec<u8>> {
    let stripped = file.with_extension("stripped");
    let strip = Command::new("strip")
        .arg("--strip-debug")
        .arg("-o")
        .arg(&stripped)
        .arg(file)
        .status();
    if strip.is_ok_and(|status| status.success()) {
        return read(&stripped);
    }
    eprintln!(
        "`strip` (package binutils) is missing: the image of {} is larger than it need be",
        file.display()
    );
    read(file)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Every directory above the files, parents first.
fn directories(files: &[Entry]) -> Vec<Entry> {
    let above: BTreeSet<String> = files
        .iter()
        .flat_map(|file| {
            Path::new(&file.path)
                .ancestors()
                .skip(1)
                .map(|path| path.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        })
        .filter(|path| !path.is_empty())
        .collect();
    above
        .iter()
        .map(|path| Entry::directory(path, 0o755, 0))
        .collect()
}

/// What the dynamic linker would load, and the linker itself.
fn shared_objects(program: &Path) -> Result<Vec<String>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("not found") {
        bail!(
            "{} needs shared objects that are not on this machine:\n{text}",
            program.display()
        );
    }
    Ok(objects_in(&text))
}

fn objects_in(ldd: &str) -> Vec<String> {
    let path = |line: &str| {
        let target = line.split("=>").last()?;
        target
            .split_whitespace()
            .next()
            .filter(|word| word.starts_with('/'))
            .map(str::to_owned)
    };
    ldd.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_is_read() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibgcc_s.so.1 => /lib/x86_64-linux-gnu/libgcc_s.so.1 (0x00007f)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libgcc_s.so.1",
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(objects_in(text), expected);
        assert!(objects_in("\tstatically linked\n").is_empty());
    }

    #[test]
    fn parents_come_first() {
        let files = [Entry::file("usr/bin/x", 0o755, Vec::new())];
        let paths: Vec<String> = directories(&files)
            .into_iter()
            .map(|entry| entry.path)
            .collect();
        assert_eq!(paths, ["usr", "usr/bin"]);
    }
}
