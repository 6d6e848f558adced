"""mobilenet_v2, exported by nas.

300,774,272 MACs and 3,504,872 parameters for an image of 3 x 224 x 224.

Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: Inverted Residuals and Linear
Bottlenecks, arXiv 1801.04381

The names in the state_dict are those of the tensors in the ONNX file that nas exports,
so that its weights fit:

    tensors = onnx.load("network.onnx").graph.initializer
    weights = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in tensors}
    network.load_state_dict(weights, strict=False)  # without num_batches_tracked
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn


class ConvBNReLU6(nn.Module):
    """A convolution, batch normalization and ReLU6."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu6 = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu6(self.bn(self.conv(x)))


class ConvBN(nn.Module):
    """A convolution and batch normalization."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class InvertedResidual(nn.Module):
    """An inverted residual (MobileNetV2, Sandler et al. 2018)."""

    def __init__(
        self, in_channels: int, hidden_channels: int, out_channels: int, stride: int = 1
    ) -> None:
        super().__init__()
        self.expand: nn.Module = nn.Identity()
        if hidden_channels != in_channels:
            self.expand = ConvBNReLU6(in_channels, hidden_channels, kernel_size=1)
        self.depthwise = ConvBNReLU6(
            hidden_channels, hidden_channels, stride=stride, groups=hidden_channels
        )
        self.project = ConvBN(hidden_channels, out_channels)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.expand(x)
        y = self.depthwise(y)
        y = self.project(y)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """The network: from images to the scores of their classes."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvBNReLU6(3, 32, stride=2))
        self.stages = nn.Sequential(
            # 16 channels, 112 x 112
            nn.Sequential(InvertedResidual(32, 32, 16)),
            # 24 channels, 56 x 56
            nn.Sequential(
                InvertedResidual(16, 96, 24, stride=2), InvertedResidual(24, 144, 24)
            ),
            # 32 channels, 28 x 28
            nn.Sequential(
                InvertedResidual(24, 144, 32, stride=2),
                InvertedResidual(32, 192, 32),
                InvertedResidual(32, 192, 32),
            ),
            # 64 channels, 14 x 14
            nn.Sequential(
                InvertedResidual(32, 192, 64, stride=2),
                InvertedResidual(64, 384, 64),
                InvertedResidual(64, 384, 64),
                InvertedResidual(64, 384, 64),
            ),
            # 96 channels, 14 x 14
            nn.Sequential(
                InvertedResidual(64, 384, 96),
                InvertedResidual(96, 576, 96),
                InvertedResidual(96, 576, 96),
            ),
            # 160 channels, 7 x 7
            nn.Sequential(
                InvertedResidual(96, 576, 160, stride=2),
                InvertedResidual(160, 960, 160),
                InvertedResidual(160, 960, 160),
            ),
            # 320 channels, 7 x 7
            nn.Sequential(InvertedResidual(160, 960, 320)),
        )
        self.head = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(320, 1280, kernel_size=1, bias=False),
                bn=nn.BatchNorm2d(1280),
                relu6=nn.ReLU6(),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                classifier=nn.Sequential(
                    OrderedDict(
                        dropout=nn.Dropout(0.2), linear=nn.Linear(1280, num_classes)
                    )
                ),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.stages(x)
        return self.head(x)


def main() -> None:
    network = MobileNetV2().eval()
    parameters = sum(p.numel() for p in network.parameters())
    with torch.no_grad():
        scores = network(torch.rand(1, 3, 224, 224))
    print(f"MobileNetV2: {parameters:,} parameters, output {tuple(scores.shape)}")


if __name__ == "__main__":
    main()
