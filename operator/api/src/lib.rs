//! Custom resource types and their rules.
