"""Each check against a world that is well and one that is not; none may crash or hang."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from pipeline.artifacts import Store
from pipeline.cli import app
from pipeline.doctor import (
    bundle,
    configs,
    encoders,
    installation,
    machine,
    service,
    threads,
)
from pipeline.doctor import store as artifacts
from pipeline.doctor.examine import examine, worst
from pipeline.doctor.finding import FAIL, OK, SKIP, WARN, Finding, score
from pipeline.measure.rates import THREAD_VARIABLES
from tests import worlds, worlds_bundle


def statuses(findings) -> list[str]:
    return [finding.status for finding in findings]


class TestExamine:
    def test_a_crash_is_a_finding(self):
        def broken():
            raise RuntimeError("out of cheese")

        found = examine({"a": broken, "b": lambda: [Finding("b", OK, "well")]})
        assert statuses(found) == [FAIL, OK]
        assert "out of cheese" in found[0].what
        assert found[0].cure

    def test_a_missing_package_is_a_warning_with_its_cure(self):
        def missing():
            raise ModuleNotFoundError(name="torch")

        found = examine({"a": missing})[0]
        assert (found.status, "torch" in found.what, "pip install" in found.cure) == (
            WARN, True, True,
        )  # fmt: skip

    def test_a_check_that_hangs_is_not_waited_for(self):
        release = threading.Event()
        began = time.monotonic()
        found = examine({"a": lambda: release.wait(20) and [], "b": lambda: []}, seconds=0.2)
        assert time.monotonic() - began < 5
        assert statuses(found) == [WARN]
        release.set()

    def test_checks_run_side_by_side(self):
        together = threading.Barrier(3)

        def meets():
            together.wait(5)
            return [Finding("a", OK, "met")]

        assert statuses(examine(dict.fromkeys("abc", meets))) == [OK] * 3

    @pytest.mark.parametrize(
        ("found", "points", "verdict"),
        [([OK, OK], 100, "ok"), ([OK, WARN], 75, "warn"), ([FAIL, OK], 50, "fail"),
         ([SKIP], 100, "ok"), ([SKIP, FAIL, WARN], 25, "fail")],
    )  # fmt: skip
    def test_the_score(self, found, points, verdict):
        findings = [Finding("x", status, "") for status in found]
        assert (score(findings), worst(findings)) == (points, verdict)


class TestInstallation:
    def test_this_one_is_well(self):
        assert statuses(installation.python()) == [OK]
        found = [*installation.packages()]
        assert found[0].what.startswith("plotpointe ")
        assert FAIL not in statuses(found)

    def test_another_python_fails(self, monkeypatch):
        monkeypatch.setattr(installation, "_PYTHON", (4, 0))
        assert statuses(installation.python()) == [FAIL]

    def test_what_is_missing_or_old_is_named(self, monkeypatch):
        wanted = ["numpy>=999", "nobody-wrote-this", 'duckdb>=0; extra == "pipeline"',
                  'nobody-else-did; extra == "gpu"']  # fmt: skip
        monkeypatch.setattr(installation.metadata, "requires", lambda _: wanted)
        found = {f.what.partition(":")[0]: f for f in installation.packages()}
        core = found["the service"]
        assert core.status == FAIL
        assert "wants >=999" in core.what and "nobody-wrote-this missing" in core.what
        assert found["extra pipeline"].status == OK
        assert (found["extra gpu"].status, found["extra gpu"].cure) == (
            SKIP, "pip install 'plotpointe[gpu]'",
        )  # fmt: skip

    def test_code_that_was_not_compiled_is_told(self, monkeypatch):
        monkeypatch.setattr(installation, "library", lambda name: None)
        found = [*installation.native()]
        assert statuses(found) == [WARN]
        assert "C compiler" in found[0].cure


class TestMachine:
    def test_the_processor_of_a_file(self, tmp_path):
        info = tmp_path / "cpuinfo"
        info.write_text("model name\t: Fast\nflags\t\t: avx2 avx512f amx_bf16\n")
        found = next(machine.processor(info))
        assert found.status == OK
        assert "Fast" in found.what and "amx_bf16" in found.what
        info.write_text("model name\t: Old\nflags\t\t: sse2\n")
        assert statuses(machine.processor(info)) == [WARN]

    def test_little_free_memory_is_told(self, tmp_path):
        info = tmp_path / "meminfo"
        info.write_text("MemTotal: 8000000 kB\nMemAvailable: 7000000 kB\n")
        assert statuses(machine.memory(info)) == [OK]
        info.write_text("MemTotal: 8000000 kB\nMemAvailable: 700000 kB\n")
        assert statuses(machine.memory(info)) == [WARN]

    def test_a_full_disk_is_told(self, tmp_path, monkeypatch):
        assert statuses(machine.disk(tmp_path / "not" / "yet")) in ([OK], [WARN])
        monkeypatch.setattr(machine, "_ENOUGH_DISK", 1 << 60)
        assert "plotpointe gc" in next(machine.disk(tmp_path)).cure

    @pytest.mark.parametrize(
        ("vendor", "torch", "status"),
        [("0x10de", "2.13.0+cpu", WARN), ("0x10de", "2.13.0+cu128", OK), ("0x1002", None, OK)],
    )
    def test_gpus(self, tmp_path, monkeypatch, vendor, torch, status):
        place = tmp_path / "drm" / "card0" / "device"
        place.mkdir(parents=True)
        (place / "vendor").write_text(vendor + "\n")
        (tmp_path / "dev").mkdir()
        (tmp_path / "dev" / "nvidiactl").touch()
        monkeypatch.setattr(machine, "_torch", lambda: torch)
        assert statuses(machine.gpus(tmp_path / "drm", tmp_path / "dev")) == [status]

    def test_without_a_gpu_nothing_is_wrong(self, tmp_path):
        assert statuses(machine.gpus(tmp_path, tmp_path)) == [OK]


class TestThreads:
    def test_more_threads_than_cores_are_told(self, monkeypatch):
        monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0})
        for name in THREAD_VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OMP_NUM_THREADS", "64")
        found = next(threads.environment())
        assert (found.status, found.cure) == (WARN, "unset OMP_NUM_THREADS")

    def test_variables_that_contradict_are_told(self, monkeypatch):
        monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {*range(8)})
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        monkeypatch.setenv("MKL_NUM_THREADS", "4")
        assert "contradict" in next(threads.environment()).what

    def test_libraries_are_named(self):
        assert "openblas" in next(threads.libraries()).what


class TestEncoders:
    def folder(self, tmp_path, monkeypatch, content: bytes):
        place = tmp_path / "text"
        place.mkdir()
        (place / "model.safetensors").write_bytes(content)
        monkeypatch.setattr(encoders, "_SMALLEST", 1)
        return encoders._judged("text", place, ".safetensors")

    def test_the_packaged_are_whole(self):
        assert {*statuses(encoders.packaged())} <= {OK, WARN}

    @pytest.mark.parametrize("cut", [0, 5])
    def test_a_cut_file_is_seen_without_loading_it(self, tmp_path, monkeypatch, cut):
        header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
        whole = len(header).to_bytes(8, "little") + header + bytes(8)
        found = self.folder(tmp_path, monkeypatch, whole[: len(whole) - cut])
        assert found.status == (FAIL if cut else OK)

    def test_rubbish_is_no_encoder(self, tmp_path, monkeypatch):
        assert self.folder(tmp_path, monkeypatch, b"\xff" * 100).status == FAIL

    def test_a_package_that_is_not_there(self, monkeypatch):
        monkeypatch.setattr(encoders, "_folder", lambda _: None)
        assert statuses(encoders.packaged()) == [WARN, WARN]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    worlds.tables(store, worlds.planted())
    return store


class TestStore:
    def test_no_store_is_no_error(self, tmp_path):
        assert statuses(artifacts.whole(Store(tmp_path / "none"))) == [SKIP]

    def test_a_whole_store(self, store):
        assert FAIL not in statuses(artifacts.whole(store))

    @pytest.mark.parametrize(
        ("harm", "told"),
        [
            (lambda path: (path / "items.parquet").unlink(), "items.parquet is missing"),
            (lambda path: (path / "items.parquet").write_bytes(b"x"), "has 1 bytes"),
            (lambda path: (path / "manifest.json").write_text("{"), "not JSON"),
            (lambda path: (path / "manifest.json").unlink(), "was not finished"),
        ],
    )
    def test_damage_is_named_with_its_cure(self, store, harm, told):
        harm(store.folder("tables", "7ab1e5"))
        failed = [f for f in artifacts.whole(store) if f.status == FAIL]
        assert len(failed) == 1
        assert told in failed[0].what and "7ab1e5" in failed[0].what
        assert "run again" in failed[0].cure

    def test_a_promoted_bundle_that_is_gone(self, store):
        store.root.joinpath("bundle").mkdir()
        store.point("bundle", "90ne", "test")
        assert "is gone" in next(f.what for f in artifacts.whole(store) if f.status == FAIL)


class TestConfigs:
    def test_a_wrong_key_is_told(self, tmp_path):
        (tmp_path / "plotpointe.yaml").write_text("data: {format: demo}\ntrian: {}\n")
        found = [*configs.files([], tmp_path)]
        assert statuses(found) == [FAIL, OK]
        assert "trian" in found[0].what

    def test_other_files_are_nobodys_business(self, tmp_path):
        (tmp_path / "compose.yaml").write_text("services: {}\n")
        assert statuses(configs.files([], tmp_path)) == [SKIP]

    def test_data_that_is_not_there(self, tmp_path):
        path = tmp_path / "c.yaml"
        path.write_text("data: {format: table, interactions: gone.csv}\n")
        found = next(configs.files([path], tmp_path))
        assert found.status in (WARN, FAIL)


class TestIndex:
    def test_no_bundle_is_no_error(self, store):
        assert statuses(bundle.self_check(store)) == [SKIP]

    def test_a_good_bundle_and_a_blind_one(self, tmp_path):
        store = Store(tmp_path / "s")
        made = worlds_bundle.publish(store, worlds_bundle.parts())
        store.point("bundle", made.fingerprint, "test")
        assert statuses(bundle.self_check(store)) == [OK]
        (made.path / "items.faiss").write_bytes(b"no index")
        assert statuses(bundle.self_check(store)) == [FAIL]


@pytest.fixture
def answering():
    class Answer(BaseHTTPRequestHandler):
        status = 200

        def do_GET(self):
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Answer, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class TestService:
    def test_none_running_is_no_error(self):
        assert statuses(service.reachable("http://127.0.0.1:9")) == [SKIP]

    @pytest.mark.parametrize(("status", "told"), [(200, OK), (503, FAIL), (404, WARN)])
    def test_what_answers_is_judged(self, answering, status, told):
        answering[0].status = status
        assert statuses(service.reachable(answering[1])) == [told]

    def test_the_address_is_the_configured_one(self, monkeypatch):
        monkeypatch.setenv("PLOTPOINTE_HOST", "0.0.0.0")
        monkeypatch.setenv("PLOTPOINTE_PORT", "9100")
        assert service.configured_url() == "http://127.0.0.1:9100"


class TestVerb:
    def run(self, *words):
        return CliRunner().invoke(app, ["doctor", *map(str, words)])

    def test_all_of_it(self, store, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        done = self.run("--store", store.root, "--json", "--service", "http://127.0.0.1:9")
        told = json.loads(done.stdout)
        assert {"python", "packages", "processor", "memory", "store", "service", "threads"} <= {
            finding["check"] for finding in told["findings"]
        }
        assert 0 <= told["score"] <= 100

    def test_a_failure_has_an_exit_code(self, store):
        (store.folder("tables", "7ab1e5") / "items.parquet").unlink()
        done = self.run("--store", store.root, "--only", "store")
        assert done.exit_code == 1
        assert "items.parquet is missing" in done.stdout.replace("\n", " ")
        assert self.run("--store", store.root, "--only", "python").exit_code == 0

    def test_an_unknown_check_is_told_the_closest(self):
        assert "'store'" in str(self.run("--only", "stor").exception)
