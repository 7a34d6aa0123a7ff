// Charts, drawn by uPlot from the JSON that stands beside them.
"use strict";
(() => {
  const drawn = new Map();
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const palette = () => ["--line1", "--line2", "--line3", "--line4", "--line5", "--line6"].map(css);
  const dashes = [[], [6, 4], [2, 3], [10, 4, 2, 4]];

  function seconds(value) {
    if (value === null || value === undefined) {
      return "–";
    }
    const whole = Math.round(value);
    if (whole < 120) {
      return value < 10 && value % 1 ? `${value.toFixed(1)}s` : `${whole}s`;
    }
    const minutes = Math.floor(whole / 60);
    return minutes < 120 ? `${minutes}m${whole % 60 ? String(whole % 60).padStart(2, "0") + "s" : ""}` : `${Math.floor(minutes / 60)}h${minutes % 60 ? String(minutes % 60).padStart(2, "0") : ""}`;
  }
  const axis = (more) => ({ stroke: css("--text"), grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1 }, ...more });
  const time = () => axis({ values: (_, splits) => splits.map(seconds) });
  const range = (_, low, high) => (low === null ? [0, 1] : low === high ? [low - Math.abs(low) * 0.1 - 0.1, high + Math.abs(high) * 0.1 + 0.1] : [low, high]);

  function base(place, value, height) {
    return {
      width: Math.max(200, place.clientWidth),
      height,
      title: value.title,
      padding: [8, 12, 0, 0],
      cursor: { drag: { x: true, y: false } },
      legend: { live: true },
    };
  }

  function lines(place, value, stepped) {
    const colours = palette();
    const path = stepped ? uPlot.paths.stepped({ align: 1 }) : undefined;
    return [
      {
        ...base(place, value, 220),
        scales: { x: { time: false, range }, y: { range: (u, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.08] } },
        axes: [time(), axis({ size: 58, label: value.unit, labelSize: 18, labelFont: "12px sans-serif" })],
        series: [
          { label: "after", value: (_, v) => seconds(v) },
          ...value.series.map((one, i) => ({
            label: one.label,
            stroke: colours[i % colours.length],
            dash: dashes[Math.floor(i / colours.length) % dashes.length],
            width: 2,
            paths: path,
            points: { show: value.x.length < 40 },
            value: (_, v) => (v === null || v === undefined ? "–" : `${Number(v.toPrecision(4))} ${value.unit}`),
          })),
        ],
      },
      [value.x, ...value.series.map((one) => one.y)],
    ];
  }

  // Lines across the picture, with their names: scores that earn medals, our own scores.
  function marks(value, across) {
    const colour = { gold: css("--gold-line"), silver: css("--silver-line"), bronze: css("--bronze-line"), median: css("--text") };
    return (u) => {
      const { ctx, bbox } = u;
      const ratio = devicePixelRatio;
      ctx.save();
      ctx.textAlign = "left";
      ctx.textBaseline = "alphabetic";
      ctx.font = `${11 * ratio}px sans-serif`;
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      let last = -Infinity;
      let row = 0;
      const all = [...value.lines].sort((a, b) => u.valToPos(a.at, across, true) - u.valToPos(b.at, across, true));
      for (const line of all) {
        const at = Math.round(u.valToPos(line.at, across, true)) + 0.5;
        row = at - last < 60 * ratio ? row + 1 : 0;
        last = at;
        ctx.strokeStyle = colour[line.name] ?? css("--text");
        ctx.fillStyle = css("--text");
        ctx.lineWidth = 1.5 * ratio;
        ctx.setLineDash(line.name === "median" ? [2 * ratio, 4 * ratio] : [8 * ratio, 4 * ratio]);
        ctx.beginPath();
        if (across === "x") {
          ctx.moveTo(at, bbox.top);
          ctx.lineTo(at, bbox.top + bbox.height);
          ctx.stroke();
          ctx.fillText(line.name, at + 4 * ratio, bbox.top + (12 + 13 * row) * ratio);
        } else {
          ctx.moveTo(bbox.left, at);
          ctx.lineTo(bbox.left + bbox.width, at);
          ctx.stroke();
          ctx.fillText(line.name, bbox.left + (6 + 52 * (row % 6)) * ratio, at - 4 * ratio);
        }
      }
      ctx.setLineDash([]);
      for (const own of value.ours ?? []) {
        const at = u.valToPos(own.at, "x", true);
        const foot = bbox.top + bbox.height;
        const reach = 9 * ratio;
        ctx.fillStyle = css("--ours");
        ctx.strokeStyle = css("--page");
        ctx.beginPath();
        ctx.moveTo(at, foot - 2 * reach);
        ctx.lineTo(at - reach * 0.7, foot);
        ctx.lineTo(at + reach * 0.7, foot);
        ctx.closePath();
        ctx.fill();
        ctx.stroke();
      }
      ctx.restore();
    };
  }

  function scores(place, value) {
    const ends = value.lines.map((line) => line.at);
    const known = value.y.filter((y) => y !== null);
    const near = [...known, ...ends];
    const low = Math.min(...near);
    const high = Math.max(...near);
    const room = (high - low || Math.abs(high) || 1) * 0.08;
    return [
      {
        ...base(place, { title: `score (${value.lower_better ? "lower" : "higher"} is better)` }, 260),
        scales: { x: { time: false, range: (_, a, b) => [Math.min(0, a ?? 0), (b || 1) * 1.05] }, y: { range: () => [low - room, high + room] } },
        axes: [time(), axis({ size: 70 })],
        series: [
          { label: "after", value: (_, v) => seconds(v) },
          { label: "score", stroke: css("--line1"), width: 2, paths: uPlot.paths.stepped({ align: 1 }), points: { show: true, size: 8, fill: css("--line1") } },
        ],
        hooks: { draw: [marks(value, "y")] },
      },
      [value.x, value.y],
    ];
  }

  function distribution(place, value) {
    const middle = value.counts.map((_, i) => (value.edges[i] + value.edges[i + 1]) / 2);
    const low = value.edges[0];
    const high = value.edges.at(-1);
    const room = (high - low) * 0.03;
    return [
      {
        ...base(place, { title: "" }, 280),
        scales: { x: { time: false, dir: value.lower_better ? -1 : 1, range: () => [low - room, high + room] }, y: { range: (_, a, b) => [0, (b || 1) * 1.25] } },
        axes: [axis({ label: `score, better to the right`, labelSize: 18, labelFont: "12px sans-serif" }), axis({ size: 50, label: "scores", labelSize: 18, labelFont: "12px sans-serif" })],
        series: [
          { label: "score", value: (_, v) => (v === null || v === undefined ? "–" : Number(v.toPrecision(5))) },
          { label: "leaderboard", stroke: css("--bar"), fill: css("--bar"), paths: uPlot.paths.bars({ size: [0.92, 100] }), points: { show: false } },
        ],
        hooks: { draw: [marks(value, "x")] },
      },
      [middle, value.counts],
    ];
  }

  const kinds = {
    lines: (place, value) => lines(place, value, false),
    steps: (place, value) => lines(place, value, true),
    scores,
    distribution,
  };

  function draw(figure) {
    const place = figure.querySelector(".plot");
    const value = JSON.parse(figure.querySelector("script").textContent);
    drawn.get(figure)?.destroy();
    const [options, data] = kinds[figure.dataset.kind](place, value);
    drawn.set(figure, new uPlot(options, data, place));
  }
  function drawAll() {
    for (const figure of drawn.keys()) {
      if (!figure.isConnected) {
        drawn.get(figure).destroy();
        drawn.delete(figure);
      }
    }
    document.querySelectorAll("figure.chart").forEach(draw);
  }
  let width = 0;
  document.addEventListener("DOMContentLoaded", () => {
    drawAll();
    width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth !== width) {
        width = innerWidth;
        for (const [figure, plot] of drawn) {
          plot.setSize({ width: Math.max(200, figure.clientWidth), height: plot.height });
        }
      }
    });
  });
  document.addEventListener("mleb-part", drawAll);
  document.addEventListener("mleb-theme", drawAll);
})();
