"""mixed, exported by nas.

4,121,408 MACs and 123,182 parameters for an image of 3 x 64 x 64.

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


class ConvBNAct(nn.Module):
    """A convolution, batch normalization and an activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.Module] = nn.ReLU,
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
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.bn(self.conv(x)))


class ConvAct(nn.Module):
    """A convolution and an activation."""

    def __init__(
        self, in_channels: int, out_channels: int, activation: type[nn.Module] = nn.ReLU
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.conv(x))


class ConvBN(nn.Module):
    """A convolution and batch normalization."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: gates channels by their averages (Hu et al. 2017)."""

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        activation: type[nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = ConvAct(channels, hidden_channels)
        self.expand = ConvAct(hidden_channels, channels, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(x)
        y = self.reduce(y)
        return self.expand(y) * x


class Fire(nn.Module):
    """Squeezes the channels, then expands them (SqueezeNet, Iandola et al. 2016)."""

    def __init__(
        self, in_channels: int, squeeze_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        self.squeeze = ConvBNAct(in_channels, squeeze_channels, kernel_size=1)
        self.expand1 = ConvBNAct(squeeze_channels, out_channels // 2, kernel_size=1)
        self.expand3 = ConvBNAct(squeeze_channels, out_channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat([self.expand1(x), self.expand3(x)], dim=1)


class InvertedResidual(nn.Module):
    """An inverted residual (MobileNetV2, Sandler et al. 2018)."""

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        se_channels: int = 0,
        kernel_size: int = 3,
        stride: int = 1,
        activation: type[nn.Module] = nn.Hardswish,
    ) -> None:
        super().__init__()
        self.expand = ConvBNAct(
            in_channels, hidden_channels, kernel_size=1, activation=activation
        )
        self.depthwise = ConvBNAct(
            hidden_channels,
            hidden_channels,
            kernel_size=kernel_size,
            stride=stride,
            groups=hidden_channels,
            activation=activation,
        )
        self.se: nn.Module = nn.Identity()
        if se_channels > 0:
            self.se = SqueezeExcite(
                hidden_channels, se_channels, activation=nn.Hardsigmoid
            )
        self.project = ConvBN(hidden_channels, out_channels)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.expand(x)
        y = self.depthwise(y)
        y = self.se(y)
        y = self.project(y)
        return x + y if self.residual else y


class Ghost(nn.Module):
    """A block of type ghost."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        branch_channels = out_channels // 2
        self.primary = ConvBNAct(
            in_channels, branch_channels, kernel_size=1, stride=stride
        )
        self.cheap = ConvBNAct(branch_channels, branch_channels, groups=branch_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.primary(x)
        return torch.cat([x, self.cheap(x)], dim=1)


class GroupedBottleneck(nn.Module):
    """A bottleneck with a grouped convolution (ResNeXt, Xie et al. 2016)."""

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        se_channels: int,
    ) -> None:
        super().__init__()
        self.reduce = ConvBNAct(in_channels, hidden_channels, kernel_size=1)
        self.conv = ConvBNAct(hidden_channels, hidden_channels, groups=8)
        self.se = SqueezeExcite(hidden_channels, se_channels)
        self.expand = ConvBN(hidden_channels, out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = ConvBN(in_channels, out_channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.reduce(x)
        y = self.conv(y)
        y = self.se(y)
        return self.relu(self.expand(y) + self.shortcut(x))


class Mixed(nn.Module):
    """The network: from images to the scores of their classes."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvBNAct(3, 16, stride=2), nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.stages = nn.Sequential(
            # 32 channels, 16 x 16
            nn.Sequential(Fire(16, 4, 32), Fire(32, 4, 32)),
            # 24 channels, 8 x 8
            nn.Sequential(
                InvertedResidual(32, 192, 24, se_channels=48, kernel_size=5, stride=2),
                InvertedResidual(24, 144, 24, se_channels=40, kernel_size=5),
            ),
            nn.Sequential(nn.Identity()),
            # 48 channels, 4 x 4
            nn.Sequential(Ghost(24, 48, stride=2), Ghost(48, 48)),
            # 48 channels, 4 x 4
            nn.Sequential(
                InvertedResidual(48, 144, 48, activation=nn.ReLU),
                nn.MaxPool2d(2, stride=2),
            ),
            # 64 channels, 2 x 2
            nn.Sequential(
                GroupedBottleneck(48, 32, 64, se_channels=12),
                *[GroupedBottleneck(64, 32, 64, se_channels=16) for _ in range(4)],
            ),
        )
        self.head = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(64, 96, kernel_size=1, bias=False),
                bn=nn.BatchNorm2d(96),
                relu=nn.ReLU(),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                hidden1=nn.Sequential(
                    OrderedDict(linear=nn.Linear(96, 32), relu=nn.ReLU())
                ),
                classifier=nn.Sequential(
                    OrderedDict(
                        dropout=nn.Dropout(0.1), linear=nn.Linear(32, num_classes)
                    )
                ),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.stages(x)
        return self.head(x)


def main() -> None:
    network = Mixed().eval()
    parameters = sum(p.numel() for p in network.parameters())
    with torch.no_grad():
        scores = network(torch.rand(1, 3, 64, 64))
    print(f"Mixed: {parameters:,} parameters, output {tuple(scores.shape)}")


if __name__ == "__main__":
    main()
