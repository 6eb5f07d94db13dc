"""Checkpoints of HAMR, the multi-hand network and DeepHandMesh: as PyTorch names them, into ours and back."""

import jax
import numpy as np
import pytest

from handjax.torch_weights import to_state_dict
from launch.convert_checkpoint import SYSTEMS, networks_in
from tests import cheap


@pytest.mark.parametrize("system", ["hamr", "multihand", "deephandmesh"])
def test_a_state_dict_of_a_parallel_model_is_found_and_comes_back(system):
    (make,) = SYSTEMS[system].values()
    variables = cheap.filled(make("tiny"))
    state_dict = {f"module.{name}": array for name, array in to_state_dict(variables).items()}
    found = networks_in(state_dict, {system: make("tiny")}, ignored=("module.fc.",))
    assert list(found) == [system]
    jax.tree.map(np.testing.assert_array_equal, found[system], variables)


@pytest.mark.parametrize("system", ["hamr", "multihand", "deephandmesh"])
def test_a_missing_tensor_is_named(system):
    (make,) = SYSTEMS[system].values()
    state_dict = to_state_dict(cheap.filled(make("tiny")))
    name = next(name for name in reversed(state_dict) if name.endswith("weight"))
    del state_dict[name]
    with pytest.raises(ValueError, match=name):
        networks_in(state_dict, {system: make("tiny")})
