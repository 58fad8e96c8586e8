//! The tables of docs/failure-modes.md: written by the tests that see what they say.
//!
//! A test gives its whole table to [`write`]. It goes into the file that
//! `KVORUM_FAILURE_MODES` names, between the marks of its section; without the variable it
//! is only printed.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// A table.
#[derive(Debug, Default)]
pub struct Table {
    lines: Vec<String>,
}

impl Table {
    /// With these headings.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        let rule = headings.iter().map(|_| "---").collect::<Vec<_>>();
        let mut table = Self::default();
        table.row(headings);
        table.row(&rule);
        table
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[impl AsRef<str>]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        self.lines.push(format!("| {} |", cells.join(" | ")));
    }

    /// Prints it, and writes it into its section if that is asked for.
    ///
    /// # Panics
    /// If the file has no such section or cannot be written.
    pub fn write(&self, section: &str) {
        let text = self.lines.join("\n");
        println!("{text}");
        if let Some(path) = std::env::var_os("KVORUM_FAILURE_MODES") {
            put(Path::new(&path), section, &text);
        }
    }
}

fn put(path: &Path, section: &str, text: &str) {
    let shown = path.display();
    // Tests of one program may run side by side.
    let lock = File::open(path).unwrap_or_else(|e| panic!("cannot open {shown}: {e}"));
    lock.lock()
        .unwrap_or_else(|e| panic!("cannot lock {shown}: {e}"));
    let page = std::fs::read_to_string(path);
    let page = page.unwrap_or_else(|e| panic!("cannot read {shown}: {e}"));
    let page = replaced(&page, section, text);
    let page = page.unwrap_or_else(|| panic!("{shown} has no section {section}"));
    std::fs::write(path, page).unwrap_or_else(|e| panic!("cannot write {shown}: {e}"));
}

/// The page with the text between a section's marks replaced. Pure.
fn replaced(page: &str, section: &str, text: &str) -> Option<String> {
    let (start, end) = (
        format!("<!-- {section} -->\n"),
        format!("\n<!-- end of {section} -->"),
    );
    let (before, rest) = page.split_once(&start)?;
    let after = &rest[rest.find(end.trim_start())? + end.trim_start().len()..];
    Some(format!("{before}{start}{text}{end}{after}"))
}

/// A time as the tables show it.
#[must_use]
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let page =
            "x\n<!-- one -->\n<!-- end of one -->\ny\n<!-- two -->\nold\n<!-- end of two -->\nz\n";
        let page = replaced(page, "one", "1").unwrap();
        let page = replaced(&page, "two", "2").unwrap();
        assert_eq!(
            page,
            "x\n<!-- one -->\n1\n<!-- end of one -->\ny\n<!-- two -->\n2\n<!-- end of two -->\nz\n"
        );
        assert_eq!(replaced(&page, "three", ""), None);
    }
}
