"""From full images to crops and back, and from what networks say to meshes: step by step in float64 NumPy.

A left hand is handled as a right hand in the mirrored picture, box, camera and sense of rotation.
"""

from types import SimpleNamespace

import numpy as np
from scipy import ndimage

from tests import reference

MIRROR = np.array([-1.0, 1.0, 1.0])


def as_right(image, box, rotation, focal, center, side):
    """The picture, box, rotation, focal and center in which the hand is a right one."""
    width = image.shape[1]
    box, center = np.asarray(box, float), np.asarray(center, float)
    if side == 1:
        return image, box, rotation, np.asarray(focal, float), center
    mirrored = np.array([width - box[2], box[1], width - box[0], box[3]])
    return image[:, ::-1], mirrored, -rotation, np.asarray(focal, float), np.array([width - center[0], center[1]])


def cut(image, box, rotation, focal, center, size, margin):
    """A crop (size, size, 3) in [0, 1], its affine, the camera (focal, center) of the crop and its rotation R_z."""
    middle = (box[:2] + box[2:]) / 2
    zoom = size / (margin * max(box[2:] - box[:2]))
    turn = np.array([[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]])
    linear = zoom * turn
    shift = np.full(2, size / 2) - linear @ middle
    crop = np.zeros((size, size, 3))
    inverse = np.linalg.inv(linear)
    rows, columns = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5, indexing="ij")
    source = (np.stack([columns, rows], -1) - shift) @ inverse.T - 0.5
    for channel in range(3):
        values = image[..., channel].astype(float)
        crop[..., channel] = ndimage.map_coordinates(
            values, [source[..., 1], source[..., 0]], order=1, mode="grid-constant"
        )
    about_z = np.eye(3)
    about_z[:2, :2] = turn
    return SimpleNamespace(
        crop=crop / 255, linear=linear, shift=shift, focal=zoom * focal, center=linear @ center + shift, turn=about_z
    )


def to_full(view, points, pixels, width, side):
    """Points in a crop's frame and pixels of it -> in the full image's, for the hand's own side."""
    points = points @ view.turn
    pixels = (pixels - view.shift) @ np.linalg.inv(view.linear).T
    if side == 1:
        return points, pixels
    return points * MIRROR, np.array([width, 0]) + pixels * [-1, 1]


def rays(uv, size, focal, center, shift):
    """(21, 2) shares of the crop -> (21, 3) with z = 1; `shift` is from the weights' pixels to ours, 0.5 or 0."""
    pixels = uv * size + shift
    return np.concatenate([(pixels - center) / focal, np.ones((len(uv), 1))], -1)


def solved_depth(uvd, bone, *camera):
    """The root's depth at which |joint 0 - joint 9| is `bone`: the larger root of the quadratic."""
    r = rays(uvd[:, :2], *camera)
    d = 3 * uvd[:, 2] - 1.5
    a, b = r[0] - r[9], d[0] * r[0] - d[9] * r[9]
    return bone * max(np.roots([a @ a, 2 * a @ b, b @ b - 1]).real)


def joints(uvd, bone, root_depth, *camera):
    """(21, 3) metres: z = (3 d - 1.5) bone + root, x and y along the rays."""
    return rays(uvd[:, :2], *camera) * ((3 * uvd[:, 2] - 1.5) * bone + root_depth)[:, None]


def relative(points, root):
    return (points - root) / np.linalg.norm(points[0] - points[9])


def posed_of_side(raw, params, side):
    """`reference.posed` of a left (0) or right (1) hand, from the right hand's model."""
    betas, *others = (np.asarray(values, float) for values in params)
    if side == 1:
        return reference.posed(raw, betas, *others)
    orient, pose, transl = others
    signs = MIRROR * -1
    output = reference.posed(raw, betas, orient * signs, (pose.reshape(-1, 3) * signs).ravel(), transl * MIRROR)
    return {name: output[name] * MIRROR for name in ("vertices", "joints")}


def mesh(raw, model, betas, axis_angle, root, bone):
    """Vertices and keypoints of the toy hand with middle MCP at `root`, and |wrist - middle MCP| = `bone` if given."""
    output = reference.posed(raw, betas, axis_angle[:3], axis_angle[3:], np.zeros(3))
    points = reference.keypoints(output, raw["fingertip_ids"], model.keypoint_ids)
    scale = 1 if bone is None else bone / np.linalg.norm(points[0] - points[9])
    return [scale * (values - points[9]) + root for values in (output["vertices"], points)]
