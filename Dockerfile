# One image for workers, sweeper, tool servers and Flower; the compose file says which command each runs.
FROM python:3.11-slim

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY requirements-build.lock requirements.lock ./
RUN pip install --require-hashes -r requirements-build.lock \
 && pip install --require-hashes --no-deps --no-build-isolation -r requirements.lock

COPY pyproject.toml README.md LICENSE celeryconfig.py surefoot.py ./
COPY orchestrator orchestrator
COPY workers workers
COPY tools tools
# A new volume takes over owner and rights of the folder it is mounted on.
RUN pip install --no-deps --no-build-isolation -e . \
 && useradd --create-home --uid 10001 surefoot \
 && mkdir /data /ledger && chown surefoot /data /ledger

USER surefoot
ENV PYTHONUNBUFFERED=1 SUREFOOT_HOME=/data SUREFOOT_LOG_FORMAT=json
CMD ["python", "-m", "workers"]
