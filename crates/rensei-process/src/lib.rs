//! Child processes: groups, signals, identity that survives pid reuse, typed ends
