"""The one place that converts: joint orders, pose codings, sides, camera frames, units, other libraries' parameters.

Inside handjax there is one of each: 21 keypoints from the wrist and the thumb to the little finger, base to tip;
axis-angle fingers with the flat hand at zero; the OpenCV camera frame; metres. Arrays may have any leading axes.
"""

from handjax.conventions.frames import FRAMES as FRAMES
from handjax.conventions.frames import change_frame as change_frame
from handjax.conventions.frames import change_unit as change_unit
from handjax.conventions.frames import frame_rotation as frame_rotation
from handjax.conventions.frames import move_params as move_params
from handjax.conventions.joints import HAND_BLOCKS as HAND_BLOCKS
from handjax.conventions.joints import JOINT_ORDERS as JOINT_ORDERS
from handjax.conventions.joints import both_hands as both_hands
from handjax.conventions.joints import common_valid as common_valid
from handjax.conventions.joints import from_common as from_common
from handjax.conventions.joints import joint_count as joint_count
from handjax.conventions.joints import one_hand as one_hand
from handjax.conventions.joints import to_common as to_common
from handjax.conventions.libraries import from_hamer as from_hamer
from handjax.conventions.libraries import from_manopth as from_manopth
from handjax.conventions.libraries import from_smplx as from_smplx
from handjax.conventions.libraries import hamer_camera as hamer_camera
from handjax.conventions.libraries import manopth_output as manopth_output
from handjax.conventions.libraries import to_manopth as to_manopth
from handjax.conventions.libraries import to_smplx as to_smplx
from handjax.conventions.poses import POSE_CODINGS as POSE_CODINGS
from handjax.conventions.poses import convert_pose as convert_pose
from handjax.mano.sides import mirror_axis_angle as mirror_axis_angle
from handjax.mano.sides import mirror_params as mirror_params
from handjax.mano.sides import mirror_points as mirror_points
