# Training, for the profile `train` of docker-compose.yml. PyPI's torch brings gigabytes of CUDA; PIP_EXTRA_INDEX_URL
# may name an index with builds for the CPU, which are smaller. No instruction needs BuildKit.

FROM python:3.11-slim-bookworm AS builder
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
WORKDIR /build
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
        extras = project['optional-dependencies']; \
        print(*project['dependencies'], *extras['cpu'], *extras['training'], sep='\n')" > requirements.txt \
 && python -m venv --without-pip /opt/hone \
 && pip --python /opt/hone/bin/python install --quiet --no-cache-dir --only-binary :all: \
        --constraint constraints.txt --requirement requirements.txt
# The service too: what a network is worth is measured through it.
COPY service service
COPY training training
RUN python -m compileall -q service training && chmod -R a+rX service training

FROM python:3.11-slim-bookworm
COPY --from=builder /opt/hone /opt/hone
COPY --from=builder /build/service /app/service
COPY --from=builder /build/training /app/training
# An empty volume is owned as the folder is that it is mounted on.
RUN install --directory --owner 10001 --group 10001 /models /runs
ENV PATH=/opt/hone/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
ENTRYPOINT ["python", "-m", "training"]
CMD ["list"]
