"""What to compute on, and in which precision; the same answer for training and for inference."""

import torch
from joblib import cpu_count


def pick_device(name: str = "auto") -> torch.device:
    """The device called ``name``; "auto" is the accelerator (CUDA, MPS, XPU, …) if there is one, else the CPU."""
    if name != "auto":
        return torch.device(name)
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def usable_cpus() -> int:
    """Processors that this process may use: its affinity, cut to its container's quota."""
    return cpu_count()


def fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on a CPU with instructions for it (elsewhere it is emulated and slow), else float32."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    native = any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16"))
    return torch.bfloat16 if device.type == "cpu" and native else torch.float32


def training_dtype(device: torch.device) -> torch.dtype:
    """bfloat16, but float32 on a CPU without instructions for it, where it would take many times as long."""
    return fastest_dtype(device) if device.type == "cpu" else torch.bfloat16


def training_format(device: torch.device) -> torch.memory_format:
    """Channels last, but not on a CPU without AVX-512: there gradients of convolutions' weights would take about twice
    as long, and a step an eighth longer."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    slow = device.type == "cpu" and not capabilities.get("avx512_f", True)
    return torch.contiguous_format if slow else torch.channels_last
