"""Which cloud and region this is: from the environment and, inside a cloud, its metadata.

Nothing is asked over the network unless the machine's own firmware names a cloud.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DMI = Path("/sys/class/dmi/id")
METADATA = "http://169.254.169.254"
SWITCH = "PLOTPOINTE_METADATA"
"""An environment variable; ``off`` asks no metadata, wherever this is."""

_SECONDS = 0.5
_VENDORS = {"amazon": "aws", "google": "gcp", "microsoft": "azure"}
_AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
"""The chassis of every machine of Azure; other machines of the same vendor lack it."""

_INSIDE = {
    "aws": ("AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME", "ECS_CONTAINER_METADATA_URI_V4"),
    "gcp": ("K_SERVICE", "CLOUD_RUN_JOB", "GAE_ENV"),
    "azure": ("WEBSITE_INSTANCE_ID", "AZUREML_RUN_ID", "CONTAINER_APP_NAME"),
}
"""Variables that only the cloud itself sets; AWS_REGION alone is set on many a laptop."""

_REGIONS = {
    "aws": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "gcp": ("CLOUD_RUN_REGION", "GOOGLE_CLOUD_REGION", "CLOUDSDK_COMPUTE_REGION"),
    "azure": ("REGION_NAME", "AZURE_REGION"),
}


@dataclass(frozen=True)
class Cloud:
    """Where in a cloud this is."""

    provider: str
    region: str | None
    """None where neither the environment nor the metadata told."""
    told_by: str

    @property
    def place(self) -> str | None:
        """Return the name by which the grid's table knows it."""
        return f"{self.provider}:{self.region}" if self.region else None


def find_cloud(
    environment: Mapping[str, str] | None = None, dmi: Path = DMI, metadata: str = METADATA
) -> Cloud | None:
    """Return the cloud that this machine is in, None where nothing looks like one."""
    environment = os.environ if environment is None else environment
    by_firmware = _vendor(dmi)
    provider = _set_by(environment) or by_firmware
    if provider is None:
        return None
    for name in _REGIONS[provider]:
        if value := environment.get(name):
            return Cloud(provider, value.lower().replace(" ", ""), f"the environment ({name})")
    if by_firmware != provider or environment.get(SWITCH) == "off":
        return Cloud(provider, None, "the environment" if by_firmware is None else "the firmware")
    return Cloud(provider, _asked(provider, metadata), "the cloud's metadata")


def _set_by(environment: Mapping[str, str]) -> str | None:
    for provider, names in _INSIDE.items():
        if any(environment.get(name) for name in names):
            return provider
    return None


def _vendor(dmi: Path) -> str | None:
    told = " ".join(_line(dmi / name) for name in ("sys_vendor", "product_name", "board_vendor"))
    for word, provider in _VENDORS.items():
        if word in told.lower():
            tagged = provider != "azure" or _line(dmi / "chassis_asset_tag") == _AZURE_TAG
            return provider if tagged else None
    return None


def _line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _asked(provider: str, metadata: str) -> str | None:
    """Return the region that the metadata names, None where it does not answer in time."""
    try:
        if provider == "gcp":
            zone = _get(
                f"{metadata}/computeMetadata/v1/instance/zone", {"Metadata-Flavor": "Google"}
            )
            return zone.rpartition("/")[2].rpartition("-")[0] or None
        if provider == "azure":
            query = "api-version=2021-02-01&format=text"
            where = f"{metadata}/metadata/instance/compute/location?{query}"
            return _get(where, {"Metadata": "true"}).lower() or None
        token = _get(f"{metadata}/latest/api/token", _TOKEN_LIFE, method="PUT")
        where = f"{metadata}/latest/dynamic/instance-identity/document"
        region = json.loads(_get(where, {"X-aws-ec2-metadata-token": token})).get("region")
        return str(region) if region else None
    except (OSError, ValueError):
        return None


_TOKEN_LIFE = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}


def _get(url: str, headers: Mapping[str, str], method: str = "GET") -> str:
    import urllib.request

    request = urllib.request.Request(url, headers=dict(headers), method=method)
    # Not through a proxy, which would answer for its own machine.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=_SECONDS) as answer:
        text: str = answer.read(100_000).decode("utf-8", "replace").strip()
    return text
