"""Calls with an effect that a person approves before they are sent: the rules are the specialist's and mcp.json's."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.state.records import Claim, Question
from orchestrator.workflow import Profile
from tools.config import Approval
from tools.effects import Effect
from tools.outcome import Rejected
from tools.tool import Tool, stricter
from workers.asking import Asking
from workers.provenance import Provenance
from workers.replay import Call

SHOWN = 60
"""Characters of a copied value in the question; the whole of it is in its details."""


class Approvals:
    """The rules, for one attempt of a step, and what it was told so far."""

    def __init__(self, profile: Profile, claim: Claim, asking: Asking, *, configured: bool) -> None:
        """`configured`: a server's configuration has such rules. Where nobody has any, nothing is remembered."""
        self._rules, self._asking = profile.approve, asking
        rules = bool(self._rules) or configured
        self._provenance = Provenance(claim.request, claim.inputs) if rules else None

    def told(self, tool: str, answer: Any) -> None:
        """A tool answered this."""
        if self._provenance is not None:
            self._provenance.tool(tool, answer)

    def shown(self, tool: Tool) -> None:
        """A model reads this of a tool."""
        if self._provenance is not None:
            self._provenance.shown(tool.name, tool.description, tool.input_schema)

    def person(self, answer: Any) -> None:
        """A person answered this."""
        if self._provenance is not None:
            self._provenance.person(answer)

    async def ask(self, tool: Tool, arguments: Mapping[str, Any], call: Call) -> None:
        """Have a person approve exactly these arguments, if a rule says so; the step is parked until then.

        The second time an attempt calls the same with the same arguments is another question: a yes is for one call.
        It is not the call's number that tells them apart: a call that is held has none yet that stays.

        Raises:
            Rejected: the person says no.
        """
        rule = self._rule(tool)
        if self._provenance is None or rule is None or tool.effect is Effect.READ:
            return
        copied = self._provenance.copied(arguments)
        if rule == "copied" and not copied:
            return
        said = "; ".join(f"{value[:SHOWN]!r} comes from {source}" for value, source in copied.items())
        field = f"approve-call-{call.asked}-{call.nth}"
        question = Question(
            f"{self._asking.step}/{field}",
            field,
            f"call {tool.name} with these arguments?{f' {said}' if said else ''}",
            "approval",
            self._asking.step,
            schema={"type": "boolean"},
            details={"tool": tool.name, "arguments": dict(arguments), "copied": copied},
        )
        if not await self._asking.one(question):
            raise Rejected(tool.name, "a person did not approve this call with these arguments")

    def _rule(self, tool: Tool) -> Approval | None:
        """Who is stricter wins."""
        return stricter([tool.approval, *(rule for glob, rule in self._rules.items() if fnmatchcase(tool.name, glob))])
