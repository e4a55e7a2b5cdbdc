"""The command `eacl`: one file a subcommand. JAX is imported when a subcommand runs, so that help
and mistakes come at once.
"""
