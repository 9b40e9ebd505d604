"""Bytes to types and back; the only file that knows which library does it."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError

from contracts.errors import Undecodable

M = TypeVar("M", bound=BaseModel)

Flag = Annotated[bool, Strict()]
"""`true` or `false` as a client must write it: 0, "no" and the like are mistakes, not answers."""

WHOLE_NUMBER_MAX = 2**53 - 1
"""Largest number that every JSON reader keeps as it is, a browser's and the one that reads our schemas among them."""


def _integer(written: object) -> object:
    """3.0 as 3: in JSON they are one number, and for JSON Schema both are integers."""
    return int(written) if isinstance(written, float) and written.is_integer() else written


# The bounds stand inside the validator: outside of it they would hold, but be missing in the published schemas.
WholeNumber = Annotated[int, Strict(), Field(ge=0, le=WHOLE_NUMBER_MAX), BeforeValidator(_integer)]
"""0 or more, as a client must write it: 3 and 3.0 are one number, a string that could be read as one is a mistake."""

PositiveNumber = Annotated[int, Strict(), Field(ge=1, le=WHOLE_NUMBER_MAX), BeforeValidator(_integer)]
"""As `WholeNumber`, from 1."""


class Contract(BaseModel):
    """Base of everything that crosses a service boundary: immutable, and deaf to fields that it does not know.

    Unknown fields are ignored so that an older reader survives a newer writer; adding a field with a default
    is therefore never a new version.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


def encode(value: BaseModel) -> bytes:
    """Compact UTF-8 JSON. Fields that are None are left out."""
    return value.model_dump_json(exclude_none=True).encode()


def decode(model: type[M], data: bytes | str) -> M:
    """Parse and validate; raises `Undecodable` with the reasons, without the offending input (it may be private)."""
    try:
        return model.model_validate_json(data)
    except ValidationError as invalid:
        reasons = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or 'input'}: {error['msg']}"
            for error in invalid.errors(include_input=False, include_url=False, include_context=False)
        )
        raise Undecodable(f"not a valid {model.__name__}: {reasons}") from None
