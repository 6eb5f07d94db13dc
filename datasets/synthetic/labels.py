"""The labels of one picture: an example without its image, and its mirror image."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.camera import Camera, intrinsics_matrix, mirror_camera, project
from handjax.mano import MANO_KEYPOINT_IDS, MANO_PARENTS, HandParams, mirror_params, mirror_points
from handjax.skin.group import SkinGroup

LEFT, RIGHT = 0, 1
FLESH_M = 0.045
"""No bone is so thick that more of its flesh lies in front of its joints."""
LEAST_VISIBLE = 3
"""Hands of which fewer keypoints are seen are no hands of the example, and not in its mask and depth."""


def _bones() -> np.ndarray:
    """(21, 16) bool: the bones that meet at each keypoint; their flesh does not hide it."""
    meets = np.zeros((21, 16), bool)
    for keypoint, joint in enumerate(MANO_KEYPOINT_IDS):
        # Beyond the joints come the fingertips, thumb first.
        bone = joint if joint < 16 else MANO_KEYPOINT_IDS[keypoint - 1]
        meets[keypoint, [bone, max(MANO_PARENTS[bone], 0) if joint < 16 else bone]] = True
    return meets


BONES = _bones()


def example(
    camera: Camera,
    group: SkinGroup,
    params: HandParams,
    boxes: Array,
    keypoints: Array,
    flipped: Array,
    drawn: Array,
    hidden: Array,
    face_bones: Array,
) -> dict[str, Array]:
    """The labels of N hands as drawn, sides by `flipped` (N,): right hands, or left ones mirrored in place.

    params, boxes (N, 4) and keypoints (N, 21, 3): as seen, in the camera frame. hidden (H, W): share of each
    pixel that something else covers. face_bones (F,): of the faces of the hand, without forearm.
    """
    seen = (group.owner >= 0) & (group.face < len(face_bones)) & (hidden < 0.5)
    owner, depth = jnp.where(seen, group.owner, -1), jnp.where(seen, group.depth, 0.0)
    bone = face_bones[jnp.where(seen, group.face, 0)]
    pixels = project(camera, keypoints)
    shown = owner, bone, depth
    visible = jax.vmap(_visible, (0, 0, 0, None))(jnp.arange(len(drawn)), pixels, keypoints[..., 2], shown)
    valid = drawn & (visible.sum(axis=-1) >= LEAST_VISIBLE)
    # What is seen of hands that do not count is background.
    kept = jnp.append(valid, False)[owner]
    filled = {
        "side": jnp.where(flipped, LEFT, RIGHT).astype(jnp.int32),
        "box": boxes,
        "keypoints_2d": pixels,
        "keypoints_3d": keypoints,
        "betas": params.betas,
        "global_orient": params.global_orient,
        "hand_pose": params.hand_pose,
        "transl": params.transl,
        "keypoints_visible": visible,
    }
    blank = {
        name: jnp.where(valid.reshape(-1, *[1] * (value.ndim - 1)), value, jnp.zeros_like(value))
        for name, value in filled.items()
    }
    every = jnp.broadcast_to(valid[:, None], (len(drawn), 21))
    return blank | {
        "valid": valid,
        "side_valid": valid,
        "keypoints_2d_valid": every,
        "keypoints_3d_valid": every,
        "keypoints_visible_valid": every,
        "mano_valid": valid,
        "vertices_valid": valid,
        "mask": jnp.where(kept, owner + 1, 0).astype(jnp.int8),
        "mask_valid": jnp.array(True),
        "depth": jnp.where(kept, depth, 0.0),
        "depth_valid": jnp.array(True),
        "intrinsics": intrinsics_matrix(camera),
        "intrinsics_valid": jnp.array(True),
    }


def boxes(camera: Camera, vertices: Array, size: tuple[int, int]) -> Array:
    """(N, V, 3) -> (N, 4) x0 y0 x1 y1 around the hands, cut at the picture's border."""
    corners = project(camera, vertices)
    edges = jnp.array([[size[1], size[0]]], jnp.float32)
    ends = corners.min(axis=1), corners.max(axis=1)
    return jnp.concatenate([jnp.clip(end, 0.0, edges) for end in ends], axis=-1)


def _visible(slot: Array, pixels: Array, depth: Array, shown: tuple[Array, Array, Array]) -> Array:
    """(21,): inside the picture, and what its pixel shows is this hand, of a bone that meets there."""
    owner, bone, seen_depth = shown
    height, width = owner.shape
    x, y = jnp.floor(pixels[:, 0]), jnp.floor(pixels[:, 1])
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    column, row = (jnp.clip(place, 0, side - 1).astype(jnp.int32) for place, side in ((x, width), (y, height)))
    own = jnp.asarray(BONES)[jnp.arange(21), bone[row, column]] & (depth - seen_depth[row, column] < FLESH_M)
    return inside & (owner[row, column] == slot) & own


def mirrored(labels: dict[str, Array]) -> dict[str, Array]:
    """The example of the mirrored picture: u -> W - u, x -> -x, axis-angle (a, -b, -c), the other sides."""
    width = labels["mask"].shape[1]
    params = mirror_params(HandParams(*(labels[name] for name in HandParams._fields)))
    matrix = labels["intrinsics"]
    camera = Camera(jnp.stack([matrix[0, 0], matrix[1, 1]]), matrix[:2, 2])
    x0, y0, x1, y1 = jnp.moveaxis(labels["box"], -1, 0)
    u, v = jnp.moveaxis(labels["keypoints_2d"], -1, 0)
    valid = labels["valid"]

    def where_valid(value: Array) -> Array:
        return jnp.where(valid.reshape(-1, *[1] * (value.ndim - 1)), value, jnp.zeros_like(value))

    return labels | {
        "side": where_valid(LEFT + RIGHT - labels["side"]),
        "box": where_valid(jnp.stack([width - x1, y0, width - x0, y1], axis=-1)),
        "keypoints_2d": where_valid(jnp.stack([width - u, v], axis=-1)),
        "keypoints_3d": where_valid(mirror_points(labels["keypoints_3d"])),
        "global_orient": params.global_orient,
        "hand_pose": params.hand_pose,
        "transl": params.transl,
        "image": labels["image"][:, ::-1],
        "mask": labels["mask"][:, ::-1],
        "depth": labels["depth"][:, ::-1],
        "intrinsics": intrinsics_matrix(mirror_camera(camera, width)),
    }
