import { describe, expect, it } from 'vitest'
import { frame, type Modules, masks, path, qr, times } from './qr'

/** Reads a picture back: the format, the mask, the blocks, and what the bytes say. One block for up to version 3, two for 4 and 5, four for 6 and 7. */
function read(m: Modules, ec: number, blocks: number): string {
  const version = (m.length - 17) / 4
  let format = 0
  for (const [x, y] of [
    [8, 0],
    [8, 1],
    [8, 2],
    [8, 3],
    [8, 4],
    [8, 5],
    [8, 7],
    [8, 8],
    [7, 8],
    [5, 8],
    [4, 8],
    [3, 8],
    [2, 8],
    [1, 8],
    [0, 8],
  ].reverse() as [number, number][])
    format = format * 2 + (m[y]?.[x] ? 1 : 0)
  format ^= 0x5412
  expect(format >> 13).toBe(0) // error correction M
  const mask = masks[(format >> 10) & 7]
  const words: number[] = []
  path(frame(version)).forEach(([x, y], i) => {
    const bit = (m[y]?.[x] ?? false) !== (mask?.(x, y) ?? false) ? 1 : 0
    words[i >> 3] = (words[i >> 3] ?? 0) | (bit << (7 - (i & 7)))
  })
  const total = Math.floor(path(frame(version)).length / 8)
  const data = total - ec * blocks
  const longer = data % blocks
  const parts: number[][] = Array.from({ length: blocks }, () => [])
  let next = 0
  for (let i = 0; i < Math.ceil(data / blocks); i++) {
    parts.forEach((part, b) => {
      if (i < Math.floor(data / blocks) || b >= blocks - longer) part.push(words[next++] ?? 0)
    })
  }
  const lengths = parts.map((part) => part.length)
  for (let i = 0; i < ec; i++) for (const part of parts) part.push(words[next++] ?? 0)
  // Each block is a multiple of the generator: zero at every root of it.
  for (const part of parts) {
    for (let i = 0, root = 1; i < ec; i++, root = times(root, 2)) {
      expect(part.reduce((sum, word) => times(sum, root) ^ word, 0)).toBe(0)
    }
  }
  const bits = parts.flatMap((part, b) => part.slice(0, lengths[b])).map((w) => w.toString(2).padStart(8, '0'))
  const all = bits.join('')
  expect(all.slice(0, 4)).toBe('0100')
  const length = Number.parseInt(all.slice(4, 12), 2)
  const bytes = Array.from({ length }, (_, i) => Number.parseInt(all.slice(12 + i * 8, 20 + i * 8), 2))
  return new TextDecoder().decode(Uint8Array.from(bytes))
}

describe('QR codes', () => {
  it('can be read back', () => {
    const url = 'otpauth://totp/Holdfast:ann?issuer=Holdfast&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
    for (const [text, size, ec, blocks] of [
      ['ä', 21, 10, 1],
      ['holdfast, and a little more', 25 + 4, 26, 1],
      [url, 37, 24, 2],
      [`${url}&algorithm=SHA1&digits=6&p`, 45, 18, 4],
    ] as const) {
      const m = qr(text)
      expect(m?.length).toBe(size)
      if (m) expect(read(m, ec, blocks)).toBe(text)
    }
  })
  it('have their corners and are refused when they would be too large', () => {
    const m = qr('x'.repeat(600))
    expect(m).not.toBeNull()
    for (const [x, y] of [
      [0, 0],
      [(m?.length ?? 0) - 1, 0],
      [0, (m?.length ?? 0) - 1],
    ] as const)
      expect(m?.[y]?.[x]).toBe(true)
    expect(qr('x'.repeat(700))).toBeNull()
  })
})
