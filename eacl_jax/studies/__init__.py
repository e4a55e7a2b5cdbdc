"""Many runs, one table: what a study asks, its cells, and what they say together."""
