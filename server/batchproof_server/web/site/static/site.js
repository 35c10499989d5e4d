// The page of the server: asks, and shows what comes. The server writes the HTML and escapes it;
// nothing here makes markup of text.
"use strict";

(() => {
  const EVERY_MS = 2000;
  const DRIFT_EVERY = 5;
  const KEPT = 60;
  const WINDOW = 15; // looks at the counters: half a minute
  const SHARES = [0.5, 0.95, 0.99];
  const SVG = "http://www.w3.org/2000/svg";
  const at = (id) => document.getElementById(id);

  let token = ""; // as long as the page lives, and nowhere else
  let picture = null;
  let asking = null; // what is under way: ends when the page is left
  let polling = 0;
  let polls = 0;
  let modelsText = "";
  let driftText = "";
  let aboutWhich = "";
  const trends = new Map();

  class Refused extends Error {
    constructor(status, sentence) {
      super(sentence);
      this.status = status;
    }
  }

  async function ask(path, options = {}) {
    const headers = new Headers(options.headers);
    if (token) headers.set("authorization", `Bearer ${token}`);
    const reply = await fetch(path, { ...options, headers, redirect: "error", cache: "no-store" });
    const text = await reply.text();
    if (reply.ok) return text;
    throw new Refused(reply.status, sentenceOf(text, reply.status));
  }

  function sentenceOf(text, status) {
    try {
      return String(JSON.parse(text).error);
    } catch {
      return `The server answered ${status}.`;
    }
  }

  function saying(error) {
    if (error instanceof Refused) return error.message;
    return "The server cannot be reached.";
  }

  function show(target, html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    target.replaceChildren(...page.body.childNodes);
  }

  // Who asks

  function askForToken(sentence) {
    stop();
    at("content").hidden = true;
    at("entrance").hidden = false;
    at("entrance-fault").textContent = sentence;
    at("token").focus();
  }

  async function open() {
    try {
      await showModels();
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 401) {
        at("content").hidden = false;
        at("fault").textContent = saying(error);
        return;
      }
      askForToken(token ? "The token is not known here." : "");
      token = "";
      return;
    }
    at("entrance").hidden = true;
    at("content").hidden = false;
    start();
  }

  // Models

  async function showModels() {
    const html = await ask("/site/models");
    if (html === modelsText) return;
    modelsText = html;
    show(at("models"), html);
    const ready = [...at("models").querySelectorAll("tr[data-state=ready]")];
    const chosen = at("model").value;
    const options = ready.map(({ dataset }) => {
      const option = new Option(`${dataset.model} version ${dataset.version}`);
      option.value = `model=${encodeURIComponent(dataset.model)}&version=${dataset.version}`;
      return option;
    });
    at("model").replaceChildren(...options);
    if (options.some((each) => each.value === chosen)) at("model").value = chosen;
    await showModel();
    allow();
  }

  async function showModel() {
    const which = at("model").value;
    if (which === aboutWhich) return;
    aboutWhich = which;
    if (!which) {
      at("about").replaceChildren();
      return;
    }
    const html = await ask(`/site/model?${which}`);
    if (which !== at("model").value) return;
    show(at("about"), html);
    const options = [...at("about").querySelectorAll("[data-policy]")].map(({ dataset }) => {
      const own = dataset.default === "yes";
      const name = own ? `${dataset.policy} (the model's own)` : dataset.policy;
      // A plain answer is not asked for as a policy of one view, so that it counts as a plain one.
      return new Option(name, own && dataset.policy === "none" ? "" : dataset.policy, own, own);
    });
    at("views").replaceChildren(...options);
    at("views").disabled = !options.length;
  }

  // A picture

  function allow() {
    const may = Boolean(picture) && Boolean(at("model").value) && !asking;
    at("classify").disabled = !may;
    at("diagnose").disabled = !may;
    at("cancel").hidden = !asking;
  }

  function take(files) {
    const file = files?.[0];
    if (!file) return;
    if (at("file").files !== files) at("file").files = files; // so that the field names it
    picture = file;
    const preview = at("preview");
    if (preview.src) URL.revokeObjectURL(preview.src);
    preview.hidden = false;
    preview.alt = `The picture ${file.name}`;
    preview.src = URL.createObjectURL(file);
    classify();
  }

  async function work(saying_, path, shown) {
    asking?.abort();
    const mine = new AbortController();
    asking = mine;
    at("fault").textContent = "";
    at("status").textContent = saying_;
    allow();
    try {
      const html = await ask(path, {
        method: "POST",
        body: picture,
        headers: { "content-type": "application/octet-stream" },
        signal: mine.signal,
      });
      if (asking === mine) shown(html);
    } catch (error) {
      if (asking !== mine) return;
      at("status").textContent = "";
      if (error instanceof Refused && error.status === 401) askForToken("The token is not known here any more.");
      else if (mine.signal.aborted) at("status").textContent = "Cancelled.";
      else at("fault").textContent = saying(error);
    } finally {
      if (asking === mine) {
        asking = null;
        allow();
      }
    }
  }

  function classify() {
    at("answer").replaceChildren();
    at("diagnosis").hidden = true;
    if (!at("model").value) {
      at("fault").textContent = "No model is ready.";
      return;
    }
    const policy = at("views").value ? `&tta=${encodeURIComponent(at("views").value)}` : "";
    work("Asking the model.", `/site/answer?${at("model").value}${policy}`, (html) => {
      show(at("answer"), html);
      const answer = at("answer").querySelector("[data-answer]");
      at("status").textContent = answer ? `The answer is ${answer.textContent}.` : "The answer is here.";
    });
  }

  function diagnose() {
    const named = `&name=${encodeURIComponent(picture.name.slice(0, 256))}`;
    const truth = at("truth").value.trim();
    const label = truth ? `&label=${encodeURIComponent(truth)}` : "";
    at("diagnosis").hidden = true;
    const text = "Diagnosing. This takes seconds, and waits for everybody else.";
    work(text, `/site/diagnosis?${at("model").value}${named}${label}`, (html) => {
      const report = new DOMParser().parseFromString(html, "text/html");
      at("report").replaceChildren(...report.querySelector("main").childNodes);
      if (at("save").href) URL.revokeObjectURL(at("save").href);
      at("save").href = URL.createObjectURL(new Blob([html], { type: "text/html" }));
      at("diagnosis").hidden = false;
      at("diagnosis-heading").focus();
      at("status").textContent = "The diagnosis is below.";
    });
  }

  // Live figures

  async function poll() {
    if (document.hidden || !at("updates").checked) return;
    try {
      keep(JSON.parse(await ask("/site/live")));
      if (polls % DRIFT_EVERY === 0) {
        const html = await ask("/site/drift");
        if (html !== driftText) show(at("drift"), html);
        driftText = html;
        await showModels();
      }
      polls += 1;
    } catch (error) {
      if (error instanceof Refused && error.status === 401) askForToken("The token is not known here any more.");
      else at("live").replaceChildren(element("p", { class: "fault" }, saying(error)));
    }
  }

  function keep({ model_stats: versions, answer_time_bounds_s: bounds }) {
    const now = performance.now();
    const seen = new Set();
    for (const each of versions) {
      const name = `${each.name} version ${each.version}`;
      seen.add(name);
      if (!trends.has(name)) trends.set(name, { before: null, times: [], traffic: [], latency: SHARES.map(() => []), waiting: [] });
      add(trends.get(name), each.inference_stats, now);
      addTimes(trends.get(name), each.answer_times, bounds);
    }
    for (const name of trends.keys()) if (!seen.has(name)) trends.delete(name);
    draw();
  }

  function add(trend, stats, now) {
    const counts = {
      now,
      answered: Number(stats.success.count) + Number(stats.fail.count),
      queued: Number(stats.queue.count),
      queuedNs: Number(stats.queue.ns),
    };
    const before = trend.before;
    trend.before = counts;
    if (!before || counts.answered < before.answered) return;
    const mean = (ns, count) => (count > 0 ? ns / count / 1e6 : null);
    push(trend.traffic, (1000 * (counts.answered - before.answered)) / (now - before.now));
    push(trend.waiting, mean(counts.queuedNs - before.queuedNs, counts.queued - before.queued));
  }

  function push(values, value) {
    values.push(value);
    if (values.length > KEPT) values.shift();
  }

  // Percentiles of the last half minute, straight inside the bins as Prometheus' are.
  function addTimes(trend, counts, bounds) {
    const before = trend.times.at(-1);
    if (before && counts.some((count, bin) => count < before[bin])) trend.times = []; // loaded anew
    trend.times.push(counts);
    if (trend.times.length < 2) return;
    if (trend.times.length > WINDOW + 1) trend.times.shift();
    const bins = counts.map((count, bin) => count - trend.times[0][bin]);
    SHARES.forEach((share, place) => push(trend.latency[place], percentile(bins, bounds, share)));
  }

  function percentile(bins, bounds, share) {
    const wanted = share * bins.reduce((sum, count) => sum + count, 0);
    if (!wanted) return null;
    let below = 0;
    for (const [bin, count] of bins.entries()) {
      if (below + count >= wanted) {
        const low = bin ? bounds[bin - 1] : 0;
        const high = bounds[bin] ?? low; // what is above all bounds is as long as the last at least
        return 1000 * (low + ((high - low) * (wanted - below)) / count);
      }
      below += count;
    }
    return null;
  }

  function draw() {
    const parts = [];
    for (const [name, trend] of trends) {
      if (!trend.traffic.length) continue;
      const charts = element("div", { class: "charts" });
      charts.append(
        chart(`${name}: requests`, "Requests", [trend.traffic], "a second"),
        chart(`${name}: time to answer`, "Time to answer, p50, p95, p99 of 30 s", trend.latency, "ms"),
        chart(`${name}: time in the queue`, "Of it in the queue, mean", [trend.waiting], "ms"),
      );
      parts.push(element("h3", {}, name), charts);
    }
    if (parts.length) at("live").replaceChildren(...parts);
  }

  function element(name, attributes = {}, text = "") {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }

  function chart(title, heading, lines, unit) {
    const last = lines.map((values) => values.findLast((each) => each !== null));
    const known = last.every((each) => each !== undefined);
    const text = known ? `${last.map((each) => each.toPrecision(3)).join(", ")} ${unit}` : "none yet";
    const most = Math.max(...lines.flat().map((each) => each ?? 0), 1e-9);
    const figure = element("figure");
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 240 60");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `${title}: ${text} now, ${most < 1e-6 ? 0 : most.toPrecision(3)} ${unit} at most`);
    for (const [place, values] of lines.entries()) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", place ? `trend upper-${place}` : "trend");
      path.setAttribute("d", line(values, most));
      svg.append(path);
    }
    figure.append(element("figcaption", {}, `${heading}: ${text}`), svg);
    return figure;
  }

  function line(values, most) {
    let pen = "M";
    let drawn = "";
    values.forEach((value, place) => {
      if (value === null) {
        pen = "M";
        return;
      }
      const x = 240 - ((values.length - 1 - place) * 240) / (KEPT - 1);
      drawn += `${pen}${x.toFixed(1)} ${(57 - (54 * value) / most).toFixed(1)}`;
      if (pen === "M") drawn += "h0.01";
      pen = "L";
    });
    return drawn;
  }

  function start() {
    stop();
    polls = 0;
    poll();
    polling = setInterval(poll, EVERY_MS);
  }

  function stop() {
    clearInterval(polling);
    asking?.abort();
  }

  // What people do

  at("entrance").addEventListener("submit", (event) => {
    event.preventDefault();
    token = at("token").value.trim();
    at("token").value = "";
    open();
  });
  at("picture-form").addEventListener("submit", (event) => {
    event.preventDefault();
    classify();
  });
  at("diagnose").addEventListener("click", diagnose);
  at("cancel").addEventListener("click", () => asking?.abort());
  at("file").addEventListener("change", () => take(at("file").files));
  at("model").addEventListener("change", () => {
    showModel().catch((error) => {
      at("fault").textContent = saying(error);
    });
  });
  document.addEventListener("paste", (event) => take(event.clipboardData?.files));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
  document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    at("drop").classList.remove("over");
    if (!at("content").hidden) take(event.dataTransfer?.files);
  });
  at("preview").addEventListener("error", () => {
    at("preview").hidden = true;
  });
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) open();
  });
  open();
})();
