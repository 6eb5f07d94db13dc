"""Rigged, skinned hands as binary glTF 2.0, which Blender, Unity, Unreal, three.js and others open."""

import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import handjax
from handjax.export.files import write_bytes
from handjax.export.glb import INDEX_BUFFER, VERTEX_BUFFER, GlbBuffer
from handjax.export.mesh import vertex_normals
from handjax.export.rig import RiggedHand, checked_rig
from handjax.export.texture import checked_texture, png_bytes, tangents


class ViewCamera(NamedTuple):
    """The photograph's camera for a glTF viewer: focal_y and image_size (width, height) in pixels.

    glTF puts the principal point at the image's centre and has square pixels.
    """

    focal_y: float
    image_size: tuple[int, int]


def write_glb(
    path: str | os.PathLike,
    hands: Sequence[RiggedHand],
    fps: float | None = None,
    camera: ViewCamera | None = None,
) -> None:
    """Writes rigged, skinned hands as one .glb file, animated if they have more than one frame.

    The hands stay where the camera saw them, in metres. glTF has y up and its camera looks along -z, the hands have
    y down and z forward (OpenCV), so both skeletons hang under one node that turns half a turn about x.

    Each hand is a mesh with normals, a skeleton whose nodes bear the joints' names, inverse bind matrices, and as many
    sets of four influences as its weights need (`rigged_hand` keeps to one). Its nodes stand in the pose of the first
    frame. A motion is linear tracks of rotations, and of the root's position; viewers repeat plain skinning, so pose
    correctives change only through what `rigged_hand` folded into the rest mesh. A hand that is seen during a part of
    the video only rests in its first and last pose outside that part.

    Args:
      path: the file; its folder must exist. Written whole or not at all.
      hands: at least one; vertex and joint counts may differ.
      fps: frames per second, for hands of several frames without `times`.
      camera: the photograph's camera, to look through it in the viewer.

    Raises:
      ValueError, TypeError: a field of a hand is wrong, or several frames have neither times nor fps.
      OSError: the file cannot be written.
    """
    if not hands:
        raise ValueError("hands must hold at least one hand, got none")
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be above 0, got {fps}")
    buffer = GlbBuffer()
    scene_root: dict[str, Any] = {"name": "camera_space", "rotation": [1.0, 0.0, 0.0, 0.0], "children": []}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"handjax {handjax.__version__}"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [scene_root],
        "meshes": [],
        "skins": [],
        "materials": [],
    }
    animation = {"name": "motion", "channels": [], "samplers": []}
    for hand in map(checked_rig, hands):
        root = _add_hand(document, buffer, hand)
        scene_root["children"].append(root)
        if len(hand.local_rotations) > 1:
            _add_motion(animation, buffer, hand, root, _frame_times(hand, fps))
    if animation["channels"]:
        document["animations"] = [animation]
    if camera is not None:
        _add_camera(document, camera)
    write_bytes(path, buffer.file(document))


def _add_hand(document: dict[str, Any], buffer: GlbBuffer, hand: RiggedHand) -> int:
    """Adds mesh, material, skin and nodes; returns the number of the root joint's node."""
    nodes = document["nodes"]
    root = len(nodes)
    quaternions = _quaternions(hand.local_rotations[:1])[0]
    for joint, name in enumerate(hand.joint_names):
        children = [root + child for child, parent in enumerate(hand.parents) if parent == joint]
        nodes.append(
            {
                "name": name,
                "translation": _joint_position(hand, joint).tolist(),
                "rotation": quaternions[joint].tolist(),
            }
            | ({"children": children} if children else {})
        )
    inverse_bind = np.tile(np.eye(4), (len(hand.parents), 1, 1))
    inverse_bind[:, :3, 3] = -hand.rest_joints
    document["skins"].append(
        {
            "name": hand.name,
            "joints": list(range(root, root + len(hand.parents))),
            "skeleton": root,
            # glTF matrices are column-major.
            "inverseBindMatrices": buffer.add(inverse_bind.transpose(0, 2, 1).astype("<f4")),
        }
    )
    document["materials"].append(_material(document, buffer, hand))
    document["meshes"].append(
        {"name": hand.name, "primitives": [_primitive(buffer, hand, len(document["materials"]) - 1)]}
    )
    # A skinned mesh follows its joints alone, so its node belongs to the scene, not under the skeleton's parent.
    document["scenes"][0]["nodes"].append(len(nodes))
    nodes.append({"name": hand.name, "mesh": len(document["meshes"]) - 1, "skin": len(document["skins"]) - 1})
    return root


def _primitive(buffer: GlbBuffer, hand: RiggedHand, material: int) -> dict[str, Any]:
    vertices, faces, weights = hand.rest_vertices.astype("<f4"), hand.faces, hand.lbs_weights
    normals = vertex_normals(vertices, faces).astype("<f4")
    if hand.texture is not None:
        # glTF has one uv a vertex: where the picture has a seam, the vertex is there twice.
        texture, owner = checked_texture(hand.texture, faces)
        vertices, normals, weights, faces = vertices[owner], normals[owner], weights[owner], texture.uv_faces
    # The greatest index of a type is reserved (primitive restart).
    index_type = "<u2" if len(vertices) <= 65535 else "<u4"
    attributes = {
        "POSITION": buffer.add(vertices, VERTEX_BUFFER, bounds=True),
        "NORMAL": buffer.add(normals, VERTEX_BUFFER),
    }
    if hand.texture is not None:
        if hand.texture.normal is not None:
            attributes["TANGENT"] = buffer.add(tangents(vertices, normals, hand.texture), VERTEX_BUFFER)
        attributes["TEXCOORD_0"] = buffer.add(hand.texture.uv.astype("<f4"), VERTEX_BUFFER)
    for number, (joints, shares) in enumerate(_influence_sets(weights)):
        attributes[f"JOINTS_{number}"] = buffer.add(joints, VERTEX_BUFFER)
        attributes[f"WEIGHTS_{number}"] = buffer.add(shares, VERTEX_BUFFER)
    if hand.colors is not None:
        opaque = np.concatenate([_linear(hand.colors / 255), np.ones((len(vertices), 1))], axis=1)
        colors = np.round(opaque * 65535).astype("<u2")
        attributes["COLOR_0"] = buffer.add(colors, VERTEX_BUFFER, normalized=True)
    indices = buffer.add(faces.ravel().astype(index_type), INDEX_BUFFER)
    return {"attributes": attributes, "indices": indices, "material": material}


def _influence_sets(lbs_weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(V, J) -> sets of (joints (V, 4), weights (V, 4)), strongest first, as many as the weights need."""
    num_vertices, num_joints = lbs_weights.shape
    num_sets = max(1, math.ceil((lbs_weights > 0).sum(axis=1).max() / 4))
    order = np.argsort(-lbs_weights, axis=1, kind="stable")[:, : 4 * num_sets]
    weights = np.take_along_axis(lbs_weights, order, axis=1)
    weights = weights / weights.sum(axis=1, keepdims=True)
    padding = ((0, 0), (0, 4 * num_sets - order.shape[1]))
    weights = np.pad(weights, padding).astype("<f4")
    # glTF asks for joint 0 where the weight is 0.
    joints = np.where(weights > 0, np.pad(order, padding), 0).astype("|u1" if num_joints <= 256 else "<u2")
    return [
        (np.ascontiguousarray(joints[:, first : first + 4]), np.ascontiguousarray(weights[:, first : first + 4]))
        for first in range(0, 4 * num_sets, 4)
    ]


def _material(document: dict[str, Any], buffer: GlbBuffer, hand: RiggedHand) -> dict[str, Any]:
    plain = hand.colors is None and hand.texture is None
    color = _linear(np.asarray(hand.base_color)).tolist() if plain else [1.0, 1.0, 1.0]
    surface: dict[str, Any] = {"baseColorFactor": [*color, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.6}
    material: dict[str, Any] = {"name": hand.name, "pbrMetallicRoughness": surface}
    if hand.texture is not None:
        surface["baseColorTexture"] = {"index": _add_texture(document, buffer, hand.texture.color)}
        if hand.texture.normal is not None:
            material["normalTexture"] = {"index": _add_texture(document, buffer, hand.texture.normal)}
    return material


def _add_texture(document: dict[str, Any], buffer: GlbBuffer, picture: np.ndarray) -> int:
    images, textures = document.setdefault("images", []), document.setdefault("textures", [])
    images.append({"bufferView": buffer.add_image(png_bytes(picture)), "mimeType": "image/png"})
    textures.append({"source": len(images) - 1})
    return len(textures) - 1


def _add_motion(animation: dict[str, Any], buffer: GlbBuffer, hand: RiggedHand, root: int, times: np.ndarray) -> None:
    input_accessor = buffer.add(times.astype("<f4"), bounds=True)
    tracks = [
        (root + joint, "rotation", track)
        for joint, track in enumerate(_quaternions(hand.local_rotations).transpose(1, 0, 2))
    ]
    for node, path, track in [(root, "translation", hand.root_positions), *tracks]:
        output_accessor = buffer.add(np.ascontiguousarray(track, "<f4"))
        animation["channels"].append({"sampler": len(animation["samplers"]), "target": {"node": node, "path": path}})
        animation["samplers"].append({"input": input_accessor, "output": output_accessor, "interpolation": "LINEAR"})


def _frame_times(hand: RiggedHand, fps: float | None) -> np.ndarray:
    if hand.times is not None:
        return hand.times
    if fps is None:
        raise ValueError(f"fps must be given: {hand.name!r} has {len(hand.local_rotations)} frames and no times")
    return np.arange(len(hand.local_rotations)) / fps


def _add_camera(document: dict[str, Any], camera: ViewCamera) -> None:
    width, height = camera.image_size
    if not (camera.focal_y > 0 and width > 0 and height > 0):
        raise ValueError(f"camera must have a focal length and size above 0, got {camera}")
    perspective = {
        "yfov": 2 * math.atan(height / (2 * camera.focal_y)),
        "aspectRatio": width / height,
        "znear": 0.01,
    }
    document["cameras"] = [{"name": "photograph", "type": "perspective", "perspective": perspective}]
    document["scenes"][0]["nodes"].append(len(document["nodes"]))
    document["nodes"].append({"name": "photograph", "camera": 0})


def _joint_position(hand: RiggedHand, joint: int) -> np.ndarray:
    if joint == 0:
        return hand.root_positions[0]
    return hand.rest_joints[joint] - hand.rest_joints[hand.parents[joint]]


def _quaternions(rotations: np.ndarray) -> np.ndarray:
    """(T, J, 3, 3) -> (T, J, 4), x y z w as in glTF, neighbours in time on the same half sphere.

    By the eigenvector of Bar-Itzhack, "New method for extracting the quaternion from a rotation matrix", 2000.
    """
    symmetric = np.zeros((*rotations.shape[:-2], 4, 4))
    trace = np.trace(rotations, axis1=-2, axis2=-1)
    symmetric[..., :3, :3] = rotations + rotations.swapaxes(-1, -2) - trace[..., None, None] * np.eye(3)
    for axis in range(3):
        after, before = (axis + 1) % 3, (axis + 2) % 3
        symmetric[..., 3, axis] = rotations[..., before, after] - rotations[..., after, before]
    symmetric[..., 3, 3] = trace
    quaternions = np.linalg.eigh(symmetric)[1][..., -1]  # eigh reads the lower triangle, greatest value last
    quaternions[0] *= np.where(quaternions[0, ..., 3:] < 0, -1.0, 1.0)
    flips = np.where(np.einsum("tjq,tjq->tj", quaternions[1:], quaternions[:-1]) < 0, -1.0, 1.0)
    quaternions[1:] *= np.cumprod(flips, axis=0)[..., None]
    return quaternions


def _linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] to linear light, which glTF's factors and vertex colours are in (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
