"""Tests of train.py: python3 -m unittest discover -s examples/pytorch

They need Go, to lower architectures to layers and to ask `nas` what they cost.
"""

from __future__ import annotations

import functools
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import train

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# A binary that is built already saves the time to build one.
NAS = [os.environ["NAS"]] if "NAS" in os.environ else ["go", "run", "./cmd/nas"]

TINY = """
name: tiny
input: {channels: 1, resolution: 16}
stem: {width: 8, stride: 2}
stages:
  - {block: inverted, width: 16, depth: 2, stride: 2, expansion: 2, se: 0.25}
head: {dropout: 0.1, classes: 10}
"""


def output(*command: str) -> str:
    return subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def requests(*networks: str) -> list[dict[str, Any]]:
    """The requests to train architecture files or reference networks."""
    lines = output("go", "run", "./examples/pytorch/layers", *networks).splitlines()
    return [json.loads(line) for line in lines]


@functools.lru_cache(maxsize=None)
def tiny() -> str:
    """The text of a request to train a small network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.yaml"
        path.write_text(TINY)
        return json.dumps(requests(str(path))[0])


def run(request: str, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(HERE / "train.py"), *options],
        input=request,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )


def count(net: train.Net) -> tuple[int, int]:
    """Parameters, and the multiply-accumulates that a forward pass is seen to do. Also
    checks all shapes."""
    macs = 0

    def hook(module: nn.Module, _: tuple[Tensor, ...], y: Tensor) -> None:
        nonlocal macs
        layer = layers[module]
        if tuple(y.shape[1:]) != layer.shape:
            raise AssertionError(f"{layer.name}: {tuple(y.shape)}, not {layer.shape}")
        if isinstance(module, nn.Conv2d):
            macs += y.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            macs += module.weight.numel()

    layers = dict(zip(net.steps, net.layers))
    for step in list(net.steps)[1:]:
        step.register_forward_hook(hook)
    device = next(net.parameters()).device
    net.eval()
    with torch.no_grad():
        net(torch.zeros(1, *net.layers[0].shape, device=device))
    return sum(p.numel() for p in net.parameters()), macs


class CostTest(unittest.TestCase):
    """A network has the parameters and MACs that `nas cost` says."""

    def check(self, *networks: str) -> None:
        costs = output(*NAS, "cost", "--format", "json", *networks).splitlines()
        for request, line in zip(requests(*networks), costs, strict=True):
            cost = json.loads(line)
            with self.subTest(cost["name"]):
                layers = train.Request.from_json(json.dumps(request)).layers
                # On "meta" only shapes are computed.
                net = train.Net(layers, torch.device("meta"))
                self.assertEqual((cost["params"], cost["macs"]), count(net))

    def check_sample(self, space: str, number: int) -> None:
        sample = output(*NAS, "sample", space, "-n", str(number), "--format", "jsonl")
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for i, line in enumerate(sample.splitlines()):
                files.append(str(Path(folder) / f"{i}.json"))
                Path(files[-1]).write_text(line)
            self.check(*files)

    def test_reference_networks(self) -> None:
        self.check(*output("go", "run", "./examples/pytorch/layers", "-list").split())

    def test_mobile_networks(self) -> None:
        self.check_sample("configs/mobile.yaml", 10)

    def test_digits_networks(self) -> None:
        self.check_sample("examples/pytorch/digits-space.yaml", 20)


class NetTest(unittest.TestCase):
    def test_operations(self) -> None:
        """Those that no cost shows, on numbers."""
        x = torch.arange(6.0)[None, :, None, None]
        shuffled = train.Shuffle(2)(x).flatten().tolist()
        self.assertEqual([0, 3, 1, 4, 2, 5], shuffled)
        self.assertEqual([2, 3], train.Slice(2, 2)(x).flatten().tolist())
        gate, y = torch.rand(2, 3, 1, 1), torch.rand(2, 3, 4, 4)
        scaled = train.Scale()(gate, y)
        self.assertTrue(torch.equal(scaled[1, 2], gate[1, 2] * y[1, 2]))

    def test_eval_equals_by_hand(self) -> None:
        """A network with a residual connection and squeeze-and-excitation computes what
        the block's definition says."""
        torch.manual_seed(0)
        net = train.Net(train.Request.from_json(tiny()).layers).eval()
        step = {layer.name: s for layer, s in zip(net.layers, net.steps)}

        def conv(x: Tensor, part: str) -> Tensor:
            return step[f"{part}.bn"](step[f"{part}.conv"](x))

        def block(x: Tensor, name: str) -> Tensor:
            y = conv(x, f"{name}.expand").relu()
            y = conv(y, f"{name}.depthwise").relu()
            gate = y.mean((2, 3), keepdim=True)
            gate = step[f"{name}.se.reduce.conv"](gate).relu()
            gate = step[f"{name}.se.expand.conv"](gate)
            y = y * nn.functional.hardsigmoid(gate)
            return conv(y, f"{name}.project")

        x = torch.rand(2, 1, 16, 16)
        y = conv(x, "stem.0").relu()
        y = block(y, "stages.0.0")
        y = y + block(y, "stages.0.1")
        y = step["head.classifier.linear"](y.mean((2, 3)))
        with torch.no_grad():
            self.assertTrue(torch.allclose(net(x), y.flatten(1), atol=1e-5))

    def test_init_keeps_variance(self) -> None:
        torch.manual_seed(0)
        layer = train.Layer("in", "input", (64, 8, 8))
        conv = train.Layer("conv", "conv", (64, 8, 8), [0], (3, 3), padding=(1, 1))
        net = train.Net([layer, conv, conv])
        self.assertAlmostEqual(
            (2 / (9 * 64)) ** 0.5, float(net.steps[1].weight.std()), 3
        )


class DataTest(unittest.TestCase):
    def test_digits_split(self) -> None:
        one, same, other = (train.load_digits(seed) for seed in (0, 0, 1))
        sizes = [len(one.train), len(one.validation), len(one.test)]
        self.assertEqual(1797, sum(sizes))
        self.assertTrue(torch.equal(one.validation.pixels, same.validation.pixels))
        self.assertFalse(torch.equal(one.validation.pixels, other.validation.pixels))
        for images in (one.train, one.validation, one.test):
            shares = images.labels.bincount(minlength=10) / len(images)
            self.assertTrue(((shares - 0.1).abs() < 0.01).all(), shares)

    def test_augment(self) -> None:
        """Every image is some shift of itself or of its mirror image."""
        pixels = torch.randint(1, 255, (20, 3, 8, 8), dtype=torch.uint8)
        generator = torch.Generator().manual_seed(1)
        augmented = train.augment(pixels, generator)
        self.assertEqual(pixels.shape, augmented.shape)
        mirrored = 0
        for before, after in zip(pixels, augmented):
            shifts = []
            for image in (before, before.flip(2)):
                padded = nn.functional.pad(image, (1, 1, 1, 1))
                shifts += [
                    torch.equal(padded[:, y : y + 8, x : x + 8], after)
                    for y in range(3)
                    for x in range(3)
                ]
            self.assertEqual(1, sum(shifts))
            mirrored += any(shifts[9:])
        self.assertTrue(3 < mirrored < 17, mirrored)

    def test_folder_and_archive(self) -> None:
        from PIL import Image

        with tempfile.TemporaryDirectory() as folder:
            root, generator = Path(folder) / "data", torch.Generator().manual_seed(0)
            for label in range(10):
                for part, number in (("train", 10), ("test", 2)):
                    (root / part / f"class{label}").mkdir(parents=True)
                    for i in range(number):
                        pixels = torch.randint(
                            256, (8, 8, 3), generator=generator, dtype=torch.uint8
                        )
                        file = root / part / f"class{label}" / f"{i:04}.jpg"
                        Image.fromarray(pixels.numpy()).save(file)
            archive = Path(folder) / "data.tar.xz"
            with tarfile.open(archive, "w:xz") as tar:
                for part in ("test", "train"):
                    tar.add(root / part, part)
            one, two = train.load(str(root), 0, None), train.load(str(archive), 0, None)
            self.assertEqual(
                [90, 10, 20], [len(one.train), len(one.validation), len(one.test)]
            )
            self.assertEqual(list(range(10)), sorted(one.validation.labels.tolist()))
            for part in ("train", "validation", "test"):
                a, b = getattr(one, part), getattr(two, part)
                self.assertTrue(torch.equal(a.pixels, b.pixels))
                self.assertTrue(torch.equal(a.labels, b.labels))
            few = train.load(str(archive), 0, 30)
            self.assertTrue(torch.equal(one.train.pixels[:30], few.train.pixels))
            result = run(tiny(), "--data", str(archive), "--epochs", "1")
            self.assertEqual(0, result.returncode, result.stderr)

            (root / "train" / "class3" / "0004.jpg").write_bytes(b"no image")
            with self.assertRaisesRegex(train.UsageError, "class3/0004.jpg"):
                train.load(str(root), 0, None)
            (root / "test").rename(root / "other")
            with self.assertRaisesRegex(train.UsageError, "no train/CLASS"):
                train.load(str(root), 0, None)


class CommandTest(unittest.TestCase):
    def test_learns_and_repeats(self) -> None:
        request = json.loads(tiny())
        request["budget"] = {"epochs": 3}
        results = [run(json.dumps(request), "--epochs", "9") for _ in range(2)]
        lines = [json.loads(line) for line in results[0].stdout.splitlines()]
        self.assertEqual([1, 2, 3], [line["epoch"] for line in lines[:-1]])
        self.assertGreater(lines[-1]["accuracy"], 0.5)
        self.assertEqual(lines[-2]["accuracy"], lines[-1]["accuracy"])
        repeated = [json.loads(line) for line in results[1].stdout.splitlines()]
        for line in (lines[-1], repeated[-1]):
            self.assertGreater(line.pop("seconds"), 0)
        self.assertEqual(lines, repeated)

        request["seed"] = 2
        other = run(json.dumps(request)).stdout.splitlines()
        self.assertNotEqual(lines[0], json.loads(other[0]))

    def test_request_from_file(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path, weights = Path(folder) / "request.json", Path(folder) / "weights.pt"
            path.write_text(tiny())
            result = run(
                "", "--epochs", "1", "--save", str(weights), NAS_REQUEST=str(path)
            )
            self.assertEqual(0, result.returncode, result.stderr)
            names = torch.load(weights)
            self.assertIn("stages.0.1.depthwise.conv.weight", names)
            self.assertEqual(["request.json", "weights.pt"], sorted(os.listdir(folder)))

    def test_bad_requests(self) -> None:
        good = json.loads(tiny())
        more = {**good["layers"][1], "surprise": 1}
        unknown = {**good["layers"][1], "op": "fft"}
        ahead = {**good["layers"][1], "inputs": [5]}
        cases: list[tuple[Any, str]] = [
            ("", "no JSON"),
            ("[]", "version"),
            ({**good, "version": 2}, "version"),
            ({**good, "layers": None}, 'no "layers"'),
            ({**good, "layers": [good["layers"][0], more]}, "surprise"),
            ({**good, "layers": [good["layers"][0], unknown]}, "'fft'"),
            ({**good, "layers": [good["layers"][0], ahead]}, "inputs [5] of layer 1"),
            ({**good, "layers": good["layers"][:-3]}, "scores for 10 classes"),
            ({**good, "budget": {"epochs": 0}}, "budget of 0"),
        ]
        for request, message in cases:
            with self.subTest(message):
                text = request if isinstance(request, str) else json.dumps(request)
                result = run(text)
                self.assertEqual(2, result.returncode)
                self.assertIn(message, result.stderr)
                self.assertEqual("", result.stdout)

    def test_loss_not_finite(self) -> None:
        result = run(tiny(), "--lr", "1e30", "--warmup", "0")
        self.assertEqual(1, result.returncode)
        self.assertIn("the loss is not finite in epoch", result.stderr)
        self.assertNotIn("NaN", result.stdout)

    def test_terminate(self) -> None:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "train.py"), "--epochs", "1000"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin and process.stdout
        process.stdin.write(tiny())
        process.stdin.close()
        process.stdin = None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
        self.assertEqual(143, process.returncode)
        self.assertEqual("train.py: ended by SIGTERM\n", errors)
        for line in output.splitlines():
            json.loads(line)


if __name__ == "__main__":
    unittest.main()
