//! The disk engine.
