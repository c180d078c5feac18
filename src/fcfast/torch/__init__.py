"""PyTorch modules whose first layer is trained without its weights for features, exactly and on CPU or GPU.

`FrontLinear` takes the place of ``nn.Linear(d, h)`` in a network whose samples are fixed. Networks and loops stay as they are.
"""

try:
    import torch as _torch  # noqa: F401  # everything below needs it, and would say so less clearly
except ImportError as error:
    raise ImportError('fcfast.torch needs PyTorch: pip install "fcfast[torch]"') from error

from fcfast.torch.clipping import clip_grad_norm_
from fcfast.torch.compiled import compiled_step
from fcfast.torch.guard import InexactOptimizerError, allow_optimizer
from fcfast.torch.linear import FrontLinear
from fcfast.torch.neuron_adam import NeuronAdam
from fcfast.torch.rows import Rows

__all__ = [
    "FrontLinear",
    "InexactOptimizerError",
    "NeuronAdam",
    "Rows",
    "allow_optimizer",
    "clip_grad_norm_",
    "compiled_step",
]
