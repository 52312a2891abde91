"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const ROW_GAP = 54;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Panels in as many columns as the width carries; the axes' domains follow.
  function placePanels(layout, width) {
    const grid = layout.meta && layout.meta.grid;
    if (!grid) return;
    const plotWidth = Math.max(120, width - layout.margin.l - layout.margin.r);
    const gap = grid.shareY ? 22 : 58;
    const columns = Math.max(1, Math.min(grid.columns, Math.floor((plotWidth + gap) / (grid.minWidth * 0.9))));
    const rows = Math.ceil(grid.panels / columns);
    const rowGap = rows > 1 && columns === 1 && !grid.shareY ? ROW_GAP + 20 : ROW_GAP;
    const plotHeight = rows * grid.rowHeight + (rows - 1) * rowGap;
    const panelWidth = Math.min((plotWidth - gap * (columns - 1)) / columns, grid.maxWidth || Infinity);
    layout.height = plotHeight + grid.top + layout.margin.b;
    layout.margin.t = grid.top;
    for (let i = 0; i < grid.panels; i++) {
      const row = Math.floor(i / columns), column = i % columns, suffix = i ? i + 1 : "";
      const left = column * (panelWidth + gap), top = row * (grid.rowHeight + rowGap);
      const last = i + columns >= grid.panels;
      const x = layout["xaxis" + suffix], y = layout["yaxis" + suffix];
      x.domain = [left / plotWidth, Math.min(1, (left + panelWidth) / plotWidth)];
      y.domain = [Math.max(0, 1 - (top + grid.rowHeight) / plotHeight), 1 - top / plotHeight];
      x.showticklabels = last;
      x.title = { text: last ? grid.xTitle : "", standoff: 6 };
      y.showticklabels = column === 0 || !grid.shareY;
    }
  }

  function dress(layout) {
    const text = color("--text"), soft = color("--soft"), line = color("--line"), panel = color("--panel");
    layout.font = { ...layout.font, color: text };
    layout.paper_bgcolor = layout.plot_bgcolor = panel;
    layout.hoverlabel = { bgcolor: color("--head"), bordercolor: line, font: { color: text, size: 13 } };
    layout.dragmode = coarse.matches ? false : "zoom";
    for (const name of Object.keys(layout)) {
      if (!/^[xy]axis/.test(name)) continue;
      Object.assign(layout[name], { gridcolor: line, linecolor: line, zeroline: false, tickfont: { color: soft, size: 12 } });
    }
  }

  const figures = [...document.querySelectorAll(".figure")].map((element) => ({
    element,
    plot: element.querySelector(".plot"),
    spec: JSON.parse(element.querySelector("script").textContent),
    width: 0,
  }));

  function draw(figure) {
    const width = Math.floor(figure.plot.clientWidth);
    if (!width) return;
    figure.width = width;
    const layout = structuredClone(figure.spec.layout);
    layout.width = width;
    placePanels(layout, width);
    dress(layout);
    const config = { displayModeBar: false, responsive: false, doubleClick: "reset" };
    return Plotly.react(figure.plot, figure.plot.data || figure.spec.data, layout, config);
  }

  const observer = new ResizeObserver((entries) => {
    for (const entry of entries) {
      const figure = figures.find((candidate) => candidate.plot === entry.target);
      if (figure && Math.floor(entry.contentRect.width) !== figure.width) draw(figure);
    }
  });
  Promise.all(figures.map(draw)).then(() => {
    figures.forEach((figure) => observer.observe(figure.plot));
    document.documentElement.dataset.drawn = String(figures.length);
  });
  dark.addEventListener("change", () => figures.forEach(draw));

  // A legend switches its groups; a double click leaves one alone, or brings all back.
  for (const figure of figures) {
    const keys = [...figure.element.querySelectorAll(".key")];
    const show = () => {
      const hidden = new Set(keys.filter((key) => key.ariaPressed === "false").map((key) => key.dataset.group));
      Plotly.restyle(figure.plot, { visible: figure.plot.data.map((trace) => !hidden.has(trace.legendgroup)) });
    };
    for (const key of keys) {
      key.addEventListener("click", () => {
        key.ariaPressed = key.ariaPressed === "true" ? "false" : "true";
        show();
      });
      key.addEventListener("dblclick", () => {
        const alone = keys.every((other) => (other.ariaPressed === "true") === (other === key));
        keys.forEach((other) => { other.ariaPressed = alone || other === key ? "true" : "false"; });
        show();
      });
    }
    for (const button of figure.element.querySelectorAll("[data-save]")) {
      button.addEventListener("click", () => Plotly.downloadImage(figure.plot, {
        format: button.dataset.save, filename: figure.element.id, scale: 2,
        width: figure.plot.clientWidth, height: figure.plot.clientHeight,
      }));
    }
  }

  // Tables sort by a column and are saved as CSV.
  const sortKey = (row, index) => row.cells[index].dataset.sort || row.cells[index].textContent.trim();
  function compare(a, b) {
    const x = parseFloat(a), y = parseFloat(b);
    if (!isNaN(x) && !isNaN(y)) return x - y;
    if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
    return a.localeCompare(b);
  }
  for (const button of document.querySelectorAll(".sort")) {
    button.addEventListener("click", () => {
      const heading = button.closest("th"), body = button.closest("table").tBodies[0];
      const up = heading.ariaSort !== "ascending";
      heading.parentElement.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      heading.ariaSort = up ? "ascending" : "descending";
      const rows = [...body.rows].sort((a, b) => compare(sortKey(a, heading.cellIndex), sortKey(b, heading.cellIndex)));
      body.append(...(up ? rows : rows.reverse()));
    });
  }
  const quoted = (text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  for (const button of document.querySelectorAll(".csv")) {
    button.addEventListener("click", () => {
      const table = button.closest(".table").querySelector("table");
      const lines = [...table.rows].map((row) => [...row.cells].flatMap((cell) =>
        [quoted(cell.textContent.trim()), ...Array(cell.colSpan - 1).fill("")]).join(","));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
      link.download = button.dataset.name + ".csv";
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }

  // The table of contents says where one is.
  const links = new Map([...document.querySelectorAll(".side a")].map((link) => [link.hash.slice(1), link]));
  const spy = new IntersectionObserver((entries) => {
    for (const entry of entries) links.get(entry.target.id)?.classList.toggle("here", entry.isIntersecting);
  }, { rootMargin: "-10% 0px -70% 0px" });
  document.querySelectorAll("section").forEach((section) => spy.observe(section));
})();
