"use strict";
// A small interpreter of ONNX graphs: what the generators of this package are made of, on typed arrays, in float32.
// A tensor is {d: dimensions, v: values, t: ONNX's number of its type}; 1 is float, 7 int64, 9 bool.

const size = (d) => d.reduce((a, b) => a * b, 1);
const FLOAT = 1, INT = 7, BOOL = 9;
const make = (d, t = FLOAT) => ({ d, t, v: t === FLOAT ? new Float32Array(size(d)) : new Float64Array(size(d)) });
const tensor = (d, values, t = FLOAT) => ({ d, t, v: t === FLOAT ? Float32Array.from(values) : Float64Array.from(values) });
const list = (x) => Array.from(x.v);
const strides = (d) => { const s = new Array(d.length); for (let i = d.length - 1, n = 1; i >= 0; i--) { s[i] = n; n *= d[i]; } return s; };
const axisOf = (axis, rank) => (axis < 0 ? axis + rank : axis);
const numbers = (x, otherwise) => (x ? list(x) : otherwise);

function each(x, f, t = x.t) { const y = make(x.d, t); for (let i = 0; i < y.v.length; i++) y.v[i] = f(x.v[i]); return y; }

function wide(a, b) {
  const rank = Math.max(a.length, b.length), d = [];
  for (let i = 0; i < rank; i++) {
    const m = a[i - rank + a.length] ?? 1, n = b[i - rank + b.length] ?? 1;
    if (m !== n && m !== 1 && n !== 1) throw new Error(`shapes ${a} and ${b} do not fit`);
    d.push(m === 1 ? n : m);
  }
  return d;
}

// values of x in every place of shape d: a broadcast, a slice or a transpose, by where it begins and its steps
function walk(x, d, begin, steps, t = x.t) {
  const y = make(d, t), at = new Array(d.length).fill(0), rank = d.length, last = d[rank - 1] ?? 1, step = steps[rank - 1] ?? 0;
  for (let i = 0, place = begin; i < y.v.length;) {
    for (let k = 0, p = place; k < last; k++, p += step) y.v[i++] = x.v[p];
    for (let axis = rank - 2; axis >= 0; axis--) {
      place += steps[axis];
      if (++at[axis] < d[axis]) break;
      place -= steps[axis] * d[axis]; at[axis] = 0;
    }
  }
  return y;
}
function expand(x, d) {
  const s = strides(x.d), from = d.length - x.d.length;
  return walk(x, d, 0, d.map((n, i) => (i < from || x.d[i - from] === 1 ? 0 : s[i - from])));
}
function both(a, b, f, t = a.t) {
  const d = wide(a.d, b.d), full = size(d);
  const p = size(a.d) === full || size(a.d) === 1 ? a : expand(a, d), q = size(b.d) === full || size(b.d) === 1 ? b : expand(b, d);
  const y = make(d, t), u = p.v, w = q.v, i1 = u.length === 1 ? 0 : 1, i2 = w.length === 1 ? 0 : 1;
  for (let i = 0; i < full; i++) y.v[i] = f(u[i * i1], w[i * i2]);
  return y;
}
const divide = (a, b) => both(a, b, a.t === FLOAT ? (x, y) => x / y : (x, y) => Math.trunc(x / y));
const reshape = (x, d) => ({ d, t: x.t, v: x.v });

function transpose(x, perm) {
  const s = strides(x.d);
  return walk(x, perm.map((p) => x.d[p]), 0, perm.map((p) => s[p]));
}
function concat(parts, axis) {
  axis = axisOf(axis, parts[0].d.length);
  const d = parts[0].d.slice(); d[axis] = parts.reduce((n, p) => n + p.d[axis], 0);
  const y = make(d, parts[0].t), outer = size(d.slice(0, axis)), row = size(d.slice(axis));
  let begin = 0;
  for (const p of parts) {
    const inner = size(p.d.slice(axis));
    for (let o = 0; o < outer; o++) y.v.set(p.v.subarray(o * inner, (o + 1) * inner), o * row + begin);
    begin += inner;
  }
  return y;
}
function slice(x, starts, ends, axes, steps) {
  const d = x.d.slice(), s = strides(x.d), walked = s.slice();
  let begin = 0;
  axes.forEach((axis, i) => {
    axis = axisOf(axis, d.length);
    const n = x.d[axis], step = steps[i], low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    const clamp = (p) => Math.min(Math.max(p < 0 ? p + n : p, low), high);
    const from = clamp(starts[i]), to = clamp(ends[i] < -n ? -n - 1 : ends[i]);
    d[axis] = Math.max(0, Math.ceil((to - from) / step));
    begin += from * s[axis]; walked[axis] = s[axis] * step;
  });
  return walk(x, d, begin, walked);
}
function gather(x, index, axis) {
  axis = axisOf(axis, x.d.length);
  const outer = size(x.d.slice(0, axis)), n = x.d[axis], inner = size(x.d.slice(axis + 1)), count = index.v.length;
  const y = make([...x.d.slice(0, axis), ...index.d, ...x.d.slice(axis + 1)], x.t);
  for (let o = 0; o < outer; o++) for (let i = 0; i < count; i++) {
    const from = (o * n + axisOf(index.v[i], n)) * inner;
    y.v.set(x.v.subarray(from, from + inner), (o * count + i) * inner);
  }
  return y;
}
function reduce(x, axes, keep, start, f, end = (a) => a) {
  const rank = x.d.length, gone = new Set((axes.length ? axes : x.d.map((_, i) => i)).map((a) => axisOf(a, rank)));
  const kept = x.d.map((n, i) => (gone.has(i) ? 1 : n)), s = strides(kept).map((n, i) => (gone.has(i) ? 0 : n));
  const sums = new Float64Array(size(kept)).fill(start), at = new Array(rank).fill(0), count = x.v.length / sums.length;
  for (let i = 0, place = 0; i < x.v.length; i++) {
    sums[place] = f(sums[place], x.v[i]);
    for (let axis = rank - 1; axis >= 0; axis--) {
      place += s[axis];
      if (++at[axis] < x.d[axis]) break;
      place -= s[axis] * x.d[axis]; at[axis] = 0;
    }
  }
  return tensor(keep ? kept : x.d.filter((_, i) => !gone.has(i)), sums.map((a) => end(a, count)), x.t);
}

function product(a, b, m, k, n, y, ya, aa, ba, c) {  // y = a (m, k) times b (k, n), from these places on
  const row = new Float64Array(n);
  for (let i = 0; i < m; i++) {
    row.fill(0);
    for (let j = 0; j < k; j++) {
      const w = a[aa + i * k + j];
      if (w !== 0) for (let p = 0, q = ba + j * n; p < n; p++) row[p] += w * b[q + p];
    }
    for (let p = 0; p < n; p++) y[ya + i * n + p] = row[p] + (c ? c.v[c.d.length > 1 && c.d[0] > 1 ? i * n + p : c.v.length > 1 ? p : 0] : 0);
  }
}
function matmul(a, b) {
  const m = a.d.at(-2), k = a.d.at(-1), n = b.d.at(-1), lead = wide(a.d.slice(0, -2), b.d.slice(0, -2));
  const p = expand(a, [...lead, m, k]), q = size(b.d.slice(0, -2)) === 1 ? b : expand(b, [...lead, k, n]);
  const y = make([...lead, m, n]);
  for (let i = 0; i < size(lead); i++) product(p.v, q.v, m, k, n, y.v, i * m * n, i * m * k, q === b ? 0 : i * k * n);
  return y;
}
function gemm(a, b, c, o) {
  const p = o.transA ? transpose(a, [1, 0]) : a, q = o.transB ? transpose(b, [1, 0]) : b;
  const y = make([p.d[0], q.d[1]]);
  product(p.v, q.v, p.d[0], p.d[1], q.d[1], y.v, 0, 0, 0, c);
  return y;
}

const planes = (i, n, area) => [1, 2, 3].map((k) => (i + k < n ? k * area : 0));
const four = (w, at, step, p1, p2, p3) => [w[at], p1 ? w[at + step] : 0, p2 ? w[at + 2 * step] : 0, p3 ? w[at + 3 * step] : 0];
function conv(x, w, bias, o) {
  const [n, c, h, width] = x.d, [maps, per, kh, kw] = w.d, group = o.group ?? 1, [sh, sw] = o.strides ?? [1, 1];
  const [dh, dw] = o.dilations ?? [1, 1], [top, left, bottom, right] = o.pads ?? [0, 0, 0, 0];
  const oh = Math.floor((h + top + bottom - dh * (kh - 1) - 1) / sh) + 1, ow = Math.floor((width + left + right - dw * (kw - 1) - 1) / sw) + 1;
  const y = make([n, maps, oh, ow]), sum = new Float64Array(oh * ow), each = maps / group, v = x.v;
  for (let b = 0; b < n; b++) for (let m = 0; m < maps; m++) {
    sum.fill(bias ? bias.v[m] : 0);
    for (let i = 0; i < per; i += 4) {  // four maps at a time, so that sums are read and written once for all
      const from = (b * c + Math.floor(m / each) * per + i) * h * width, [p1, p2, p3] = planes(i, per, h * width);
      for (let ky = 0; ky < kh; ky++) for (let kx = 0; kx < kw; kx++) {
        const at = ((m * per + i) * kh + ky) * kw + kx, [w0, w1, w2, w3] = four(w.v, at, kh * kw, p1, p2, p3), offset = kx * dw - left;
        const x0 = Math.max(0, Math.ceil(-offset / sw)), x1 = Math.min(ow, Math.floor((width - 1 - offset) / sw) + 1);
        for (let oy = 0; oy < oh; oy++) {
          const iy = oy * sh + ky * dh - top;
          if (iy < 0 || iy >= h) continue;
          const row = from + iy * width + offset, to = oy * ow;
          for (let ox = x0, q = row + x0 * sw; ox < x1; ox++, q += sw) sum[to + ox] += w0 * v[q] + w1 * v[q + p1] + w2 * v[q + p2] + w3 * v[q + p3];
        }
      }
    }
    y.v.set(sum, (b * maps + m) * oh * ow);
  }
  return y;
}
function of2d(f, x, w, bias, o) {  // a row of numbers is a picture of height 1
  if (x.d.length === 4) return f(x, w, bias, o);
  const up = (t) => reshape(t, [t.d[0], t.d[1], 1, t.d[2]]), { strides: s = [1], dilations: d = [1], pads: p = [0, 0], output_padding: e = [0] } = o;
  const y = f(up(x), up(w), bias, { ...o, strides: [1, ...s], dilations: [1, ...d], pads: [0, p[0], 0, p[1]], output_padding: [0, ...e] });
  return reshape(y, [y.d[0], y.d[1], y.d[3]]);
}
function convTranspose(x, w, bias, o) {
  const [n, c, h, width] = x.d, [, per, kh, kw] = w.d, group = o.group ?? 1, [sh, sw] = o.strides ?? [1, 1];
  const [top, left, bottom, right] = o.pads ?? [0, 0, 0, 0], [eh, ew] = o.output_padding ?? [0, 0], [dh, dw] = o.dilations ?? [1, 1];
  const oh = (h - 1) * sh + dh * (kh - 1) + 1 + eh - top - bottom, ow = (width - 1) * sw + dw * (kw - 1) + 1 + ew - left - right;
  const maps = per * group, y = make([n, maps, oh, ow]), sum = new Float64Array(oh * ow), v = x.v;
  for (let b = 0; b < n; b++) for (let m = 0; m < maps; m++) {
    sum.fill(bias ? bias.v[m] : 0);
    const g = Math.floor(m / per), inputs = c / group;
    for (let i = g * inputs; i < (g + 1) * inputs; i += 4) {
      const from = (b * c + i) * h * width, [p1, p2, p3] = planes(i, (g + 1) * inputs, h * width);
      for (let ky = 0; ky < kh; ky++) for (let kx = 0; kx < kw; kx++) {
        const at = ((i * per + (m % per)) * kh + ky) * kw + kx, [w0, w1, w2, w3] = four(w.v, at, per * kh * kw, p1, p2, p3), offset = kx * dw - left;
        const x0 = Math.max(0, Math.ceil(-offset / sw)), x1 = Math.min(width, Math.floor((ow - 1 - offset) / sw) + 1);
        for (let iy = 0; iy < h; iy++) {
          const oy = iy * sh + ky * dh - top;
          if (oy < 0 || oy >= oh) continue;
          const row = from + iy * width, to = oy * ow + offset;
          for (let ix = x0, q = row + x0, r = to + x0 * sw; ix < x1; ix++, q++, r += sw) sum[r] += w0 * v[q] + w1 * v[q + p1] + w2 * v[q + p2] + w3 * v[q + p3];
        }
      }
    }
    y.v.set(sum, (b * maps + m) * oh * ow);
  }
  return y;
}

function normalised(x, from, eps, scale, bias) {  // each stretch of `from` numbers: mean 0, variance 1
  const y = make(x.d);
  for (let i = 0; i < x.v.length; i += from) {
    let mean = 0, square = 0;
    for (let k = 0; k < from; k++) mean += x.v[i + k];
    mean /= from;
    for (let k = 0; k < from; k++) square += (x.v[i + k] - mean) ** 2;
    const over = 1 / Math.sqrt(square / from + eps);
    for (let k = 0; k < from; k++) y.v[i + k] = (x.v[i + k] - mean) * over * scale(i, k) + bias(i, k);
  }
  return y;
}
function batchNorm(x, scale, bias, mean, variance, o) {
  const y = make(x.d), area = size(x.d.slice(2)), c = x.d[1];
  for (let i = 0; i < x.v.length; i++) {
    const m = Math.floor(i / area) % c;
    y.v[i] = (x.v[i] - mean.v[m]) / Math.sqrt(variance.v[m] + (o.epsilon ?? 1e-5)) * scale.v[m] + bias.v[m];
  }
  return y;
}
function taps(p, m, o) {  // [[place, weight], ...] of a point between pixels
  const low = Math.floor(p), t = p - low, a = o.cubic_coeff_a ?? -0.75, clamp = (k) => Math.min(Math.max(k, 0), m - 1);
  if (o.mode === "linear") return [[clamp(low), 1 - t], [clamp(low + 1), t]];
  if (o.mode !== "cubic") return [[clamp(o.nearest_mode === "floor" ? low : o.nearest_mode === "ceil" ? Math.ceil(p) : Math.ceil(p - 0.5)), 1]];
  const near = (s) => ((a + 2) * s - (a + 3)) * s * s + 1, far = (s) => ((a * s - 5 * a) * s + 8 * a) * s - 4 * a;
  return [[clamp(low - 1), far(t + 1)], [clamp(low), near(t)], [clamp(low + 1), near(1 - t)], [clamp(low + 2), far(2 - t)]];
}
function resize(x, d, o) {  // axis by axis
  const how = o.coordinate_transformation_mode ?? "half_pixel";
  let y = x;
  d.forEach((n, axis) => {
    const m = y.d[axis];
    if (n === m) return;
    const outer = size(y.d.slice(0, axis)), inner = size(y.d.slice(axis + 1)), shape = y.d.slice();
    shape[axis] = n;
    const out = make(shape);
    for (let i = 0; i < n; i++) {
      const p = how === "asymmetric" ? (i * m) / n : how === "align_corners" ? (n > 1 ? (i * (m - 1)) / (n - 1) : 0)
        : how === "pytorch_half_pixel" && n === 1 ? 0 : ((i + 0.5) * m) / n - 0.5;
      for (const [from, weight] of taps(p, m, o))
        for (let a = 0; a < outer; a++) for (let b = 0; b < inner; b++) out.v[(a * n + i) * inner + b] += weight * y.v[(a * m + from) * inner + b];
    }
    y = out;
  });
  return y;
}
function pad(x, pads, value, mode) {
  let y = x;
  const rank = x.d.length;
  for (let axis = 0; axis < rank; axis++) {
    const before = pads[axis], after = pads[axis + rank], n = y.d[axis];
    if (!before && !after) continue;
    const index = Array.from({ length: n + before + after }, (_, i) => i - before), period = Math.max(1, 2 * (n - 1));
    const placed = index.map((i) => {
      if (mode === "reflect") { const p = ((i % period) + period) % period; return p < n ? p : period - p; }
      return mode === "edge" ? Math.min(Math.max(i, 0), n - 1) : i < 0 || i >= n ? -1 : i;
    });
    const out = gather(y, tensor([placed.length], placed.map((i) => Math.max(i, 0)), INT), axis);
    const inner = size(out.d.slice(axis + 1)), outer = size(out.d.slice(0, axis));
    placed.forEach((p, i) => { if (p < 0) for (let o = 0; o < outer; o++) out.v.fill(value, (o * placed.length + i) * inner, (o * placed.length + i + 1) * inner); });
    y = out;
  }
  return y;
}
function averagePool(x, o) {
  const [n, c, h, w] = x.d, [kh, kw] = o.kernel_shape, [sh, sw] = o.strides ?? [1, 1], [top, left, bottom, right] = o.pads ?? [0, 0, 0, 0];
  const round = o.ceil_mode ? Math.ceil : Math.floor, oh = round((h + top + bottom - kh) / sh) + 1, ow = round((w + left + right - kw) / sw) + 1;
  const y = make([n, c, oh, ow]);
  for (let m = 0; m < n * c; m++) for (let oy = 0; oy < oh; oy++) for (let ox = 0; ox < ow; ox++) {
    let sum = 0, count = 0;
    for (let ky = 0; ky < kh; ky++) for (let kx = 0; kx < kw; kx++) {
      const iy = oy * sh + ky - top, ix = ox * sw + kx - left, inside = iy >= 0 && iy < h && ix >= 0 && ix < w;
      if (inside) sum += x.v[(m * h + iy) * w + ix];
      if (inside || (o.count_include_pad && iy < h + bottom && ix < w + right)) count++;
    }
    y.v[(m * oh + oy) * ow + ox] = sum / count;
  }
  return y;
}
function along(x, axis, f) {  // f(numbers of a line, where they go)
  axis = axisOf(axis, x.d.length);
  const y = make(x.d, x.t), n = x.d[axis], inner = size(x.d.slice(axis + 1)), line = new Float64Array(n);
  for (let o = 0; o < x.v.length / n / inner; o++) for (let i = 0; i < inner; i++) {
    for (let k = 0; k < n; k++) line[k] = x.v[(o * n + k) * inner + i];
    f(line);
    for (let k = 0; k < n; k++) y.v[(o * n + k) * inner + i] = line[k];
  }
  return y;
}
const softmax = (line) => { const m = Math.max(...line); let sum = 0; for (let k = 0; k < line.length; k++) sum += line[k] = Math.exp(line[k] - m); for (let k = 0; k < line.length; k++) line[k] /= sum; };
const cumulated = (line) => { for (let k = 1; k < line.length; k++) line[k] += line[k - 1]; };
function erf(x) {  // by its series near 0 and a continued fraction far from it
  const a = Math.abs(x);
  if (a > 5.5) return Math.sign(x);
  if (a < 2.5) { let term = a, sum = a; for (let n = 1; n < 60; n++) { term *= (-a * a) / n; sum += term / (2 * n + 1); } return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI); }
  let f = 0;
  for (let k = 40; k > 0; k--) f = k / 2 / (a + f);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + f));
}
function depthToSpace(x, block, mode) {
  const [n, c, h, w] = x.d, rest = c / block ** 2, crd = mode === "CRD";
  const parted = reshape(x, crd ? [n, rest, block, block, h, w] : [n, block, block, rest, h, w]);
  return reshape(transpose(parted, crd ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]), [n, rest, h * block, w * block]);
}
function split(x, sizes, axis) {
  let begin = 0;
  return sizes.map((n) => slice(x, [begin], [begin += n], [axis], [1]));
}
function shaped(x, wanted) {
  const d = wanted.map((n, i) => (n === 0 ? x.d[i] : n)), free = d.indexOf(-1);
  if (free >= 0) d[free] = x.v.length / -size(d);
  return reshape(x, d);
}
function oneHot(index, depth, values, axis) {
  const n = depth.v[0], y = make([...index.d, n], values.t).v.fill(values.v[0]);
  index.v.forEach((k, i) => { if (k >= 0 && k < n) y[i * n + k] = values.v[1]; });
  const out = { d: [...index.d, n], t: values.t, v: y }, rank = out.d.length, place = axisOf(axis ?? -1, rank);
  if (place === rank - 1) return out;
  const perm = index.d.map((_, i) => i); perm.splice(place, 0, rank - 1);
  return transpose(out, perm);
}
const one = (f, t) => ([x]) => each(x, f, t), two = (f, t) => ([a, b]) => both(a, b, f, t);
const gone = (x, axes) => reshape(x, x.d.filter((n, i) => (axes.length ? !axes.includes(i) : n !== 1)));
const added = (x, axes) => { const rank = x.d.length + axes.length, places = axes.map((a) => axisOf(a, rank)), d = x.d.slice(); for (const p of places.sort((a, b) => a - b)) d.splice(p, 0, 1); return reshape(x, d); };
const reduced = (start, f, end) => ([x, axes], o) => reduce(x, numbers(axes, o.axes ?? []), o.keepdims ?? 1, start, f, end);

const OPS = {
  Identity: ([x]) => x, Dropout: ([x]) => x,
  Relu: one((a) => (a > 0 ? a : 0)), LeakyRelu: ([x], o) => each(x, (a) => (a > 0 ? a : a * (o.alpha ?? 0.01))),
  Tanh: one(Math.tanh), Sigmoid: one((a) => 1 / (1 + Math.exp(-a))), Exp: one(Math.exp), Log: one(Math.log),
  Sqrt: one(Math.sqrt), Erf: one(erf), Neg: one((a) => -a), Abs: one(Math.abs), Not: one((a) => +!a),
  Add: two((a, b) => a + b), Sub: two((a, b) => a - b), Mul: two((a, b) => a * b), Div: ([a, b]) => divide(a, b),
  Pow: two(Math.pow), Mod: two((a, b) => a - b * Math.floor(a / b)),
  Equal: two((a, b) => +(a === b), BOOL), Less: two((a, b) => +(a < b), BOOL), Greater: two((a, b) => +(a > b), BOOL),
  LessOrEqual: two((a, b) => +(a <= b), BOOL), GreaterOrEqual: two((a, b) => +(a >= b), BOOL),
  And: two((a, b) => a & b, BOOL), Or: two((a, b) => a | b, BOOL),
  Max: (xs) => xs.reduce((a, b) => both(a, b, Math.max)), Min: (xs) => xs.reduce((a, b) => both(a, b, Math.min)),
  Where: ([c, a, b]) => {
    const d = wide(wide(c.d, a.d), b.d), [p, q, r] = [c, a, b].map((x) => expand(x, d)), y = make(d, a.t);
    for (let i = 0; i < y.v.length; i++) y.v[i] = p.v[i] ? q.v[i] : r.v[i];
    return y;
  },
  Clip: ([x, low, high]) => each(x, (a) => Math.min(Math.max(a, low ? low.v[0] : -Infinity), high ? high.v[0] : Infinity)),
  Cast: ([x], o) => each(x, o.to === BOOL ? (a) => +(a !== 0) : o.to === FLOAT ? (a) => a : Math.trunc, o.to),
  Shape: ([x]) => tensor([x.d.length], x.d, INT), Reshape: ([x, d]) => shaped(x, list(d)), Expand: ([x, d]) => expand(x, wide(x.d, list(d))),
  Flatten: ([x], o) => reshape(x, [size(x.d.slice(0, o.axis ?? 1)), size(x.d.slice(o.axis ?? 1))]),
  Transpose: ([x], o) => transpose(x, o.perm), Concat: (xs, o) => concat(xs, o.axis), Gather: ([x, i], o) => gather(x, i, o.axis ?? 0),
  Slice: ([x, s, e, a, t]) => slice(x, list(s), list(e), numbers(a, x.d.map((_, i) => i)), numbers(t, list(s).map(() => 1))),
  Squeeze: ([x, a]) => gone(x, numbers(a, []).map((i) => axisOf(i, x.d.length))), Unsqueeze: ([x, a]) => added(x, list(a)),
  Split: ([x, sizes], o, outs) => split(x, numbers(sizes, o.split ?? new Array(outs).fill(x.d[axisOf(o.axis ?? 0, x.d.length)] / outs)), o.axis ?? 0),
  ConstantOfShape: ([d], o) => { const y = make(list(d), o.value ? o.value.t : FLOAT); y.v.fill(o.value ? o.value.v[0] : 0); return y; },
  Range: ([a, b, s]) => tensor([Math.max(0, Math.ceil((b.v[0] - a.v[0]) / s.v[0]))], Array.from({ length: Math.max(0, Math.ceil((b.v[0] - a.v[0]) / s.v[0])) }, (_, i) => a.v[0] + i * s.v[0]), a.t),
  Tile: ([x, r]) => list(r).reduce((y, n, axis) => (n === 1 ? y : concat(new Array(n).fill(y), axis)), x),
  OneHot: ([i, n, v], o) => oneHot(i, n, v, o.axis), Trilu: ([x, k], o) => {
    const y = make(x.d, x.t), [h, w] = x.d.slice(-2), from = k ? k.v[0] : 0;
    for (let i = 0; i < y.v.length; i++) { const c = i % w, r = Math.floor(i / w) % h; y.v[i] = (o.upper ?? 1) ? (c - r >= from ? x.v[i] : 0) : (c - r <= from ? x.v[i] : 0); }
    return y;
  },
  Gemm: ([a, b, c], o) => gemm(a, b, c, o), MatMul: ([a, b]) => matmul(a, b), Conv: ([x, w, b], o) => of2d(conv, x, w, b, o),
  ConvTranspose: ([x, w, b], o) => of2d(convTranspose, x, w, b, o), BatchNormalization: ([x, s, b, m, v], o) => batchNorm(x, s, b, m, v, o),
  InstanceNormalization: ([x, s, b], o) => { const area = size(x.d.slice(2)), m = (i) => Math.floor(i / area) % x.d[1]; return normalised(x, area, o.epsilon ?? 1e-5, (i) => s.v[m(i)], (i) => b.v[m(i)]); },
  LayerNormalization: ([x, s, b], o) => normalised(x, size(x.d.slice(axisOf(o.axis ?? -1, x.d.length))), o.epsilon ?? 1e-5, (_, k) => s.v[k], (_, k) => (b ? b.v[k] : 0)),
  Resize: ([x, , scales, sizes], o) => resize(x, sizes ? list(sizes) : x.d.map((n, i) => Math.floor(n * scales.v[i])), o),
  Pad: ([x, p, v], o) => pad(x, list(p), v ? v.v[0] : 0, o.mode ?? "constant"), AveragePool: ([x], o) => averagePool(x, o),
  DepthToSpace: ([x], o) => depthToSpace(x, o.blocksize, o.mode), Softmax: ([x], o) => along(x, o.axis ?? -1, softmax), CumSum: ([x, a]) => along(x, a.v[0], cumulated),
  ReduceSum: reduced(0, (a, b) => a + b), ReduceMean: reduced(0, (a, b) => a + b, (a, n) => a / n), ReduceMax: reduced(-Infinity, Math.max),
  ReduceL2: reduced(0, (a, b) => a + b * b, Math.sqrt),
};

// {nodes: [[op, inputs, outputs, attributes]], weights: {name: tensor}, output} and {input: tensor} -> the output
function run(graph, inputs) {
  const held = { ...graph.weights, ...inputs };
  graph.nodes.forEach(([op, ins, outs, attributes], place) => {
    const made = OPS[op](ins.map((name) => held[name]), attributes, outs.length);
    (Array.isArray(made) ? made : [made]).forEach((value, i) => { held[outs[i]] = value; });
    for (const name of graph.last[place]) delete held[name];
  });
  return held[graph.output];
}
function prepared(graph, blob) {  // weights from the bytes behind them; what is no longer needed after each node
  const at = {};
  graph.nodes.forEach(([, ins], place) => ins.forEach((name) => { at[name] = place; }));
  graph.last = graph.nodes.map(() => []);
  for (const name in at) if (!(name in graph.weights) && name !== graph.output) graph.last[at[name]].push(name);
  for (const name in graph.weights) {
    const w = graph.weights[name];
    w.v = w.t === FLOAT ? new Float32Array(blob, w.at, size(w.d)) : Float64Array.from(w.v);
  }
  for (const node of graph.nodes) if (node[3].value) node[3].value.v = Float64Array.from(node[3].value.v);
  return graph;
}
if (typeof module !== "undefined") module.exports = { run, prepared, tensor, OPS };
