"""The specialists that look, side by side: flights, hotels, weather and restaurants."""

import asyncio
from datetime import date
from typing import Any

from tools.outcome import Rejected
from workers import StepContext, specialist
from workers.trip import outputs
from workers.trip.request import TripRequest
from workers.trip.understanding import gazetteer


@specialist("flights", tools=["flights.search"])
async def flights(step: StepContext, request: TripRequest) -> outputs.FlightOffers:
    """Flights there and back."""
    there, home = await asyncio.gather(
        _flights(step, request, request.origin, request.destination, request.start_date),
        _flights(step, request, request.destination, request.origin, request.return_date),
    )
    await step.emit(f"{len(there)} flights there, {len(home)} back")
    return outputs.FlightOffers(outbound=there, back=home)


async def _flights(
    step: StepContext, request: TripRequest, origin: str, destination: str, day: date
) -> list[outputs.Flight]:
    found = await step.call(
        "flights.search", origin=origin, destination=destination, date=str(day), passengers=request.travellers
    )
    return outputs.FlightOffers.model_validate({"outbound": found["offers"], "back": []}).outbound


@specialist("hotels", tools=["flights.find_airports", "hotels.search"])
async def hotels(step: StepContext, request: TripRequest) -> outputs.HotelOffers:
    """Hotels in the destination's city."""
    found = await step.call(
        "hotels.search",
        city=(await _airport(step, request.destination))["city"],
        check_in=str(request.start_date),
        check_out=str(request.return_date),
        guests=request.travellers,
    )
    await step.emit(f"{len(found['offers'])} hotels")
    return outputs.HotelOffers.model_validate(found)


@specialist("weather", tools=["flights.find_airports", "weather.outlook"], optional=True)
async def weather(step: StepContext, request: TripRequest) -> outputs.Weather:
    """The outlook for the days of the trip."""
    place = await _airport(step, request.destination)
    where = {"latitude": place["latitude"], "longitude": place["longitude"]}
    found = await step.call("weather.outlook", **where, start=str(request.start_date), days=request.nights + 1)
    return outputs.Weather.model_validate(found)


@specialist("restaurants", tools=["flights.find_airports", "restaurants.search"], optional=True)
async def restaurants(step: StepContext, request: TripRequest) -> outputs.RestaurantsFound:
    """Restaurants in the destination's city."""
    city = (await _airport(step, request.destination))["city"]
    return outputs.RestaurantsFound.model_validate(await step.call("restaurants.search", city=city))


async def _airport(step: StepContext, code: str) -> dict[str, Any]:
    """The destination's airport, of several the first, as the tool knows it: the tool ranks names beside codes."""
    code = gazetteer.airports_of(code)[0]
    found = await step.call("flights.find_airports", query=code)
    known = next((airport for airport in found["airports"] if airport["code"] == code), None)
    if known is None:
        raise Rejected("flights.find_airports", f"no airport has the code {code!r}")
    return known
