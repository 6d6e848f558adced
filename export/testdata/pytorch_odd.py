"""odd, exported by nas.

316,148 MACs and 4,584 parameters for an image of 2 x 32 x 32.

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


class ConvBNAct(nn.Module):
    """A convolution, batch normalization and an activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
        activation: type[nn.Module] = nn.ReLU6,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.bn(self.conv(x)))


class ConvAct(nn.Module):
    """A convolution and an activation."""

    def __init__(
        self, in_channels: int, out_channels: int, activation: type[nn.Module] = nn.SiLU
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.conv(x))


class ConvBN(nn.Module):
    """A convolution and batch normalization."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size=kernel_size,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: gates channels by their averages (Hu et al. 2017)."""

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = ConvAct(channels, hidden_channels)
        self.expand = ConvAct(hidden_channels, channels, activation=nn.Sigmoid)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(x)
        y = self.reduce(y)
        return self.expand(y) * x


class OnnxOdd(nn.Module):
    """A block of type onnx_odd."""

    def __init__(self, channels: int, squeeze_channels: int) -> None:
        super().__init__()
        self.wide = ConvBNAct(
            channels,
            channels,
            kernel_size=(3, 5),
            padding=(2, 4),
            dilation=2,
            bias=True,
            activation=nn.Hardswish,
        )
        self.drop = nn.Dropout(0.2)
        self.ceil = nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.max = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.floor = nn.AvgPool2d(2, stride=2, padding=1)
        self.uneven = nn.AdaptiveAvgPool2d(5)
        self.up = nn.AdaptiveAvgPool2d(5)
        self.to_ = nn.AdaptiveAvgPool2d(10)
        self.even = nn.AdaptiveAvgPool2d(5)
        self.same = nn.AdaptiveAvgPool2d(5)
        self.global_ = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Sequential(
            OrderedDict(
                linear=nn.Linear(channels, squeeze_channels, bias=False),
                unflatten=nn.Unflatten(1, (-1, 1, 1)),
                bn=nn.BatchNorm2d(squeeze_channels),
                silu=nn.SiLU(),
            )
        )
        self.pixel = nn.Sequential(
            OrderedDict(conv=nn.Conv2d(channels, channels, kernel_size=1, bias=False))
        )
        self.excite = nn.Sequential(
            OrderedDict(
                linear=nn.Linear(squeeze_channels, channels), sigmoid=nn.Sigmoid()
            )
        )
        self.last = nn.AdaptiveAvgPool2d(1)
        self.hardsigmoid = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        x = self.wide(x)
        x = self.drop(x)
        y = self.ceil(x)
        z = self.max(x)
        x = self.floor(x)
        x = self.to_(x)
        x = self.even(x)
        y = self.uneven(y) + self.up(z) + self.same(x)
        u = self.squeeze(self.global_(y).flatten(1))
        u = channel_shuffle(u[:, 4:12], 2)
        v = self.pixel(u)
        u = torch.cat([(u + v).flatten(1), v.flatten(1)], dim=1).flatten(1)
        u = self.excite(u)[:, :, None, None] * y
        w = self.last(u)
        return self.hardsigmoid(w) * u


class InvertedResidual(nn.Module):
    """An inverted residual (MobileNetV2, Sandler et al. 2018)."""

    def __init__(self, channels: int, hidden_channels: int, se_channels: int) -> None:
        super().__init__()
        self.expand = ConvBNAct(
            channels, hidden_channels, kernel_size=1, activation=nn.SiLU
        )
        self.depthwise = ConvBNAct(
            hidden_channels,
            hidden_channels,
            padding=1,
            groups=hidden_channels,
            activation=nn.SiLU,
        )
        self.se = SqueezeExcite(hidden_channels, se_channels)
        self.project = ConvBN(hidden_channels, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.expand(x)
        y = self.depthwise(y)
        y = self.se(y)
        return x + self.project(y)


class ShuffleV2Unit(nn.Module):
    """Two branches whose channels are shuffled (ShuffleNet V2, Ma et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        branch_channels = channels // 2
        self.reduce = ConvBNAct(branch_channels, branch_channels, kernel_size=1)
        self.depthwise = ConvBN(
            branch_channels, branch_channels, groups=branch_channels
        )
        self.expand = ConvBNAct(branch_channels, branch_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = x.chunk(2, dim=1)
        x2 = self.reduce(x2)
        x2 = self.depthwise(x2)
        return channel_shuffle(torch.cat([x1, self.expand(x2)], dim=1), 2)


class Odd(nn.Module):
    """The network: from images to the scores of their classes."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvBNAct(2, 8, stride=2, padding=1))
        self.stages = nn.Sequential(
            # 8 channels, 5 x 5
            nn.Sequential(OnnxOdd(8, 16)),
            # 8 channels, 5 x 5
            nn.Sequential(InvertedResidual(8, 48, se_channels=2)),
            # 8 channels, 5 x 5
            nn.Sequential(ShuffleV2Unit(8)),
        )
        self.head = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(3),
                flatten=nn.Flatten(),
                hidden1=nn.Sequential(
                    OrderedDict(linear=nn.Linear(72, 16), relu6=nn.ReLU6())
                ),
                classifier=nn.Sequential(
                    OrderedDict(
                        dropout=nn.Dropout(0.1), linear=nn.Linear(16, num_classes)
                    )
                ),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.stages(x)
        return self.head(x)


def main() -> None:
    network = Odd().eval()
    parameters = sum(p.numel() for p in network.parameters())
    with torch.no_grad():
        scores = network(torch.rand(1, 2, 32, 32))
    print(f"Odd: {parameters:,} parameters, output {tuple(scores.shape)}")


if __name__ == "__main__":
    main()
