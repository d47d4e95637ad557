"""`aethernet serve`: a picture in, a picture out; limits, turns, crashes and cancelling; nobody else is let in, nothing is left."""

import asyncio
import contextlib
import io
import re
import socket
import threading
import time
import zipfile
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace as Namespace

import numpy as np
import pytest
from helpers.upscaling import SCALE, write_network

pytest.importorskip("starlette", reason="the extra web is not installed")
pytest.importorskip("httpx", reason="the client of the tests is not installed")

from helpers.serving import ADDRESS, DIES, HANGS, WAITS, done, listening, picture, scripted, serving, threaded, wait
from PIL import Image
from torch import nn

from aethernet import cli
from aethernet.cli.serve import address_of, listen, settings_of
from aethernet.data.picture.header import Header
from aethernet.errors import UsageError
from aethernet.runtimes.pytorch import TorchSession
from aethernet.runtimes.session import RunStopped
from aethernet.upscale import Upscaler, engine
from aethernet.upscale.serve import patience, process, uploads, worker
from aethernet.upscale.serve.archive import distinct
from aethernet.upscale.serve.between import Paces
from aethernet.upscale.serve.jobs import Job, Wish, download_name
from aethernet.upscale.serve.messages import Cancel, Network, Outcome, Ready, Step, Work
from aethernet.upscale.serve.patience import PatientProtocol
from aethernet.upscale.serve.service import Service
from aethernet.upscale.serve.settings import Settings
from aethernet.upscale.serve.turns import Turns

TOKEN = "a-token-that-is-long-enough"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model") / "net.safetensors")


@pytest.fixture(scope="module")
def real(model):
    """A service that enlarges."""
    with serving(worker.work, models=[str(model)], engine="torch") as client:
        yield client


@pytest.fixture
def client():
    with serving() as client:
        yield client


def send(client, data=None, path="/api/jobs", name="photo.png", headers=None, **fields):
    return client.post(path, files={"file": (name, picture() if data is None else data)}, data=fields, headers=headers)


def files(client) -> list[Path]:
    return sorted(client.service.folder.iterdir())


# a picture in, a picture out


def test_what_comes_back_is_what_the_command_makes(real, model, tmp_path):
    data = picture()
    answer = send(real, data, "/api/upscale", name="a b.png")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == f"attachment; filename*=utf-8''a%20b_x{SCALE}.png"
    assert answer.headers["x-network"] == "net.safetensors"
    Upscaler(str(model), "torch").file(data, tmp_path / "out.png")
    assert answer.content == (tmp_path / "out.png").read_bytes()
    assert files(real) == [], "neither the upload nor the result is kept"


def test_the_body_may_be_the_picture_itself(real):
    answer = real.post(
        "/api/upscale?name=x.jpg&format=webp&quality=80",
        content=picture(kind="JPEG"),
        headers={"content-type": "image/jpeg"},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/webp"
    assert 'filename="x_x2.webp"' in answer.headers["content-disposition"]
    assert Image.open(io.BytesIO(answer.content)).size == (38, 26)


def test_the_life_of_a_job(real):
    made = send(real, network="net.safetensors", scale="2", depth="16")
    assert made.status_code == 201 and made.headers["location"] == f"/api/jobs/{made.json()['id']}"
    record = wait(real, made.json()["id"])
    assert record["state"] == "done" and record["progress"]["done"] == record["progress"]["total"]
    assert record["source"] == {"format": "PNG", "width": 19, "height": 13, "frames": 1, "bytes": len(picture())}
    result = record["result"]
    assert (result["width"], result["height"], result["format"], result["name"]) == (38, 26, "PNG", "photo_x2.png")
    assert record["network"] == "net.safetensors" and record["kept_for"] > 1000
    assert [path.suffix for path in files(real)] == [".out"], "the upload is deleted when it is done"
    found = real.get(result["url"])
    assert found.status_code == 200 and len(found.content) == result["bytes"]
    assert "sandbox" in found.headers["content-security-policy"]
    assert real.delete(f"/api/jobs/{record['id']}").status_code == 204
    assert files(real) == []
    gone = real.get(result["url"])
    assert gone.status_code == 404 and "there is no such job" in gone.json()["error"]


def test_colours_and_animations_come_back(real):
    turns = [Image.new("RGB", (9, 7), color) for color in ("red", "blue")]
    file = io.BytesIO()
    turns[0].save(file, "GIF", save_all=True, append_images=turns[1:], duration=50)
    answer = send(real, file.getvalue(), "/api/upscale", name="a.gif")
    assert answer.status_code == 200, answer.text
    assert Image.open(io.BytesIO(answer.content)).n_frames == 2
    deep = np.random.default_rng(0).integers(0, 65536, (9, 7), dtype=np.uint16)
    file = io.BytesIO()
    Image.fromarray(deep).save(file, "TIFF")
    answer = send(real, file.getvalue(), "/api/upscale", name="a.tif")
    assert answer.headers["content-type"] == "image/tiff", answer.text
    assert Image.open(io.BytesIO(answer.content)).mode.startswith("I;16")


def test_a_part_of_a_result(client):
    id = send(client).json()["id"]
    whole = wait(client, id) and client.get(f"/api/jobs/{id}/result").content
    get = lambda text: client.get(f"/api/jobs/{id}/result", headers={"range": text})  # noqa: E731
    assert get("bytes=3-9").status_code == 206 and get("bytes=3-9").content == whole[3:10]
    assert get("lines=1").status_code == 400 and "bytes=0-999" in get("lines=1").json()["error"]
    beyond = get("bytes=99999-")
    assert beyond.status_code == 416 and "no such range" in beyond.json()["error"]
    assert beyond.headers["content-range"].endswith(f"/{len(whole)}")


def test_several_results_as_one_file(client):
    first, second = (send(client, picture(seed=seed)).json()["id"] for seed in (1, 2))
    other = send(client, quality=WAITS, format="jpg").json()["id"]
    wait(client, first), wait(client, second)
    answer = client.get(f"/api/zip?job={first}&job={second}&job={other}")
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None and archive.namelist() == ["photo_x4.png", "photo_x4_2.png"]
    assert archive.read("photo_x4_2.png") == picture(seed=2)
    assert client.get(f"/api/zip?job={other}").status_code == 404
    taken: set[str] = set()
    assert [distinct(name, taken) for name in ("a.png", "A.png", "a_2.png")] == ["a.png", "A_2.png", "a_2_2.png"]


def test_a_browser_finds_its_pictures_again_and_nobody_elses(client):
    send(client)
    client.get("/")
    mine = send(client).json()["id"]
    assert [job["id"] for job in client.get("/api/jobs").json()["jobs"]] == [mine]
    client.cookies.clear()
    assert client.get("/api/jobs").json() == {"jobs": []}


def test_what_there_is_to_choose(client, real):
    about = client.get("/api").json()
    assert [network["name"] for network in about["networks"]] == ["net_x2", "net_x4"]
    assert about["limits"]["bytes"] == 64 * 2**20
    assert [network["name"] for network in real.get("/api").json()["networks"]] == ["net.safetensors"]


def test_packaged_networks_by_scale_and_kind_of_picture():
    with serving(worker.work, engine="torch") as client:
        names = [network["name"] for network in client.get("/api").json()["networks"]]
        assert "aether_tiny_x2" in names and not any("fused" in name for name in names)
        jpeg = send(client, picture(kind="JPEG"), "/api/upscale", scale="2")
        assert jpeg.headers["x-network"] == "aether_tiny_x2_photo", jpeg.text
        assert send(client, None, "/api/upscale", scale="2").headers["x-network"] == "aether_tiny_x2"
        assert send(client, None, "/api/upscale", network="aether_tiny_x3").headers["x-network"] == "aether_tiny_x3"


# limits


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"network": "/etc/passwd"}, "there is no network '/etc/passwd': give auto or one of net_x2, net_x4"),
        ({"network": "../net_x2"}, "there is no network"),
        ({"network": "net_x2", "scale": "4"}, "net_x2 enlarges by 2, not by 4"),
        ({"scale": "3"}, "there is no network for x3: there are x2, x4"),
        ({"scale": "-1"}, "scale is a whole number from 1 to 64, not '-1'"),
        ({"scale": "²"}, "scale is a whole number"),
        ({"format": "bmp"}, "there is no format 'bmp': give one of same, png"),
        ({"format": "png", "quality": "90"}, "PNG has none: leave it out"),
        ({"quality": "101"}, "quality is a whole number from 1 to 100"),
        ({"depth": "12"}, "depth is same, 8 or 16"),
        ({"target": "/tmp/x"}, "there is no field 'target'"),
    ],
)
def test_what_is_wished_for_is_checked(client, fields, text):
    answer = send(client, **fields)
    assert answer.status_code == 422 and text in answer.json()["error"]
    assert files(client) == [] and not client.service.jobs


def test_a_field_that_is_there_twice(client):
    """In the form, in the address, or in both; the same value does no harm."""
    for address, form in (("?scale=2&scale=4", {}), ("", {"scale": ["2", "4"]}), ("?scale=2", {"scale": "4"})):
        answer = client.post(f"/api/jobs{address}", files={"file": ("a.png", picture())}, data=form)
        assert answer.status_code == 422 and "scale is given twice, as '2' and as '4'" in answer.json()["error"]
    assert (
        client.post("/api/jobs?scale=2", files={"file": ("a.png", picture())}, data={"scale": "2"}).status_code == 201
    )


def test_uploads_that_are_no_pictures(client):
    for data, status, text in (
        (b"", 422, "there is no picture"),
        (b"hello", 415, "not a picture of a known format: PNG, JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "not a picture of a known format"),
        (picture()[:30], 422, "cut off"),
    ):
        answer = send(client, data)
        assert answer.status_code == status and text in answer.json()["error"], answer.text
    answer = client.post("/api/jobs", json={"url": "http://example.org/a.png"})
    assert answer.status_code == 415 and "application/json is no upload" in answer.json()["error"]
    answer = client.post(
        "/api/jobs", data={"file": "/etc/passwd"}, headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert answer.status_code in (400, 422)
    answer = client.post("/api/jobs", content=b"nonsense", headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400 and "the form cannot be read" in answer.json()["error"]
    two = client.post("/api/jobs", files=[("file", ("a.png", picture())), ("file", ("b.png", picture()))])
    assert two.status_code == 400 and "Too many files" in two.json()["error"]
    assert files(client) == []


def test_a_damaged_picture_says_so(real):
    answer = send(real, picture((60, 60))[:-900], "/api/upscale")
    assert answer.status_code == 422 and "cut off" in answer.json()["error"]
    record = wait(real, send(real, picture((60, 60))[:-900]).json()["id"])
    assert (
        record["state"] == "failed" and "cut off" in record["error"] and str(real.service.folder) not in record["error"]
    )
    assert real.get(f"/api/jobs/{record['id']}/result").status_code == 422
    assert files(real) == []


def test_sizes_are_limited():
    with serving(max_bytes=2**16, max_pixels=1000) as client:
        for content in (b"x" * (2**16 + 1), (b"x" * 999 for _ in range(100))):  # the second tells no length
            answer = client.post("/api/jobs", content=content, headers={"content-type": "image/png"})
            assert answer.status_code == 413 and "more than the 0 MB" in answer.json()["error"]
        assert send(client, b"x" * (2**17 + 1)).status_code == 413
        assert send(client, b"x" * (2**16 + 1)).status_code == 413, (
            "of a form, what is around the picture does not count"
        )
        answer = send(client, picture((40, 26)))
        assert answer.status_code == 422 and "it declares 40 x 26 pixels, more than the 1,000" in answer.json()["error"]
        assert send(client, picture((40, 25))).status_code == 201


def test_a_body_that_is_declared_too_large_is_refused_before_it_comes(monkeypatch):
    """And who sends it all before it listens hears the reason, not a broken line."""
    monkeypatch.setattr(uploads, "PATIENCE", 3000.0)
    head = "POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n"
    with listening(max_bytes=2**20) as (address, service):
        place = ("127.0.0.1", int(address.rpartition(":")[2]))
        for declared, sent in ((10**11, 0), (2**20 + 1, 0), (2**20 + 1, 2**20 + 1)):
            with socket.create_connection(place, timeout=60) as connection:
                connection.sendall(head.format(declared).encode() + b"x" * sent)
                answer = b""
                while not answer.endswith(b"}"):
                    part = connection.recv(65536)
                    assert part, answer
                    answer += part
                assert answer.startswith(b"HTTP/1.1 413 ") and b"more than the 1 MB" in answer
        assert list(service.folder.iterdir()) == []


def test_a_header_that_lies_is_found_out_before_anything_is_enlarged(model, monkeypatch):
    monkeypatch.setattr("aethernet.upscale.serve.app.read_admitted", lambda path, most: Header("PNG", (1, 1)))
    with serving(worker.work, models=[str(model)], engine="torch", max_pixels=100) as client:
        answer = send(client, None, "/api/upscale")
        assert answer.status_code == 422 and "19 x 13 pixels, more than the 100" in answer.json()["error"]


def test_frames_of_an_animation_count_together():
    turns = [Image.new("RGB", (20, 20), color) for color in ("red", "blue", "green")]
    file = io.BytesIO()
    turns[0].save(file, "GIF", save_all=True, append_images=turns[1:])
    with serving(max_pixels=1000) as client:
        answer = send(client, file.getvalue())
        assert answer.status_code == 422 and "3 frames of 20 x 20 pixels" in answer.json()["error"]


def test_the_queue_of_a_client_and_that_of_all_are_limited():
    with serving(queue=3, queue_per_client=2) as client:
        for session, statuses in (("a", (201, 201, 429)), ("b", (201, 503)), ("c", (503,))):
            client.cookies.set("aethernet_session_8765", session * 32)
            for status in statuses:
                answer = send(client, quality=WAITS, format="jpg")
                assert answer.status_code == status, answer.text
                assert status == 201 or int(answer.headers["retry-after"]) > 0


def test_time_is_limited(monkeypatch):
    monkeypatch.setattr(process, "GRACE", 0.1)
    with serving(max_seconds=1) as client:
        slow = send(client, quality=HANGS, format="jpg").json()["id"]
        sound = send(client).json()["id"]
        record = wait(client, slow)
        assert record["status"] == 422 and "longer than the 1 second allowed" in record["error"]
        assert wait(client, sound)["state"] == "done"


def test_who_computes_is_told_when_the_time_is_over(monkeypatch):
    """And goes on with the next picture."""
    monkeypatch.setattr(process, "GRACE", 60)
    with serving(max_seconds=1) as client:
        first = client.service.worker._connection
        answer = send(client, None, "/api/upscale", quality=WAITS, format="jpg")
        assert answer.status_code == 422 and "give a smaller picture" in answer.json()["error"]
        assert wait(client, send(client).json()["id"])["state"] == "done"
        assert client.service.worker._connection is first


def test_results_are_kept_for_a_while():
    with serving(keep=1) as client:
        made = send(client).json()["id"]
        assert wait(client, made)["state"] == "done" and len(files(client)) == 1
        end = time.monotonic() + 30
        while client.get(f"/api/jobs/{made}").status_code == 200 and time.monotonic() < end:
            time.sleep(0.1)
        assert client.get(f"/api/jobs/{made}").status_code == 404 and files(client) == []


def test_the_place_for_results_is_limited():
    with serving(disk=1) as client:
        first = send(client).json()["id"]
        answer = send(client)
        assert answer.status_code == 503 and "the place for results is full" in answer.json()["error"]
        client.delete(f"/api/jobs/{first}")
        assert send(client).status_code == 201


# turns


def test_clients_take_turns():
    turns = Turns[str]()
    for client, item in (("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2")):
        turns.add(client, item)
    assert [turns.ahead(item[0], item) for item in ("a1", "b1", "c1", "a2", "b2", "a3")] == [0, 1, 2, 3, 4, 5]
    assert turns.remove("c", "c1") and not turns.remove("c", "c1")
    assert turns.take_first(lambda item: item[1] == "2") is None, "a client's own order holds"
    assert turns.take_first(lambda item: item == "b1") == "b1"
    turns.put_back("b", "b1")
    assert turns.ahead("b", "b1") == 0
    assert turns.take_first(lambda item: item == "a1") == "a1"
    turns.put_back("a", "a1")
    assert [turns.take() for _ in range(len(turns))] == ["a1", "b1", "a2", "b2", "a3"]
    with pytest.raises(IndexError):
        turns.take()


@pytest.mark.parametrize("seed", range(20))
def test_what_is_ahead_is_what_is_taken_before(seed):
    generator = np.random.default_rng(seed)
    turns, items = Turns[str](), []
    for number in range(20):
        client = "abcd"[generator.integers(4)]
        turns.add(client, f"{client}{number}")
        items.append(f"{client}{number}")
        if generator.random() < 0.3:
            items.remove(turns.take())
    told = {item: turns.ahead(item[0], item) for item in items}
    taken = [turns.take() for _ in items]
    assert [told[item] for item in taken] == list(range(len(items)))


def test_who_has_many_pictures_waits_for_who_has_one(client):
    first = send(client, quality=WAITS, format="jpg").json()["id"]
    order = []
    for session, count in (("a", 3), ("b", 1), ("c", 2)):
        client.cookies.set("aethernet_session_8765", session * 32)
        order += [(f"{session}{number}", send(client).json()["id"]) for number in range(count)]
    client.delete(f"/api/jobs/{first}")
    over = {name: wait(client, id) and client.service.jobs[id].over for name, id in order}
    assert sorted(over, key=over.get) == ["a0", "b0", "c0", "a1", "c1", "a2"]


def long_one(connection, settings):
    """Takes one picture in the middle of the first one, and none later."""
    connection.send(Ready((Network("net_x2", 2), Network("net_x4", 4))))
    long = connection.recv()
    connection.send(Step(long.id, 1, 100, "windows", "net_x2"))
    if settings.queue == 9:  # the second process of a service; see below
        other = connection.recv()
        connection.send(Step(other.id, 1, 4, "windows", "net_x2"))
        if other.quality == DIES:
            object.__setattr__(settings, "queue", 10)
            return
        done(other, connection)
    done(long, connection)
    while True:
        done(connection.recv(), connection)


@pytest.mark.parametrize("quality", [None, DIES])
def test_a_short_picture_is_computed_in_the_middle_of_a_long_one(quality):
    """Of another client alone. Where that ends the process, the long one is computed anew, and to its end."""
    with serving(long_one, queue=9) as client:
        sizes = {"a": (90, 90), "A": (19, 13), "b": (89, 89), "c": (19, 13)}
        ids = {}
        for name, size in sizes.items():
            client.cookies.set("aethernet_session_8765", name.lower() * 32)
            how = {"quality": quality, "format": "jpg"} if quality and name == "c" else {}
            ids[name] = send(client, picture(size), **how).json()["id"]
            if name == "a":
                wait(client, ids[name], "running")
        jobs = client.service.jobs
        over = {name: wait(client, id) and jobs[id].over for name, id in ids.items()}
        assert sorted(over, key=over.get)[:2] == ["c", "a"]
        assert [jobs[ids[name]].state for name in "aAbc"] == ["done", "done", "done", "failed" if quality else "done"]
        assert jobs[ids["a"]].is_alone == bool(quality)
        assert quality or jobs[ids["a"]].lent > 0


def test_what_is_short():
    """By what was learnt of pictures that the same network enlarged, or by a guess that is on the safe side."""

    def job(client: str, side: int, network: str | None = None, **more) -> Job:
        found = Job(client, None, "", Wish(network, 4), Path("x.in"), Header("PNG", (side, side)), 0)
        for name, value in more.items():
            setattr(found, name, value)
        return found

    paces = Paces()
    long = job("a", 1000)
    assert not paces.fits(job("b", 10), long), "nothing is known of it yet"
    long.began, long.over = 0.0, 10.0
    assert paces.fits(job("b", 150), long) and not paces.fits(job("b", 200), long), "as long again as so far"
    long.step, long.spent = Step("", 1, 10, "", ""), 10.0  # 100 seconds for 1,000,000 pixels
    assert paces.fits(job("b", 200), long) and not paces.fits(job("b", 300), long)
    assert not paces.fits(job("a", 10), long), "who has the long one waits for it"
    paces.learn(job("b", 100, began=0.0, over=3.0, lent=2.0))  # as fast as the long one
    assert paces.fits(job("b", 600), long) and not paces.fits(job("b", 700), long)
    assert not paces.fits(job("b", 300, "other"), long), "nothing is known of that network"
    long.step = Step("", 9, 10, "", "")
    assert not paces.fits(job("b", 600), long), "it is done soon"


def test_the_process_takes_what_comes_between_two_windows(model, tmp_path, monkeypatch):
    """Of what is not wanted any more, no layer is computed; the end of the other process ends it as well."""
    monkeypatch.setitem(engine.FEWEST_PIXELS, "torch", 2**10)
    ours, theirs = Pipe()
    jobs = {"long": (90, 90), "short": (19, 13), "late": (19, 13)}
    for name, size in jobs.items():
        (tmp_path / f"{name}.in").write_bytes(picture(size))
        ours.send(Work(name, str(tmp_path / f"{name}.in"), str(tmp_path / f"{name}.out"), None, SCALE, "same", None, "same", 9.0, 10**6))  # fmt: skip
    ours.send(Cancel("late"))
    ours.send(Cancel("nobody"))
    settings = Settings(models=[str(model)], engine="torch")
    thread = threading.Thread(target=worker.work, args=(theirs, settings), daemon=True)
    thread.start()
    said = []
    while sum(isinstance(each, Outcome) for each in said) < 3:
        assert ours.poll(60), said
        said.append(ours.recv())
    states = [(each.id, each.state) for each in said if isinstance(each, Outcome)]
    assert states == [("late", "cancelled"), ("short", "done"), ("long", "done")]
    Upscaler(str(model), "torch").file(tmp_path / "long.in", tmp_path / "alone.png")
    assert (tmp_path / "alone.png").read_bytes() == (tmp_path / "long.out").read_bytes()
    ours.close()
    thread.join(60)
    assert not thread.is_alive()


def test_the_process_takes_what_comes_between_two_layers(model, tmp_path, monkeypatch):
    """In the middle of the only window; both come out as they do alone."""
    ours, theirs = Pipe()
    network, first = {}, []
    real = Upscaler.enlarged

    def send_then_enlarge(upscaler, opened, progress):
        if not first:  # of the long one: at its second layer, the other one comes
            layers = [layer for layer in upscaler.choice.session.network.modules() if not list(layer.children())]
            first.append(layers[1].register_forward_pre_hook(arrive))
        return real(upscaler, opened, progress)

    def arrive(*_) -> None:
        first[0].remove()
        give("short")

    def give(name: str) -> None:
        ours.send(Work(name, str(tmp_path / f"{name}.in"), str(tmp_path / f"{name}.out"), None, SCALE, "same", None, "same", 9.0, 10**6))  # fmt: skip
        while name == "short" and name not in network["desk"]._known:
            time.sleep(0.001)

    def desk(connection):
        network["desk"] = worker_desk(connection)
        return network["desk"]

    worker_desk = worker.Desk
    monkeypatch.setattr(worker, "Desk", desk)
    monkeypatch.setattr(Upscaler, "enlarged", send_then_enlarge)
    for name, size in {"long": (40, 30), "short": (19, 13)}.items():
        (tmp_path / f"{name}.in").write_bytes(picture(size))
    settings = Settings(models=[str(model)], engine="torch")
    threading.Thread(target=worker.work, args=(theirs, settings), daemon=True).start()
    give("long")
    said = []
    while sum(isinstance(each, Outcome) for each in said) < 2:
        assert ours.poll(60), said
        said.append(ours.recv())
    assert [(each.id, each.state) for each in said if isinstance(each, Outcome)] == [
        ("short", "done"),
        ("long", "done"),
    ]
    monkeypatch.undo()
    for name in ("long", "short"):
        Upscaler(str(model), "torch").file(tmp_path / f"{name}.in", tmp_path / "alone.png", force=True)
        assert (tmp_path / "alone.png").read_bytes() == (tmp_path / f"{name}.out").read_bytes()
    ours.close()


def test_who_is_told_to_end_does_not_end_what_is_computed_in_its_middle():
    """Told a moment before the other one is taken up, which has another network."""
    ours, theirs = Pipe()
    desk = worker.Desk(theirs)
    for name in ("long", "short"):
        ours.send(Work(name, "", "", None, SCALE, "same", None, "same", 9.0, 10**6))
    long, short = desk.wait(), desk.wait()
    upscaler = Namespace(choice=Namespace(session=TorchSession(nn.Identity())))
    with desk.opened(long), desk.computed(long, upscaler, lambda: None):
        ours.send(Cancel("long"))
        end = time.monotonic() + 60
        while not long.is_cancelled and time.monotonic() < end:
            time.sleep(0.001)
        with desk._lock, pytest.raises(RunStopped):
            upscaler.choice.session.check_stopped()
        with desk.opened(short):
            upscaler.choice.session.check_stopped()
            short.check()
        with pytest.raises(worker.Stopped):
            long.check()
    ours.close()


def test_a_window_is_given_up_after_a_layer(model, monkeypatch):
    """By the one process, which goes on with the next picture."""
    monkeypatch.setattr(process, "GRACE", 60)
    layers = []

    def run(session, batch):
        while len(layers) < 2:
            layers.append(None)
            session.check_stopped()
            if len(layers) == 2:
                layers.pop()
                time.sleep(0.01)
        return np.zeros((1, 3, *(side * SCALE for side in batch.shape[2:])), np.float32)

    with serving(worker.work, models=[str(model)], engine="torch") as client:
        first = client.service.worker._connection
        real, TorchSession.run = TorchSession.run, run
        try:
            job = client.service.jobs[send(client).json()["id"]]
            wait(client, job.id, "running")
            client.delete(f"/api/jobs/{job.id}")
            while not job.ended.is_set():
                time.sleep(0.01)
        finally:
            TorchSession.run = real
        assert job.outcome.state == "cancelled" and send(client, None, "/api/upscale").status_code == 200
        assert client.service.worker._connection is first


# cancelling, crashes, the end


def test_a_job_is_cancelled_while_it_waits_and_while_it_is_computed(client):
    running = send(client, quality=WAITS, format="jpg").json()["id"]
    waiting = send(client).json()
    assert wait(client, running, "running")["progress"] == {"done": 1, "total": 4, "what": "windows"}
    assert waiting["ahead"] == 1 and len(files(client)) == 2
    assert client.delete(f"/api/jobs/{waiting['id']}").status_code == 204
    assert client.delete(f"/api/jobs/{running}").status_code == 204
    assert wait(client, send(client).json()["id"])["state"] == "done"
    assert len(files(client)) == 1, "that of the last one"


def test_real_work_is_cancelled_between_windows(model, monkeypatch):
    """And who computes goes on with the next picture."""
    monkeypatch.setattr(process, "GRACE", 60)
    with serving(worker.work, models=[str(model)], engine="torch") as client:
        first = client.service.worker._connection
        job = client.service.jobs[send(client, picture((3000, 3000), "BMP")).json()["id"]]
        wait(client, job.id, "running")
        client.delete(f"/api/jobs/{job.id}")
        assert send(client, None, "/api/upscale").status_code == 200
        assert client.service.worker._connection is first and job.outcome.state == "cancelled"


def test_work_that_does_not_look_up_is_ended(client, monkeypatch):
    monkeypatch.setattr(process, "GRACE", 0.1)
    made = send(client, quality=HANGS, format="jpg").json()["id"]
    wait(client, made, "running")
    client.delete(f"/api/jobs/{made}")
    assert wait(client, send(client).json()["id"])["state"] == "done"


def test_a_crash_ends_one_job(client):
    jobs = [send(client, **fields).json()["id"] for fields in ({}, {"quality": DIES, "format": "jpg"}, {}, {})]
    records = [wait(client, id) for id in jobs]
    assert [record["state"] for record in records] == ["done", "failed", "done", "done"]
    assert records[1]["status"] == 500 and "the process that computed it ended" in records[1]["error"]


def test_who_died_while_nothing_was_to_do_is_started_anew(client):
    client.service.worker._handle.kill()
    time.sleep(0.1)
    assert wait(client, send(client).json()["id"])["state"] == "done"


def test_who_cannot_be_started_anew_fails_pictures_in_words_and_keeps_results(monkeypatch):
    monkeypatch.setattr("aethernet.upscale.serve.service.PAUSE", 0.01)
    started = []

    def once(connection, settings):
        started.append(connection)
        if len(started) == 2:
            connection.send(Ready(problem="no memory"))
        else:
            scripted(connection, settings)

    with serving(once) as client:
        done = send(client).json()["id"]
        wait(client, done)
        wait(client, send(client, quality=DIES, format="jpg").json()["id"])
        record = wait(client, send(client).json()["id"])
        assert record["status"] == 503 and record["error"] == "nothing can be computed: no memory"
        assert client.get(f"/api/jobs/{done}/result").status_code == 200
        assert wait(client, send(client).json()["id"])["state"] == "done"


def test_nothing_is_left_at_the_end():
    with serving() as client:
        folder = client.service.folder
        assert folder.stat().st_mode & 0o077 == 0
        for fields in ({}, {"quality": WAITS, "format": "jpg"}, {}):
            send(client, **fields)
        assert len(files(client)) >= 2
    assert not folder.exists()


def test_the_end_comes_though_a_cancelling_is_lost():
    """As `asyncio.wait_for` loses one now and then before Python 3.12."""

    async def stubborn() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(600)
        await asyncio.sleep(600)

    async def life() -> None:
        service = Service(Settings(), threaded(scripted))
        await service.start()
        service._tasks.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(0)
        await asyncio.wait_for(service.stop(), 60)
        assert not service.folder.exists()

    asyncio.run(life())


def test_who_cannot_compute_says_why(tmp_path):
    with pytest.raises(Exception, match="is not a model"), serving(worker.work, models=["no such"]):
        pass


def test_who_waits_when_the_service_ends_is_told(client):
    """And nothing new is taken."""
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(send(client, None, "/api/upscale", quality=WAITS, format="jpg")))  # fmt: skip
    waiting.start()
    while not client.service._running:
        time.sleep(0.01)
    client.service.is_ending = True
    waiting.join(60)
    for answer in (*answers, send(client)):
        assert answer.status_code == 503 and answer.json() == {"error": "the service ends"}
    assert len(answers) == 1


def test_the_clock_of_the_system_may_be_set(client, monkeypatch):
    """Results are kept for their time all the same."""
    made = send(client).json()["id"]
    wait(client, made)
    real = time.time
    for hours in (5, -5):
        monkeypatch.setattr(time, "time", lambda hours=hours: real() + 3600 * hours)
        record = client.get(f"/api/jobs/{made}").json()
        assert 1700 < record["kept_for"] <= 1800 and 0 <= record["seconds"] < 60


def test_connections_on_which_nothing_happens_are_closed(monkeypatch):
    """Half a request, or an answer that nobody reads; who is in the middle of an upload, or waits for a picture, is not."""
    monkeypatch.setattr(patience, "IDLE", 0.2)
    with listening(http=PatientProtocol) as (address, service):
        place = ("127.0.0.1", int(address.rpartition(":")[2]))
        path = service.folder / "large"
        path.write_bytes(b"x" * 30_000_000)
        job = Job(
            "", None, "a.png", Wish(None, 4), path, None, 0, state="done", outcome=Outcome("", "done", format="png")
        )
        path.rename(job.target)
        service.jobs["large"] = job
        head = b"GET /api/jobs/large/result HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for request in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n", head):
            with socket.create_connection(place, timeout=60) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.sendall(request)
                while True:  # until it is closed, which sending finds out
                    try:
                        connection.sendall(b"X")
                    except OSError:
                        break
                    time.sleep(0.05)
        body, how = picture(), "Host: localhost\r\nContent-Type: image/png\r\n"
        with socket.create_connection(place, timeout=60) as connection:
            connection.sendall(f"POST /api/upscale HTTP/1.1\r\n{how}Content-Length: {len(body)}\r\n\r\n".encode())
            time.sleep(1)
            connection.sendall(body)
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


# who is let in


def test_other_names_are_refused(client):
    for host in ("evil.example", "evil.example:8765", "localhost.evil.example", "", "a@localhost", "192.168.0.7:8765"):
        assert client.get("/api", headers={"host": host}).status_code in (400, 421), host
    for host in ("localhost", "localhost:1", "127.0.0.1:8765", "[::1]:8765", "LOCALHOST"):
        assert client.get("/api", headers={"host": host}).status_code == 200, host


def test_other_sites_are_refused(client):
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": ADDRESS},
    ):
        assert send(client, headers=headers).status_code == 403, headers
        assert client.get("/api", headers=headers).status_code == 403, headers
    assert client.get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code == 200
    assert client.get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}).status_code == 403
    assert send(client, headers={"origin": ADDRESS, "sec-fetch-site": "same-origin"}).status_code == 201


def test_a_token_is_asked_for():
    with serving(host="0.0.0.0", token=TOKEN) as client:
        assert client.get("/", headers={"host": "192.168.0.7:8765"}).status_code == 200, "the page alone"
        for headers in (
            {},
            {"authorization": "Bearer no"},
            {"authorization": TOKEN},
            {"cookie": f"aethernet_token_8765={TOKEN}"},
        ):
            for answer in (client.get("/api", headers=headers), send(client, headers=headers), client.post("/api/session", headers=headers)):  # fmt: skip
                assert answer.status_code == 401 and "Authorization: Bearer TOKEN" in answer.json()["error"]
        known = {"authorization": f"Bearer {TOKEN}"}
        made = send(client, headers=known)
        assert made.status_code == 201
        assert client.get(f"/api/jobs/{made.json()['id']}").status_code == 401
        entered = client.post("/api/session", headers=known)
        assert entered.status_code == 204 and TOKEN not in entered.headers["set-cookie"]
        assert "HttpOnly" in entered.headers["set-cookie"] and "SameSite=strict" in entered.headers["set-cookie"]
        assert client.get("/api").status_code == 200, "by the cookie"
        assert client.get("/api", headers={"host": "evil.example"}).status_code == 421


def test_services_on_two_ports_of_a_host_do_not_share_cookies():
    with serving(token=TOKEN) as client:
        for host, end in (("localhost:8765", "_8765"), ("localhost:80", "_80"), ("localhost", ""), ("[::1]:99", "_99")):
            page = client.get("/", headers={"host": host})
            entered = client.post("/api/session", headers={"host": host, "authorization": f"Bearer {TOKEN}"})
            assert page.headers["set-cookie"].startswith(f"aethernet_session{end}=")
            assert entered.headers["set-cookie"].startswith(f"aethernet_token{end}=")


def test_only_this_machine_without_a_token():
    for host in ("0.0.0.0", "192.168.0.7", "::", "example.org"):
        with pytest.raises(UsageError, match="--token auto"):
            Settings(host=host)
        assert Settings(host=host, token=TOKEN).token == TOKEN
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        Settings(host=host)
    for token in ("short", "x" * 15, "with a space in it", "ä" * 20):
        with pytest.raises(UsageError, match="16 printable ASCII"):
            Settings(token=token)


def test_the_answers_tell_browsers_what_to_hold_to(client):
    for path in ("/", "/page.js", "/api", "/nothing", "/api/jobs/nothing"):
        headers = client.get(path).headers
        assert (
            "default-src 'none'" in headers["content-security-policy"]
            and "unsafe" not in headers["content-security-policy"]
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert client.get("/../../etc/passwd").status_code == 404
    assert client.get("/page/%2e%2e/app.py").status_code == 404
    assert client.put("/api/jobs").json() == {"error": "PUT is not for this address"}


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\a.png", "a.png"),
        ("/", "picture"),
        ("..", "picture"),
        (".htaccess", "htaccess"),
        ('a"b\r\nSet-Cookie: x.png', "a_b  Set-Cookie_ x.png"),
        ("über 東京.png", "über 東京.png"),
        ("\u202egnp.exe", "gnp.exe"),
        ("x" * 300 + ".png", "x" * 100 + ".png"),
        (None, "picture"),
    ],
)
def test_names_of_clients_are_given_back_safely(given, safe):
    assert download_name(given) == safe


def test_names_are_never_used_on_disk(client):
    for name in ("../../x.png", "/tmp/x.png", "a\x00b.png", "x" * 5000 + ".png", "%2e%2e%2fx.png"):
        answer = client.post(
            "/api/jobs", params={"name": name}, content=picture(), headers={"content-type": "image/png"}
        )
        assert answer.status_code == 201
        wait(client, answer.json()["id"])
    assert all(len(path.stem) == 32 and path.parent == client.service.folder for path in files(client))
    assert len(files(client)) == 5


# the page and the command


def test_the_page_is_small_and_asks_for_nothing_outside(client):
    contents = [client.get(path) for path in ("/", "/page.css", "/page.js", "/icon.svg")]
    assert all(answer.status_code == 200 for answer in contents)
    assert sum(len(answer.content) for answer in contents) < 60_000
    for answer in contents:
        text = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text and "//" not in re.sub("// .*", "", text)
        assert " style=" not in text and not re.search(r"<[^>]+ on\w+=", text), "the policy would refuse it"


def test_a_port_that_is_taken_is_told(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["serve", "--port", str(port)]) == 1
    assert f"127.0.0.1, port {port}, cannot be listened at" in capsys.readouterr().err
    assert cli.main(["serve", "--host", "no.such.host.invalid", "--token", "auto"]) == 1


def test_the_address_has_the_token_behind_a_hash(monkeypatch):
    parser = cli.build_parser()
    monkeypatch.delenv("AETHERNET_TOKEN", raising=False)
    assert settings_of(parser.parse_args(["serve"])).token is None
    token = settings_of(parser.parse_args(["serve", "--token", "auto"])).token
    assert token is not None and len(token) == 32
    monkeypatch.setenv("AETHERNET_TOKEN", TOKEN)
    settings = settings_of(parser.parse_args(["serve", "--host", "localhost"]))
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert address_of(settings, listening) == f"http://127.0.0.1:{port}/#token={TOKEN}"
