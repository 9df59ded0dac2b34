"""How the suite was started changes no test; no real model is asked; the flight table is built once."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tools.testing.plugin"]

for name in [name for name in os.environ if name.startswith("SUREFOOT_") and not name.startswith("SUREFOOT_TEST_")]:
    del os.environ[name]
# A suite in the background (`make test &`, nohup) ignores signals, and so would all it starts; some tests send them.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGQUIT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
DATA = Path(__file__).parents[1] / ".surefoot" / "data"
os.environ["SUREFOOT_DATA"] = str(DATA)
os.environ["SUREFOOT_MODEL_CALLS"] = (
    "forbid"  # no test asks a model that costs money; scripted ones are on this machine
)


@pytest.fixture(scope="session")
def flight_data() -> Path:
    """The folder of the flight table, with the table in it."""
    from tools.travel.schedule import flight_table

    return flight_table(DATA).parent
