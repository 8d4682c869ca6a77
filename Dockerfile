# Two stages: what is needed to build stays in the first; the second holds Python, our wheel and what it needs at run time.

FROM python:3.11-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# Pins and hashes first: this layer changes only when they do. Everything below is installed from these wheels.
COPY constraints.txt ./
RUN pip download --quiet --require-hashes --dest /wheels -r constraints.txt \
    && python -m venv /build \
    && /build/bin/pip install --quiet --no-index --find-links /wheels -r constraints.txt

# The page's files, hashes checked; npm comes in a wheel and stays behind.
COPY command_center/__init__.py command_center/
COPY command_center/api/__init__.py command_center/api/
COPY command_center/api/graphiql/ command_center/api/graphiql/
RUN /build/bin/python -m command_center.api.graphiql.assets

# What ships: our wheel and what it asks for, no test tool, no linter, no pip.
COPY pyproject.toml README.md ./
COPY models/ models/
COPY resolvers/ resolvers/
COPY schema/ schema/
COPY command_center/ command_center/
RUN /build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m venv /app \
    && /app/bin/pip install --quiet --no-index --find-links /wheels command-center \
    && /app/bin/pip uninstall --quiet --yes pip setuptools


FROM python:3.11-slim

RUN useradd --system --uid 10001 --user-group --home-dir /data --create-home commandcenter
COPY --from=build /app /app

ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1
USER commandcenter
# Where the embedded database lives unless the settings name another.
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["command-center", "healthcheck"]

ENTRYPOINT ["command-center"]
CMD ["serve", "--host", "0.0.0.0"]
