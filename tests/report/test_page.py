"""`report.html` in a real browser: it opens alone, a drag changes the picture, the picture is the decoder's."""

import base64
import io
import json
import re
import time

import numpy as np
import pytest
from PIL import Image
from slow_cases import fast

import jaxvae
import launch
from jaxvae.report import decoder

SHORT = ["--config.train.num_epochs=8", "--config.evaluate.nll_samples=2", "--config.train.eval_every_epochs=8",
         "--config.evaluate.metrics="]  # fmt: skip
RUNS = {
    "many": ["--config=configs/vae.py"],
    "plane": ["--config=configs/vae_2d_mse.py"],
    # An activation that the page does not know; a low weight, for a decoder that uses z after few epochs.
    "grid": ["--config=configs/vae_2d_mse.py", "--config.network.activation=gelu", "--config.kl.beta=0.01"],
    "lines": [
        "--config=configs/conv_vae.py",
        "--config.model.latent_dim=5",
        "--config.network.channels=(8,16)",
        "--config.kl.beta=0.01",
        "--config.optimizer.learning_rate=5e-3",
    ],
}
DECODED = ("grid", "lines")  # not by weights


@pytest.fixture(scope="module", params=fast(RUNS, "plane"))
def run(request, tmp_path_factory):
    workdir = tmp_path_factory.mktemp(request.param)
    assert launch.main(["launch.py", *RUNS[request.param], *SHORT, f"--workdir={workdir}"], time.time()) == 0
    return request.param, workdir


def embedded(workdir):
    text = (workdir / "report.html").read_text()
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S).group(1))


def means(workdir, z):
    model, params = jaxvae.restore(workdir)
    mean = np.asarray(model.decode(params, np.asarray(z, np.float32)).mean)
    low, high = json.loads((workdir / "config.json").read_text())["data"]["pixel_range"]
    return np.clip((mean - low) / (high - low), 0, 1).reshape(len(z), -1)


def test_page_needs_nothing_else(run):
    _, workdir = run
    text = (workdir / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", text)
    assert "$" not in re.sub(r"<script.*?</script>", "", text, flags=re.S)  # no placeholder was left


def test_exported_weights_are_the_decoder(run):
    name, workdir = run
    spec = embedded(workdir)["explorer"]["decoder"]
    assert spec["kind"] == ("grid" if name in DECODED else "weights")
    if name in DECODED:
        return
    unpack = lambda text, *shape: np.frombuffer(base64.b64decode(text), "<f4").reshape(shape)  # noqa: E731
    network = [(unpack(s["weights"], s["in"], s["out"]), unpack(s["bias"], s["out"])) for s in spec["layers"]]
    z = np.random.default_rng(1).normal(size=(20, network[0][0].shape[0]))
    got = (decoder.outputs(network, spec["activation"], spec["output"], z) - spec["low"]) / (spec["high"] - spec["low"])
    np.testing.assert_allclose(np.clip(got, 0, 1), means(workdir, z), atol=1e-4)


@pytest.fixture
def page(run, browser):
    name, workdir = run
    browser.get((workdir / "report.html").as_uri())
    return name, workdir, browser


def picture(browser):
    script = """const c = document.getElementById("decoded");
        return [c.width, c.height, Array.from(c.getContext("2d").getImageData(0, 0, c.width, c.height).data)];"""
    width, height, data = browser.execute_script(script)
    return np.asarray(data).reshape(height, width, 4)[..., 0] / 255


def test_page_opens_without_errors(page):
    _, _, browser = page
    assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert picture(browser).std() > 0.01
    script = "return Array.from(document.images).every((image) => image.complete && image.naturalWidth > 0)"
    assert browser.execute_script(script)
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_drag_changes_the_picture_to_the_decoders(page):
    from selenium.webdriver import ActionChains

    _, workdir, browser = page
    pad, seen = browser.find_element("id", "pad"), [picture(browser)]
    for x, y in ((60, 40), (-90, 70), (20, -110)):
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", pad)
        ActionChains(browser).move_to_element(pad).click_and_hold().move_by_offset(x, y).release().perform()
        seen.append(picture(browser))
        assert np.abs(seen[-1] - seen[-2]).max() > 0.02
        z = browser.execute_script("return window.jaxvae.z")
        exact = np.asarray(browser.execute_script("return window.jaxvae.decode(window.jaxvae.z)"))
        np.testing.assert_allclose(seen[-1].ravel(), exact, atol=0.5 / 255 + 1e-6)  # what is painted is what is decoded
        if embedded(workdir)["explorer"]["decoder"]["kind"] == "weights":
            np.testing.assert_allclose(exact, means(workdir, [z])[0], atol=1e-3)


def test_grid_holds_the_decoders_means(page):
    name, workdir, browser = page
    if name not in DECODED:
        pytest.skip("weights are embedded")
    spec = embedded(workdir)["explorer"]
    side = spec["decoder"]["side"]
    steps = np.linspace(-1, 1, side)[[0, 3, side // 2, side - 1]]
    centre, axes, spans = (np.asarray(spec[part]) for part in ("centre", "axes", "spans"))
    z = [(centre + a * spans[0] * axes[0] + b * spans[1] * axes[1]).tolist() for a in steps for b in steps]
    got = [browser.execute_script("return window.jaxvae.decode(arguments[0])", point) for point in z]
    np.testing.assert_allclose(got, means(workdir, z), atol=1e-3)


def test_slider_moves_its_dimension_alone(page):
    name, workdir, browser = page
    slider = browser.find_element("css selector", "#sliders input")
    index = int(slider.get_attribute("id").removeprefix("slider-"))
    before = browser.execute_script("return window.jaxvae.z")
    script = "arguments[0].value = 1.5; arguments[0].dispatchEvent(new Event('input'))"
    browser.execute_script(script, slider)
    after = browser.execute_script("return window.jaxvae.z")
    assert after[index] == pytest.approx(1.5, abs=0.03)
    assert [a for i, a in enumerate(after) if i != index] == [b for i, b in enumerate(before) if i != index]
    exact = browser.execute_script("return window.jaxvae.decode(window.jaxvae.z)")
    if name not in DECODED:
        np.testing.assert_allclose(exact, means(workdir, [after])[0], atol=1e-3)


def test_sliders_of_decoded_pictures_move_one_dimension_at_a_time(page):
    name, workdir, browser = page
    if name != "lines":
        pytest.skip("the decoder, or all of z, is embedded")
    spec = embedded(workdir)["explorer"]
    centre, points, decode = (
        np.asarray(spec["centre"]),
        spec["decoder"]["lines"]["points"],
        "return window.jaxvae.decode",
    )
    text = (workdir / "report.html").read_text()
    assert f"and {points} points along each slider, which moves its dimension alone" in text
    assert len(spec["sliders"]) == spec["decoder"]["lines"]["count"] == 5
    errors = []
    for one in spec["sliders"]:
        stops = np.linspace(one["low"], one["high"], points)
        z = np.tile(centre, (3, 1))
        z[:, one["index"]] = stops[2], stops[points - 1], (stops[5] + stops[6]) / 2
        got = [browser.execute_script(f"{decode}(arguments[0])", point.tolist()) for point in z]
        wanted = means(workdir, z)
        np.testing.assert_allclose(got[:2], wanted[:2], atol=0.5 / 255 + 1e-5)  # of 8 bits
        errors.append(np.abs(got[2] - wanted[2]).mean())
    assert np.mean(errors) < 3 * spec["decoder"]["error"] + 1 / 255
    for slider in browser.find_elements("css selector", "#sliders input")[:2]:
        script = "arguments[0].value = 1.5; arguments[0].dispatchEvent(new Event('input'))"
        browser.execute_script(script, slider)
        z = np.asarray(browser.execute_script("return window.jaxvae.z"))
        assert np.flatnonzero(z != centre).tolist() == [int(slider.get_attribute("id").removeprefix("slider-"))]
        np.testing.assert_allclose(
            picture(browser).ravel(), browser.execute_script(f"{decode}(window.jaxvae.z)"), atol=0.5 / 255 + 1e-6
        )
    browser.find_element("id", "pad").send_keys("\ue014")  # the right arrow
    away = np.asarray(browser.execute_script("return window.jaxvae.z")) - centre
    axes = np.asarray(spec["axes"])
    np.testing.assert_allclose(away, axes.T @ (axes @ away), atol=1e-5)  # in the plane again


def test_a_drag_keeps_what_sliders_set_off_the_plane(page):
    from selenium.webdriver import ActionChains

    name, workdir, browser = page
    if name != "many":
        pytest.skip("all of z is in the plane")
    spec = embedded(workdir)["explorer"]
    centre, axes, spans = (np.asarray(spec[part]) for part in ("centre", "axes", "spans"))
    for slider, value in zip(browser.find_elements("css selector", "#sliders input"), (2.5, -2.0, 1.5), strict=False):
        browser.execute_script("arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
                               slider, value)  # fmt: skip

    def parts():
        away = np.asarray(browser.execute_script("return window.jaxvae.z")) - centre
        return axes @ away, away - axes.T @ (axes @ away)

    before, off = parts()
    assert np.linalg.norm(off) > 0.5
    pad = browser.find_element("id", "pad")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", pad)
    ActionChains(browser).move_to_element(pad).click_and_hold().move_by_offset(70, -35).release().perform()
    after, still = parts()
    np.testing.assert_allclose(still, off, atol=1e-5)  # the axes are orthonormal to float32
    np.testing.assert_allclose(after / spans, [0.5, 0.25], atol=0.02)  # 70 and 35 of the pad's 140 pixels
    assert np.abs(after - before).max() > 0.01
    pad.send_keys("\ue014")  # the right arrow
    np.testing.assert_allclose(parts()[0] / spans, after / spans + [0.05, 0], atol=1e-5)
    np.testing.assert_allclose(parts()[1], off, atol=1e-5)


def test_map_shows_the_example_under_the_pointer(page):
    from selenium.webdriver import ActionChains

    name, workdir, browser = page
    spec, test = embedded(workdir)["map"], jaxvae.data.load().test
    canvas, tip = browser.find_element("id", "map"), browser.find_element("id", "tip")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    buttons = browser.find_elements("css selector", "#maps button")
    assert [button.text for button in buttons] == [one["name"] for one in spec["maps"]]
    assert len(buttons) == (1 if name in ("plane", "grid") else 2)
    box = browser.execute_script("const b = arguments[0].getBoundingClientRect(); return [b.width, b.height]", canvas)
    for button, one in zip(buttons, spec["maps"], strict=True):
        button.click()
        points = np.asarray(one["points"])
        share = (points - points.min(axis=0)) / np.ptp(points, axis=0)
        at = 10 + np.stack([share[:, 0], 1 - share[:, 1]], axis=1) * (np.asarray(box) - 20)  # a margin of 10
        apart = np.linalg.norm(at[:, None] - at, axis=-1) + np.diag(np.full(len(at), np.inf))
        for i in np.argsort(-apart.min(axis=1))[:3]:  # the most lonely points
            assert apart[i].min() > 4
            offset = np.round(at[i] - np.asarray(box) / 2).astype(int)
            ActionChains(browser).move_to_element_with_offset(canvas, *map(int, offset)).perform()
            assert tip.is_displayed()
            assert browser.find_element("id", "caption").text == f"label {test.label[spec['rows'][i]]}"
            script = "return document.querySelector('#tip canvas').toDataURL().split(',')[1]"
            with Image.open(io.BytesIO(base64.b64decode(browser.execute_script(script)))) as tip_picture:
                shown = np.asarray(tip_picture.convert("RGB"))[..., :1]
            np.testing.assert_array_equal(shown, np.round(test.x[spec["rows"][i]] / np.float32(16) * 255))
