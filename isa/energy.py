"""What work costs on a chip, in picojoules, each figure with the range that its sources give."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]

POINTS = ("low", "typical", "high")


class Range(BaseModel):
    """A figure with its least and greatest plausible value. In a chip file a number alone is a range of that one value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Amount
    typical: Amount
    high: Amount

    @model_validator(mode="before")
    @classmethod
    def _number_alone(cls, given: Any) -> Any:
        return dict.fromkeys(POINTS, given) if isinstance(given, (int, float)) else given

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low <= self.typical <= self.high:
            raise ValueError(f"expected low ≤ typical ≤ high, found {self.low:g}, {self.typical:g}, {self.high:g}")
        return self

    @property
    def values(self) -> tuple[float, float, float]:
        """In the order of `POINTS`."""
        return self.low, self.typical, self.high


NOTHING = Range(low=0, typical=0, high=0)


class Energy(BaseModel):
    """Energy of each kind of work in pJ, and the static power in W. What a chip file leaves out costs nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sram_read_bit_pj: Range
    sram_write_bit_pj: Range
    rram_read_bit_pj: Range = NOTHING
    rram_write_bit_pj: Range = NOTHING
    """One cell in one write cycle."""
    mac_i8_pj: Range
    mac_f16_pj: Range
    """Of the modes f16 and i8f16."""
    alu_lane_pj: Range
    """One VXM operation on one lane."""
    sxm_lane_pj: Range = NOTHING
    """One byte stream's byte of one lane through an SXM operation."""
    hop_byte_pj: Range
    """One byte from one stream register to the next."""
    static_w: Range
