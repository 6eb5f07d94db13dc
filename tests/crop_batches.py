"""Crops of one right hand with every label, made in no time, and what every stage of a training must do with them."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import losses, mano
from handjax.camera import Camera, intrinsics_matrix, project
from handjax.detect import RIGHT
from handjax.targets import mirror_labels
from handjax.train import AXIS, start, train_step
from tests import cheap, hand_scenes

FLESH_PX = 3.0


def crops(count: int = 2, size: int = 32, flip: bool = False) -> dict[str, Array]:
    """Dots for an image, discs around the keypoints for mask and depth. flip: the mirror images, of left hands."""
    model, camera = mano.default(), Camera(jnp.full(2, 2.6 * size), jnp.full(2, size / 2))
    keypoints = jax.jit(mano.keypoints)
    hands = [one(model, camera, keypoints, seed, size) for seed in range(count)]
    batch = {name: jnp.stack([jnp.asarray(hand[name]) for hand in hands]) for name in hands[0]}
    return mirrored(batch, size) if flip else batch


def one(model, camera, keypoints, seed, size):
    params = hand_scenes.params(RIGHT, seed, (-0.03, 0.004, 0.55))
    points = keypoints(model, params)
    pixels = project(camera, points)
    centres = np.arange(size) + 0.5
    grid = np.stack(np.meshgrid(centres, centres), -1)
    away = np.linalg.norm(grid[:, :, None] - np.asarray(pixels), axis=-1)
    mask = (away < FLESH_PX).any(-1)
    depth = np.where(mask, np.asarray(points)[away.argmin(-1), 2], 0.0)
    image = np.random.default_rng(seed).integers(0, 80, (size, size, 3)) + 150 * mask[..., None]
    every, known = np.ones(21, bool), np.array(True)
    return {
        "image": image.astype(np.uint8),
        "mask": mask.astype(np.int8),
        "depth": depth.astype(np.float32),
        **params._asdict(),
        "keypoints_2d": pixels,
        "keypoints_3d": points,
        "intrinsics": intrinsics_matrix(camera),
        "box": np.concatenate([np.min(pixels, 0), np.max(pixels, 0)]),
        "side": np.array(RIGHT, np.int32),
        "keypoints_visible": every,
        **{f"keypoints_{name}_valid": every for name in ("2d", "3d", "visible")},
        **{f"{name}_valid": known for name in ("mask", "depth", "mano", "vertices", "side", "intrinsics")},
        "valid": known,
    }


def mirrored(batch, size):
    """-> the examples of the mirrored pictures."""
    pictures = ("image", "mask", "depth")
    labels = {name: value for name, value in batch.items() if name not in pictures}
    flipped = jax.vmap(lambda one: mirror_labels(one, size))(labels)
    return {**flipped, **{name: batch[name][:, :, ::-1] for name in pictures}}


def gradients(objective, variables, batch):
    """-> each term's mean, and the norms of its gradient by network, and by the first part of a path within it."""
    shapes = jax.eval_shape(lambda: objective(variables, batch, jax.random.key(1), train=True))
    names = sorted(shapes.terms)

    def value(params, others, batch, chosen):
        found = objective({**others, "params": params}, batch, jax.random.key(1), train=True)
        means = losses.means_of(found.terms)
        return jnp.stack([means[name] for name in names]) @ chosen, means

    rows = jnp.eye(len(names))
    given = variables["params"], {name: tree for name, tree in variables.items() if name != "params"}, batch
    compiled = cheap.compiled(jax.grad(value, has_aux=True), *given, rows[0])
    norms, means = {}, {}
    for place, name in enumerate(names):
        slope, means = compiled(*given, rows[place])
        norms[name] = {
            f"{network}/{part}": norm(leaves) for network, parts in slope.items() for part, leaves in parts.items()
        }
    return {name: float(value) for name, value in means.items()}, norms


def norm(tree):
    return float(np.sqrt(sum((np.asarray(leaf, np.float64) ** 2).sum() for leaf in jax.tree.leaves(tree))))


def assert_every_term_pulls(means, norms):
    assert np.isfinite(list(means.values())).all(), means
    for name, parts in norms.items():
        pulls = list(parts.values())
        assert np.isfinite(pulls).all() and max(pulls) > 0, (name, parts)


def assert_scores_go_with_outputs(task, variables, batch):
    """What evaluation and the constant answer measure has the same names and is finite; the metric is among them.

    -> the constant's scores.
    """
    outputs = jax.eval_shape(lambda: task.objective(variables, batch, jax.random.key(1), train=False)).outputs
    ours = jax.eval_shape(task.score, outputs, batch)
    theirs = jax.jit(lambda batch: task.score(task.constant(task.prior(batch), batch), batch))(batch)
    assert ours.keys() == theirs.keys() and task.metric in ours
    means = {name: float(value) for name, value in losses.means_of(theirs).items()}
    assert np.isfinite(list(means.values())).all(), means
    return means


def updated(task, variables, batch):
    """One update of a task's optimiser, on one device. -> the states before and after it, and its metrics."""
    before = start(variables, task.optimiser, frozen=task.frozen)
    step = train_step(task.objective, task.weights, task.optimiser, frozen=task.frozen)
    mapped = jax.pmap(step, axis_name=AXIS, in_axes=(None, 0, None), out_axes=None, devices=jax.devices()[:1])
    first = jax.tree.map(lambda leaf: leaf[None], batch)
    compiled = mapped.lower(before, first, jax.random.key(2)).compile(cheap.QUICKLY)
    after, metrics = jax.device_get(compiled(before, first, jax.random.key(2)))
    return jax.device_get(before), after, metrics
