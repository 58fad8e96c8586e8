//! Benchmarks beside etcd.
