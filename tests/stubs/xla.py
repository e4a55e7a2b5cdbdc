"""Flags of XLA in the processes of a test run."""


def flags(devices: int) -> str:
    """For `XLA_FLAGS`: so many simulated devices, and programs that compile in half the time. All
    processes of a test run have the same, as their numbers are compared.
    """
    # XLA's newer way to write fusions gives LLVM several times the code.
    return f"--xla_cpu_use_fusion_emitters=false --xla_force_host_platform_device_count={devices}"
