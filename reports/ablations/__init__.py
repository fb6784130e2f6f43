"""The ablations of sweeps: tables, verdicts and figures, made of declarations and records alone."""
