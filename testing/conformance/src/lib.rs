//! The etcd API suite, generic over an endpoint.
