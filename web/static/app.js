// The dashboard's script. Everything can be read without it: it keeps pages fresh, draws charts and knows keys.
"use strict";
(() => {
  const root = document.documentElement.dataset.root;
  const live = document.getElementById("live");

  // Theme: what the system says, unless a person chose another.
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
  document.getElementById("theme")?.addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).getPropertyValue("--ground").trim() === "#0f1513";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", document.documentElement.dataset.theme);
    charts();
  });

  // One stream for each tab, closed while nobody sees it: browsers allow few connections to a host. Without a
  // stream the page asks every two seconds.
  let stream, poll, paused = false, ticked = 0;
  const say = (text, state) => { if (live) { live.textContent = text; live.className = "live" + (state ? " " + state : ""); } };
  const busy = () => document.querySelector("main details[open] form") ||
    document.querySelector("main :is(input, select, textarea):focus") || document.querySelector("main[data-still]");
  const tick = () => {
    ticked = Date.now();
    if (!paused && !busy()) document.body.dispatchEvent(new Event("tick"));
  };
  const ask = () => { clearInterval(poll); poll = setInterval(tick, 2000); };
  const open = () => {
    close();
    if (paused || !live) return;
    say("live");
    stream = new EventSource(root + "api/v1/events?topic=totals");
    stream.onmessage = tick;
    stream.addEventListener("totals", tick);
    stream.onopen = () => { clearInterval(poll); say("live"); };
    stream.onerror = () => {
      if (stream.readyState === EventSource.CLOSED) stream.close();
      ask();
    };
  };
  const close = () => { stream?.close(); stream = undefined; clearInterval(poll); };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return close();
    open();
    tick();
  });
  document.getElementById("pause")?.addEventListener("click", (e) => {
    paused = !paused;
    e.target.setAttribute("aria-pressed", paused);
    e.target.textContent = paused ? "Resume" : "Pause";
    if (paused) { close(); say("paused", "off"); } else { open(); tick(); }
  });
  document.body.addEventListener("htmx:after:swap", () => charts());
  document.body.addEventListener("htmx:error", () => say("no answer from the broker", "lost"));
  document.body.addEventListener("htmx:after:request", () => { if (!paused) say("live"); });

  // A notice is said once, not again when the page is loaded anew.
  const here = new URL(location.href);
  if (here.searchParams.has("done")) {
    ["done", "bad", "sign"].forEach((name) => here.searchParams.delete(name));
    history.replaceState(null, "", here);
  }

  // Keys: / finds, g goes, ? tells.
  let going = false;
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) return;
    const to = { o: "", f: "functions", j: "jobs", w: "workers", s: "system" }[e.key];
    if (going && to !== undefined) { location.href = root + to; e.preventDefault(); }
    going = e.key === "g";
    if (e.key === "/") { document.querySelector("form.find input").focus(); e.preventDefault(); }
    if (e.key === "?") document.getElementById("keys")?.toggleAttribute("open");
  });

  // Bulk actions on many objects want the number typed.
  document.addEventListener("submit", (e) => {
    const want = e.target.dataset.confirm;
    const typed = e.target.querySelector("input[name=confirm]");
    if (want && typed && typed.value !== want) {
      e.preventDefault();
      typed.setCustomValidity("Type " + want + " to confirm.");
      typed.reportValidity();
      typed.addEventListener("input", () => typed.setCustomValidity(""), { once: true });
    }
  });

  document.addEventListener("click", (e) => {
    const copy = e.target.closest("[data-copy]");
    if (!copy) return;
    const text = copy.dataset.copy, done = () => { copy.textContent = "copied"; };
    if (navigator.clipboard) { navigator.clipboard.writeText(text).then(done); return; }
    const area = document.createElement("textarea"); // over plain HTTP there is no clipboard
    area.value = text; document.body.append(area); area.select(); document.execCommand("copy"); area.remove(); done();
  });

  // Charts: numbers stand in a table beside each; without this script that is what one sees.
  const drawn = new Map();
  function charts() {
    if (typeof uPlot === "undefined") return;
    const style = getComputedStyle(document.documentElement), colour = (n) => style.getPropertyValue(n).trim();
    document.querySelectorAll("[data-chart]").forEach((box) => {
      const raw = box.dataset.chart, key = box.id;
      const old = drawn.get(key);
      if (old && old.box === box && old.raw === raw && old.ink === colour("--ink")) return;
      old?.plot.destroy();
      const given = JSON.parse(raw), inks = [colour("--accent"), colour("--warn"), colour("--bad"), colour("--dim")];
      const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line-soft"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
      const plot = new uPlot({
        width: Math.max(box.clientWidth, 240), height: 200, legend: { live: true }, cursor: { points: { show: false } },
        scales: { x: { time: true }, y: { range: (_, min, max) => [0, Math.max(max * 1.1, 1)] } },
        axes: [axis, { ...axis, size: 56 }],
        series: [{ label: "time" }, ...given.series.map((s, i) => ({ label: s, stroke: inks[i % 4], width: 1.6, dash: i % 2 ? [5, 3] : undefined, points: { show: false } }))],
      }, given.data, box);
      drawn.set(key, { box, raw, ink: colour("--ink"), plot });
    });
  }
  addEventListener("resize", () => { drawn.forEach((d) => { d.raw = ""; }); charts(); });
  charts();
  if (!document.hidden) open();
})();
