// The dashboard's script. Everything can be read without it: it keeps pages fresh, draws charts and knows keys.
"use strict";
(() => {
  const root = document.documentElement.dataset.root;
  const live = document.getElementById("live");
  document.documentElement.classList.add("scripted");

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
  let stream, poll, again, paused = false;
  const say = (text, state) => { if (live) { live.textContent = text; live.className = "live" + (state ? " " + state : ""); } };
  const busy = () => document.querySelector("main details[open] form") ||
    document.querySelector("main :is(input, select, textarea):focus") || document.querySelector("main[data-still]");
  const tick = () => {
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
    stream.onopen = () => { clearInterval(poll); tick(); };
    stream.onerror = () => {
      // A broker that starts anew is found again by the browser; one that has refused the stream is asked later.
      if (stream.readyState === EventSource.CLOSED) { clearTimeout(again); again = setTimeout(() => { if (!document.hidden) open(); }, 5000); }
      ask();
    };
  };
  const close = () => { stream?.close(); stream = undefined; clearInterval(poll); clearTimeout(again); };
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
  // What is not a page of the broker, as a proxy answers without one, does not take the place of one; neither does an
  // answer that comes while somebody fills in a form. Whoever is sent elsewhere, to log in again, goes there.
  document.body.addEventListener("htmx:before:swap", (e) => {
    const { text, response } = e.detail.ctx, ours = text.includes('<main id="main"');
    if (ours && response.raw.redirected) location.href = response.raw.url;
    if (!ours) say("no answer from the broker", "lost");
    else if (!paused) say("live");
    if (!ours || paused || busy() || response.raw.redirected) e.preventDefault();
  });
  document.body.addEventListener("htmx:after:swap", () => { bases(); charts(); });
  document.body.addEventListener("htmx:error", () => say("no answer from the broker", "lost"));

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
    if (going && to !== undefined) { location.href = root + to || "./"; e.preventDefault(); }
    going = e.key === "g";
    if (e.key === "/") { document.querySelector("form.find input").focus(); e.preventDefault(); }
    if (e.key === "?") { const keys = document.getElementById("keys"); keys.open ? keys.close() : keys.showModal(); }
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

  // Commands name the address under which this browser sees the dashboard: a proxy's, too.
  const based = (text, e) => e.dataset.base ? text.replace(e.dataset.base, new URL(root || "./", location.href).href) : text;
  const bases = () => document.querySelectorAll("code[data-base]").forEach((e) => { e.textContent = based(e.textContent, e); });
  bases();
  document.addEventListener("click", (e) => {
    const copy = e.target.closest("[data-copy]");
    if (!copy) return;
    const text = based(copy.dataset.copy, copy), done = () => { copy.textContent = "copied"; };
    const plainly = () => { // over plain HTTP there is no clipboard
      const area = document.createElement("textarea");
      area.value = text; document.body.append(area); area.focus(); area.select();
      if (document.execCommand("copy")) done();
      area.remove(); copy.focus();
    };
    navigator.clipboard ? navigator.clipboard.writeText(text).then(done, plainly) : plainly();
  });

  // Charts: numbers stand in a table beside each; without this script that is what one sees.
  const drawn = new Map(), pad = (n) => String(n).padStart(2, "0");
  const plain = (v) => v >= 99.95 ? Math.round(v).toLocaleString("en") : String(+v.toFixed(v >= 9.995 ? 1 : 2));
  const clock = (s, step) => {
    const t = new Date(1000 * s), day = t.toLocaleDateString("en", { month: "short", day: "numeric" });
    if (step >= 86400 || (t.getHours() === 0 && t.getMinutes() === 0 && t.getSeconds() === 0)) return day;
    return pad(t.getHours()) + ":" + pad(t.getMinutes()) + (step < 60 ? ":" + pad(t.getSeconds()) : "");
  };
  // The legend, which the server has written, shows the newest numbers, or those under the pointer.
  const legend = (plot, box) => {
    const items = box.parentElement.querySelectorAll(".legend li"), at = plot.cursor.idx;
    plot.series.slice(1).forEach((_, i) => {
      const values = plot.data[i + 1];
      items[i].querySelector("b").textContent = plain(values[at ?? values.length - 1] ?? 0);
    });
    items[items.length - 1].textContent = at == null ? "" : "at " + clock(plot.data[0][at], 1);
  };
  function charts() {
    if (typeof uPlot === "undefined") return;
    const style = getComputedStyle(document.documentElement), colour = (n) => style.getPropertyValue(n).trim();
    document.querySelectorAll("[data-chart]").forEach((plot) => {
      const box = plot.querySelector(".chart"), raw = plot.dataset.chart, ink = colour("--ink"), width = Math.max(box.clientWidth, 200);
      const old = drawn.get(box.id), given = JSON.parse(raw);
      if (old && old.box === box && old.ink === ink && old.width === width) {
        if (old.raw !== raw) old.plot.setData(given.data);
        old.raw = raw;
        return;
      }
      old?.plot.destroy();
      const inks = [colour("--accent"), colour("--warn"), colour("--bad")];
      const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line-soft"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
      drawn.set(box.id, { box, raw, ink, width, plot: new uPlot({
        width, height: 170, padding: [8, 12, 0, 0], legend: { show: false }, cursor: { points: { size: 6 }, drag: { setScale: false } },
        scales: { x: { time: true }, y: { range: (_, min, max) => [0, Math.max(max * 1.1, 1)] } },
        axes: [{ ...axis, size: 28, values: (_, splits, __, ___, step) => splits.map((s) => clock(s, step)), space: 80 },
          { ...axis, size: 52, values: (_, splits) => splits.map((v) => v >= 100 ? plain(v) : String(+v.toFixed(2))) }],
        series: [{}, ...given.series.map((s, i) => ({ label: s, stroke: inks[i % 3], width: 1.6, dash: i % 2 ? [5, 3] : undefined, points: { show: false } }))],
        hooks: { setCursor: [(u) => legend(u, box)] },
      }, given.data, box) });
    });
  }
  addEventListener("resize", charts);
  charts();
  if (!document.hidden) open();
})();
