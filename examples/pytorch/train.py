#!/usr/bin/env python3
"""Train one network that `nas` proposes, and say how accurate it became.

The request, one JSON object, comes on stdin, or from the file that the environment
variable NAS_REQUEST names:

    {"version": 1, "key": "...", "architecture": {...}, "layers": [...], "seed": 1,
     "budget": {"epochs": 8}}

The network is built from "layers", the operations that the architecture consists of, in
the order of execution. Block types are not known here, so that every one can be trained.

Progress and the result are JSON objects on stdout, one a line:

    {"epoch": 1, "accuracy": 0.61, "loss": 1.23}
    {"accuracy": 0.71, "loss": 0.88, "test_accuracy": 0.70, "seconds": 9.1, ...}

"accuracy" and "loss" are those of the validation images after the last epoch. The test
images are for the final judgement of a search and must not guide it. Talk and errors go
to stderr. Exit codes: 0 done, 1 failed, 2 the request or the options are wrong, 143 ended
by SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import tarfile
import time
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PROTOCOL = 1


class UsageError(Exception):
    """The request or the options are wrong; trying again will not help."""


class TrainingError(Exception):
    """The training failed."""


# The request


@dataclass
class Layer:
    """One operation. Fields that the operation does not use have their defaults."""

    name: str
    op: str
    shape: tuple[int, int, int]  # of the output: channels, height, width
    inputs: list[int] = field(default_factory=list)  # indices of earlier layers
    kernel: tuple[int, int] = (1, 1)  # height, width
    stride: int = 1
    padding: tuple[int, int] = (0, 0)  # height, width
    dilation: int = 1
    groups: int = 1  # of conv and shuffle
    bias: bool = False  # of conv and linear
    ceil: bool = False  # of the pools: round the output size up
    function: str = ""  # of activation
    start: int = 0  # of slice: the first channel
    rate: float = 0.0  # of dropout

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Layer:
        known = dict(data)
        known["shape"] = tuple(known["shape"])
        known["start"] = known.pop("from", 0)
        for key in ("kernel", "padding"):
            if key in known:
                known[key] = tuple(known[key])
        return cls(**known)


@dataclass
class Request:
    """What a trial is: a network, a seed and how long to train."""

    layers: list[Layer]
    seed: int = 0
    epochs: int | None = None

    @classmethod
    def from_json(cls, text: str) -> Request:
        try:
            data = json.loads(text)
        except ValueError as e:
            raise UsageError(f"the request is no JSON: {e}") from e
        if not isinstance(data, dict) or data.get("version") != PROTOCOL:
            raise UsageError(f'the request is no object of "version": {PROTOCOL}')
        if not data.get("layers"):
            raise UsageError('the request has no "layers"')
        try:
            layers = [Layer.from_json(layer) for layer in data["layers"]]
            epochs = (data.get("budget") or {}).get("epochs")
            request = cls(
                layers=layers,
                seed=int(data.get("seed") or 0),
                epochs=None if epochs is None else int(epochs),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            raise UsageError(f"the request cannot be read: {e!r}") from e
        if request.epochs is not None and request.epochs < 1:
            raise UsageError(f"a budget of {request.epochs} epochs")
        return request

    @classmethod
    def read(cls) -> Request:
        path = os.environ.get("NAS_REQUEST")
        if not path:
            return cls.from_json(sys.stdin.read())
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except OSError as e:
            raise UsageError(f"NAS_REQUEST: {e}") from e


# The network
#
# Every tensor in it is images x channels x height x width, vectors too: a vector is a map
# of one pixel. So shapes are always those of the request.


class Linear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))[:, :, None, None]


class Flatten(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :, None, None]


class Add(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Scale(nn.Module):
    """Multiplies every channel by its value of the gate."""

    def forward(self, gate: Tensor, x: Tensor) -> Tensor:
        return gate * x


class Concat(nn.Module):
    def forward(self, *xs: Tensor) -> Tensor:
        return torch.cat(xs, dim=1)


class Shuffle(nn.Module):
    """Deals the channels of each group out to all groups (ShuffleNet)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.reshape(n, self.groups, c // self.groups, h, w)
        return x.transpose(1, 2).reshape(n, c, h, w)


class Slice(nn.Module):
    def __init__(self, start: int, channels: int) -> None:
        super().__init__()
        self.start, self.channels = start, channels

    def forward(self, x: Tensor) -> Tensor:
        return x.narrow(1, self.start, self.channels)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "swish": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "hardsigmoid": nn.Hardsigmoid,
}


def conv(layer: Layer, channels: int, device: torch.device | None) -> nn.Module:
    return nn.Conv2d(
        channels,
        layer.shape[0],
        layer.kernel,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
        layer.bias,
        device=device,
    )


def linear(layer: Layer, channels: int, device: torch.device | None) -> nn.Module:
    return Linear(channels, layer.shape[0], layer.bias, device=device)


def norm(layer: Layer, channels: int, device: torch.device | None) -> nn.Module:
    return nn.BatchNorm2d(channels, device=device)


# By operation: the module of a layer whose first input has so many channels.
MODULES: dict[str, Callable[[Layer, int, torch.device | None], nn.Module]] = {
    "conv": conv,
    "linear": linear,
    "bn": norm,
    "activation": lambda l, c, d: ACTIVATIONS[l.function](),
    "max_pool": lambda l, c, d: nn.MaxPool2d(
        l.kernel, l.stride, l.padding, ceil_mode=l.ceil
    ),
    "avg_pool": lambda l, c, d: nn.AvgPool2d(
        l.kernel, l.stride, l.padding, ceil_mode=l.ceil
    ),
    "adaptive_avg_pool": lambda l, c, d: nn.AdaptiveAvgPool2d(l.shape[1:]),
    "add": lambda l, c, d: Add(),
    "mul": lambda l, c, d: Scale(),
    "concat": lambda l, c, d: Concat(),
    "shuffle": lambda l, c, d: Shuffle(l.groups),
    "slice": lambda l, c, d: Slice(l.start, l.shape[0]),
    "flatten": lambda l, c, d: Flatten(),
    "dropout": lambda l, c, d: nn.Dropout(l.rate),
}


class Net(nn.Module):
    """A network of layers, each of which reads the outputs of earlier ones."""

    def __init__(self, layers: list[Layer], device: torch.device | None = None) -> None:
        super().__init__()
        if layers[0].op != "input":
            raise UsageError(f"the first layer is {layers[0].op!r}, not 'input'")
        self.layers = layers
        self.steps = nn.ModuleList([nn.Identity()])
        for i, layer in enumerate(layers[1:], start=1):
            if layer.op not in MODULES:
                raise UsageError(f"{layer.name}: an unknown operation {layer.op!r}")
            if layer.op == "activation" and layer.function not in ACTIVATIONS:
                raise UsageError(
                    f"{layer.name}: an unknown activation {layer.function!r}"
                )
            if not layer.inputs or not all(0 <= j < i for j in layer.inputs):
                raise UsageError(f"{layer.name}: inputs {layer.inputs} of layer {i}")
            channels = layers[layer.inputs[0]].shape[0]
            try:
                self.steps.append(MODULES[layer.op](layer, channels, device))
            except ValueError as e:
                raise UsageError(f"{layer.name}: {e}") from e

        # When a layer has been the input of all that read it, its output can go.
        self.last_reader = list(range(len(layers)))
        for i, layer in enumerate(layers):
            for j in layer.inputs:
                self.last_reader[j] = i
        self.init_weights()

    def init_weights(self) -> None:
        """He et al. 2015, Delving Deep into Rectifiers: the variance of the activations
        stays as it is from layer to layer. The layer that gives the scores starts small,
        so that all classes are equally likely."""
        weighted = [m for m in self.steps if isinstance(m, (nn.Conv2d, nn.Linear))]
        for module in weighted:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        nn.init.normal_(weighted[-1].weight, std=0.01)

    @property
    def classes(self) -> int:
        return self.layers[-1].shape[0]

    def forward(self, x: Tensor) -> Tensor:
        outputs = {0: x}
        for i, layer in enumerate(self.layers[1:], start=1):
            outputs[i] = self.steps[i](*(outputs[j] for j in layer.inputs))
            for j in set(layer.inputs):
                if self.last_reader[j] == i:
                    del outputs[j]
        return outputs[len(self.layers) - 1].flatten(1)

    def named_weights(self) -> dict[str, Tensor]:
        """The weights and the statistics by the names of their layers."""
        return {
            f"{layer.name}.{key}": value
            for layer, step in zip(self.layers, self.steps)
            for key, value in step.state_dict().items()
        }


# The data


@dataclass
class Images:
    pixels: Tensor  # uint8, images x channels x height x width
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> Images:
        return Images(self.pixels[index], self.labels[index])

    def to(self, device: torch.device) -> Images:
        return Images(self.pixels.to(device), self.labels.to(device))


@dataclass
class Data:
    train: Images
    validation: Images
    test: Images
    classes: int
    augment: bool  # whether shifting and mirroring leaves the class what it is


def split(labels: Tensor, shares: list[float], seed: int) -> list[Tensor]:
    """Deals the indices of the labels out at random, every class in the given shares."""
    generator = torch.Generator().manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in shares]
    for label in labels.unique():
        index = (labels == label).nonzero().flatten()
        index = index[torch.randperm(len(index), generator=generator)]
        bounds = [round(sum(shares[:i]) * len(index)) for i in range(len(shares) + 1)]
        for part, start, end in zip(parts, bounds, bounds[1:]):
            part.append(index[start:end])
    # In random order, so that a part's first images are a sample of it.
    joined = [torch.cat(part) for part in parts]
    return [i[torch.randperm(len(i), generator=generator)] for i in joined]


def load_digits(seed: int) -> Data:
    """The 1,797 handwritten digits of scikit-learn, 8x8 pixels in 17 shades of grey
    (Alpaydin and Kaynak 1998): half to train, 30 % to validate, 20 % to test."""
    from sklearn import datasets

    digits = datasets.load_digits()
    pixels = torch.as_tensor(digits.images * (255 / 16)).round().to(torch.uint8)
    images = Images(pixels[:, None], torch.as_tensor(digits.target).long())
    train, validation, test = split(images.labels, [0.5, 0.3, 0.2], seed)
    return Data(images[train], images[validation], images[test], 10, augment=False)


def image_files(path: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """Yields part, class, name and content of every .../PART/CLASS/NAME.jpg."""
    if path.is_dir():
        for file in path.glob("*/*/*.jpg"):
            part, label, name = file.parts[-3:]
            yield part, label, name, file.read_bytes()
        return
    with tarfile.open(path) as archive:
        for member in archive:
            parts = Path(member.name).parts
            if not member.name.endswith(".jpg") or len(parts) < 3:
                continue
            if content := archive.extractfile(member):
                part, label, name = parts[-3:]
                yield part, label, name, content.read()


def decode(files: list[tuple[str, int, bytes]], path: Path) -> Images:
    import numpy as np
    from PIL import Image

    pixels = []
    for name, _, content in files:
        try:
            image = Image.open(BytesIO(content)).convert("RGB")
        except OSError as e:
            raise UsageError(f"{path}: {name}: {e}") from e
        pixels.append(torch.as_tensor(np.array(image)).permute(2, 0, 1))
        if pixels[-1].shape != pixels[0].shape:
            raise UsageError(f"{path}: {name}: {image.size}, unlike those before")
    return Images(torch.stack(pixels), torch.tensor([label for _, label, _ in files]))


def load_folder(path: Path, seed: int, limit: int | None) -> Data:
    """Images of one size in train/CLASS/NAME.jpg and test/CLASS/NAME.jpg, in a folder or
    an archive, such as CIFAR-10. A tenth of those to train validates."""
    found: dict[str, list[tuple[str, str, bytes]]] = {"train": [], "test": []}
    try:
        for part, label, name, content in image_files(path):
            if part in found:
                found[part].append((label, name, content))
    except (OSError, tarfile.TarError, EOFError) as e:
        raise UsageError(f"{path}: {e}") from e
    if not found["train"] or not found["test"]:
        raise UsageError(f"{path}: no train/CLASS/NAME.jpg and test/CLASS/NAME.jpg")
    names = sorted({label for label, _, _ in found["train"]})
    if unknown := {label for label, _, _ in found["test"]} - set(names):
        raise UsageError(f"{path}: classes only in test: {', '.join(sorted(unknown))}")

    files = {
        part: [
            (f"{part}/{label}/{name}", names.index(label), content)
            for label, name, content in sorted(entries, key=lambda e: e[:2])
        ]
        for part, entries in found.items()
    }
    labels = torch.tensor([label for _, label, _ in files["train"]])
    train, validation = split(labels, [0.9, 0.1], seed)
    return Data(
        decode([files["train"][i] for i in train[:limit].tolist()], path),
        decode([files["train"][i] for i in validation.tolist()], path),
        decode(files["test"], path),
        len(names),
        augment=True,
    )


def load(source: str, seed: int, limit: int | None) -> Data:
    if source != "digits":
        return load_folder(Path(source), seed, limit)
    data = load_digits(seed)
    data.train = Images(data.train.pixels[:limit], data.train.labels[:limit])
    return data


class Inputs:
    """Makes a network's input of stored images: its number of channels and resolution,
    with the mean and the deviation of the training images taken out."""

    def __init__(self, shape: tuple[int, int, int], train: Images) -> None:
        self.channels, self.size = shape[0], shape[1:]
        if self.channels not in (1, 3):
            raise UsageError(f"an input of {self.channels} channels; 1 or 3 can be fed")
        pixels = self.convert(train.pixels)
        self.mean = pixels.mean((0, 2, 3), keepdim=True)
        self.deviation = pixels.std((0, 2, 3), keepdim=True)

    def convert(self, pixels: Tensor) -> Tensor:
        x = pixels.float() / 255
        if self.channels == 1:
            return x.mean(1, keepdim=True)
        return x.expand(-1, 3, -1, -1)

    def __call__(self, pixels: Tensor) -> Tensor:
        x = (self.convert(pixels) - self.mean) / self.deviation
        if x.shape[2:] == self.size:
            return x
        return F.interpolate(x, self.size, mode="bilinear", align_corners=False)


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Shifts every image by up to an eighth of its size, and mirrors every other one."""
    n, _, height, width = pixels.shape
    device = pixels.device
    pad = max(height, width) // 8
    dy, dx = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=generator).to(device)
    mirror = (torch.rand(n, 1, generator=generator) < 0.5).to(device)
    rows = torch.arange(height, device=device) + dy
    columns = torch.arange(width, device=device).expand(n, -1)
    columns = torch.where(mirror, width - 1 - columns, columns) + dx
    padded = F.pad(pixels, (pad, pad, pad, pad))
    image = torch.arange(n, device=device)[:, None, None]
    # Advanced indices around a slice come first: n x height x width x channels.
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


# Training


def learning_rate(step: int, steps: int, warmup: int) -> float:
    """The share of the greatest rate: a linear rise, then half a cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay; biases, and scales of normalisations, do not."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


@torch.no_grad()
def evaluate(
    net: Net, images: Images, inputs: Inputs, batch: int
) -> tuple[float, float]:
    """The accuracy and the mean loss."""
    net.eval()
    correct, loss = 0, 0.0
    for start in range(0, len(images), batch):
        scores = net(inputs(images.pixels[start : start + batch]))
        labels = images.labels[start : start + batch]
        correct += int((scores.argmax(1) == labels).sum())
        loss += float(F.cross_entropy(scores, labels, reduction="sum"))
    return correct / len(images), loss / len(images)


def train(request: Request, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Trains the network of the request. Yields the progress after every epoch, and then
    the result."""
    start = time.monotonic()
    device = torch.device(options.device)
    torch.manual_seed(request.seed)
    generator = torch.Generator().manual_seed(request.seed)

    net = Net(request.layers)
    data = load(options.data, options.split_seed, options.train_images)
    if net.classes != data.classes:
        raise UsageError(f"{net.classes} scores for {data.classes} classes")
    inputs = Inputs(request.layers[0].shape, data.train.to(device))
    images, validation = data.train.to(device), data.validation.to(device)
    net.to(device)

    epochs = request.epochs or options.epochs
    batch = min(options.batch, len(images))
    steps_per_epoch = len(images) // batch  # what is left waits for the next shuffle
    steps = epochs * steps_per_epoch
    warmup = round(min(options.warmup, epochs / 2) * steps_per_epoch)
    optimizer = torch.optim.SGD(
        parameter_groups(net, options.weight_decay),
        lr=options.lr,
        momentum=options.momentum,
        nesterov=options.momentum > 0,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate(step, steps, warmup)
    )

    accuracy = loss = math.nan
    for epoch in range(1, epochs + 1):
        net.train()
        order = torch.randperm(len(images), generator=generator).to(device)
        total = torch.zeros((), device=device)
        for index in order[: steps_per_epoch * batch].split(batch):
            pixels, labels = images.pixels[index], images.labels[index]
            if data.augment:
                pixels = augment(pixels, generator)
            batch_loss = F.cross_entropy(
                net(inputs(pixels)), labels, label_smoothing=options.label_smoothing
            )
            optimizer.zero_grad(set_to_none=True)
            batch_loss.backward()
            optimizer.step()
            schedule.step()
            total += batch_loss.detach()
        train_loss = float(total) / steps_per_epoch
        accuracy, loss = evaluate(net, validation, inputs, options.batch)
        if not math.isfinite(train_loss) or not math.isfinite(loss):
            raise TrainingError(
                f"the loss is not finite in epoch {epoch} "
                f"(training {train_loss}, validation {loss})"
            )
        yield {"epoch": epoch, "accuracy": accuracy, "loss": loss}

    test_accuracy, _ = evaluate(net, data.test.to(device), inputs, options.batch)
    if options.save:
        save(net, options.save)
    yield {
        "accuracy": accuracy,
        "loss": loss,
        "seconds": round(time.monotonic() - start, 3),
        "test_accuracy": test_accuracy,
        "train_loss": train_loss,
        "epochs": epochs,
    }


def save(net: Net, path: Path) -> None:
    """Writes the weights under another name first, so that no half a file is found."""
    part = path.with_name(path.name + ".part")
    torch.save({k: v.cpu() for k, v in net.named_weights().items()}, part)
    part.replace(path)


# The command


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train the network of a request on stdin.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--data",
        default="digits",
        metavar="PATH",
        help="digits, or a folder or archive with train/CLASS/*.jpg and test/CLASS/*.jpg",
    )
    add("--epochs", type=positive, default=8, help="where the request does not say")
    add("--batch", type=positive, default=32, help="images of a step")
    add("--lr", type=not_negative, default=0.05, help="greatest learning rate")
    add("--momentum", type=not_negative, default=0.9, help="of SGD, with Nesterov's")
    add("--weight-decay", type=not_negative, default=5e-4, help="of weights")
    add("--warmup", type=not_negative, default=1, help="epochs of rising learning rate")
    add("--label-smoothing", type=not_negative, default=0, help="less than 1")
    add("--train-images", type=positive, help="train on so many only")
    add("--split-seed", type=int, default=0, help="of the validation images")
    add("--threads", type=positive, default=1, help="of the processor")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    add("--save", type=Path, metavar="FILE", help="write the trained weights")
    options = parser.parse_args(arguments)
    if options.label_smoothing >= 1:
        parser.error("--label-smoothing is 1 or more")
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    return options


def stop(signum: int, _: object) -> None:
    print(f"train.py: ended by {signal.Signals(signum).name}", file=sys.stderr)
    sys.exit(128 + signum)


def main() -> int:
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    options = parse_options()
    torch.set_num_threads(options.threads)
    try:
        for report in train(Request.read(), options):
            print(json.dumps(report, allow_nan=False), flush=True)
    except UsageError as e:
        print(f"train.py: error: {e}", file=sys.stderr)
        return 2
    except (TrainingError, RuntimeError, OSError) as e:
        print(f"train.py: error: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
