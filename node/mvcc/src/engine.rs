//! What the state machine asks of the disk below it.
//!
//! An engine holds records by revision and a few small tables of rows. A batch
//! becomes durable as a whole or not at all; a view is one consistent moment.

use crate::Revision;
use crate::limits::{COPY_BYTES, COPY_RECORDS};
use bytes::Bytes;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The small tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One row: the store's own position.
    Meta,
    /// Lease ID → lease.
    Lease,
    /// Member ID → attributes.
    Member,
    /// Member ID and kind → alarm.
    Alarm,
    /// One row: whether authentication is on, and its revision.
    Auth,
    /// Name → user.
    User,
    /// Name → role.
    Role,
}

/// A change of one row; `None` removes it.
pub type Row = (Table, Vec<u8>, Option<Vec<u8>>);

/// What one durable point adds.
#[derive(Debug, Default)]
pub struct Batch {
    /// Records by revision, encoded; `None` removes one.
    pub records: Vec<(Revision, Option<Bytes>)>,
    /// Rows of the small tables.
    pub rows: Vec<Row>,
}

/// Called for each record of a scan; breaks to end it.
pub type Visit<'a> = &'a mut dyn FnMut(Revision, &[u8]) -> ControlFlow<()>;

/// One consistent moment of an engine.
pub trait View: Send {
    /// A record.
    ///
    /// # Errors
    /// If the disk fails or what it holds is damaged.
    fn record(&self, revision: Revision) -> io::Result<Option<Bytes>>;

    /// Records from `from` on, in order.
    ///
    /// # Errors
    /// As for [`View::record`].
    fn scan(&self, from: Revision, visit: Visit<'_>) -> io::Result<()>;

    /// All rows of a small table, in order of their keys.
    ///
    /// # Errors
    /// As for [`View::record`].
    fn rows(&self, table: Table) -> io::Result<Vec<(Bytes, Bytes)>>;
}

/// Something that keeps batches.
pub trait Engine: Send + Sync + 'static {
    /// Returns once the whole batch survives a power cut.
    ///
    /// # Errors
    /// If the disk fails; the caller must then stop, since what is durable is unknown.
    fn commit(&self, batch: Batch) -> io::Result<()>;

    /// The present moment.
    ///
    /// # Errors
    /// As for [`View::record`].
    fn view(&self) -> io::Result<Box<dyn View>>;

    /// Bytes that it takes on disk.
    fn size(&self) -> u64;
}

/// All tables there are.
pub const TABLES: [Table; 7] = [
    Table::Meta,
    Table::Lease,
    Table::Member,
    Table::Alarm,
    Table::Auth,
    Table::User,
    Table::Role,
];

/// Fills an empty engine with what another one holds at this moment, in batches of
/// at most [`COPY_BYTES`] and one record; `rest` is called after each that is not the last.
///
/// # Errors
/// If either fails; the empty one is then partly filled.
pub fn copy(from: &dyn Engine, to: &dyn Engine, rest: &mut dyn FnMut()) -> io::Result<()> {
    let view = from.view()?;
    let mut batch = Batch::default();
    let mut bytes = 0;
    let mut failed = None;
    view.scan(Revision::default(), &mut |revision, data| {
        let data = Bytes::copy_from_slice(data);
        bytes += data.len();
        batch.records.push((revision, Some(data)));
        if bytes >= COPY_BYTES || batch.records.len() >= COPY_RECORDS {
            bytes = 0;
            if let Err(error) = to.commit(std::mem::take(&mut batch)) {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            rest();
        }
        ControlFlow::Continue(())
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    for table in TABLES {
        for (key, value) in view.rows(table)? {
            batch.rows.push((table, key.to_vec(), Some(value.to_vec())));
        }
    }
    to.commit(batch)
}

type Tables = (BTreeMap<Revision, Bytes>, BTreeMap<(Table, Vec<u8>), Bytes>);

/// An engine in memory: for tests, and as the oracle that other engines are compared with.
#[derive(Default)]
pub struct MemoryEngine {
    tables: RwLock<Arc<Tables>>,
}

struct MemoryView(Arc<Tables>);

impl Engine for MemoryEngine {
    fn commit(&self, batch: Batch) -> io::Result<()> {
        let mut tables = self.tables.write();
        let (records, rows) = Arc::make_mut(&mut tables);
        for (revision, record) in batch.records {
            match record {
                Some(record) => records.insert(revision, record),
                None => records.remove(&revision),
            };
        }
        for (table, key, value) in batch.rows {
            match value {
                Some(value) => rows.insert((table, key), value.into()),
                None => rows.remove(&(table, key)),
            };
        }
        Ok(())
    }

    fn view(&self) -> io::Result<Box<dyn View>> {
        Ok(Box::new(MemoryView(self.tables.read().clone())))
    }

    fn size(&self) -> u64 {
        let tables = self.tables.read();
        tables.0.values().map(|r| r.len() as u64 + 16).sum()
    }
}

impl View for MemoryView {
    fn record(&self, revision: Revision) -> io::Result<Option<Bytes>> {
        Ok(self.0.0.get(&revision).cloned())
    }

    fn scan(&self, from: Revision, visit: Visit<'_>) -> io::Result<()> {
        for (revision, record) in self.0.0.range(from..) {
            if visit(*revision, record).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn rows(&self, table: Table) -> io::Result<Vec<(Bytes, Bytes)>> {
        let rows = self.0.1.iter().filter(|((t, _), _)| *t == table);
        Ok(rows
            .map(|((_, key), value)| (Bytes::from(key.clone()), value.clone()))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_copied_whole_and_in_small_batches() {
        let from = MemoryEngine::default();
        let value = Bytes::from(vec![7; COPY_BYTES / 4]);
        let small = Bytes::from_static(b"small");
        let records = (0..10).map(|main| (Revision { main, sub: 0 }, Some(value.clone())));
        let many = 10..10 + i64::try_from(COPY_RECORDS).unwrap();
        let smaller = many.map(|main| (Revision { main, sub: 0 }, Some(small.clone())));
        let batch = Batch {
            records: records.chain(smaller).collect(),
            rows: vec![(Table::Meta, Vec::new(), Some(b"meta".to_vec()))],
        };
        from.commit(batch).unwrap();
        let to = MemoryEngine::default();
        // What was durable each time that the copy rested.
        let mut there = Vec::new();
        copy(&from, &to, &mut || there.push(to.tables.read().0.len())).unwrap();
        assert_eq!(there, [4, 8, 8 + COPY_RECORDS]);
        assert_eq!(*to.tables.read(), *from.tables.read());
    }
}
