"""Parameters as smplx, manopth, and HaMeR and WiLoR hold them, to and from ours.

Their default arguments are those libraries' own, so that the call that made the numbers tells the call that reads
them. In all three the root turns about its rest joint and the translation is added last, as here.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax import rotations
from handjax.camera import Camera
from handjax.checks import check_last_axes
from handjax.conventions.poses import convert_pose
from handjax.mano.hand import forward
from handjax.mano.landmarks import keypoints_of
from handjax.mano.sides import mirror_params
from handjax.mano.types import HandModel, HandParams

HAMER_FOCAL, HAMER_CROP = 5000.0, 256.0


def from_smplx(
    model: HandModel,
    params: Mapping[str, ArrayLike],
    *,
    use_pca: bool = True,
    num_pca_comps: int = 6,
    flat_hand_mean: bool = False,
) -> HandParams:
    """`smplx.MANO`'s betas (..., n), global_orient (..., 3), hand_pose (..., 45 or n), transl (..., 3), in a dict.

    What is left out is zero, as there: the mean pose unless `flat_hand_mean`. Other keys are ignored. For matrices
    (`MANOLayer`) see `from_hamer`. Raises ValueError naming a key whose shape does not go with the arguments.
    """
    coding = _smplx_coding(use_pca, num_pca_comps, flat_hand_mean)
    width = num_pca_comps if coding.startswith("pca") else 3 * (model.num_joints - 1)
    given = [(key, params.get(key)) for key in HandParams._fields]
    return _params(model, coding, width, *given)


def to_smplx(
    model: HandModel,
    params: HandParams,
    *,
    use_pca: bool = True,
    num_pca_comps: int = 6,
    flat_hand_mean: bool = False,
) -> dict[str, Array]:
    """The inverse of `from_smplx`; with PCA the nearest pose that its components can make."""
    coding = _smplx_coding(use_pca, num_pca_comps, flat_hand_mean)
    fingers = convert_pose(model, params.hand_pose, source="axis_angle", target=coding, num_pca_comps=num_pca_comps)
    return {**params._asdict(), "hand_pose": fingers}


def from_manopth(
    model: HandModel,
    th_pose_coeffs: ArrayLike,
    th_betas: ArrayLike | None = None,
    th_trans: ArrayLike | None = None,
    *,
    use_pca: bool = True,
    ncomps: int = 6,
    flat_hand_mean: bool = True,
) -> HandParams:
    """manopth's `ManoLayer` arguments: pose (..., 3 + n), the root's axis-angle first; betas; translation in metres.

    Raises ValueError naming an argument whose shape does not go with the others.
    """
    coding = _coding(use_pca, flat_hand_mean)
    width = ncomps if use_pca else 3 * (model.num_joints - 1)
    coefficients = jnp.asarray(th_pose_coeffs)
    check_last_axes("th_pose_coeffs", coefficients, (3 + width,))
    return _params(
        model,
        coding,
        width,
        ("th_betas", th_betas),
        ("th_pose_coeffs", coefficients[..., :3]),
        ("th_pose_coeffs", coefficients[..., 3:]),
        ("th_trans", th_trans),
    )


def to_manopth(
    model: HandModel, params: HandParams, *, use_pca: bool = True, ncomps: int = 6, flat_hand_mean: bool = True
) -> dict[str, Array]:
    """The inverse of `from_manopth`, by its arguments' names."""
    coding = _coding(use_pca, flat_hand_mean)
    fingers = convert_pose(model, params.hand_pose, source="axis_angle", target=coding, num_pca_comps=ncomps)
    pose = jnp.concatenate([params.global_orient, fingers], -1)
    return {"th_pose_coeffs": pose, "th_betas": params.betas, "th_trans": params.transl}


def manopth_output(model: HandModel, params: HandParams, *, center_idx: int | None = None) -> tuple[Array, Array]:
    """One hand as manopth returns it: vertices (V, 3) and 21 joints, **millimetres**, the joint `center_idx` at 0.

    As there, a hand with a translation is not centred. Fingertips are the model's: for manopth's own, pass
    `model.with_fingertips("manopth")`, for a left hand "manopth_left".
    """
    if center_idx is not None and not 0 <= center_idx < len(model.keypoint_ids):
        raise ValueError(f"center_idx must lie in [0, {len(model.keypoint_ids)}), got {center_idx}")
    output = forward(model, params)
    points = keypoints_of(model, output)
    centre = jnp.zeros(3)
    if center_idx is not None:
        centre = jnp.where(jnp.any(params.transl != 0), 0.0, points[center_idx])
    return 1000 * (output.vertices - centre[None]), 1000 * (points - centre[None])


def from_hamer(
    model: HandModel,
    pred_mano_params: Mapping[str, ArrayLike],
    pred_cam: ArrayLike,
    *,
    camera: Camera,
    box_center: ArrayLike,
    box_size: ArrayLike,
) -> HandParams:
    """The output of HaMeR or WiLoR for one hand, or with leading axes -> a hand in the frame of `camera`, metres.

    Args:
      model: its side says the hand's. For a left one the numbers are of the mirrored crop, as both networks give them.
      pred_mano_params: betas (..., n); global_orient (..., 1, 3, 3) and hand_pose (..., J - 1, 3, 3): whole poses.
      pred_cam: (..., 3), s, tx, ty: in the crop, of half width 1, the hand is s (x + tx), s (y + ty).
      camera: of the full image. Depth is metric only if its focal length is true: `hamer_camera` is what their
        demos assume, and far too long for most photographs.
      box_center, box_size: (..., 2) and (...) pixels of the square that was cropped.

    Raises ValueError naming an argument of the wrong shape.
    """
    fingers, root = (jnp.asarray(pred_mano_params[key]) for key in ("hand_pose", "global_orient"))
    check_last_axes("hand_pose", fingers, (model.num_joints - 1, 3, 3))
    check_last_axes("global_orient", root, (1, 3, 3))
    cam, center, size = jnp.asarray(pred_cam), jnp.asarray(box_center), jnp.asarray(box_size)
    check_last_axes("pred_cam", cam, (3,))
    check_last_axes("box_center", center, (2,))
    orient = rotations.axis_angle_from_matrix(root[..., 0, :, :])
    pose = convert_pose(model, fingers, source="matrix", target="axis_angle")
    betas = _betas(model, ("betas", pred_mano_params.get("betas")), orient.shape[:-1])
    params = HandParams(betas, orient, pose, jnp.zeros_like(orient))
    if model.side == "left":
        params = mirror_params(params)
        cam = cam * jnp.array([1.0, -1.0, 1.0]).reshape((1,) * (cam.ndim - 1) + (3,))
    focal, principal = jnp.asarray(camera.focal), jnp.asarray(camera.center)
    depth = 2 * focal.mean(-1) / (size * cam[..., 0])
    aside = (center - jnp.broadcast_to(principal, center.shape)) / jnp.broadcast_to(focal, center.shape)
    in_plane = cam[..., 1:] + aside * depth[..., None]
    return params._replace(transl=jnp.concatenate([in_plane, depth[..., None]], -1))


def hamer_camera(height: float, width: float) -> Camera:
    """The camera that HaMeR's and WiLoR's demos assume of an image: a focal length of 19.5 times its longer side."""
    focal = HAMER_FOCAL / HAMER_CROP * max(height, width)
    return Camera(jnp.full(2, focal), jnp.array([width / 2, height / 2]))


def _smplx_coding(use_pca: bool, num_pca_comps: int, flat_hand_mean: bool) -> str:
    # smplx switches PCA off when all 45 components are asked for, and reads the numbers as angles.
    return _coding(use_pca and num_pca_comps != 45, flat_hand_mean)


def _coding(use_pca: bool, flat_hand_mean: bool) -> str:
    if use_pca:
        return "pca_flat" if flat_hand_mean else "pca"
    return "axis_angle" if flat_hand_mean else "mean_relative"


_Named = tuple[str, ArrayLike | None]


def _params(
    model: HandModel, coding: str, width: int, betas: _Named, root: _Named, fingers: _Named, transl: _Named
) -> HandParams:
    """Parameters of named arrays, zero where there is none; `fingers` (..., width) in `coding`."""
    leading = next((jnp.shape(values)[:-1] for _, values in (betas, root, fingers, transl) if values is not None), ())

    def filled(named: _Named, size: int) -> Array:
        name, values = named
        if values is None:
            return jnp.zeros((*leading, size))
        check_last_axes(name, values, (size,))
        return jnp.asarray(values)

    pose = convert_pose(model, filled(fingers, width), source=coding, target="axis_angle")
    return HandParams(_betas(model, betas, leading), filled(root, 3), pose, filled(transl, 3))


def _betas(model: HandModel, named: _Named, leading: tuple[int, ...]) -> Array:
    """The first few of a model's betas, as most data sets have ten of them -> all, the others zero."""
    name, values = named
    given = jnp.zeros((*leading, 0)) if values is None else jnp.asarray(values)
    if given.ndim == 0 or given.shape[-1] > model.num_betas:
        raise ValueError(f"{name} must have shape (..., n), n <= {model.num_betas}, got {given.shape}")
    return jnp.pad(given, [(0, 0)] * (given.ndim - 1) + [(0, model.num_betas - given.shape[-1])])
