"""The command turns PyTorch's files into checkpoints and back, or says what does not fit and writes nothing."""

import numpy as np
import pytest

from handjax.torch_weights import read_state_dict
from handjax.torch_weights.names import leaves
from launch import convert_checkpoint
from launch.convert_checkpoint import main

NETWORKS = {name: make("tiny") for name, make in convert_checkpoint.SYSTEMS["bihand"].items()}


def state_dict(network: str, prefix: str = "") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(len(network))
    return {
        prefix + name: rng.standard_normal(leaf.torch_shape()).astype(np.float32)
        for name, leaf in leaves(NETWORKS[network]).items()
    }


def run(*options) -> int:
    return main(["--system=bihand", "--preset=tiny", *map(str, options)])


def saved(folder, **arrays):
    path = folder / f"weights{len(arrays)}.npz"
    np.savez(path, **arrays)
    return path


def test_every_network_of_the_files_becomes_a_checkpoint_that_goes_back(tmp_path, capsys):
    whole = state_dict("seednet", "seed.") | state_dict("siknet", "ik.")
    files = [saved(tmp_path, **whole), saved(tmp_path, **state_dict("liftnet"))]
    assert run("--weights", *files, "--out", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["liftnet", "seednet", "siknet"]
    for network in ("seednet", "siknet"):
        back = tmp_path / f"{network}.npz"
        assert run("--checkpoint", tmp_path / "out" / network, "--out", back) == 0
        read, given = read_state_dict(back), state_dict(network)
        assert {name for name in read if not name.endswith("num_batches_tracked")} == given.keys()
        for name, array in given.items():
            np.testing.assert_array_equal(read[name], array)
    assert capsys.readouterr().out.count("wrote") == 5


def test_names_that_match_no_network_are_listed_and_nothing_is_written(tmp_path, capsys):
    extra = {"mano.betas": np.zeros(10, np.float32)}
    path = saved(tmp_path, **state_dict("siknet"), **extra)
    assert run("--weights", path, "--out", tmp_path / "out") == 1
    assert "weights hold siknet and 1 names of none: mano.betas" in capsys.readouterr().err
    part = dict(list(state_dict("siknet").items())[:-1])
    assert run("--weights", saved(tmp_path, **part), "--out", tmp_path / "out") == 1
    assert "missing: shapereg_layers" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run("--weights", path, "--ignore", "mano.", "--out", tmp_path / "out") == 0


def test_a_checkpoint_that_is_there_is_kept_and_a_missing_one_is_named(tmp_path, capsys):
    path = saved(tmp_path, **state_dict("siknet"))
    kept = tmp_path / "out" / "siknet" / "kept"
    kept.mkdir(parents=True)
    assert run("--weights", path, "--out", tmp_path / "out") == 1
    assert "out must not hold a checkpoint yet" in capsys.readouterr().err
    assert kept.exists()
    assert run("--checkpoint", tmp_path / "siknet", "--out", tmp_path / "back.npz") == 1
    assert "checkpoint must be a folder" in capsys.readouterr().err
    assert run("--checkpoint", tmp_path / "out", "--out", tmp_path / "back.npz") == 1
    assert "network must be one of 'seednet', 'liftnet', 'siknet', got 'out'" in capsys.readouterr().err
    assert run("--weights", path, "--preset=large", "--out", tmp_path / "out2") == 1
    assert "preset must be one of 'tiny', 'small', 'paper', 'released', got 'large'" in capsys.readouterr().err
    assert run("--weights", path, path, "--out", tmp_path / "out2") == 1
    assert "each network once, got siknet again" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--weights", "a.pth", "--checkpoint", "b"]])
def test_one_direction_must_be_given(options, tmp_path):
    with pytest.raises(SystemExit):
        run(*options, "--out", tmp_path)


@pytest.mark.parametrize("system", convert_checkpoint.SYSTEMS)
def test_every_system_has_networks_whose_leaves_have_names(system):
    for make in convert_checkpoint.SYSTEMS[system].values():
        names = leaves(make("tiny"))
        assert any(name.endswith("weight") for name in names)
