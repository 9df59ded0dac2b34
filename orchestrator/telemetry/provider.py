"""The tracer provider: a job's id becomes the trace's id, and the trace of everything else is marked as nobody's."""

import os
import random

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from orchestrator.telemetry import names
from orchestrator.telemetry.batches import Outlet
from orchestrator.telemetry.spans import ROOT_OF

VERSION_BITS, NO_JOB_VERSION = 0xF << 76, 0x4 << 76
"""Where a UUID says its version: 7 in a job, and 4 in traces of no job, so that their ids tell them apart."""


class JobIds(RandomIdGenerator):
    """Ids of spans: those of a job's root come from the job's id, all others are random."""

    def generate_trace_id(self) -> int:
        """The job's id for its root span, else a random one that no job can have."""
        job_id = ROOT_OF.get()
        return int(job_id, 16) if job_id else random.getrandbits(128) & ~VERSION_BITS | NO_JOB_VERSION

    def generate_span_id(self) -> int:
        """The last half of the job's id for its root span, else random."""
        job_id = ROOT_OF.get()
        return int(job_id[16:], 16) if job_id else super().generate_span_id()

    def is_trace_id_random(self) -> bool:
        """Not all of it: six bits are fixed, and 48 are the time."""
        return False


def make(service: str) -> tuple[TracerProvider, Outlet]:
    """A provider of our own, and where its spans go."""
    outlet = Outlet()
    resource = Resource.create({names.SERVICE: service, names.SERVICE_INSTANCE: f"{os.uname().nodename}-{os.getpid()}"})
    # A job is traced as a whole or not at all, whatever OTEL_TRACES_SAMPLER says to the program around us.
    provider = TracerProvider(
        sampler=ParentBased(ALWAYS_ON), resource=resource, id_generator=JobIds(), shutdown_on_exit=False
    )
    provider.add_span_processor(outlet)
    return provider, outlet


def make_global(provider: TracerProvider) -> None:
    """Let libraries in this process that trace themselves (the MCP SDK) use the provider."""
    if trace.get_tracer_provider() is not provider:
        trace.set_tracer_provider(provider)
