"""The comparison with published outputs can fail, reads what it documents, and says which files it cannot read."""

import json

import numpy as np
import pytest

from tests import parity

DESCRIBED = {
    "system": "BiHand SIKNet regressors",
    "input_range": {"joints": [-1, 1]},
    "seed": 3,
    "gain": 1.0,
    "inputs": {"joints": {"shape": [2, 21, 3]}},
}
WIDTHS = {
    "invk_layers": (123, 256, 512, 1024, 1024, 512, 256, 64),
    "shapereg_layers": (63, 128, 256, 512, 256, 128, 10),
}


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    """SIKNet by its description, in float64 NumPy."""
    state = parity.state_dict({**DESCRIBED, "parameters": parameters()})
    joints = parity.inputs(DESCRIBED)["joints"].astype(np.float64)
    parents = [0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19]
    bones = joints[:, 1:] - joints[:, parents]
    bones /= np.linalg.norm(bones, axis=-1, keepdims=True) + 1e-5
    quaternions = dense("invk_layers", np.concatenate([joints, bones], 1).reshape(2, 123), state).reshape(2, 16, 4)
    w, vector = quaternions[..., :1], quaternions[..., 1:]
    sine = np.linalg.norm(vector, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(np.where(w < 0, -sine, sine), np.abs(w))
    return {
        "quaternions": quaternions,
        "betas": dense("shapereg_layers", joints.reshape(2, 63), state),
        "axis_angle": (angle * vector / sine).reshape(2, 48),
    }


def parameters() -> list:
    return [
        [f"{branch}.{2 * layer}.{kind}", [fan_out, fan_in] if kind == "weight" else [fan_out]]
        for branch, widths in WIDTHS.items()
        for layer, (fan_in, fan_out) in enumerate(zip(widths, widths[1:], strict=False))
        for kind in ("weight", "bias")
    ]


def dense(branch: str, x: np.ndarray, state: dict) -> np.ndarray:
    last = len(WIDTHS[branch]) - 2
    for layer in range(last + 1):
        x = x @ state[f"{branch}.{2 * layer}.weight"].T.astype(np.float64) + state[f"{branch}.{2 * layer}.bias"]
        x = x if layer == last else np.maximum(x, 0)
    return x


def write(folder, expected, **changes):
    described = {name: {"stored_as": "whole array"} for name in expected}
    path = folder / "made.json"
    path.write_text(json.dumps({**DESCRIBED, "parameters": parameters(), "outputs": described, **changes}))
    np.savez(path.with_suffix(".npz"), **expected)
    return path


def test_a_second_implementation_agrees_and_a_wrong_number_is_reported(tmp_path, expected, capsys):
    path = write(tmp_path, expected)
    assert parity.main([str(path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    betas = expected["betas"].copy()
    betas[1, 3] += 1e-3 * np.abs(betas).max()
    path = write(tmp_path, expected | {"betas": betas})
    assert parity.main([str(path)]) == 1
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.endswith("FAR")] == ["betas"]


def test_an_output_that_the_network_lacks_fails(tmp_path, expected):
    path = write(tmp_path, expected | {"vertices": expected["betas"]})
    assert [row.name for row in parity.check(path) if not row.passed] == ["vertices"]


def test_a_file_that_lacks_something_or_names_no_known_system_says_so(tmp_path, expected):
    with pytest.raises(ValueError, match="system must begin with one of.*'BiHand SeedNet'.*got 'HaMeR'"):
        parity.check(write(tmp_path, expected, system="HaMeR"))
    with pytest.raises(ValueError, match=r"made.npz lacks vertices"):
        parity.check(write(tmp_path, expected, outputs={"vertices": {"stored_as": "whole array"}}))
    with pytest.raises(ValueError, match=r"state_dict must have the network's 26 tensors; missing: shapereg_layers.10"):
        parity.check(write(tmp_path, expected, parameters=parameters()[:-1]))


def test_outputs_are_thinned_as_a_file_says():
    array = np.arange(2 * 8 * 6 * 4.0).reshape(2, 8, 6, 4)
    np.testing.assert_array_equal(parity.thinned(array, "whole array"), array)
    np.testing.assert_array_equal(parity.thinned(array, "array[:, ::4, ::1, ::2]"), array[:, ::4, :, ::2])
    np.testing.assert_array_equal(parity.thinned(array, "array[:, :, ::3] * 1e6"), array[:, :, ::3] * 1e6)
    with pytest.raises(ValueError, match="stored_as must be"):
        parity.thinned(array, "array.mean()")


def test_the_rules_for_weights_are_those_of_the_files():
    assert parity.value("bn.num_batches_tracked", [], 1, 1.0) == 0
    assert 0.05 < np.std(parity.value("bn.running_mean", [400], 1, 1.0)) < 0.15
    assert 0.5 <= parity.value("bn.running_var", [400], 1, 1.0).min() < 0.51
    assert np.std(parity.value("conv.weight", [8, 50, 3, 3], 1, 0.1)) == pytest.approx(np.sqrt(0.1 / 450), rel=0.05)
    assert 0.5 <= parity.value("norm.weight", [400], 1, 1.0).min() < 0.51
