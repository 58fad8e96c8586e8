//! What the kernel says of this process.

/// Name, help and value; what cannot be read is left out.
pub(super) fn gauges() -> Vec<(&'static str, &'static str, i64)> {
    let mut found = Vec::new();
    if let Some(bytes) = resident_bytes() {
        found.push(("process_resident_memory_bytes", "Bytes in memory", bytes));
    }
    if let Some(open) = open_files() {
        found.push(("process_open_fds", "Open file descriptors", open));
        found.push(("os_fd_used", "Open file descriptors", open));
    }
    if let Some(limit) = file_limit() {
        found.push(("process_max_fds", "Most open file descriptors", limit));
        found.push(("os_fd_limit", "Most open file descriptors", limit));
    }
    found
}

fn resident_bytes() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

fn open_files() -> Option<i64> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
    i64::try_from(open).ok()
}

fn file_limit() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
