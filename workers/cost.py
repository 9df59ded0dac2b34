"""What a tool call may cost, before it is sent."""

from fnmatch import fnmatchcase

from orchestrator.prices import Prices, UnknownPrice
from orchestrator.state.calls import Cost
from orchestrator.state.records import Claim
from tools.tool import Tool
from workers.verdict import Failed, Stop


def cost_of(tool: Tool, claim: Claim, prices: Prices) -> Cost:
    """One call with the largest answer, also for each ceiling of single tools, at its server's or the table's price.

    Raises:
        Stop: it has no price, and what has none is refused.
    """
    globs = tuple(glob for glob in claim.globs if fnmatchcase(tool.name, glob))
    try:
        price = prices.call(tool.name) if tool.price_micro_usd is None else tool.price_micro_usd
    except UnknownPrice as error:
        raise Stop(Failed("rejected", str(error))) from error
    return Cost(globs=globs, micro_usd=price or 0, answer_bytes=tool.most_bytes, unpriced=price is None)
