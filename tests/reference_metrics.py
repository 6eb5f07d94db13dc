"""The benchmarks' evaluations in float64, hand by hand and joint by joint, with SciPy's alignment and trees: what
`handjax.metrics` is held to. Written from the descriptions of the evaluators and not from `handjax.metrics`."""

import numpy as np
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation


def mirrored_or_turned(points, target):
    """The evaluators of FreiHAND and HO-3D: sizes made 1, orthogonal Procrustes, and back to the target's size."""
    source_mean, target_mean = np.mean(points, 0), np.mean(target, 0)
    source_size = np.linalg.norm(points - source_mean) + 1e-8
    target_size = np.linalg.norm(target - target_mean) + 1e-8
    source, goal = (points - source_mean) / source_size, (target - target_mean) / target_size
    matrix, scale = orthogonal_procrustes(goal, source)
    return source @ matrix.T * scale * target_size + target_mean, (
        matrix,
        scale,
        target_size,
        target_mean - source_mean,
    )


def turned(points, target):
    """Rotation, scale and shift of least squares, without mirroring."""
    source, goal = points - points.mean(0), target - target.mean(0)
    rotation, _ = Rotation.align_vectors(goal, source)
    moved = rotation.apply(source)
    return moved * (np.sum(moved * goal) / np.sum(source**2)) + target.mean(0)


def moved_as_joints(vertices, transform):
    matrix, scale, target_size, shift = transform
    mean = np.mean(vertices, 0)
    return (vertices - mean) @ matrix.T * scale * target_size + shift + mean


def true_bone(points, target, root, bone):
    own = np.linalg.norm(points[bone[0]] - points[bone[1]])
    true = np.linalg.norm(target[bone[0]] - target[bone[1]])
    points = points / own * true if own > 0 else points * true
    return points - points[root] + target[root]


def f_score(predicted, true, threshold):
    there = cKDTree(true).query(predicted)[0]
    back = cKDTree(predicted).query(true)[0]
    precision = np.sum(there < threshold) / len(there)
    recall = np.sum(back < threshold) / len(back)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


class PerJoint:
    """Lists of errors, one for each joint."""

    def __init__(self, count):
        self.errors = [[] for _ in range(count)]

    def add(self, predicted, true, counts=None):
        for joint in range(len(self.errors)):
            if counts is None or counts[joint]:
                self.errors[joint].append(float(np.linalg.norm(predicted[joint] - true[joint])))

    def mean_mm(self):
        return 1000 * np.mean([np.mean(one) for one in self.errors if one])

    def median_mm(self):
        return 1000 * np.mean([np.median(one) for one in self.errors if one])

    def pck(self, threshold):
        return np.mean([np.mean([error <= threshold for error in one]) for one in self.errors if one])

    def auc(self, thresholds):
        curve = [self.pck(threshold) for threshold in thresholds]
        return np.trapezoid(curve, thresholds) / np.trapezoid(np.ones(len(thresholds)), thresholds)


def freihand(xyz, verts, true_xyz, true_verts, scaled=False):
    """FreiHAND's figures; `scaled`: HO-3D's, which has one more alignment."""
    parts = {"": PerJoint(21), "pa_": PerJoint(21)} | ({"scaled_": PerJoint(21)} if scaled else {})
    mesh = {"": PerJoint(len(true_verts[0])), "pa_": PerJoint(len(true_verts[0]))}
    scores = {f"{prefix}f_{mm}": [] for prefix in ("", "pa_") for mm in (5, 15)}
    for joints, vertices, true, true_vertices in zip(xyz, verts, true_xyz, true_verts, strict=True):
        same = len(vertices) == len(true_vertices)
        aligned, transform = mirrored_or_turned(joints, true)
        moved = mirrored_or_turned(vertices, true_vertices)[0] if same else moved_as_joints(vertices, transform)
        parts[""].add(joints, true)
        parts["pa_"].add(aligned, true)
        if scaled:
            parts["scaled_"].add(true_bone(joints, true, 0, (0, 9)), true)
        if same:
            mesh[""].add(vertices, true_vertices)
            mesh["pa_"].add(moved, true_vertices)
        for mm in (5, 15):
            scores[f"f_{mm}"].append(f_score(vertices, true_vertices, mm / 1000))
            scores[f"pa_f_{mm}"].append(f_score(moved, true_vertices, mm / 1000))
    thresholds = np.linspace(0, 0.05, 100)
    figures = {name: np.mean(values) for name, values in scores.items()}
    for prefix, sums in parts.items():
        figures |= {f"{prefix}mpjpe_mm": sums.mean_mm(), f"{prefix}auc_0_50": sums.auc(thresholds)}
    for prefix, sums in mesh.items():
        figures |= {
            f"{prefix}mpvpe_mm": sums.mean_mm() if same else -1,
            f"{prefix}mesh_auc_0_50": sums.auc(thresholds) if same else -1,
        }
    return figures


def hand3d(xyz, true_xyz, visible, *, palm, in_bones):
    """RHD (with `palm`: joint 0 is the middle of wrist and middle knuckle) and STB; predictions in metres are scaled by
    their own bone, those `in_bones` are as hand3d's network gives them, with the palm as joint 0."""
    sums, shifted = PerJoint(21), PerJoint(21)
    for joints, true, seen in zip(xyz, true_xyz, visible, strict=True):
        joints, true, seen = joints.copy(), true.copy(), seen.copy()
        if palm:
            if not in_bones:
                joints[0] = 0.5 * (joints[0] + joints[9])
            true[0] = 0.5 * (true[0] + true[9])
            seen[0] = seen[0] or seen[9]
        true = true - true[0]
        length = np.linalg.norm(true[9] - true[10])
        if in_bones:
            sums.add(joints * length, true, seen)
            continue
        relative = joints - joints[0]
        shifted.add(relative, true, seen)
        sums.add(relative / np.linalg.norm(joints[9] - joints[10]) * length, true, seen)
    figures = {}
    thresholds = np.linspace(0, 0.05, 20)
    for prefix, part in [("scaled_", sums)] if in_bones else [("scaled_", sums), ("root_", shifted)]:
        figures |= {
            f"{prefix}mpjpe_mm": part.mean_mm(),
            f"{prefix}median_mm": part.median_mm(),
            f"{prefix}auc_0_50": part.auc(thresholds),
            f"{prefix}auc_20_50": part.auc(thresholds[8:]),
        }
    return figures


def bihand(xyz, true_xyz):
    sums = PerJoint(21)
    for joints, true in zip(xyz, true_xyz, strict=True):
        sums.add(true_bone(joints, true, 9, (0, 9)), true)
    figures = {f"scaled_pck_{mm}": sums.pck(mm / 1000) for mm in (20, 30, 40)}
    return figures | {
        "scaled_mpjpe_mm": sums.mean_mm(),
        "scaled_median_mm": sums.median_mm(),
        "scaled_auc_20_50": sums.auc(np.linspace(0.02, 0.05, 20)),
    }


def interhand(xyz, true_xyz, valid, hand_type, scores, type_valid):
    """xyz (S, 2, 21, 3): left, then right."""
    sums = {"": PerJoint(42), "single_": PerJoint(42), "interacting_": PerJoint(42)}
    between, right_types = [], []
    for i in range(len(xyz)):
        interacting = hand_type[i][0] and hand_type[i][1]
        for side in range(2):
            if not valid[i][side][0]:
                continue
            predicted, true = xyz[i][side] - xyz[i][side][0], true_xyz[i][side] - true_xyz[i][side][0]
            for joint in range(21):
                if valid[i][side][joint]:
                    error = np.linalg.norm(predicted[joint] - true[joint])
                    for group in ("", "interacting_" if interacting else "single_"):
                        sums[group].errors[21 * side + joint].append(error)
        if interacting and valid[i][0][0] and valid[i][1][0]:
            between.append(np.linalg.norm((xyz[i][0][0] - xyz[i][1][0]) - (true_xyz[i][0][0] - true_xyz[i][1][0])))
        if type_valid[i]:
            named = [
                score > 0.5 if there else score < 0.5 for score, there in zip(scores[i], hand_type[i], strict=True)
            ]
            right_types.append(all(named))
    figures = {f"{group}root_mpjpe_mm": part.mean_mm() for group, part in sums.items()}
    return figures | {"mrrpe_mm": 1000 * np.mean(between), "hand_type_accuracy": np.mean(right_types)}


def dexycb(xyz, true_xyz):
    sums = {"": PerJoint(21), "root_": PerJoint(21), "pa_": PerJoint(21)}
    for joints, true in zip(xyz, true_xyz, strict=True):
        if np.all(true == -1):
            continue
        sums[""].add(joints, true)
        sums["root_"].add(joints - joints[0], true - true[0])
        sums["pa_"].add(mirrored_or_turned(joints, true)[0], true)
    thresholds = np.linspace(0, 0.05, 100)
    figures = {f"{prefix}mpjpe_mm": part.mean_mm() for prefix, part in sums.items()}
    return figures | {f"{prefix}auc_0_50": part.auc(thresholds) for prefix, part in sums.items()}


def dexter_object(xyz, true_xyz, valid):
    tips = [4, 8, 12, 16, 20]
    sums = PerJoint(21)
    for joints, true, known in zip(xyz, true_xyz, valid, strict=True):
        chosen = [tip for tip in tips if known[tip]]
        if len(chosen) < 2:
            continue
        centre, true_centre = joints[chosen].mean(0), true[chosen].mean(0)
        size = np.mean([np.linalg.norm(joints[tip] - centre) for tip in chosen])
        true_size = np.mean([np.linalg.norm(true[tip] - true_centre) for tip in chosen])
        moved = (joints - centre) * (true_size / size) + true_centre
        sums.add(moved, true, [joint in chosen for joint in range(21)])
    return {"scaled_mpjpe_mm": sums.mean_mm(), "scaled_auc_0_100": sums.auc(np.linspace(0, 0.1, 100))}
