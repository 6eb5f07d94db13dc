"""The hand module computes what HandTailor's published network computes."""

import jax
import jax.numpy as jnp
import pytest

from handjax.models import handtailor
from handjax.torch_weights import template
from tests import parity

FILE = parity.FOLDER / "handtailor_handnet.json"


@pytest.mark.skipif(not FILE.exists(), reason="needs the published outputs")
def test_every_output_agrees_with_the_published_network():
    rows = parity.check(FILE)
    assert len(rows) == 9
    assert all(row.passed for row in rows), rows


def test_the_parts_have_as_many_parameters_as_published():
    image = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    params = template(handtailor.PRESETS["released"], image, None)["params"]
    sizes = {name: sum(leaf.size for leaf in jax.tree.leaves(part)) for name, part in params.items()}
    assert sizes == {
        "hand3d.hand2d": 6_673_962,
        "hand3d.hand2dto3d": 6_181_972,
        "decoder": 6_906_368,
        "shapereg_layers": 2_767_116,
        "iknet.invk_layers": 2_402_624,
    }
    assert sum(sizes.values()) == 24_932_042
