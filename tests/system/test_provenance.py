"""Content Credentials of what is made here, judged by readers that are not ours: @trustnxt/c2pa-ts and Pillow, on every way
a picture leaves the server. And what the server itself says of them, its key, and life without the library."""
import base64
import io
import json
import os
import random
import struct
import subprocess
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path

import pytest
from PIL import Image

import harness

READER = Path(__file__).with_name("credentials_reader.mjs")
LIBRARY = Path(harness.binary()).parents[1] / "worker" / "libc2pa_c.so" if "ATELIER_BIN" in os.environ else Path("/nowhere")
MODULES = Path(os.environ.get("ATELIER_NODE_MODULES", "/nowhere"))
MADE, MIXED = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
SECRET = "a very private lighthouse"

pytestmark = [pytest.mark.skipif(not LIBRARY.exists(), reason="no C2PA library"),
              pytest.mark.skipif(not (MODULES / "@trustnxt/c2pa-ts").is_dir(), reason="no independent reader")]


@pytest.fixture
def read(tmp_path):
    """What the independent reader says of these bytes."""
    def judge(*files):
        paths = []
        for data in files:
            paths.append(tmp_path / f"judged-{len(list(tmp_path.glob('judged-*')))}")
            paths[-1].write_bytes(data)
        done = subprocess.run([MODULES.parent / "bin" / "node", READER, *paths], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        return found[0] if len(files) == 1 else found
    return judge


@pytest.fixture
def owner(make_server):
    return studio(make_server)


def studio(make_server, **more):
    owner = make_server(engine="fake", **more).start().setup()
    owner.fake = owner.post("/api/v1/providers", {"preset": "fake"}, status=201)["id"]
    owner.patch("/api/v1/settings", {"default_picture_model": f"{owner.fake}/picture"})
    return owner


def make(owner, **more):
    job = owner.post("/api/v1/jobs", {"model": f"{owner.fake}/picture", "prompt": SECRET, "width": 64, "height": 64, **more},
                     status=(201, 202))
    return harness.wait_until(lambda: (found := owner.get(f"/api/v1/jobs/{job['id']}"))["state"] in ("done", "failed") and found,
                              30, "the picture")["assets"][0]


def file_of(owner, asset, query=""):
    answer = owner.request("GET", f"/api/v1/assets/{asset['id']}/file{query}")
    assert answer.status_code == 200, answer.text
    return answer.content


def mark_of(data):
    """The IPTC digital source type, by Pillow and an XML parser."""
    with Image.open(io.BytesIO(data)) as image:
        packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"]
    packet = packet.decode() if isinstance(packet, bytes) else packet
    return ElementTree.fromstring(packet.strip("\0")).find(f".//{RDF}Description").get(IPTC).split("/")[-1]


def assert_made(found, *, mixed=False):
    assert found["found"] and found["valid"], found.get("failed")
    assert found["claim"] == "c2pa.claim.v2" and found["generator"].startswith("Atelier ")
    assert {"claimSignature.validated", "assertion.dataHash.match"} <= set(found["passed"])
    actions = [(one["action"], one.get("type")) for one in found["actions"]]
    assert actions == ([("c2pa.opened", None), ("c2pa.edited", MIXED)] if mixed else [("c2pa.created", MADE)])
    assert "lighthouse" not in found["text"] and "Olivia" not in found["text"]


def test_on_every_way_out(owner, read):
    asset = make(owner)
    share = owner.post(f"/api/v1/assets/{asset['id']}/shares", {}, status=201)
    key = share["url"].rstrip("/").split("/")[-1]
    direct = owner.ok("POST", "/v1/images/generations", {"prompt": SECRET, "size": "64x64", "response_format": "b64_json"})
    linked = owner.ok("POST", "/v1/images/generations", {"prompt": SECRET, "size": "64x64", "response_format": "url"})
    tool = owner.ok("POST", "/sdapi/v1/txt2img", {"prompt": SECRET, "width": 64, "height": 64, "steps": 2})
    contract = owner.ok("POST", "/generate", {"mode": "free", "prompt": SECRET,
                                               "extra_params": {"model": f"{owner.fake}/picture"}})
    ways = {
        "file": file_of(owner, asset),
        "download": file_of(owner, asset, "?download=true"),
        "stripped": file_of(owner, asset, "?download=true&metadata=strip"),
        "share": owner.request("GET", f"/s/{key}/file").content,
        "openai": base64.b64decode(direct["data"][0]["b64_json"]),
        "openai link": owner.request("GET", linked["data"][0]["url"].removeprefix(owner.server.base)).content,
        "a1111": base64.b64decode(tool["images"][0]),
        "contract": base64.b64decode(contract["image"].split(",")[-1]),
    }
    for (way, data), found in zip(ways.items(), read(*ways.values()), strict=True):
        assert_made(found)
        assert mark_of(data) == MADE, way
    with Image.open(io.BytesIO(ways["stripped"])) as image:
        assert "parameters" not in image.info and "atelier" not in image.info
    for width in (64, 128, 256, 512):
        assert mark_of(file_of(owner, asset, f"?width={width}")) == MADE


def samples(folder):
    """A file of each kind that takes a manifest."""
    image = Image.radial_gradient("L").resize((64, 48)).convert("RGB")
    for name, kind in (("a.png", "PNG"), ("a.jpeg", "JPEG"), ("a.webp", "WEBP")):
        image.save(folder / name, kind)
    (folder / "a.mp4").write_bytes((Path(__file__).parent.parent / "cases" / "media" / "clip.mp4").read_bytes())
    return [folder / name for name in ("a.png", "a.jpeg", "a.webp", "a.mp4")]


def test_every_kind_of_file(read, tmp_path):
    """Signed, signed anew over an old manifest, and as what another was made from: the other reader agrees, and sees a
    changed byte near the file's end."""
    build = Path(harness.binary()).parents[2]
    program, child = build / "tests/unit/media/credential_sample", build / "src/worker/atelier-decode"
    for plain in samples(tmp_path):
        once, twice, edited = (plain.with_suffix(f".{name}") for name in ("once", "twice", "edited"))
        for source, target, *parent in ((plain, once), (once, twice), (plain, edited, once)):
            subprocess.run([program, "sign", child, LIBRARY, source, target, *parent], check=True, timeout=120)
        changed = bytearray(once.read_bytes())
        at = changed.rfind(b"C2PA") - 9 if plain.suffix == ".webp" else len(changed) - 30
        changed[at] ^= 1
        found = read(once.read_bytes(), twice.read_bytes(), edited.read_bytes(), bytes(changed))
        assert [one["valid"] for one in found] == [True, True, True, False], (plain.suffix, [one["failed"] for one in found])
        assert [one["manifests"] for one in found[:3]] == [1, 1, 2], plain.suffix
        assert any("ash.mismatch" in code for code in found[3]["failed"]), (plain.suffix, found[3]["failed"])
        if plain.suffix != ".mp4":
            with Image.open(plain) as before, Image.open(edited) as after:
                assert before.convert("RGB").tobytes() == after.convert("RGB").tobytes()


def test_a_changed_byte_is_told(owner, read):
    asset = make(owner)
    data = bytearray(file_of(owner, asset))
    pixel = bytearray(data)
    at = data.index(b"IDAT") + 40
    pixel[at] ^= 1
    text = bytearray(data)
    text[data.index(b"xmpmeta")] ^= 1
    signature = bytearray(data)
    signature[data.index(b"trainedAlgorithmicMedia", data.index(b"jumb"))] ^= 1
    whole, *changed = read(bytes(data), bytes(pixel), bytes(text), bytes(signature))
    assert whole["valid"]
    assert [one["valid"] for one in changed] == [False, False, False]
    assert changed[0]["failed"] == ["assertion.dataHash.mismatch"] == changed[1]["failed"]
    assert "assertion.hashedURI.mismatch" in changed[2]["failed"]


def test_an_edit_names_what_it_was_made_from(owner, read):
    first = make(owner)
    second = make(owner, init_asset=first["id"], strength=0.5)
    third = make(owner, init_asset=second["id"], strength=0.5)
    found = read(file_of(owner, second), file_of(owner, third), file_of(owner, third, "?metadata=strip"))
    for one in found:
        assert_made(one, mixed=True)
        assert any(label.startswith("c2pa.ingredient") for label in one["labels"])
    assert [one["manifests"] for one in found] == [2, 3, 1]  # a stripped copy tells that there was one, not which
    assert mark_of(file_of(owner, third, "?width=256")) == MIXED


def test_uploads_are_not_signed(owner, read):
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (1, 2, 3)).save(out, "PNG")
    asset = owner.ok("POST", "/api/v1/assets", data=out.getvalue(), headers={"Content-Type": "image/png"})
    assert not read(file_of(owner, asset))["found"]


def upload(owner, data):
    return owner.ok("POST", "/api/v1/assets", data=data, headers={"Content-Type": "image/png"}, status=201)


def said_of(owner, asset):
    return owner.get(f"/api/v1/assets/{asset['id']}/credentials")


def without(data, *kinds):
    """A PNG file without these chunks."""
    out, at = data[:8], 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        out += b"" if kind in kinds else data[at:at + 12 + length]
        at += 12 + length
    return out


def test_what_a_file_says_is_told(make_server):
    here, elsewhere = studio(make_server), studio(make_server)
    asset = make(here)
    made = file_of(here, asset)
    foreign = file_of(elsewhere, make(elsewhere))
    told = said_of(here, asset)
    assert (told["state"], told["place"], told["ai"], told["source_type"]) == ("trusted", "file", True, MADE)
    assert told["generator"].startswith("Atelier ") and told["signer"] == "Atelier"
    assert (said_of(here, upload(here, made))["state"], said_of(here, upload(here, foreign))["state"]) == ("trusted", "valid")
    # nothing but the manifest says any more that a machine made it, and it was torn from its file: the mark stays
    kept = upload(here, without(bytes(made), b"iTXt", b"tEXt"))
    told = said_of(here, kept)
    assert (told["state"], told["place"], told["ai"]) == ("changed", "upload", True)
    assert "ash.mismatch" in told["problem"]
    assert mark_of(file_of(here, kept)) == MADE and mark_of(file_of(here, kept, "?width=256")) == MADE
    plain = upload(here, without(bytes(made), b"iTXt", b"tEXt", b"caBX"))
    assert said_of(here, plain)["state"] == "none"
    with Image.open(io.BytesIO(file_of(here, plain))) as image:
        assert "xmp" not in image.info and "XML:com.adobe.xmp" not in image.info


def test_hostile_manifests(make_server):
    """A manifest that is cut, long, or noise is a refused or unread one, and the server goes on."""
    owner = studio(make_server)
    made = file_of(owner, make(owner))
    at = made.index(b"caBX")
    length = struct.unpack(">I", made[at - 4:at])[0]
    body = made[at + 4:at + 4 + length]
    randomly = random.Random(41)
    for turn in range(12):
        bad = bytearray(body)
        for _ in range(1 + turn * 20):
            bad[randomly.randrange(60, 1500)] = randomly.randrange(256)
        bad = bytes(bad[:randomly.randrange(100, len(bad))] if turn % 3 == 0 else bad)
        chunk = struct.pack(">I4s", len(bad), b"caBX") + bad
        file = made[:at - 4] + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + made[at + 8 + length:]
        assert said_of(owner, upload(owner, file))["state"] in ("changed", "invalid")
    assert said_of(owner, make(owner))["state"] == "trusted"


def corner(data):
    """The share of a picture's lower right corner that is lighter or darker than what the fake service draws beside it."""
    with Image.open(io.BytesIO(data)) as image:
        image = image.convert("L")
        width, height = image.size
        return sum(value > 240 for value in image.crop((width - width // 4, height - height // 6, width, height)).tobytes())


def test_the_visible_label(owner, read):
    """Off unless the operator wants it; then in the picture and its thumbnail, under the signature."""
    plain = file_of(owner, make(owner, width=256, height=256, seed=5))
    assert owner.get("/api/v1/settings")["picture_label"] is False
    assert owner.patch("/api/v1/settings", {"picture_label": True})["picture_label"] is True
    asset = make(owner, width=256, height=256, seed=5)
    labelled = file_of(owner, asset)
    assert corner(labelled) > corner(plain) + 30
    assert corner(file_of(owner, asset, "?width=256")) > corner(plain) + 20
    with Image.open(io.BytesIO(plain)) as before, Image.open(io.BytesIO(labelled)) as after:
        assert before.size == after.size and before.format == after.format == "PNG"
        box = (0, 0, 200, 220)
        assert before.crop(box).tobytes() == after.crop(box).tobytes()
    assert_made(read(labelled))
    assert mark_of(labelled) == MADE and "Seed: 5" in Image.open(io.BytesIO(labelled)).info["parameters"]
    owner.patch("/api/v1/settings", {"picture_label": False})
    assert harness.pixels(file_of(owner, make(owner, width=256, height=256, seed=5))) == harness.pixels(plain)


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_the_key_stays(make_server, read, db):
    """Made once, sealed, used again after a restart; nowhere in the clear."""
    owner = studio(make_server, db=db)
    before = owner.get("/api/v1/server")["credentials"]
    assert before["state"] == "ready" and not before["own_certificate"] and len(before["fingerprint"]) == 64
    foreign = file_of(owner, make(owner))
    server = owner.server
    server.stop()
    server.start()
    owner = server.sign_in()
    kept = upload(owner, foreign)
    assert said_of(owner, kept)["state"] == "trusted"
    after = owner.get("/api/v1/server")["credentials"]
    assert after["fingerprint"] == before["fingerprint"]
    assert all(b"PRIVATE KEY" not in path.read_bytes() for path in server.folder.rglob("*") if path.is_file())


def own_certificate(folder, name="Example Studios"):
    """An authority (the same for all in a folder) and a certificate of it, as an operator would have them from elsewhere."""
    run = lambda *args: subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, cwd=folder)  # noqa: E731
    if not (folder / "ca.pem").exists():
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", "/O=Example Studios/CN=Authority", "-days", "30", "-addext", "keyUsage=critical,keyCertSign")
    run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-keyout", "own.key", "-out", "own.csr",
        "-subj", f"/O={name}/CN=Signer")
    (folder / "ext").write_text("basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n"
                                "extendedKeyUsage=emailProtection\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n")
    run("x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "20", "-extfile", "ext",
        "-out", "own.pem")
    (folder / "chain.pem").write_text((folder / "own.pem").read_text() + (folder / "ca.pem").read_text())
    return folder / "own.key", folder / "chain.pem"


def test_an_own_certificate(make_server, read, tmp_path):
    key, chain = own_certificate(tmp_path)
    owner = studio(make_server, args=["--credentials-key", str(key), "--credentials-certificate", str(chain)])
    told = owner.get("/api/v1/server")["credentials"]
    assert told["own_certificate"] and told["signer"] == "Example Studios"
    found = read(file_of(owner, make(owner)))
    assert_made(found)
    assert "Example Studios" in found["text"]
    assert said_of(owner, make(owner))["state"] == "trusted"
    # who has another certificate of the same authority is not this server
    key, chain = own_certificate(tmp_path, "Other People")
    other = studio(make_server, args=["--credentials-key", str(key), "--credentials-certificate", str(chain)])
    foreign = said_of(owner, upload(owner, file_of(other, make(other))))
    assert (foreign["state"], foreign["signer"]) == ("valid", "Other People")


def test_certificates_that_do_not_fit(make_server, tmp_path):
    key, chain = own_certificate(tmp_path)
    code, said = make_server(args=["--credentials-key", str(key)]).fails_to_start()
    assert code == 1 and "belong together" in said
    code, said = make_server(args=["--credentials-key", str(tmp_path / "ca.key"), "--credentials-certificate",
                                   str(chain)]).fails_to_start()
    assert code == 1 and "does not belong to the key" in said


def test_without_the_library(make_server, read, tmp_path):
    """Pictures are made, with the IPTC mark, and the server says what is missing."""
    lonely = tmp_path / "bin"
    lonely.mkdir()
    worker = Path(harness.binary()).parents[1] / "worker" / "atelier-decode"
    for program in (Path(harness.binary()), worker):
        (lonely / program.name).write_bytes(program.read_bytes())
        (lonely / program.name).chmod(0o755)
    owner = studio(make_server, program=str(lonely / "atelier"))
    told = owner.get("/api/v1/server")["credentials"]
    assert told["state"] == "no_library"
    data = file_of(owner, make(owner))
    assert not read(data)["found"] and mark_of(data) == MADE
    said = subprocess.run([lonely / "atelier", "check", "--data", str(tmp_path / "other")], capture_output=True, text=True,
                          timeout=120, env=owner.server.env())
    assert "Content Credentials: there is no" in said.stdout and "FAIL" not in said.stdout
