// QR codes as ISO/IEC 18004 has them: bytes, error correction M, the smallest version that holds them. An authenticator's secret is drawn
// here and goes nowhere else.

/** A picture of modules: true is dark. It has no quiet zone; whoever draws it leaves four modules around it. */
export type Modules = boolean[][]

// Per version from 1 on: how many codewords of error correction each block has, and how many blocks there are.
const ecLength = [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26]
const ecBlocks = [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16]
const levelM = 0

/** Draws text; null when it is longer than 666 bytes. */
export function qr(text: string): Modules | null {
  const bytes = [...new TextEncoder().encode(text)]
  for (let version = 1; version <= ecLength.length; version++) {
    const lengthBits = version < 10 ? 8 : 16
    if (dataCapacity(version) * 8 < 4 + lengthBits + bytes.length * 8) continue
    return draw(version, interleave(version, dataWords(version, bytes, lengthBits)))
  }
  return null
}

const at = (list: readonly number[], version: number) => list[version - 1] ?? 0

/** How many codewords a version holds, with those of the error correction. */
function capacity(version: number): number {
  let bits = (16 * version + 128) * version + 64
  if (version >= 2) {
    const marks = Math.floor(version / 7) + 2
    bits -= (25 * marks - 10) * marks - 55
    if (version >= 7) bits -= 36
  }
  return Math.floor(bits / 8)
}

function dataCapacity(version: number): number {
  return capacity(version) - at(ecLength, version) * at(ecBlocks, version)
}

function dataWords(version: number, bytes: number[], lengthBits: number): number[] {
  const bits: number[] = []
  const put = (value: number, n: number) => {
    for (let i = n - 1; i >= 0; i--) bits.push((value >> i) & 1)
  }
  put(0b0100, 4) // bytes
  put(bytes.length, lengthBits)
  for (const b of bytes) put(b, 8)
  const room = dataCapacity(version) * 8
  put(0, Math.min(4, room - bits.length))
  put(0, (8 - (bits.length % 8)) % 8)
  for (let pad = 0xec; bits.length < room; pad ^= 0xec ^ 0x11) put(pad, 8)
  const words: number[] = []
  for (let i = 0; i < bits.length; i += 8) words.push(bits.slice(i, i + 8).reduce((sum, bit) => sum * 2 + bit, 0))
  return words
}

/** Divides the data into blocks, adds the error correction of each, and takes turns between them. */
function interleave(version: number, data: number[]): number[] {
  const count = at(ecBlocks, version)
  const short = Math.floor(data.length / count)
  const firstLong = count - (data.length % count)
  const divisor = generator(at(ecLength, version))
  const blocks: { data: number[]; ec: number[] }[] = []
  for (let i = 0, from = 0; i < count; i++) {
    const length = short + (i >= firstLong ? 1 : 0)
    const part = data.slice(from, from + length)
    from += length
    blocks.push({ data: part, ec: remainder(part, divisor) })
  }
  const out: number[] = []
  for (const kind of ['data', 'ec'] as const) {
    const longest = Math.max(...blocks.map((b) => b[kind].length))
    for (let i = 0; i < longest; i++) {
      for (const block of blocks) {
        const word = block[kind][i]
        if (word !== undefined) out.push(word)
      }
    }
  }
  return out
}

/** Multiplies in the field of 256 elements with the polynomial 0x11d. */
export function times(x: number, y: number): number {
  let z = 0
  for (let i = 7; i >= 0; i--) {
    z = (z << 1) ^ ((z >> 7) * 0x11d)
    z ^= ((y >> i) & 1) * x
  }
  return z
}

function generator(degree: number): number[] {
  const out: number[] = new Array(degree).fill(0)
  out[degree - 1] = 1
  for (let i = 0, root = 1; i < degree; i++, root = times(root, 2)) {
    for (let j = 0; j < degree; j++) out[j] = times(out[j] ?? 0, root) ^ (out[j + 1] ?? 0)
  }
  return out
}

function remainder(data: number[], divisor: number[]): number[] {
  const out: number[] = new Array(divisor.length).fill(0)
  for (const word of data) {
    const factor = word ^ (out.shift() ?? 0)
    out.push(0)
    divisor.forEach((d, i) => {
      out[i] = (out[i] ?? 0) ^ times(d, factor)
    })
  }
  return out
}

export const masks: ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
]

/** The modules that stand for no data, and what they are; undefined where data goes. */
export function frame(version: number): (boolean | undefined)[][] {
  const size = version * 4 + 17
  const out: (boolean | undefined)[][] = Array.from({ length: size }, () => new Array(size).fill(undefined))
  const set = (x: number, y: number, dark: boolean) => {
    const row = out[y]
    if (row && x >= 0 && x < size) row[x] = dark
  }
  for (let i = 0; i < size; i++) {
    set(6, i, i % 2 === 0)
    set(i, 6, i % 2 === 0)
  }
  for (const [cx, cy] of [
    [3, 3],
    [size - 4, 3],
    [3, size - 4],
  ] as const) {
    for (let dy = -4; dy <= 4; dy++) {
      for (let dx = -4; dx <= 4; dx++) {
        const far = Math.max(Math.abs(dx), Math.abs(dy))
        set(cx + dx, cy + dy, far !== 2 && far !== 4)
      }
    }
  }
  const marks = alignment(version)
  const last = marks.length - 1
  marks.forEach((cy, i) => {
    marks.forEach((cx, j) => {
      if ((i === 0 && (j === 0 || j === last)) || (i === last && j === 0)) return
      for (let dy = -2; dy <= 2; dy++) {
        for (let dx = -2; dx <= 2; dx++) set(cx + dx, cy + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1)
      }
    })
  })
  // Room for the format, which is only known with the mask.
  for (let i = 0; i < 9; i++) {
    if (i !== 6) {
      set(8, i, false)
      set(i, 8, false)
    }
  }
  for (let i = 0; i < 8; i++) {
    set(size - 1 - i, 8, false)
    set(8, size - 1 - i, i === 7)
  }
  if (version >= 7) {
    let rest = version
    for (let i = 0; i < 12; i++) rest = (rest << 1) ^ ((rest >> 11) * 0x1f25)
    const bits = (version << 12) | rest
    for (let i = 0; i < 18; i++) {
      const dark = ((bits >> i) & 1) === 1
      const a = size - 11 + (i % 3)
      const b = Math.floor(i / 3)
      set(a, b, dark)
      set(b, a, dark)
    }
  }
  return out
}

function alignment(version: number): number[] {
  if (version === 1) return []
  const count = Math.floor(version / 7) + 2
  const step = Math.floor((version * 8 + count * 3 + 5) / (count * 4 - 4)) * 2
  const out = [6]
  for (let i = count - 2; i >= 0; i--) out.push(version * 4 + 10 - i * step)
  return out
}

/** The places of data, in the order in which their bits come: columns of two, from the right, up and down in turns. */
export function path(fixed: (boolean | undefined)[][]): [number, number][] {
  const size = fixed.length
  const out: [number, number][] = []
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5
    const up = ((right + 1) & 2) === 0
    for (let i = 0; i < size; i++) {
      const y = up ? size - 1 - i : i
      for (const x of [right, right - 1]) if (fixed[y]?.[x] === undefined) out.push([x, y])
    }
  }
  return out
}

function draw(version: number, words: number[]): Modules {
  const fixed = frame(version)
  const places = path(fixed)
  let best: Modules = []
  let least = Number.POSITIVE_INFINITY
  masks.forEach((mask, number) => {
    const out: Modules = fixed.map((row) => row.map((dark) => dark ?? false))
    places.forEach(([x, y], i) => {
      const bit = ((words[i >> 3] ?? 0) >> (7 - (i & 7))) & 1
      const row = out[y]
      if (row) row[x] = (bit === 1) !== mask(x, y)
    })
    putFormat(out, number)
    const bad = penalty(out)
    if (bad < least) {
      least = bad
      best = out
    }
  })
  return best
}

function putFormat(out: Modules, mask: number): void {
  const size = out.length
  const data = (levelM << 3) | mask
  let rest = data
  for (let i = 0; i < 10; i++) rest = (rest << 1) ^ ((rest >> 9) * 0x537)
  const bits = ((data << 10) | rest) ^ 0x5412
  const set = (x: number, y: number, i: number) => {
    const row = out[y]
    if (row) row[x] = ((bits >> i) & 1) === 1
  }
  for (let i = 0; i <= 5; i++) set(8, i, i)
  set(8, 7, 6)
  set(8, 8, 7)
  set(7, 8, 8)
  for (let i = 9; i < 15; i++) set(14 - i, 8, i)
  for (let i = 0; i < 8; i++) set(size - 1 - i, 8, i)
  for (let i = 8; i < 15; i++) set(8, size - 15 + i, i)
}

/** How hard a picture is to read: long runs, squares of one colour, what looks like a corner, and an uneven share of dark. */
function penalty(m: Modules): number {
  const size = m.length
  const dark = (x: number, y: number) => m[y]?.[x] ?? false
  let bad = 0
  for (const turned of [false, true]) {
    for (let a = 0; a < size; a++) {
      let run = 0
      let line = ''
      for (let b = 0; b < size; b++) {
        const here = turned ? dark(a, b) : dark(b, a)
        run = b > 0 && line.endsWith('1') === here ? run + 1 : 1
        if (run === 5) bad += 3
        else if (run > 5) bad++
        line += here ? '1' : '0'
      }
      bad += 40 * (line.match(/(?=10111010000|00001011101)/g)?.length ?? 0)
    }
  }
  let total = 0
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if (dark(x, y)) total++
      if (x + 1 >= size || y + 1 >= size) continue
      const here = dark(x, y)
      if (dark(x + 1, y) === here && dark(x, y + 1) === here && dark(x + 1, y + 1) === here) bad += 3
    }
  }
  return bad + 10 * Math.floor(Math.abs((total * 20) / (size * size) - 10))
}
