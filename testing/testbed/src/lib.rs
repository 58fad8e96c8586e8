//! A real local Kubernetes with zones.
