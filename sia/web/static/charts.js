// Draws the charts with uPlot from the JSON that lies in the page. Colours come from the style sheet.
"use strict";

const MAX_WHISKERS = 150;
const OUTCOMES = [
  ["first", "--best", "first"],
  ["improved", "--good", "improved"],
  ["indistinguishable", "--dim", "within the noise"],
  ["regressed", "--bad", "regressed"],
  ["untested", "--warn", "untested"],
];
const STAGE_COLOURS = ["--stage-1", "--stage-2", "--stage-3", "--stage-4", "--stage-5", "--stage-6"];
const drawn = new Map();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const short = (value) => (value == null ? "–" : Number(value.toPrecision(4)).toString());

function axis(label, more = {}) {
  return {
    stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") },
    label, labelSize: 20, labelFont: "13px system-ui, sans-serif", font: "12px system-ui, sans-serif", ...more,
  };
}

function points(label, stroke, size, hollow = false) {
  return {
    label, stroke, paths: () => null, value: (_, v) => short(v),
    points: { show: true, size, width: hollow ? 2 : 1, stroke, fill: hollow ? colour("--card") : stroke },
  };
}

function line(label, stroke, more = {}) {
  return { label, stroke, width: 2, value: (_, v) => short(v), points: { show: false }, spanGaps: true, ...more };
}

// Intervals as whiskers; uPlot draws no error bars of its own.
function whiskers(lows, highs, stroke) {
  return (plot) => {
    const { ctx } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
    ctx.clip();
    ctx.strokeStyle = stroke;
    ctx.globalAlpha = 0.55;
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.beginPath();
    plot.data[0].forEach((x, k) => {
      if (lows[k] == null) return;
      const px = Math.round(plot.valToPos(x, "x", true));
      ctx.moveTo(px, plot.valToPos(lows[k], "y", true));
      ctx.lineTo(px, plot.valToPos(highs[k], "y", true));
    });
    ctx.stroke();
    ctx.restore();
  };
}

function scoresOf(data) {
  const many = data.generation.length > MAX_WHISKERS;
  const failed = data.outcome.filter((one) => one === "failed").length;
  const series = [{ label: "generation" }];
  const columns = [data.generation];
  const add = (one, values) => { series.push(one); columns.push(values); };
  add({ ...line("95 % low", "transparent", { width: 0 }), show: true }, data.low);
  add({ ...line("95 % high", "transparent", { width: 0 }), show: true }, data.high);
  add(line("best so far", colour("--best"), { paths: uPlot.paths.stepped({ align: 1 }) }), data.best);
  for (const [outcome, name, label] of OUTCOMES) {
    const values = data.dev.map((value, k) => (data.outcome[k] === outcome ? value : null));
    if (values.some((value) => value != null)) add(points(label, colour(name), many ? 4 : 9), values);
  }
  if (data.sealed.some((value) => value != null)) add(points("sealed", colour("--sealed"), many ? 4 : 8, true), data.sealed);
  return {
    columns, note: failed ? `${failed} failed, without a point` : "",
    options: {
      series,
      bands: many ? [{ series: [2, 1], fill: colour("--line") }] : [],
      scales: { x: { time: false, range: (_, a, b) => [Math.min(a, b) - 0.5, Math.max(a, b) + 0.5] } },
      axes: [axis("generation", { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] }),
        axis(`dev ${data.metric} (better is ${data.lower_is_better ? "lower" : "higher"})`, { size: 64 })],
      hooks: { drawAxes: many ? [] : [whiskers(data.low, data.high, colour("--dim"))] },
    },
  };
}

function stagesOf(data) {
  const paid = Object.values(data.dollars).some((values) => values.some((value) => value > 0));
  const names = Object.keys(data.seconds);
  const series = [{ label: "generation" }];
  const columns = [data.generation];
  // Bars lie on one another, the tallest first: each column is the sum of the stages up to it.
  const sums = names.map((_, k) => data.generation.map((__, g) => names.slice(0, k + 1).reduce((s, n) => s + data.seconds[n][g], 0)));
  names.map((name, k) => [name, k]).reverse().forEach(([name, k]) => {
    const tone = colour(STAGE_COLOURS[k]);
    series.push({ label: `${name} s`, stroke: tone, fill: tone, width: 0, points: { show: false },
      paths: uPlot.paths.bars({ size: [0.7, 60] }), value: (_, v, __, i) => (i == null ? "–" : short(data.seconds[name][i])) });
    columns.push(sums[k]);
  });
  const axes = [axis("generation", { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] }), axis("seconds", { size: 56 })];
  if (paid) {
    const dollars = data.generation.map((_, g) => names.reduce((sum, name) => sum + data.dollars[name][g], 0));
    series.push(line("cost $", colour("--ink"), { scale: "dollars" }));
    columns.push(dollars);
    axes.push(axis("US dollars", { side: 1, scale: "dollars", size: 64, grid: { show: false } }));
  }
  return { columns, height: 220, options: { series, axes,
    scales: { x: { time: false, range: (_, a, b) => [a - 0.7, b + 0.7] }, y: { range: (_, __, high) => [0, high * 1.05 || 1] } } } };
}

function trainingOf(data) {
  const names = Object.keys(data.curves);
  return { columns: [data.step, ...names.map((name) => data.curves[name])], options: {
    series: [{ label: "step" }, ...names.map((name, k) => line(name, colour(STAGE_COLOURS[k % 6]), { show: k < 4 }))],
    scales: { x: { time: false } }, axes: [axis("step"), axis("", { size: 56 })] } };
}

function compareOf(curves) {
  const steps = [...new Set(curves.flatMap((one) => one.generation))].sort((a, b) => a - b);
  const series = [{ label: "generation" }];
  const columns = [steps];
  curves.forEach((one, k) => {
    const tone = colour(STAGE_COLOURS[k % 6]);
    const at = (values) => { const map = new Map(one.generation.map((g, i) => [g, values[i]])); return steps.map((g) => map.get(g) ?? null); };
    series.push(line(`run ${one.name}: best so far`, tone, { paths: uPlot.paths.stepped({ align: 1 }) }), points(`run ${one.name}: dev`, tone, 6));
    columns.push(at(one.best), at(one.dev));
  });
  return { columns, options: { series, scales: { x: { time: false, range: (_, a, b) => [a - 0.5, b + 0.5] } },
    axes: [axis("generation", { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] }), axis(curves[0].metric, { size: 64 })] } };
}

const KINDS = { scores: scoresOf, stages: stagesOf, training: trainingOf, compare: compareOf };

function draw(box) {
  const source = document.getElementById(box.dataset.chart);
  if (!source) return;
  const text = source.textContent;
  const width = Math.floor(box.clientWidth);
  const before = drawn.get(box);
  if (before && before.text === text && before.width === width && !before.stale) return;
  if (before) before.plot?.destroy();
  box.replaceChildren();
  const data = JSON.parse(text);
  const steps = Array.isArray(data) ? data.flatMap((one) => one.generation) : data.generation ?? data.step;
  if (!steps.length) {
    box.textContent = "Nothing to draw yet.";
    drawn.set(box, { text, width });
    return;
  }
  const { columns, options, note, height = 320 } = KINDS[box.dataset.chart](data);
  const plot = new uPlot({ width, height: width < 500 ? Math.min(height, 260) : height, legend: { live: true }, cursor: { points: { size: 9 } }, ...options }, columns, box);
  plot.root.setAttribute("role", "img");
  plot.root.setAttribute("aria-label", `${box.dataset.chart} chart; the table on this page holds its figures`);
  if (note) box.append(Object.assign(document.createElement("div"), { className: "chart-keys", textContent: note }));
  if (box.dataset.run) {
    plot.over.addEventListener("click", () => {
      const k = plot.cursor.idx;
      if (k != null && plot.select.width < 3) location.href = `${box.dataset.run}/${columns[0][k]}`;
    });
  }
  drawn.set(box, { text, width, plot });
}

function drawAll(stale = false) {
  for (const box of document.querySelectorAll("[data-chart]")) {
    if (stale && drawn.has(box)) drawn.get(box).stale = true;
    draw(box);
  }
}

document.addEventListener("DOMContentLoaded", () => drawAll());
document.addEventListener("sia:updated", () => drawAll());
addEventListener("resize", () => { clearTimeout(drawAll.timer); drawAll.timer = setTimeout(drawAll, 120); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(true));
