"""Both stages: a run, its folder, its steps and what it records."""
