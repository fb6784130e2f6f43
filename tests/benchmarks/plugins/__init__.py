"""Methods that only benchmarks run, as somebody's plug-in."""
