"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const ROW_GAP = 54, TITLE_WIDTH = 7.6, TITLE_LINE = 17, NAME_WIDTH = 6.6;  // a letter's mean width, a line's height

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const onScreen = () => ({
    text: color("--text"), soft: color("--soft"), line: color("--line"), panel: color("--panel"), head: color("--head"),
  });
  const onPaper = () => ({ text: "#1c2430", soft: "#5a6675", line: "#e2e6ec", panel: "#ffffff", head: "#f2f5f8" });

  // Row names too long for the left margin are drawn inside the plot, above their rows.
  function placeRowNames(layout, width) {
    const axis = layout.yaxis, names = (axis && axis.type === "category" && axis.automargin && axis.categoryarray) || [];
    if (!names.some((name) => name.length * NAME_WIDTH > 0.4 * width)) return;
    axis.automargin = axis.showticklabels = false;
    layout.margin.l = 12;
    layout.annotations = names.map((name) => ({ text: name, xref: "paper", x: 0, xanchor: "left", y: name,
      yanchor: "bottom", yshift: 5, showarrow: false, font: { size: 12 } }));
  }

  // A panel's title in as many lines as its width asks for; returns the most that any panel has.
  function wrapTitles(layout, width) {
    let most = 1;
    for (const title of layout.annotations || []) {
      if (title.name !== "title") continue;
      const lines = [""];
      for (const word of title.text.replace(/^<b>|<\/b>$/g, "").split(" ")) {
        const longer = lines.at(-1) ? lines.at(-1) + " " + word : word;
        if (lines.at(-1) && longer.length * TITLE_WIDTH > width) lines.push(word);
        else lines[lines.length - 1] = longer;
      }
      title.text = `<b>${lines.join("<br>")}</b>`;
      title.align = "left";
      most = Math.max(most, lines.length);
    }
    return most;
  }

  // Panels in as many columns as the width carries; the axes' domains follow.
  function placePanels(layout, width) {
    const grid = layout.meta && layout.meta.grid;
    if (!grid) return;
    placeRowNames(layout, width);
    const plotWidth = Math.max(120, width - layout.margin.l - layout.margin.r);
    const gap = grid.shareY ? 22 : 58;
    const columns = Math.max(1, Math.min(grid.columns, Math.floor((plotWidth + gap) / (grid.minWidth * 0.9))));
    const rows = Math.ceil(grid.panels / columns);
    const panelWidth = Math.min((plotWidth - gap * (columns - 1)) / columns, grid.maxWidth || Infinity);
    const more = TITLE_LINE * (wrapTitles(layout, panelWidth + gap / 2) - 1);
    const rowGap = (rows > 1 && columns === 1 && !grid.shareY ? ROW_GAP + 20 : ROW_GAP) + more;
    const plotHeight = rows * grid.rowHeight + (rows - 1) * rowGap;
    layout.height = plotHeight + grid.top + more + layout.margin.b;
    layout.margin.t = grid.top + more;
    for (let i = 0; i < grid.panels; i++) {
      const row = Math.floor(i / columns), column = i % columns, suffix = i ? i + 1 : "";
      const left = column * (panelWidth + gap), top = row * (grid.rowHeight + rowGap);
      const last = i + columns >= grid.panels;
      const x = layout["xaxis" + suffix], y = layout["yaxis" + suffix];
      x.domain = [left / plotWidth, Math.min(1, (left + panelWidth) / plotWidth)];
      y.domain = [Math.max(0, 1 - (top + grid.rowHeight) / plotHeight), 1 - top / plotHeight];
      x.showticklabels = last;
      x.title = { text: last ? grid.xTitle : "", standoff: 6 };
      if (y.type !== "category") y.showticklabels = column === 0 || !grid.shareY;
    }
  }

  function dress(layout, { text, soft, line, panel, head }) {
    layout.font = { ...layout.font, color: text };
    layout.paper_bgcolor = layout.plot_bgcolor = panel;
    layout.hoverlabel = { bgcolor: head, bordercolor: line, font: { color: text, size: 13 } };
    layout.dragmode = coarse.matches ? false : "zoom";
    for (const name of Object.keys(layout)) {
      if (!/^[xy]axis/.test(name)) continue;
      Object.assign(layout[name], { gridcolor: line, linecolor: line, zeroline: false, tickfont: { color: soft, size: 12 } });
    }
  }

  const figures = [...document.querySelectorAll(".figure")].map((element) => ({
    element,
    plot: element.querySelector(".plot"),
    spec: null,
    title: element.querySelector("h3").textContent,
    keys: [...element.querySelectorAll(".key")].map((key) => ({ key, groups: JSON.parse(key.dataset.groups) })),
    hidden: new Set(),
    width: 0,
  }));

  // Large figures are deflated.
  async function read(figure) {
    const script = figure.element.querySelector("script");
    if (!("packed" in script.dataset)) return JSON.parse(script.textContent);
    const bytes = Uint8Array.from(atob(script.textContent), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
  }

  function laidOut(figure, width, colors) {
    const layout = structuredClone(figure.spec.layout);
    layout.width = width;
    placePanels(layout, width);
    dress(layout, colors);
    return layout;
  }

  function draw(figure, width = Math.floor(figure.plot.clientWidth), colors = onScreen()) {
    if (!width || !figure.spec) return;
    figure.width = width;
    const config = { displayModeBar: false, responsive: false, doubleClick: "reset" };
    return Plotly.react(figure.plot, figure.plot.data || figure.spec.data, laidOut(figure, width, colors), config);
  }

  const observer = new ResizeObserver((entries) => {
    for (const entry of entries) {
      const figure = figures.find((candidate) => candidate.plot === entry.target);
      if (figure && Math.floor(entry.contentRect.width) !== figure.width) draw(figure);
    }
  });
  Promise.all(figures.map(async (figure) => { figure.spec = await read(figure); await draw(figure); })).then(() => {
    figures.forEach((figure) => observer.observe(figure.plot));
    document.documentElement.dataset.drawn = String(figures.length);
  });
  dark.addEventListener("change", () => figures.forEach((figure) => draw(figure)));

  // Print on white and narrow paper what the reader has opened.
  const PAPER_WIDTH = 690;
  addEventListener("beforeprint", () => {
    observer.disconnect();
    figures.filter((figure) => figure.width).forEach((figure) => draw(figure, PAPER_WIDTH, onPaper()));
  });
  addEventListener("afterprint", () => {
    figures.forEach((figure) => { draw(figure); observer.observe(figure.plot); });
  });

  // A legend switches its groups; a double click leaves one alone, or brings all back.
  function show(figure) {
    for (const { key, groups } of figure.keys) key.ariaPressed = String(groups.some((group) => !figure.hidden.has(group)));
    if (!figure.plot.data) return;
    Plotly.restyle(figure.plot, { visible: figure.plot.data.map((trace) => !figure.hidden.has(trace.legendgroup)) });
  }
  function isolate(figure, groups) {
    const every = figure.keys.flatMap((entry) => entry.groups);
    figure.hidden = new Set(every.filter((group) => !groups.includes(group)));
    show(figure);
  }
  for (const figure of figures) {
    const every = figure.keys.flatMap((entry) => entry.groups);
    for (const { key, groups } of figure.keys) {
      key.addEventListener("click", () => {
        const hide = key.ariaPressed === "true";
        groups.forEach((group) => (hide ? figure.hidden.add(group) : figure.hidden.delete(group)));
        show(figure);
      });
      key.addEventListener("dblclick", () => {
        const alone = every.every((group) => groups.includes(group) !== figure.hidden.has(group));
        isolate(figure, alone ? every : groups);
      });
    }
    for (const button of figure.element.querySelectorAll("[data-save]")) {
      button.addEventListener("click", () => save(figure, button.dataset.save));
    }
  }

  // A saved figure is complete: white, with its title, and with a legend of the lines that are shown.
  function save(figure, format) {
    const width = Math.max(figure.plot.clientWidth, 640);
    const layout = laidOut(figure, width, onPaper()), named = new Set();
    const labels = new Map(figure.keys.flatMap(({ key, groups }) => groups.map((group) => [group, key.textContent.trim()])));
    const data = (figure.plot.data || figure.spec.data).map((trace) => {
      const label = labels.get(trace.legendgroup), first = trace.hoverinfo !== "skip" && label && !named.has(label);
      if (first) named.add(label);
      return { ...trace, name: label || trace.name, showlegend: Boolean(first) };
    });
    const lines = Math.ceil(named.size / Math.max(1, Math.floor(width / 190)));
    const head = 34, foot = named.size ? 26 * lines + 14 : 0;
    layout.title = { text: `<b>${figure.title.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</b>`, x: 0, xref: "paper",
      xanchor: "left", y: 1, yref: "container", yanchor: "top", pad: { t: 12 }, font: { size: 15 } };
    layout.margin.t += head;
    layout.margin.b += foot;
    layout.height += head + foot;
    layout.showlegend = named.size > 0;
    layout.legend = { orientation: "h", x: 0, xanchor: "left", y: 0, yref: "container", yanchor: "bottom" };
    layout.paper_bgcolor = layout.plot_bgcolor = "#ffffff";
    Plotly.downloadImage({ data, layout }, { format, filename: figure.element.id, scale: 2, width, height: layout.height });
  }

  // A variant's name links to its curves, which then show it alone.
  for (const heading of document.querySelectorAll("th[data-group]")) {
    const chapter = heading.closest("section").id.split("-")[0] + "-", group = heading.dataset.group;
    const showing = figures.filter((figure) => figure.element.closest("section").id.startsWith(chapter)
      && figure.keys.length > 1 && figure.keys.some((entry) => entry.groups.includes(group)));
    if (!showing.length) continue;
    const link = document.createElement("a"), text = heading.querySelector("span");
    const first = showing.find((figure) => !heading.closest("section").contains(figure.element)) || showing[0];
    link.href = "#" + first.element.id;
    link.className = "to-curves";
    link.title = "Show it alone in the curves";
    link.append(...text.childNodes);
    text.append(link);
    link.addEventListener("click", () => {
      showing.forEach((figure) => isolate(figure, [group]));
      document.querySelectorAll("tr.chosen").forEach((row) => row.classList.remove("chosen"));
      document.querySelectorAll("th[data-group]").forEach((other) => {
        if (other.dataset.group === group) other.parentElement.classList.add("chosen");
      });
    });
  }
  for (const button of document.querySelectorAll(".all-lines")) {
    button.addEventListener("click", () => {
      const figure = figures.find((candidate) => candidate.element.contains(button));
      isolate(figure, figure.keys.flatMap((entry) => entry.groups));
    });
  }

  // Tables sort by a column, with what is missing last, and are saved as CSV.
  const sortKey = (row, index) => row.cells[index].dataset.sort || row.cells[index].textContent.trim();
  const numberOf = (text) => parseFloat(text.replace(/(\d),(?=\d{3})/g, "$1"));
  function compare(a, b, up) {
    const x = numberOf(a), y = numberOf(b);
    if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
    return (up ? 1 : -1) * (isNaN(x) ? a.localeCompare(b) : x - y);
  }
  for (const button of document.querySelectorAll(".sort")) {
    button.addEventListener("click", () => {
      const heading = button.closest("th"), body = button.closest("table").tBodies[0], index = heading.cellIndex;
      const up = heading.ariaSort !== "ascending";
      heading.parentElement.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      heading.ariaSort = up ? "ascending" : "descending";
      body.append(...[...body.rows].sort((a, b) => compare(sortKey(a, index), sortKey(b, index), up)));
    });
  }

  // A table that is wider than its box says so, and scrolls on a click, until its last column is in sight.
  for (const frame of document.querySelectorAll(".frame")) {
    const box = frame.firstElementChild, more = frame.parentElement.querySelector(".more-columns");
    const update = () => {
      const cut = box.firstElementChild.offsetWidth - box.clientWidth - box.scrollLeft > 4;
      frame.classList.toggle("cut", cut);
      more.hidden = !cut;
    };
    more.addEventListener("click", () => box.scrollBy({ left: 0.7 * box.clientWidth, behavior: "smooth" }));
    box.addEventListener("scroll", update, { passive: true });
    new ResizeObserver(update).observe(box);
    update();
  }

  // In CSV a heading is one line, preceded by its group's; small text below an entry becomes a separate column.
  function tableLines(table) {
    const heads = [...table.tHead.rows], groups = [];
    if (heads.length > 1) {
      for (const cell of heads[0].cells) groups.push(...Array(cell.colSpan).fill(cell.textContent.trim()));
    }
    const rows = [...table.tBodies[0].rows];
    const columns = [...heads.at(-1).cells].map((cell, index) => ({
      title: [groups[index], cell.textContent.trim()].filter(Boolean).join(" "),
      detailed: rows.some((row) => row.cells[index].querySelector("small")),
    }));
    const entry = (cell, { detailed }) => {
      const small = cell.querySelector("small"), text = cell.querySelector("span").textContent.trim();
      const plain = /^[\d,]+$/.test(text) ? text.replaceAll(",", "") : text;
      return [plain, ...(detailed ? [small ? small.textContent.trim().replace(/^± /, "") : ""] : [])];
    };
    const title = ({ title, detailed }) => [title, ...(detailed ? [title + " ±"] : [])];
    return [columns.flatMap(title), ...rows.map((row) => [...row.cells].flatMap((cell, i) => entry(cell, columns[i])))];
  }
  const quoted = (text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  for (const button of document.querySelectorAll(".csv")) {
    button.addEventListener("click", () => {
      const lines = tableLines(button.closest(".table").querySelector("table")).map((line) => line.map(quoted).join(","));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
      link.download = button.dataset.name + ".csv";
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }

  // Filter queries by verdict, level, database and any word; show a page of them at a time.
  const PAGE = 10;
  for (const block of document.querySelectorAll(".queries")) {
    const items = [...block.querySelectorAll(".query")], filters = [...block.querySelectorAll("[data-filter]")];
    const words = items.map((item) => item.textContent.toLowerCase().replace(/\s+/g, " "));
    const output = block.querySelector("output"), more = block.querySelector(".more");
    let shown = PAGE;
    const update = () => {
      const wanted = Object.fromEntries(filters.map((filter) => [filter.dataset.filter, filter.value]));
      const text = wanted.text.trim().toLowerCase();
      const fits = (item, i) => ["verdict", "level", "database"].every((key) => !wanted[key] || item.dataset[key] === wanted[key])
        && words[i].includes(text);
      const found = items.filter(fits);
      items.forEach((item) => { item.hidden = true; });
      found.slice(0, shown).forEach((item) => { item.hidden = false; });
      output.textContent = `${found.length} of ${items.length} questions`;
      more.hidden = found.length <= shown;
    };
    for (const filter of filters) filter.addEventListener("input", () => { shown = PAGE; update(); });
    more.addEventListener("click", () => { shown += 4 * PAGE; update(); });
    update();
  }

  // Mark the section in view in the table of contents.
  const links = new Map([...document.querySelectorAll(".side a")].map((link) => [link.hash.slice(1), link]));
  const spy = new IntersectionObserver((entries) => {
    for (const entry of entries) links.get(entry.target.id)?.classList.toggle("here", entry.isIntersecting);
  }, { rootMargin: "-10% 0px -70% 0px" });
  document.querySelectorAll("section").forEach((section) => spy.observe(section));
})();
