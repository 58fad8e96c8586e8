//! Clusters of real server processes on this machine.
