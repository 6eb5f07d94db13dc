"""The contact sheet: whole in one file, harmless whatever files are called, and a browser shows the hand."""

import base64
import html.parser
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from handjax import export

SIDE_OF_BALL = 24


def ball(radius: float = 0.09) -> tuple[np.ndarray, np.ndarray]:
    """A closed ball half a metre before the camera."""
    polar, turn = np.meshgrid(np.linspace(0, np.pi, SIDE_OF_BALL), np.linspace(0, 2 * np.pi, SIDE_OF_BALL, False))
    vertices = radius * np.stack(
        [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=-1
    ).reshape(-1, 3)
    first = np.arange(SIDE_OF_BALL**2).reshape(SIDE_OF_BALL, SIDE_OF_BALL)
    a, b = first[:, :-1], first[:, 1:]
    c, d = np.roll(a, -1, axis=0), np.roll(b, -1, axis=0)
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    return vertices + (0, 0, 0.5), faces


def picture(height: int = 60, width: int = 80) -> np.ndarray:
    return np.full((height, width, 3), (30, 90, 200), np.uint8)


def hand(side: str = "right", **fields) -> export.PageHand:
    vertices, faces = ball()
    return export.PageHand(side, **({"score": 0.9, "vertices": vertices, "faces": faces} | fields))


class Page(html.parser.HTMLParser):
    """The elements of a page with their attributes, and each element's text."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.text = [], []
        self.source = path.read_text("utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.text.append("")

    def handle_endtag(self, tag):
        self.elements.append(("/" + tag, {}))
        self.text.append("")

    def handle_data(self, data):
        if self.text:
            self.text[-1] += data

    def attributes(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    def texts(self, tag: str, **wanted: str) -> list[str]:
        return [
            text
            for (name, attributes), text in zip(self.elements, self.text, strict=True)
            if name == tag and wanted.items() <= attributes.items()
        ]

    def scenes(self) -> list[dict]:
        return [json.loads(text) for text in self.texts("script", type="application/json") if text[0] == "{"]

    def topologies(self) -> list[dict]:
        return json.loads(self.texts("script", id="topologies")[0])


def decoded(part: str, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(part), dtype)


def write(tmp_path, *entries, **texts) -> Page:
    export.write_page(tmp_path / "index.html", entries, **texts)
    return Page(tmp_path / "index.html")


def test_meshes_are_embedded_to_micrometres(tmp_path):
    vertices, faces = ball()
    motion = vertices + np.linspace(0, 0.4, 5)[:, None, None] * (1, 0, 0.5)
    page = write(tmp_path, export.PageEntry("clip", picture(), [hand(vertices=motion)], fps=12.5))
    (scene,) = page.scenes()
    (data,) = scene["hands"]
    assert (data["frames"], data["vertices"], scene["fps"]) == (5, len(vertices), 12.5)
    integers = decoded(data["data"], "<u2").reshape(motion.shape)
    np.testing.assert_allclose(np.array(data["offset"]) + data["step"] * integers, motion, atol=5e-6)
    (topology,) = page.topologies()
    np.testing.assert_array_equal(decoded(topology["data"], "<u2").reshape(-1, 3), faces)


def test_equal_faces_are_embedded_once(tmp_path):
    vertices, faces = ball()
    mirrored = hand("left", faces=faces[:, ::-1])
    entries = [export.PageEntry(str(i), picture(), [hand(), mirrored]) for i in range(4)]
    page = write(tmp_path, *entries)
    assert [[data["topology"] for data in scene["hands"]] for scene in page.scenes()] == [[0, 1]] * 4
    assert len(page.topologies()) == 2


def test_pictures_are_embedded_small_and_in_the_right_colours(tmp_path):
    page = write(tmp_path, export.PageEntry("large", picture(1500, 3000)), export.PageEntry("small", picture()))
    for image, shape in zip(page.attributes("img")[:2], [(320, 640, 3), (60, 80, 3)], strict=True):
        kind, data = image["src"].split(",")
        assert kind == "data:image/jpeg;base64"
        shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert shown.shape == shape
        np.testing.assert_allclose(shown[10, 10, ::-1], (30, 90, 200), atol=4)
    assert page.scenes()[0]["size"] == [3000, 1500]  # intrinsics stay in the full image's pixels


def test_the_page_asks_for_nothing_from_outside(tmp_path):
    entry = export.PageEntry("a", picture(), [hand()], files={"glb": "a.glb"})
    page = write(tmp_path, entry)
    sources = [attributes[key] for _, attributes in page.elements for key in ("src", "href") if key in attributes]
    assert all(source == "a.glb" or source.startswith("data:image/jpeg") for source in sources)
    policy = next(meta["content"] for meta in page.attributes("meta") if "http-equiv" in meta)
    assert "default-src 'none'" in policy
    assert not re.search(r"https?://", page.source)


NASTY = [
    "<script>document.title='owned'</script>.jpg",
    '"><img src=x onerror="document.title=\'owned\'">.jpg',
    "</script><script>document.title='owned'</script>",
    "{{topologies}} {{nothing}} \\1 \\g<0> $& &amp; & '",
    "\u202egpj.\u624b",
    "\udcff broken.jpg",
]


@pytest.mark.parametrize("name", NASTY)
def test_any_file_name_is_only_text(tmp_path, name):
    entry = export.PageEntry(name, picture(), [hand()], name, {name: "a.npz"}, name)
    plain = write(tmp_path, export.PageEntry("a", picture(), [hand()], "a", {"a": "a.npz"}, "a"))
    page = write(tmp_path, entry, title=name, summary=name)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert page.texts("h2")[0] == name.encode("utf-8", "replace").decode()
    assert page.attributes("a")[0] == {"href": "a.npz"}


@pytest.mark.parametrize(
    ("path", "href"),
    [
        ("a b#1?.glb", "a%20b%231%3F.glb"),
        ("folder/\u624b.obj", "folder/%E6%89%8B.obj"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ('"onclick="x', "%22onclick%3D%22x"),
        ("../up.ply", "../up.ply"),
        ("odd \udcff.npz", "odd%20%FF.npz"),
    ],
)
def test_links_lead_to_files_beside_the_page(tmp_path, path, href):
    page = write(tmp_path, export.PageEntry("a", picture(), files={"file": path}))
    assert page.attributes("a") == [{"href": href}]


def test_cards_say_what_was_found(tmp_path):
    hands = [hand(error_px=2.34, converged=True), hand("left", score=None, error_px=float("nan"), converged=np.False_)]
    page = write(
        tmp_path,
        export.PageEntry("both", picture(), hands, camera="focal length 600 px, assumed"),
        export.PageEntry("none", picture()),
        export.PageEntry("one", picture(), [hand(error_px=1.0)], "frame 3 is damaged"),
    )
    assert [card["data-state"] for card in page.attributes("article")] == ["check", "none", "good"]
    for words in ("Right hand", "Left hand", "score 0.90", "2.3 px", "not converged", "No hand found"):
        assert words in page.source
    assert "frame 3 is damaged" in page.source and "focal length 600 px, assumed" in page.source
    assert "<b>3</b><span>images</span></li><li><b>3</b><span>hands" in page.source
    assert "nan" not in page.source.split("<script")[0].lower()


def test_a_page_without_images_is_a_page(tmp_path):
    assert write(tmp_path).attributes("article") == []


def test_entries_are_read_one_by_one(tmp_path):
    alive = []

    def entries():
        for number in range(5):
            alive.append(number)
            yield export.PageEntry(str(number), picture(), [hand()])

    export.write_page(tmp_path / "index.html", entries())
    assert alive == [0, 1, 2, 3, 4]
    assert len(Page(tmp_path / "index.html").attributes("article")) == 5


BAD_ENTRIES = {
    "grey": ({"image": np.zeros((4, 4), np.uint8)}, r"entry 'a': image must have shape \(H, W, 3\), got \(4, 4\)"),
    "float image": ({"image": np.zeros((4, 4, 3))}, "image must be uint8"),
    "empty image": ({"image": np.zeros((0, 4, 3), np.uint8)}, "image must be uint8 and not empty"),
    "side": ({"hands": [hand("both")]}, "side must be one of 'left', 'right', got 'both'"),
    "nan": ({"hands": [hand(vertices=np.full((9, 3), np.nan))]}, "vertices must be finite"),
    "flat": ({"hands": [hand(vertices=np.zeros((9, 2)))]}, r"vertices must have shape \(T, V, 3\)"),
    "faces": ({"hands": [hand(vertices=np.zeros((9, 3)))]}, r"faces must lie in \[0, 9\)"),
    "absolute link": ({"files": {"npz": "/etc/passwd"}}, "files must be relative to the page"),
    "fps": ({"fps": 0.0}, "fps must be above 0"),
    "intrinsics": ({"intrinsics": (0, 1, 2, 3)}, "intrinsics must be finite with focal lengths above 0"),
    "matrix": ({"intrinsics": np.eye(3)}, r"intrinsics must have shape \(4,\), got \(3, 3\)"),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_a_bad_entry_is_named_and_the_old_page_stays(tmp_path, case):
    change, message = BAD_ENTRIES[case]
    path = tmp_path / "index.html"
    path.write_text("old")
    with pytest.raises(ValueError, match=message):
        export.write_page(path, [export.PageEntry("a", picture())._replace(**change)])
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the path")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"
    " --disable-background-networking --disable-component-update --disable-sync --no-first-run --hide-scrollbars"
    " --window-size=800,600 --virtual-time-budget=5000"
)


def browse(tmp_path, page, fragment: str, *arguments: str) -> str:
    url = page.as_uri() + fragment
    command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}", *arguments, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def screenshot(tmp_path, page, fragment: str, *arguments: str) -> np.ndarray:
    """(H, W, 3) RGB of the stage, the part of the viewer that holds the canvas."""
    browse(tmp_path, page, fragment, f"--screenshot={tmp_path / 'shot.png'}", *arguments)
    shot = cv2.imread(str(tmp_path / "shot.png"))
    return shot[60:530, 5:475, ::-1].astype(int)


def skin(pixels: np.ndarray) -> np.ndarray:
    """Where a pixel is of the right hand's warm colour, in light or shade."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return (red > green + 15) & (green > blue) & (red > 60)


@needs_chromium
def test_a_browser_shows_the_hand(tmp_path):
    write(tmp_path, export.PageEntry("a", picture(), [hand()]))
    found = skin(screenshot(tmp_path, tmp_path / "index.html", "#view=0"))
    rows, columns = np.nonzero(found)
    # A ball: a filled disc, about in the middle, of the same width and height.
    assert 0.1 < found.mean() < 0.8
    width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
    assert abs(width - height) < 0.06 * width
    assert abs(found.sum() / (width * height) - np.pi / 4) < 0.04


@needs_chromium
def test_the_camera_view_puts_the_hand_where_the_camera_saw_it(tmp_path):
    vertices, faces = ball(0.03)
    entry = export.PageEntry(
        "a",
        picture(480, 480),
        [hand(vertices=vertices + (0.1, -0.05, 0), faces=faces)],
        intrinsics=(600.0, 600.0, 240.0, 240.0),
    )
    write(tmp_path, entry)
    page = tmp_path / "index.html"
    shot = tmp_path / "shot.png"
    browse(tmp_path, page, "#view=0&mode=camera", f"--screenshot={shot}")
    pixels = cv2.imread(str(shot))[..., ::-1].astype(int)[:, :478]
    blue = (pixels[..., 2] > 150) & (pixels[..., 0] < 60)
    warm = skin(pixels) & (np.cumsum(blue, axis=1) > 0)
    photo_rows, photo_columns = np.nonzero(blue)
    left, top, size = photo_columns.min(), photo_rows.min(), np.ptp(photo_columns) + 1
    center = np.array([np.nonzero(warm)[1].mean() - left, np.nonzero(warm)[0].mean() - top]) * 480 / size
    np.testing.assert_allclose(center, (240 + 600 * 0.2, 240 - 600 * 0.1), atol=4)


@needs_chromium
def test_a_browser_without_webgl_says_so_and_shows_the_picture(tmp_path):
    write(tmp_path, export.PageEntry("a", picture(), [hand()]))
    pixels = screenshot(tmp_path, tmp_path / "index.html", "#view=0", "--disable-3d-apis")
    assert not skin(pixels).mean() > 0.05
    assert (np.abs(pixels - (30, 90, 200)).max(axis=-1) < 12).mean() > 0.5


# Works the page as a user would, and leaves what it saw in the title.
PROBE = """<script>{
const seen = {};
const type = (key) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const set = (control, value) => { control.value = value; control.dispatchEvent(new Event("input")); };
const names = () => visibleCards().map((card) => find("h2", card).textContent);
const pixels = () => {
  paint();
  const gl = canvas.getContext("webgl2"), data = new Uint8Array(4 * canvas.width * canvas.height);
  gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  return data.reduce((sum, value, index) => (sum * 31 + (value ? value + index : 0)) >>> 0, 7);
};
try {
  find(".picture").click();
  seen.open = dialog.open;
  seen.views = [pixels()];
  for (const key of ["ArrowLeft", "ArrowUp", "+", "w", "c"]) { type(key); seen.views.push(pixels()); }
  type("w");
  type("r");
  seen.reset = pixels();
  find(".details input").click();
  seen.hidden = pixels();
  type("PageDown");
  play(false);
  seen.frames = [0, 2].map((frame) => { set(slider, frame); return pixels(); });
  type("PageDown");
  seen.none = [find(".message").textContent, canvas.hidden, backdrop.hidden];
  type("PageDown");
  seen.round = find("#viewer-name").textContent;
  set(search, "CLI");
  seen.found = names();
  set(search, "");
  set(showSelect, "none");
  seen.without = names();
  set(showSelect, "");
  set(orderSelect, "error");
  seen.order = names();
} catch (error) { seen.error = String(error.stack); }
document.title = JSON.stringify(seen);
}</script></body>"""


@needs_chromium
def test_keys_filters_frames_and_hostile_names_work_in_a_browser(tmp_path):
    vertices, _ = ball()
    motion = vertices * np.linspace(1, 0.5, 3)[:, None, None]
    entries = [
        export.PageEntry(
            NASTY[0], picture(), [hand(error_px=1)], NASTY[1], {NASTY[2]: "a"}, intrinsics=[80, 80, 40, 30]
        ),
        export.PageEntry("clip", picture(), [hand("left", vertices=motion, error_px=3)]),
        export.PageEntry("empty", picture()),
    ]
    write(tmp_path, *entries)
    page = tmp_path / "index.html"
    page.write_text(page.read_text("utf-8").replace("</body>", PROBE), "utf-8")
    title = re.search("<title>(.*?)</title>", browse(tmp_path, page, "", "--dump-dom"), re.DOTALL)[1]
    seen = json.loads(html.unescape(title))
    assert "error" not in seen, seen["error"]
    assert seen["open"] and seen["round"] == NASTY[0]
    assert len(set(seen["views"])) == len(seen["views"]) == 6 and seen["reset"] == seen["views"][0]
    assert seen["hidden"] not in seen["views"] and seen["frames"][0] != seen["frames"][1]
    assert seen["none"] == ["No hand found", True, False]
    assert seen["found"] == ["clip"] and seen["without"] == ["empty"]
    assert seen["order"] == ["clip", NASTY[0], "empty"]
