# The service with everything the pipeline needs, on CPU. Build: docker build -t plotpointe .
#   docker run -v $PWD/artifacts:/data -p 8000:8000 plotpointe            serves the promoted bundle
#   docker run -v $PWD:/work -w /work plotpointe run configs/demo.yaml    runs the pipeline
FROM python:3.11-slim-bookworm AS build

# For the sparse kernels (pipeline/models/kernels.c); without a compiler torch's slower ones serve.
RUN apt-get update \
    && apt-get install --no-install-recommends --yes gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
RUN python -m venv /opt/plotpointe
ENV PATH=/opt/plotpointe/bin:$PATH

# Dependencies change less often than code: their layer comes first.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir pipeline serving \
    && touch pipeline/__init__.py serving/__init__.py \
    && pip install --no-cache-dir --constraint constraints.txt .

COPY pipeline pipeline
COPY serving serving
COPY configs configs
RUN pip install --no-cache-dir --no-deps --force-reinstall .

FROM python:3.11-slim-bookworm

# OpenMP is what torch and faiss share threads through.
RUN apt-get update \
    && apt-get install --no-install-recommends --yes libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 plotpointe

COPY --from=build /opt/plotpointe /opt/plotpointe
ENV PATH=/opt/plotpointe/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PLOTPOINTE_STORE=/data

USER plotpointe
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready')"]
ENTRYPOINT ["plotpointe"]
CMD ["serve", "--host", "0.0.0.0"]
