"""The resistive cells of a chip: how often they err, how they are written, how long they last. Numbers are in the chip file.

The raw bit error rate of a row is `ber_fresh` plus what wear, age and reads add, each a power of its share of the limit that
the chip is rated for (`raw_error_rate`). What the numbers do is in `sim/cells.py` and `sim/programming.py`; docs/devices.md
explains them.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

Corner = Literal["typical", "optimistic", "pessimistic"]
CHECK_BITS = 16
"""Of the double-error-correcting BCH code over GF(2^8): 2 · 8."""
SECONDS_A_YEAR = 365.25 * 86400
_BOLTZMANN_EV = 8.617333262e-5
"""eV / K, CODATA 2018."""
_ZERO_CELSIUS = 273.15
SATURATION = 1e-2
"""Raw error rates stop here: by then almost every row has a word that is past correction, and more tells nothing new."""


class RramDevice(BaseModel):
    """`[rram.device]` of a chip file. Rates are per bit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    word_bits: PositiveInt
    """Data bits of a code word; a row is a whole number of them."""
    check_bits: Literal[16]
    """Of the code: BCH (word_bits + 16, word_bits), two errors a word corrected."""

    ber_fresh: NonNegativeFloat
    ber_worn: NonNegativeFloat
    """Added at `endurance_writes`."""
    ber_aged: NonNegativeFloat
    """Added after `retention_years` at `retention_celsius`."""
    ber_disturbed: NonNegativeFloat
    """Added by `disturb_reads` reads since the last write."""
    wear_exponent: PositiveFloat
    age_exponent: PositiveFloat
    disturb_exponent: PositiveFloat
    read_noise: NonNegativeFloat
    """A bit flips in one read only."""
    stuck_rate: NonNegativeFloat
    """Share of cells that hold 0 or 1 for ever, from the start."""

    endurance_writes: PositiveInt
    """Write cycles a row is rated for."""
    endurance_failed: PositiveFloat
    """Share of rows that can no longer be written by then; the others follow a Weibull distribution."""
    endurance_shape: PositiveFloat
    """Its slope."""
    retention_years: PositiveFloat
    retention_celsius: float
    activation_ev: PositiveFloat
    """Of the drift: the Arrhenius law gives its speed at other temperatures."""
    disturb_reads: PositiveInt
    """Reads of a row after which it is due for rewriting."""

    write_cycles: PositiveInt
    """One write cycle of a row, its verify included. The bank cannot be read meanwhile."""
    write_banks: PositiveInt
    """Banks of the chip that can write at once."""
    write_attempts: PositiveInt
    write_failure: NonNegativeFloat
    """A cell does not take its value in one write cycle."""
    accepted_bits: NonNegativeInt
    """Wrong bits a word that a row may keep when its attempts are used up, for the code corrects them."""
    spare_rows: NonNegativeInt
    """A bank."""

    ranges: dict[str, tuple[float, float]] = {}
    """Name of a number above → its optimistic and its pessimistic value."""

    @model_validator(mode="after")
    def _known(self) -> RramDevice:
        unknown = sorted(set(self.ranges) - (set(RramDevice.model_fields) - {"ranges", "check_bits", "word_bits"}))
        if unknown:
            raise ValueError(f"ranges: no such numbers: {', '.join(unknown)}")
        if self.word_bits % 8 or self.word_bits + CHECK_BITS > 255:
            raise ValueError("word_bits must be a multiple of 8, and with its check bits at most 255, the length of the code")
        if self.endurance_failed >= 1:
            raise ValueError("endurance_failed must be less than 1")
        if self.retention_celsius <= -_ZERO_CELSIUS:
            raise ValueError("retention_celsius must be above absolute zero")
        return self

    def at(self, corner: Corner) -> RramDevice:
        """The same cells with the optimistic or pessimistic value of every number that has a range."""
        if corner == "typical":
            return self
        side = 0 if corner == "optimistic" else 1
        changed = {
            name: int(values[side]) if isinstance(getattr(self, name), int) else values[side]
            for name, values in self.ranges.items()
        }
        return RramDevice.model_validate(self.model_dump() | changed)

    @property
    def cells_a_word(self) -> int:
        return self.word_bits + self.check_bits

    def raw_error_rate(
        self, wear: NDArray[np.integer], age_s: NDArray[np.float64], reads: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Rate of wrong bits in rows written `wear` times, last `age_s` seconds ago (at `retention_celsius`: see
        `acceleration`), and read `reads` times since. An additive law: each cause errs on its own."""
        limit_s = self.retention_years * SECONDS_A_YEAR
        rate = (
            self.ber_fresh
            + self.ber_worn * _power(wear / self.endurance_writes, self.wear_exponent)
            + self.ber_aged * _power(age_s / limit_s, self.age_exponent)
            + self.ber_disturbed * _power(reads / self.disturb_reads, self.disturb_exponent)
        )
        return np.minimum(rate, SATURATION)

    def acceleration(self, celsius: float) -> float:
        """How much faster than at `retention_celsius` cells drift: exp(Ea/k · (1/T_ref - 1/T)), the law of Arrhenius."""
        reference, found = self.retention_celsius + _ZERO_CELSIUS, celsius + _ZERO_CELSIUS
        return math.exp(self.activation_ev / _BOLTZMANN_EV * (1 / reference - 1 / found))

    def row_limits(self, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        """Write cycles that rows survive, by the Weibull quantiles of uniform draws in (0, 1)."""
        scale = self.endurance_writes / (-math.log1p(-self.endurance_failed)) ** (1 / self.endurance_shape)
        return scale * (-np.log1p(-uniform)) ** (1 / self.endurance_shape)


def _power(share: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    return share if exponent == 1 else share**exponent
