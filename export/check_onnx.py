#!/usr/bin/env python3
"""Checks ONNX models that `nas export` wrote, and prints a line for each.

A model must pass the full check of the onnx package, in which the shapes that it states
are compared with those that are inferred. Then onnxruntime runs it for a batch of 3
images and for the first of them alone: the scores must have the right shape, be finite,
and not depend on the other images. Exit codes: 0 all is well, 1 a model is wrong.
"""

import sys

import numpy as np
import onnx
import onnxruntime


class Wrong(Exception):
    """A model is not what it should be."""


def check(path: str) -> str:
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    onnx.shape_inference.infer_shapes(
        model, check_type=True, strict_mode=True, data_prop=True
    )
    if [v.name for v in model.graph.input] != ["input"]:
        raise Wrong(f"inputs {[v.name for v in model.graph.input]}")
    if [v.name for v in model.graph.output] != ["logits"]:
        raise Wrong(f"outputs {[v.name for v in model.graph.output]}")
    shapes = []
    for value in (model.graph.input[0], model.graph.output[0]):
        batch, *shape = value.type.tensor_type.shape.dim
        if batch.dim_param != "batch":
            raise Wrong(f"{value.name} has a fixed batch: {batch}")
        shapes.append(tuple(d.dim_value for d in shape))
    (channels, height, width), (classes,) = shapes
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    del model  # it may be large

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).standard_normal(
        (3, channels, height, width), dtype=np.float32
    )
    (scores,) = session.run(["logits"], {"input": images})
    (first,) = session.run(["logits"], {"input": images[:1]})
    if scores.shape != (3, classes) or first.shape != (1, classes):
        raise Wrong(f"scores of shape {first.shape} and {scores.shape}")
    if not np.isfinite(scores).all():
        raise Wrong("scores that are not finite")
    size = np.abs(scores).max()  # 0 where an untrained ReLU lets nothing through
    difference = np.abs(first[0] - scores[0]).max()
    if difference > 1e-4 * size:
        raise Wrong(f"scores that depend on the other images: by {difference:.1e}")
    return (
        f"{channels}x{height}x{width} to {classes}, {metadata['params']} parameters, "
        f"scores up to {size:.3g}"
    )


def main() -> int:
    failed = False
    for path in sys.argv[1:]:
        try:
            print(f"{path}: {check(path)}", flush=True)
        except Exception as e:  # onnx and onnxruntime have many
            failed = True
            print(f"{path}: WRONG: {e}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
