//! The engine under the state machine, on redb (layout "D1": the index is in
//! memory, the disk holds records by revision).
//!
//! Every commit is durable and atomic. A received snapshot becomes a new file
//! beside the old one; the file `CURRENT` says which one counts.

use crate::disk::{Disk, DiskFile, RealDisk, replace_file};
use crate::limits::{ENGINE_CACHE_BYTES, REWRITE_REST_MAX};
use bytes::Bytes;
use kvorum_mvcc::Revision;
use kvorum_mvcc::engine::{Batch, Engine, Table, View, Visit};
use redb::{
    Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageBackend, TableDefinition, TableError,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const META: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");
const LEASES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("leases");
const MEMBERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("members");
const ALARMS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("alarms");
const AUTH: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("auth");
const USERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("users");
const ROLES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("roles");

const CURRENT: &str = "CURRENT";

fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    match table {
        Table::Meta => META,
        Table::Lease => LEASES,
        Table::Member => MEMBERS,
        Table::Alarm => ALARMS,
        Table::Auth => AUTH,
        Table::User => USERS,
        Table::Role => ROLES,
    }
}

fn failed(e: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(e)
}

/// One database file.
pub struct DiskEngine {
    database: Database,
    path: PathBuf,
    sync: bool,
}

/// Opens the engine of a directory, making an empty one in an empty directory.
///
/// # Errors
/// If the file system fails or the file is damaged.
pub fn open(dir: &Path, sync: bool) -> io::Result<DiskEngine> {
    std::fs::create_dir_all(dir)?;
    let current = match std::fs::read_to_string(dir.join(CURRENT)) {
        Ok(name) => name.trim().to_owned(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let name = file_name(1);
            remove_others(dir, "")?;
            drop(DiskEngine::make(&dir.join(&name), sync)?);
            replace_file(&RealDisk { sync }, &dir.join(CURRENT), name.as_bytes())?;
            name
        }
        Err(e) => return Err(e),
    };
    remove_others(dir, &current)?;
    DiskEngine::at(&dir.join(current), sync)
}

/// Opens or makes an engine in one file of a simulated disk.
///
/// # Errors
/// If the disk fails or the file is damaged.
pub fn on_disk(disk: &dyn Disk, path: &Path) -> io::Result<DiskEngine> {
    let file = match disk.open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let file = disk.create_zeroed(path, 0)?;
            if let Some(dir) = path.parent() {
                disk.sync_dir(dir)?;
            }
            file
        }
        other => other?,
    };
    let database = Database::builder()
        .set_cache_size(ENGINE_CACHE_BYTES)
        .create_with_backend(Backend(file))
        .map_err(failed)?;
    let engine = DiskEngine {
        database,
        path: path.to_owned(),
        sync: true,
    };
    engine.commit(Batch::default())?;
    Ok(engine)
}

/// redb's file, on a disk of ours.
struct Backend(Arc<dyn DiskFile>);

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Backend")
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.0.read_at(out, offset)? == out.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(data, offset)
    }
}

/// Makes a new, empty engine beside the current one, to be filled and then [`adopt`]ed.
///
/// # Errors
/// If the file system fails.
pub fn prepare(dir: &Path, sync: bool) -> io::Result<DiskEngine> {
    let current = std::fs::read_to_string(dir.join(CURRENT))?;
    let number = current
        .trim()
        .strip_prefix("store-")
        .and_then(|rest| rest.strip_suffix(".redb"))
        .and_then(|n| n.parse::<u64>().ok())
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{CURRENT} says {current:?}"),
            )
        })?;
    let path = dir.join(file_name(number + 1));
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    DiskEngine::make(&path, sync)
}

/// Makes a prepared engine the current one. After a crash either the old or the new one is.
///
/// # Errors
/// If the file system fails.
pub fn adopt(dir: &Path, engine: &DiskEngine) -> io::Result<()> {
    let name = engine.path.file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    let disk = RealDisk { sync: engine.sync };
    replace_file(&disk, &dir.join(CURRENT), name.as_bytes())?;
    // The old file may still be read; its name goes now, its bytes with the last reader.
    remove_others(dir, &name)
}

/// Copies an engine into a new file, without the old one's gaps, and makes that the
/// current one. Half of the time the disk is left to others, unless `urgent` says
/// that something waits for the end.
///
/// # Errors
/// If the file system fails; the old one then stays.
pub fn rewrite(
    dir: &Path,
    sync: bool,
    old: &dyn Engine,
    urgent: &dyn Fn() -> bool,
) -> io::Result<Arc<dyn Engine>> {
    let new = prepare(dir, sync)?;
    let mut began = Instant::now();
    kvorum_mvcc::engine::copy(old, &new, &mut || {
        if !urgent() {
            std::thread::sleep(began.elapsed().min(REWRITE_REST_MAX));
        }
        began = Instant::now();
    })?;
    adopt(dir, &new)?;
    Ok(Arc::new(new))
}

fn file_name(number: u64) -> String {
    format!("store-{number}.redb")
}

fn remove_others(dir: &Path, keep: &str) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("store-") && name != keep {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl DiskEngine {
    fn make(path: &Path, sync: bool) -> io::Result<Self> {
        let engine = Self::at(path, sync)?;
        engine.commit(Batch::default())?;
        Ok(engine)
    }

    fn at(path: &Path, sync: bool) -> io::Result<Self> {
        let database = Database::builder()
            .set_cache_size(ENGINE_CACHE_BYTES)
            .create(path)
            .map_err(failed)?;
        Ok(Self {
            database,
            path: path.to_owned(),
            sync,
        })
    }
}

impl Engine for DiskEngine {
    fn commit(&self, batch: Batch) -> io::Result<()> {
        let mut txn = self.database.begin_write().map_err(failed)?;
        txn.set_durability(if self.sync {
            Durability::Immediate
        } else {
            Durability::None
        })
        .map_err(failed)?;
        // Opening after a crash then takes no walk over the whole file.
        txn.set_quick_repair(true);
        {
            let mut records = txn.open_table(RECORDS).map_err(failed)?;
            for (revision, record) in batch.records {
                let key = revision.to_bytes();
                match record {
                    Some(record) => records.insert(&key[..], &record[..]).map_err(failed)?,
                    None => records.remove(&key[..]).map_err(failed)?,
                };
            }
        }
        for (table, key, value) in batch.rows {
            let mut rows = txn.open_table(definition(table)).map_err(failed)?;
            match value {
                Some(value) => rows.insert(&key[..], &value[..]).map_err(failed)?,
                None => rows.remove(&key[..]).map_err(failed)?,
            };
        }
        txn.commit().map_err(failed)
    }

    fn view(&self) -> io::Result<Box<dyn View>> {
        let txn = self.database.begin_read().map_err(failed)?;
        let records = match txn.open_table(RECORDS) {
            Ok(table) => Some(table),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(e) => return Err(failed(e)),
        };
        Ok(Box::new(DiskView { txn, records }))
    }

    fn size(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |m| m.len())
    }
}

struct DiskView {
    txn: ReadTransaction,
    records: Option<ReadOnlyTable<&'static [u8], &'static [u8]>>,
}

impl View for DiskView {
    fn record(&self, revision: Revision) -> io::Result<Option<Bytes>> {
        let Some(records) = &self.records else {
            return Ok(None);
        };
        let found = records.get(&revision.to_bytes()[..]).map_err(failed)?;
        Ok(found.map(|guard| Bytes::copy_from_slice(guard.value())))
    }

    fn scan(&self, from: Revision, visit: Visit<'_>) -> io::Result<()> {
        let Some(records) = &self.records else {
            return Ok(());
        };
        for item in records.range(&from.to_bytes()[..]..).map_err(failed)? {
            let (key, value) = item.map_err(failed)?;
            let revision = Revision::from_bytes(key.value()).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a record has a key of wrong length",
                )
            })?;
            if visit(revision, value.value()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn rows(&self, table: Table) -> io::Result<Vec<(Bytes, Bytes)>> {
        let rows = match self.txn.open_table(definition(table)) {
            Ok(rows) => rows,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(e) => return Err(failed(e)),
        };
        let mut found = Vec::new();
        for item in rows.iter().map_err(failed)? {
            let (key, value) = item.map_err(failed)?;
            found.push((
                Bytes::copy_from_slice(key.value()),
                Bytes::copy_from_slice(value.value()),
            ));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(revisions: &[i64]) -> Batch {
        Batch {
            records: revisions
                .iter()
                .map(|&main| {
                    (
                        Revision { main, sub: 0 },
                        Some(Bytes::from(main.to_string())),
                    )
                })
                .collect(),
            rows: vec![(Table::Meta, Vec::new(), Some(b"meta".to_vec()))],
        }
    }

    fn seen(engine: &DiskEngine) -> Vec<i64> {
        let mut found = Vec::new();
        let view = engine.view().unwrap();
        view.scan(Revision::default(), &mut |r, _| {
            found.push(r.main);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        found
    }

    #[test]
    fn commits_are_there_after_reopening_and_views_stand_still() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path(), true).unwrap();
        engine.commit(batch(&[2, 3])).unwrap();
        let old = engine.view().unwrap();
        engine.commit(batch(&[4])).unwrap();
        assert_eq!(old.record(Revision { main: 4, sub: 0 }).unwrap(), None);
        drop(old);
        assert_eq!(seen(&engine), [2, 3, 4]);
        drop(engine);
        let engine = open(dir.path(), true).unwrap();
        assert_eq!(seen(&engine), [2, 3, 4]);
        assert_eq!(engine.view().unwrap().rows(Table::Meta).unwrap().len(), 1);
    }

    #[test]
    fn a_prepared_engine_counts_only_once_adopted() {
        let dir = tempfile::tempdir().unwrap();
        let old = open(dir.path(), true).unwrap();
        old.commit(batch(&[2])).unwrap();
        let new = prepare(dir.path(), true).unwrap();
        new.commit(batch(&[7])).unwrap();
        drop((old, new));
        let old = open(dir.path(), true).unwrap();
        assert_eq!(seen(&old), [2]);
        let new = prepare(dir.path(), true).unwrap();
        new.commit(batch(&[7])).unwrap();
        adopt(dir.path(), &new).unwrap();
        // The old one can still be read by who has it open.
        assert_eq!(seen(&old), [2]);
        drop((old, new));
        assert_eq!(seen(&open(dir.path(), true).unwrap()), [7]);
    }
}
