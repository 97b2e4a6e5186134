import gc
import threading
import time
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.testclient import TestClient

from pipeline.artifacts import Store
from serving.app import create_app
from serving.bundle import Bundle
from serving.recommender import Recommender
from serving.run import listen
from serving.settings import Settings
from tests import browser as browsers
from tests import worlds_bundle


@pytest.fixture(scope="module", autouse=True)
def applications_let_go():
    """An application is a cycle: until it is collected, its bundle's files stay open."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def parts():
    return worlds_bundle.parts()


@pytest.fixture(scope="module")
def store(tmp_path_factory, parts):
    root = Store(tmp_path_factory.mktemp("store"))
    worlds_bundle.publish(root, parts)
    return root


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for item in range(20):
        (folder / f"{item}.jpg").write_bytes(b"\xff\xd8\xff\xe0 a picture")
    return folder


@pytest.fixture(scope="module")
def bundle(store):
    return Bundle.open(store)


@pytest.fixture(scope="module")
def recommender(bundle):
    return Recommender(bundle)


@pytest.fixture(scope="module")
def settings(store, images):
    return Settings(
        store=store.root, images=images, max_body_bytes=20_000, log_level="error", queue_seconds=30
    )


@pytest.fixture(scope="module")
def client(settings):
    with TestClient(create_app(settings), raise_server_exceptions=False) as started:
        yield started


@pytest.fixture(scope="module")
def address(settings):
    """The service on a real port."""
    with listen("127.0.0.1", 0) as ours:
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [ours]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{ours.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsers.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(browser, address):
    """A tab; whatever a test does, nothing may leave the host and nothing may complain."""
    tab = browser.page()
    tab.look(1280, 900)
    yield tab
    tab.run("1")
    hosts = {urlsplit(url).netloc for url in tab.requests if url.startswith(("http", "ws"))}
    assert hosts <= {urlsplit(address).netloc}
    assert tab.complaints == []
