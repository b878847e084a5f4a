"use strict";
// One global object: window.jaxvae.decode(z) is the picture in [0, 1] that the page shows for z at the chosen context.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);

  function floats(text) {
    return new Float32Array(bytes(text).buffer);
  }
  function bytes(text) {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  }
  const ACTIVATIONS = {
    relu: (x) => Math.max(x, 0),
    tanh: Math.tanh,
    silu: (x) => x / (1 + Math.exp(-x)),
    elu: (x) => (x > 0 ? x : Math.expm1(x)),
    softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    identity: (x) => x,
    sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  };

  function denseDecoder(net) {
    const layers = net.layers.map((l) => ({ ...l, weights: floats(l.weights), bias: floats(l.bias) }));
    return function (z, chosen, contexts) {
      const context = contexts.flatMap((one, i) => (one.classes ? one.classes.map((_, k) => (k === chosen[i] ? 1 : 0)) : [chosen[i]]));
      let x = Float64Array.from([...z, ...context]);
      layers.forEach((layer, index) => {
        const out = Float64Array.from(layer.bias), width = layer.out;
        for (let i = 0; i < layer.in; i++) {
          const value = x[i];
          if (value === 0) continue;
          const row = i * width;
          for (let j = 0; j < width; j++) out[j] += value * layer.weights[row + j];
        }
        const f = ACTIVATIONS[index < layers.length - 1 ? net.activation : net.output];
        for (let j = 0; j < width; j++) out[j] = f(out[j]);
        x = out;
      });
      const range = net.high - net.low;
      return x.map((v) => Math.min(Math.max((v - net.low) / range, 0), 1));
    };
  }

  // Between pictures decoded beforehand: along a line where one dimension alone is off the centre, else over the plane.
  function gridDecoder(net, plane, size, spec) {
    const values = new Uint16Array(bytes(net.values).buffer), last = net.side - 1;
    const lines = net.lines, points = lines && bytes(lines.values);
    // The pictures of one context follow those of another; the classes of the last field change first.
    const place = (chosen, contexts) => contexts.reduce((sum, one, i) => sum * one.classes.length + chosen[i], 0);

    function along(row, z, context) {
      const { index, low, high } = spec.sliders[row], end = lines.points - 1;
      const t = Math.min(Math.max(((z[index] - low) / (high - low)) * end, 0), end), i = Math.min(Math.floor(t), end - 1);
      const start = ((context * lines.count + row) * lines.points + i) * size;
      return Float64Array.from({ length: size }, (_, k) =>
        ((1 - t + i) * points[start + k] + (t - i) * points[start + size + k]) / 255);
    }

    return function (z, chosen, contexts) {
      const context = place(chosen, contexts);
      const off = spec.centre.flatMap((value, d) => (z[d] === value ? [] : [d]));
      const row = lines && off.length === 1 ? spec.sliders.findIndex((one) => one.index === off[0]) : -1;
      if (row >= 0) return along(row, z, context);
      const [a, b] = plane.coordinates(z);
      const clamp = (t) => Math.min(Math.max(((t + 1) / 2) * last, 0), last);
      const u = clamp(a), v = clamp(b);
      const i = Math.min(Math.floor(v), last - 1), j = Math.min(Math.floor(u), last - 1);
      const weights = [[i, j, (1 - v + i) * (1 - u + j)], [i, j + 1, (1 - v + i) * (u - j)],
                       [i + 1, j, (v - i) * (1 - u + j)], [i + 1, j + 1, (v - i) * (u - j)]];
      const out = new Float64Array(size);
      for (const [row, column, weight] of weights) {
        const start = ((context * net.side + row) * net.side + column) * size;
        for (let k = 0; k < size; k++) out[k] += (weight * values[start + k]) / 65535;
      }
      return out;
    };
  }

  function paint(canvas, picture, shape) {
    const [height, width, channels] = shape;
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true }); // pictures are small: no need of a GPU
    const image = context.createImageData(width, height);
    for (let p = 0; p < width * height; p++) {
      for (let c = 0; c < 3; c++) image.data[4 * p + c] = Math.round(255 * picture[p * channels + (channels === 3 ? c : 0)]);
      image.data[4 * p + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  // Dragging, for a mouse, a pen or a finger: `moved(x, y)` in [-1, 1], y upwards.
  function draggable(element, moved) {
    let held = false;
    const tell = (event) => {
      const box = element.getBoundingClientRect();
      const at = (t) => Math.min(Math.max(t, -1), 1);
      moved(at((2 * (event.clientX - box.left)) / box.width - 1), at(1 - (2 * (event.clientY - box.top)) / box.height));
    };
    element.addEventListener("pointerdown", (event) => { held = true; element.setPointerCapture(event.pointerId); tell(event); });
    element.addEventListener("pointermove", (event) => held && tell(event));
    element.addEventListener("pointerup", () => { held = false; });
    element.addEventListener("pointercancel", () => { held = false; });
  }

  // A point in the colour and marker of its class.
  function mark(context, x, y, size, spec, i) {
    const look = spec.looks[spec.labels ? spec.labels[i] : 0];
    context.fillStyle = look[0];
    context.globalAlpha = 0.75;
    context.beginPath();
    if (look[1] === "^") {
      context.moveTo(x, y - 1.3 * size);
      context.lineTo(x + 1.2 * size, y + size);
      context.lineTo(x - 1.2 * size, y + size);
    } else if (look[1] === "s") context.rect(x - 0.9 * size, y - 0.9 * size, 1.8 * size, 1.8 * size);
    else context.arc(x, y, size, 0, 7);
    context.fill();
  }

  // About five round numbers between two.
  function ticks(low, high) {
    const rough = (high - low) / 5 || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough), out = [];
    for (let k = Math.ceil(low / step); k * step <= high; k++) out.push(Number((k * step).toPrecision(6)));
    return out;
  }

  function classChoice(one, choose) {
    const select = document.createElement("select");
    select.append(...one.classes.map((text, k) => new Option(text, k, false, k === one.chosen)));
    select.addEventListener("change", () => choose(select.selectedIndex));
    return select;
  }

  // A slider over the training data's range, and beside it the number in the user's units, which can also be typed.
  function numberChoice(one, choose) {
    const slider = document.createElement("input"), number = document.createElement("input");
    const own = (t) => Number((one.is_log ? Math.exp(t * one.scale + one.shift) : t * one.scale + one.shift).toPrecision(4));
    const encoded = (value) => ((one.is_log ? Math.log(value) : value) - one.shift) / one.scale;
    Object.assign(slider, { type: "range", min: one.low, max: one.high, step: "any", value: one.chosen });
    Object.assign(number, { type: "number", step: "any", value: own(one.chosen), ariaLabel: one.name });
    slider.title = number.title = `${own(one.low)} to ${own(one.high)} in the training data`;
    slider.addEventListener("input", () => { number.value = own(Number(slider.value)); choose(Number(slider.value)); });
    number.addEventListener("input", () => {
      const t = number.value === "" ? NaN : encoded(Number(number.value));
      if (!Number.isFinite(t)) return;
      slider.value = t;
      choose(t);
    });
    return [slider, number];
  }

  function explorer(spec) {
    const size = spec.shape.reduce((a, b) => a * b, 1), dim = spec.centre.length;
    const plane = {
      // Keep the components off the plane, which the sliders set.
      move: (z, a, b) => {
        const [x, y] = plane.coordinates(z), right = (a - x) * spec.spans[0], up = (b - y) * spec.spans[1];
        return z.map((value, d) => value + right * spec.axes[0][d] + up * spec.axes[1][d]);
      },
      coordinates: (z) => [0, 1].map((k) => spec.axes[k].reduce((s, w, d) => s + w * (z[d] - spec.centre[d]), 0) / spec.spans[k]),
    };
    const decoder = spec.decoder.kind === "weights" ? denseDecoder(spec.decoder) : gridDecoder(spec.decoder, plane, size, spec);
    const chosen = spec.contexts.map((one) => one.chosen);
    const decode = (value) => decoder(value, chosen, spec.contexts);
    // Pictures decoded beforehand show the plane and the lines through its centre, and nothing beside them.
    const from = () => (spec.decoder.lines ? spec.centre.slice() : z);
    const canvas = document.getElementById("decoded"), pad = document.getElementById("pad"), dot = document.getElementById("dot");
    const sliders = [];
    let z = spec.centre.slice();

    // The test codes in the plane, in the colours of the map.
    function codes() {
      const canvas = document.getElementById("codes"), box = canvas.getBoundingClientRect();
      const scale = window.devicePixelRatio || 1, context = canvas.getContext("2d");
      canvas.width = box.width * scale;
      canvas.height = box.height * scale;
      context.setTransform(scale, 0, 0, scale, 0, 0);
      data.map.maps[0].points.forEach((p, i) => {
        const x = (1 + p[0] / spec.spans[0]) / 2, y = (1 - p[1] / spec.spans[1]) / 2;
        mark(context, x * box.width, y * box.height, 2, data.map, i);
      });
    }
    if (data.map) codes();

    function show() {
      paint(canvas, decode(z), spec.shape);
      const [a, b] = plane.coordinates(z).map((t) => Math.min(Math.max(t, -1), 1));
      dot.style.left = `${50 + 50 * a}%`;
      dot.style.top = `${50 - 50 * b}%`;
      for (const { input, label, index } of sliders) {
        input.value = z[index];
        label.textContent = z[index].toFixed(2).replace(/^-0\.00$/, "0.00");
      }
      window.jaxvae.z = z.slice();
    }
    draggable(pad, (a, b) => { z = plane.move(from(), a, b); show(); });
    pad.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [0.05, 0], ArrowLeft: [-0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] }[event.key];
      if (!step) return;
      event.preventDefault();
      const [a, b] = plane.coordinates(z);
      z = plane.move(from(), a + step[0], b + step[1]);
      show();
    });
    for (const { index, low, high, about } of spec.sliders) {
      const row = document.createElement("label"), input = document.createElement("input"), label = document.createElement("output");
      const name = document.createElement("span");
      name.textContent = `z[${index}]  ${about}`;
      Object.assign(input, { type: "range", min: low, max: high, step: (high - low) / 400 });
      input.id = `slider-${index}`;
      input.addEventListener("input", () => { z = from(); z[index] = Number(input.value); show(); });
      row.append(name, input, label);
      document.getElementById("sliders").append(row);
      sliders.push({ input, label, index });
    }
    const choose = (i, value) => { chosen[i] = value; show(); };
    spec.contexts.forEach((one, i) => {
      const row = document.createElement("label"), name = document.createElement("span");
      name.textContent = one.name;
      row.append(name, ...(one.classes ? [classChoice(one, (k) => choose(i, k))] : numberChoice(one, (t) => choose(i, t))));
      row.querySelector("select, input").id = `context-${i}`;
      document.getElementById("contexts").append(row);
    });
    document.getElementById("reset").addEventListener("click", () => { z = spec.centre.slice(); show(); });
    window.jaxvae = { z, decode: (value) => Array.from(decode(value)), set: (value) => { z = value.slice(); show(); } };
    show();
  }

  // Points in a plane, by maps that one can switch between; under the pointer the nearest one.
  function map(spec) {
    const canvas = document.getElementById("map"), context = canvas.getContext("2d");
    const tip = document.getElementById("tip"), caption = document.getElementById("caption");
    const thumbs = new Image(), picture = tip.querySelector("canvas");
    if (spec.thumbs) thumbs.src = spec.thumbs;
    else picture.hidden = true;
    let at = [], chosen = 0;

    function draw() {
      const scale = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
      canvas.width = box.width * scale;
      canvas.height = box.height * scale;
      context.setTransform(scale, 0, 0, scale, 0, 0);
      const points = spec.maps[chosen].points, margin = 10;
      const extent = [0, 1].map((k) => [Math.min(...points.map((p) => p[k])), Math.max(...points.map((p) => p[k]))]);
      const place = (p, k, length) => margin + ((p[k] - extent[k][0]) / (extent[k][1] - extent[k][0] || 1)) * (length - 2 * margin);
      at = points.map((p) => [place(p, 0, box.width), box.height - place(p, 1, box.height)]);
      context.clearRect(0, 0, box.width, box.height);
      axes(box, extent, place);
      at.forEach(([x, y], i) => mark(context, x, y, 3, spec, i));
    }
    function axes(box, extent, place) {
      context.globalAlpha = 1;
      context.fillStyle = context.strokeStyle = "#66727f";
      context.font = "11px system-ui, sans-serif";
      const names = spec.maps[chosen].axes;
      for (const value of ticks(...extent[0])) {
        const x = place([value, 0], 0, box.width);
        context.fillRect(x, box.height - 5, 1, 5);
        context.fillText(value, x + 3, box.height - 2);
      }
      for (const value of ticks(...extent[1])) {
        const y = box.height - place([0, value], 1, box.height);
        context.fillRect(0, y, 5, 1);
        context.fillText(value, 7, y + 4);
      }
      context.textAlign = "right";
      context.fillText(names[0], box.width - 8, box.height - 16);
      context.textAlign = "left";
      context.fillText(names[1], 8, 14);
    }
    function hover(event) {
      const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
      let best = -1, least = 400;
      at.forEach(([px, py], i) => {
        const d = (px - x) ** 2 + (py - y) ** 2;
        if (d < least) [best, least] = [i, d];
      });
      tip.hidden = best < 0;
      if (best < 0) return;
      if (spec.thumbs) {
        const [height, width] = spec.thumb, column = best % spec.columns, row = Math.floor(best / spec.columns);
        picture.width = width;
        picture.height = height;
        picture.getContext("2d").drawImage(thumbs, column * width, row * height, width, height, 0, 0, width, height);
      }
      caption.textContent = spec.captions[best];
      tip.style.left = `${Math.max(Math.min(at[best][0] + 14, box.width - tip.offsetWidth - 10), 0)}px`;
      tip.style.top = `${Math.max(at[best][1] - 60, 0)}px`;
    }
    canvas.addEventListener("pointermove", hover);
    canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
    const buttons = document.getElementById("maps");
    spec.maps.forEach((one, index) => {
      const button = document.createElement("button");
      button.textContent = one.name;
      button.setAttribute("aria-pressed", index === 0);
      button.addEventListener("click", () => {
        chosen = index;
        for (const other of buttons.children) other.setAttribute("aria-pressed", other === button);
        draw();
      });
      buttons.append(button);
    });
    (spec.labels ? spec.names : []).forEach((name, i) => {
      const entry = document.createElement("span");
      entry.textContent = name;
      entry.style.setProperty("--color", spec.looks[i][0]);
      entry.dataset.marker = spec.looks[i][1];
      document.getElementById("legend").append(entry);
    });
    window.addEventListener("resize", draw);
    draw();
  }

  window.jaxvae = {};
  if (data.explorer) explorer(data.explorer);
  if (data.map) map(data.map);
})();
