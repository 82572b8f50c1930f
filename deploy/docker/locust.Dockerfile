# Locust and the load tests, for the profile `load` of docker-compose.yml. The images that users send are the golden
# samples of the mounted models, so scikit-learn isn't needed.

FROM python:3.11-slim-bookworm AS builder
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
WORKDIR /build
COPY constraints.txt ./
RUN python -m venv --without-pip /opt/locust \
 && pip --python /opt/locust/bin/python install --quiet --no-cache-dir --only-binary :all: \
        --constraint constraints.txt locust numpy orjson pillow 'tritonclient[grpc]'
COPY loadtests loadtests
RUN chmod -R a+rX loadtests

FROM python:3.11-slim-bookworm
COPY --from=builder /opt/locust /opt/locust
COPY --from=builder /build/loadtests /app/loadtests
ENV PATH=/opt/locust/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "loadtests.headless"]
