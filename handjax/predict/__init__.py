"""From photographs, videos or keypoints to 3D hands and their files."""

from handjax.predict.fit import predict_image as predict_image
from handjax.predict.hands import Hands as Hands
from handjax.predict.hands import read_hands as read_hands
from handjax.predict.job import JobReport as JobReport
from handjax.predict.job import predict_files as predict_files
from handjax.predict.settings import PredictSettings as PredictSettings
