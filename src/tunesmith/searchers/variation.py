"""How rows of the cube are varied: mutation and crossover. Pure functions of rows and a generator.

Rows come out unsettled: the encoding moves them to real configs. What was not there in a row is drawn anew, for it may
be there afterwards.

Sources: Deb and Agrawal 1995, "Simulated Binary Crossover for Continuous Search Space"; Deb 2001, "Multi-Objective
Optimization Using Evolutionary Algorithms", section 4.3 (polynomial mutation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..space.encoding import Encoding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


def option_counts(encoding: Encoding) -> NDArray[np.int_]:
    """Return how many options each coordinate has, 0 for a number."""
    import numpy as np

    return np.array([parameter.options for parameter in encoding.parameters], dtype=np.intp)


def filled(encoding: Encoding, rows: FloatArray, random: np.random.Generator) -> FloatArray:
    """Return rows in which what is not there is drawn as random search draws it, whatever it depends on."""
    import numpy as np

    if not np.isnan(rows).any():
        return rows
    drawn = random.random(rows.shape)
    for index, parameter in enumerate(encoding.parameters):
        if parameter.weights is not None:
            drawn[:, index] = np.searchsorted(np.cumsum(parameter.weights)[:-1], drawn[:, index], side="right")
        elif parameter.options:
            drawn[:, index] = np.floor(drawn[:, index] * parameter.options)
    return np.where(np.isnan(rows), drawn, rows)


def mutated(
    encoding: Encoding, rows: FloatArray, random: np.random.Generator, *, changes: float, scale: FloatArray | float
) -> FloatArray:
    """Return rows of which some coordinates have changed, at least one of each: about `changes` of them.

    A number moves by a normally distributed step (`scale` is its standard deviation, of one row or of each), and by a
    level at least where it has levels; one of several options becomes another one.
    """
    import numpy as np

    count, width = rows.shape
    options, levels = option_counts(encoding), np.array([parameter.levels for parameter in encoding.parameters])
    is_there = ~np.isnan(rows)
    # Of what is there one changes for sure: a change of what is not there may change nothing.
    sure = np.argmax(np.where(is_there, random.random(rows.shape), -1.0), axis=1)
    changed = random.random(rows.shape) < changes / max(width, 1)
    changed[np.arange(count), sure] = True
    rows = filled(encoding, rows, random)
    steps = np.asarray(scale, dtype=float).reshape(-1, 1) * random.standard_normal(rows.shape)
    # A step within its own level would change nothing.
    steps = np.where(levels > 0, np.sign(steps) * np.maximum(np.abs(steps), 1 / np.maximum(levels, 1)), steps)
    # A step over the border is taken the other way: reflected, it might end where it began.
    steps = np.where((rows + steps < 0) | (rows + steps > 1), -steps, steps)
    moved = reflected(rows + steps)
    others = np.maximum(options - 1, 1)
    other = (rows + 1 + np.floor(random.random(rows.shape) * others)) % np.maximum(options, 1)
    return np.where(changed, np.where(options > 0, other, moved), rows)


def reflected(numbers: FloatArray) -> FloatArray:
    """Return numbers reflected at 0 and 1 until they lie between."""
    import numpy as np

    return np.asarray(1 - np.abs(1 - np.abs(numbers) % 2))


def polynomially_mutated(
    encoding: Encoding, rows: FloatArray, random: np.random.Generator, *, chance: float, eta: float
) -> FloatArray:
    """Return rows in which each coordinate changes with a chance: numbers by polynomial mutation of index `eta`."""
    import numpy as np

    options = option_counts(encoding)
    rows = filled(encoding, rows, random)
    changed, uniforms = random.random(rows.shape) < chance, random.random(rows.shape)
    power = 1 / (eta + 1)
    numbers = np.clip(rows, 0, 1)
    down = (2 * uniforms + (1 - 2 * uniforms) * (1 - numbers) ** (eta + 1)) ** power - 1
    up = 1 - (np.maximum(2 * (1 - uniforms) + (2 * uniforms - 1) * numbers ** (eta + 1), 0)) ** power
    moved = rows + np.where(uniforms < 0.5, np.nan_to_num(down), np.nan_to_num(up))
    other = np.floor(random.random(rows.shape) * np.maximum(options, 1))
    return np.where(changed, np.where(options > 0, other, np.clip(moved, 0, 1)), rows)


def crossed(
    encoding: Encoding, mothers: FloatArray, fathers: FloatArray, random: np.random.Generator, *, eta: float
) -> FloatArray:
    """Return one child of each pair: numbers by simulated binary crossover of index `eta`, options of either parent.

    Half of the numbers are the mother's; what only one parent has comes from that one.
    """
    import numpy as np

    options = option_counts(encoding)
    mothers, fathers = np.where(np.isnan(mothers), fathers, mothers), np.where(np.isnan(fathers), mothers, fathers)
    uniforms, of_mother = random.random(mothers.shape), random.random(mothers.shape) < 0.5
    power = 1 / (eta + 1)
    spread = np.where(uniforms <= 0.5, (2 * uniforms) ** power, (1 / (2 * (1 - uniforms))) ** power)
    near = np.where(of_mother, mothers, fathers)
    far = np.where(of_mother, fathers, mothers)
    between = ((1 + spread) * near + (1 - spread) * far) / 2
    blended = random.random(mothers.shape) < 0.5
    numbers = np.where(blended, np.clip(between, 0, 1), mothers)
    return np.where(options > 0, near, numbers)
