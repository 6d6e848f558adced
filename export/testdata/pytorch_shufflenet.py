"""shufflenet, exported by nas.

137,460,672 MACs and 1,865,728 parameters for an image of 3 x 224 x 224.

Zhang, Zhou, Lin, Sun: ShuffleNet: An Extremely Efficient Convolutional Neural Network
for Mobile Devices, arXiv 1707.01083

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


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Deals the channels of each group out to all groups."""
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class ConvBNReLU(nn.Module):
    """A convolution, batch normalization and ReLU."""

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
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class ConvBN(nn.Module):
    """A convolution and batch normalization."""

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

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class StridedShuffleUnit(nn.Module):
    """Grouped convolutions with a channel shuffle (ShuffleNet, Zhang et al. 2017)."""

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        reduce_groups: int = 1,
    ) -> None:
        super().__init__()
        self.reduce = ConvBNReLU(
            in_channels, hidden_channels, kernel_size=1, groups=reduce_groups
        )
        self.depthwise = ConvBN(
            hidden_channels, hidden_channels, stride=2, groups=hidden_channels
        )
        self.expand = ConvBN(
            hidden_channels, out_channels - in_channels, kernel_size=1, groups=3
        )
        self.shortcut = nn.AvgPool2d(3, stride=2, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(channel_shuffle(self.reduce(x), 3))
        return self.relu(torch.cat([self.shortcut(x), self.expand(y)], dim=1))


class ShuffleUnit(nn.Module):
    """Grouped convolutions with a channel shuffle (ShuffleNet, Zhang et al. 2017)."""

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.reduce = ConvBNReLU(channels, hidden_channels, kernel_size=1, groups=3)
        self.depthwise = ConvBN(
            hidden_channels, hidden_channels, groups=hidden_channels
        )
        self.expand = ConvBN(hidden_channels, channels, kernel_size=1, groups=3)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(channel_shuffle(self.reduce(x), 3))
        return self.relu(x + self.expand(y))


class ShuffleNet(nn.Module):
    """The network: from images to the scores of their classes."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvBNReLU(3, 24, stride=2), nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.stages = nn.Sequential(
            # 240 channels, 28 x 28
            nn.Sequential(
                StridedShuffleUnit(24, 60, 240),
                ShuffleUnit(240, 60),
                ShuffleUnit(240, 60),
                ShuffleUnit(240, 60),
            ),
            # 480 channels, 14 x 14
            nn.Sequential(
                StridedShuffleUnit(240, 120, 480, reduce_groups=3),
                *[ShuffleUnit(480, 120) for _ in range(7)],
            ),
            # 960 channels, 7 x 7
            nn.Sequential(
                StridedShuffleUnit(480, 240, 960, reduce_groups=3),
                ShuffleUnit(960, 240),
                ShuffleUnit(960, 240),
                ShuffleUnit(960, 240),
            ),
        )
        self.head = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                classifier=nn.Sequential(
                    OrderedDict(linear=nn.Linear(960, num_classes))
                ),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.stages(x)
        return self.head(x)


def main() -> None:
    network = ShuffleNet().eval()
    parameters = sum(p.numel() for p in network.parameters())
    with torch.no_grad():
        scores = network(torch.rand(1, 3, 224, 224))
    print(f"ShuffleNet: {parameters:,} parameters, output {tuple(scores.shape)}")


if __name__ == "__main__":
    main()
