//! Tests of the product on a Kubernetes with zones.
