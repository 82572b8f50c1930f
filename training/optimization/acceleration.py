"""Faster arithmetic where the device gains by it: bfloat16 for what can bear it, and code made for one network.

Source of mixed precision: P. Micikevicius et al., "Mixed Precision Training", ICLR 2018. bfloat16 has the range of
float32, so that losses needn't be scaled.
"""

import importlib.util
from contextlib import AbstractContextManager, nullcontext
from shutil import which

import torch
from torch import nn

from service.artifact.cpu import cpu_flags
from service.errors import SettingsError
from training.optimization.settings import FitSettings

CPU_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16"})
"""The flags of CPUs that multiply in bfloat16; others would only pretend to, and be slower."""
COMPILERS = ("g++", "clang++")


class Acceleration:
    """What a fit's arithmetic is done on, and how."""

    def __init__(self, settings: FitSettings) -> None:
        """Raises SettingsError, which says what the device lacks and what to set instead."""
        self.device = torch.device(settings.device)
        if settings.device == "cuda" and not torch.cuda.is_available():
            raise SettingsError("device: there is no GPU that torch can use here; set it to cpu")
        wanted = settings.acceleration
        if wanted == "auto":
            wanted = "mixed" if settings.device == "cuda" and _has_bfloat16(self.device) else "none"
        self._mixed, self.compiled = wanted in {"mixed", "both"}, wanted in {"compiled", "both"}
        if self._mixed and not _has_bfloat16(self.device):
            text = f"acceleration: this {self.device.type} doesn't compute in bfloat16, so it would be slower"
            raise SettingsError(f"{text}; set it to none or compiled")
        if self.compiled and (lacking := _lacks(self.device)):
            raise SettingsError(f"acceleration: to compile, torch needs {lacking}; install it, or set it to none")

    def precision(self) -> AbstractContextManager[object]:
        """Within it, what can bear it is computed in bfloat16, if that is what was asked for."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self._mixed else nullcontext()

    def ready(self, network: nn.Module) -> nn.Module:
        """What computes as `network` does and learns with it."""
        return torch.compile(network) if self.compiled else network  # type: ignore[return-value] # it is a module


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(CPU_BFLOAT16 & cpu_flags())


def _lacks(device: torch.device) -> str | None:
    """What is missing to compile for the device."""
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "the package triton"
    return None if any(map(which, COMPILERS)) else f"a C++ compiler ({' or '.join(COMPILERS)})"
