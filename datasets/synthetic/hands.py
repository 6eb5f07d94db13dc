"""One random hand, not yet before a camera: shape, pose, orientation, skin and forearm."""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from datasets.synthetic.assets import Assets
from datasets.synthetic.draws import Draws
from datasets.synthetic.settings import Settings
from handjax import mano, rotations, skin
from handjax.mano import capsules
from handjax.mano.pose_library import named_angles, pose_from_angles
from handjax.mano.pose_sampler import sample_degrees
from handjax.skin.group import SkinnedHand, skinned_hand

UPRIGHT = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32)
"""Fingers up, palm to the camera: the model's x, y, z (wrist, back of the hand, thumb) become y, z, x."""

OPEN_POSES = ("flat", "spread", "relaxed", "together", "stop", "european_five")
OPEN_NOISE_DEG = np.array([7.0, 3.0, 1.0])


Tree = TypeVar("Tree")


class RandomHand(NamedTuple):
    """A right hand, its bounding box (of skin, without forearm) about the origin, in the camera's axes and metres.

    params: transl moves it there; skinned, keypoints (21, 3), extent (3,) half sides of the box; axes: starts (20, 3),
    ends (20, 3) and radii (20,) of capsules, the last of the forearm.
    """

    params: mano.HandParams
    skinned: SkinnedHand
    keypoints: Array
    extent: Array
    capsules: tuple[Array, Array, Array]


def random_hand(key: Array, person_key: Array, assets: Assets, settings: Settings) -> RandomHand:
    """person_key: of shape, skin and sleeve, so that two hands can be one person's."""
    keys, person_keys = jax.random.split(key, 3), jax.random.split(person_key, 4)
    model = assets.model
    turn = random_view(Draws.of(keys[0], 6), jax.random.normal(keys[1], (7,)), settings)
    hand_pose, _ = random_pose(keys[2], assets, settings)
    betas = settings.betas_spread * mano.sample_betas(person_keys[0])
    which = (jax.random.uniform(person_keys[1]) * assets.people).astype(jnp.int32)
    params = mano.HandParams(betas, rotations.axis_angle_from_matrix(turn), hand_pose, jnp.zeros(3))
    output = mano.forward(model, params)
    low, high = output.vertices.min(axis=0), output.vertices.max(axis=0)
    middle = 0.5 * (low + high)
    params = params._replace(transl=-middle)
    moved = output.transforms.at[:, :, 3].add(-middle[None])
    output = mano.HandOutput(output.vertices - middle[None], output.joints - middle[None], moved)
    person = chosen(settings.skin, skin.sample_skin(person_keys[2]), skin.SkinParams())
    arm = chosen(settings.forearms, skin.sample_arm(person_keys[3]), skin.Arm())
    skinned = skinned_hand(model, assets.mesh, output, person, arm, jnp.where(settings.skin, which, 0))
    keypoints = mano.keypoints_of(model, output)
    return RandomHand(params, skinned, keypoints, 0.5 * (high - low), _capsules(assets, output, skinned, hand_pose))


def random_pose(key: Array, assets: Assets, settings: Settings) -> tuple[Array, Array]:
    """-> (45,), and how deep its fingers overlap, (), metres: the first of some candidates that is shallow enough, or
    the shallowest."""
    model = assets.model
    lower, upper = jnp.moveaxis(model.joint_limits, -1, 0)

    def candidate(one: Array) -> tuple[Array, Array]:
        degrees = _random_degrees(one, settings)
        pose = pose_from_angles(model, jnp.clip(jnp.deg2rad(degrees), lower, upper))
        return pose, capsules.penetration(assets.bodies, pose).max()

    def go_on(state) -> Array:
        tried, _, deepest = state
        return (tried < settings.pose_candidates) & (deepest > settings.deepest_m)

    def next_one(state):
        tried, pose, deepest = state
        other, its_deepest = candidate(jax.random.fold_in(key, tried))
        better = its_deepest < deepest
        return tried + 1, jnp.where(better, other, pose), jnp.where(better, its_deepest, deepest)

    _, pose, deepest = lax.while_loop(go_on, next_one, (jnp.array(0), jnp.zeros(45), jnp.array(1.0)))
    return jnp.where(settings.poses, pose, 0.0), jnp.where(settings.poses, deepest, 0.0)


def _random_degrees(key: Array, settings: Settings) -> Array:
    """(15, 3) degrees, not yet inside any limits: free, named, or an open hand between two of `OPEN_POSES`."""
    keys = jax.random.split(key)
    others = jnp.maximum(1.0 - settings.open_poses, 1e-6)
    degrees = sample_degrees(keys[0], settings.named_poses / others)
    draws = Draws.of(keys[1], 4 + 45)
    table = jnp.asarray(np.rad2deg(np.stack([named_angles(name) for name in OPEN_POSES])), jnp.float32)
    one, other = table[(draws.uniform(2) * len(OPEN_POSES)).astype(jnp.int32)]
    noise = draws.between(-1.0, 1.0, 15, 3) * jnp.asarray(OPEN_NOISE_DEG, jnp.float32)[None]
    open_hand = one + draws.uniform() * (other - one) + noise
    return jnp.where(draws.chance(settings.open_poses), open_hand, degrees)


def random_view(draws: Draws, normal: Array, settings: Settings) -> Array:
    """Five numbers, (7,) normal ones -> (3, 3): the model's axes -> the camera's. Even over all rotations, or with
    fingers up to a share."""
    back = jnp.where(draws.chance(0.55), jnp.pi, 0.0)
    yaw = jnp.where(draws.chance(0.7), back + np.deg2rad(28.0) * normal[4], draws.between(0.0, 2.0 * jnp.pi))
    roll = jnp.where(draws.chance(0.75), np.deg2rad(25.0) * normal[5], draws.between(0.0, 2.0 * jnp.pi))
    upright = draws.chance(settings.upright_views)
    zero = jnp.zeros(())
    vectors = [[zero, zero, roll], [np.deg2rad(22.0) * normal[6], zero, zero], [zero, yaw, zero]]
    steps = rotations.matrix_from_axis_angle(jnp.stack([jnp.stack(vector) for vector in vectors]))
    turned = jnp.linalg.multi_dot([*steps, jnp.asarray(UPRIGHT)], precision="highest")
    turned = jnp.where(upright, turned, rotations.matrix_from_quaternion(normal[:4]))
    return jnp.where(settings.views, turned, jnp.asarray(UPRIGHT))


def chosen(switch: Array | bool, drawn: Tree, usual: Tree) -> Tree:
    """What was drawn, or else what is usual."""
    return jax.tree.map(lambda one, other: jnp.where(switch, one, jnp.asarray(other, jnp.float32)), drawn, usual)


def _capsules(assets: Assets, output: mano.HandOutput, skinned: SkinnedHand, hand_pose: Array):
    """The hand's capsules where the hand is, and one for the forearm."""
    starts, ends = capsules.segments(assets.bodies, hand_pose)
    root = output.transforms[0]
    place = jnp.concatenate([starts, ends])
    placed = jnp.matmul(place, root[:, :3].T, precision="highest") + root[None, :, 3]
    rim = output.vertices[np.array(assets.mesh.rim)]
    elbow = skinned.vertices[-len(assets.mesh.rim) :].mean(axis=0)
    wrist = rim.mean(axis=0)
    thickness = jnp.linalg.norm(rim - wrist[None], axis=-1).mean()
    half = len(starts)
    return (
        jnp.concatenate([placed[:half], wrist[None]]),
        jnp.concatenate([placed[half:], elbow[None]]),
        jnp.append(assets.bodies.radii, thickness),
    )
