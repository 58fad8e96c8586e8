//! One `go build`, into a temporary directory that is renamed when it is whole, showing how far it is.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::catalog::Spec;
use crate::limits::PROGRESS;
use crate::preflight::check_go;
use crate::state::{make_dir, write};

/// Lines of the compiler's output that an error shows.
const SHOWN_LINES: usize = 30;

pub(super) fn is_built(spec: &Spec, root: &Path) -> bool {
    root.join(spec.directory_name()).exists()
}

/// The directory of the built set; builds it first if it is not there.
pub(super) fn ensure(spec: &Spec, root: &Path) -> Result<PathBuf> {
    cached(root, &spec.directory_name(), spec.title, |partial| {
        check_go()?;
        build(spec, partial)
    })
}

/// A directory of the cache. It is made once, under another name until it is whole, whoever else wants it meanwhile;
/// `make` gives the part of what it was given that is to be kept.
pub(super) fn cached(
    root: &Path,
    name: &str,
    title: &str,
    make: impl FnOnce(&Path) -> Result<PathBuf>,
) -> Result<PathBuf> {
    let directory = root.join(name);
    if directory.exists() {
        return Ok(directory);
    }
    make_dir(root)?;
    let lock_file = root.join(format!("{name}.lock"));
    let lock = File::create(&lock_file)
        .with_context(|| format!("cannot create {}", lock_file.display()))?;
    if lock.try_lock().is_err() {
        eprintln!("waiting for another process that builds {title}");
        lock.lock()
            .with_context(|| format!("cannot lock {}", lock_file.display()))?;
    }
    if directory.exists() {
        return Ok(directory);
    }
    let partial = root.join(format!("{name}.partial"));
    fs::remove_dir_all(&partial).ok();
    make_dir(&partial)?;
    let made = make(&partial)?;
    fs::rename(&made, &directory).with_context(|| {
        format!(
            "cannot rename {} to {}",
            made.display(),
            directory.display()
        )
    })?;
    fs::remove_dir_all(&partial).ok();
    Ok(directory)
}

fn build(spec: &Spec, partial: &Path) -> Result<PathBuf> {
    let (source, programs) = (partial.join("src"), partial.join("bin"));
    make_dir(&source)?;
    make_dir(&programs)?;
    for (name, text) in &spec.files {
        write(&source.join(name), text)?;
    }
    run_go(spec, &source, &programs)?;
    for (from, to) in spec.renames {
        fs::rename(programs.join(from), programs.join(to))
            .with_context(|| format!("{} did not build {from}", spec.title))?;
    }
    if let Some((module, from)) = spec.copies {
        copy_yaml(&module_directory(module, &source)?.join(from), &programs)?;
    }
    Ok(programs)
}

/// Where Go keeps the source of a module that was built from.
fn module_directory(module: &str, source: &Path) -> Result<PathBuf> {
    let output = Command::new("go")
        .current_dir(source)
        .args(["list", "-m", "-f", "{{.Dir}}", module])
        .env("GOFLAGS", "")
        .env("GOWORK", "off")
        .output()
        .context("cannot run go")?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || said.is_empty() {
        bail!("go does not say where {module} is ({})", output.status);
    }
    Ok(PathBuf::from(said))
}

fn copy_yaml(from: &Path, to: &Path) -> Result<()> {
    let listed = fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))?;
    for entry in listed {
        let path = entry?.path();
        let (true, Some(name)) = (path.extension() == Some("yaml".as_ref()), path.file_name())
        else {
            continue;
        };
        // Not a copy of the file: Go's cache is read-only, and this is to be removed some day.
        write(&to.join(name), &fs::read_to_string(&path)?)?;
    }
    Ok(())
}

fn run_go(spec: &Spec, source: &Path, programs: &Path) -> Result<()> {
    let mut child = Command::new("go")
        .current_dir(source)
        .args([
            "build",
            "-v",
            "-trimpath",
            "-ldflags",
            spec.link_flags,
            "-o",
        ])
        .arg(format!("{}/", programs.display()))
        .arg(spec.target)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "")
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run go")?;
    let stderr = child.stderr.take().context("go has no standard error")?;
    let (sender, receiver) = channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut progress = Progress::new(spec);
    let mut last_lines = VecDeque::new();
    loop {
        match receiver.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                progress.line(&line);
                last_lines.push_back(line);
                if last_lines.len() > SHOWN_LINES {
                    last_lines.pop_front();
                }
            }
            Err(RecvTimeoutError::Timeout) => progress.show(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    reader.join().ok();
    let status = child.wait().context("cannot wait for go")?;
    if !status.success() {
        let said: Vec<String> = last_lines.into();
        bail!(
            "building {} failed ({status}); the compiler's last lines:\n{}",
            spec.title,
            said.join("\n")
        );
    }
    progress.end();
    Ok(())
}

/// The line that says how far a build is.
struct Progress<'a> {
    spec: &'a Spec,
    start: Instant,
    shown: Instant,
    compiled: u32,
    downloaded: u32,
    terminal: bool,
}

impl<'a> Progress<'a> {
    fn new(spec: &'a Spec) -> Self {
        let now = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        eprintln!(
            "building {} (about {} CPU-seconds if nothing of it is cached)",
            spec.title, spec.cpu_seconds
        );
        Self {
            spec,
            start: now,
            shown: now,
            compiled: 0,
            downloaded: 0,
            terminal,
        }
    }

    fn line(&mut self, line: &str) {
        if line.starts_with("go: downloading") {
            self.downloaded += 1;
        } else if !line.starts_with("go: ") {
            self.compiled += 1;
        }
        self.show();
    }

    fn show(&mut self) {
        let pause = if self.terminal {
            Duration::from_millis(500)
        } else {
            PROGRESS
        };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let text = self.text();
        if self.terminal {
            eprint!("\r\x1b[K{text}");
        } else {
            eprintln!("{text}");
        }
    }

    fn text(&self) -> String {
        let seconds = self.start.elapsed().as_secs();
        if self.compiled == 0 && self.downloaded > 0 {
            return format!(
                "  {}: {} modules downloaded, {seconds} s",
                self.spec.title, self.downloaded
            );
        }
        format!(
            "  {}: {} of at most {} packages compiled, {seconds} s",
            self.spec.title, self.compiled, self.spec.packages
        )
    }

    fn end(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
        eprintln!(
            "built {} in {} s",
            self.spec.title,
            self.start.elapsed().as_secs()
        );
    }
}
