"""Checkpoints: weights and numbers in safetensors files, never pickled, replaced in one step.

A safetensors file holds tensors and a table of texts. Whatever isn't a tensor (a config, the history of a run)
travels in that table as JSON under the key `hone`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from training.errors import Damaged
from training.networks.catalogue import build, config_of, kind_of

Network = TypeVar("Network", bound=nn.Module)


def write(path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts to `path`, which holds either the old content or the new at any time.

    Raises OSError if it can't be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    # Copies: safetensors refuses weights that share their memory, as tied ones do.
    copies = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    try:
        save_file(copies, temporary, metadata={"hone": json.dumps(facts, sort_keys=True)})
        temporary.replace(path)
    except (SafetensorError, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise OSError(f"{path.parent.name}/{path.name}: can't be written ({error})") from error


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and facts in `path`. Raises Damaged that names the file."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it has no iterator
            facts = json.loads((file.metadata() or {})["hone"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise Damaged(f"{path.parent.name}/{path.name}: isn't a checkpoint ({error})") from error
    return tensors, facts


def save_network(path: Path, network: nn.Module) -> None:
    """Write a network's weights, and its kind and config, from which it can be built again.

    Raises ValueError if it is of no kind in the catalogue, and OSError if it can't be written.
    """
    config: Any = network.config
    write(path, network.state_dict(), {"kind": kind_of(config), "config": asdict(config)})


def load_network(path: Path, kind: type[Network]) -> Network:
    """The network in `path`, which must be of `kind`, built from its config, in evaluation mode. Raises Damaged.

    And SettingsError, if it is somebody's own and their code isn't there.
    """
    weights, facts = read(path)
    try:
        network = build(config_of(facts["kind"], facts["config"]), seed=0)
        network.load_state_dict(weights)
        if not isinstance(network, kind):
            raise TypeError(f"it holds one of kind {facts['kind']!r}")
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise Damaged(f"{path.parent.name}/{path.name}: doesn't hold a network of this kind ({error})") from error
    return network.eval()
