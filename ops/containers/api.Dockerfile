# The API; also the image of the exporter and of migrations. No compiler, no weights, no root.
#   docker build -f ops/containers/api.Dockerfile -t codevoice-api:0.1.0 .
FROM python:3.11.13-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY app app
COPY workers workers
COPY db db
COPY ops ops
RUN python -m venv /opt/codevoice && /opt/codevoice/bin/pip install -c constraints.txt .

FROM python:3.11.13-slim-bookworm
ENV PATH=/opt/codevoice/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 \
    CODEVOICE_HOST=0.0.0.0 CODEVOICE_PORT=8000 CODEVOICE_METRICS_HOST=0.0.0.0 CODEVOICE_METRICS_PORT=9464
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin codevoice
COPY --from=build /opt/codevoice /opt/codevoice
USER 10001:10001
WORKDIR /
EXPOSE 8000 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-m", "ops.containers.health", "http://127.0.0.1:8000/health/ready"]
CMD ["python", "-m", "app"]
