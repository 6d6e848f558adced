#!/usr/bin/env python3
"""Checks PyTorch files that `nas export` wrote, and prints a line for each.

    check_pytorch.py DIR...

In a folder lie, for each network, NAME.py and NAME.json, a line of
`nas cost --format json`. The module must have the parameters and the multiply-accumulates
that the line says, counted by hooks on the convolutions and linear layers that run. Where
NAME.onnx lies there too, its weights must fit the module, name by name, and with the same
weights both must give the same scores. Exit codes: 0 all is well, 1 a file is wrong.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

TOLERANCE = 1e-4  # of the greatest score


class Wrong(Exception):
    """A file is not what it should be."""


def network_of(path: Path) -> nn.Module:
    """The module that the file's main prints about: the last class in the file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    file = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(file)
    classes = [
        v for v in vars(file).values() if getattr(v, "__module__", "") == path.stem
    ]
    network: nn.Module = [c for c in classes if isinstance(c, type)][-1]()
    return network.eval()


def input_shape(source: str) -> list[int]:
    arguments = source.split("torch.rand(")[1].split(")")[0]
    return [int(n) for n in arguments.split(", ")][1:]


def count_macs(network: nn.Module, images: Tensor) -> int:
    macs = 0

    def convolution(module: nn.Conv2d, _: Any, out: Tensor) -> None:
        nonlocal macs
        height, width = module.kernel_size
        macs += out.numel() * (module.in_channels // module.groups) * height * width

    def linear(module: nn.Linear, _: Any, out: Tensor) -> None:
        nonlocal macs
        macs += out.numel() * module.in_features

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(convolution)
        elif isinstance(module, nn.Linear):
            module.register_forward_hook(linear)
    with torch.no_grad():
        network(images)
    return macs


def randomise(network: nn.Module, images: Tensor) -> None:
    """Gives values that matter to what is 0 or 1 in an untrained network: random biases
    and scales, and the statistics of the images, without which a deep network's
    activations grow until rounding decides about its scores."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for name, parameter in network.named_parameters():
        if name.endswith(".bias"):
            nn.init.normal_(parameter, std=0.1)
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.2, 0.6)
        norm.train().momentum = 1.0
    with torch.no_grad():
        network(images)
    network.eval()


def compare(network: nn.Module, path: Path, shape: list[int]) -> str:
    import onnx
    import onnxruntime

    model = onnx.load(str(path))
    weights = model.graph.initializer
    values = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in weights}
    wrong = network.load_state_dict(values, strict=False)
    missing = [n for n in wrong.missing_keys if not n.endswith("num_batches_tracked")]
    if missing or wrong.unexpected_keys:
        raise Wrong(f"missing {missing}, unexpected {wrong.unexpected_keys}")

    images = torch.randn(4, *shape)
    randomise(network, images)
    state = network.state_dict()
    for tensor in weights:
        value = onnx.numpy_helper.from_array(state[tensor.name].numpy(), tensor.name)
        tensor.CopyFrom(value)
    with torch.no_grad():
        ours = network(images)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    theirs = torch.tensor(session.run(["logits"], {"input": images.numpy()})[0])
    size = theirs.abs().max().item()
    difference = (ours - theirs).abs().max().item()
    allowed = TOLERANCE * size
    if ours.shape != theirs.shape:
        raise Wrong(f"scores of shape {tuple(ours.shape)}, not {tuple(theirs.shape)}")
    if difference > allowed:  # in a very deep network rounding alone may do it
        with torch.no_grad():
            exact = network.double()(images.double())
        rounding = (ours - exact).abs().max().item()
        if rounding < 0.01 * size:
            allowed = max(allowed, 4 * rounding)
    if not difference <= allowed:
        raise Wrong(f"scores up to {size:.3g} differ from ONNX's by {difference:.1e}")
    return f", differs from ONNX by {difference:.0e} in scores up to {size:.2g}"


def check(path: Path) -> str:
    cost = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    source = path.read_text(encoding="utf-8")
    network, shape = network_of(path), input_shape(source)
    parameters = sum(p.numel() for p in network.parameters())
    if parameters != cost["params"]:
        raise Wrong(f"{parameters} parameters, not {cost['params']}")
    macs = count_macs(network, torch.rand(1, *shape))
    if macs != cost["macs"]:
        raise Wrong(f"{macs} MACs, not {cost['macs']}")
    line = f"{parameters} parameters, {macs} MACs"
    onnx_file = path.with_suffix(".onnx")
    if onnx_file.exists():
        line += compare(network_of(path), onnx_file, shape)
    return line


def main(folders: list[str]) -> int:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    wrong = 0
    for path in (p for folder in folders for p in sorted(Path(folder).glob("*.py"))):
        try:
            print(f"{path.stem}: {check(path)}", flush=True)
        except (Wrong, RuntimeError, ValueError, TypeError) as e:
            print(f"{path.stem}: {e!r}", flush=True)
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(sys.argv[1:]))
