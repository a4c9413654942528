"""Networks that the paper's claims need, and the way from a file back to a module."""

from __future__ import annotations

from secateur.models.cnn import SmallCNN
from secateur.models.costs import multiply_adds, output_positions, positions_of
from secateur.models.forward import check_device, logits_of
from secateur.models.groupnorm import GroupNormed, builds_batch_norm, has_batch_norm
from secateur.models.layout import channels_last, takes_channels_last
from secateur.models.lenet import LeNet5, LeNet20
from secateur.models.mlp import MLP
from secateur.models.mobilenet import MobileNetV2
from secateur.models.narrower import count_prunable, narrower
from secateur.models.normalised import Normalise, Normalised
from secateur.models.rebuild import prunable, rebuild, tensors_of
from secateur.models.resnet import ResNet18
from secateur.models.shapes import input_shape
from secateur.models.shipped import OnnxNetwork, runnable
from secateur.models.surgery import cut, operate_
from secateur.models.vgg import VGG16

__all__ = [
    "MLP",
    "VGG16",
    "GroupNormed",
    "LeNet5",
    "LeNet20",
    "MobileNetV2",
    "Normalise",
    "Normalised",
    "OnnxNetwork",
    "ResNet18",
    "SmallCNN",
    "builds_batch_norm",
    "channels_last",
    "check_device",
    "count_prunable",
    "cut",
    "has_batch_norm",
    "input_shape",
    "logits_of",
    "multiply_adds",
    "narrower",
    "operate_",
    "output_positions",
    "positions_of",
    "prunable",
    "rebuild",
    "runnable",
    "takes_channels_last",
    "tensors_of",
]
