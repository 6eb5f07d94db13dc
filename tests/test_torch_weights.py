"""Published weights are read as data, whatever wraps them, and a file that is anything else runs and takes nothing."""

import json
import os
import random
import struct
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from handjax.models.layers import BatchNorm, Conv, ConvTranspose, Linear
from handjax.torch_weights import read_state_dict, template, to_state_dict, to_variables
from tests import torch_files
from tests.torch_files import FLAT, HONEST, archive, dict_of, legacy, number, numbers, storage, tensor, text


class Small(nn.Module):
    """A leaf of every kind, under names such as PyTorch gives."""

    @nn.compact
    def __call__(self, x, train=False):
        x = ConvTranspose(3, 4, 2, 1, name="up")(Conv(5, 3, name="stem.0")(x))
        return Linear(2, name="head")(BatchNorm(name="stem.1")(x, train))


@pytest.fixture(scope="module")
def shapes():
    return template(Small(), jax.ShapeDtypeStruct((1, 4, 4, 2), jnp.float32))


@pytest.fixture(scope="module")
def small():
    """A state_dict for `Small`, in PyTorch's layouts."""
    sizes = {
        **{"stem.0.weight": (5, 2, 3, 3), "stem.0.bias": (5,), "up.weight": (5, 3, 4, 4), "up.bias": (3,)},
        **{f"stem.1.{name}": (3,) for name in ("weight", "bias", "running_mean", "running_var")},
        **{"head.weight": (2, 3), "head.bias": (2,)},
    }
    rng = np.random.default_rng(0)
    state_dict = {name: rng.uniform(0.5, 1.5, size).astype(np.float32) for name, size in sizes.items()}
    return state_dict | {"stem.1.num_batches_tracked": np.zeros((), np.int64)}


def written(folder, data: bytes, name: str = "weights.pth"):
    path = folder / name
    path.write_bytes(data)
    return path


# Names and layouts.


def test_a_state_dict_becomes_variables_and_comes_back_as_it_was(small, shapes):
    variables = to_variables(small, shapes)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, shapes)
    back = to_state_dict(variables)
    assert back.keys() == small.keys()
    for name, array in small.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype


def test_layouts_are_those_that_the_layers_read(small, shapes):
    params = to_variables(small, shapes)["params"]
    assert params["stem.0"]["kernel"][2, 1, 0, 4] == small["stem.0.weight"][4, 0, 2, 1]
    assert params["up"]["transposed_kernel"][3, 1, 4, 2] == small["up.weight"][4, 2, 3, 1]
    assert params["head"]["kernel"][2, 1] == small["head.weight"][1, 2]


def test_names_that_do_not_match_are_listed(small, shapes):
    wrong = {name: array for name, array in small.items() if name != "head.bias"}
    wrong |= {"tail.weight": np.zeros(2), "up.weight": np.zeros((3, 5, 4, 4))}
    with pytest.raises(ValueError) as error:
        to_variables(wrong, shapes)
    assert str(error.value) == (
        "state_dict must have the network's 10 tensors; missing: head.bias; not of this network: tail.weight; "
        "of another shape: up.weight (must be (5, 3, 4, 4), got (3, 5, 4, 4))"
    )
    with pytest.raises(ValueError, match="missing: .* and 2 more"):
        to_variables({}, template(Wide(), jnp.zeros((1, 2))))


class Wide(nn.Module):
    @nn.compact
    def __call__(self, x):
        for layer in range(7):
            x = Linear(2, name=str(layer))(x)
        return x


def test_names_that_are_told_to_be_ignored_need_not_match(small, shapes):
    classifier = small | {"fc.weight": np.zeros((1000, 3)), "fc.bias": np.zeros(1000)}
    jax.tree.map(
        np.testing.assert_array_equal, to_variables(classifier, shapes, ignored=["fc."]), to_variables(small, shapes)
    )
    with pytest.raises(ValueError, match="not of this network: fc.weight, fc.bias"):
        to_variables(classifier, shapes)


def test_two_leaves_of_one_pytorch_name_are_refused():
    twice = {"params": {"a.b": {"bias": np.zeros(1)}, "a": {"b": {"bias": np.zeros(1)}}}}
    with pytest.raises(ValueError, match="one leaf for each PyTorch name, got two for a.b.bias"):
        to_state_dict(twice)


# Files as PyTorch writes them.


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="makes the files of PyTorch")


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "before 1.6"])
@pytest.mark.parametrize("wrapped", ["bare", "parallel", "checkpoint", "lightning"])
def test_a_state_dict_is_found_in_what_training_scripts_save(torch, tmp_path, small, zipped, wrapped):
    tensors = {name: torch.from_numpy(array) for name, array in small.items()}
    if wrapped != "bare":
        tensors = {f"module.{name}": value for name, value in tensors.items()}
    if wrapped in ("checkpoint", "lightning"):
        optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
        optimizer.param_groups[0]["params"][0].sum().backward()
        optimizer.step()
        tensors = {"epoch": 7, "best": np.float64(0.9), "state_dict": tensors, "optimizer": optimizer.state_dict()}
    if wrapped == "lightning":
        tensors = {"model": tensors}
    path = tmp_path / "weights.pth.tar"
    torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    read = read_state_dict(path)
    assert read.keys() == small.keys()
    for name, array in small.items():
        np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "before 1.6"])
def test_views_types_and_parameters_are_read_as_pytorch_means_them(torch, tmp_path, zipped):
    base = torch.arange(24.0).reshape(4, 6) / 3
    tensors = {
        "transposed": base.t(),
        "row": base[2, 1:5:2],
        "empty": base[:0],
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "half": base.half(),
        "counter": torch.tensor(3),
        "flags": base > 3,
        "parameter": torch.nn.Parameter(base[1]),
    }
    path = tmp_path / "weights.pt"
    torch.save({**tensors, "bfloat": base.bfloat16()}, path, _use_new_zipfile_serialization=zipped)
    read = read_state_dict(path)
    for name, value in tensors.items():
        want = value.detach().numpy()
        np.testing.assert_array_equal(read[name], want)
        assert read[name].dtype == want.dtype
    np.testing.assert_array_equal(read["bfloat"], base.bfloat16().float().numpy())


def test_a_whole_model_or_torchscript_is_refused_with_what_to_save_instead(torch, tmp_path):
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(
        ValueError, match=r"model.pt: .*names 'torch.nn.modules.linear.Linear'.*torch.save\(model.state"
    ):
        read_state_dict(path)
    buffer = tmp_path / "script.pt"
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("script/data.pkl", torch_files.pickle_of(HONEST))
        file.writestr("script/constants.pkl", b"\x80\x02).")
    with pytest.raises(ValueError, match="TorchScript"):
        read_state_dict(buffer)


def test_layers_with_weights_of_pytorch_give_pytorchs_numbers(torch, small, shapes):
    modules = torch.nn.ModuleDict(
        {
            "stem": torch.nn.Sequential(torch.nn.Conv2d(2, 5, 3, padding=1), torch.nn.BatchNorm2d(3)),
            "up": torch.nn.ConvTranspose2d(5, 3, 4, 2, 1),
            "head": torch.nn.Linear(3, 2),
        }
    )
    modules.load_state_dict(
        {name: torch.from_numpy(array) for name, array in to_state_dict(to_variables(small, shapes)).items()}
    )
    x = np.random.default_rng(1).standard_normal((2, 4, 4, 2)).astype(np.float32)
    for train in (False, True):
        modules.train(train)
        with torch.no_grad():
            y = modules["stem"][1](modules["up"](modules["stem"][0](torch.from_numpy(x.transpose(0, 3, 1, 2)))))
            want = modules["head"](y.permute(0, 2, 3, 1)).numpy()
        got, state = Small().apply(to_variables(small, shapes), jnp.asarray(x), train, mutable=["batch_stats"])
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)
        for ours, theirs in [("mean", "running_mean"), ("var", "running_var")]:
            stored = getattr(modules["stem"][1], theirs).numpy()
            np.testing.assert_allclose(state["batch_stats"]["stem.1"][ours], stored, rtol=1e-5)


# Other formats.


def safetensors(header: dict | bytes, body: bytes) -> bytes:
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(data)) + data + body


def test_safetensors_and_npz_are_read(tmp_path, small, shapes):
    header, body = {"__metadata__": {"format": "pt"}}, b""
    kinds = {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}
    for name, array in small.items():
        places = [len(body), len(body) + array.nbytes]
        header[name] = {"dtype": kinds[array.dtype], "shape": list(array.shape), "data_offsets": places}
        body += array.tobytes()
    header["bfloat"] = {"dtype": "BF16", "shape": [2], "data_offsets": [len(body), len(body) + 4]}
    body += np.array([0x3F80, 0xC000], "<u2").tobytes()
    read = read_state_dict(written(tmp_path, safetensors(header, body), "weights.safetensors"))
    np.testing.assert_array_equal(read.pop("bfloat"), [1, -2])
    np.savez(tmp_path / "weights.npz", **to_state_dict(to_variables(small, shapes)))
    for found in (read, read_state_dict(tmp_path / "weights.npz")):
        assert found.keys() == small.keys()
        for name, array in small.items():
            np.testing.assert_array_equal(found[name], array)


BROKEN_HEADERS = {
    "not JSON": b"{nothing",
    "deep": b"[" * 200_000,
    "a list": b"[1, 2]",
    "no place": {"a": {"dtype": "F32", "shape": [1]}},
    "outside": {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}},
    "negative": {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [8, 4]}},
    "too small": {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 8]}},
    "overlapping": {name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in "ab"},
    "unknown type": {"a": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}},
    "bool as size": {"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}},
}


@pytest.mark.parametrize("header", BROKEN_HEADERS.values(), ids=BROKEN_HEADERS)
def test_a_broken_safetensors_header_is_refused(tmp_path, header):
    with pytest.raises(ValueError, match="weights.safetensors: "):
        read_state_dict(written(tmp_path, safetensors(header, bytes(8)), "weights.safetensors"))
    with pytest.raises(ValueError, match="header must have 2 to"):
        read_state_dict(written(tmp_path, struct.pack("<Q", 1 << 62) + bytes(80), "weights.safetensors"))


def test_an_npz_that_swells_or_holds_pickles_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(4 << 20))
    with pytest.raises(ValueError, match="must unpack to at most"):
        read_state_dict(tmp_path / "bomb.npz")
    np.savez(tmp_path / "objects.npz", a=np.array([{}], object))
    with pytest.raises(ValueError, match="objects.npz: 'a.npy' is a pickled object array"):
        read_state_dict(tmp_path / "objects.npz")


# Hostile files.


def both(body: bytes):
    """A body in an archive and in the older format."""
    return [archive(body, {"0": FLAT.tobytes()}), legacy(body, {"0": FLAT})]


@pytest.mark.parametrize("data", both(HONEST), ids=["archive", "legacy"])
def test_the_files_put_together_here_are_read_when_they_are_honest(tmp_path, data):
    read = read_state_dict(written(tmp_path, data))
    np.testing.assert_array_equal(read["a.weight"], FLAT.reshape(3, 4))
    np.testing.assert_array_equal(read["b"], FLAT[8:])


def test_what_a_file_wants_to_call_is_named_and_not_called(tmp_path):
    sentinel = tmp_path / "run"
    command = text(f"touch {sentinel}")
    calls = [
        b"cos\nsystem\n(" + command + b"tR",
        b"cposix\nsystem\n(" + command + b"tR",
        b"c__builtin__\neval\n(" + text("1") + b"tR",
        b"(" + command + b"ios\nsystem\n",
        b"(cos\nsystem\n" + command + b"o",
        text("os") + text("system") + b"\x93(" + command + b"tR",
        b"ctorch\nload\n(" + command + b"tR",
        b"ctorch.hub\nload\n(" + command + b"tR",
        b"chandjax.torch_weights\nread_state_dict\n(" + command + b"tR",
        b"c__builtin__\ngetattr\n(" + text("a") + text("b") + b"tR",
        b"\x82\x01",
    ]
    for call in calls:
        for data in both(dict_of({"a": tensor("0", 12, (3, 4), (4, 1)), "b": call})):
            with pytest.raises(ValueError, match="nothing was run|is refused"):
                read_state_dict(written(tmp_path, data))
    assert not sentinel.exists()


HUGE = 1 << 50
BAD_TENSORS = {
    "a storage larger than the file": tensor("0", HUGE, (2,), (1,)),
    "a shape larger than its storage": tensor("0", 12, (HUGE,), (1,)),
    "a view repeated without end": tensor("0", 12, (HUGE, 4), (0, 1)),
    "strides beyond the storage": tensor("0", 12, (3, 4), (5, 1)),
    "an offset beyond the storage": tensor("0", 12, (2,), (1,), offset=11),
    "a negative offset": tensor("0", 12, (2,), (1,), offset=-1),
    "a negative stride": tensor("0", 12, (2,), (-1,)),
    "a negative length": tensor("0", 12, (-2, -2), (1, 1)),
    "more axes than lengths": tensor("0", 12, (2,), (1, 1)),
    "too many axes": tensor("0", 12, (1,) * 40, (1,) * 40),
    "another type": tensor("0", 12, (2,), (1,), kind="DoubleStorage"),
    "two types of one storage": dict_of(
        {"x": tensor("0", 12, (2,), (1,)), "y": tensor("0", 12, (2,), (1,), kind="IntStorage")}
    ),
    "no such storage": tensor("../../etc/passwd", 12, (2,), (1,)),
    "a storage of no type": b"(" + text("storage") + text("x") + text("0") + text("cpu") + number(12) + b"tQ",
    "a tensor of a number": b"ctorch._utils\n_rebuild_tensor_v2\n(" + number(1) * 4 + b"tR",
    "a shape of tensors": b"ctorch._utils\n_rebuild_tensor_v2\n("
    + (storage("0", 12) + number(0) + b"(" + storage("0", 12) + b"t" + numbers([1]))
    + b"tR",
}


@pytest.mark.parametrize("body", BAD_TENSORS.values(), ids=BAD_TENSORS)
def test_a_tensor_that_its_storage_cannot_hold_is_refused(tmp_path, body):
    for data in both(dict_of({"a": body})):
        with pytest.raises(ValueError, match="weights.pth: "):
            read_state_dict(written(tmp_path, data))


BAD_TREES = {
    "no tensors": dict_of({"epoch": number(3)}),
    "a number": number(3),
    "a dict in itself": b"}q\x00" + text("a") + b"h\x00s",
    "a state_dict in itself": b"}q\x00" + text("state_dict") + b"h\x00s",
    "a name twice": dict_of({"a": tensor("0", 12, (2,), (1,)), "module.a": tensor("0", 12, (2,), (1,))}),
    "a key that is a tuple nested without end": b"}" + b"(" * 50_000 + b"t" * 50_000 + number(1) + b"s",
    "a key that is a huge number": b"}" + b"\x8a\xff" + b"\x7f" * 255 + number(1) + b"s",
    "a text longer than the file": b"X" + struct.pack("<I", 0xFFFFFFF0) + b"a",
    "bytes longer than the file": b"\x8e" + struct.pack("<Q", 1 << 60) + b"a",
    "a memo far away": b"}r" + struct.pack("<I", 0xFFFFFFF0),
    "nothing on the stack": b"0",
    "a frame of nonsense": b"\xff\xff",
}


@pytest.mark.parametrize("body", BAD_TREES.values(), ids=BAD_TREES)
def test_a_tree_without_a_state_dict_or_without_end_is_refused(tmp_path, body):
    for data in both(body):
        with pytest.raises(ValueError, match="weights.pth: "):
            read_state_dict(written(tmp_path, data))


def test_dicts_nested_as_a_lattice_are_walked_once(tmp_path):
    # Forty dicts, each holding the one before it forty times over.
    body = dict_of({"x": tensor("0", 12, (2,), (1,))}) + b"q\x00"
    for level in range(40):
        again = b"".join(text(f"k{i}") + b"h" + bytes([level]) for i in range(40))
        body += b"0}(" + again + b"uq" + bytes([level + 1])
    with pytest.raises(ValueError, match="must hold a state_dict"):
        read_state_dict(written(tmp_path, archive(body, {"0": FLAT.tobytes()})))


def test_members_that_are_compressed_missing_or_too_many_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must be stored uncompressed"):
        read_state_dict(written(tmp_path, archive(HONEST, {"0": FLAT.tobytes()}, zipfile.ZIP_DEFLATED)))
    with pytest.raises(ValueError, match="storage '0' must be a member of 48 bytes, got none"):
        read_state_dict(written(tmp_path, archive(HONEST, {})))
    with pytest.raises(ValueError, match="must have at most 50000 members"):
        read_state_dict(written(tmp_path, archive(HONEST, {"0": FLAT.tobytes(), "1": b"PK\x01\x02" * 50_001})))


@pytest.mark.parametrize("data", both(HONEST), ids=["archive", "legacy"])
def test_a_file_cut_anywhere_is_refused(tmp_path, data):
    for length in range(0, len(data) - 1, 7):
        with pytest.raises(ValueError, match="weights.pth: "):
            read_state_dict(written(tmp_path, data[:length]))


@pytest.mark.parametrize("data", both(HONEST), ids=["archive", "legacy"])
def test_a_file_with_changed_bytes_is_read_or_refused_but_nothing_else(tmp_path, data):
    rng = random.Random(0)
    for _ in range(600):
        changed = bytearray(data)
        for _ in range(rng.choice([1, 2, 8])):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        try:
            read_state_dict(written(tmp_path, bytes(changed)))
        except ValueError as error:
            assert str(error).startswith("weights.pth: ")


def test_other_files_and_missing_ones_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"weights.pth: weights must be a file of torch.save"):
        read_state_dict(written(tmp_path, b"\x89PNG" + bytes(100)))
    with pytest.raises(ValueError, match="must have 16 to"):
        read_state_dict(written(tmp_path, b""))
    with pytest.raises(FileNotFoundError):
        read_state_dict(tmp_path / "none.pth")
    os.truncate(written(tmp_path, b"", "large.pth"), 9 << 30)
    with pytest.raises(ValueError, match="large.pth: weights must have 16 to 8589934592 bytes, got 9663676416"):
        read_state_dict(tmp_path / "large.pth")
