"""Whose hands: how betas of the hand that ships with the package spread among people, and how to draw them.

Its ten betas are sequential: each turns one dimension while those before it stay as they are, by one standard
deviation of what those before it leave open among adults (women and men half and half). Uncorrelated there, of unit
variance, they mean the same at every resolution.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from handjax.checks import check_choice
from handjax.mano.measure_tape import HandTape, cut_tape
from handjax.mano.measures import HandMeasures, measure
from handjax.mano.types import HandModel

MEANINGS = (
    "hand length",
    "breadth, at that length",
    "middle finger's length, at that hand length: fingers long against the palm",
    "girth at the knuckles, at that breadth: a thick hand",
    "wrist girth, given all of these",
    "thumb's length, given all of these",
    "index finger's length, given all of these",
    "ring finger's length, given all of these",
    "little finger's length, given all of these",
    "girth of the fingers, given all of these",
)

# ANSUR II (US Army 2012, public release: 1,986 women, 4,082 men), mm: hand length, hand breadth, palm length, hand
# circumference, wrist circumference. Correlations are of women and men pooled half and half; those of palm length with
# the two girths were not tabulated and are set to the one with breadth and near it.
WOMEN_MEAN = np.array([181.1, 78.2, 108.7, 186.6, 154.8])
WOMEN_SD = np.array([10.06, 3.84, 5.94, 8.82, 7.83])
MEN_MEAN = np.array([193.3, 88.3, 116.5, 212.3, 175.9])
MEN_SD = np.array([9.95, 4.39, 6.23, 10.24, 8.96])
POOLED_SD = np.array([11.71, 6.52, 7.22, 16.03, 13.50])
POOLED_CORRELATION = np.array(
    [
        [1.00, 0.71, 0.87, 0.71, 0.69],
        [0.71, 1.00, 0.68, 0.96, 0.88],
        [0.87, 0.68, 1.00, 0.68, 0.66],
        [0.71, 0.96, 0.68, 1.00, 0.91],
        [0.69, 0.88, 0.66, 0.91, 1.00],
    ]
)
POOLED_MEAN = (WOMEN_MEAN + MEN_MEAN) / 2.0

# To length, breadth, middle finger, knuckle girth, wrist girth: a survey's middle finger is hand less palm.
MIDDLE_FOR_PALM = np.array(
    [
        [1.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, 0.0, 0.0],
        [1.0, 0.0, -1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 1.0],
    ]
)

# What the survey does not tell, as relative standard deviations of thumb, index, ring, little finger length and finger
# girth around what the rest predicts. Assumed; two fingers that vary by 2.2 % on their own have the spread of 3.1 %
# that is reported of the ratio of index to ring finger.
OWN_SPREAD = np.array([0.035, 0.022, 0.022, 0.032, 0.045])
# Rows as above, columns length, breadth, middle finger, knuckle girth, wrist girth: the prediction, in ratios.
PREDICTED = np.array(
    [
        [0.5, 0.0, 0.5, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0],
        [0.0, 0.5, 0.0, 0.5, 0.0],
    ]
)

GROUPS = ("adults", "women", "men", "children", "elderly")
CHILD_SIZE, CHILD_SIZE_SD = 0.80, 0.09
"""Over the adult mean: a hand of 150 mm, as of ten years, with most between 116 (five years) and 183 mm (grown)."""


@struct.dataclass
class Population:
    """Betas of a group: mean (10,), covariance (10, 10). `measured`: from a survey, or widened from one by hand."""

    mean: Array
    covariance: Array
    name: str = struct.field(pytree_node=False)
    measured: bool = struct.field(pytree_node=False)


def population(group: str = "adults") -> Population:
    """The betas of a group of people, for the hand that ships with the package.

    "adults", "women", "men": ANSUR II; fingers and finger girth as assumed in this file. Soldiers: few old, none heavy.
    "children": not measured. Adult hands scaled as a whole, 9 % around four fifths, of adult proportions on average and
      with a quarter more spread in them. What else is different in a child's hand (flesh, nails, creases) is not there.
    "elderly": not measured. Adults with a spread a quarter wider, palms half a standard deviation thinner (muscle lost)
      and finger girth a third of one larger (joints). Joints and tendons that stand out cannot be had by betas.

    Raises ValueError for another name.
    """
    check_choice("group", group, GROUPS)
    mean, covariance = {
        "adults": lambda: (np.zeros(10), np.eye(10)),
        "women": lambda: _survey_betas(WOMEN_MEAN, WOMEN_SD),
        "men": lambda: _survey_betas(MEN_MEAN, MEN_SD),
        "children": _children,
        "elderly": _elderly,
    }[group]()
    measured = group in ("adults", "women", "men")
    return Population(jnp.asarray(mean, jnp.float32), jnp.asarray(covariance, jnp.float32), group, measured)


def sample_betas(key: Array, group: str | Population = "adults", shape: tuple[int, ...] = ()) -> Array:
    """-> (*shape, 10) betas of people drawn at random from a group; the key is consumed."""
    people = population(group) if isinstance(group, str) else group
    spread = jnp.linalg.cholesky(people.covariance)
    deviations = jax.random.normal(key, (*shape, *people.mean.shape))
    turned = jnp.einsum("st,...t->...s", spread, deviations, precision="highest")
    return turned + jnp.broadcast_to(people.mean, turned.shape)


def percentiles(
    model: HandModel | HandTape, measures: HandMeasures, group: str | Population = "adults"
) -> HandMeasures:
    """How many of 100 people of a group have less of each measure, the group taken as normal in betas.

    measures: metres, () each, as from `measure`; NaN gives NaN. For the hand that ships with the package.
    """
    tape = model if isinstance(model, HandTape) else cut_tape(model)
    people = population(group) if isinstance(group, str) else group
    mean, slope = _mean_and_slope(tape, people.mean)
    turned = jnp.matmul(slope, jnp.linalg.cholesky(people.covariance), precision="highest")
    spread = jnp.sqrt((turned**2).sum(-1))
    return HandMeasures(*100.0 * jax.scipy.stats.norm.cdf((jnp.stack(measures) - mean) / spread))


@jax.jit
def _mean_and_slope(tape: HandTape, betas: Array) -> tuple[Array, Array]:
    def both(betas: Array) -> tuple[Array, Array]:
        found = jnp.stack(measure(tape, betas))
        return found, found

    slope, mean = jax.jacfwd(both, has_aux=True)(betas)
    return mean, slope


def ratios_per_beta() -> np.ndarray:
    """-> (10, 10), lower triangular: relative change per beta of hand length, breadth, middle finger, knuckle girth,
    wrist girth, thumb, index, ring, little finger and finger girth, from the survey's covariance (Cholesky)."""
    mean = MIDDLE_FOR_PALM @ POOLED_MEAN
    transform = MIDDLE_FOR_PALM / mean[:, None]
    covariance = transform @ (POOLED_CORRELATION * np.outer(POOLED_SD, POOLED_SD)) @ transform.T
    ratios = np.zeros((10, 10))
    ratios[:5, :5] = np.linalg.cholesky(covariance)
    ratios[5:, :5] = PREDICTED @ ratios[:5, :5]
    ratios[5:, 5:] = np.diag(OWN_SPREAD)
    return ratios


def _survey_betas(mean: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (10,) and covariance (10, 10) of betas of one sex; what the survey does not tell is as among all."""
    to_betas = np.linalg.inv(ratios_per_beta()[:5, :5]) @ (MIDDLE_FOR_PALM / (MIDDLE_FOR_PALM @ POOLED_MEAN)[:, None])
    betas, covariance = np.zeros(10), np.eye(10)
    betas[:5] = to_betas @ (mean - POOLED_MEAN)
    covariance[:5, :5] = to_betas @ (_within_sex_correlation() * np.outer(deviation, deviation)) @ to_betas.T
    return betas, covariance


def _within_sex_correlation() -> np.ndarray:
    """(5, 5), taken as the same in both: the pooled covariance less what the difference of the means gives."""
    difference = MEN_MEAN - WOMEN_MEAN
    pooled = POOLED_CORRELATION * np.outer(POOLED_SD, POOLED_SD)
    within = pooled - np.outer(difference, difference) / 4.0
    spread = (np.outer(WOMEN_SD, WOMEN_SD) + np.outer(MEN_SD, MEN_SD)) / 2.0
    correlation = within / spread
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _children() -> tuple[np.ndarray, np.ndarray]:
    growth = np.linalg.solve(ratios_per_beta(), np.ones(10))
    own = np.eye(10)
    own[0, 0] = 0.0  # size is the growth's
    return (CHILD_SIZE - 1.0) * growth, CHILD_SIZE_SD**2 * np.outer(growth, growth) + (1.25 * CHILD_SIZE) ** 2 * own


def _elderly() -> tuple[np.ndarray, np.ndarray]:
    mean = np.zeros(10)
    mean[3], mean[9] = -0.5, 0.3
    return mean, 1.25**2 * np.eye(10)
