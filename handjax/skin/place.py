"""Where on the hand a point of the skin is: on which finger, how far along it, how far around it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from handjax.skin.frame import THUMB, HandFrame


class Place(NamedTuple):
    """N points of the rest hand; lengths in the frame's millimetres.

    palm (N, 2): across (ulnar) and along (distal), to the scale of the hand on which the palm's lines were drawn;
    finger (N,) int32, thumb 0; along (N,): 0 at the finger's base joint, 1 and 2 at the next, 3 at the tip;
    bone_length (N,) of the bone there; side, back (N,): offset from the bone to the ulnar side and to the back;
    on_finger (N,) 0 palm to 1; facing (N,): cosine between the normal and the back of the hand or finger.
    """

    points: Array
    palm: Array
    finger: Array
    along: Array
    bone_length: Array
    side: Array
    back: Array
    on_finger: Array
    facing: Array

    @property
    def angle(self) -> Array:
        """(N,) around the bone: 0 at the back, positive to the ulnar side, pi at the pad."""
        return jnp.arctan2(self.side, self.back)

    @property
    def radius(self) -> Array:
        return jnp.sqrt(self.side**2 + self.back**2)


@jax.jit
def place(frame: HandFrame, points: Array, normals: Array) -> Place:
    """(N, 3) points and unit normals of the rest surface in the frame's axes and millimetres."""
    joints, bones, lengths = (jnp.asarray(part, jnp.float32) for part in (frame.joints, frame.bones, frame.lengths))
    distance = jnp.stack([_distance(points, joints[k], metacarpal=k != THUMB) for k in range(5)])
    finger = jnp.argmin(distance, axis=0).astype(jnp.int32)
    is_thumb = finger == THUMB
    # Falls to 0 where another finger comes as near, so that nothing jumps in the skin between them.
    thumb_share = smoothstep(0.5, 0.68, distance[1:].min(axis=0) / (distance[1:].min(axis=0) + distance[THUMB]))
    # One bone after the other; along the chain the pieces join without a step.
    share = [_share(points, joints[finger, k], bones[finger, k, 1], lengths[finger, k]) for k in range(3)]
    along = jnp.minimum(share[0], 1.0) + jnp.clip(share[1], 0.0, 1.0) + jnp.maximum(share[2], 0.0)
    bone = jnp.clip(jnp.floor(along), 0, 2).astype(jnp.int32)
    length, turn = lengths[finger, bone], bones[finger, bone]
    foot = joints[finger, bone] + ((along - bone) * length)[:, None] * turn[:, 1]
    offset = points - foot
    side, back = (offset * turn[:, 0]).sum(-1), (offset * turn[:, 2]).sum(-1)
    on_finger = jnp.where(is_thumb, smoothstep(0.5, 1.2, along) * thumb_share, smoothstep(0.34, 0.62, along))
    # The thumb's own back already counts over its metacarpal, where the palm turns into it.
    own = jnp.where(is_thumb, smoothstep(0.1, 0.9, along) * thumb_share, on_finger)[:, None]
    towards_back = own * turn[:, 2] + (1.0 - own) * jnp.array([[0.0, 0.0, 1.0]])
    facing = (normals * towards_back).sum(-1) / jnp.linalg.norm(towards_back, axis=-1)
    palm = points[:, :2] * jnp.asarray(frame.palm_scale, jnp.float32)[None]
    return Place(points, palm, finger, along, length, side, back, on_finger, facing)


def smoothstep(start: float, end: float, value: Array) -> Array:
    """0 before `start`, 1 after `end`; start may be the larger."""
    share = jnp.clip((value - start) / (end - start), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def _share(points: Array, start: Array, direction: Array, length: Array) -> Array:
    return ((points - start) * direction).sum(-1) / length


def _distance(points: Array, joints: Array, metacarpal: bool) -> Array:
    """(N,) distance to the nearest bone of a finger."""
    nearest = jnp.full(points.shape[0], jnp.inf)
    chain = [joints[k] for k in range(4)]
    if metacarpal:
        chain.insert(0, joints[0] * jnp.array([0.4, 0.1, 0.5]))
    for start, end in zip(chain[:-1], chain[1:], strict=True):
        bone = end - start
        share = jnp.clip(((points - start[None]) * bone[None]).sum(-1) / (bone**2).sum(), 0.0, 1.0)
        nearest = jnp.minimum(nearest, ((points - start[None] - share[:, None] * bone[None]) ** 2).sum(-1))
    return jnp.sqrt(nearest + 1e-6)
