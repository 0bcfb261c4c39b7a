# The engine as its wheel, and the five folders of this system in /app.
#   docker build -t headwater .        docker run --rm headwater worker --help

FROM python:3.13.11-slim AS build
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/headwater
WORKDIR /build
# What is needed changes less often than the engine: a layer of its own.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --extra speed --extra temporal --no-install-project
COPY README.md LICENSE* ./
COPY headwater headwater
RUN uv sync --frozen --no-dev --extra speed --extra temporal --no-editable

FROM python:3.13.11-slim
RUN groupadd --gid 10001 headwater \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin headwater
COPY --from=build /opt/headwater /opt/headwater
WORKDIR /app
COPY schemas schemas
COPY streams streams
COPY producers producers
COPY consumers consumers
COPY backfill backfill
# HEADWATER_EMBEDDED=off: servers are named, never started in here.
ENV PATH=/opt/headwater/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HEADWATER_EMBEDDED=off
USER 10001:10001
ENTRYPOINT ["headwater"]
CMD ["--help"]
