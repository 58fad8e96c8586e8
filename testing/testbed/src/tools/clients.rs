//! Clients of etcd in other languages than Go, each with the session that it plays in tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::build::cached;
use super::catalog::directory_name;
use crate::debian;
use crate::run;
use crate::state::{cache_root, make_dir, write};

/// What a virtual environment is installed from: every package by its exact version.
const REQUIREMENTS: &str = include_str!("../../clients/python/requirements.txt");
const RUST: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("../../clients/rust/Cargo.toml")),
    ("Cargo.lock", include_str!("../../clients/rust/Cargo.lock")),
    (
        "src/main.rs",
        include_str!("../../clients/rust/src/main.rs"),
    ),
];

/// The Python that has the client etcd3.
///
/// # Errors
/// If there is no Python 3 that makes virtual environments, or the packages cannot be had.
pub fn ensure_python() -> Result<PathBuf> {
    let title = "the Python client";
    let name = directory_name("python-client", [REQUIREMENTS]);
    let made = cached(&cache_root().join("tools"), &name, title, |partial| {
        eprintln!("installing {title}");
        let python = debian::find_program("python3")
            .context("there is no python3 on PATH: install Python 3 with its module venv (Debian: python3-venv)")?;
        let requirements = partial.join("requirements.txt");
        write(&requirements, REQUIREMENTS)?;
        let environment = partial.join("environment");
        run::output(Command::new(python).args(["-m", "venv"]).arg(&environment))?;
        run::output(
            Command::new(environment.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--requirement",
                ])
                .arg(&requirements),
        )?;
        Ok(environment)
    })?;
    Ok(made.join("bin/python"))
}

/// The program that plays the session of the Rust client etcd-client.
///
/// # Errors
/// If protoc cannot be installed or the build fails.
pub fn ensure_rust() -> Result<PathBuf> {
    let title = "the Rust client";
    let name = directory_name(
        "rust-client",
        RUST.iter().flat_map(|(name, text)| [*name, *text]),
    );
    let made = cached(&cache_root().join("tools"), &name, title, |partial| {
        eprintln!("building {title} (about 60 CPU-seconds)");
        debian::install_protoc()?;
        let source = partial.join("source");
        make_dir(&source.join("src"))?;
        for (name, text) in RUST {
            write(&source.join(name), text)?;
        }
        let target = partial.join("target");
        run::output(
            Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
                .current_dir(&source)
                .args(["build", "--quiet", "--release", "--locked", "--target-dir"])
                .arg(&target),
        )?;
        let programs = partial.join("programs");
        make_dir(&programs)?;
        std::fs::copy(
            target.join("release/rust-client"),
            programs.join("rust-client"),
        )?;
        Ok(programs)
    })?;
    Ok(made.join("rust-client"))
}

/// The session that [`ensure_python`]'s program is given.
#[must_use]
pub fn python_session() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python/session.py")
}
