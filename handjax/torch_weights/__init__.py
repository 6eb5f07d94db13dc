"""Published PyTorch weights as flax variables and back, without PyTorch and without running anything from a file."""

from handjax.torch_weights.names import template, to_state_dict, to_variables
from handjax.torch_weights.read import read_state_dict

__all__ = ["read_state_dict", "template", "to_state_dict", "to_variables"]
