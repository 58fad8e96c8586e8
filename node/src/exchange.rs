//! Data out to etcd's tools, and in from them.
//!
//! Out: a snapshot as the bbolt file that `etcdutl snapshot restore` takes. In: a data
//! directory that it made; that, and nothing else of an etcd's, since a running etcd's
//! own log may hold acknowledged writes that its database does not.

mod etcd_log;
mod export;
mod import;

pub use export::export;
pub use import::{Error, Imported, import, is_restored};
