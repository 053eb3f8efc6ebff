// Runs the model inside an exported page, as the page does, and prints how far it is from what PyTorch gave.
const fs = require("fs"), { run, prepared, tensor } = require(process.argv[2]);
for (const page of process.argv.slice(3)) {
  const told = JSON.parse(/<script id="told" type="application\/json">(.*?)<\/script>/s.exec(fs.readFileSync(page, "utf8"))[1]);
  const bytes = Buffer.from(told.weights, "base64"), blob = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const inputs = {}, graph = prepared(told.graph, blob), { expected } = told.check;
  for (const name in told.check.inputs) { const c = told.check.inputs[name]; inputs[name] = tensor(c.d, c.v, c.t); }
  if (process.env.WARM) for (let i = 0; i < 5; i++) run(graph, inputs);
  const begin = performance.now(), made = run(graph, inputs), took = performance.now() - begin;
  let worst = String(made.d) === String(expected.d) ? 0 : Infinity;
  expected.v.forEach((x, i) => { const apart = Math.abs(x - made.v[i]); worst = apart <= worst ? worst : apart; });
  console.log(JSON.stringify({ worst, took }));
}
