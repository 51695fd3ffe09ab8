/** An element of an array: text, or NULL. */
export type Element = string | null

/** Reads the text of an array of one dimension, such as {a,"b c",NULL}; null when it is something else. */
export function readArray(text: string): Element[] | null {
  if (!text.startsWith('{') || !text.endsWith('}')) return null
  const out: Element[] = []
  let at = 1
  const end = text.length - 1
  if (text.slice(1, end).trim() === '') return out
  while (at <= end) {
    if (text[at] === '"') {
      let element = ''
      for (at++; at < end && text[at] !== '"'; at++) {
        if (text[at] === '\\') at++
        element += text[at] ?? ''
      }
      out.push(element)
      at++
    } else {
      const from = at
      while (at < end && text[at] !== ',') {
        if (text[at] === '{' || text[at] === '"') return null
        at++
      }
      const element = text.slice(from, at).trim()
      out.push(element.toUpperCase() === 'NULL' ? null : element)
    }
    if (at === end) return out
    if (text[at] !== ',') return null
    at++
  }
  return null
}

/** The text of an array, as PostgreSQL reads it. */
export function arrayText(elements: Element[]): string {
  const one = (e: Element) => {
    if (e === null) return 'NULL'
    const plain = e !== '' && e.toUpperCase() !== 'NULL' && !/[\s{},"\\]/.test(e)
    return plain ? e : `"${e.replaceAll(/["\\]/g, '\\$&')}"`
  }
  return `{${elements.map(one).join(',')}}`
}
