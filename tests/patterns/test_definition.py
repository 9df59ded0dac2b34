"""Patterns that cannot work are refused where they are defined, with what to do."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator import InvalidRequest, Plan
from orchestrator.patterns import Draft, Next, PlanExecuteSolve, Router, Routing, Situation, Supervisor
from orchestrator.workflow import Profile, catalogue
from workers import StepContext, specialist


@pytest.fixture(autouse=True)
def specialists(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: Profile(name) for name in ("air", "tell")}
    monkeypatch.setattr(catalogue, "profiles", {**catalogue.profiles, **known})


def route(_: Situation) -> Routing:
    return Routing.to("air")


def follow(_: Situation) -> Next:
    return Next.finish()


def draft(_: Situation) -> Draft:
    return Draft()


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "no route": (lambda: Router({}, decide=route, fallback="air"), "a router needs at least one part"),
    "no fallback": (lambda: Router(["air"], decide=route), "fallback=... is missing of air"),
    "fallback is no route": (lambda: Router(["air"], decide=route, fallback="sea"), "fallback='sea' is none of air"),
    "threshold": (lambda: Router(["air"], decide=route, fallback="air", threshold=1.1), "a confidence is 0 to 1"),
    "threshold is no number": (
        lambda: Router(["air"], decide=route, fallback="air", threshold=float("nan")),
        "a confidence is 0 to 1",
    ),
    "most": (lambda: Router(["air"], decide=route, fallback="air", most=0), "at least one route"),
    "unknown route": (
        lambda: Router({"go": "ghost"}, decide=route, fallback="go"),
        "router: unknown specialist 'ghost'; known: .*; define or import it before the pattern",
    ),
    "unknown in a plan": (
        lambda: Router({"go": Plan.chain("air", "ghost")}, decide=route, fallback="go"),
        "unknown specialist 'ghost'",
    ),
    "unknown join": (lambda: Router(["air"], decide=route, fallback="air", join="ghost"), "unknown specialist 'ghost'"),
    "a part of another kind": (lambda: Supervisor({"go": 3}, decide=follow), "part 'go' is a int"),  # type: ignore[dict-item]
    "a part's name": (lambda: Supervisor({"Go!": "air"}, decide=follow), "part name 'Go!': use 1 to 64"),
    "rounds": (lambda: Supervisor(["air"], decide=follow, rounds=0), "rounds=0: use 1 to 1000"),
    "idle rounds": (lambda: Supervisor(["air"], decide=follow, idle_rounds=0), "idle_rounds=0: use 1 to 1000"),
    "on_guard": (lambda: Supervisor(["air"], decide=follow, on_guard="ask"), "use 'fail' or 'partial'"),  # type: ignore[arg-type]
    "no solve": (lambda: PlanExecuteSolve(["air"], planner=draft, solve=""), "a planner needs solve="),
    "unknown solve": (lambda: PlanExecuteSolve(["air"], planner=draft, solve="ghost"), "unknown specialist 'ghost'"),
    "most_steps": (lambda: PlanExecuteSolve(["air"], planner=draft, solve="tell", most_steps=0), "use 1 to 1000"),
}


@pytest.mark.parametrize(("make", "said"), WRONG.values(), ids=WRONG)
def test_it_is_refused(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        make()


@pytest.mark.parametrize("name", ["router", "planner", "supervisor"])
def test_the_names_of_deciding_steps_are_taken(name: str) -> None:
    async def perform(step: StepContext, request: Any) -> None:
        """Never registered."""

    with pytest.raises(InvalidRequest, match=f"{name!r}: the deciding steps of patterns have this name"):
        specialist(name)(perform)
