//! Records by revision: the newest in memory, the rest in the engine.
//!
//! Three layers, newest first: *active* takes the writes, *sealed* is on its way
//! to the disk, the engine has everything older. A layer says "removed" for a
//! record that a compaction dropped.

use crate::Revision;
use crate::engine::{Engine, View};
use bytes::Bytes;
use kvorum_proto::mvccpb::KeyValue;
use prost::Message;
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A record in memory; `None`: removed.
type Layer = BTreeMap<Revision, Option<KeyValue>>;

/// The layers above the engine.
#[derive(Default)]
pub(crate) struct Records {
    active: Layer,
    sealed: Option<Arc<Layer>>,
    active_bytes: usize,
    sealed_bytes: usize,
}

/// What memory knows of a record.
pub(crate) enum Lookup {
    Here(KeyValue),
    Removed,
    /// Ask the engine.
    Below,
}

fn damaged(revision: Revision, what: &str) -> io::Error {
    let reason = format!("record {}.{} {what}", revision.main, revision.sub);
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// A record's bytes.
pub(crate) fn encode(record: &KeyValue) -> Bytes {
    record.encode_to_vec().into()
}

/// The inverse of [`encode`].
pub(crate) fn decode(revision: Revision, data: Bytes) -> io::Result<KeyValue> {
    KeyValue::decode(data).map_err(|_| damaged(revision, "is damaged"))
}

/// Reads a record that must be there from a view.
pub(crate) fn fetch(view: &dyn View, revision: Revision) -> io::Result<KeyValue> {
    let data = view.record(revision)?;
    decode(
        revision,
        data.ok_or_else(|| damaged(revision, "is missing"))?,
    )
}

impl Records {
    pub(crate) fn put(&mut self, revision: Revision, record: KeyValue) {
        self.active_bytes += record.key.len() + record.value.len() + 128;
        self.active.insert(revision, Some(record));
    }

    pub(crate) fn remove(&mut self, revision: Revision) {
        self.active_bytes += 64;
        self.active.insert(revision, None);
    }

    /// A copy of this moment; values are shared.
    pub(crate) fn frozen(&self) -> Self {
        Self {
            active: self.active.clone(),
            sealed: self.sealed.clone(),
            ..Self::default()
        }
    }

    pub(crate) fn lookup(&self, revision: Revision) -> Lookup {
        let layers = [Some(&self.active), self.sealed.as_deref()];
        for layer in layers.into_iter().flatten() {
            match layer.get(&revision) {
                Some(Some(record)) => return Lookup::Here(record.clone()),
                Some(None) => return Lookup::Removed,
                None => {}
            }
        }
        Lookup::Below
    }

    /// Bytes that wait for a durable point.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.active_bytes + self.sealed_bytes
    }

    /// Turns the active layer into the sealed one, to be made durable.
    /// Must not be called again before [`Records::unseal`].
    pub(crate) fn seal(&mut self) -> Arc<Layer> {
        let layer = Arc::new(std::mem::take(&mut self.active));
        self.sealed_bytes = std::mem::take(&mut self.active_bytes);
        self.sealed = Some(layer.clone());
        layer
    }

    /// The sealed layer is in the engine now.
    pub(crate) fn unseal(&mut self) {
        self.sealed = None;
        self.sealed_bytes = 0;
    }

    /// Records from `from` on, in order, over all layers. `view` must be at least
    /// as new as the last [`Records::unseal`].
    pub(crate) fn scan(
        &self,
        view: &dyn View,
        from: Revision,
        visit: &mut dyn FnMut(Revision, KeyValue) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let mut above: BTreeMap<Revision, &Option<KeyValue>> = BTreeMap::new();
        if let Some(sealed) = &self.sealed {
            above.extend(sealed.range(from..).map(|(r, v)| (*r, v)));
        }
        above.extend(self.active.range(from..).map(|(r, v)| (*r, v)));
        let mut above = above.into_iter().peekable();
        let mut failed = None;
        let mut ended = false;
        view.scan(from, &mut |revision, data| {
            while let Some((r, record)) = above.next_if(|(r, _)| *r < revision) {
                if let Some(record) = record
                    && visit(r, record.clone()).is_break()
                {
                    ended = true;
                    return ControlFlow::Break(());
                }
            }
            let shadow = above.next_if(|(r, _)| *r == revision);
            let record = match shadow {
                Some((_, None)) => return ControlFlow::Continue(()),
                Some((_, Some(record))) => record.clone(),
                None => match decode(revision, Bytes::copy_from_slice(data)) {
                    Ok(record) => record,
                    Err(e) => {
                        failed = Some(e);
                        return ControlFlow::Break(());
                    }
                },
            };
            let flow = visit(revision, record);
            ended = flow.is_break();
            flow
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        if ended {
            return Ok(());
        }
        for (r, record) in above {
            if let Some(record) = record
                && visit(r, record.clone()).is_break()
            {
                break;
            }
        }
        Ok(())
    }
}

/// Opens a view only when the first record is not in memory.
pub(crate) struct LazyView {
    engine: Arc<dyn Engine>,
    view: Option<Box<dyn View>>,
}

impl LazyView {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, view: None }
    }

    pub(crate) fn get(&mut self) -> io::Result<&dyn View> {
        if self.view.is_none() {
            self.view = Some(self.engine.view()?);
        }
        match &self.view {
            Some(view) => Ok(view.as_ref()),
            None => Err(io::Error::other("no view")),
        }
    }

    /// A record that must be there.
    pub(crate) fn record(&mut self, records: &Records, revision: Revision) -> io::Result<KeyValue> {
        match records.lookup(revision) {
            Lookup::Here(record) => Ok(record),
            Lookup::Removed => Err(damaged(revision, "was removed while needed")),
            Lookup::Below => fetch(self.get()?, revision),
        }
    }
}
