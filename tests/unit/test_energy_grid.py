"""Whose electricity: tables with sources, and which cloud this is."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.measure.energy import grid as tables
from pipeline.measure.energy import grid_of, known_grids, metering, place_of, so_far
from pipeline.measure.energy.cloud import SWITCH, find_cloud
from pipeline.measure.energy.meter import PartsMeter
from pipeline.measure.energy.power import codecarbon_data
from pipeline.measure.errors import MeasureError

needs_tables = pytest.mark.skipif(codecarbon_data() is None, reason="needs codecarbon's tables")


@needs_tables
class TestGrid:
    def test_every_number_has_a_source_and_a_date(self):
        grids = known_grids()
        assert len(grids) > 300
        for grid in grids.values():
            assert grid.source and grid.date and grid.name
            assert 0 < grid.grams_per_kwh < 2000, grid

    @pytest.mark.parametrize(
        "place", ["DEU", "deu", "USA/oregon", "aws:eu-north-1", "gcp:europe-west1", "azure:eastus"]
    )
    def test_places_are_found_however_they_are_spelled(self, place):
        assert grid_of(place).place.lower() == place.lower()

    def test_every_region_of_ours_stands_somewhere_known(self):
        told = json.loads((tables.Path(tables.__file__).with_name("regions.json")).read_text())
        for provider in ("aws", "azure"):
            for region, place in told[provider].items():
                assert grid_of(f"{provider}:{region}").grams_per_kwh == grid_of(place).grams_per_kwh

    def test_a_wrong_place_is_told_the_closest(self):
        with pytest.raises(MeasureError, match="aws:eu-north-1"):
            grid_of("aws:eu-nort-1")

    def test_without_tables_a_number_does(self, monkeypatch):
        monkeypatch.setattr(tables, "known_grids", lambda: {})
        assert grid_of("world").grams_per_kwh == 475
        with pytest.raises(MeasureError, match=r"plotpointe\[measure\]"):
            grid_of("DEU")


class TestPlace:
    def test_a_number_is_grams_per_kwh(self):
        assert place_of(123).grams_per_kwh == place_of("123").grams_per_kwh == 123
        assert place_of(500.0).grams(3.6e6) == 500
        assert place_of(500.0).grams(None) is None

    def test_the_environment_may_name_it(self, monkeypatch):
        monkeypatch.setenv("PLOTPOINTE_PLACE", "200")
        assert place_of(None).grams_per_kwh == 200
        assert place_of(100).grams_per_kwh == 100

    def test_else_the_world_stands_in_and_says_so(self, monkeypatch):
        monkeypatch.delenv("PLOTPOINTE_PLACE", raising=False)
        monkeypatch.setattr("pipeline.measure.energy.choice.find_cloud", lambda: None)
        assert place_of(None).assumed
        assert not place_of("world").assumed


class Metadata(BaseHTTPRequestHandler):
    """The metadata of three clouds, at once."""

    asked: tuple[str, ...] = ()

    def log_message(self, *_):
        pass

    def _say(self, text: str) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self):
        self._say("a-token")

    def do_GET(self):
        type(self).asked += (self.path,)
        if "computeMetadata" in self.path and self.headers["Metadata-Flavor"] == "Google":
            self._say("projects/1/zones/europe-west1-b")
        elif "location" in self.path and self.headers["Metadata"] == "true":
            self._say("westeurope")
        elif self.headers["X-aws-ec2-metadata-token"] == "a-token":
            self._say('{"region": "eu-north-1"}')
        else:
            self.send_error(403)


@pytest.fixture(scope="module")
def metadata():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def firmware(folder, vendor: str, tag: str = ""):
    folder.mkdir(exist_ok=True)
    (folder / "sys_vendor").write_text(vendor + "\n")
    (folder / "chassis_asset_tag").write_text(tag + "\n")
    return folder


AZURE = "7783-7084-3265-9085-8269-3286-77"


class TestCloud:
    @pytest.mark.parametrize(
        ("vendor", "tag", "place"),
        [
            ("Amazon EC2", "", "aws:eu-north-1"),
            ("Google", "", "gcp:europe-west1"),
            ("Microsoft Corporation", AZURE, "azure:westeurope"),
        ],
    )
    def test_the_metadata_names_the_region(self, tmp_path, metadata, vendor, tag, place):
        found = find_cloud({}, firmware(tmp_path, vendor, tag), metadata)
        assert (found.place, found.told_by) == (place, "the cloud's metadata")

    @pytest.mark.parametrize("vendor", ["Dell Inc.", "QEMU", "Microsoft Corporation"])
    def test_outside_a_cloud_nobody_is_asked(self, tmp_path, metadata, vendor):
        Metadata.asked = ()
        assert find_cloud({"AWS_REGION": "eu-west-1"}, firmware(tmp_path, vendor), metadata) is None
        assert Metadata.asked == ()

    def test_the_environment_of_a_cloud_is_enough(self, tmp_path, metadata):
        Metadata.asked = ()
        told = {"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE", "AWS_REGION": "eu-west-3"}
        assert find_cloud(told, tmp_path, metadata).place == "aws:eu-west-3"
        assert find_cloud({"K_SERVICE": "shop"}, tmp_path, metadata).region is None
        assert Metadata.asked == ()

    def test_it_can_be_switched_off(self, tmp_path, metadata):
        Metadata.asked = ()
        assert find_cloud({SWITCH: "off"}, firmware(tmp_path, "Google"), metadata).region is None
        assert Metadata.asked == ()

    def test_metadata_that_hangs_is_not_waited_for(self, tmp_path):
        import socket

        with socket.create_server(("127.0.0.1", 0)) as deaf:
            began = time.monotonic()
            address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
            found = find_cloud({}, firmware(tmp_path, "Google"), address)
        assert found.region is None
        assert time.monotonic() - began < 5


class Steady:
    """A part that draws ten watts."""

    label = "rapl"

    def joules(self, seconds: float) -> float:
        return 10 * seconds


class TestMeter:
    def test_reading_between_changes_nothing(self):
        meter = PartsMeter(lambda: [Steady()], grid_of(360.0), every=0.01)
        meter.start()
        time.sleep(0.05)
        first = meter.read()
        time.sleep(0.05)
        found = meter.stop()
        assert 0.5 <= first.joules < found.joules
        assert found.grams_co2e == pytest.approx(found.joules / 1e4)
        assert found.source == "rapl"

    def test_it_tells_every_interval(self):
        heard = []
        meter = PartsMeter(lambda: [Steady()], every=0.01, told=heard.append)
        meter.start()
        time.sleep(0.2)
        found = meter.stop()
        told = [each.joules for each in heard]
        assert len(told) > 2
        assert told == sorted(told)
        assert told[-1] <= found.joules

    def test_a_second_start_begins_at_nothing(self):
        meter = PartsMeter(lambda: [Steady()])
        meter.start()
        time.sleep(0.1)
        meter.start()
        assert meter.stop().joules < 0.9

    def test_without_parts_nothing_is_known(self):
        meter = PartsMeter(list)
        assert meter.stop().joules is None
        assert meter.stop().source == "none"

    def test_off_measures_nothing(self):
        meter = metering("off").meter()
        meter.start()
        assert so_far(meter).joules is None
        assert meter.stop().joules is None

    def test_a_machine_draws_while_it_idles(self):
        meter = metering("machine", place=100).meter()
        meter.start()
        time.sleep(0.2)
        found = meter.stop()
        assert found.joules > 0
        assert "memory" in found.source
