"""The specialists that book, side by side, and the summary. Each booking exists once, whatever is retried."""

from typing import Any

from tools.outcome import Rejected
from workers import StepContext, specialist
from workers.trip import outputs
from workers.trip.markdown import itinerary_markdown, not_done
from workers.trip.request import TripRequest

BOOKERS = ("book_flights", "book_hotel", "book_tables")


@specialist("book_flights", tools=["flights.book", "flights.cancel"], needs=["itinerary"])
async def book_flights(step: StepContext, request: TripRequest) -> outputs.Bookings:
    """Both flights."""
    booked: list[outputs.Booking] = []
    chosen = _chosen(step)
    for flight in (chosen.outbound, chosen.back):
        made = await step.call("flights.book", offer_id=flight.offer_id, passengers=request.travellers)
        booked.append(_kept(step, "flights", made, flight.total_usd))
    return outputs.Bookings(bookings=booked)


@specialist("book_hotel", tools=["hotels.book", "hotels.cancel"], needs=["itinerary"])
async def book_hotel(step: StepContext, request: TripRequest) -> outputs.Bookings:
    """The rooms."""
    hotel = _chosen(step).hotel
    made = await step.call("hotels.book", offer_id=hotel.offer_id, guests=request.travellers)
    return outputs.Bookings(bookings=[_kept(step, "hotels", made, hotel.total_usd)])


@specialist("book_tables", tools=["restaurants.reserve", "restaurants.cancel"], optional=True, needs=["itinerary"])
async def book_tables(step: StepContext, request: TripRequest) -> outputs.Bookings:
    """A table for each dinner; a place that refuses loses its guests, not the trip."""
    booked: list[outputs.Booking] = []
    for dinner in _chosen(step).dinners:
        place = dinner.restaurant
        when = {"date": dinner.date, "time": dinner.time}
        try:
            made = await step.call(
                "restaurants.reserve", restaurant_id=place.restaurant_id, **when, party=request.travellers
            )
        except Rejected as refusal:
            await step.emit(f"no table at {place.name} on {dinner.date}: {refusal}")
            continue
        booked.append(_kept(step, "restaurants", made, dinner.estimate_usd))
    return outputs.Bookings(bookings=booked)


@specialist("summary", needs=["itinerary"])
async def summary(step: StepContext, request: TripRequest) -> outputs.TripResult:
    """The itinerary as Markdown, with every booking and its key; and what is missing, as where a budget ran out."""
    chosen = _chosen(step) if "itinerary" in step.inputs else None
    booked = [
        booking
        for name in BOOKERS
        if name in step.inputs
        for booking in outputs.Bookings.model_validate(step.inputs[name]).bookings
    ]
    outlook = outputs.Weather.model_validate(step.inputs.get("weather", {"daily": []}))
    return outputs.TripResult(
        markdown=itinerary_markdown(request, chosen, booked, outlook, not_done(step.missing, step.finishing)),
        itinerary=chosen,
        bookings=booked,
        missing=list(step.missing),
        total_usd=chosen.total_usd if chosen else 0.0,
        money_usd=chosen.money_usd if chosen else request.money_usd,
    )


def _chosen(step: StepContext) -> outputs.Itinerary:
    return outputs.Itinerary.model_validate(step.inputs["itinerary"])


def _kept(step: StepContext, server: str, made: dict[str, Any], agreed_usd: float) -> outputs.Booking:
    """A booking, with the way to undo it.

    Raises:
        Rejected: it costs more than was chosen; the job ends and takes it back.
    """
    booking = outputs.Booking.model_validate(made)
    step.on_rollback(f"{server}.cancel", booking_id=booking.booking_id)
    if booking.total_usd > agreed_usd:
        told = f"{booking.title} costs {booking.total_usd:,.2f} USD now, {agreed_usd:,.2f} USD were agreed"
        raise Rejected(f"{server}.book", told)
    return booking
