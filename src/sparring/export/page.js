// The page around the interpreter: what the visitor moves, and what becomes of it.
if (typeof document !== "undefined") (() => {
  const told = JSON.parse(document.getElementById("told").textContent), byId = (id) => document.getElementById(id);
  const SAY = {
    en: {
      starting: "starting …", good: "runs here, and gives what PyTorch gave: at most {0} apart", bad: "does not give what PyTorch gave: {0} apart",
      source: "From this", made: "Made of it", again: "Another", save: "Save", seed: "seed", class: "Class", caption: "In words", directions: "What changes most",
      level: "All to the middle", others: "Others", variety: "variety", direction: "direction {0}", group: "group", open: "Open a picture", clear: "Clear",
      draw: "Draw, open a picture, or drop one here.", hole: "Draw over what is to be filled.", ms: "{0} ms in this browser", none: "as it comes",
      about: "{0} trained on {1}, round {2}; exported by sparring {3}.", private: "Nothing is loaded and nothing is sent: all of it happens in this page.", words: "It knows: {0}",
    },
    zh: {
      starting: "正在启动……", good: "在本机运行,结果与 PyTorch 一致:最大相差 {0}", bad: "结果与 PyTorch 不一致:相差 {0}",
      source: "输入", made: "生成", again: "换一个", save: "保存", seed: "种子", class: "类别", caption: "文字描述", directions: "变化最大的方向",
      level: "全部归中", others: "其他", variety: "多样性", direction: "方向 {0}", group: "组", open: "打开图片", clear: "清空",
      draw: "可以画、打开或拖入一张图片。", hole: "涂抹要补全的部分。", ms: "本浏览器用时 {0} 毫秒", none: "不限",
      about: "{0},训练数据 {1},第 {2} 轮;由 sparring {3} 导出。", private: "不加载也不发送任何内容:一切都在本页内完成。", words: "认识的词:{0}",
    },
  };
  let language = navigator.language.startsWith("zh") ? "zh" : "en";
  const say = (key, ...parts) => parts.reduce((text, part, i) => text.replace(`{${i}}`, part), SAY[language][key]);
  const latentSize = told.inputs.latent ? told.inputs.latent[0] : 0, of = told.inputs.source, kinds = told.classes.length || told.clusters;
  const state = { seed: 1, turns: told.directions.map(() => 0), variety: 1, label: null, source: null, caption: "", worst: null };
  let graph, waiting = false, queue = 0;

  function chance(seed) {  // mulberry32
    let a = (seed * 2654435761) >>> 0;
    return () => { a = (a + 0x6d2b79f5) | 0; let t = Math.imul(a ^ (a >>> 15), 1 | a); t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t; return ((t ^ (t >>> 14)) >>> 0) / 4294967296; };
  }
  function drawn(seed) {
    const next = chance(seed), normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    const latent = Array.from({ length: latentSize }, () => (told.uniform ? 2 * next() - 1 : normal()));
    return { latent, label: Math.floor(next() * kinds) };
  }
  function inputsOf(seed, moved) {
    const { latent, label } = drawn(seed), inputs = {};
    if (told.inputs.latent) {
      const z = latent.map((x, i) => x * state.variety + (moved ? told.directions.reduce((sum, row, k) => sum + row[i] * state.turns[k] * (told.uniform ? 0.577 : 1), 0) : 0));
      inputs.latent = tensor([1, latentSize], told.uniform ? z.map((x) => Math.min(Math.max(x, -1), 1)) : z);
    }
    if (told.inputs.label) inputs.label = tensor([1], [state.label ?? label], INT);
    if (told.inputs.caption) inputs.caption = tensor([1, told.inputs.caption[0]], tokens(state.caption), INT);
    if (of) inputs.source = tensor([1, ...of], state.source);
    return inputs;
  }
  function tokens(text) {
    const length = told.inputs.caption[0], found = (text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? []).map((word) => { const at = told.vocabulary.indexOf(word); return at < 0 ? 1 : at + told.first; });
    return Array.from({ length }, (_, i) => found[i] ?? 0);
  }

  function paint(canvas, values, [channels, height, width], hole) {  // numbers in [-1, 1], channel by channel
    const area = height * width, data = new ImageData(width, height), byte = (x) => Math.round((x + 1) * 127.5);
    for (let i = 0; i < area; i++) for (let c = 0; c < 4; c++)
      data.data[4 * i + c] = c === 3 ? (channels === 4 ? byte(values[3 * area + i]) : 255) : byte(values[(channels >= 3 ? c : 0) * area + i]);
    if (hole) for (let i = 0; i < area; i++) if (values[channels * area + i] > 0) data.data.set([207, 42, 60, 255], 4 * i);
    canvas.width = width; canvas.height = height;
    canvas.getContext("2d").putImageData(data, 0, 0);
  }
  function show() {
    waiting = false;
    const begin = performance.now(), made = run(graph, inputsOf(state.seed, true));
    paint(byId("stage"), made.v, told.shape);
    byId("took").textContent = say("ms", Math.round(performance.now() - begin));
  }
  function later() { if (!waiting && graph) { waiting = true; setTimeout(show); } }
  function gallery() {
    const box = byId("others"), mine = ++queue;
    box.textContent = "";
    const next = (i) => {
      if (mine !== queue || i > 12) return;
      const seed = (state.seed * 31 + i * 7919) % 4294967296, canvas = document.createElement("canvas"), button = document.createElement("button");
      paint(canvas, run(graph, inputsOf(seed, false)).v, told.shape);
      button.type = "button"; button.setAttribute("aria-label", `${say("seed")} ${seed}`); button.append(canvas);
      button.onclick = () => { state.seed = seed; byId("seed").value = seed; level(); later(); scrollTo({ top: 0, behavior: "smooth" }); };
      box.append(button);
      setTimeout(() => next(i + 1));
    };
    if (!of) next(1);
  }

  function slider(name, low, high, value, moved) {
    const label = document.createElement("label"), text = document.createElement("span"), input = document.createElement("input"), out = document.createElement("output");
    label.className = "slide"; text.textContent = name;
    Object.assign(input, { type: "range", min: low, max: high, step: 0.05, value });
    const tell = () => { out.textContent = Number(input.value).toFixed(1); };
    input.oninput = () => { tell(); moved(Number(input.value)); later(); };
    tell(); label.append(text, input, out);
    return label;
  }
  function level() { state.turns.fill(0); state.variety = 1; sliders(); }
  function sliders() {
    const rows = state.turns.map((value, k) => slider(say("direction", k + 1), -4, 4, value, (x) => { state.turns[k] = x; }));
    const variety = slider(say("variety"), 0, 1.5, state.variety, (x) => { state.variety = x; });
    variety.querySelector("input").onchange = gallery;
    byId("sliders").replaceChildren(...rows, variety);
  }
  function classes() {
    const names = told.classes.length ? told.classes : Array.from({ length: told.clusters }, (_, i) => `${say("group")} ${i + 1}`);
    byId("classes").replaceChildren(...[...(of ? [] : [null]), ...names.keys()].map((number) => {
      const button = document.createElement("button");
      button.type = "button"; button.textContent = number === null ? say("none") : names[number];
      button.setAttribute("aria-pressed", state.label === number);
      button.onclick = () => { state.label = number; classes(); later(); gallery(); };
      return button;
    }));
  }

  function blank() {  // a source to begin with: a ring, or a slope with a hole
    const [channels, height, width] = of, area = height * width;
    state.source = Float32Array.from({ length: channels * area }, (_, at) => {
      const c = Math.floor(at / area), y = Math.floor((at % area) / width) / height - 0.5, x = (at % width) / width - 0.5, r = Math.hypot(x, y);
      if (told.masked) return c === channels - 1 ? (r < 0.18 ? 1 : -1) : x + y * (1 - c);
      return Math.abs(r - 0.3) < Math.max(0.04, 0.7 / width) ? 1 : -1;
    });
  }
  function sourceShape() { return told.masked ? [of[0] - 1, of[1], of[2]] : of; }
  function repaint() { paint(byId("source"), state.source, sourceShape(), told.masked); later(); }
  function open(file) {
    const [channels, height, width] = sourceShape(), area = height * width, url = URL.createObjectURL(file), picture = new Image();
    picture.onload = () => {
      const canvas = Object.assign(document.createElement("canvas"), { width, height }), brush = canvas.getContext("2d");
      const scale = Math.max(width / picture.width, height / picture.height);
      brush.imageSmoothingQuality = "high";
      brush.drawImage(picture, (width - picture.width * scale) / 2, (height - picture.height * scale) / 2, picture.width * scale, picture.height * scale);
      const pixels = brush.getImageData(0, 0, width, height).data;
      for (let i = 0; i < area; i++) {
        const rgb = [0, 1, 2].map((c) => pixels[4 * i + c] / 127.5 - 1), gray = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
        for (let c = 0; c < channels; c++) state.source[c * area + i] = channels < 3 ? gray : c < 3 ? rgb[c] : pixels[4 * i + 3] / 127.5 - 1;
        if (told.masked) state.source[channels * area + i] = -1;
      }
      URL.revokeObjectURL(url); repaint();
    };
    picture.src = url;
  }
  function pen(event) {
    if (!event.buttons) return;
    const canvas = byId("source"), box = canvas.getBoundingClientRect(), [channels, height, width] = sourceShape(), area = height * width;
    const x = ((event.clientX - box.left) / box.width) * width - 0.5, y = ((event.clientY - box.top) / box.height) * height - 0.5, r = Number(byId("brush").value);
    const rgb = [1, 3, 5].map((i) => parseInt(byId("pen").value.slice(i, i + 2), 16) / 127.5 - 1), gray = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
    for (let j = Math.max(0, Math.ceil(y - r)); j <= Math.min(height - 1, y + r); j++) for (let i = Math.max(0, Math.ceil(x - r)); i <= Math.min(width - 1, x + r); i++) {
      if ((i - x) ** 2 + (j - y) ** 2 > r * r) continue;
      const at = j * width + i;
      if (told.masked) state.source[channels * area + at] = 1;
      else for (let c = 0; c < channels; c++) state.source[c * area + at] = channels < 3 ? gray : c < 3 ? rgb[c] : 1;
    }
    repaint();
  }

  function words() {
    document.documentElement.lang = language;
    for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
    byId("language").textContent = language === "en" ? "中文" : "English";
    byId("about").textContent = say("about", told.recipe, told.data, told.round.toLocaleString("en"), told.version);
    byId("hint").textContent = say(told.masked ? "hole" : "draw");
    byId("words").textContent = told.vocabulary.length ? say("words", told.vocabulary.slice(0, 60).join(" ")) : "";
    if (state.worst !== null) {
      const good = state.worst <= 1e-4;
      byId("state").className = good ? "good" : "bad";
      byId("state").textContent = say(good ? "good" : "bad", state.worst.toExponential(1));
    }
    sliders();
    if (kinds) classes();
  }
  function check() {  // the same numbers as in PyTorch, in this browser
    const inputs = {}, { expected } = told.check;
    for (const name in told.check.inputs) { const c = told.check.inputs[name]; inputs[name] = tensor(c.d, c.v, c.t); }
    const made = run(graph, inputs);
    state.worst = String(made.d) === String(expected.d) ? 0 : Infinity;
    expected.v.forEach((x, i) => { const apart = Math.abs(x - made.v[i]); if (!(apart <= state.worst)) state.worst = apart; });
    document.documentElement.dataset.difference = state.worst;
  }
  function begin() {
    const text = atob(told.weights), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    told.weights = "";
    graph = prepared(told.graph, bytes.buffer);
    check(); words(); show(); gallery();
  }

  document.title = `${told.recipe} · ${told.data}`;
  byId("title").textContent = document.title;
  byId("notes").textContent = told.notes.join(" · ");
  for (const [id, shown] of Object.entries({ from: of, made: of, of: kinds && told.inputs.label, saying: told.vocabulary.length, turns: told.directions.length, more: !of })) byId(id).hidden = !shown;
  byId("seeded").hidden = byId("again").hidden = Boolean(of) && !latentSize;
  byId("controls").hidden = [...byId("controls").children].every((part) => part.hidden);
  byId("panes").classList.toggle("two", Boolean(of));
  byId("pen").hidden = told.masked;
  if (of) { if (told.inputs.label) state.label = 0; blank(); paint(byId("source"), state.source, sourceShape(), told.masked); }
  const reseed = (seed) => { state.seed = seed >>> 0; byId("seed").value = state.seed; later(); gallery(); };
  byId("language").onclick = () => { language = language === "en" ? "zh" : "en"; words(); };
  byId("again").onclick = () => reseed(Math.floor(Math.random() * 1e6));
  byId("seed").onchange = () => reseed(Number(byId("seed").value));
  byId("level").onclick = () => { level(); later(); };
  byId("save").onclick = () => { const a = document.createElement("a"); a.download = `${told.recipe}-${state.seed}.png`; a.href = byId("stage").toDataURL(); a.click(); };
  byId("caption").oninput = () => { state.caption = byId("caption").value; later(); };
  byId("caption").onchange = gallery;
  byId("file").onchange = (event) => event.target.files[0] && open(event.target.files[0]);
  byId("clear").onclick = () => { const n = size(sourceShape()); if (told.masked) state.source.fill(-1, n); else state.source.fill(-1); repaint(); };
  byId("source").onpointerdown = byId("source").onpointermove = pen;
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => { event.preventDefault(); if (of && event.dataTransfer.files[0]) open(event.dataTransfer.files[0]); });
  if (told.vocabulary.length) { state.caption = told.vocabulary.filter((word) => /^\p{L}{3,}$/u.test(word)).slice(0, 3).join(" "); byId("caption").value = state.caption; }
  words();
  setTimeout(begin);
})();
