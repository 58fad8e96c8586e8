//! Write-ahead log and disk engine.
