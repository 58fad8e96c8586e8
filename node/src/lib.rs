//! The replicated key-value server.
