"""A detailed hand from a picture and a person's code (Moon, Shiratori and Lee, "DeepHandMesh", ECCV 2020), with the
parameter names of the authors' code.

A ResNet gives the angles of the joints; small networks give how this person's skeleton and skin, and this pose's skin,
differ from a template. `handjax.models.deephandmesh_decode` poses the template by them.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from handjax.checks import check_choice, check_shape
from handjax.mano import PUBLISHED_JOINTS
from handjax.models.check_image import check_image
from handjax.models.layers import Compute, Linear
from handjax.models.resnet import ResNet

FC_INIT = nn.initializers.normal(0.01)
MANO_POSE = 45

Axes = tuple[bool, bool, bool]


def free_axes(joint: str) -> Axes:
    """Which of x, y, z a joint of that name turns about: ends none, hinges z, finger bases and `thumb0` all."""
    if joint == "thumb0" or joint.endswith("1"):
        return True, True, True
    return False, False, joint[-1] in "23"


class DeepHandMesh(nn.Module):
    """(N, H, W, 3) and the code of the person, (identity,) or (N, identity) -> dict of float32 arrays.

    features (N, features); angles (N, J, 3) radians about x, y, z of each joint's frame, in (-pi, pi); skeleton_mm
    (N, J, 3), added to where a joint stands in its parent's frame; pose_skin_mm and identity_skin_mm (N, V, 3), added
    to the template's vertices. With the MANO decoder features, hand_pose (N, 45) and betas (N, betas).

    image: RGB in [0, 1], not normalised further, sides multiples of 32; the published ones are 256 px. A code is drawn
    once for a person (`identity_code`) and kept. Raises ValueError for another image or code.
    """

    joints: tuple[str, ...] = PUBLISHED_JOINTS  # of the template, in the order of angles and correctives
    vertices: int = 12_553  # of the template
    axes: tuple[Axes, ...] | None = None  # of each joint, those with an angle; by its name (`free_axes`) if None
    decoder: str = "template"  # or "mano": pose and shape of a hand model instead of angles and correctives
    depth: int = 50  # of the residual network
    width: int = 64  # channels of its stem
    features: int = 512
    pose_hidden: int = 0  # width of one more layer before the angles; 0: none
    identity: int = 32  # length of a person's code
    skeleton_hidden: int = 256
    skin_hidden: int = 256
    all_angles: bool = False  # pose correctives read the angles that are always zero, too
    betas: int = 10  # of the MANO decoder
    compute: Compute = Compute()

    @property
    def angle_slots(self) -> np.ndarray:
        """(n,) where the n free angles stand among the 3 J."""
        axes = self.axes or tuple(free_axes(joint) for joint in self.joints)
        if len(axes) != len(self.joints):
            raise ValueError(f"axes must have {len(self.joints)} entries, got {len(axes)}")
        return np.flatnonzero(np.array(axes))

    @nn.compact
    def __call__(self, image: Array, identity_code: Array, train: bool = False) -> dict[str, Array]:
        check_choice("decoder", self.decoder, ("template", "mano"))
        check_image(image, multiple=32)
        n = len(image)
        check_shape(
            "identity_code", identity_code, (n, self.identity) if jnp.ndim(identity_code) == 2 else (self.identity,)
        )
        # The same for all is computed once.
        code = jnp.atleast_2d(identity_code)
        features = self._features(image, train)
        x = nn.relu(self._linear(features, self.pose_hidden, "pose_net.fc.0")) if self.pose_hidden else features
        last = "pose_net.fc.2" if self.pose_hidden else "pose_net.fc.0"
        if self.decoder == "mano":
            pose = _turns(self._linear(x, MANO_POSE, last))
            betas = self._two_layers(code, self.skeleton_hidden, self.betas, "shape_net.fc")
            return {"features": features, "hand_pose": pose, "betas": _for_each(betas, n)}
        slots, joints = self.angle_slots, len(self.joints)
        free = _turns(self._linear(x, len(slots), last))
        angles = jnp.zeros((n, 3 * joints)).at[:, slots].set(free)
        # The correctives must explain the pose, not change it.
        seen = jax.lax.stop_gradient(angles if self.all_angles else free)
        skeleton = self._two_layers(code, self.skeleton_hidden, 3 * joints, "skeleton_refine_net.fc_skeleton")
        pose_skin = self._two_layers(seen, self.skin_hidden, 3 * self.vertices, "skin_refine_net.fc_pose")
        identity_skin = self._two_layers(code, self.skin_hidden, 3 * self.vertices, "skin_refine_net.fc_id")
        return {
            "features": features,
            "angles": angles.reshape(n, joints, 3),
            "skeleton_mm": _for_each(skeleton, n).reshape(n, joints, 3),
            "pose_skin_mm": pose_skin.reshape(n, self.vertices, 3),
            "identity_skin_mm": _for_each(identity_skin, n).reshape(n, self.vertices, 3),
        }

    def _features(self, image: Array, train: bool) -> Array:
        pyramid = ResNet(self.depth, self.width, compute=self.compute, name="backbone_net.resnet")(image, train)
        pooled = pyramid[-1].mean((1, 2), dtype=jnp.float32)
        return nn.relu(self._linear(pooled, self.features, "backbone_net.fc.0"))

    def _two_layers(self, x: Array, hidden: int, out: int, name: str) -> Array:
        return self._linear(nn.relu(self._linear(x, hidden, f"{name}.0")), out, f"{name}.2")

    def _linear(self, x: Array, features: int, name: str) -> Array:
        layer = Linear(features, self.compute, FC_INIT, nn.initializers.zeros, name=name)
        return layer(x).astype(jnp.float32)


def identity_code(key: Array, length: int = 32) -> Array:
    """A new person's code (length,): normally distributed, never trained, stored with the weights."""
    return jax.random.normal(key, (length,))


def _turns(x: Array) -> Array:
    return math.pi * jnp.tanh(x)


def _for_each(rows: Array, n: int) -> Array:
    """(1 or n, C) -> (n, C)."""
    return jnp.broadcast_to(rows, (n, rows.shape[-1]))


PRESETS = {
    "tiny": DeepHandMesh(vertices=50, depth=10, width=8, features=32, skeleton_hidden=16, skin_hidden=16),
    "small": DeepHandMesh(vertices=778, depth=18, width=32, features=256, skeleton_hidden=64, skin_hidden=64),
    "paper": DeepHandMesh(),
    "released": DeepHandMesh(pose_hidden=512, skeleton_hidden=64, all_angles=True),
}
"""With other fields, `vertices` and `joints` of another template among them, by `.clone(...)`."""
