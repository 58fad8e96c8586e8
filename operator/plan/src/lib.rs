//! Pure arithmetic and planner.
