# A worker for GPUs: XTTS and Whisper on PyTorch, whose wheels bring CUDA; the host brings the driver.
# Weights are mounted (docs/operations.md), never part of the image. No root.
#   docker build -f ops/containers/worker-cuda.Dockerfile -t codevoice-worker-cuda:0.1.0 .
FROM python:3.11.13-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY app app
COPY workers workers
COPY db db
COPY ops ops
RUN python -m venv /opt/codevoice && /opt/codevoice/bin/pip install -c constraints.txt '.[xtts,whisper]'

FROM python:3.11.13-slim-bookworm
ENV PATH=/opt/codevoice/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 \
    CODEVOICE_METRICS_HOST=0.0.0.0 CODEVOICE_METRICS_PORT=9464 HOME=/tmp \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
# A new volume takes the owner of the folder on which it is mounted.
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin codevoice && \
    install -d -o 10001 -g 10001 /models
COPY --from=build /opt/codevoice /opt/codevoice
USER 10001:10001
WORKDIR /
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=180s --retries=3 \
    CMD ["python", "-m", "ops.containers.health", "http://127.0.0.1:9464/metrics"]
CMD ["codevoice", "worker", "--engines", "xtts"]
