# Two images of one build, on CPU.
#   docker build --target serving  -t plotpointe-serving .     the service, without torch
#   docker build --target pipeline -t plotpointe .             every verb
#
#   docker run -v $PWD:/work -w /work plotpointe run configs/demo.yaml
#   docker run -v $PWD/artifacts:/data plotpointe-serving keys new shop --keys /data/keys.json
#   docker run -v $PWD/artifacts:/data -p 8000:8000 plotpointe-serving
# Without keys other machines are not answered; behind a proxy that knows who asks:
#   docker run -e PLOTPOINTE_KEYS= -e PLOTPOINTE_ALLOW_ANONYMOUS=true …
FROM python:3.11-slim-bookworm AS source

# For the native code (pipeline/lists.c, pipeline/models/kernels.c); slower ways stand in for it.
RUN apt-get update \
    && apt-get install --no-install-recommends --yes gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
RUN python -m venv /opt/plotpointe
ENV PATH=/opt/plotpointe/bin:$PATH
COPY pyproject.toml constraints.txt README.md LICENSE ./
# Dependencies change less often than code: their layer comes first.
RUN mkdir pipeline serving \
    && touch pipeline/__init__.py serving/__init__.py

FROM source AS serving-build
RUN pip install --no-cache-dir --constraint constraints.txt '.[tracing]'
COPY pipeline pipeline
COPY serving serving
COPY configs configs
RUN pip install --no-cache-dir --no-deps --force-reinstall .

FROM source AS pipeline-build
RUN pip install --no-cache-dir --constraint constraints.txt '.[pipeline,tracing]'
COPY pipeline pipeline
COPY serving serving
COPY configs configs
RUN pip install --no-cache-dir --no-deps --force-reinstall .

FROM python:3.11-slim-bookworm AS runtime
# OpenMP is what torch and faiss share threads through.
RUN apt-get update \
    && apt-get install --no-install-recommends --yes libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 plotpointe
ENV PATH=/opt/plotpointe/bin:$PATH \
    PYTHONUNBUFFERED=1
ENTRYPOINT ["plotpointe"]

FROM runtime AS pipeline
COPY --from=pipeline-build /opt/plotpointe /opt/plotpointe
USER plotpointe
CMD ["--help"]

FROM runtime AS serving
COPY --from=serving-build /opt/plotpointe /opt/plotpointe
# One thread a search: requests run side by side.
ENV PLOTPOINTE_STORE=/data \
    PLOTPOINTE_KEYS=/data/keys.json \
    OMP_NUM_THREADS=1
USER plotpointe
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready')"]
CMD ["serve", "--host", "0.0.0.0"]
