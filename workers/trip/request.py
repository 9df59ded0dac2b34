"""What a trip needs to be known. A field that is missing becomes a question with its description and example."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from orchestrator.workflow import accepted
from workers.trip.understanding import gazetteer

MOST_NIGHTS, MOST_TRAVELLERS, FARTHEST_DAYS = 30, 9, 700
"""Flights and hotels are on offer two years ahead, the way back included."""


def today() -> date:
    """The day it is, by UTC."""
    return datetime.now(UTC).date()


def _resolved(value: Any) -> Any:
    return gazetteer.resolve(value) if isinstance(value, str) else value


Place = Annotated[str, BeforeValidator(_resolved)]
Interest = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]


class TripRequest(BaseModel):
    """A trip to plan and book. Places may be named; they become codes. An end date may stand for the nights."""

    model_config = ConfigDict(extra="forbid")

    origin: Place = Field(description="Where does the trip start? A city or an airport code", examples=["New York"])
    destination: Place = Field(description="Where does the trip go? A city or an airport code", examples=["Denver"])
    start_date: date = Field(description="On which day does the trip start?", examples=["2027-03-12"])
    end_date: date | None = Field(
        None, description="On which day does the trip end? It says the nights", examples=["2027-03-15"], exclude=True
    )
    nights: int = Field(
        description="How many nights does the trip take?",
        examples=[3],
        json_schema_extra={"minimum": 1, "maximum": MOST_NIGHTS},
    )
    travellers: int = Field(
        description="How many people travel?",
        examples=[2],
        json_schema_extra={"minimum": 1, "maximum": MOST_TRAVELLERS},
    )
    money_usd: float | None = Field(
        None,
        description="How much may flights, hotel and dinners cost together, in US dollars?",
        examples=[2500],
        gt=0,
        le=1_000_000,
        allow_inf_nan=False,
    )
    money_source: str = Field(
        "", description="What was said where the money was not in dollars, and the rate", max_length=200
    )
    interests: list[Interest] = Field(
        default_factory=list[Interest], description="What is the trip for?", examples=[["hiking"]], max_length=20
    )

    wanted: list[Literal["flights", "weather", "hotels", "restaurants"]] = Field(
        default_factory=list[Literal["flights", "weather", "hotels", "restaurants"]],
        description="Which parts alone are wanted? Nothing is booked then; empty: the whole trip",
        examples=[["flights", "weather"]],
        max_length=4,
    )

    @property
    def return_date(self) -> date:
        """The day of the flight back."""
        return self.start_date + timedelta(days=self.nights)

    @model_validator(mode="before")
    @classmethod
    def _end_says_the_rest(cls, fields: Any) -> Any:
        """An end date and a start say the nights; an end date and nights say the start."""
        if not isinstance(fields, Mapping):
            return fields
        known: dict[str, Any] = dict(fields)
        start, end, nights = _day(known.get("start_date")), _day(known.get("end_date")), known.get("nights")
        if end and start and nights is None:
            if end <= start:
                raise _broken("end_date", f"the trip cannot end on {end} when it starts on {start}")
            known["nights"] = (end - start).days
        elif end and not known.get("start_date") and isinstance(nights, int) and 0 < nights <= MOST_NIGHTS:
            known["start_date"] = end - timedelta(days=nights)
        return known

    @field_validator("money_usd", mode="before")
    @classmethod
    def _is_a_sum(cls, said: Any) -> Any:
        """Money in words is asked again as a sum."""
        if isinstance(said, str) and not re.fullmatch(r"\s*[0-9]+(\.[0-9]+)?\s*", said):
            raise _broken("money_usd", f"{said[:60]!r} is no sum for the whole trip")
        return said

    @field_validator("interests", mode="before")
    @classmethod
    def _are_understood(cls, said: Any) -> Any:
        """Text of which not all was understood is asked about; words with commas between them are a list."""
        told: dict[str, Any] = dict(said) if isinstance(said, Mapping) else {}
        if isinstance(told.get("unread"), list):
            unread = ", ".join(repr(str(phrase)[:60]) for phrase in told["unread"][:5])
            read = f" (understood: {', '.join(map(str, told['read']))[:200]})" if told.get("read") else ""
            raise _broken("interests", f"not understood: {unread}{read}. Name all that matters, or []")
        return [word for word in map(str.strip, said.split(",")) if word] if isinstance(said, str) else said

    @field_validator("start_date")
    @classmethod
    def _is_on_offer(cls, day: date, info: ValidationInfo) -> date:
        now = today()
        if not accepted(info) and day < now:
            raise _broken("start_date", f"{day} is past")
        if not accepted(info) and (day - now).days > FARTHEST_DAYS:
            raise _broken("start_date", f"{day} is more than {FARTHEST_DAYS} days ahead")
        return day

    @field_validator("nights")
    @classmethod
    def _is_a_trip(cls, nights: int) -> int:
        if not 1 <= nights <= MOST_NIGHTS:
            raise _broken("nights", f"a trip takes 1 to {MOST_NIGHTS} nights, not {nights}")
        return nights

    @field_validator("travellers")
    @classmethod
    def _is_a_party(cls, travellers: int) -> int:
        if not 1 <= travellers <= MOST_TRAVELLERS:
            raise _broken("travellers", f"1 to {MOST_TRAVELLERS} people travel together, not {travellers}")
        return travellers

    @model_validator(mode="after")
    def _makes_sense(self, info: ValidationInfo) -> Self:
        """Rules across fields; a broken one names the field to be asked."""
        if accepted(info):  # a trip that starts today is no mistake when midnight comes
            return self
        if set(gazetteer.airports_of(self.origin)) & set(gazetteer.airports_of(self.destination)):
            raise _broken("destination", f"the trip already starts in {self.origin}")
        if self.end_date and self.end_date != self.return_date:
            told = f"{self.nights} nights from {self.start_date} end on {self.return_date}"
            raise _broken("end_date", f"{told}, not on {self.end_date}")
        return self


def _broken(field: str, message: str) -> PydanticCustomError:
    """A rule was broken; `field` is what is asked again."""
    return PydanticCustomError("trip_rule", "{problem}", {"problem": message, "field": field})


def _day(value: Any) -> date | None:
    """A date as far as it is one; what it is otherwise, the field's own validation says."""
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
