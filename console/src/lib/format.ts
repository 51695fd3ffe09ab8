const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** A number of bytes as people read it: 1.4 GB. Units are powers of 1000. */
export function bytes(n: number): string {
  if (!Number.isFinite(n) || n < 0) return '–'
  let unit = 0
  while (n >= 999.5 && unit < units.length - 1) {
    n /= 1000
    unit++
  }
  const digits = unit === 0 || n >= 99.95 ? 0 : 1
  return `${n.toFixed(digits)} ${units[unit]}`
}

/** The size of a database; the server says 0 before it has measured it. */
export function size(n: number): string {
  return n > 0 ? bytes(n) : '–'
}

/** A whole number with thin groups: 1 234 567. */
export function count(n: number): string {
  return Math.round(n)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f')
}

const steps: [number, string][] = [
  [86400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
]

/** A length of time in its two largest units: 2 h 5 min. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '–'
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`
  let rest = Math.round(seconds)
  const parts: string[] = []
  for (const [size, name] of steps) {
    const n = Math.floor(rest / size)
    rest -= n * size
    if (n > 0) parts.push(`${n} ${name}`)
    // A second part only directly below the first: not 2 d 3 s.
    if (parts.length === 2 || (parts.length === 1 && n === 0)) break
  }
  return parts.join(' ')
}

/** What is left of a time, to the second: 6 d 23:59:04. */
export function countdown(seconds: number): string {
  const left = Math.max(0, Math.floor(seconds))
  const days = Math.floor(left / 86400)
  const clock = [Math.floor(left / 3600) % 24, Math.floor(left / 60) % 60, left % 60]
  return `${days > 0 ? `${days} d ` : ''}${clock.map((n) => String(n).padStart(2, '0')).join(':')}`
}

/** How long ago a moment was, in one unit; moments in the future say in how long. */
export function ago(then: Date, now: Date): string {
  const seconds = Math.round((now.getTime() - then.getTime()) / 1000)
  if (Math.abs(seconds) < 5) return 'just now'
  const [size, name] = steps.find(([s]) => Math.abs(seconds) >= s) ?? [1, 's']
  const text = `${Math.round(Math.abs(seconds) / size)} ${name}`
  return seconds > 0 ? `${text} ago` : `in ${text}`
}

/** A moment to the second in the reader's zone, with the zone: 2026-11-21 14:03:09 +01:00. */
export function moment(at: Date): string {
  const two = (n: number) => String(Math.trunc(Math.abs(n))).padStart(2, '0')
  const offset = -at.getTimezoneOffset()
  const zone = `${offset < 0 ? '-' : '+'}${two(offset / 60)}:${two(offset % 60)}`
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())} ${zone}`
}

/** Only the time of day, for lines of a log. */
export function clock(at: Date): string {
  return moment(at).slice(11, 19)
}

/** A word of the API as a person writes it: create_project becomes Create project. */
export function words(name: string): string {
  const text = name.replace(/[._-]+/g, ' ').trim()
  return text === '' ? name : text[0]?.toUpperCase() + text.slice(1)
}
