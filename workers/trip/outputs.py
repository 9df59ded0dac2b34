"""What the trip's specialists give each other. `source` says of every fact what it is."""

from pydantic import BaseModel


class Flight(BaseModel):
    """A flight on offer; times are local."""

    offer_id: str
    airline: str
    flight_number: str
    origin: str
    destination: str
    departs: str
    arrives: str
    price_usd: float
    total_usd: float
    source: str
    note: str


class FlightOffers(BaseModel):
    """Flights there and back, cheapest first."""

    outbound: list[Flight]
    back: list[Flight]


class Hotel(BaseModel):
    """Rooms on offer."""

    offer_id: str
    name: str
    stars: int
    nights: int
    rooms: int
    total_usd: float
    source: str


class HotelOffers(BaseModel):
    """Hotels in one city, cheapest first."""

    offers: list[Hotel]


class Restaurant(BaseModel):
    """A restaurant; its price is an estimate."""

    restaurant_id: str
    name: str
    cuisine: str
    price_usd_per_person: float
    source: str


class RestaurantsFound(BaseModel):
    """Restaurants in one city, cheapest first."""

    restaurants: list[Restaurant]


class Day(BaseModel):
    """A day's weather; sunrise and sunset are in UTC, empty where the sun does not rise or set."""

    date: str
    high_c: float
    low_c: float
    precipitation_chance: float
    sunrise: str = ""
    sunset: str = ""
    source: str


class Weather(BaseModel):
    """The outlook for the trip's days."""

    daily: list[Day]


class Dinner(BaseModel):
    """A table to reserve."""

    date: str
    time: str
    restaurant: Restaurant
    estimate_usd: float


class Airport(BaseModel):
    """An airport of the trip."""

    code: str
    name: str
    city: str


class Itinerary(BaseModel):
    """The chosen combination, its sum, and the money it had to fit."""

    airports: list[Airport]
    outbound: Flight
    back: Flight
    hotel: Hotel
    dinners: list[Dinner]
    flights_usd: float
    hotel_usd: float
    dinners_usd: float
    total_usd: float
    money_usd: float | None


class Booking(BaseModel):
    """A booking and the key under which it exists once."""

    booking_id: str
    title: str
    total_usd: float
    key: str


class Bookings(BaseModel):
    """What one specialist booked."""

    bookings: list[Booking]


class TripResult(BaseModel):
    """The job's result; `missing` names the steps it had to do without, and without an itinerary there is none."""

    markdown: str
    itinerary: Itinerary | None
    bookings: list[Booking]
    missing: list[str] = []
    total_usd: float
    money_usd: float | None
