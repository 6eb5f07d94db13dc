"""`handjax hand`: a hand made to measure, in a pose, as a file of each kind."""

import numpy as np
import pytest
import trimesh

from handjax import mano
from handjax.__main__ import main
from handjax.hand_file import HandOrder, write_hand
from tests.test_gltf import Glb

SMALL = ["--resolution=low", "--texture_size=128"]


def test_the_command_writes_a_textured_rig_of_the_size_asked_for(tmp_path, capsys):
    path = tmp_path / "hand.glb"
    assert main(["hand", "--measure=length=190,breadth=85", "--pose=pinch", f"--out={path}", *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "length          190.0 mm   asked 190.0" in printed and "breadth          85." in printed
    glb = Glb(path)
    assert len(glb.document["skins"][0]["joints"]) == 16
    material = glb.document["materials"][0]
    assert "baseColorTexture" in material["pbrMetallicRoughness"] and "normalTexture" in material
    primitive = glb.document["meshes"][0]["primitives"][0]
    uv = glb.array(primitive["attributes"]["TEXCOORD_0"])
    assert len(uv) > 778 and uv.min() >= 0 and uv.max() <= 1
    assert len(glb.array(primitive["indices"])) == 3 * 1538


def test_an_npz_holds_the_parameters_that_make_its_mesh(tmp_path):
    made = write_hand(HandOrder({"length": 170.0}, "women", "fist", "left", "low"), tmp_path / "hand.npz")
    assert made.got_mm["length"] == pytest.approx(170.0, rel=0.002)
    with np.load(tmp_path / "hand.npz") as arrays:
        params = mano.HandParams(*(arrays[name] for name in mano.HandParams._fields))
        output = mano.forward(mano.default("left"), params)
        np.testing.assert_allclose(output.vertices, arrays["vertices"], atol=1e-6)
        assert arrays["keypoints"].shape == (21, 3) and str(arrays["side"]) == "left"


def test_a_lid_closes_the_mesh_of_every_kind(tmp_path):
    order = HandOrder(pose="flat", resolution="low", texture_size=128, closed=True)
    for kind in ("obj", "ply"):
        write_hand(order, tmp_path / f"hand.{kind}")
        mesh = trimesh.load(tmp_path / f"hand.{kind}", process=False)
        assert mesh.is_watertight and mesh.volume > 2e-4
        assert np.ptp(mesh.visual.vertex_colors[:, :3]) > 20
    write_hand(order, tmp_path / "hand.glb")
    primitive = Glb(tmp_path / "hand.glb").document["meshes"][0]["primitives"][0]
    assert len(Glb(tmp_path / "hand.glb").array(primitive["indices"])) == 3 * len(mesh.faces)


def test_groups_that_nobody_measured_are_said_so(tmp_path):
    made = write_hand(HandOrder(group="children", resolution="low", skin="none"), tmp_path / "hand.obj")
    assert "not measured" in made.remarks[0]
    made = write_hand(HandOrder({"length": 120.0}, resolution="low", skin="none"), tmp_path / "hand.obj")
    assert "unusual" in made.remarks[0]


def test_poses_are_listed(capsys):
    assert main(["hand", "--list_poses"]) == 0
    assert "gestures: " in (printed := capsys.readouterr().out) and " pinch" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--measure=length"], "--measure must be NAME=MILLIMETRES"),
        (["--measure=length=long"], "--measure must be NAME=MILLIMETRES"),
        (["--measure=length=1900"], "length must be in millimetres"),
        (["--measure=size=3"], "measures must be among length"),
        (["--pose=nope"], "name must be one of"),
        (["--resolution=huge"], "resolution must be one of"),
        (["--skin=blue"], "skin must be one of"),
        (["--group=giants"], "group must be one of"),
        (["--side=both"], "side must be one of"),
        (["--out="], "--out=FILE.glb must be given"),
        (["--out=hand.fbx"], "the ending of out must be one of"),
        (["stray"], "hand takes no paths"),
    ],
)
def test_a_bad_order_is_an_error_and_writes_nothing(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["hand", "--out=hand.obj", "--resolution=low", "--skin=none", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.*"))
