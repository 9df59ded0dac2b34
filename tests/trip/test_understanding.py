"""Free text understood, field by field; what is not understood is left out, and so asked."""

import sys
import time
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import routing
from benchmarks.understanding import REQUESTS, ROUTED, TAUGHT, TODAY, accuracy, fixed
from workers.trip.request import TripRequest
from workers.trip.understanding import dates, money, party, understand


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: each["text"][:40])
def test_a_request_is_understood(request_: dict[str, Any]) -> None:
    understood = understand(request_["text"], TODAY)
    assert set(understood) == set(request_["fields"])
    assert fixed(understood) == fixed(request_["fields"])


@pytest.mark.parametrize("request_", TAUGHT, ids=lambda each: each["text"][:40])
def test_what_was_once_guessed_is_asked(request_: dict[str, Any]) -> None:
    assert fixed(understand(request_["text"], TODAY)) == request_["fields"]


def test_the_file_is_understood_field_by_field(capsys: pytest.CaptureFixture[str]) -> None:
    counted = accuracy(REQUESTS)
    with capsys.disabled():
        told = ", ".join(f"{name} {count['right']}/{len(REQUESTS)}" for name, count in counted.items())
        sys.stdout.write(f"\nunderstood by rules: {told}\n")
    assert len(REQUESTS) == 100
    assert {name for name, count in counted.items() if count["missing"] or count["wrong"]} == set()


async def test_the_embedding_finds_the_parts_that_a_request_asks_for(capsys: pytest.CaptureFixture[str]) -> None:
    counted = await routing.accuracy(ROUTED, routing.EMBEDDING)
    with capsys.disabled():
        told = ", ".join(f"{name} {count['right']}" for name, count in counted.items())
        sys.stdout.write(f"\nrouted by embedding, of {len(ROUTED)}: {told}\n")
    assert counted[routing.SOME]["right"] >= 20
    assert counted[routing.ALL]["right"] >= 90


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert set(understand(text, TODAY)) <= set(TripRequest.model_fields)


KNOWN = "Boston to Denver, 12 to 15 March, two people, hiking, $900"
STRANGE = st.from_regex(r"zq[a-z]{1,12}|[1-9][0-9]{4}|é[äöü]{2,9}|\U0001f3bf", fullmatch=True)


@settings(deadline=None)
@given(
    STRANGE, st.sampled_from(["{}, " + KNOWN, KNOWN.replace("two", "{} and two"), KNOWN + " {}", KNOWN + ". No {}!"])
)
def test_a_word_that_nobody_knows_never_vanishes(word: str, sentence: str) -> None:
    fields = understand(sentence.format(word), TODAY)
    assert word in " ".join(fields["interests"]["unread"])
    assert fields["interests"]["read"] == ["hiking"]
    assert {**fields, "interests": ["hiking"]} == understand(KNOWN, TODAY)


NAMED = {
    "Boston": "BOS", "the Windy City": "CHI", "Philly": "PHL", "SFO": "SFO", "Los Angeles, CA": "LAX", "Nice": "NCE",
    "St. Louis": "STL", "Washington, D.C.": "DCA", "Austin": "AUS", "Charlotte": "CLT", "Phoenix": "PHX",
}  # fmt: skip
WAYS = [
    "from {0} to {1}", "{0} to {1}", "to {1} from {0}", "{1} from {0}", "leaving {0} for {1}", "{0} - {1}", "{0} → {1}",
    "we live in {0} and want to visit {1}", "a trip to {1}, starting in {0}", "I'm in {0}. I want to see {1}",
]  # fmt: skip
DAYS = [
    "{0.day} {0:%B} to {1.day} {1:%B}", "{0:%B} {0.day} - {1:%B} {1.day}", "{0} to {1}",
    "{0:%B} {0.day} for {2} nights", "on {0:%A}, {0:%B} {0.day}, {2} nights", "{2} nights from {0.day} {0:%b} {0.year}",
    "{3} days starting {0:%b} {0.day}", "leaving on {0:%b} {0.day} and coming back on {1:%B} {1.day}",
    "{0.day}.{0.month}.{0.year} - {1.day}.{1.month}.{1.year}",
]  # fmt: skip
PARTIES = ["{} people", "party of {}", "{} pax", "group of {}", "for {}", "there are {} of us", "{} adults"]
SUMS = ["under ${:,}", "budget {} USD", "no more than {:,} dollars", "max. {} usd", "at most ${} in total"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(NAMED)), min_size=2, max_size=2, unique=True), st.sampled_from(WAYS),
    st.dates(TODAY, TODAY + timedelta(days=340)), st.integers(1, 12), st.sampled_from(DAYS),
    st.integers(2, 9), st.sampled_from(PARTIES), st.integers(100, 9_999), st.sampled_from(SUMS),
    st.permutations(range(4)), st.sampled_from([", ", "; ", ". ", " - "]),
)  # fmt: skip
def test_however_it_is_said_each_field_is_right_or_asked(
    places: list[str], way: str, first: date, nights: int, days: str, party: int, people: str, usd: int, sum_: str,
    order: list[int], joint: str,
) -> None:  # fmt: skip
    said = [days.format(first, first + timedelta(days=nights), nights, nights + 1)]
    said += [way.format(*places), people.format(party), sum_.format(usd)]
    fields = understand(text := joint.join(said[i] for i in order), TODAY)
    expected = {"origin": NAMED[places[0]], "destination": NAMED[places[1]], "start_date": first.isoformat()}
    assert fields.items() <= {**expected, "nights": nights, "travellers": party, "money_usd": float(usd)}.items(), text
    assert {"origin", "destination", "money_usd"} <= set(fields), text


SAID = """
from to in 12 15 march 2027 next friday two people family of four $ 2,500 usd under new york denver - , . the 4th
three nights days week € 1.000 San Jose Maine LA NYC and or alone with my wife kids
"""
WORDS = st.sampled_from(SAID.split())


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=40))
def test_whatever_is_understood_has_the_request_s_types(words: list[str]) -> None:
    fields = understand(" ".join(words), TODAY)
    for name in ("origin", "destination"):
        assert len(fields.get(name, "DEN")) == 3
    assert 1 <= fields.get("travellers", 1) <= 9
    money = fields.get("money_usd", 1)
    assert isinstance(money, str) or 0 < money <= 1_000_000
    assert fields.get("nights", 1) >= 1
    date.fromisoformat(fields.get("start_date", "2027-01-01"))


@pytest.mark.parametrize(
    "piece",
    [
        "x", "12 to ", "from New York ", "1,1", "a ", "1 ", "two hundred ", "$", "the ", "- ", "march ", "1,111",
        "San Jose, ", "until ", "9 9", "my ", "²", "ﷺ", "İ", "A", "\u0301", "in in Maine ",
        "12 march with my wife ", "to Denver, Miami ",
    ],
)  # fmt: skip
def test_a_hundred_thousand_hostile_characters_are_read_at_once(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    understand("warm up", TODAY)
    began = time.process_time()
    understand(text, TODAY)
    assert time.process_time() - began < 5


def test_time_grows_with_the_length_and_no_faster() -> None:
    def seconds(length: int) -> float:
        began = time.process_time()
        understand(("from 12 to 15 march two people 1,111 San Jose " * length)[: 46 * length], TODAY)
        return time.process_time() - began

    seconds(100)
    assert seconds(2_000) < 60 * max(seconds(200), 0.005)


@settings(deadline=None)
@given(
    st.dates(TODAY, TODAY + timedelta(days=300)), st.integers(1, 27), st.sampled_from(["to", "-", "until", "through"])
)
def test_a_range_of_days_in_words_is_that_range(first: date, nights: int, joined: str) -> None:
    last = first + timedelta(days=nights)
    expected = {"start_date": first.isoformat(), "nights": nights}
    for text in (
        f"{first.day} {first:%B} {joined} {last.day} {last:%B}",
        f"{first:%B} {first.day} {joined} {last:%B} {last.day}",
        f"{first.isoformat()} {joined} {last.isoformat()}",
        f"{first.day} {first:%b} {first.year} {joined} {last.day} {last:%b} {last.year}",
        f"{first.day}.{first.month}.{first.year} {joined} {last.day}.{last.month}.{last.year}",
    ):
        assert dates.understood(text.lower(), TODAY) == expected, text


@settings(deadline=None)
@given(st.dates(TODAY, TODAY + timedelta(days=364)))
def test_a_date_without_a_year_is_the_next_such_date(day: date) -> None:
    for text in (f"{day.day} {day:%B}", f"{day:%B} {day.day}", f"the {day.day}th of {day:%B}"):
        assert dates.understood(text.lower(), TODAY) == {"start_date": day.isoformat()}, text


@settings(deadline=None)
@given(st.dates(date(2026, 1, 1), date(2029, 12, 31)), st.sampled_from(["monday", "friday", "sunday"]))
def test_next_weekday_is_within_the_coming_seven_days(today: date, weekday: str) -> None:
    start = date.fromisoformat(str(dates.understood(f"next {weekday}", today)["start_date"]))
    assert 0 < (start - today).days <= 7
    assert f"{start:%A}".lower() == weekday


@settings(deadline=None)
@given(st.integers(1, 999_999), st.sampled_from([",", ".", " ", "’", ""]))
def test_an_amount_is_the_same_however_its_thousands_are_marked(amount: int, mark: str) -> None:
    written = f"{amount:,}".replace(",", mark)
    for text in (f"{written} usd", f"${written}", f"usd {written}", f"under {written} dollars in all", f"{written}$"):
        said = money.understood(text, 1)
        assert said is not None, text
        assert said.usd == amount


@settings(deadline=None)
@given(st.integers(1, 10_000), st.integers(1, 9))
def test_money_a_head_is_multiplied_by_the_travellers(amount: int, travellers: int) -> None:
    said = money.understood(f"${amount} per person", travellers)
    assert said == money.Money(float(amount * travellers))
    assert money.understood(f"${amount} per person", None) is None


def test_money_in_other_currencies_names_the_rate_s_source_and_day() -> None:
    for text, currency in (("under 1,000 euros", "EUR"), ("£1k", "GBP"), ("1'000 chf", "CHF")):
        said = money.understood(text.replace("'", "’"), 1)
        assert said is not None, text
        assert 800 < said.usd < 1_800
        assert f"1,000.00 {currency} at the European Central Bank's rate of 20" in said.source


@settings(deadline=None)
@given(st.integers(1, 9))
def test_the_party_is_counted_in_words_and_digits(count: int) -> None:
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    for said in (str(count), words[count - 1]):
        for text in (f"{said} people", f"party of {said}", f"for {said}, please", f"{said} adults"):
            assert party.understood(text) == count, text


@pytest.mark.parametrize(
    "text", ["people", "we", "2 or 3 people", "two to four people", "0 people", "12 people", "for two nights"]
)
def test_a_party_that_is_not_said_clearly_is_left_out(text: str) -> None:
    assert party.understood(text) is None
