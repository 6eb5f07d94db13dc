"""From points back to hands: keypoint Jacobians in closed form, a damped Gauss-Newton solver, fits to 3D points."""
