"""A hand made to measure, in a pose, as a file: what `handjax hand` does."""

import dataclasses
import os
from pathlib import Path

import jax
import numpy as np

from handjax import export, mano, skin
from handjax.checks import check_choice
from handjax.mano import HandModel, HandOutput, HandParams
from handjax.predict.hands import write_arrays

KINDS = (".glb", ".obj", ".ply", ".npz")
SKINS = ("none", *(tone.replace(" ", "_") for tone in skin.TONES))
MM = 1000.0
LONGEST_MM = 400.0


@dataclasses.dataclass(frozen=True)
class HandOrder:
    """What hand is wanted. measures: by the names of `mano.HandMeasures`, millimetres; empty: the mean of `group`.

    pose: one of `mano.POSE_NAMES`. skin: "none" or a tone, as a picture of `texture_size` texels a side. closed: puts a
    lid on the wrist.
    """

    measures: dict[str, float] = dataclasses.field(default_factory=dict)
    group: str = "adults"
    pose: str = "flat"
    side: str = "right"
    resolution: str = "medium"
    skin: str = "light"
    texture_size: int = 512
    closed: bool = False


@dataclasses.dataclass(frozen=True)
class MadeHand:
    """The parameters of the file, what was asked and got (millimetres), and what should be known about it."""

    params: HandParams
    asked_mm: dict[str, float]
    got_mm: dict[str, float]
    remarks: tuple[str, ...]


def write_hand(order: HandOrder, path: str | os.PathLike) -> MadeHand:
    """Writes one hand; the ending of `path` says how: rigged glTF, OBJ, PLY, or an npz of parameters and mesh.

    The hand stands in the model's own axes, metres: fingers of a right hand to -x, its back to +y. In a .glb it keeps
    its skeleton at the flat hand with the pose as its first frame, so that it can be animated.

    Raises ValueError for an unknown measure, group, pose, side, resolution, skin or ending; OSError.
    """
    path = Path(path)
    check_choice("the ending of out", path.suffix.lower(), KINDS)
    check_choice("skin", order.skin, SKINS)
    for name, size in order.measures.items():
        if not 0.0 < size < LONGEST_MM:
            raise ValueError(f"{name} must be in millimetres, above 0 and below {LONGEST_MM:g}, got {size:g}")
    model = mano.default(order.side, order.resolution)
    betas, made = _shape(model, order)
    zero = mano.zero_params(model)
    params = zero._replace(betas=betas, hand_pose=mano.named_pose(model, order.pose))
    output = jax.jit(mano.forward)(model, params)
    if path.suffix.lower() == ".npz":
        _write_npz(path, model, params, output, order)
    else:
        _write_mesh(path, model, output, order)
    return dataclasses.replace(made, params=params)


def _shape(model: HandModel, order: HandOrder) -> tuple[jax.Array, MadeHand]:
    people = mano.population(order.group)
    remarks = [] if people.measured else [f"the population {order.group!r} is widened from adults, not measured"]
    if not order.measures:
        betas, asked = people.mean, {}
    else:
        fitted = mano.betas_for(model, group=people, **{name: size / MM for name, size in order.measures.items()})
        betas, asked = fitted.betas, dict(order.measures)
        if fitted.unusual:
            remarks.append(
                f"unusual for an adult: a shape {float(fitted.largest):.1f} standard deviations from the mean"
            )
        if fitted.error > 0.015:
            remarks.append(f"the measures contradict each other: met to {100 * float(fitted.error):.1f} %")
    got = {name: MM * float(size) for name, size in mano.measure(model, betas)._asdict().items()}
    return betas, MadeHand(mano.zero_params(model), asked, got, tuple(remarks))


def _write_mesh(path: Path, model: HandModel, output: HandOutput, order: HandOrder) -> None:
    faces = mano.closed_faces(model) if order.closed else np.asarray(model.faces)
    texture = None if order.skin == "none" else _texture(model, order.skin, order.texture_size)
    if path.suffix.lower() == ".glb":
        hand = export.rigged_hand(f"{order.side}_hand", model, output, texture=texture)
        if order.closed:
            hand = _with_lid(hand, faces)
        export.write_glb(path, [hand])
        return
    colors = None if texture is None else _vertex_colors(texture, np.asarray(model.faces), model.num_vertices)
    write = export.write_obj if path.suffix.lower() == ".obj" else export.write_ply
    write(path, output.vertices, faces, colors)


def _texture(model: HandModel, tone: str, size: int) -> export.MeshTexture:
    """The atlas with one row of uv for each place of a vertex in it, and the pictures of this tone."""
    corner_uv = skin.skin_atlas(model).corner_uv.reshape(-1, 2)
    corners = np.column_stack([np.asarray(model.faces).ravel(), corner_uv])
    rows, uv_faces = np.unique(corners, axis=0, return_inverse=True)
    params = skin.SkinParams(melanin=skin.TONES[tone.replace("_", " ")])
    color, normal = skin.skin_pictures(skin.bake_skin(model, size), params)
    return export.MeshTexture(np.clip(rows[:, 1:], 0.0, 1.0), uv_faces.reshape(-1, 3), color, normal)


def _with_lid(hand: export.RiggedHand, faces: np.ndarray) -> export.RiggedHand:
    """The lid's corners take the picture of the rim."""
    if hand.texture is None:
        return hand._replace(faces=faces)
    row = np.zeros(len(hand.rest_vertices), int)
    row[np.asarray(hand.faces).ravel()] = hand.texture.uv_faces.ravel()
    lid = row[faces[len(hand.faces) :]]
    texture = hand.texture._replace(uv_faces=np.concatenate([hand.texture.uv_faces, lid]))
    return hand._replace(faces=faces, texture=texture)


def _vertex_colors(texture: export.MeshTexture, faces: np.ndarray, num_vertices: int) -> np.ndarray:
    """(V, 3) uint8: the picture at each vertex."""
    row = np.zeros(num_vertices, int)
    row[faces.ravel()] = texture.uv_faces.ravel()
    height, width = texture.color.shape[:2]
    column, line = (texture.uv[row] * [width, height]).astype(int).T
    return texture.color[np.minimum(line, height - 1), np.minimum(column, width - 1)]


def _write_npz(path: Path, model: HandModel, params: HandParams, output: HandOutput, order: HandOrder) -> None:
    arrays = {name: np.asarray(value) for name, value in params._asdict().items()}
    arrays |= {"vertices": np.asarray(output.vertices), "joints": np.asarray(output.joints)}
    arrays |= {"keypoints": np.asarray(mano.keypoints_of(model, output)), "faces": np.asarray(model.faces)}
    write_arrays(path, arrays | {"side": np.array(order.side), "pose": np.array(order.pose)})
