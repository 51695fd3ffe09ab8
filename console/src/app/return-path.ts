/**
 * Where to go after signing in. Only a path of this site is taken: an address with a host of its own, or one that a browser
 * would read as such, would lead a person who has just signed in to somebody else.
 */
export function safeReturnPath(wanted: unknown): string {
  if (typeof wanted !== 'string' || !wanted.startsWith('/')) return '/projects'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: browsers drop these from addresses
  if (/[\u0000-\u001f\\]/.test(wanted) || wanted.startsWith('//')) return '/projects'
  const resolved = new URL(wanted, 'http://console.invalid')
  if (resolved.host !== 'console.invalid') return '/projects'
  const path = resolved.pathname + resolved.search
  return /^\/(login|setup)(\/|\?|$)/.test(path) ? '/projects' : path
}
